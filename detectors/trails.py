"""Small tables of suspects, and who takes part in what a block does.

What a detector must remember of a few suspects would be too much to keep of everybody. A table of suspects
is set-associative as `detectors.subjects.Table` and far smaller; a row of it has at least

- ``odds`` float64: log-odds for abuse so far, a cumulated sum that never falls below 0 (Page 1954);
- ``touched`` int64: newest event time when it was last used, ms.

Where a bucket is full, the suspect with the least odds gives room, of equals the one longest untouched; what
was not touched for `FORGET_MS` is worth nothing.

`PARTIES` are the fields of a row about a block: which of its numbers take part.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.alert import Match, Proposal
from detectors.calls import BLOCK
from detectors.kernels import inlined, pasted, popcount
from detectors.shape import narrowest_prefix, proposal
from detectors.signals import CONTACTS, TALKED, UNWANTED
from detectors.subjects import WAYS, bucket_of, find, power_of_two, zeros
from detectors.windows import FULL, HOUR

FORGET_MS = 6 * HOUR
"""After this much event time without a call, a suspect starts anew."""
REMEMBERED = 16
"""Callees, and parties, that a row remembers."""
FEW_PARTIES = 3
"""So many parties, at least, make a prefix."""
ALONE = 1.3
"""Numbers heard of in a block, per party, up to which nobody else is there: the estimate's own error."""
ALL_BUT = 0.9
"""Share of the block's calls that a crowd must have for nobody else to be there."""
ORDINARY_IN_BLOCK = 2.0
"""Talks of or with other numbers of the block, today or yesterday, up to which its prefix is proposed."""

PARTIES: list[Any] = [
    ("trunk", np.uint64),
    ("trunk_votes", np.uint16),
    ("crowd", np.uint16),
    ("party", np.uint16, (REMEMBERED,)),
    ("part", np.uint16, (REMEMBERED,)),
    ("party_talked", np.uint16, (REMEMBERED,)),
    ("party_span", np.uint16, (2,)),
]
"""``trunk`` of most calls that take part, by majority vote; ``party`` last four digits + 1 of the first
numbers that took part, with ``part`` calls each, of which ``party_talked`` became talk; ``crowd`` calls of
further ones; ``party_span`` 10 000 - the lowest and the highest + 1 of all their last four digits."""

TAILS: list[Any] = [("tails", np.int32, (REMEMBERED,)), ("next_tail", np.int32)]
"""The last distinct callees, by their last nine digits, in a ring; 0 where there are fewer."""

_ONE16 = np.uint16(1)


FAMILIAR_BITS = 32
"""Bits of a day's circle up to which it tells an acquaintance from a stranger three times in four."""


class Trails(NamedTuple):
    """``keys`` int64 (n,), 0 where free; ``rows`` (n,) and the same as ``words`` uint64 (n, words a row)."""

    keys: npt.NDArray[np.int64]
    rows: npt.NDArray[Any]
    words: npt.NDArray[np.uint64]


def new_trails(capacity: int, row: np.dtype[Any]) -> Trails:
    """No suspects yet, with room for ``capacity``, rounded up to a power of two."""
    n = power_of_two(capacity)
    rows = zeros(n, row)
    return Trails(zeros(n, np.int64), rows, rows.view(np.uint64).reshape(n, -1))


@inlined
def _worth(row: Any, now: Any) -> Any:
    return -1.0 if now - row.touched > FORGET_MS else row.odds


@pasted
def suspect(table: Any, key: Any, now: Any) -> Any:
    """Index of ``key`` (not 0, not held), taken in with everything 0."""
    base = bucket_of(table.keys, key)
    at: Any = base
    for k in range(base, base + WAYS):
        if table.keys[k] == 0:
            at = k
            break
        worth, least = _worth(table.rows[k], now), _worth(table.rows[at], now)
        if worth < least or (worth == least and table.rows[k].touched < table.rows[at].touched):
            at = k
    table.keys[at] = key
    for word in range(table.words.shape[1]):
        table.words[at, word] = 0
    table.rows[at].touched = now
    return at


@pasted
def suspected(table: Any, key: Any, now: Any) -> Any:
    """Index of ``key``, or -1; everything of it is 0 where it was untouched for `FORGET_MS`."""
    at = find(table, key)
    if at >= 0:
        if now - table.rows[at].touched > FORGET_MS:
            for word in range(table.words.shape[1]):
                table.words[at, word] = 0
        table.rows[at].touched = now
    return at


