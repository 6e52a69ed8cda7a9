"""Call bombing: so many calls to one callee that it cannot use its telephone.

Attempts on one callee in 10 s, a minute or ten minutes are the gate, and must be several times what the
callee ordinarily gets. Then outcome, as in ``detectors.burst`` a sequential probability ratio test over the
calls of the last ten minutes that are not young: a call that became talk speaks for an ordinary line (a
birthday), one that did not for a flood, and one that found the line busy says nothing: it may be the flood,
or a shop at sale time. Where more become talk, or are pending, than a flood explains, the line is in use and
no rule is proposed. Where the network
loses at least half of the calls it is an outage with its redials, and nothing is said. Where at least 80 %
are answered it is an automatic service (a vote, an alarm centre), and nothing is said. Service and emergency
numbers are no subject.

Proposals name the strangers, never the victim's own circle. From a low count of calls on, a callee is
*watched*: its last 128 attempts are noted with caller, trunk and outcome, and whether the caller is a
stranger: not one the callee called, or talked with at length, today or yesterday. From these notes:

- one stranger with enough attempts and no talk: that caller to this callee;
- several strangers of one block, none of whom talked: their narrowest common prefix to this callee;
- a trunk whose calls to this callee are nearly all by scattered strangers without talk: that trunk to this
  callee, which makes the alert critical.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import FloodSettings
from detectors.alert import Match, Proposal
from detectors.calls import BLOCK
from detectors.kernels import inlined
from detectors.outcomes import Against, Weights, log_ratios, outcome_odds, outcome_odds_reference
from detectors.plain import Counts
from detectors.shape import (
    CRITICAL,
    HIGH,
    LOW,
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
from detectors.signals import BRIEF, CONTACT, CONTACTS, FAILED, GIVEN_UP, PENDING, TALKED, UNWANTED
from detectors.subjects import index_of, power_of_two, zeros
from detectors.suspects import room_for
from detectors.windows import MINUTE, distinct, total

FEATURES = (
    Feature("calls_10s", "calls", "attempts on the callee in the last 10 s", 1),
    Feature("calls_1m", "calls", "attempts of the last minute", 1),
    Feature("calls_10m", "calls", "attempts of the last 10 minutes", 1),
    Feature("callers_10m", "numbers", "distinct callers of the last 10 minutes, estimated up to some 180", 1),
    Feature("ends", "calls", "calls of the last 10 minutes, not young, that are over", 1),
    Feature("talked", "calls", "those answered for more than 20 s", 1),
    Feature("pending", "calls", "calls of the last 10 minutes, not young, that are not over", 0),
    Feature("habit_10m", "calls", "attempts in an ordinary 10 minutes of the day before", 0.1),
    Feature("calls_day", "calls", "attempts of the last day", 5),
    Feature("outcome", "log-odds", "for abuse, of the outcomes", 0),
    Feature(
        "answered_share", "share", "of the calls of the last 10 minutes that are over, those answered", 1
    ),
    Feature("span", "min", "over which it is a flood: 10, 60, or 1 440 for the last day", 10),
    Feature("calls_span", "calls", "attempts over the span", 1),
    Feature("talked_span", "calls", "those answered for more than 20 s", 1),
)

EVIDENCE = (
    Feature("talked_share", "share", "of the calls that are over, those answered for more than 6 s", 0.5),
    Feature("stranger_share", "share", "of the noted calls, those by callers it never talked with", 0.3),
)
"""What an alert lists besides."""

SCATTERED = 2.5
"""Times the gate that calls must be of which most callers make but one, unless the gate is passed by
strangers who make it ring: so people call back a missed call."""
GIVEN_UP_SHARE, LEAST_GIVEN_UP = 0.2, 3.0
SHORT_SPAN, LONG_SPANS = 10.0, (60.0, 1_440.0)
"""Minutes. A campaign may last for hours, with a call every few minutes."""
IN_USE = 4.0
"""Talks, and calls pending, in ten minutes beyond the abusive share that show a line in use."""
AUTOMATIC = 0.8
"""Share of answered calls from which the callee is an automatic service."""
TEN_MINUTES_A_DAY = 144.0
HOURS_BEFORE = 23.0
MOST_PROPOSALS = 16
FEW_CALLERS = 5
"""Up to so many repeaters of one block are proposed one by one."""
MOSTLY = 0.5
"""Share of calls by strangers below which a finding without a rule is low: an alarm centre, a help line."""
ALL_BUT = 0.95
"""Share of a trunk's calls to the callee that must be by strangers without talk."""
FRUITLESS = (UNWANTED, BRIEF, GIVEN_UP)
"""Outcomes of calls that came to nothing."""
COVERED = 0.5
"""Share of those from which narrower proposals are enough."""


