"""What is usual, learnt: counts by key that halve each day, in a small table of a fixed size.

A share is the quotient of two of them, such as the numbers of one operator that were heard from one network,
and all heard of that operator. A number is counted once a day, when it is first heard, so that a heavy caller
weighs no more than a light one and what is usual is not forgotten where few numbers are new; and of one block
only the first `OF_A_BLOCK` an hour, so that a spoofed range cannot make itself usual.

Buckets are four ways wide; where one is full the lowest count gives room.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.kernels import inlined, mix, mix2
from detectors.subjects import power_of_two, zeros
from detectors.windows import DAY

OF_A_BLOCK = 4
"""New numbers of one block that are learnt from an hour."""
_WAYS = 4


class Shares(NamedTuple):
    """``keys`` uint64 (n,), 0 where free; ``counts`` int64 (n,) as of ``days`` int64 (n,)."""

    keys: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]


def new_shares(keys: int) -> Shares:
    n = power_of_two(keys)
    return Shares(zeros(n, np.uint64), zeros(n, np.int64), zeros(n, np.int64))


@inlined
def share_key(kind: Any, first: Any, second: Any) -> Any:
    """uint64, never 0: what is counted, of which two integers."""
    key = mix(mix2(first, second) ^ np.uint64(kind))
    return key if key != 0 else np.uint64(1)


@inlined
def _aged(shares: Any, at: Any, day: Any) -> Any:
    return shares.counts[at] >> min(max(day - shares.days[at], 0), 63)


@inlined
def learnt(shares: Any, key: Any, time: Any) -> Any:
    """What was counted under ``key`` as of ``time`` (ms), float64."""
    base = np.int64(key & np.uint64(shares.keys.size // _WAYS - 1)) * _WAYS
    for k in range(base, base + _WAYS):
        if shares.keys[k] == key:
            return np.float64(_aged(shares, k, time // DAY))
    return 0.0


@inlined
def learn(shares: Any, key: Any, time: Any) -> None:
    """One more under ``key`` at ``time`` (ms)."""
    day = time // DAY
    base = np.int64(key & np.uint64(shares.keys.size // _WAYS - 1)) * _WAYS
    at: Any = base
    least: Any = np.int64(1) << 62
    for k in range(base, base + _WAYS):
        if shares.keys[k] == key:
            shares.counts[k] = _aged(shares, k, day) + 1
            shares.days[k] = max(day, shares.days[k])
            return
        held = _aged(shares, k, day) if shares.keys[k] != 0 else np.int64(-1)
        if held < least:
            at, least = k, held
    shares.keys[at] = key
    shares.counts[at] = 1
    shares.days[at] = day
