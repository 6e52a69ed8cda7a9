"""Wangiri, one-ring calls: many numbers are rung once, so that whoever sees the missed call calls back.

An outcome is a *ring* where the telephone rang and the caller gave up within a few seconds; it needs
``ring_ms`` and ``released_by``. Where the feed does not say who released, an unanswered call with so short a
ring, Q.850 cause 16 or SIP 487, counts half. The outcomes of a number, or of a block's numbers with few calls
each, make a sequential probability ratio test with three results: a ring, an answered call, anything else.
The sum never falls below 0 and knows no window (Page 1954), so that a campaign of hours counts like one of
minutes. A second ring to the same callee, or one to an acquaintance of yesterday, is no ring but "anything
else": people who ring a friend once ring few friends, again and again. A pending call counts as answered, and
nothing is said while more calls than there were rings are under way for longer than 4 to 6 s: of many calls
at once, those that were given up are over first.

What lowers it is *habit*, other talk of the caller today. Being called back lowers nothing: that is the
business.

Many rings in twenty minutes need the configured odds; a slow caller, among whom there are couriers who ring
once at the door, much higher ones. Distinct callees are the gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from config.settings import WangiriSettings
from detectors.alert import Evidence
from detectors.calls import Gateway, NumberKind, ReleasedBy
from detectors.kernels import inlined, popcount
from detectors.shape import (
    CRITICAL,
    HIGH,
    MEDIUM,
    NOTHING,
    WANGIRI_BLOCK,
    Call,
    Feature,
    Finding,
    Signal,
    proposal,
    score_of,
    weighed,
)
from detectors.sketches import LINEAR, circle_bits
from detectors.trails import (
    PARTIES,
    REMEMBERED,
    TAILS,
    forget_parties,
    is_familiar,
    parties,
    proposals_of,
    remember,
    span_of,
)
from detectors.windows import DAY, latest, total

FEATURES = (
    Feature("rings", "calls", "given up by the caller within a few seconds of ringing", 0.2),
    Feature("callees", "numbers", "distinct callees of those", 0.2),
    Feature("answered", "calls", "answered calls since the first ring", 3),
    Feature("other", "calls", "calls since the first ring that ended otherwise", 2),
    Feature(
        "rings_20m", "calls", "rings of the last 10 to 20 minutes; half where nobody says who released", 0
    ),
    Feature("minutes", "min", "since the first ring", 0),
    Feature("pending", "calls", "calls of the last 10 minutes, older than 20 to 30 s, that are not over", 0),
    Feature("rhythm", "log-odds", "for abuse, of rings, answers and other outcomes, 0 to 15", 0),
    Feature("unfinished", "log-odds", "for abuse, of pending calls, at most 0", 0),
    Feature("habit", "log-odds", "for abuse, of other talk today, -5 to 0; 0 for a block", 0),
    Feature("calls_day", "calls", "attempts of the last day", 10),
    Feature("parties", "numbers", "numbers of the block that ring once, 17 for more than 16", 0),
    Feature("numbers", "numbers", "numbers of the block that called in the last two hours", 1),
    Feature("share", "share", "of the block's calls of the last hour, those of numbers that ring once", 0),
    Feature("others_talked", "calls", "talks of, or with, other numbers of the block", 10),
    Feature("span", "digits", "10 000 times the lowest, plus the highest last four digits that ring once", 0),
)

EVIDENCE = (
    Feature("one_ring_share", "share", "of the calls since the first ring, those that are rings", 0.25),
    Feature("answered_share", "share", "of these calls, those answered", 0.45),
)
"""What an alert lists besides."""

RHYTHM_LIMIT = 15.0
"""Most that the outcomes so far can say, so that a change of heart is noticed."""
HABIT_LIMIT = 5.0
HABIT_TALK = 0.5
"""Log-odds against abuse of each other talk today."""
NO_RING, WEAK_RING, RING = range(3)
"""How sure an outcome is a ring."""

RINGER = np.dtype(
    [
        ("odds", np.float64),
        ("touched", np.int64),
        ("began", np.int64),
        *PARTIES,
        *TAILS,
        ("rings", np.int32),
        ("callees", np.int32),
        ("answered", np.int32),
        ("other", np.int32),
    ],
    align=True,
)
"""A suspect's outcomes since its first ring at ``began`` (ms). ``tails`` are the last callees rung."""


RINGS_EACH, MANY_RINGS = 1.5, 16.0
"""Rings a number of a block from which a rule is proposed, or so many in all: people ring a friend once."""


class WangiriParameters(NamedTuple):
    on: bool
    ring_ms: int
    callees: float
    fan_out: float
    block_numbers: int
    fast_rings: float
    ring: float
    """Log-odds that a ring adds; `answered` and `other` likewise."""
    answered: float
    other: float
    suspicious: float
    threshold: float
    slow_threshold: float
    friends: float