class FloodParameters(NamedTuple):
    on: bool
    calls_10s: float
    calls_1m: float
    calls_10m: float
    calls_1h: float
    calls_1d: float
    watch: int
    habit_factor: float
    min_ends: float
    abusive_talked: float
    against: Against
    """A brief answer is as unwanted as none."""
    notable: float
    threshold: float
    length_ms: int


def parameters_of(settings: FloodSettings) -> FloodParameters:
    a, o = settings.abusive_talked, settings.ordinary_talked
    unwanted, talked = log_ratios([a], [o])
    weights = Weights(unwanted, unwanted, unwanted, talked)
    return FloodParameters(
        on=settings.mode != "off",
        calls_10s=float(settings.calls_10s),
        calls_1m=float(settings.calls_1m),
        calls_10m=float(settings.calls_10m),
        calls_1h=float(settings.calls_1h),
        calls_1d=float(settings.calls_1d),
        watch=settings.watch_10m,
        habit_factor=settings.habit_factor,
        min_ends=float(settings.min_ends),
        abusive_talked=a,
        against=Against(weights, weights, weights),
        notable=math.log(settings.notable_odds),
        threshold=math.log(settings.odds),
        length_ms=settings.length_ms,
    )


class Watched(NamedTuple):
    """Callees whose attempts are noted: ``keys`` int64 (n,), 0 where free; ``touched`` ms (n,); ``written``
    attempts ever noted (n,); ``contacts`` `CONTACT` (n, CONTACTS), a ring each."""

    keys: npt.NDArray[np.int64]
    touched: npt.NDArray[np.int64]
    written: npt.NDArray[np.int64]
    contacts: npt.NDArray[Any]


def new_watched(callees: int) -> Watched:
    n = power_of_two(callees)
    contacts = zeros(n * CONTACTS, CONTACT).reshape(n, CONTACTS)
    return Watched(zeros(n, np.int64), zeros(n, np.int64), zeros(n, np.int64), contacts)


@inlined
def note_attempt(
    watched: Any, callee: Any, now: Any, time: Any, caller: Any, call: Any, trunk: Any, stranger: Any
) -> None:
    """Note one attempt on ``callee``; the longest silent one of its bucket gives room where there is none."""
    at = index_of(watched.keys, callee)
    if at < 0:
        at = room_for(watched.keys, watched.touched, callee)
        watched.keys[at] = callee
        watched.written[at] = 0
    watched.touched[at] = now
    contact = watched.contacts[at, watched.written[at] % CONTACTS]
    watched.written[at] += 1
    contact.caller = caller
    contact.call = call
    contact.trunk = trunk
    contact.time = time
    contact.outcome = np.uint8(PENDING)
    contact.stranger = np.uint8(1 if stranger else 0)


@inlined
def note_outcome(watched: Any, callee: Any, call: Any, outcome: Any) -> None:
    """Note what became of ``call`` (uint64) where it is still among the callee's last attempts."""
    at = index_of(watched.keys, callee)
    if at < 0:
        return
    last = watched.written[at]
    for k in range(last - 1, max(last - CONTACTS, 0) - 1, -1):
        contact = watched.contacts[at, k % CONTACTS]
        if contact.call == call:
            contact.outcome = np.uint8(outcome)
            return


