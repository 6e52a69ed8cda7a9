"""Neighbour spoofing: callers that resemble the callee far above chance.

People answer a number that looks like their own, so spoofers copy the callee's leading digits. A call
*resembles* where caller and callee share all but their last seven digits (four after the country code for a
Chinese mobile number, the area code of an American one): *loosely*, where they share no more; *alike* where
they share all but six; *near* where they share all but four, the number block. It is *odd* where the caller
is also new (hardly called before, called by nobody), a stranger to the callee, and at least `family_numbers`
numbers away from it. Families and companies, whose numbers were bought together and then ported apart,
resemble, too, but their numbers are closer, they are not new to each other for long, and they are not many.

Each trunk is judged by the odd calls among its attempts of the last 10 to 20 minutes, and of the last hour.
With ``m`` of them among ``n`` attempts, where ``b`` is the share that is usual on that trunk (learnt from
what is older than an hour; before that, the share on all other trunks), the log-odds are those of a Poisson
likelihood ratio with the rate seen against the usual one: ``m ln(m / (n b)) - (m - n b)``; those of the three
resemblances are added; a rule needs those of the first two.

One call cannot be matched by "resembles its callee", so most campaigns give an alert and no rule. Where the
targets concentrate, they do give one: a pair of the same prefix for caller and callee on that trunk, the
narrowest that at least `pair_calls` odd calls of the hour share (two where the trunk leaves no doubt) and no
ordinary one; or one callee with the
prefix of its block as caller.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import NeighbourSettings
from detectors.alert import Evidence, Match, Proposal
from detectors.kernels import inlined, mix, mix2
from detectors.shape import (
    HIGH,
    MEDIUM,
    NOTHING,
    Call,
    Feature,
    Finding,
    Signal,
    proposal,
    score_of,
    weighed,
)
from detectors.subjects import power_of_two, zeros
from detectors.windows import DAY, total

FEATURES = (
    Feature("minutes", "min", "window that says most: up to 20 or 60", 60),
    Feature("attempts", "calls", "attempts on the trunk in it", 100),
    Feature("near", "calls", "odd calls in it whose caller is of the callee's block", 0),
    Feature("alike", "calls", "other odd calls in it whose caller shares all but six digits", 0),
    Feature("usual_near", "calls", "of the former, usual among so many attempts", 0),
    Feature("usual_alike", "calls", "of the latter", 0),
    Feature("odds", "log-odds", "for abuse, of these counts", 0),
    Feature("callers", "numbers", "distinct callers of the odd calls of the last hour, up to 32", 0),
    Feature("callees", "numbers", "distinct callees of them", 0),
    Feature("same_callee", "calls", "odd calls of the last hour to the callee of this one", 0),
    Feature("pair_digits", "digits", "last digits left open by the narrowest pair of prefixes, 0: none", 0),
    Feature("pair_calls", "calls", "odd calls of the last hour that this pair covers", 0),
    Feature("loose", "calls", "odd calls in it whose caller shares all but seven digits, no more", 0),
    Feature("usual_loose", "calls", "of these, usual among so many attempts", 0),
    Feature("close_odds", "log-odds", "for abuse, of the near and alike ones alone", 0),
)

ALL_TRUNKS = np.uint64(1)
"""Key of the row that counts for all trunks."""
SLOT_MS = 600_000
SLOTS = 6
LATELY = 2
"""Slots of the shorter window."""
NOTED = 128
"""Resembling calls of a trunk that are kept: among so many a campaign's pairs of prefixes come again."""
PEOPLE = 32
"""The latest of them whose distinct callers and callees are counted."""
FULL: Any = 65_535
_WAYS = 4
NEAR, ALIKE, LOOSE = 10_000, 1_000_000, 10_000_000
KINDS, LOOSELY = 3, 2
"""Of resemblance: near, alike, loose, from 0; and the last of them."""
LEAST_KNOWN = 200.0
"""Attempts on other trunks, or on this one before the last hour, from which it is known what is usual: where
people mostly call within their area code, nearly all calls resemble loosely. Where one clock far ahead leads
the counts of all trunks astray, settings tell."""
LEAST, LEAST_OF_ONE = 3, 8
"""Odd calls before anything is said; where all callees are of one block and none was called so often."""
BEYOND_DOUBT, SURE_PAIR_CALLS = 2.0, 2
"""Times the log-odds of a rule from which a trunk leaves no doubt, so that the next pair of a block needs no
more than so many calls. One would be too few: some resemblance is chance."""
LEARNT_MOST, LEARNT_FACTOR = 2.0, 4.0
"""Of one slot of 10 minutes at most so many odd calls, plus so many times the usual, are learnt as usual; but
all loose ones, of which it is not known what is usual before they are learnt."""

