"""How `detect` scales: with subjects, with partitions, and past the bound of its memory.

    python -m bench.scaling [--rows N] [--most N]

Subjects: the cost of a row while tables hold ten thousand callers, and as many callees, up to ``most`` of
each, in CPU time of the thread that folds; and what the tables take in memory. Partitions: 1, 2 and 4 of them
in as many threads of one process (the kernels let go of the interpreter's lock), rows a second by the clock
against one. Past the bound: ten times as many numbers as the tables have room for.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from bench.detect import NoPlan, bytes_of, record
from bench.report import row_of, write_results
from config.settings import DetectSettings, Settings
from detectors.fold import warm
from detectors.subjects import used
from detectors.windows import BLOCK_ROW, CALLEE, CALLER
from streams.detect.step import Detect

BATCH = 20_000
THREADS = (1, 2, 4)
BOUND = 100_000
"""Numbers that there is room for in the test of ten times as many."""

row = partial(row_of, system="ringfence detect")


def spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def new_step(room: int) -> Detect:
    few = max(1 << 16, room // 64)
    settings = Settings(detect=DetectSettings(tracked_numbers=room, tracked_blocks=few))
    return Detect(0, settings, NoPlan())


def folded(step: Detect, frames: list[pa.RecordBatch], offset: int = 0) -> list[float]:
    """CPU nanoseconds a row of each frame."""
    taken = []
    for at, frame in enumerate(frames):
        began = time.thread_time_ns()
        step(frame, offset + at)
        taken.append((time.thread_time_ns() - began) / frame.num_rows)
    return taken


def filled(step: Detect, numbers: int) -> int:
    """Every one of ``numbers`` calls and is called once; how many frames that took."""
    records = max(1, 2 * numbers // BATCH * 2)
    for at in range(records):
        step(record(at, BATCH, numbers, 0), at)
    return records


def by_subjects(numbers: int, rows: int) -> list[dict[str, Any]]:
    step = new_step(numbers * 3 // 2)
    offset = filled(step, numbers)
    frames = [record(offset + at, BATCH, numbers, 0) for at in range(rows // BATCH)]
    costs = folded(step, frames, offset)
    held = used(step.state.callers) + used(step.state.callees) + used(step.state.blocks)
    print(f"{spaced(numbers)} numbers: {statistics.median(costs):.0f} ns a row", file=sys.stderr)
    name = f"{spaced(numbers)} numbers"
    return [
        row(f"time of a row, {name}", "ns", sorted(costs)),
        row(f"subjects held, {name}", "subjects", [held]),
        row(f"memory of all tables, {name}", "MB", [size(step) / 1e6]),
    ]


def size(step: Detect) -> int:
    return bytes_of(step.state)


def subjects() -> list[dict[str, Any]]:
    """Bytes of each sort of subject, key included."""
    sorts = {"caller": CALLER, "callee": CALLEE, "number block": BLOCK_ROW}
    return [row(f"memory of a tracked {name}", "bytes", [kind.itemsize + 8]) for name, kind in sorts.items()]


def by_partitions(rows: int) -> list[dict[str, Any]]:
    """Rows a second by the clock of 1, 2 and 4 partitions at once, each in a thread of its own."""
    frames = [record(at, BATCH, 100_000, 0) for at in range(rows // BATCH)]
    rates: dict[int, list[float]] = {threads: [] for threads in THREADS}
    for _ in range(3):
        for threads in THREADS:
            rates[threads].append(together(threads, frames))
    one = statistics.median(rates[1])
    found = []
    for threads in THREADS:
        found.append(row(f"rows a second, {threads} partitions in as many threads", "rows/s", rates[threads]))
        found.append(row(f"{threads} partitions against one", "ratio", [r / one for r in rates[threads]]))
    return found


def together(threads: int, frames: list[pa.RecordBatch]) -> float:
    steps = [new_step(1 << 18) for _ in range(threads)]
    begin = threading.Barrier(threads + 1)

    def run(step: Detect) -> None:
        begin.wait()
        folded(step, frames)

    workers = [threading.Thread(target=run, args=(step,)) for step in steps]
    for worker in workers:
        worker.start()
    begin.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return threads * sum(frame.num_rows for frame in frames) / (time.perf_counter() - began)


def past_the_bound(rows: int) -> list[dict[str, Any]]:
    """Ten times as many numbers as there is room for, beside as many as there is room for."""
    within, past = new_step(BOUND), new_step(BOUND)
    before = size(past)
    few = folded(within, [record(at, BATCH, BOUND // 2, 0) for at in range(rows // BATCH)])
    many = folded(past, [record(at, BATCH, 10 * BOUND, 0) for at in range(rows // BATCH)])
    evicted = sum(int(table.evicted[0]) for table in (past.state.callers, past.state.callees))
    assert size(past) == before, "tables have grown"
    half = len(many) // 2
    ratio = float(np.median(many[half:]) / np.median(few[half:]))
    return [
        row("time of a row, within the bound", "ns", few[half:]),
        row("time of a row, ten times the bound", "ns", many[half:]),
        row("ten times the bound against within it", "ratio", [ratio]),
        row("evicted of a thousand rows, ten times the bound", "subjects", [1_000 * evicted / rows]),
        row("memory that ten times the bound adds", "bytes", [size(past) - before]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows measured in each case")
    parser.add_argument(
        "--most", type=int, default=5_000_000, help="numbers in the largest case; 5 000 000 need 6 GB"
    )
    asked = parser.parse_args()
    warm()
    rows = [*subjects()]
    for numbers in sorted({10_000, 100_000, 1_000_000, asked.most}):
        rows += by_subjects(numbers, asked.rows)
    rows += by_partitions(asked.rows)
    rows += past_the_bound(4 * asked.rows)
    print(
        write_results("scaling", {**vars(asked), "batch": BATCH, "load": round(os.getloadavg()[1], 1)}, rows)
    )


if __name__ == "__main__":
    main()
