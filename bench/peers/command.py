"""What the runner and a peer's process say to each other. Standard library alone: every peer imports it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.peers.job import Alert, write_alerts


class Stopwatch:
    """Wall clock and processor time of this process and those below it."""

    def __init__(self) -> None:
        self._begin = self._end = (0.0, 0.0)
        self.running = False

    def start(self) -> None:
        self._begin, self.running = self._now(), True

    def stop(self) -> None:
        if self.running:
            self._end, self.running = self._now(), False

    def taken(self) -> tuple[float, float]:
        """Seconds of the wall clock and of the processor between the last start and stop."""
        return self._end[0] - self._begin[0], self._end[1] - self._begin[1]

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), cpu_seconds(os.getpid())


@dataclass(frozen=True)
class Asked:
    """How a peer is to run: on how many workers, in which variant, with Kafka where."""

    workers: int
    variant: str
    brokers: str
    topic: str
    watch: Stopwatch
    """Runs while the job does. A job on Kafka starts it anew at its first message and stops it after
    its last, so that joining a consumer group is not counted."""


@dataclass(frozen=True)
class Told:
    """What a peer's process prints as its last line."""

    seconds: float
    """From the first byte read to the last alert in hand; start-up and warm-up are not in it."""
    cpu_seconds: float
    """Of the processor in that time, its child processes included, a Kafka broker's not."""
    version: str


Job = Callable[[Asked, Sequence[Path]], list[Alert]]
"""Runs the whole job on files of JSON lines, one a worker, and gives every alert."""


def tree(pid: int) -> list[int]:
    """``pid`` and the processes below it."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = (thread / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            found += tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, of those below it, and of those that have ended and were awaited."""
    ticks = 0
    for each in tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def run_peer(job: Job, version: str) -> None:
    """The command line of every peer: the job on the warm-up files, then, timed, on the files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", type=Path, nargs="+", required=True)
    parser.add_argument("--warm", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--variant", default="")
    parser.add_argument("--brokers", default="")
    parser.add_argument("--topic", default="")
    given = parser.parse_args()
    watch = Stopwatch()
    asked = Asked(given.workers, given.variant, given.brokers, given.topic, watch)
    if given.warm:
        job(asked, given.warm)
    watch.start()
    alerts = job(asked, given.parts)
    watch.stop()
    told = Told(*watch.taken(), version)
    write_alerts(given.out, alerts)
    sys.stdout.write("\n" + json.dumps(asdict(told)) + "\n")
    sys.stdout.flush()
