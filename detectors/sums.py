"""Sums over (second, trunk, from_network, to_network) of a frame's CALLER rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.kernels import kernel, mix, mix2
from detectors.windows import SHORT_TALK_MS

BITMAP_WORDS = 4
"""64-bit words of the callee bitmap: 256-bit linear counting."""
ATTEMPTS, ENDS, ANSWERED, SHORT, RING_MS, RINGS, TALK_MS = range(7)


class Sums(NamedTuple):
    """One element a group, in order of first row: ``first`` row int64 (n,), ``sums`` int64 (n, 7) in the
    order of the constants above, ``callees`` uint64 (n, 4)."""

    first: npt.NDArray[np.int64]
    sums: npt.NDArray[np.int64]
    callees: npt.NDArray[np.uint64]


@kernel
def group_sums(c: Any, to_network: Any, counted: Any) -> Any:
    """Groups of the rows of ``c`` (``detectors.fold.Columns``) that ``counted`` (uint8: bit 0 attempt, bit 1
    outcome) says are news: `Sums`."""
    n = c.time.size
    size = 8
    while size < 2 * n:
        size *= 2
    slots = np.full(size, -1, np.int64)
    first = np.empty(n, np.int64)
    sums = np.zeros((n, 7), np.int64)
    callees = np.zeros((n, BITMAP_WORDS), np.uint64)
    groups = 0
    for i in range(n):
        if c.role[i] != 0 or counted[i] == 0:
            continue
        second = c.time[i] // 1_000
        pair = np.int64(c.from_network[i]) * 2_147_483_648 + np.int64(to_network[i])
        at = np.int64(mix2(mix2(second, c.trunk[i]), pair) & np.uint64(size - 1))
        while True:
            g = slots[at]
            if g < 0:
                g = groups
                slots[at] = g
                first[g] = i
                groups += 1
                break
            j = first[g]
            if (
                c.time[j] // 1_000 == second
                and c.trunk[j] == c.trunk[i]
                and c.from_network[j] == c.from_network[i]
                and to_network[j] == to_network[i]
            ):
                break
            at = (at + 1) & (size - 1)
        total = sums[g]
        if counted[i] & 1:
            total[ATTEMPTS] += 1
            bit = mix(c.callee[i]) >> np.uint64(56)
            callees[g, np.int64(bit >> np.uint64(6))] |= np.uint64(1) << (bit & np.uint64(63))
        if counted[i] & 2:
            total[ENDS] += 1
            if c.ring_ms[i] >= 0:
                total[RING_MS] += c.ring_ms[i]
                total[RINGS] += 1
            if c.answered[i] == 1:
                total[ANSWERED] += 1
                talk = np.int64(c.talk_ms[i])
                total[TALK_MS] += max(talk, 0)
                if 0 <= talk <= SHORT_TALK_MS:
                    total[SHORT] += 1
    return first[:groups], sums[:groups], callees[:groups]
