"""What `detect` costs: rows a second of frames on one core, nanoseconds a row, bytes a subject.

    python -m bench.detect [--rows N] [--batch N]

Frames are made beforehand; what is measured is the whole step, from a record batch to alerts and summary, in
CPU time of its thread. Half of the calls are attempts and half are ends; each is seen from both ends.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.report import write_results
from config.settings import DetectSettings, Settings
from detectors.calls import FRAME_SCHEMA, TAIL
from detectors.fold import warm
from detectors.subjects import BYTES_PER_SUBJECT, used
from streams.detect.step import Detect

START = 1_788_230_400_000
FIRST = 8_613_000_000_000
CALLS_A_SECOND = 2_000
"""Event time: what a partition sees of a large exchange."""
TRUNKS = 16
STEP = 37
"""Between one number and the next, so that a block holds some 270 of them."""


class NoPlan:
    version = "bench"

    def widest_unallocated_prefix(self, number: int, at_least: int) -> int | None:
        return None


def callers(draw: np.random.Generator, events: int, numbers: int, attackers: float) -> npt.NDArray[np.int64]:
    """Half Zipf, half uniform over ``numbers``; ``attackers`` of them from fifty numbers that burst."""
    zipf = np.minimum(draw.zipf(1.2, events) - 1, numbers - 1)
    index = np.where(
        draw.random(events) < 0.5, draw.permutation(numbers)[zipf], draw.integers(0, numbers, events)
    )
    index = np.where(draw.random(events) < attackers, draw.integers(0, 50, events), index)
    return FIRST + index.astype(np.int64) * STEP


def record(seed: int, rows: int, numbers: int, attackers: float) -> pa.RecordBatch:
    """Record number ``seed`` of a stream: ``rows`` rows, two for each event."""
    draw = np.random.default_rng(seed)
    events = rows // 2
    time_ms = START + (seed * events + np.arange(events)) * 1_000 // CALLS_A_SECOND
    caller = callers(draw, events, numbers, attackers)
    callee = FIRST + draw.integers(0, numbers, events) * STEP
    ends = draw.random(events) < 0.5
    talks = ends & (draw.random(events) < 0.5) & (caller >= FIRST + 50 * STEP)
    columns: dict[str, Any] = {
        "role": np.tile(np.array([0, 1], np.uint8), events),
        "type": ends.astype(np.uint8),
        "time": time_ms,
        "event": draw.integers(0, 2**63, events).astype(np.uint64),
        "call": draw.integers(0, 2**63, events).astype(np.uint64),
        "caller": caller,
        "callee": callee,
        "callee_tail": callee % TAIL,
        "answered": np.where(ends, talks, 2).astype(np.uint8),
        "ring_ms": np.where(ends, 6_000, -1).astype(np.int32),
        "talk_ms": np.where(talks, 50_000, -1).astype(np.int32),
        "trunk": draw.integers(0, TRUNKS, events).astype(np.int32),
        "cause": np.where(ends, np.where(talks, 16, 19), -1).astype(np.int16),
    }
    return pa.record_batch([column(field, columns, events) for field in FRAME_SCHEMA], schema=FRAME_SCHEMA)


def column(field: pa.Field, columns: dict[str, Any], events: int) -> pa.Array:
    if field.name in columns and field.name != "trunk":
        values = columns[field.name]
        return pa.array(values if len(values) == 2 * events else np.repeat(values, 2), field.type)
    if field.name in ("trunk", "from_network", "to_network"):
        names = [f"{field.name}-{n}" for n in range(TRUNKS if field.name == "trunk" else 4)]
        indices = columns["trunk"] // (4 if field.name == "to_network" else 1) % len(names)
        return pa.DictionaryArray.from_arrays(np.repeat(indices, 2), names)
    if pa.types.is_dictionary(field.type):
        return pa.DictionaryArray.from_arrays(np.zeros(2 * events, np.int32), [""])
    if pa.types.is_string(field.type):
        return pa.array(
            [f"c{n}" for n in range(2 * events)] if field.name == "call_id" else [""] * (2 * events)
        )
    return pa.array(np.zeros(2 * events), field.type)


def measure(name: str, numbers: int, attackers: float, rows: int, batch: int) -> list[dict[str, Any]]:
    """Rows a second over ``rows`` rows in records of ``batch``, after as many to fill the tables."""
    room = DetectSettings(tracked_numbers=max(1 << 17, 2 * numbers))
    step = Detect(0, Settings(detect=room), NoPlan())
    taken, alerts = [], 0
    for n in range(2 * rows // batch):
        frame = record(n, batch, numbers, attackers)
        begin = time.thread_time()
        found = step(frame, n)
        if n >= rows // batch:
            taken.append((time.thread_time() - begin) / batch)
            alerts += len(found.alerts)
    print(f"{name}: {used(step.state.callers):,} callers, {alerts:,} alerts", file=sys.stderr)
    rates = sorted(1 / seconds for seconds in taken)
    return [
        row(f"rows a second, {name}", "rows/s", rates),
        row(f"time of a row, {name}", "ns", sorted(1e9 * seconds for seconds in taken)),
    ]


def row(metric: str, unit: str, values: list[float]) -> dict[str, Any]:
    tenth = len(values) // 10
    return {
        "system": "ringfence detect",
        "version": version("ringfence"),
        "metric": metric,
        "unit": unit,
        "median": statistics.median(values),
        "low": values[tenth],
        "high": values[-1 - tenth],
    }


def starting(cold: bool) -> float:
    """CPU seconds until the kernels are ready in a new process, with or without a cache."""
    code = "import time; from detectors.fold import warm; b = time.process_time(); warm(); "
    code += "print(time.process_time() - b)"
    prefix = "import tempfile, os; os.environ['RINGFENCE_CACHE_DIR'] = tempfile.mkdtemp(); " if cold else ""
    done = subprocess.run([sys.executable, "-c", prefix + code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows measured in each case")
    parser.add_argument("--batch", type=int, default=20_000, help="rows of one record")
    asked = parser.parse_args()
    warm()
    rows = [
        *measure("1 000 000 numbers", 1_000_000, 0, asked.rows, asked.batch),
        *measure("20 000 numbers", 20_000, 0, asked.rows, asked.batch),
        *measure("30 % by 50 attackers", 1_000_000, 0.3, asked.rows, asked.batch),
        *measure("1 000 000 numbers, small records", 1_000_000, 0, asked.rows // 10, 1_000),
        row("memory of a tracked subject", "bytes", [BYTES_PER_SUBJECT]),
        row("kernels compiled", "s", [starting(cold=True)]),
        row("kernels loaded from the cache", "s", sorted(starting(cold=False) for _ in range(3))),
    ]
    print(write_results("detect", vars(asked) | {"calls_a_second": CALLS_A_SECOND}, rows))


if __name__ == "__main__":
    main()
