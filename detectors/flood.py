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
from detectors.signals import CONTACT, CONTACTS, FAILED, PENDING, TALKED, UNWANTED
from detectors.subjects import index_of, power_of_two, zeros
from detectors.suspects import room_for
from detectors.windows import distinct, total

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
)

EVIDENCE = (
    Feature("talked_share", "share", "of the calls that are over, those answered for more than 6 s", 0.5),
    Feature("stranger_share", "share", "of the noted calls, those by callers it never talked with", 0.3),
)
"""What an alert lists besides."""

SCATTERED = 2.5
"""Times the gate that calls must be of which most callers make but one: so people call back a missed call."""
IN_USE = 4.0
"""Talks, and calls pending, in ten minutes beyond the abusive share that show a line in use."""
AUTOMATIC = 0.8
"""Share of answered calls from which the callee is an automatic service."""
TEN_MINUTES_A_DAY = 144.0
MOST_PROPOSALS = 16
FEW_CALLERS = 5
"""Up to so many repeaters of one block are proposed one by one."""
MOSTLY = 0.5
"""Share of calls by strangers below which a finding without a rule is low: an alarm centre, a help line."""
ALL_BUT = 0.95
"""Share of a trunk's calls to the callee that must be by strangers without talk."""
COVERED = 0.5
"""Share of those from which narrower proposals are enough."""


class FloodParameters(NamedTuple):
    on: bool
    calls_10s: float
    calls_1m: float
    calls_10m: float
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
def look(row: Any, p: Any, f: Any) -> Any:
    """Level of one callee's row; its features into ``f``."""
    calls = np.float64(total(row.attempts))
    if calls < min(p.calls_10s, p.calls_1m, p.calls_10m):
        return NOTHING
    calls_10s = np.float64(total(row.two_seconds))
    calls_1m = np.float64(total(row.ten_seconds))
    rate = max(calls_10s / p.calls_10s, calls_1m / p.calls_1m, calls / p.calls_10m)
    callers = min(distinct(row.counterparts), calls)
    if rate < (SCATTERED if 2.0 * callers > calls else 1.0):
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
    if ends >= p.min_ends and f[10] >= AUTOMATIC:
        return NOTHING
    if ends < p.min_ends or outcome < p.threshold or talked + pending > IN_USE + p.abusive_talked * ends:
        return MEDIUM
    return HIGH


def look_reference(counts: Counts, p: FloodParameters) -> tuple[int, list[float]]:
    """What `look` decides, and its features, from the events themselves."""
    calls_10s, calls_1m, calls = counts.calls(2_000, 5), counts.calls(10_000, 6), counts.calls(60_000, 10)
    day = counts.calls(10_800_000, 8)
    habit = max(day - calls, 0) / TEN_MINUTES_A_DAY
    gates = (calls_10s / p.calls_10s, calls_1m / p.calls_1m, calls / p.calls_10m)
    outage = 2 * counts.recent(counts.failures) >= calls
    callers = min(counts.counterparts(), calls)
    gate = SCATTERED if 2 * callers > calls else 1
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
        if level >= HIGH:
            proposals = contacts.callers(call) + contacts.blocks(call)
            trunks = contacts.trunks(call, self._trunks)
            proposals = (trunks + proposals)[:MOST_PROPOSALS]
            level = CRITICAL if trunks else HIGH
        elif contacts.stranger_share < MOSTLY:
            level = LOW
        return Finding(
            subject_type="callee",
            subject_value=call.callee_spelled,
            kind="call_bombing" if f["callers_10m"] * 3 < f["calls_10m"] else "call_flood",
            level=level,
            score=score_of(f["outcome"]),
            evidence=self._evidence(f, contacts),
            message=self._sentence(f, call, contacts),
            proposals=proposals,
            apart="" if call.callee >= 0 else call.trunk,
        )

    def _evidence(self, f: dict[str, float], contacts: _Contacts) -> Any:
        p = self._parameters
        rate = max(
            (f["calls_10s"] / p.calls_10s, "calls_10s"),
            (f["calls_1m"] / p.calls_1m, "calls_1m"),
            (f["calls_10m"] / p.calls_10m, "calls_10m"),
        )
        return weighed(
            [
                (rate[1], f[rate[1]], 1, min(math.log2(1 + rate[0]), 4.0)),
                ("habit_10m", f["habit_10m"], 0.1, 1.0),
                ("talked_share", f["talked"] / max(f["ends"], 1.0), 0.5, f["outcome"]),
                ("stranger_share", contacts.stranger_share, 0.3, contacts.stranger_share),
            ]
        )

    def _sentence(self, f: dict[str, float], call: Call, contacts: _Contacts) -> str:
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
            if time > signal.time - 600_000 and outcome != FAILED
        ]
        talked = {contact.caller for contact in self._all if contact.outcome == TALKED}
        self._bad = [c for c in self._all if c.stranger and c.caller not in talked]
        self._by_caller: dict[int, list[_Contact]] = defaultdict(list)
        for contact in self._bad:
            self._by_caller[contact.caller].append(contact)

    @property
    def stranger_share(self) -> float:
        return sum(c.stranger for c in self._all) / len(self._all) if self._all else 0.0

    def _proven(self, callers: list[int]) -> bool:
        """Whether at least half of these callers' attempts are known to have come to nothing."""
        attempts = [contact for caller in callers for contact in self._by_caller[caller]]
        return 2 * sum(contact.outcome == UNWANTED for contact in attempts) >= len(attempts)

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
            proven = sum(contact.outcome == UNWANTED for contact in bad)
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
