"""The workers that a storm strikes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from streams.chaos import cluster
from streams.chaos.cluster import Worker
from tests.service import wait_until

HANGING = """
import faulthandler, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
faulthandler.register(signal.SIGQUIT)
print("up", flush=True)
def hangs():
    while True:
        time.sleep(0.1)
hangs()
"""


def test_a_worker_that_does_not_end_says_where_it_hangs_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "WORKER_GRACE_S", 0.5)
    worker = Worker("hanging", {}, tmp_path / "log", (sys.executable, "-c", HANGING))
    worker.start()
    wait_until("it is up", lambda: "up" in worker.log.read_text())
    worker.end()
    assert worker.wrong_ends == [128 + signal.SIGKILL]
    assert "in hangs" in worker.log.read_text()
