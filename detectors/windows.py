"""What is kept of one subject: counts in slots of event time, in four tiers.

| tier | slots | holds |
| --- | --- | --- |
| 10 s | 5 of 2 s | attempts |
| 1 min | 6 of 10 s | attempts, ends, answered |
| 10 min | 10 of 1 min | attempts, ends, answered, talked |
| 10 min | 5 of 2 min | the counterparts, a 64-bit bitmap a slot |
| hour | 6 of 10 min | attempts, talked |
| day | 8 of 3 h | attempts, talked |

Each tier is a ring whose head follows the newest event time of the subject; the slot of an event is chosen
by the event's own time, so order inside a ring does not matter. What is older than a ring is left out of
that ring only. A window is the sum of a ring: the slot under way and the full ones before it, so that the
"10 minutes" are the last 9 to 10 (8 to 10 for the counterparts). Counters stop at 65 535, those of answered
calls in 10 s at 255.

An outcome is filed under the time of its *attempt*, which is its release less ring and talk: so the ends and
attempts of a slot are of the same calls, and what is missing between them is still ringing or talking. That
matters. An unanswered call is over in seconds and a good talk in minutes; judged by the calls that are over,
every call centre looks like a robot in its first minute. So a call is *young* for its first 10 or 30 s and no
evidence yet, and an older one without an end is *pending* and taken for a talk.

Words, as used here and in every detector:

- *attempt*: a call was tried, at its seizure.
- *end*: its outcome is known **and says something of the people**: a call that the network lost
  (congestion, out of order) is *failed* instead, see `is_failure`.
- *busy*: the callee was in another call. To a caller that is an end; of a callee it says nothing but that it
  is in use, so it is no end.
- *invalid*: an end because the number called does not exist.
- *talked*: answered, and longer than 20 s: somebody had something to say. *Brief*: answered for less, as a
  recorded message is, or a call that was not wanted. *Short*: answered for at most 6 s: nobody listened.
- *counterpart*: the callee where the subject calls, the caller where it is called.
- *circle*: whom the subject called, or talked with at length, today or yesterday (a 64-bit Bloom filter a
  day): the people it knows. It may take a stranger for an acquaintance, never the reverse.

A row is one record of `CALLER`, `CALLEE` or `BLOCK_ROW`, so that all a call touches lies side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.kernels import inlined, popcount
from detectors.sketches import LINEAR, bit_of, circle_bits

SECOND = 1_000
MINUTE = 60_000
HOUR = 3_600_000
DAY = 86_400_000

SHORT_TALK_MS = 6_000
"""An answered call of at most this talk time is short, by wholesale convention one that nobody wanted (the
acceptable-use policies of Telnyx and Genesys)."""
BRIEF_TALK_MS = 20_000
"""An answered call of at most this talk time is brief: well below the 30 to 60 s that wholesale
conventions expect as the mean of conversations, well above what a recorded message is listened to."""

_WINDOWS = [
    ("newest", np.int64),
    ("circle", np.uint64, (2,)),
    ("counterparts", np.uint64, (5,)),
    ("first_seen", np.uint32),
    ("two_seconds", np.uint16, (5,)),
    ("ten_seconds", np.uint16, (6,)),
    ("ten_seconds_ends", np.uint16, (6,)),
    ("ten_seconds_answered", np.uint8, (6,)),
    ("attempts", np.uint16, (10,)),
    ("ends", np.uint16, (10,)),
    ("answered", np.uint16, (10,)),
    ("talked", np.uint16, (10,)),
    ("hour_attempts", np.uint16, (6,)),
    ("hour_talked", np.uint16, (6,)),
    ("day_attempts", np.uint16, (8,)),
    ("day_talked", np.uint16, (8,)),
    ("failed", np.uint16, (2,)),
    ("marked", np.uint16, (2,)),
    ("short", np.uint16, (2,)),
]
"""What every subject has. ``newest`` ms, ``first_seen`` s since the epoch; ``failed``, ``marked`` and
``short``: two slots of 10 min, the second of invalid calls by callers and blocks, of busy ones to callees. A
block counts talks *to* its numbers in ``circle``."""

CALLER = np.dtype(
    [
        ("probe", np.uint64, (2,)),
        ("network", np.uint64),
        *_WINDOWS,
        ("network_votes", np.uint16),
        ("one_ring", np.uint16, (2,)),
    ],
    align=True,
)
"""A calling number. ``probe``: the prefix probe of ``detectors.burst``; ``network`` hash of the network that
sent most of its calls, by majority vote; ``one_ring`` calls given up after a ring, two slots of 10 min, in
halves: one that only seems so counts one half."""

CALLEE = np.dtype(_WINDOWS, align=True)

BLOCK_ROW = np.dtype(
    [
        ("numbers", np.uint64, (2,)),
        ("ordinary", np.uint64, (4,)),
        ("right", np.uint64, (2,)),
        ("trunk", np.uint64),
        *_WINDOWS,
        ("trunk_votes", np.uint16),
        ("span", np.uint16, (2,)),
        ("newcomers", np.uint16, (2,)),
        ("one_ring", np.uint16, (2,)),
        ("tails", np.int32, (3,)),
    ],
    align=True,
)
"""A number block as caller. ``numbers``: bitmap of those that called, this hour and the last; ``trunk`` hash
of the one that most of its calls came over, by majority vote; ``span``: lowest and highest of those that
nobody talked with; ``ordinary``: hundreds in which somebody talked, a bit each, today and yesterday;
``newcomers``: calls by numbers heard of for the first time, two slots of 10 min;
``right``: bitmap of numbers that came the right way (``detectors.wrong_place``), today and yesterday;
``one_ring`` as of a caller; ``tails`` last nine digits of the last three callees, newest first."""

FULL = np.uint16(65_535)
FULL8 = np.uint8(255)
_ONE16 = np.uint16(1)

_NETWORK_FAILURES = (27, 34, 38, 41, 42, 43, 44, 47)
_FAILURE_BITS = np.uint64(sum(1 << cause for cause in _NETWORK_FAILURES))


@inlined
def is_failure(answered: Any, cause: Any, sip_code: Any) -> Any:
    """Whether the network, not the people, ended an unanswered call.

    Q.850 causes 27 (destination out of order), 34 (no circuit), 38 (network out of order), 41 (temporary
    failure), 42 (congestion), 43, 44 and 47 (resources); without a cause, SIP 500 to 504.
    """
    if answered == 1:
        return False
    if 0 < cause < 64:
        return ((_FAILURE_BITS >> np.uint64(cause)) & np.uint64(1)) == np.uint64(1)
    return cause < 0 and 500 <= sip_code <= 504


@inlined
def is_invalid(answered: Any, cause: Any, sip_code: Any) -> Any:
    """Whether the number called does not exist: Q.850 cause 1; without a cause, SIP 404, 484 or 604."""
    if answered == 1:
        return False
    return cause == 1 or (cause < 0 and (sip_code == 404 or sip_code == 484 or sip_code == 604))


@inlined
def is_busy(answered: Any, cause: Any, sip_code: Any) -> Any:
    """Whether the callee was in another call: Q.850 cause 17; without a cause, SIP 486 or 600."""
    if answered == 1:
        return False
    return cause == 17 or (cause < 0 and (sip_code == 486 or sip_code == 600))


@inlined
def _clear(ring: Any, old: Any, new: Any) -> None:
    """Zero the slots that the head passed on its way from slot number ``old`` to ``new`` (> old)."""
    n = ring.size
    if new - old >= n:
        for k in range(n):
            ring[k] = 0
    else:
        for slot in range(old + 1, new + 1):
            ring[slot % n] = 0


@inlined
def advance(row: Any, time: Any) -> None:
    """Move the head of every ring to ``time`` (ms) where that is newer. At most each ring is cleared once."""
    old = row.newest
    if time <= old:
        return
    row.newest = time
    if row.first_seen == 0:
        row.first_seen = np.uint32(min(max(time // SECOND, 1), 4_294_967_295))
        return
    if time // 2_000 == old // 2_000:
        return
    _clear(row.two_seconds, old // 2_000, time // 2_000)
    if time // 10_000 == old // 10_000:
        return
    _clear(row.ten_seconds, old // 10_000, time // 10_000)
    _clear(row.ten_seconds_ends, old // 10_000, time // 10_000)
    _clear(row.ten_seconds_answered, old // 10_000, time // 10_000)
    if time // MINUTE == old // MINUTE:
        return
    _clear(row.attempts, old // MINUTE, time // MINUTE)
    _clear(row.ends, old // MINUTE, time // MINUTE)
    _clear(row.answered, old // MINUTE, time // MINUTE)
    _clear(row.talked, old // MINUTE, time // MINUTE)
    if time // 120_000 != old // 120_000:
        _clear(row.counterparts, old // 120_000, time // 120_000)
    if time // 600_000 == old // 600_000:
        return
    _clear(row.hour_attempts, old // 600_000, time // 600_000)
    _clear(row.hour_talked, old // 600_000, time // 600_000)
    _clear(row.failed, old // 600_000, time // 600_000)
    _clear(row.marked, old // 600_000, time // 600_000)
    _clear(row.short, old // 600_000, time // 600_000)
    if time // 10_800_000 == old // 10_800_000:
        return
    _clear(row.day_attempts, old // 10_800_000, time // 10_800_000)
    _clear(row.day_talked, old // 10_800_000, time // 10_800_000)
    if time // DAY != old // DAY:
        _clear(row.circle, old // DAY, time // DAY)


@inlined
def _count(ring: Any, slot: Any, newest_slot: Any) -> None:
    """One more in slot number ``slot`` where the ring still holds it."""
    n = ring.size
    if newest_slot - slot < n:
        k = slot % n
        if ring[k] < FULL:
            ring[k] += _ONE16


@inlined
def count_attempt(row: Any, time: Any, counterpart: Any) -> None:
    """An attempt at ``time`` (ms) with ``counterpart``. The row has been advanced to ``time``."""
    newest = row.newest
    row.first_seen = min(row.first_seen, np.uint32(min(max(time // SECOND, 1), 4_294_967_295)))
    _count(row.two_seconds, time // 2_000, newest // 2_000)
    _count(row.ten_seconds, time // 10_000, newest // 10_000)
    _count(row.attempts, time // MINUTE, newest // MINUTE)
    slot = time // 120_000
    if newest // 120_000 - slot < 5:
        row.counterparts[slot % 5] |= bit_of(counterpart)
    _count(row.hour_attempts, time // 600_000, newest // 600_000)
    _count(row.day_attempts, time // 10_800_000, newest // 10_800_000)


@inlined
def count_outcome(row: Any, time: Any, answered: Any, talk_ms: Any) -> None:
    """The outcome of a call attempted at ``time`` (ms).

    ``talk_ms`` below 0 is not known and counts as talked where answered.
    """
    newest = row.newest
    minute = time // MINUTE
    _count(row.ten_seconds_ends, time // 10_000, newest // 10_000)
    _count(row.ends, minute, newest // MINUTE)
    if answered != 1:
        return
    _count(row.answered, minute, newest // MINUTE)
    slot = time // 10_000
    if newest // 10_000 - slot < 6 and row.ten_seconds_answered[slot % 6] < FULL8:
        row.ten_seconds_answered[slot % 6] += np.uint8(1)
    if not 0 <= talk_ms <= BRIEF_TALK_MS:
        _count(row.talked, minute, newest // MINUTE)
        _count(row.hour_talked, time // 600_000, newest // 600_000)
        _count(row.day_talked, time // 10_800_000, newest // 10_800_000)
    elif talk_ms <= SHORT_TALK_MS:
        _count(row.short, time // 600_000, newest // 600_000)


@inlined
def count_failure(row: Any, time: Any) -> None:
    """A call attempted at ``time`` (ms) that the network lost."""
    _count(row.failed, time // 600_000, row.newest // 600_000)


@inlined
def count_marked(row: Any, time: Any) -> None:
    """An invalid call by a caller, or a busy one to a callee, attempted at ``time`` (ms)."""
    _count(row.marked, time // 600_000, row.newest // 600_000)


@inlined
def acquaint(row: Any, time: Any, counterpart: Any) -> None:
    """Take ``counterpart`` into the circle of the day of ``time`` (ms)."""
    day = time // DAY
    if row.newest // DAY - day < 2:
        row.circle[day % 2] |= circle_bits(counterpart)


@inlined
def acquainted(row: Any, counterpart: Any) -> Any:
    """Whether ``counterpart`` may be in the circle."""
    bits = circle_bits(counterpart)
    return (row.circle[0] & bits) == bits or (row.circle[1] & bits) == bits


@inlined
def advance_block(row: Any, time: Any) -> None:
    """As `advance`, for a block: also forgets the numbers that called before the last hour."""
    old = row.newest
    hour, head = time // HOUR, old // HOUR
    if row.first_seen != 0 and hour > head:
        row.numbers[hour % 2] = 0
        if hour - head >= 2:
            row.numbers[head % 2] = 0
            row.numbers[(head + 1) % 2] = 0
            row.span[0] = 0
            row.span[1] = 0
        day = time // DAY
        if day != old // DAY:
            _clear(row.right, old // DAY, day)
            _forget_ordinary(row, day)
            if day - old // DAY >= 2:
                _forget_ordinary(row, day + 1)
    if row.first_seen != 0 and time // 600_000 > old // 600_000:
        _clear(row.newcomers, old // 600_000, time // 600_000)
    advance_rings(row, time)
    advance(row, time)


@inlined
def _forget_ordinary(row: Any, day: Any) -> None:
    row.ordinary[2 * (day % 2)] = 0
    row.ordinary[2 * (day % 2) + 1] = 0


@inlined
def note_number(row: Any, time: Any, number: Any) -> None:
    """Note in a block's row, advanced to ``time`` (ms), that ``number`` called.

    ``numbers`` is a bitmap of numbers for this hour and one for the last.
    """
    hour = time // HOUR
    if row.newest // HOUR - hour < 2:
        row.numbers[hour % 2] |= bit_of(number)


@inlined
def note_suspect(row: Any, number: Any) -> None:
    """Note in a block's row that a call by ``number``, with whom nobody talks, came to nothing.

    ``span`` is the lowest and the highest last four digits since the block was last silent for an hour, as
    10 000 - lowest and highest + 1.
    """
    last = number % 10_000
    row.span[0] = max(row.span[0], np.uint16(10_000 - last))
    row.span[1] = max(row.span[1], np.uint16(last + 1))


@inlined
def note_ordinary(row: Any, time: Any, number: Any) -> None:
    """Note in a block's row that somebody talked with ``number``, in a call attempted at ``time`` (ms)."""
    day = time // DAY
    if row.newest // DAY - day < 2:
        hundred = np.uint64(number % 10_000 // 100)
        row.ordinary[2 * (day % 2) + np.int64(hundred >> np.uint64(6))] |= np.uint64(1) << (
            hundred & np.uint64(63)
        )


@inlined
def count_newcomer(row: Any, time: Any) -> None:
    """A call attempted at ``time`` (ms) by a number of the block that was not heard of before."""
    _count(row.newcomers, time // 600_000, row.newest // 600_000)


@inlined
def note_right(row: Any, time: Any, number: Any) -> None:
    """Note in a block's row, advanced to ``time`` (ms), that ``number`` came the right way."""
    day = time // DAY
    if row.newest // DAY - day < 2:
        row.right[day % 2] |= bit_of(number)


@inlined
def count_talk_to_block(row: Any, time: Any) -> None:
    """Somebody talked, in a call attempted at ``time`` (ms), with a number of this block."""
    day = time // DAY
    if row.newest // DAY - day < 2:
        row.circle[day % 2] += np.uint64(1)


@inlined
def vote_trunk(row: Any, trunk: Any) -> None:
    """One call of a block over ``trunk`` (uint64): ``trunk`` of the row is the one of most calls, if one has
    more than half (Boyer and Moore's majority vote)."""
    if row.trunk_votes == 0:
        row.trunk = trunk
        row.trunk_votes = _ONE16
    elif row.trunk != trunk:
        row.trunk_votes -= _ONE16
    elif row.trunk_votes < FULL:
        row.trunk_votes += _ONE16


@inlined
def advance_rings(row: Any, time: Any) -> None:
    """Move the head of ``one_ring`` to ``time`` (ms); before `advance` of the row."""
    if row.first_seen != 0 and time // 600_000 > row.newest // 600_000:
        _clear(row.one_ring, row.newest // 600_000, time // 600_000)


@inlined
def count_one_ring(row: Any, time: Any, halves: Any) -> None:
    """A call attempted at ``time`` (ms) that the caller gave up after a ring; 2 ``halves``, 1 if unsure."""
    for _ in range(halves):
        _count(row.one_ring, time // 600_000, row.newest // 600_000)


@inlined
def total(ring: Any) -> Any:
    """Sum of a ring of counters, int64."""
    n = np.int64(0)
    for k in range(ring.size):
        n += np.int64(ring[k])
    return n


@inlined
def latest(ring: Any, slot: Any, n: Any) -> Any:
    """Sum of the last ``n`` slots of a ring whose head is slot number ``slot``, int64."""
    count = np.int64(0)
    for k in range(slot - n + 1, slot + 1):
        count += np.int64(ring[k % ring.size])
    return count


@inlined
def distinct(bitmaps: Any) -> Any:
    """Estimated number of distinct values in the union of 64-bit bitmaps, float64."""
    union = np.uint64(0)
    for k in range(bitmaps.size):
        union |= bitmaps[k]
    return LINEAR[popcount(union)]
