"""Numbers of one block that arrive where they should not: what is kept of them, and what it weighs.

`misrouted` and `foreign_gateway` ask the same question of a block: some of its numbers came a *wrong way*
(a network that hardly ever sends numbers of their operator; an international gateway without roaming), others
the *right way*. Strays exist: ported numbers, roamers. They are a small and steady share of all, and they
behave as people do. So the evidence is of two kinds, and neither suffices alone:

- *route*: of the block's distinct numbers (a heavy caller counts once), ``w`` came the wrong way and ``r``
  the right way. With ``u`` the learnt share of strays and ``a = min(w / (w + r), abusive_share)`` the
  log-odds for abuse are ``w ln(a / u) + r ln((1 - a) / (1 - u))``, at most `ROUTE_LIMIT`.
- *concentration*: strays use every trunk of their network. With ``t`` the learnt share of the trunk that most
  of them came over among the numbers of that network: ``on ln(0.9 / t) + off ln(0.1 / (1 - t))``, -6 to 3.
- *behaviour*: sequential probability ratio tests over the calls that came the wrong way, each bounded:
  called or only calling (4 % of a fraudster's calls are to it, 30 % of the least called people's), callees
  called again (4 %, the sketch's errors included, against 20 %), calls that become talk (30 % against 55 %;
  pending ones count as talk, two a number at most, since people hold no more calls at a time).
- *pace*: calls a minute and mobile number beyond `USUAL_PACE`, each 1, at most `PACE_LIMIT`: strays are
  people with a telephone in their hand. From `FAST` on even a single number may be certain.

A block whose wrong-way numbers turned out to behave ordinarily is *absolved*, and makes its trunk a little
more trusted for others: so hosted and transit traffic is learnt.

The state is a small table of suspects by block and wrong way; only rows that came a wrong way touch it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import PlaceSettings
from detectors import plain
from detectors.alert import Evidence, Gateway, Match, Proposal
from detectors.calls import BLOCK
from detectors.kernels import inlined, mix, mix2, popcount
from detectors.shape import (
    HIGH,
    MEDIUM,
    NOTHING,
    Call,
    Feature,
    Finding,
    Signal,
    narrowest_prefix,
    proposal,
    score_of,
    weighed,
)
from detectors.shares import learn, learnt, share_key
from detectors.sketches import LINEAR, bit_of, circle_bits
from detectors.subjects import power_of_two, zeros
from detectors.windows import DAY

NUMBERS = 16
"""Numbers of a suspect block that are noted one by one, the latest."""
TRUNKS = 8
FULL: Any = 65_535
_WAYS = 4

FEATURES = (
    Feature("numbers", "numbers", "distinct numbers of the block that came the wrong way today", 0),
    Feature(
        "right", "numbers", "distinct numbers of the block that came the right way, today or yesterday", 40
    ),
    Feature("share", "share", "of numbers that usually come this way, learnt", 0.02),
    Feature("calls", "calls", "attempts that came the wrong way", 0),
    Feature("route", "log-odds", "for abuse, of the two counts of numbers", 0),
    Feature("concentration", "log-odds", "for abuse, of the trunks used", 0),
    Feature("behaviour", "log-odds", "for abuse, of what these numbers do", -2),
    Feature("repeats", "calls", "those to a callee that the number had called before", 1),
    Feature("inbound", "calls", "attempts to these numbers in the last day", 2),
    Feature("ends", "calls", "wrong-way calls whose outcome is known", 1),
    Feature("talked", "calls", "those that became talk", 1),
    Feature("trunk_numbers", "numbers", "latest of these numbers that came over the trunk of this call", 0),
    Feature("ordinary", "numbers", "those among them that behave as people do", 0),
    Feature("trusted", "blocks", "blocks that came this way over this trunk and turned out ordinary", 0),
    Feature("span", "digits", "10 000 times the lowest, plus the highest last four digits of the others", 0),
    Feature("latest_1", "digits", "last four digits of the latest three of them, packed", 0),
    Feature("latest_2", "digits", "of the three before", 0),
    Feature("latest_3", "digits", "of the three before", 0),
    Feature("seconds", "s", "since the first of these calls", 0),
    Feature("pace", "log-odds", "for abuse, of mobile numbers dialling faster than people do, at least 0", 0),
)
PACK = 10_001
"""Base in which last four digits, plus one, are packed into a feature, latest lowest."""

TRUNK, NETWORK, ABSOLVED = 101, 102, 103
"""Kinds of ``detectors.shares.share_key``: numbers by trunk, by network or gateway, absolved by trunk."""

ROUTE_LEAST, ROUTE_LIMIT = math.log(1_000), 12.0
"""What the route alone must weigh for an alert of several numbers; the most that it weighs."""
MOST_ON, LEAST_SHARE = 0.9, 0.05
CONCENTRATION = (-6.0, 3.0)
CALLED = (math.log(0.04 / 0.30), math.log(0.96 / 0.70), -6.0, 4.0)
AGAIN = (math.log(0.04 / 0.20), math.log(0.96 / 0.80), -6.0, 2.0)
OUTCOME = (math.log(0.30 / 0.55), math.log(0.70 / 0.45), -6.0, 3.0)
"""Log-odds that one event of the ordinary and of the abusive sort adds; bounds of their sum."""
DOUBT = -1.0
"""Log-odds that behaviour, concentration and pace must have together before several numbers are worth an
alert."""
TOLD, LEARNT = 0.0, 5.0
"""Log-odds that behaviour and pace must have before the route proposes a rule: where somebody says that it is
wrong (a list of what a trunk carries, a network that tells who roams), and where that is learnt."""
LINES = 2.0
"""Pending calls of a number that count as talk: one that lasts and one on hold."""
CLEAR_CIRCLE = 12
"""Bits of 64 that a circle may have set and still tell a callee that was called before from a new one."""
ALONE, STRONG = 3.0, 6.5
"""Log-odds of behaviour from which a single number, or a block that may honestly be there as a whole, is
worth a signal; and from which such a block is proposed."""
FEW_RIGHT, ORDINARY_MOST = 2.5, 0.25
"""Up to so many numbers on the right way, and such a share of ordinary ones, a prefix is proposed."""
AT_HOME = 4.0
"""Log-odds that a single number adds which called the right way within the same minutes."""
PART = 0.5
"""Share of the numbers that must have come over a trunk for a rule on it."""
MOST_AGAIN: Any = 255
USUAL_PACE, PACE_LIMIT, FAST = 2.0, 4.0, 2.0
"""Calls a minute of a number that people make at most; the most faster ones add; the log-odds of pace that
make a single number, or few, certain."""
ORDINARY = -4.0
"""Log-odds of behaviour at which a suspect block is absolved."""
TRUSTED, MOST_TRUSTED = 2.0, 3.0
"""Log-odds that an absolved block takes from others of its trunk, and how many of them count."""

SUSPECT = np.dtype(
    [
        ("key", np.uint64),
        ("first", np.int64),
        ("seen", np.int64),
        ("bitmap", np.uint64),
        ("trunks", np.uint64, (TRUNKS,)),
        ("on", np.uint16, (TRUNKS,)),
        ("written", np.int64),
        ("tails", np.uint16, (NUMBERS,)),
        ("calls_of", np.uint16, (NUMBERS,)),
        ("inbound_of", np.uint16, (NUMBERS,)),
        ("trunk_of", np.uint8, (NUMBERS,)),
        ("again_of", np.uint8, (NUMBERS,)),
        ("calls", np.int32),
        ("chances", np.int32),
        ("repeats", np.int32),
        ("ends", np.int32),
        ("talked", np.int32),
        ("failed", np.int32),
        ("absolved", np.int32),
    ],
    align=True,
)
"""A block on a wrong way. ``first`` and ``seen``: its first and latest event, ms; ``bitmap`` of its numbers;
``trunks`` by hash, the last slot for all others, and the numbers first heard ``on`` each; ``written`` numbers
ever noted, then a ring of the latest: last four digits plus one, calls, calls to the number in its last day,
index of its trunk, calls to somebody called before. ``chances``: calls of numbers that had called few
before, of which ``repeats`` went to one of these."""


class PlaceParameters(NamedTuple):
    on: bool
    usual: float
    """Share of numbers from which a way is no wrong one."""
    least: float
    """Numbers that must have been learnt before any way is wrong."""
    prior: float
    prior_numbers: float
    abusive: float
    medium: float
    high: float


def new_suspects(blocks: int) -> npt.NDArray[Any]:
    return zeros(power_of_two(blocks), SUSPECT)


@inlined
def suspect_key(block: Any, way: Any) -> Any:
    """Key (uint64, not 0) of a block (int64) and a way (uint64)."""
    key: Any = mix(mix2(block, way))
    return key if key != 0 else np.uint64(1)


@inlined
def suspect_at(suspects: Any, key: Any) -> Any:
    """Index of a suspect, or -1."""
    base: Any = np.int64(key & np.uint64(suspects.size // _WAYS - 1)) * _WAYS
    for k in range(base, base + _WAYS):
        if suspects[k].key == key:
            return k
    return -1


@inlined
def _worth(suspect: Any, now: Any) -> Any:
    if suspect.key == 0:
        return -1
    if now - suspect.seen > DAY:
        return 0
    return min(suspect.written, 2)


@inlined
def _taken_in(suspects: Any, key: Any, now: Any, time: Any) -> Any:
    """Index of a suspect, new or as it was; the one of least worth, then the oldest, gives room."""
    at = suspect_at(suspects, key)
    if at >= 0 and time - suspects[at].seen <= DAY:
        return at
    if at < 0:
        base = np.int64(key & np.uint64(suspects.size // _WAYS - 1)) * _WAYS
        at = np.int64(base)
        for k in range(base + 1, base + _WAYS):
            worth, least = _worth(suspects[k], now), _worth(suspects[at], now)
            if worth < least or (worth == least and suspects[k].seen < suspects[at].seen):
                at = k
    s = suspects[at]
    s.key = key
    s.first = time
    s.seen = time
    s.bitmap = np.uint64(0)
    s.written = 0
    for k in range(TRUNKS):
        s.trunks[k] = np.uint64(0)
        s.on[k] = 0
    for k in range(NUMBERS):
        s.tails[k] = 0
    s.calls = np.int32(0)
    s.chances = np.int32(0)
    s.repeats = np.int32(0)
    s.ends = np.int32(0)
    s.talked = np.int32(0)
    s.failed = np.int32(0)
    s.absolved = np.int32(0)
    return at


@inlined
def _trunk_slot(s: Any, trunk: Any) -> Any:
    for k in range(TRUNKS - 1):
        if s.trunks[k] == trunk:
            return k
        if s.trunks[k] == 0:
            s.trunks[k] = trunk
            return k
    return TRUNKS - 1


@inlined
def _number_slot(s: Any, tail: Any) -> Any:
    for k in range(NUMBERS):
        if np.int64(s.tails[k]) == tail + 1:
            return k
    return -1


@inlined
def note_wrong(
    suspects: Any,
    key: Any,
    now: Any,
    time: Any,
    number: Any,
    trunk: Any,
    callee: Any,
    known: Any,
    inbound: Any,
) -> Any:
    """Note an attempt of ``number`` (int64) over ``trunk`` (uint64) the wrong way; the index of its suspect.

    ``known``: its circle before the call (uint64); ``inbound``: attempts to it in the last day.
    """
    at = _taken_in(suspects, key, now, time)
    s = suspects[at]
    s.seen = max(s.seen, time)
    s.first = min(s.first, time)
    tail = number % 10_000
    way = _trunk_slot(s, trunk)
    k = _number_slot(s, tail)
    if k < 0:
        k = s.written % NUMBERS
        s.written += 1
        bit = bit_of(number)
        if s.written <= NUMBERS or (s.bitmap & bit) == 0:
            s.on[way] = np.uint16(min(np.int64(s.on[way]) + 1, FULL))
        s.bitmap |= bit
        s.tails[k] = np.uint16(tail + 1)
        s.calls_of[k] = 0
        s.again_of[k] = 0
    s.trunk_of[k] = np.uint8(way)
    s.calls_of[k] = np.uint16(min(np.int64(s.calls_of[k]) + 1, FULL))
    s.inbound_of[k] = np.uint16(min(inbound, FULL))
    s.calls = np.int32(s.calls + 1)
    if 0 < popcount(known) <= CLEAR_CIRCLE:
        bits = circle_bits(callee)
        s.chances = np.int32(s.chances + 1)
        if (known & bits) == bits:
            s.repeats = np.int32(s.repeats + 1)
            s.again_of[k] = np.uint8(min(np.int64(s.again_of[k]) + 1, MOST_AGAIN))
    return at


@inlined
def note_end(s: Any, failed: Any, talked: Any) -> None:
    """Note the outcome of a call that came the wrong way: lost by the network, talk, or neither."""
    if failed:
        s.failed = np.int32(s.failed + 1)
        return
    s.ends = np.int32(s.ends + 1)
    if talked:
        s.talked = np.int32(s.talked + 1)


@inlined
def _sum(ordinary: Any, abusive: Any, weights: Any) -> Any:
    """Log-odds of so many events of the ordinary and of the abusive sort, within their bounds."""
    return min(max(ordinary * weights[0] + abusive * weights[1], weights[2]), weights[3])


@inlined
def _behaviour(s: Any, f: Any) -> Any:
    calls, inbound = 0.0, 0.0
    for k in range(min(s.written, NUMBERS)):
        calls += np.float64(s.calls_of[k])
        inbound += np.float64(s.inbound_of[k])
    ends, talked, repeats = np.float64(s.ends), np.float64(s.talked), np.float64(s.repeats)
    pending = min(max(np.float64(s.calls - s.failed) - ends, 0.0), LINES * f[0])
    f[7], f[8], f[9], f[10] = repeats, inbound, ends, talked
    return (
        _sum(inbound, calls, CALLED)
        + _sum(repeats, np.float64(s.chances) - repeats, AGAIN)
        + _sum(talked + pending, max(ends - talked, 0.0), OUTCOME)
    )


@inlined
def _route(w: Any, r: Any, share: Any, abusive: Any) -> Any:
    a = min(w / (w + r), abusive)
    if a <= share:
        return 0.0
    return min(w * math.log(a / share) + r * math.log((1.0 - a) / (1.0 - share)), ROUTE_LIMIT)


@inlined
def _concentration(s: Any, shares: Any, way: Any, time: Any) -> Any:
    """Of the trunk that most numbers came over; ``way`` (uint64) is the network, or the gateway."""
    top = 0
    numbers = 0.0
    for k in range(TRUNKS):
        numbers += np.float64(s.on[k])
        if s.on[k] > s.on[top]:
            top = k
    on = np.float64(s.on[top])
    of_trunk = learnt(shares, share_key(TRUNK, s.trunks[top], way), time)
    of_way = learnt(shares, share_key(NETWORK, way, 0), time)
    t = min(max((of_trunk + 1.0) / (of_way + 2.0), LEAST_SHARE), 1.0 - LEAST_SHARE)
    odds = on * math.log(MOST_ON / t) + (numbers - on) * math.log((1.0 - MOST_ON) / (1.0 - t))
    return min(max(odds, CONCENTRATION[0]), CONCENTRATION[1])


@inlined
def _is_ordinary(s: Any, k: Any) -> Any:
    """Whether a noted number behaves as people do: calls somebody again, or is called itself."""
    calls = np.int64(s.calls_of[k])
    return 12 * np.int64(s.again_of[k]) > calls or 6 * np.int64(s.inbound_of[k]) > calls


@inlined
def _name_numbers(s: Any, trunk: Any, least: Any, f: Any) -> None:
    """The latest noted numbers on ``trunk`` into ``f``: how many, how many ordinary ones, and the others with
    at least ``least`` calls."""
    low, high, named = np.int64(9_999), np.int64(0), 0
    f[15], f[16], f[17] = 0.0, 0.0, 0.0
    for back in range(min(s.written, NUMBERS)):
        k = (s.written - 1 - back) % NUMBERS
        if s.trunks[s.trunk_of[k]] != trunk:
            continue
        f[11] += 1.0
        if _is_ordinary(s, k):
            f[12] += 1.0
            continue
        if np.int64(s.calls_of[k]) < least:
            continue
        tail = np.int64(s.tails[k]) - 1
        low, high = min(low, tail), max(high, tail)
        if named < 9:
            f[15 + named // 3] += np.float64((tail + 1) * PACK ** (named % 3))
            named += 1
    if named > 0:
        f[14] = np.float64(low * 10_000 + high)


@inlined
def weigh(
    s: Any,
    shares: Any,
    way: Any,
    trunk: Any,
    time: Any,
    right: Any,
    share: Any,
    few: Any,
    needed: Any,
    alone: Any,
    mobile: Any,
    p: Any,
    f: Any,
) -> Any:
    """Level of a suspect; its features into ``f``.

    ``way`` (uint64) is the network, or the gateway; ``right`` the distinct numbers of its block that came the
    right way; ``share`` of numbers that usually come this way, above 0; ``few`` the numbers from which there
    is a rule; ``needed`` behaviour and pace before there is one: from `STRONG` on whole blocks may honestly
    come this way, so that these alone tell; ``alone``: it is a single number that called the right way within
    the same minutes; ``mobile``: its numbers are.
    """
    w = np.float64(s.written)
    if s.written > NUMBERS:
        w = max(LINEAR[popcount(s.bitmap)], np.float64(NUMBERS))
    f[:] = 0.0
    f[0], f[1], f[2], f[3] = w, right, share, np.float64(s.calls)
    f[4] = _route(w, right, share, p.abusive)
    f[6] = _behaviour(s, f)
    key = share_key(ABSOLVED, trunk, way)
    if f[6] <= ORDINARY and s.absolved == 0:
        s.absolved = np.int32(1)
        learn(shares, key, time)
    f[13] = min(learnt(shares, key, time), MOST_TRUSTED) - np.float64(s.absolved)
    f[13] = max(f[13], 0.0)
    f[18] = np.float64(max(time - s.first, 0)) / 1_000.0
    if mobile:
        pace = f[3] / (w * max(f[18] / 60.0, 1.0)) - USUAL_PACE
        f[19] = min(max(pace, 0.0), PACE_LIMIT)
    odds = f[4] + f[6] + f[19] - TRUSTED * f[13]
    least = 1 if right < FEW_RIGHT else 2
    if s.written < 2:
        if f[6] < ALONE or odds < p.medium:
            return NOTHING
        _name_numbers(s, trunk, least, f)
        certain = odds >= p.high and f[19] >= FAST
        return HIGH if certain or (alone and odds + AT_HOME >= p.high) else MEDIUM
    f[5] = _concentration(s, shares, way, time)
    odds += f[5]
    if odds < p.medium or f[4] < ROUTE_LEAST:
        return NOTHING
    if f[6] + f[19] < ALONE if needed >= STRONG else f[5] + f[6] + f[19] < DOUBT:
        return NOTHING
    _name_numbers(s, trunk, least, f)
    return HIGH if f[6] + f[19] >= needed and odds >= p.high and (w >= few or f[19] >= FAST) else MEDIUM


class PlainShares:
    """``detectors.shares`` in plain Python; forgets nothing."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int, int], tuple[int, int]] = {}

    def learn(self, time: int, kind: int, first: int, second: int = 0) -> None:
        day, (count, held) = time // DAY, self._counts.get((kind, first, second), (0, time // DAY))
        self._counts[kind, first, second] = ((count >> max(day - held, 0)) + 1, max(day, held))

    def learnt(self, time: int, kind: int, first: int, second: int = 0) -> int:
        count, held = self._counts.get((kind, first, second), (0, 0))
        return count >> max(time // DAY - held, 0)


class _Number:
    def __init__(self, tail: int) -> None:
        self.tail = tail
        self.calls = self.inbound = 0
        self.trunk = 0
        self.again = 0

    @property
    def is_ordinary(self) -> bool:
        return 12 * min(self.again, MOST_AGAIN) > self.calls or 6 * self.inbound > self.calls


class PlainSuspect:
    """`SUSPECT` in plain Python: what `note_wrong`, `note_end` and `weigh` do, written apart."""

    def __init__(self, time: int) -> None:
        self.first = self.seen = time
        self.numbers: list[_Number] = []
        self.everybody: list[int] = []
        self.trunks: list[int] = []
        self.on: dict[int, int] = {}
        self.calls = self.chances = self.repeats = self.ends = self.talked = self.failed = 0
        self.absolved = False

    def wrong(self, time: int, number: int, trunk: int, callee: int, known: int, inbound: int) -> None:
        self.seen, self.first = max(self.seen, time), min(self.first, time)
        if trunk not in self.trunks and len(self.trunks) < TRUNKS - 1:
            self.trunks.append(trunk)
        way = trunk if trunk in self.trunks else 0
        noted = next((n for n in self.numbers[-NUMBERS:] if n.tail == number % 10_000), None)
        if noted is None:
            noted = _Number(number % 10_000)
            fresh = plain.estimate([*self.everybody, number]) > plain.estimate(self.everybody)
            if len(self.numbers) < NUMBERS or fresh:
                self.on[way] = self.on.get(way, 0) + 1
            self.numbers.append(noted)
            self.everybody.append(number)
        noted.trunk, noted.inbound = way, inbound
        noted.calls += 1
        self.calls += 1
        if 0 < known.bit_count() <= CLEAR_CIRCLE:
            again = known & plain.circle(callee) == plain.circle(callee)
            self.chances += 1
            self.repeats += again
            noted.again += again

    def end(self, failed: bool, talked: bool) -> None:
        self.failed += failed
        self.ends += not failed
        self.talked += talked and not failed

    def weigh(
        self,
        shares: PlainShares,
        way: int,
        trunk: int,
        time: int,
        right: float,
        share: float,
        few: float,
        needed: float,
        alone: bool,
        mobile: bool,
        p: PlaceParameters,
    ) -> tuple[int, list[float]]:
        latest = self.numbers[-NUMBERS:]
        w = float(len(self.numbers))
        if w > NUMBERS:
            w = max(plain.estimate(self.everybody), float(NUMBERS))
        a = min(w / (w + right), p.abusive)
        route = 0.0
        if a > share:
            route = min(w * math.log(a / share) + right * math.log((1 - a) / (1 - share)), ROUTE_LIMIT)
        inbound = sum(n.inbound for n in latest)
        behaviour = self._behaviour(w, inbound, sum(n.calls for n in latest))
        if behaviour <= ORDINARY and not self.absolved:
            self.absolved = True
            shares.learn(time, ABSOLVED, trunk, way)
        trusted = max(min(shares.learnt(time, ABSOLVED, trunk, way), MOST_TRUSTED) - self.absolved, 0.0)
        seconds = max(time - self.first, 0) / 1_000
        rate = self.calls / (w * max(seconds / 60, 1)) - USUAL_PACE if mobile else 0.0
        pace = sorted((0.0, rate, PACE_LIMIT))[1]
        odds = route + behaviour + pace - TRUSTED * trusted
        concentration = 0.0
        if len(self.numbers) >= 2:
            concentration = self._concentration(shares, way, time)
            odds += concentration
        f = [w, right, share, self.calls, route, concentration, behaviour, self.repeats, inbound]
        f += [self.ends, self.talked, *self._named(trunk, trusted, right), seconds, pace]
        if odds < p.medium:
            return NOTHING, []
        if len(self.numbers) < 2:
            if behaviour < ALONE:
                return NOTHING, []
            certain = odds >= p.high and pace >= FAST
            return (HIGH if certain or (alone and odds + AT_HOME >= p.high) else MEDIUM), f
        if route < ROUTE_LEAST:
            return NOTHING, []
        if behaviour + pace < ALONE if needed >= STRONG else concentration + behaviour + pace < DOUBT:
            return NOTHING, []
        certain = odds >= p.high and behaviour + pace >= needed and (w >= few or pace >= FAST)
        return (HIGH if certain else MEDIUM), f

    def _behaviour(self, numbers: float, inbound: int, calls: int) -> float:
        pending = min(max(self.calls - self.failed - self.ends, 0), LINES * numbers)
        counts = (
            (inbound, calls, CALLED),
            (self.repeats, self.chances - self.repeats, AGAIN),
            (self.talked + pending, max(self.ends - self.talked, 0), OUTCOME),
        )
        return sum(
            sorted((low, ordinary * good + abusive * bad, high))[1]
            for ordinary, abusive, (good, bad, low, high) in counts
        )

    def _concentration(self, shares: PlainShares, way: int, time: int) -> float:
        order = [*self.trunks, *[0] * (TRUNKS - len(self.trunks))]
        others = TRUNKS - 1
        top = max(
            range(TRUNKS),
            key=lambda k: ((self.on.get(order[k], 0) if order[k] or k == others else 0), -k),
        )
        on, numbers = self.on.get(order[top], 0), sum(self.on.values())
        t = (shares.learnt(time, TRUNK, order[top], way) + 1) / (shares.learnt(time, NETWORK, way) + 2)
        t = sorted((LEAST_SHARE, t, 1 - LEAST_SHARE))[1]
        odds = on * math.log(MOST_ON / t) + (numbers - on) * math.log((1 - MOST_ON) / (1 - t))
        return sorted((CONCENTRATION[0], odds, CONCENTRATION[1]))[1]

    def _named(self, trunk: int, trusted: float, right: float) -> list[float]:
        here = [n for n in reversed(self.numbers[-NUMBERS:]) if n.trunk == trunk]
        ordinary = sum(n.is_ordinary for n in here)
        least = 1 if right < FEW_RIGHT else 2
        others = [n.tail for n in here if not n.is_ordinary and n.calls >= least]
        span = min(others) * 10_000 + max(others) if others else 0
        packs = [
            sum((tail + 1) * PACK**k for k, tail in enumerate(others[:9][at : at + 3])) for at in (0, 3, 6)
        ]
        return [len(here), ordinary, trusted, span, *packs]


def place_parameters(settings: PlaceSettings) -> PlaceParameters:
    return PlaceParameters(
        on=settings.mode != "off",
        usual=settings.usual_share,
        least=float(settings.least_numbers),
        prior=settings.prior_share,
        prior_numbers=float(settings.prior_numbers),
        abusive=settings.abusive_share,
        medium=math.log(settings.medium_odds),
        high=math.log(settings.odds),
    )


def found(
    signal: Signal,
    call: Call,
    name: str,
    saying: Callable[[dict[str, float], str], str],
    gateway: Gateway | None,
) -> Finding:
    """The finding of detector ``name``; ``saying`` tells it of its features and subject; ``gateway`` is the
    one that its rules are bound to."""
    f = signal.features
    of_block = f["numbers"] >= 2
    subject = f"+{call.caller // BLOCK}*" if of_block else call.caller_spelled
    return Finding(
        subject_type="block" if of_block else "number",
        subject_value=subject,
        kind=f"{name}_range" if of_block else f"{name}_number",
        level=signal.level,
        score=_score(f),
        evidence=_evidence(f),
        message=saying(f, subject),
        proposals=_proposals(signal, call, gateway),
    )


def _score(f: dict[str, float]) -> float:
    odds = f["route"] + f["concentration"] + f["behaviour"] + f["pace"] - TRUSTED * f["trusted"]
    return score_of(odds)


def _evidence(f: dict[str, float]) -> list[Evidence]:
    return weighed(
        [
            ("numbers", f["numbers"], 1, f["route"]),
            ("right", f["right"], 40, 1.0 if f["right"] < FEW_RIGHT else 0.0),
            ("concentration", f["concentration"], 0, f["concentration"]),
            ("behaviour", f["behaviour"], -2, f["behaviour"]),
            ("pace", f["pace"], 0, f["pace"]),
        ]
    )


def right_way(f: dict[str, float]) -> str:
    if f["right"] < 0.5:
        return "nobody else of the block was heard of"
    return f"about {f['right']:.0f} others of the block came the right way"


def doings(f: dict[str, float]) -> str:
    return (
        f"{f['talked']:.0f} of {f['ends']:.0f} finished calls became talk, {f['repeats']:.0f} went to "
        f"somebody called before, and these numbers were called {f['inbound']:.0f} times"
    )


def _proposals(signal: Signal, call: Call, gateway: Gateway | None) -> list[Proposal]:
    """What stops the numbers that came the wrong way over the trunk of ``call``, and only there; nothing
    where but few came over that one.

    Their narrowest prefix where the block has no right way worth speaking of and hardly any of them behaves
    ordinarily; else each of the latest for itself.
    """
    f, block = signal.features, call.caller // BLOCK
    tails = [tail for name in ("latest_1", "latest_2", "latest_3") for tail in _unpacked(f[name])]
    many_here = f["trunk_numbers"] >= max(2.0, PART * min(f["numbers"], NUMBERS))
    if not tails or (f["numbers"] >= 2 and not many_here):
        return []
    where = {"trunk": call.trunk} if call.trunk else {"network": call.from_network}
    few = f["right"] < FEW_RIGHT and ORDINARY_MOST * f["trunk_numbers"] >= f["ordinary"]
    low, high = divmod(int(f["span"]), BLOCK)
    if few and low != high:
        prefix = narrowest_prefix(block * BLOCK + low, block * BLOCK + high)
        match = Match(caller=f"+{prefix}*", gateway=gateway, **where)
        return [proposal(match, f["calls"], f["numbers"], f["calls"])]
    calls = max(f["calls"] / max(f["numbers"], 1.0), 1.0)
    return [
        proposal(Match(caller=f"+{block * BLOCK + tail}", gateway=gateway, **where), calls, 1, calls)
        for tail in sorted(tails)
    ]


def _unpacked(packed: float) -> list[int]:
    rest, tails = int(packed), []
    while rest:
        rest, tail = divmod(rest, PACK)
        tails.append(tail - 1)
    return tails
