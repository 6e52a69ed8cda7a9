"""How long until a worker is ready, with kernels to be compiled and with kernels found warm.

    python -m bench.cold_start [--starts N]

A worker is `ringfence run` on a real Kafka whose topics are made and empty, with a cache of its own of
kernels and of Python's compiled files, as an installation leaves both. Ready is when `/readyz` says so. CPU
time is the worker's own, all threads, until then: seconds on the clock depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.report import row_of, write_results
from config.settings import KafkaSettings, Settings
from streams.embedded.child import free_port
from streams.topics import ensure_topics
from tests.servers import kafka_server

ROLES: dict[str, tuple[str, ...]] = {
    "all roles": (),
    "ingest": ("ingest",),
    "detect": ("detect",),
    "profile": ("profile",),
    "respond": ("respond",),
    "store": ("store",),
}
TICKS = os.sysconf("SC_CLK_TCK")

row = partial(row_of, digits=2)


def cpu_seconds(pid: int) -> float:
    """What the process has used so far, user and system, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def resident_bytes(pid: int) -> int:
    """Memory that the process has in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Start(NamedTuple):
    """Of a worker, until it was ready; then it was ended."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def start(environment: Mapping[str, str], roles: tuple[str, ...]) -> Start:
    port = free_port()
    began = time.monotonic()
    worker = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "run", *roles],
        env={**os.environ, **environment, "RINGFENCE_SERVICE__PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not answers(port):
            if worker.poll() is not None:
                raise SystemExit(f"the worker of {roles or 'all roles'} ended with {worker.returncode}")
            time.sleep(0.02)
        return Start(time.monotonic() - began, cpu_seconds(worker.pid), resident_bytes(worker.pid) / 1e6)
    finally:
        worker.terminate()
        worker.wait(30)


def warm(environment: Mapping[str, str]) -> float:
    """CPU seconds of `ringfence warm`."""
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "streams.cli", "warm"], env={**os.environ, **environment}, check=True
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=3, help="starts of each sort")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, kafka_server() as kafka:
        ensure_topics(Settings(kafka=KafkaSettings(brokers=kafka.brokers)))
        environment = {
            "RINGFENCE_KAFKA__BROKERS": kafka.brokers,
            "RINGFENCE_CACHE_DIR": f"{temporary}/cache",
            "PYTHONPYCACHEPREFIX": f"{temporary}/python",
            "PYTHONDONTWRITEBYTECODE": "",
        }
        rows = [row("CPU time of `ringfence warm`, nothing compiled before", "s", [warm(environment)])]
        rows.append(row("CPU time of `ringfence warm`, all compiled", "s", [warm(environment)]))
        for name, roles in ROLES.items():
            start(environment, roles)
            taken = [start(environment, roles) for _ in range(asked.starts)]
            print(name, taken, file=sys.stderr)
            rows.append(row(f"start to ready, {name}", "s", [each.seconds for each in taken]))
            rows.append(row(f"CPU time until ready, {name}", "s", [each.cpu_seconds for each in taken]))
            rows.append(row(f"memory when ready, {name}", "MB", [each.megabytes for each in taken]))
    print(write_results("cold_start", vars(asked) | {"load": round(os.getloadavg()[1], 1)}, rows))


if __name__ == "__main__":
    main()