@inlined
def copy_contacts(watched: Any, callee: Any, into: Any) -> None:
    """The callee's noted attempts, oldest first; ``into`` is `CONTACT` (CONTACTS,), unused ones time 0."""
    at = index_of(watched.keys, callee)
    last = watched.written[at] if at >= 0 else 0
    first = max(last - CONTACTS, 0)
    for k in range(CONTACTS):
        target = into[k]
        if first + k >= last:
            target.time = 0
            continue
        contact = watched.contacts[at, (first + k) % CONTACTS]
        target.caller = contact.caller
        target.call = contact.call
        target.trunk = contact.trunk
        target.time = contact.time
        target.outcome = contact.outcome
        target.stranger = contact.stranger


@inlined
def pestering(watched: Any, callee: Any, since: Any) -> Any:
    """Noted attempts after ``since`` (ms) by strangers whom nobody talked with, where the callee is made to
    ring rather than called: callers give up three, and a fifth of what is over, after a ring. Else 0.

    Not where the network lost half of them.
    """
    at = index_of(watched.keys, callee)
    if at < 0:
        return np.int64(0)
    bad, over, given_up, lost = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for k in range(min(watched.written[at], CONTACTS)):
        contact = watched.contacts[at, k]
        if contact.time <= since:
            continue
        lost += contact.outcome == FAILED
        over += contact.outcome != PENDING
        given_up += contact.outcome == GIVEN_UP
        bad += contact.stranger == 1 and contact.outcome != TALKED and contact.outcome != FAILED
    if given_up < max(GIVEN_UP_SHARE * over, LEAST_GIVEN_UP) or 2 * lost > over:
        return np.int64(0)
    return bad


@inlined
def _odds(calls: Any, talked: Any, p: Any) -> Any:
    """Log-odds of calls of a long time, of which ``talked`` became talk; all others are over by now."""
    return (calls - talked) * p.against.dialler.unanswered + talked * p.against.dialler.talked


@inlined
def is_watched_for_long(row: Any, p: Any) -> Any:
    """Whether a callee's attempts are noted although they are few in ten minutes."""
    day = np.float64(total(row.day_attempts))
    if 2.0 * day < min(p.calls_1h, p.calls_1d):
        return False
    hour = np.float64(total(row.hour_attempts))
    if 2.0 * hour >= p.calls_1h and _odds(hour, np.float64(total(row.hour_talked)), p) > 0.0:
        return True
    return 2.0 * day >= p.calls_1d and _odds(day, np.float64(total(row.day_talked)), p) > 0.0


@inlined
def look_long(row: Any, watched: Any, callee: Any, p: Any, f: Any) -> Any:
    """As `look`, over the last hour and the last day, of a callee that is made to ring."""
    day, hour = np.float64(total(row.day_attempts)), np.float64(total(row.hour_attempts))
    if hour < p.calls_1h and day < p.calls_1d:
        return NOTHING
    talked, span, calls, outcome = 0.0, 0.0, 0.0, 0.0
    if hour >= p.calls_1h and hour >= p.habit_factor * (day - hour) / HOURS_BEFORE:
        talked = np.float64(total(row.hour_talked))
        span, calls, outcome = LONG_SPANS[0], hour, _odds(hour, talked, p)
    if day >= p.calls_1d:
        talked_day = np.float64(total(row.day_talked))
        odds = _odds(day, talked_day, p)
        if odds > outcome:
            talked, span, calls, outcome = talked_day, LONG_SPANS[1], day, odds
    if outcome < p.notable:
        return NOTHING
    since = row.newest - np.int64(span) * MINUTE
    if 2.0 * np.float64(pestering(watched, callee, since)) < min(p.calls_1h, p.calls_1d):
        return NOTHING
    f[:] = 0.0
    f[2], f[8], f[9] = np.float64(total(row.attempts)), day, outcome
    f[11], f[12], f[13] = span, calls, talked
    if outcome < p.threshold or talked > IN_USE + p.abusive_talked * calls:
        return MEDIUM
    return HIGH


