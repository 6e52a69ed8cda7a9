"""A gate for speed that fits noisy machines: what a row costs `detect`, in units of a frozen loop beside it.

Both run in turns in one thread, in CPU time, and the least of each counts: what else the machine does hits
both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest

from bench.detect import NoPlan, record
from config.settings import Settings
from detectors.fold import warm
from streams.detect.step import Detect

ROWS = 20_000
NUMBERS = 20_000
ROUNDS = 12
TABLE = 1 << 22
"""Words: more than caches hold, as the tables of `detect` are."""
USUAL = 6.6
"""References that a row costs on the Intel machine of bench/results, 7.7 with both of its cores busy; on an
AMD one, with larger caches, 4.3."""
MOST = 2.3
"""Times the usual cost. Three times the work of a row fails there, the weather of a machine does not."""

Words = npt.NDArray[np.uint64]


@numba.njit  # type: ignore[untyped-decorator]
def reference(keys: Words, table: Words) -> int:
    """Frozen: 16 rounds of splitmix64 and as many loads and stores all over a table, for each key. Never
    changed, since `USUAL` is in its units."""
    total = np.uint64(0)
    mask = np.uint64(table.size - 1)
    for i in range(keys.size):
        z = keys[i]
        for _ in range(16):
            z += np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
            at = z & mask
            table[at] += z
            total ^= table[at]
    return total


def least(runs: list[Callable[[], Any]]) -> list[float]:
    """Least CPU ns of each of ``runs``, in turns."""
    taken: list[list[int]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, times in zip(runs, taken, strict=True):
            began = time.thread_time_ns()
            run()
            times.append(time.thread_time_ns() - began)
    return [min(times) for times in taken]


class Folding:
    """`detect` over one frame after another of the same stream."""

    def __init__(self) -> None:
        warm()
        self._step = Detect(0, Settings(), NoPlan())
        self._frames = [record(at, ROWS, NUMBERS, 0) for at in range(4 * ROUNDS)]
        self._at = 0
        for _ in range(ROUNDS):
            self.one()

    def one(self) -> None:
        self._step(self._frames[self._at], self._at)
        self._at += 1


@pytest.fixture(scope="module")
def measured() -> tuple[float, float]:
    """The cost of a row of `detect`, and of three folded as one, in units of the reference."""
    keys = np.arange(ROWS, dtype=np.uint64)
    table = np.zeros(TABLE, np.uint64)
    reference(keys, table)
    once, thrice = Folding(), Folding()

    def tripled() -> None:
        for _ in range(3):
            thrice.one()

    one, three, unit = least([once.one, tripled, lambda: reference(keys, table)])
    return one / unit, three / unit


def test_a_row_costs_what_it_did(measured: tuple[float, float]) -> None:
    cost, _ = measured
    assert cost < MOST * USUAL, f"a row costs {cost:.2f} references, usual are {USUAL}"


def test_three_times_the_work_would_be_noticed(measured: tuple[float, float]) -> None:
    cost, tripled = measured
    assert tripled > MOST * cost