TRUNK_ROW = np.dtype(
    [
        ("key", np.uint64),
        ("newest", np.int64),
        ("attempts", np.uint32, (SLOTS,)),
        ("counts", np.uint16, (KINDS, SLOTS)),
        ("day", np.int64),
        ("usual", np.float64, (1 + KINDS,)),
        ("written", np.int64),
        ("callers", np.int64, (NOTED,)),
        ("callees", np.int64, (NOTED,)),
        ("times", np.int64, (NOTED,)),
        ("odd", np.uint8, (NOTED,)),
    ],
    align=True,
)
"""One trunk: ``attempts`` and ``counts`` of odd calls (near, alike, loose) by slot; ``usual``: the same older
than an hour, halved each ``day``; the latest resembling calls, a ring, and which are ``odd``; of the loose
ones those only."""


class NeighbourParameters(NamedTuple):
    on: bool
    usual: tuple[float, float, float]
    """Of each kind, by a trunk's calls."""
    prior_attempts: float
    new_calls: int
    family: int
    medium: float
    high: float
    pair_calls: int


def parameters_of(settings: NeighbourSettings) -> NeighbourParameters:
    return NeighbourParameters(
        on=settings.mode != "off",
        usual=(settings.usual_near, settings.usual_alike, settings.usual_loose),
        prior_attempts=float(settings.prior_attempts),
        new_calls=settings.new_calls,
        family=settings.family_numbers,
        medium=math.log(settings.medium_odds),
        high=math.log(settings.odds),
        pair_calls=settings.pair_calls,
    )


def new_trunks(trunks: int) -> npt.NDArray[Any]:
    return zeros(power_of_two(trunks), TRUNK_ROW)


@inlined
def resembles(caller: Any, callee: Any) -> Any:
    """Whether two numbers (int64) share all but their last seven digits, and have more than eight."""
    return caller // LOOSE == callee // LOOSE and caller >= 10 * LOOSE and caller != callee


@inlined
def kind_of(caller: Any, callee: Any) -> Any:
    """Which resemblance: 0 near, 1 alike, 2 loose."""
    if caller // ALIKE != callee // ALIKE:
        return LOOSELY
    return 0 if caller // NEAR == callee // NEAR else 1


@inlined
def is_family(caller: Any, callee: Any, p: Any) -> Any:
    """Whether two numbers (int64) are so near each other as those that one buyer got together."""
    return abs(caller - callee) < p.family


@inlined
def _usual(t: Any, kind: Any, prior: Any, p: Any) -> Any:
    """Share of the attempts of a trunk that is usual, where ``prior`` is usual elsewhere."""
    return (t.usual[1 + kind] + prior * p.prior_attempts) / (t.usual[0] + p.prior_attempts)


@inlined
def _attempts(t: Any) -> Any:
    """Attempts of a row: those of the hour and the usual ones before."""
    return np.float64(total(t.attempts)) + t.usual[0]


@inlined
def _odd_calls(t: Any, kind: Any) -> Any:
    """The same of odd calls of a kind."""
    count = t.usual[1 + kind]
    for k in range(SLOTS):
        count += np.float64(t.counts[kind, k])
    return count


@inlined
def _elsewhere(t: Any, all_trunks: Any, attempts: Any, kind: Any, unknown: Any, p: Any) -> Any:
    """Share of the ``attempts`` on others, at least that of settings; ``unknown`` where those are few."""
    if attempts < LEAST_KNOWN:
        return unknown
    return max((_odd_calls(all_trunks, kind) - _odd_calls(t, kind)) / attempts, p.usual[kind])


