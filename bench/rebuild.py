"""How fast the state of a partition comes back: from a snapshot, and by folding the log again.

    python -m bench.rebuild [--rows N] [--numbers N ...] [--rounds N]

Records of `frames` are replayed as `streams.detect.runner` replays them, decoding included, in CPU time of
its thread. A snapshot is packed (detection waits for that) and unpacked at several numbers of tracked
callers; the broker's share is not in the figures, its bytes are.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from bench.detect import NoPlan, record, row
from bench.report import write_results
from config.settings import DetectSettings, Settings
from detectors.fold import warm
from detectors.subjects import used
from streams.detect.runner import DetectRole
from streams.detect.step import Detect
from streams.metrics import Metrics
from streams.warming import spare_what_is_loaded
from streams.wire.frames import encode_frame

BATCH = 20_000
SMALL = 1_000
"""Rows of a record where `ingest` was not busy."""


class Record(NamedTuple):
    """What a replay needs of a record of `frames`."""

    value: bytes
    offset: int


def log_of(rows: int, batch: int, numbers: int) -> list[Record]:
    return [Record(encode_frame(record(n, batch, numbers, 0)), n) for n in range(rows // batch)]


def replayed(name: str, log: list[Record], rows: int, room: DetectSettings, rounds: int) -> dict[str, Any]:
    """Rows a second of a silent replay of the whole log into a new state."""
    settings = Settings(detect=room)
    rates = []
    for _ in range(rounds):
        role = DetectRole(settings, NoPlan(), Metrics())  # type: ignore[arg-type]
        work = role.open(TopicPartition("frames", 0))
        rates.append(rows / _cpu(lambda work=work: work.process(log, False)))  # type: ignore[misc]
    return row(f"replay of the log, {name}", "rows/s", sorted(rates))


def snapshots(numbers: int, rounds: int) -> list[dict[str, Any]]:
    """Packing and unpacking a state that has seen ``numbers`` callers."""
    settings = Settings(detect=DetectSettings(tracked_numbers=max(1 << 17, 2 * numbers)))
    step = Detect(0, settings, NoPlan())
    for n in range(3 * numbers // BATCH):
        step(record(n, BATCH, numbers, 0), n)
    held = used(step.state.callers)
    print(f"{numbers:,} numbers: {held:,} callers held", file=sys.stderr)
    copying = [_cpu(step.snapshot) for _ in range(rounds)]
    packed = step.snapshot()
    packing = [_cpu(packed) for _ in range(rounds)]
    parts = packed()

    def unpack() -> None:
        Detect(0, settings, NoPlan()).restore(parts)

    unpacking = [_cpu(unpack) for _ in range(rounds)]
    size = sum(map(len, parts))
    of = f"{numbers:,} numbers"
    return [
        row(f"state copied for a snapshot, {of}", "s", sorted(copying)),
        row(f"snapshot packed, {of}", "s", sorted(packing)),
        row(f"snapshot unpacked, {of}", "s", sorted(unpacking)),
        row(f"callers in the snapshot, {of}", "callers", [held]),
        row(f"size of the snapshot, {of}", "bytes", [size]),
    ]


def _cpu(work: Callable[[], object]) -> float:
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the log")
    parser.add_argument("--numbers", type=int, nargs="+", default=[20_000, 200_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    warm()
    spare_what_is_loaded()
    room = DetectSettings(tracked_numbers=1 << 21)
    large = log_of(asked.rows, BATCH, 1_000_000)
    small = log_of(asked.rows // 10, SMALL, 1_000_000)
    rows = [
        replayed("1 000 000 numbers", large, asked.rows, room, asked.rounds),
        replayed("1 000 000 numbers, small records", small, asked.rows // 10, room, asked.rounds),
    ]
    for numbers in asked.numbers:
        rows += snapshots(numbers, asked.rounds)
    print(write_results("rebuild", vars(asked), rows))


if __name__ == "__main__":
    main()