@inlined
def is_familiar(circle: Any, bits: Any) -> Any:
    """Whether one day's circle (uint64) shows that the number of ``bits`` (`circle_bits`) is in it."""
    return (circle & bits) == bits and popcount(circle) <= FAMILIAR_BITS


@inlined
def remember(row: Any, tail: Any) -> None:
    """Put ``tail`` in the place of the oldest of ``tails``."""
    row.tails[row.next_tail] = np.int32(tail)
    row.next_tail = np.int32((row.next_tail + 1) % REMEMBERED)


@inlined
def take_part(row: Any, number: Any) -> None:
    """One more call of ``number`` in what its block does."""
    last = number % BLOCK
    row.party_span[0] = max(row.party_span[0], np.uint16(BLOCK - last))
    row.party_span[1] = max(row.party_span[1], np.uint16(last + 1))
    for k in range(REMEMBERED):
        if row.party[k] == 0:
            row.party[k] = np.uint16(last + 1)
        if np.int64(row.party[k]) == last + 1:
            if row.part[k] < FULL:
                row.part[k] += _ONE16
            return
    if row.crowd < FULL:
        row.crowd += _ONE16


@inlined
def party_of(row: Any, number: Any) -> Any:
    """Index of ``number`` among the parties, or -1."""
    last = number % BLOCK + 1
    for k in range(REMEMBERED):
        if np.int64(row.party[k]) == last:
            return k
    return -1


@inlined
def party_talked(row: Any, number: Any) -> None:
    """A call of ``number`` became talk."""
    at = party_of(row, number)
    if at >= 0 and row.party_talked[at] < FULL:
        row.party_talked[at] += _ONE16


@inlined
def parties(row: Any) -> Any:
    """How many numbers take part, as far as they are remembered (int64); one more for the others."""
    n = np.int64(row.crowd > 0)
    for k in range(REMEMBERED):
        n += np.int64(row.party[k] != 0)
    return n


@inlined
def forget_parties(row: Any) -> None:
    row.trunk_votes = np.uint16(0)
    row.crowd = np.uint16(0)
    row.party_span[:] = 0
    row.party[:] = 0
    row.part[:] = 0
    row.party_talked[:] = 0


@inlined
def copy_parties(row: Any, block: Any, time: Any, into: Any) -> None:
    """The parties as ``CONTACT`` (CONTACTS,): ``caller``, ``call`` its calls that take part, ``trunk``,
    ``outcome`` whether it talked; unused ones time 0."""
    for k in range(CONTACTS):
        into[k].time = 0
    for k in range(REMEMBERED):
        if row.party[k] == 0:
            return
        contact = into[k]
        contact.caller = block * BLOCK + np.int64(row.party[k]) - 1
        contact.call = np.uint64(row.part[k])
        contact.trunk = row.trunk
        contact.time = time
        contact.outcome = np.uint8(TALKED if 3 * row.party_talked[k] >= row.part[k] else UNWANTED)
        contact.stranger = np.uint8(1)


@inlined
def span_of(row: Any) -> Any:
    """10 000 times the lowest, plus the highest last four digits of the parties, float64."""
    return np.float64((BLOCK - np.int64(row.party_span[0])) * BLOCK + np.int64(row.party_span[1]) - 1)


def proposals_of(
    block: int, trunk: str, contacts: npt.NDArray[Any] | None, f: dict[str, float]
) -> list[Proposal]:
    """What stops the parties and nobody else, on ``trunk``: their narrowest prefix where nobody ordinary was
    heard of in the block, else those that took part more than once and did not talk, one by one.

    ``f`` has ``numbers`` heard of in the block, ``parties``, their ``span`` and ``share`` of its calls,
    ``others_talked``, ``calls_day`` and ``callees``.
    """
    if not trunk or contacts is None:
        return []
    crowd = f["parties"] > REMEMBERED
    alone = f["share"] >= ALL_BUT if crowd else f["numbers"] <= ALONE * f["parties"] + 1
    if f["parties"] >= FEW_PARTIES and alone and f["others_talked"] <= ORDINARY_IN_BLOCK:
        low, high = divmod(int(f["span"]), BLOCK)
        prefix = narrowest_prefix(block * BLOCK + low, block * BLOCK + high)
        match = Match(caller=f"+{prefix}*", trunk=trunk)
        return [proposal(match, f["calls_day"], f["parties"], f["callees"])]
    named = contacts[(contacts["time"] > 0) & (contacts["call"] > 1) & (contacts["outcome"] == UNWANTED)]
    return [
        proposal(Match(caller=f"+{caller}", trunk=trunk), calls, 1, calls)
        for caller, calls in zip(named["caller"].tolist(), named["call"].tolist(), strict=True)
    ]
