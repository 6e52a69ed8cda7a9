"""The job on this project's kernels: JSON lines in, alerts out.

    python -m bench.peers.ours --parts FILE... --out FILE [--workers N] [--variant kernel|msgspec]

A file is read 256 KiB at a time. ``kernel`` finds the fields in the bytes (`scan`); ``msgspec`` decodes
each event to an object first, as `ingest` does. Either way `sliding.fold` does the windows. Each worker is a
process with a file of its own, split by caller as a topic's partitions are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.peers.command import Asked, run_peer
from bench.peers.job import Alert
from bench.peers.scan import scan
from bench.peers.sliding import (
    ALERT,
    CALLS,
    CLOSED,
    LATE,
    NEWEST,
    RING,
    SLIDE_MS,
    USED,
    Columns,
    State,
    fold,
    move,
    new_state,
)

READ_BYTES = 1 << 18
CALLS_A_PORTION = 1 << 12
ALERTS = 1 << 16


class Event(msgspec.Struct, gc=False):
    """The fields of a call event that the job needs."""

    type: str
    time: int
    caller: str
    callee: str


class SlidingJob:
    """Takes calls in any portions, gives alerts as windows close."""

    def __init__(self, callers: int = 1 << 16, calls: int = 1 << 18) -> None:
        self._state = new_state(callers, calls)
        self._alerts = np.zeros(ALERTS, ALERT)

    @property
    def late(self) -> int:
        """Calls left out since their last window had closed."""
        return int(self._state.numbers[LATE])

    def feed(self, columns: Columns, count: int) -> Iterator[Alert]:
        """Alerts that the first ``count`` calls of ``columns`` bring."""
        self._make_room_for_calls(count)
        at = 0
        while at < count:
            taken, n = fold(self._state, columns, at, count, self._alerts)
            yield from map(as_alert, self._alerts[:n])
            if taken == at and n == 0:
                self._make_room()
            at = taken

    def _make_room(self) -> None:
        """For more callers, or for more alerts at once."""
        state = self._state
        if 2 * state.numbers[USED] < state.rows.size:
            self._alerts = np.zeros(2 * self._alerts.size, ALERT)
            return
        live = np.count_nonzero((state.rows["key"] != 0) & (state.rows["newest"] >= state.numbers[CLOSED]))
        self._move(state.rows.size * (2 if 4 * live >= state.rows.size else 1), state.calls.size)

    def _make_room_for_calls(self, count: int) -> None:
        state = self._state
        newest = int(state.numbers[NEWEST]) // SLIDE_MS
        oldest = max(int(state.numbers[CLOSED]), newest - RING + 1)
        needed = int(state.numbers[CALLS] - state.first[oldest & (RING - 1)]) + count
        size = state.calls.size
        while size < needed:
            size *= 2
        if size > state.calls.size:
            self._move(state.rows.size, size)

    def _move(self, callers: int, calls: int) -> None:
        old: State = self._state
        self._state = new_state(callers, calls)
        move(old, self._state)


def as_alert(row: Any) -> Alert:
    caller = row["text"][: row["letters"]].tobytes().decode()
    return caller, int(row["start"]), int(row["calls"]), int(row["callees"])


Portion = tuple[Columns, int]
"""Columns and how many of their calls there are. The next portion overwrites them."""


def portions(path: Path, decode: str) -> Iterator[Portion]:
    """The calls of a file, read `READ_BYTES` at a time into the same buffer, whole lines at once.

    Raises ValueError for a line that is longer.
    """
    letters = np.zeros(READ_BYTES, np.uint8)
    columns = Columns(letters, *(np.zeros(CALLS_A_PORTION, np.int64) for _ in range(5)))
    view, held = memoryview(letters), 0
    with path.open("rb", buffering=0) as file:
        while True:
            read = file.readinto(view[held:])
            filled = held + read
            end = bytes(view[held:filled]).rfind(b"\n") + 1 + held if read else filled
            if end == held and read:
                if filled == READ_BYTES:
                    raise ValueError(f"a line of {path.name} is longer than {READ_BYTES} bytes")
                held = filled
                continue
            if decode == "kernel":
                yield from by_kernel(columns, end)
            else:
                yield by_msgspec(bytes(view[:end]))
            if not read:
                return
            view[: filled - end] = bytes(view[end:filled])
            held = filled - end


def by_kernel(columns: Columns, end: int) -> Iterator[Portion]:
    at = 0
    while at < end:
        stopped, n = scan(columns.letters, at, end, columns)
        yield columns, n
        if n < CALLS_A_PORTION and stopped < end:
            rest = columns.letters[stopped:end].tobytes()
            odd = rest[: rest.find(b"\n") + 1] or rest
            yield by_msgspec(odd)
            stopped += len(odd)
        at = stopped


_decode_lines = msgspec.json.Decoder(Event).decode_lines


def by_msgspec(chunk: bytes) -> Portion:
    calls = [event for event in _decode_lines(chunk) if event.type != "end" and event.caller]
    texts = [*chain.from_iterable((event.caller, event.callee) for event in calls)]
    joined = [text.encode() for text in texts]
    ends = np.cumsum(np.fromiter(map(len, joined), np.int64, len(joined)))
    starts = np.concatenate((np.zeros(1, np.int64), ends))[:-1]
    times = np.fromiter((event.time for event in calls), np.int64, len(calls))
    letters = np.frombuffer(b"".join(joined), np.uint8)
    places = (starts[::2], ends[::2], starts[1::2], ends[1::2])
    return Columns(letters, times, *map(np.ascontiguousarray, places)), len(calls)


def alerts_of(path: Path, decode: str) -> list[Alert]:
    """The alerts of one file. Raises ValueError where calls were late: then the job was another one."""
    job, found = SlidingJob(), []
    for columns, count in portions(path, decode):
        found += job.feed(columns, count)
    if job.late:
        raise ValueError(f"{job.late} calls of {path.name} came after their windows had closed")
    return found


def load_kernels() -> None:
    """So that workers, which are forks of this process, have them."""
    columns = Columns(np.zeros(1, np.uint8), *(np.zeros(1, np.int64) for _ in range(5)))
    scan(columns.letters, 0, 1, columns)
    list(SlidingJob(64, 64).feed(columns, 1))


def job(asked: Asked, parts: Sequence[Path]) -> list[Alert]:
    decode = asked.variant or "kernel"
    if asked.workers == 1:
        return alerts_of(parts[0], decode)
    load_kernels()
    with ProcessPoolExecutor(asked.workers) as workers:
        return [*chain.from_iterable(workers.map(alerts_of, parts, repeat(decode)))]


if __name__ == "__main__":
    run_peer(job, version("ringfence"))
