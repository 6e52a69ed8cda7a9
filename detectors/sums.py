"""Sums over (second, trunk, from_network, to_network) of a frame's CALLER rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.candidates import gave_up_soon, is_refused
from detectors.kernels import inlined, kernel, mix, mix2
from detectors.sketches import bit_of
from detectors.subjects import power_of_two
from detectors.windows import BRIEF_TALK_MS, SHORT_TALK_MS, is_busy, is_failure, is_invalid

BITMAP_WORDS = 4
"""64-bit words of the callee bitmap: 256-bit linear counting."""
ATTEMPTS, ENDS, ANSWERED, SHORT, RING_MS, RINGS, TALK_MS, FAILED, BUSY, INVALID, REFUSED, ONE_RING = range(12)
NEW_ENDS, NEW_SHORT, NEW_FRUITLESS = 12, 13, 14
COUNTS = 15
NEW_FOUND = 2
"""Of the calls by new numbers, the short and the fruitless ones: ``detectors.new_numbers``."""


class Sums(NamedTuple):
    """Room for one group a row. ``slots`` int64 (a power of two of at least 2 n,), -1; of each group, in
    order of its first row: ``first`` that row, int64 (n,); ``sums`` int64 (n, 15) in the order of the
    constants above; ``callees`` uint64 (n, 4); of the short and of the fruitless calls of new numbers
    ``new_callees``, a bitmap each, uint64 (n, 2), and ``new_row``, the row of that with the least ``call``,
    int64 (n, 2), -1 where there is none."""

    slots: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    sums: npt.NDArray[np.int64]
    callees: npt.NDArray[np.uint64]
    new_callees: npt.NDArray[np.uint64]
    new_row: npt.NDArray[np.int64]


def new_sums(rows: int) -> Sums:
    return Sums(
        np.full(power_of_two(2 * rows), -1, np.int64),
        np.empty(rows, np.int64),
        np.empty((rows, COUNTS), np.int64),
        np.empty((rows, BITMAP_WORDS), np.uint64),
        np.empty((rows, NEW_FOUND), np.uint64),
        np.empty((rows, NEW_FOUND), np.int64),
    )


@kernel
def group_sums(c: Any, counted: Any, into: Sums) -> int:
    """Groups the CALLER rows of ``c`` (``detectors.fold.Columns``) that ``counted`` (uint8: bit 0 attempt,
    bit 1 outcome, bit 2 by a number that is new that day) says are news; returns the number of groups."""
    slots, first, sums, callees, new_callees, new_row = into
    groups: Any = np.int64(0)
    for i in range(c.time.size):
        if c.role[i] != 0 or counted[i] == 0:
            continue
        g = _group_of(c, i, slots, first, groups)
        if g == groups:
            groups += 1
            for count in range(COUNTS):
                sums[g, count] = 0
            for word in range(BITMAP_WORDS):
                callees[g, word] = np.uint64(0)
            for which in range(NEW_FOUND):
                new_callees[g, which], new_row[g, which] = np.uint64(0), -1
        if counted[i] & 1:
            sums[g, ATTEMPTS] += 1
            bit = mix(c.callee[i]) >> np.uint64(56)
            callees[g, np.int64(bit >> np.uint64(6))] |= np.uint64(1) << (bit & np.uint64(63))
        if counted[i] & 2:
            sums[g, ENDS] += 1
            if c.ring_ms[i] >= 0:
                sums[g, RING_MS] += c.ring_ms[i]
                sums[g, RINGS] += 1
            if c.answered[i] == 1:
                talk = np.int64(c.talk_ms[i])
                sums[g, ANSWERED] += 1
                sums[g, TALK_MS] += max(talk, 0)
                if 0 <= talk <= SHORT_TALK_MS:
                    sums[g, SHORT] += 1
            else:
                cause = _cause_of(c, i)
                if cause >= 0:
                    sums[g, cause] += 1
            if counted[i] & 4:
                _count_new(c, i, sums[g], new_callees[g], new_row[g])
    return int(groups)


@inlined
def _count_new(c: Any, i: Any, sums: Any, callees: Any, first: Any) -> None:
    """The outcome of a call by a number that is new that day."""
    answered, cause, sip_code, talk = c.answered[i], c.cause[i], c.sip_code[i], np.int64(c.talk_ms[i])
    if is_failure(answered, cause, sip_code) or is_busy(answered, cause, sip_code):
        return
    sums[NEW_ENDS] += 1
    if answered == 1 and not 0 <= talk <= BRIEF_TALK_MS:
        return
    which = 0 if answered == 1 and talk <= SHORT_TALK_MS else 1
    sums[NEW_SHORT + which] += 1
    callees[which] |= bit_of(c.callee[i])
    if first[which] < 0 or c.call[i] < c.call[first[which]]:
        first[which] = i


@inlined
def _cause_of(c: Any, i: Any) -> Any:
    """Which counter the unanswered outcome of row ``i`` belongs to, or -1."""
    answered, cause, sip_code = c.answered[i], c.cause[i], c.sip_code[i]
    if is_failure(answered, cause, sip_code):
        return FAILED
    if is_busy(answered, cause, sip_code):
        return BUSY
    if is_invalid(answered, cause, sip_code):
        return INVALID
    if is_refused(answered, cause, sip_code):
        return REFUSED
    if gave_up_soon(answered, c.ring_ms[i], c.released_by[i]):
        return ONE_RING
    return -1


@inlined
def _group_of(c: Any, i: Any, slots: Any, first: Any, groups: Any) -> Any:
    """Group of row ``i``, a new one (number ``groups``) where it is the first of its kind."""
    second = c.time[i] // 1_000
    pair = np.int64(c.from_network[i]) * 2_147_483_648 + np.int64(c.to_network[i])
    at = np.int64(mix2(mix2(second, c.trunk[i]), pair) & np.uint64(slots.size - 1))
    while slots[at] >= 0:
        j = first[slots[at]]
        if (
            c.time[j] // 1_000 == second
            and c.trunk[j] == c.trunk[i]
            and c.from_network[j] == c.from_network[i]
            and c.to_network[j] == c.to_network[i]
        ):
            return slots[at]
        at = (at + 1) & (slots.size - 1)
    slots[at] = groups
    first[groups] = i
    return np.int64(groups)