@inlined
def _learn_slot(t: Any, k: Any, p: Any) -> None:
    """Take slot ``k``, which leaves the hour, for usual."""
    attempts = np.float64(t.attempts[k])
    for kind in range(KINDS):
        prior = 1.0 if kind == LOOSELY else p.usual[kind]
        most = LEARNT_MOST + LEARNT_FACTOR * attempts * _usual(t, kind, prior, p)
        t.usual[1 + kind] += min(np.float64(t.counts[kind, k]), most)
        t.counts[kind, k] = 0
    t.usual[0] += attempts
    t.attempts[k] = 0


@inlined
def _advance(t: Any, time: Any, p: Any) -> None:
    if time <= t.newest:
        return
    old, new = t.newest // SLOT_MS, time // SLOT_MS
    for slot in range(old + 1, min(new, old + SLOTS) + 1):
        _learn_slot(t, slot % SLOTS, p)
    t.newest = time
    days = time // DAY - t.day
    if days > 0:
        for k in range(1 + KINDS):
            t.usual[k] *= 0.5 ** min(days, 60)
        t.day += days


@inlined
def trunk_at(trunks: Any, trunk: Any, time: Any, p: Any) -> Any:
    """Index of ``trunk`` (uint64), advanced to ``time``; the longest silent one of its bucket gives room."""
    base: Any = np.int64(mix(trunk) & np.uint64(trunks.size // _WAYS - 1)) * _WAYS
    at: Any = base
    for k in range(base, base + _WAYS):
        if trunks[k].key == trunk:
            _advance(trunks[k], time, p)
            return k
        if trunks[k].newest < trunks[at].newest:
            at = k
    t = trunks[at]
    t.key = trunk
    t.newest = time
    t.day = time // DAY
    t.written = 0
    for k in range(SLOTS):
        t.attempts[k] = 0
        for kind in range(KINDS):
            t.counts[kind, k] = 0
    for k in range(1 + KINDS):
        t.usual[k] = 0.0
    for k in range(NOTED):
        t.times[k] = 0
    return at


@inlined
def count_call(t: Any, time: Any) -> None:
    """One attempt on a trunk, or on any, at ``time`` (ms)."""
    if t.newest // SLOT_MS - time // SLOT_MS < SLOTS:
        t.attempts[time // SLOT_MS % SLOTS] += np.uint32(1)


@inlined
def note_resembling(t: Any, time: Any, caller: Any, callee: Any, odd: Any) -> None:
    """One attempt whose caller resembles the callee."""
    if not odd and kind_of(caller, callee) == LOOSELY:
        return
    k = t.written % NOTED
    t.written += 1
    t.callers[k] = caller
    t.callees[k] = callee
    t.times[k] = time
    t.odd[k] = np.uint8(1 if odd else 0)


@inlined
def count_odd(t: Any, time: Any, caller: Any, callee: Any) -> None:
    """One odd call on a trunk, or on any."""
    if t.newest // SLOT_MS - time // SLOT_MS >= SLOTS:
        return
    slot, kind = time // SLOT_MS % SLOTS, kind_of(caller, callee)
    t.counts[kind, slot] = np.uint16(min(np.int64(t.counts[kind, slot]) + 1, FULL))


@inlined
def _odds(calls: Any, usual: Any) -> Any:
    """Log of the Poisson likelihood ratio of ``calls`` at their own rate against the usual one."""
    if calls <= usual:
        return 0.0
    return calls * math.log(calls / usual) - (calls - usual)


@inlined
def _window(t: Any, slots: Any, near_prior: Any, alike_prior: Any, loose_prior: Any, p: Any, f: Any) -> None:
    """The window of the last ``slots`` into ``f``, where it says more than what is there. The priors are what
    is usual elsewhere."""
    head = t.newest // SLOT_MS
    attempts, near, alike, loose = 0.0, 0.0, 0.0, 0.0
    for slot in range(head - slots + 1, head + 1):
        attempts += np.float64(t.attempts[slot % SLOTS])
        near += np.float64(t.counts[0, slot % SLOTS])
        alike += np.float64(t.counts[1, slot % SLOTS])
        loose += np.float64(t.counts[2, slot % SLOTS])
    usual_near = attempts * _usual(t, 0, near_prior, p)
    usual_alike = attempts * _usual(t, 1, alike_prior, p)
    usual_loose = attempts * _usual(t, 2, loose_prior, p)
    close = _odds(near, usual_near) + _odds(alike, usual_alike)
    odds = close + _odds(loose, usual_loose)
    if odds > f[6]:
        f[0], f[1], f[2], f[3] = np.float64(slots * 10), attempts, near, alike
        f[4], f[5], f[6] = usual_near, usual_alike, odds
        f[12], f[13], f[14] = loose, usual_loose, close


@inlined
def _recent(t: Any, k: Any) -> Any:
    return t.times[k] > 0 and t.newest - t.times[k] < SLOTS * SLOT_MS


@inlined
def _covered(t: Any, callee: Any, width: Any) -> Any:
    """Odd calls of the last hour within ``width`` numbers with ``callee``; 0 where an ordinary one is."""
    count = 0
    for k in range(NOTED):
        if (
            not _recent(t, k)
            or t.callees[k] // width != callee // width
            or t.callers[k] // width != callee // width
        ):
            continue
        if t.odd[k] == 0:
            return 0
        count += 1
    return count


@inlined
def _people(t: Any, f: Any) -> Any:
    """Distinct callers and callees of the odd calls of the hour into ``f``; the callees' blocks, up to 2."""
    callers, callees, blocks = 0.0, 0.0, 0
    first_block = np.int64(-1)
    for back in range(min(t.written, PEOPLE)):
        k = (t.written - 1 - back) % NOTED
        if not _recent(t, k) or t.odd[k] == 0:
            continue
        new_caller, new_callee = 1.0, 1.0
        for later in range(back):
            j = (t.written - 1 - later) % NOTED
            if _recent(t, j) and t.odd[j] == 1:
                if t.callers[j] == t.callers[k]:
                    new_caller = 0.0
                if t.callees[j] == t.callees[k]:
                    new_callee = 0.0
        callers += new_caller
        callees += new_callee
        block = t.callees[k] // NEAR
        if first_block < 0:
            first_block = block
            blocks = 1
        elif block != first_block:
            blocks = 2
    f[7], f[8] = callers, callees
    return blocks


@inlined
def _needed(odds: Any, width: Any, p: Any) -> Any:
    """Odd calls of a pair before it is proposed: fewer where the trunk leaves no doubt."""
    if width == NEAR and odds >= BEYOND_DOUBT * p.high:
        return min(p.pair_calls, SURE_PAIR_CALLS)
    return p.pair_calls


@inlined
def told_about(trunk: Any, callee: Any, level: Any) -> Any:
    """Key whose telling is rationed: the trunk's, or where there is a rule the callee's block on it."""
    return np.int64(mix2(trunk, callee // NEAR) >> np.uint64(1)) if level >= HIGH else trunk


@inlined
def look(t: Any, all_trunks: Any, callee: Any, p: Any, f: Any) -> Any:
    """Level of a trunk on which an odd call to ``callee`` was just noted; its features into ``f``."""
    f[:] = 0.0
    known = t.usual[0] >= LEAST_KNOWN
    led_astray = all_trunks.newest - t.newest >= SLOTS * SLOT_MS
    others = _attempts(all_trunks) - _attempts(t)
    if others < LEAST_KNOWN and not known and not led_astray:
        return NOTHING
    near = _elsewhere(t, all_trunks, others, 0, p.usual[0], p)
    alike = _elsewhere(t, all_trunks, others, 1, p.usual[1], p)
    loose = _elsewhere(t, all_trunks, others, LOOSELY, 1.0, p) if known else 1.0
    _window(t, LATELY, near, alike, loose, p, f)
    _window(t, SLOTS, near, alike, loose, p, f)
    calls = f[2] + f[3] + f[12]
    if f[6] < p.medium or calls < LEAST:
        return NOTHING
    blocks = _people(t, f)
    for k in range(NOTED):
        if _recent(t, k) and t.odd[k] == 1 and t.callees[k] == callee:
            f[9] += 1.0
    if f[7] < 2.0 or (blocks < 2 and f[9] < LEAST and calls < LEAST_OF_ONE):
        return NOTHING
    digits, width = 4.0, NEAR
    while width <= ALIKE:
        covered = _covered(t, callee, width)
        if covered >= _needed(f[14], width, p):
            f[10], f[11] = digits, np.float64(covered)
            return HIGH if f[14] >= p.high else MEDIUM
        digits += 1.0
        width *= 10
    return MEDIUM


class _Noted(NamedTuple):
    time: int
    caller: int
    callee: int
    odd: bool
    timely: bool
    """Not older than an hour when it came."""


class PlainTrunk:
    """`TRUNK_ROW` in plain Python; keeps every call."""

    def __init__(self, time: int) -> None:
        self.newest, self.day = time, time // DAY
        self.calls: list[int] = []
        self.noted: list[_Noted] = []
        self.usual = [0.0] * (1 + KINDS)

    def advance(self, time: int, p: NeighbourParameters) -> None:
        if time <= self.newest:
            return
        old, new = self.newest // SLOT_MS, time // SLOT_MS
        for gone in range(old + 1, min(new, old + SLOTS) + 1):
            counts = self._window(gone - SLOTS, gone - SLOTS)
            shares = self._shares(p)
            self.usual[0] += counts[0]
            for kind in range(1, 1 + KINDS):
                most = LEARNT_MOST + LEARNT_FACTOR * counts[0] * shares[kind]
                self.usual[kind] += min(counts[kind], most)
        self.newest = time
        days = max(time // DAY - self.day, 0)
        self.usual = [count * 0.5 ** min(days, 60) for count in self.usual]
        self.day += days

    def call(self, time: int) -> None:
        if self.newest // SLOT_MS - time // SLOT_MS < SLOTS:
            self.calls.append(time)

    def resembling(self, time: int, caller: int, callee: int, odd: bool) -> None:
        timely = self.newest // SLOT_MS - time // SLOT_MS < SLOTS
        self.noted.append(_Noted(time, caller, callee, odd, timely))

    def _shares(self, p: NeighbourParameters, others: PlainTrunk | None = None) -> list[float]:
        priors = [*p.usual[:2], 1.0]
        if others is not None:
            attempts, *seen = (a - b for a, b in zip(others._seen(), self._seen(), strict=True))
            if attempts >= LEAST_KNOWN:
                priors = [max(count / attempts, least) for count, least in zip(seen, p.usual, strict=True)]
            if self.usual[0] < LEAST_KNOWN:
                priors[LOOSELY] = 1.0
        usual = (
            (count + prior * p.prior_attempts) / (self.usual[0] + p.prior_attempts)
            for count, prior in zip(self.usual[1:], priors, strict=True)
        )
        return [1.0, *usual]

    def _seen(self) -> list[float]:
        head = self.newest // SLOT_MS
        hour = self._window(head - SLOTS + 1, head)
        return [a + b for a, b in zip(hour, self.usual, strict=True)]

    def _window(self, first: int, last: int) -> list[float]:
        odd = [n for n in self.noted if n.odd and n.timely and first <= n.time // SLOT_MS <= last]
        kinds = [_kind_reference(n.caller, n.callee) for n in odd]
        attempts = sum(first <= t // SLOT_MS <= last for t in self.calls)
        return [float(attempts), *(float(kinds.count(kind)) for kind in range(KINDS))]

    def look(self, others: PlainTrunk, callee: int, p: NeighbourParameters) -> tuple[int, list[float]]:
        known = self.usual[0] >= LEAST_KNOWN
        led_astray = others.newest - self.newest >= SLOTS * SLOT_MS
        if others._seen()[0] - self._seen()[0] < LEAST_KNOWN and not known and not led_astray:
            return NOTHING, []
        head = self.newest // SLOT_MS
        best, looks = [0.0] * 7, [0.0] * 3
        for slots in (LATELY, SLOTS):
            attempts, near, alike, loose = self._window(head - slots + 1, head)
            usual = [attempts * share for share in self._shares(p, others)][1:]
            close = _odds_reference(near, usual[0]) + _odds_reference(alike, usual[1])
            odds = close + _odds_reference(loose, usual[2])
            if odds > best[6]:
                best = [slots * 10.0, attempts, near, alike, usual[0], usual[1], odds]
                looks = [loose, usual[2], close]
        noted = [n for n in self.noted if n.odd or _kind_reference(n.caller, n.callee) < LOOSELY]
        recent = [n for n in noted[-NOTED:] if self.newest - n.time < SLOTS * SLOT_MS]
        odd = [n for n in recent if n.odd]
        people = [n for n in noted[-PEOPLE:] if n in odd]
        callers, callees = len({n.caller for n in people}), len({n.callee for n in people})
        calls, blocks = best[2] + best[3] + looks[0], len({n.callee // NEAR for n in people})
        same = sum(n.callee == callee for n in odd)
        if best[6] < p.medium or callers < 2 or calls < LEAST:
            return NOTHING, []
        if blocks < 2 and same < LEAST and calls < LEAST_OF_ONE:
            return NOTHING, []
        best += [float(callers), float(callees), float(same)]
        for digits in (4, 5, 6):
            width = 10**digits
            covered = [
                n
                for n in recent
                if n.callee // width == callee // width and n.caller // width == callee // width
            ]
            needed = p.pair_calls
            if digits == 4 and looks[2] >= BEYOND_DOUBT * p.high:
                needed = min(needed, SURE_PAIR_CALLS)
            if all(n.odd for n in covered) and len(covered) >= needed:
                level = HIGH if looks[2] >= p.high else MEDIUM
                return level, [*best, float(digits), float(len(covered)), *looks]
        return MEDIUM, [*best, 0.0, 0.0, *looks]


def resembles_reference(caller: int, callee: int) -> bool:
    return caller != callee and str(caller)[:-7] == str(callee)[:-7] and len(str(caller)) > 8 and callee > 0


def _kind_reference(caller: int, callee: int) -> int:
    shared = [str(caller)[:-digits] == str(callee)[:-digits] for digits in (4, 6, 7)]
    return shared.index(True)


def _odds_reference(calls: float, usual: float) -> float:
    return calls * math.log(calls / usual) - (calls - usual) if calls > usual else 0.0


class Neighbour:
    """Turns the signals of `look` into findings."""

    name = "neighbour"

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        f = signal.features
        one_callee = f["same_callee"] >= LEAST
        return Finding(
            subject_type="callee" if one_callee else "trunk",
            subject_value=call.callee_spelled if one_callee else call.trunk,
            kind="neighbour_spoofing",
            level=signal.level,
            score=score_of(f["odds"]),
            evidence=self._evidence(f),
            message=_sentence(f, call),
            proposals=[_pair(f, call, one_callee)] if signal.level >= HIGH else [],
        )

    def _evidence(self, f: dict[str, float]) -> list[Evidence]:
        return weighed(
            [
                ("near", f["near"], f["usual_near"], f["near"] and f["odds"]),
                ("alike", f["alike"], f["usual_alike"], f["alike"]),
                ("loose", f["loose"], f["usual_loose"], f["loose"]),
                ("callers", f["callers"], 1, f["callers"] - 1),
                ("pair_calls", f["pair_calls"], 0, f["pair_calls"]),
            ]
        )


def _pair(f: dict[str, float], call: Call, one_callee: bool) -> Proposal:
    prefix = f"+{call.callee // 10 ** int(f['pair_digits'])}*"
    callee = f"+{call.callee}" if one_callee else prefix
    match = Match(caller=prefix, callee=callee, trunk=call.trunk)
    return proposal(match, f["pair_calls"], f["callers"], 1 if one_callee else f["callees"])


def _sentence(f: dict[str, float], call: Call) -> str:
    usual = f["usual_near"] + f["usual_alike"] + f["usual_loose"]
    odd = f["near"] + f["alike"] + f["loose"]
    return (
        f"{odd:.0f} of {f['attempts']:.0f} calls on trunk {call.trunk} within "
        f"{f['minutes']:.0f} minutes came from new numbers that resemble the callee's ({f['near']:.0f} of "
        f"its own block); {usual:.2f} are usual; {f['callers']:.0f} callers, {f['callees']:.0f} callees, "
        f"last {call.caller_spelled} to {call.callee_spelled}, from {call.from_network or 'unknown'}."
    )