@inlined
def calls_of(f: Any) -> Any:
    """Attempts on the callee that its features speak of."""
    return np.int64(f[12])


@inlined
def look(row: Any, watched: Any, callee: Any, p: Any, f: Any) -> Any:
    """Level of one callee's row; its features into ``f``."""
    calls = np.float64(total(row.attempts))
    if calls < min(p.calls_10s, p.calls_1m, p.calls_10m):
        return NOTHING
    calls_10s = np.float64(total(row.two_seconds))
    calls_1m = np.float64(total(row.ten_seconds))
    rate = max(calls_10s / p.calls_10s, calls_1m / p.calls_1m, calls / p.calls_10m)
    callers = min(distinct(row.counterparts), calls)
    if rate < 1.0:
        return NOTHING
    is_scattered = rate < SCATTERED and 2.0 * callers > calls
    if is_scattered and pestering(watched, callee, row.newest - 10 * MINUTE) < p.calls_10m:
        return NOTHING
    if 2.0 * np.float64(total(row.failed)) >= calls:
        return NOTHING
    day = np.float64(total(row.day_attempts))
    habit = max(day - calls, 0.0) / TEN_MINUTES_A_DAY
    if calls < p.habit_factor * habit:
        return NOTHING
    aside = total(row.failed) + total(row.marked)
    outcome, unanswered, short, brief, talked, pending = outcome_odds(row, aside, p.against, p.against)
    ends = unanswered + short + brief + talked
    if outcome < p.notable:
        return NOTHING
    f[:] = 0.0
    f[0], f[1], f[2], f[3] = calls_10s, calls_1m, calls, callers
    f[4], f[5], f[6], f[7], f[8], f[9] = ends, talked, pending, habit, day, outcome
    f[10] = np.float64(total(row.answered)) / max(np.float64(total(row.ends)), 1.0)
    f[11], f[12], f[13] = SHORT_SPAN, calls, talked
    if ends >= p.min_ends and f[10] >= AUTOMATIC:
        return NOTHING
    if ends < p.min_ends or outcome < p.threshold or talked + pending > IN_USE + p.abusive_talked * ends:
        return MEDIUM
    return HIGH


def _odds_reference(calls: int, talked: int, p: FloodParameters) -> float:
    weights = p.against.dialler
    return (calls - talked) * weights.unanswered + talked * weights.talked


def _spans_reference(counts: Counts) -> tuple[tuple[int, int], tuple[int, int]]:
    """Attempts and talks of the last hour and the last day."""
    return (
        (counts.calls(600_000, 6), counts.talks(600_000, 6)),
        (counts.calls(10_800_000, 8), counts.talks(10_800_000, 8)),
    )


def is_watched_for_long_reference(counts: Counts, p: FloodParameters) -> bool:
    """As `is_watched_for_long`."""
    return any(
        2 * calls >= gate and _odds_reference(calls, talked, p) > 0
        for (calls, talked), gate in zip(_spans_reference(counts), (p.calls_1h, p.calls_1d), strict=True)
    )


class Note(NamedTuple):
    """A noted attempt in plain Python."""

    time: int
    outcome: int
    stranger: bool


def pestering_reference(notes: list[Note], since: int) -> int:
    """As `pestering`."""
    became = [note.outcome for note in notes if note.time > since]
    over = sum(outcome != PENDING for outcome in became)
    if became.count(GIVEN_UP) < max(GIVEN_UP_SHARE * over, LEAST_GIVEN_UP) or 2 * became.count(FAILED) > over:
        return 0
    return sum(n.stranger and n.outcome not in (TALKED, FAILED) for n in notes if n.time > since)


