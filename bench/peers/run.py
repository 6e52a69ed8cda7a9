"""Runs every system on the same calls, compares what they found, and then takes times.

    python -m bench.peers [--rounds 3] [--only NAME] [--rate 500] [--minutes 17] [--slow-events 60000]

In a round every system runs once, in a process of its own. Its alerts are compared with those of the
definition first; only where they are exactly the same, each once, is there a time. A system that fails or
finds other alerts takes no further part, and is named with the reason.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.peers.command import Told, tree
from bench.peers.data import Cut, simulated
from bench.peers.job import read_alerts
from bench.peers.report import Record, Run, report
from bench.peers.systems import SYSTEMS, System
from bench.peers.topic import Broker
from bench.peers.venvs import Missing, python_of

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".peers"
WARM_EVENTS = 20_000
SEED = 1
SAMPLE_S = 0.1


def resident(pid: int) -> float:
    """MiB of memory that a process and those below it hold."""
    total = 0
    for each in tree(pid):
        try:
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1])
        except OSError:
            continue
    return total * 4096 / 2**20


class Cuts:
    """The calls in the lengths that are needed, each written when it is first asked for."""

    def __init__(self, calls: Path, slow: int) -> None:
        self._calls, self._slow = calls, slow
        with calls.open("rb") as lines:
            self._all = sum(1 for _ in lines)
        self._cuts: dict[int, Cut] = {}

    def warm(self, system: System) -> Cut | None:
        """What a system runs on before it is timed."""
        return self._cut(WARM_EVENTS) if system.warm else None

    def timed(self, system: System) -> Cut:
        """What a system is timed on."""
        return self._cut(self._all if system.large else min(self._slow, system.most or self._slow))

    def parameters(self) -> dict[str, Any]:
        return {f"alerts of {events:,} events": len(cut.alerts) for events, cut in sorted(self._cuts.items())}

    def _cut(self, events: int) -> Cut:
        if events not in self._cuts:
            self._cuts[events] = Cut(self._calls, events)
        return self._cuts[events]


class Watch(threading.Thread):
    """Samples the memory of a process until it ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.peak = 0.0

    def run(self) -> None:
        while self._process.poll() is None:
            self.peak = max(self.peak, resident(self._process.pid))
            time.sleep(SAMPLE_S)


class Runner:
    def __init__(self, asked: argparse.Namespace, broker: Broker) -> None:
        self._limit, self._broker = asked.limit, broker
        self._lock: Path | None = asked.lock

    def run(self, system: System, cut: Cut, warm: Cut | None) -> tuple[Run, str]:
        """One run on ``cut``, after one on ``warm`` in the same process where it wants that, and the system's
        version. Raises Missing where it fails or finds other alerts."""
        python = python_of(system.venv, PLACE / "venvs")
        with tempfile.TemporaryDirectory() as directory:
            out, log = Path(directory) / "alerts.ndjson", Path(directory) / "log"
            command = [python, "-m", f"bench.peers.{system.module}", "--out", str(out)]
            command += ["--parts", *map(str, files_of(system, cut)), "--workers", str(system.workers)]
            command += ["--variant", system.variant]
            if warm is not None:
                command += ["--warm", *map(str, files_of(system, warm))]
            if system.form == "kafka":
                topic = self._broker.topic(cut.parts(system.workers))
                command += ["--brokers", self._broker.brokers, "--topic", topic]
            told, peak = self._told(command, log)
            check(read_alerts(out), cut)
        return Run(told.seconds, told.cpu_seconds, peak), told.version

    def _told(self, command: list[str], log: Path) -> tuple[Told, float]:
        with log.open("w") as errors, turn(self._lock):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
            watch = Watch(process)
            watch.start()
            try:
                output, _ = process.communicate(timeout=self._limit)
            except subprocess.TimeoutExpired:
                end(process)
                raise Missing(f"did not end within {self._limit} s") from None
        watch.join()
        if process.returncode:
            last = [line for line in log.read_text().splitlines() if line.strip()][-1:] or ["no message"]
            raise Missing(f"ended with code {process.returncode}: {last[0][:200]}")
        return Told(**json.loads(output.strip().splitlines()[-1])), watch.peak


@contextmanager
def turn(lock: Path | None) -> Iterator[None]:
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def end(process: subprocess.Popen[str]) -> None:
    """Ends a process and those below it."""
    for pid in reversed(tree(process.pid)):
        subprocess.run(["kill", "-9", str(pid)], check=False, stderr=subprocess.DEVNULL)
    process.wait()


def files_of(system: System, cut: Cut) -> list[Path]:
    if system.form == "chunks":
        return [cut.chunks]
    return cut.parts(system.workers if system.form in ("parts", "kafka") else 1)


def check(found: list[Any], cut: Cut) -> None:
    """Raises Missing where ``found`` is not exactly the alerts by definition, each once."""
    alerts = set(found)
    if len(alerts) != len(found) or alerts != cut.alerts:
        raise Missing(
            f"other alerts than by definition: {len(cut.alerts - alerts)} missing, "
            f"{len(alerts - cut.alerts)} wrong, {len(found) - len(alerts)} twice"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="systems whose name holds this; no results are written")
    parser.add_argument("--rate", type=int, default=500, help="legitimate calls a second of event time")
    parser.add_argument("--minutes", type=float, default=17, help="of event time")
    parser.add_argument("--slow-events", type=int, default=60_000, help="events that slow systems read")
    parser.add_argument("--limit", type=int, default=600, help="seconds after which a run is given up")
    parser.add_argument(
        "--lock", type=Path, help="file locked during each run, so that measurements take turns"
    )
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    records = [record for record in map(Record, SYSTEMS) if asked.only.lower() in record.label.lower()]
    calls = simulated(PLACE / "data", asked.rate, asked.minutes, SEED)
    cuts = Cuts(calls, asked.slow_events)
    with ExitStack() as stack:
        runner = Runner(asked, stack.enter_context(Broker()))
        for number in range(asked.rounds):
            for record in records:
                if not record.problem:
                    measure(runner, record, cuts, number)
            if not asked.only:
                print(report(records, cuts.parameters() | vars_of(asked, number + 1)))
    return 0


def vars_of(asked: argparse.Namespace, rounds: int) -> dict[str, Any]:
    return {"rate": asked.rate, "minutes": asked.minutes, "seed": SEED, "rounds": rounds}


def measure(runner: Runner, record: Record, cuts: Cuts, number: int) -> None:
    cut = cuts.timed(record.system)
    record.events = cut.events
    try:
        run, record.version = runner.run(record.system, cut, cuts.warm(record.system))
    except Missing as problem:
        record.runs.append(None)
        record.problem = str(problem)
        say(f"round {number + 1}, {record.label}: {problem}")
        return
    record.runs.append(run)
    rate, of_core = cut.events / run.seconds, cut.events / run.cpu_seconds
    figures = f"{rate:,.0f} events/s, {of_core:,.0f} of a core, {run.memory:,.0f} MiB"
    say(f"round {number + 1}, {record.label}: {figures}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