def parameters_of(settings: WangiriSettings) -> WangiriParameters:
    s = settings
    return WangiriParameters(
        on=s.mode != "off",
        ring_ms=s.ring_ms,
        callees=float(s.least_callees),
        fan_out=s.fan_out,
        block_numbers=s.block_numbers,
        fast_rings=float(s.fast_rings),
        ring=math.log(s.abusive_rings / s.ordinary_rings),
        answered=math.log(s.abusive_answered / s.ordinary_answered),
        other=math.log(
            (1 - s.abusive_rings - s.abusive_answered) / (1 - s.ordinary_rings - s.ordinary_answered)
        ),
        suspicious=math.log(s.medium_odds),
        threshold=math.log(s.odds),
        slow_threshold=math.log(s.slow_odds),
        friends=s.friends_share,
    )


_BY_CALLER, _BY_NOBODY_KNOWN = int(ReleasedBy.CALLER), int(ReleasedBy.UNKNOWN)


@inlined
def ring_of(answered: Any, ring_ms: Any, released_by: Any, cause: Any, sip_code: Any, p: Any) -> Any:
    """`RING`, `WEAK_RING` or `NO_RING`: whether the caller gave an unanswered call up after a ring."""
    if answered == 1 or ring_ms <= 0 or ring_ms > p.ring_ms:
        return NO_RING
    if released_by == _BY_CALLER:
        return RING
    if released_by == _BY_NOBODY_KNOWN and (cause == 16 or (cause < 0 and sip_code == 487)):
        return WEAK_RING
    return NO_RING


@inlined
def known_before(row: Any, callee: Any, time: Any) -> Any:
    """Whether a caller's row shows that it called ``callee`` on the day before ``time`` (ms)."""
    before = time // DAY - 1
    if row.newest // DAY - before >= 2:
        return False
    return is_familiar(row.circle[before % 2], circle_bits(callee))


@inlined
def _forget(ringer: Any) -> None:
    ringer.odds = 0.0
    ringer.rings = np.int32(0)
    ringer.callees = np.int32(0)
    ringer.answered = np.int32(0)
    ringer.other = np.int32(0)
    ringer.tails[:] = 0
    ringer.next_tail = np.int32(0)
    forget_parties(ringer)


@inlined
def hear(ringer: Any, tail: Any, ring: Any, answered: Any, known: Any, time: Any, p: Any) -> None:
    """Note one outcome of a call to ``tail``, attempted at ``time`` (ms): ``ring`` of `ring_of`."""
    if ringer.odds == 0.0:
        if ring == NO_RING:
            return
        ringer.began = time
    fresh = ring != NO_RING and not known
    for k in range(REMEMBERED):
        fresh = fresh and ringer.tails[k] != tail
    if fresh:
        remember(ringer, tail)
        ringer.callees += np.int32(1)
        weight = p.ring if ring == RING else 0.5 * p.ring
    elif answered:
        weight = p.answered
    else:
        weight = p.other
    ringer.rings += np.int32(ring != NO_RING)
    ringer.answered += np.int32(answered)
    ringer.other += np.int32(ring == NO_RING and not answered)
    ringer.odds = min(max(ringer.odds + weight, 0.0), RHYTHM_LIMIT)
    if ringer.odds == 0.0:
        _forget(ringer)