def look_long_reference(counts: Counts, notes: list[Note], p: FloodParameters) -> tuple[int, list[float]]:
    """As `look_long`, from the events themselves."""
    hour, day = _spans_reference(counts)
    unusual = hour[0] >= p.habit_factor * (day[0] - hour[0]) / HOURS_BEFORE
    found = [
        (_odds_reference(calls, talked, p), -span, calls, talked)
        for (calls, talked), gate, fits, span in (
            (hour, p.calls_1h, unusual, LONG_SPANS[0]),
            (day, p.calls_1d, True, LONG_SPANS[1]),
        )
        if calls >= gate and fits
    ]
    odds, span, calls, talked = max(found, default=(0.0, 0.0, 0, 0))
    pestered = pestering_reference(notes, counts.newest - int(-span) * MINUTE)
    if odds < p.notable or 2 * pestered < min(p.calls_1h, p.calls_1d):
        return NOTHING, []
    calls_10m = counts.calls(60_000, 10)
    features = [0, 0, calls_10m, 0, 0, 0, 0, 0, day[0], odds, 0, -span, calls, talked]
    certain = odds >= p.threshold and talked <= IN_USE + p.abusive_talked * calls
    return (HIGH if certain else MEDIUM), [float(value) for value in features]


def look_reference(counts: Counts, notes: list[Note], p: FloodParameters) -> tuple[int, list[float]]:
    """What `look` decides, and its features, from the events themselves."""
    calls_10s, calls_1m, calls = counts.calls(2_000, 5), counts.calls(10_000, 6), counts.calls(60_000, 10)
    day = counts.calls(10_800_000, 8)
    habit = max(day - calls, 0) / TEN_MINUTES_A_DAY
    gates = (calls_10s / p.calls_10s, calls_1m / p.calls_1m, calls / p.calls_10m)
    outage = 2 * counts.recent(counts.failures) >= calls
    callers = min(counts.counterparts(), calls)
    pestered = pestering_reference(notes, counts.newest - 10 * MINUTE)
    gate = SCATTERED if 2 * callers > calls and pestered < p.calls_10m else 1
    if max(gates) < gate or outage or calls < p.habit_factor * habit:
        return NOTHING, []
    aside = counts.recent(counts.failures) + counts.recent(counts.marked)
    outcome, *over, talked, pending = outcome_odds_reference(counts, aside, p.against, p.against)
    ends = sum(over) + talked
    answered = counts.answered() / max(counts.ends(), 1)
    automatic = ends >= p.min_ends and answered >= AUTOMATIC
    if outcome < p.notable or automatic:
        return NOTHING, []
    features = [calls_10s, calls_1m, calls, callers, ends, talked, pending, habit, day, outcome, answered]
    features += [SHORT_SPAN, calls, talked]
    in_use = talked + pending > IN_USE + p.abusive_talked * ends
    certain = ends >= p.min_ends and outcome >= p.threshold and not in_use
    return (HIGH if certain else MEDIUM), features


