"""What `detect` costs: rows a second of frames on one core, nanoseconds a row, bytes a subject.

    python -m bench.detect [--rows N] [--batch N] [--rounds N]

Frames are made beforehand; what is measured is the whole step, from a record batch to alerts and summary, in
CPU time of its thread. Half of the calls are attempts and half are ends; each is seen from both ends.

What each detector adds is a difference: the suite's first scenario with every detector on, less the same with
that one off, in turns, over tables that hold a million numbers already.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from bench.report import write_results
from config.settings import DetectorsSettings, DetectSettings, KafkaSettings, Settings
from detectors.calls import FRAME_SCHEMA, TAIL
from detectors.fold import State, warm
from detectors.plan import NumberingPlan
from detectors.registry import DETECTORS
from detectors.shape import BEHAVIOUR
from detectors.subjects import BYTES_PER_SUBJECT, used
from streams.detect.snapshot import arrays_of
from streams.detect.step import Detect
from streams.ingest.step import Ingest
from streams.simulate import Simulation
from streams.simulate.suite import suite_scenarios
from streams.warming import spare_what_is_loaded
from streams.wire.records import SourceRecord

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
    taken, alerts, candidates = [], 0, 0
    for n in range(2 * rows // batch):
        frame = record(n, batch, numbers, attackers)
        begin = time.thread_time()
        found = step(frame, n)
        if n >= rows // batch:
            taken.append((time.thread_time() - begin) / batch)
            alerts += len(found.alerts)
            candidates += found.candidates.columns.num_rows if found.candidates is not None else 0
    print(f"{name}: {used(step.state.callers):,} callers, {alerts:,} alerts", file=sys.stderr)
    rates = sorted(1 / seconds for seconds in taken)
    return [
        row(f"rows a second, {name}", "rows/s", rates),
        row(f"time of a row, {name}", "ns", sorted(1e9 * seconds for seconds in taken)),
        row(f"candidates a row, {name}", "share", [candidates / (len(taken) * batch)]),
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


def suite_frames(batch: int) -> list[pa.RecordBatch]:
    """The frames of the suite's first scenario, with its campaigns, in records of about ``batch`` rows."""
    settings = Settings(kafka=KafkaSettings(partitions=1))
    ingest = Ingest(NumberingPlan.load(settings.numbering), settings)
    traffic = Simulation(suite_scenarios(1)[0].scenario).traffic()
    frames: list[pa.RecordBatch] = []
    while events := list(islice(traffic, batch // 2)):
        value = orjson.dumps([each.event for each in events])
        for ingested in ingest.steps([SourceRecord(value, "calls", 0, len(frames), None)]):
            frames += ingested.frames.values()
    return frames


def earlier(batch: pa.RecordBatch, by: int) -> pa.RecordBatch:
    place = batch.schema.get_field_index("time")
    times = pa.array(batch.column(place).to_numpy() - by)
    return batch.set_column(place, batch.schema.field(place), times)


def bytes_of(state: State) -> int:
    """Memory of a state's arrays."""
    return sum(array.nbytes for _, array in arrays_of(state))


def additions(rounds: int, batch: int) -> list[dict[str, Any]]:
    """What each detector of `detect` adds to a row of the suite's traffic, and all of them to a bare fold.

    Every turn starts from a copy of the same state and takes the same frames; the figures are of the
    differences within a round, since rounds share the weather of the machine.
    """
    room = DetectSettings(tracked_numbers=1 << 21)
    frames = suite_frames(batch)
    begin = int(frames[0].column("time").to_numpy().min())
    first = Detect(0, Settings(detect=room), NoPlan())
    filling = 4_000_000 // batch
    shift = START + filling * batch // 2 * 1_000 // CALLS_A_SECOND - begin
    for n in range(filling):
        first(earlier(record(n, batch, 1_000_000, 0), shift), n)
    print(f"filled with {used(first.state.callers):,} callers", file=sys.stderr)
    filled = [array.copy() for _, array in arrays_of(first.state)]
    names = [each.name for each in DETECTORS if max(each.patterns) < BEHAVIOUR]
    variants = {"": (), "all": tuple(names)} | {name: (name,) for name in names}

    def turn(off: Sequence[str]) -> float:
        for (_, array), source in zip(arrays_of(first.state), filled, strict=True):
            array[...] = source
        detectors = DetectorsSettings.model_validate({name: {"mode": "off"} for name in off})
        step = Detect(0, Settings(detect=room, detectors=detectors), NoPlan())
        step.state = first.state
        started = time.thread_time()
        for offset, frame in enumerate(frames):
            step(frame, offset)
        return 1e9 * (time.thread_time() - started) / sum(frame.num_rows for frame in frames)

    taken: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        for name, off in variants.items():
            taken[name].append(turn(off))
        print(f"round {number + 1}: {taken[''][-1]:.0f} ns a row, all on", file=sys.stderr)
    on = np.array(taken.pop(""))
    found = [
        row("rows a second, suite's traffic, 1 000 000 numbers", "rows/s", sorted(1e9 / on)),
        row("time of a row, suite's traffic, 1 000 000 numbers", "ns", sorted(on)),
    ]
    for name, without in taken.items():
        metric = (
            "time that all detectors add to a row" if name == "all" else f"time that `{name}` adds to a row"
        )
        found.append(row(metric, "ns", sorted(on - np.array(without))))
    return found


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
    parser.add_argument("--rounds", type=int, default=7, help="rounds over the suite's traffic")
    asked = parser.parse_args()
    warm()
    spare_what_is_loaded()
    rows = [
        *measure("1 000 000 numbers", 1_000_000, 0, asked.rows, asked.batch),
        *measure("20 000 numbers", 20_000, 0, asked.rows, asked.batch),
        *measure("30 % by 50 attackers", 1_000_000, 0.3, asked.rows, asked.batch),
        *measure("1 000 000 numbers, small records", 1_000_000, 0, asked.rows // 10, 1_000),
        *additions(asked.rounds, asked.batch),
        row("memory of a tracked subject", "bytes", [BYTES_PER_SUBJECT]),
        row("kernels compiled", "s", [starting(cold=True)]),
        row("kernels loaded from the cache", "s", sorted(starting(cold=False) for _ in range(3))),
    ]
    print(write_results("detect", vars(asked) | {"calls_a_second": CALLS_A_SECOND}, rows))


if __name__ == "__main__":
    main()