@inlined
def look(ringer: Any, row: Any, habit_talk: Any, p: Any, f: Any) -> Any:
    """Level of a suspect whose subject's row (caller or block) is ``row``; its features into ``f``.

    ``habit_talk`` log-odds that each other talk of the day takes away.
    """
    callees, rings = np.float64(ringer.callees), np.float64(ringer.rings)
    if callees < p.callees or callees < p.fan_out * rings or ringer.odds < p.suspicious:
        return NOTHING
    begun = total(row.attempts) - latest(row.two_seconds, row.newest // 2_000, 3)
    if begun - total(row.ends) - total(row.failed) > ringer.rings:
        return NOTHING
    head = row.newest // 10_000
    attempts = total(row.attempts) - latest(row.ten_seconds, head, 3)
    ends = total(row.ends) - latest(row.ten_seconds_ends, head, 3)
    pending = np.float64(max(attempts - ends - total(row.failed), 0))
    unfinished = pending * p.answered
    others = max(np.float64(total(row.day_talked)) - np.float64(ringer.answered), 0.0)
    habit = -min(others * habit_talk, HABIT_LIMIT)
    recent = 0.5 * np.float64(total(row.one_ring))
    fast = recent >= p.fast_rings
    odds = ringer.odds + unfinished + habit
    if odds < (p.suspicious if fast else p.threshold):
        return NOTHING
    f[:] = 0.0
    f[0], f[1] = rings, callees
    f[2], f[3], f[4] = np.float64(ringer.answered), np.float64(ringer.other), recent
    f[5] = np.float64(max(row.newest - ringer.began, 0)) / 60_000.0
    f[6], f[7], f[8], f[9] = pending, ringer.odds, unfinished, habit
    f[10] = np.float64(total(row.day_attempts))
    f[14] = others
    return HIGH if odds >= (p.threshold if fast else p.slow_threshold) else MEDIUM


@inlined
def look_block(ringer: Any, row: Any, p: Any, f: Any) -> Any:
    """Level of a block, whose row is ``row``; its features into ``f``."""
    numbers = parties(ringer)
    if numbers < p.block_numbers:
        return NOTHING
    level = look(ringer, row, 0.0, p, f)
    called = np.float64(row.circle[0]) + np.float64(row.circle[1])
    if level == NOTHING or called >= max(p.friends * f[0], 2.0):
        return NOTHING
    if level >= HIGH and f[0] < min(RINGS_EACH * np.float64(numbers), MANY_RINGS):
        level = MEDIUM
    f[11] = np.float64(numbers)
    f[12] = LINEAR[popcount(row.numbers[0] | row.numbers[1])]
    f[13] = f[0] / max(np.float64(total(row.hour_attempts)), 1.0)
    f[14] += called
    f[15] = span_of(ringer)
    return level


class Wangiri:
    """Turns the signals of `look` and `look_block` into findings. ``trunks`` names a trunk by its hash.

    What it proposes below `HIGH` is withheld until independent evidence agrees (``detectors.evidence``).
    """

    name = "wangiri"

    def __init__(self, settings: WangiriSettings, trunks: Mapping[int, str]) -> None:
        self._settings = settings
        self._trunks = trunks

    def describe(self, signal: Signal, call: Call) -> Finding:
        f = signal.features
        level = signal.level
        if level == HIGH and (_is_costly(call) or call.gateway == Gateway.INTERNATIONAL):
            level = CRITICAL
        if signal.pattern == WANGIRI_BLOCK:
            return self._block(signal, call, level)
        named = call.caller_spelled if call.caller >= 0 else f"Caller {call.caller_text!r}"
        return Finding(
            subject_type="number",
            subject_value=call.caller_spelled,
            kind="one_ring",
            level=level,
            score=_score(f),
            evidence=self._evidence(f),
            message=f"{named} {_did(f)}; {_way(call, call.trunk)}.",
            proposals=[proposal(call.caller_match, f["calls_day"], 1, f["callees"])],
            apart="" if call.caller >= 0 else call.trunk,
        )

    def _block(self, signal: Signal, call: Call, level: int) -> Finding:
        f, block = signal.features, signal.key
        trunk = self._trunks.get(signal.trunk, "")
        numbers = f"{f['parties']:.0f}" if f["parties"] <= REMEMBERED else f"more than {REMEMBERED}"
        return Finding(
            subject_type="block",
            subject_value=f"+{block}*",
            kind="shared_one_ring",
            level=level,
            score=_score(f),
            evidence=self._evidence(f),
            message=f"{numbers} numbers of block +{block}* together {_did(f)}; {_way(call, trunk)}.",
            proposals=proposals_of(block, trunk, signal.contacts, f),
        )

    def _evidence(self, f: dict[str, float]) -> list[Evidence]:
        s = self._settings
        calls = max(f["rings"] + f["answered"] + f["other"], 1.0)
        rings, answered = f["rings"] / calls, f["answered"] / calls
        return weighed(
            [
                ("one_ring_share", rings, s.ordinary_rings, f["rhythm"] * rings),
                ("callees", f["callees"], 1, math.log2(1 + f["callees"])),
                ("answered_share", answered, s.ordinary_answered, f["rhythm"] * (1 - rings)),
            ]
        )


def _is_costly(call: Call) -> bool:
    return call.caller_kind in (NumberKind.PREMIUM, NumberKind.SHARED_COST)


def _score(f: dict[str, float]) -> float:
    odds = f["rhythm"] + f["unfinished"] + f["habit"]
    return score_of(odds)


def _did(f: dict[str, float]) -> str:
    minutes = max(f["minutes"], 1.0)
    calls = f["rings"] + f["answered"] + f["other"]
    return (
        f"rang {f['callees']:.0f} numbers and gave up within seconds, in {f['rings']:.0f} of {calls:.0f} "
        f"calls within {minutes:.0f} min; {f['answered']:.0f} were answered"
    )


def _way(call: Call, trunk: str) -> str:
    cost = ", a call back costs premium rate" if call.caller_kind == NumberKind.PREMIUM else ""
    cost = cost or (", a call back is charged extra" if call.caller_kind == NumberKind.SHARED_COST else "")
    abroad = ", at an international gateway" if call.gateway == Gateway.INTERNATIONAL else ""
    return f"trunk {trunk or 'unknown'}, from {call.from_network or 'unknown'}{abroad}{cost}"