class Flood:
    """Turns the signals of `look` into findings. ``trunks`` names a trunk by its hash."""

    name = "flood"

    def __init__(self, settings: FloodSettings, trunks: Mapping[int, str]) -> None:
        self._settings = settings
        self._parameters = parameters_of(settings)
        self._trunks = trunks

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        f = signal.features
        contacts = _Contacts(signal, self._settings)
        level, proposals = signal.level, list[Proposal]()
        if level >= HIGH and f["span"] > SHORT_SPAN:
            proposals = contacts.pesterers(call)
            level = HIGH if proposals else MEDIUM
        elif level >= HIGH:
            proposals = contacts.callers(call) + contacts.blocks(call)
            trunks = contacts.trunks(call, self._trunks)
            proposals = (trunks + proposals)[:MOST_PROPOSALS]
            level = CRITICAL if trunks else HIGH
        elif contacts.stranger_share < MOSTLY:
            level = LOW
        return Finding(
            subject_type="callee",
            subject_value=call.callee_spelled,
            kind="call_bombing" if 3 * contacts.callers_of(f) < f["calls_span"] else "call_flood",
            level=level,
            score=score_of(f["outcome"]),
            evidence=self._evidence(f, contacts),
            message=self._sentence(f, call, contacts),
            proposals=proposals,
            apart="" if call.callee >= 0 else call.trunk,
        )

    def _evidence(self, f: dict[str, float], contacts: _Contacts) -> Any:
        p = self._parameters
        gate = p.calls_1h if f["span"] == LONG_SPANS[0] else p.calls_1d
        rate = max(
            (f["calls_10s"] / p.calls_10s, "calls_10s"),
            (f["calls_1m"] / p.calls_1m, "calls_1m"),
            (f["calls_10m"] / p.calls_10m, "calls_10m"),
            (f["calls_span"] / gate if f["span"] > SHORT_SPAN else 0.0, "calls_span"),
        )
        over = f["calls_span"] if f["span"] > SHORT_SPAN else f["ends"]
        return weighed(
            [
                (rate[1], f[rate[1]], 1, min(math.log2(1 + rate[0]), 4.0)),
                ("habit_10m", f["habit_10m"], 0.1, 1.0),
                ("talked_share", f["talked_span"] / max(over, 1.0), 0.5, f["outcome"]),
                ("stranger_share", contacts.stranger_share, 0.3, contacts.stranger_share),
            ]
        )

    def _sentence(self, f: dict[str, float], call: Call, contacts: _Contacts) -> str:
        if f["span"] > SHORT_SPAN:
            span = "an hour" if f["span"] == LONG_SPANS[0] else "a day"
            return (
                f"{call.callee_spelled} was called {f['calls_span']:.0f} times in {span} by at least "
                f"{contacts.callers_of(f):.0f} numbers, {contacts.stranger_share:.0%} of the calls by "
                f"strangers; {f['talked_span']:.0f} of them became talk; "
                f"last over trunk {call.trunk or 'unknown'}, "
                f"from {call.from_network or 'unknown'}."
            )
        callers = "more than 150" if f["callers_10m"] >= 150 else f"about {f['callers_10m']:.0f}"
        outcome = (
            f"{f['talked']:.0f} of {f['ends']:.0f} finished calls became talk"
            if f["ends"]
            else "too early to know their outcome"
        )
        return (
            f"{call.callee_spelled} was called {f['calls_10m']:.0f} times in 10 minutes "
            f"({f['calls_1m']:.0f} in the last one; {f['habit_10m']:.1f} in 10 is usual) by {callers} "
            f"numbers, {contacts.stranger_share:.0%} of the calls by strangers; {outcome}; "
            f"last over trunk {call.trunk or 'unknown'}, from {call.from_network or 'unknown'}."
        )


class _Contact(NamedTuple):
    caller: int
    trunk: int
    outcome: int
    stranger: bool


