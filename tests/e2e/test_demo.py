"""The first minute of a newcomer: the demo catches its attacks, ends by itself and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson

DEMO = [sys.executable, "-m", "streams.cli", "demo"]


def test_the_demo_catches_its_attacks(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*DEMO, "--seconds", "30", "--json", "--keep", str(tmp_path)], capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()
    summary = orjson.loads(ended.stdout)
    assert summary["calls"] > 0
    assert set(summary["alerts"]) >= {"burst", "flood"}
    assert summary["rules"] > 0
    in_the_last_second = 2  # still on their topic when the demo ends
    assert summary["stored"]["alerts"] >= sum(summary["alerts"].values()) - in_the_last_second
    assert summary["stored"]["calls"] > 0
    assert not _processes_of(tmp_path)


def test_ctrl_c_ends_the_demo_and_all_that_it_started(tmp_path: Path) -> None:
    with (tmp_path / "screen").open("wb") as screen:
        demo = subprocess.Popen([*DEMO, "--keep", str(tmp_path)], stdout=screen, stderr=screen)
        while not (tmp_path / "traffic.log").exists():
            assert demo.poll() is None, (tmp_path / "screen").read_text()
            time.sleep(0.2)
        demo.send_signal(signal.SIGINT)
        status = demo.wait()
    shown = (tmp_path / "screen").read_text()
    assert status in (0, 1), shown
    assert "Traceback" not in shown
    assert not _processes_of(tmp_path)


def _processes_of(directory: Path) -> list[str]:
    """Processes that hold a file of ``directory`` open."""
    holding = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            files = [str(each.readlink()) for each in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(file.startswith(str(directory)) for file in files):
            holding.append(process.name)
    return holding
