"""Tables of subjects: set-associative like a processor's cache, of a fixed size, never rehashed.

A key's bucket is eight ways wide and its eight keys fill one cache line. When a bucket is full the way that
is worth least gives room: one idle for a day first, then one idle for an hour, then for ten minutes, then
the one with the fewest calls in its last ten minutes, then the oldest. So a storm of numbers that call once
pushes out its own kind, not the busy ones. A replaced subject that had not been idle for a day is counted
as evicted. Memory is taken by the system page by page as rows are used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.kernels import inlined, mix, pasted, prefetch
from detectors.windows import CALLER, DAY, HOUR, total

WAYS = 8
_UNSEEN = -(1 << 62)


class Table(NamedTuple):
    """``keys`` int64 (n,), 0 where free; ``rows`` `CALLER`, `CALLEE` or `BLOCK_ROW` (n,), and the same as
    ``words`` uint64 (n, words of a row); ``evicted`` int64 (1,)."""

    keys: npt.NDArray[np.int64]
    rows: npt.NDArray[Any]
    words: npt.NDArray[np.uint64]
    evicted: npt.NDArray[np.int64]


BYTES_PER_SUBJECT = CALLER.itemsize + 8


def power_of_two(n: int) -> int:
    """The least power of two that is at least ``n`` and at least one bucket."""
    return max(WAYS, 1 << (n - 1).bit_length())


def zeros(shape: int, dtype: Any) -> npt.NDArray[Any]:
    """``np.zeros`` whose first element starts a cache line."""
    size = np.dtype(dtype).itemsize * shape
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype)


def new_table(capacity: int, row: np.dtype[Any]) -> Table:
    """An empty table of ``row`` for at least ``capacity`` subjects, rounded up to a power of two."""
    n = power_of_two(capacity)
    rows = zeros(n, row)
    return Table(zeros(n, np.int64), rows, rows.view(np.uint64).reshape(n, -1), np.zeros(1, np.int64))


@inlined
def bucket_of(keys: Any, key: Any) -> Any:
    """First index of the bucket of ``key`` (int64, not 0) among ``keys`` (int64 (n,), n a power of two)."""
    return np.int64(mix(key) & np.uint64(keys.size // WAYS - 1)) * WAYS


@inlined
def index_of(keys: Any, key: Any) -> Any:
    """Index of ``key`` (int64, not 0) among the keys of a table (int64 (n,), 0 where free), or -1."""
    base = bucket_of(keys, key)
    for k in range(base, base + WAYS):
        if keys[k] == key:
            return k
    return -1


@pasted
def fetch_keys(table: Any, key: Any) -> None:
    """Asks for the bucket of ``key``: some rows before it is needed."""
    prefetch(table.keys, bucket_of(table.keys, key), np.int64(0))


@pasted
def fetch_row(table: Any, key: Any) -> None:
    """Asks for the row of ``key`` (not 0), whose bucket was asked for before."""
    at = index_of(table.keys, key)
    if at >= 0:
        for line in range((table.words.shape[1] + 7) // 8):
            prefetch(table.rows, np.int64(at), np.int64(line))


@pasted
def find(table: Any, key: Any) -> Any:
    """Index of ``key`` (not 0), or -1."""
    return index_of(table.keys, key)


@inlined
def _worth(row: Any, now: Any) -> Any:
    """Worth of keeping a subject: its calls of the last ten minutes, below that how long it is idle."""
    idle = now - row.newest
    if idle >= DAY:
        return -3
    if idle >= HOUR:
        return -2
    if idle >= 600_000:
        return -1
    return total(row.attempts)


@inlined
def _replace(table: Any, base: Any, now: Any) -> Any:
    victim = base
    least = _worth(table.rows[base], now)
    for k in range(base + 1, base + WAYS):
        worth = _worth(table.rows[k], now)
        if worth < least or (worth == least and table.rows[k].newest < table.rows[victim].newest):
            victim, least = k, worth
    if least > -3:
        table.evicted[0] += 1
    return victim


@pasted
def touch(table: Any, key: Any, now: Any) -> Any:
    """Index of ``key`` (not 0), taken in where it was not there; ``now`` is the newest event time, ms."""
    base = bucket_of(table.keys, key)
    free = -1
    for k in range(base, base + WAYS):
        held = table.keys[k]
        if held == key:
            return k
        if held == 0 and free < 0:
            free = k
    if free < 0:
        free = _replace(table, base, now)
    table.keys[free] = key
    for word in range(table.words.shape[1]):
        table.words[free, word] = 0
    table.rows[free].newest = _UNSEEN
    return free


def used(table: Table) -> int:
    """Subjects held."""
    return int(np.count_nonzero(table.keys))