class _Contacts:
    """The noted attempts of one callee, as of a signal."""

    def __init__(self, signal: Signal, settings: FloodSettings) -> None:
        self._settings = settings
        recent = [] if signal.contacts is None else signal.contacts[signal.contacts["time"] > 0].tolist()
        self._all = [
            _Contact(caller, trunk, outcome, bool(stranger))
            for caller, _, trunk, time, outcome, stranger in recent
            if time > signal.time - MINUTE * signal.features["span"] and outcome != FAILED
        ]
        talked = {contact.caller for contact in self._all if contact.outcome == TALKED}
        self._bad = [c for c in self._all if c.stranger and c.caller not in talked]
        self._by_caller: dict[int, list[_Contact]] = defaultdict(list)
        for contact in self._bad:
            self._by_caller[contact.caller].append(contact)

    def callers_of(self, f: dict[str, float]) -> float:
        """Distinct callers of the signal's span; of a long one those that were noted."""
        return f["callers_10m"] if f["span"] == SHORT_SPAN else len({c.caller for c in self._all})

    @property
    def stranger_share(self) -> float:
        return sum(c.stranger for c in self._all) / len(self._all) if self._all else 0.0

    def _proven(self, callers: list[int]) -> bool:
        """Whether at least half of these callers' attempts are known to have come to nothing."""
        attempts = [contact for caller in callers for contact in self._by_caller[caller]]
        return 2 * sum(contact.outcome in FRUITLESS for contact in attempts) >= len(attempts)

    def _repeaters(self) -> list[int]:
        return sorted(
            (
                caller
                for caller, attempts in self._by_caller.items()
                if caller >= 0 and len(attempts) >= self._settings.caller_attempts and self._proven([caller])
            ),
            key=lambda caller: (-len(self._by_caller[caller]), caller),
        )

    def _blocks(self) -> list[tuple[int, list[int]]]:
        """Blocks with enough strangers, and these."""
        members: dict[int, list[int]] = defaultdict(list)
        for caller in self._by_caller:
            if caller >= BLOCK:
                members[caller // BLOCK].append(caller)
        return sorted(
            (
                (block, callers)
                for block, callers in members.items()
                if len(callers) >= self._settings.block_callers and self._proven(callers)
            ),
            key=lambda item: (-len(item[1]), item[0]),
        )

    def _wide_blocks(self) -> list[tuple[int, list[int]]]:
        """Blocks whose callers are too many, or call too seldom, to be named one by one."""
        repeaters = set(self._repeaters())
        return [
            (block, callers)
            for block, callers in self._blocks()
            if len(callers) > FEW_CALLERS or not repeaters.issuperset(callers)
        ]

    def callers(self, call: Call) -> list[Proposal]:
        covered = {caller for _, callers in self._wide_blocks() for caller in callers}
        return [
            proposal(_to(call, f"+{caller}"), len(self._by_caller[caller]), 1, 1)
            for caller in self._repeaters()
            if caller not in covered
        ]

    def pesterers(self, call: Call) -> list[Proposal]:
        """Strangers who called twice as often as is enough in ten minutes, and gave up after a ring."""
        return [
            proposal(_to(call, f"+{caller}"), len(self._by_caller[caller]), 1, 1)
            for caller in self._repeaters()
            if len(self._by_caller[caller]) >= 2 * self._settings.caller_attempts
            and any(contact.outcome == GIVEN_UP for contact in self._by_caller[caller])
        ][:MOST_PROPOSALS]

    def blocks(self, call: Call) -> list[Proposal]:
        return [
            proposal(
                _to(call, f"+{narrowest_prefix(min(callers), max(callers))}*"),
                sum(len(self._by_caller[caller]) for caller in callers),
                len(callers),
                1,
            )
            for _, callers in self._wide_blocks()
        ]

    def trunks(self, call: Call, names: Mapping[int, str]) -> list[Proposal]:
        """Trunks whose calls to the callee are nearly all by strangers that no narrower proposal covers, or
        too many of them would be needed: so callers that are used up one after the other are stopped."""
        narrow = set(self._repeaters()) | {caller for _, callers in self._blocks() for caller in callers}
        if len(self.callers(call)) + len(self.blocks(call)) > MOST_PROPOSALS:
            narrow = set()
        found = []
        for trunk in sorted({contact.trunk for contact in self._all}, key=lambda t: names.get(t, "")):
            name = names.get(trunk, "")
            over = [contact for contact in self._all if contact.trunk == trunk]
            bad = [contact for contact in self._bad if contact.trunk == trunk]
            covered = sum(contact.caller in narrow for contact in bad)
            proven = sum(contact.outcome in FRUITLESS for contact in bad)
            enough = len(bad) >= self._settings.trunk_attempts and len(bad) >= ALL_BUT * len(over)
            if name and enough and 2 * proven >= len(bad) and covered < COVERED * len(bad):
                callers = len({contact.caller for contact in bad})
                found.append(proposal(_to(call, None, name), len(over), callers, 1))
        return found


def _to(call: Call, caller: str | None, trunk: str | None = None) -> Match:
    """A match of this callee; a text callee means something only with its trunk."""
    if call.callee < 0:
        return Match(caller=caller, callee=call.callee_text, trunk=trunk or call.trunk)
    return Match(caller=caller, callee=f"+{call.callee}", trunk=trunk)
