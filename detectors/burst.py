"""Burst dialling: one number that dials many others and is not wanted by them.

The rate of the last 10 s, minute or ten minutes is only the gate. Then diversity (distinct callees against
attempts: redials of one callee are no burst), and outcome. The outcome is a sequential probability ratio
test (Wald 1945) over the calls of the last ten minutes that are not young (``detectors.windows``). A call is
unanswered, brief (answered for at most 20 s) or became talk; each adds the logarithm of its likelihood under
abuse against that of an ordinary heavy caller. There are two of these, and the one that explains the calls
better counts: a *dialler* (a call centre: few answer, but those talk) and an *announcer* (a notification, a
courier: many answer, shortly). A pending call counts as talk. The *pace* is added, since slow callers are
many and ordinary and fast ones few: 1.5 times the logarithm of the rate against ``pace_10m``, -3 to 2. Two
things raise the log-odds:

- *misdialled*: calls to numbers that do not exist, which people and well-kept lists seldom dial, at most 5;
- *hand*: a mobile number that tries more callees in 10 s than a hand can dial, at most 3.

Two lower them:

- *habit*: the outcome's sum over the day, where it is below 0, at most 10: a number whose calls are
  ordinarily answered needs that much more evidence;
- *reciprocity*: the share of calls to this number among all its calls of the day, above 5 %, at most 6.

From the log of ``notable_odds`` the alert is medium, with no proposal; from that of ``odds`` high, with the
number as the proposal, if outcome and misdialled calls are 2 of it: how fast somebody dials never suffices.
Where the network loses at least half of the calls (an outage), nothing is said.

The second pattern is the prefix probe of toll-fraud scanners: one caller tries the same subscriber number
(its last nine digits) behind several dialling prefixes within ten minutes, and none is answered. The state
is in the caller's row: ``probe[0]`` the number tried and when that began, ``probe[1]`` how many ways it was
dialled (4 bits) and 10 bits of the hash of each of the first six.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from config.settings import BurstSettings
from detectors.calls import NumberKind
from detectors.kernels import inlined, mix
from detectors.plain import Counts
from detectors.shape import (
    CRITICAL,
    HIGH,
    MEDIUM,
    NOTHING,
    PREFIX_PROBE,
    Call,
    Feature,
    Finding,
    Signal,
    proposal,
    weighed,
)
from detectors.sketches import SATURATED
from detectors.windows import Weights, distinct, outcome_odds, total, weights

FEATURES = (
    Feature("calls_10s", "calls", "attempts of the last 10 s", 1),
    Feature("calls_1m", "calls", "attempts of the last minute", 1),
    Feature("calls_10m", "calls", "attempts of the last 10 minutes", 3),
    Feature("callees_10m", "numbers", "distinct callees of the last 10 minutes, estimated up to some 180", 2),
    Feature("unanswered", "calls", "calls of the last 10 minutes, not young, that nobody answered", 1),
    Feature("brief", "calls", "those answered for at most 20 s", 1),
    Feature("talked", "calls", "those answered for longer", 2),
    Feature("pending", "calls", "calls of the last 10 minutes, not young, that are not over", 0),
    Feature("calls_in_day", "calls", "attempts to this number in the last day", 3),
    Feature("calls_day", "calls", "attempts of the last day", 10),
    Feature("outcome", "log-odds", "for abuse, of the outcomes", 0),
    Feature("misdialled", "log-odds", "for abuse, of calls to numbers that do not exist, at least 0", 0),
    Feature("pace", "log-odds", "for abuse, of the rate, -3 to 2", -3),
    Feature("hand", "log-odds", "for abuse, of dialling faster than a hand does, at least 0", 0),
    Feature("habit", "log-odds", "for abuse, of the day, at most 0", 0),
    Feature("reciprocity", "log-odds", "for abuse, of being called, at most 0", 0),
)

PROBE_FEATURES = (
    Feature("prefixes", "prefixes", "distinct ways one number was dialled, up to 6", 1),
    Feature("seconds", "s", "since the first of them", 0),
)

EVIDENCE = (
    Feature("fan_out", "share", "distinct callees of the last 10 minutes, of its attempts", 0.5),
    Feature("talked_share", "share", "of the calls that are over, those answered for more than 6 s", 0.45),
    Feature("called_back", "calls", "attempts to this number in the last day", 3),
)
"""What an alert lists besides."""

HABIT_LIMIT = -10.0
RECIPROCITY_LIMIT = -6.0
RECIPROCITY_SLOPE = 40.0
FRAUD_IN_SHARE = 0.05
"""Share of incoming calls up to which being called back says nothing: fraudsters have 4 % (median), ordinary
users 48 % (research on labelled Chinese call records)."""
CRITICAL_RATE = 10.0
"""Times the gate from which a certain burst is critical."""
MISDIALLED_LIMIT = 5.0
LEAST_DIRECT = 2.0
LIGHT_CALLS = 8
"""Calls of a number within ten minutes up to which they count for its block."""
PACE_SLOPE = 1.5
PACE_LEAST, PACE_MOST = -3.0, 2.0
MINUTE_SHARE = 0.25
"""Of the ten minutes' pace, what one minute must hold to be as fast: calls come in bunches."""
HAND_LIMIT = 3.0
HAND_SLOPE = 1.0
"""Log-odds that each attempt beyond the hand's adds."""
MOBILE = int(NumberKind.MOBILE)
PROBE_SECONDS = 600
MOST_PREFIXES = 6


class BurstParameters(NamedTuple):
    on: bool
    calls_10s: float
    calls_1m: float
    calls_10m: float
    least: float
    """Attempts in ten minutes below which no gate can be reached."""
    fan_out: float
    dialler: Weights
    announcer: Weights
    invalid: float
    """Log-odds that a call to a number which does not exist adds."""
    valid: float
    """Log-odds that any other call adds; below 0."""
    pace_10m: float
    hand_calls: float
    notable: float
    threshold: float
    probe_prefixes: int


def parameters_of(settings: BurstSettings) -> BurstParameters:
    abusive = (settings.abusive_brief, settings.abusive_talked)
    ai, oi = settings.abusive_invalid, settings.ordinary_invalid
    return BurstParameters(
        on=settings.mode != "off",
        calls_10s=float(settings.calls_10s),
        calls_1m=float(settings.calls_1m),
        calls_10m=float(settings.calls_10m),
        least=float(min(settings.calls_10s, settings.calls_1m, settings.calls_10m)),
        fan_out=settings.fan_out,
        dialler=weights(abusive, (settings.dialler_brief, settings.dialler_talked)),
        announcer=weights(abusive, (settings.announcer_brief, settings.announcer_talked)),
        invalid=math.log(ai / oi),
        valid=math.log((1 - ai) / (1 - oi)),
        pace_10m=float(settings.pace_10m),
        hand_calls=float(settings.hand_calls),
        notable=math.log(settings.notable_odds),
        threshold=math.log(settings.odds),
        probe_prefixes=settings.probe_prefixes,
    )


@inlined
def misdialled_odds(invalid: Any, calls: Any, p: Any) -> Any:
    """Log-odds for abuse of ``invalid`` calls to numbers that do not exist among ``calls`` (float64)."""
    invalid = min(invalid, calls)
    return min(max(invalid * p.invalid + (calls - invalid) * p.valid, 0.0), MISDIALLED_LIMIT)


@inlined
def look(row: Any, inbound: Any, kind: Any, p: Any, f: Any) -> Any:
    """Level of one caller's row; its features into ``f``.

    ``inbound`` attempts to the same number in the last day; ``kind`` of the number, a `NumberKind`.
    """
    calls = np.float64(total(row.attempts))
    if calls < p.least:
        return NOTHING
    calls_10s = np.float64(total(row.two_seconds))
    calls_1m = np.float64(total(row.ten_seconds))
    rate = max(calls_10s / p.calls_10s, calls_1m / p.calls_1m, calls / p.calls_10m)
    if rate < 1.0:
        return NOTHING
    failed = total(row.failed)
    if 2.0 * np.float64(failed) >= calls:
        return NOTHING
    callees = min(distinct(row.counterparts), calls)
    if callees < p.fan_out * calls and callees < SATURATED:
        return NOTHING
    outcome, unanswered, brief, talked, pending = outcome_odds(row, failed, p.dialler, p.announcer)
    day = np.float64(total(row.day_attempts))
    day_talked = np.float64(total(row.day_talked))
    habit = max(day - day_talked, 0.0) * p.dialler.unanswered + day_talked * p.dialler.talked
    habit = min(max(habit, HABIT_LIMIT), 0.0)
    share = inbound / max(inbound + day, 1.0)
    reciprocity = min(max((FRAUD_IN_SHARE - share) * RECIPROCITY_SLOPE, RECIPROCITY_LIMIT), 0.0)
    misdialled = misdialled_odds(np.float64(total(row.marked)), calls, p)
    pace = math.log(max(calls / p.pace_10m, calls_1m / (MINUTE_SHARE * p.pace_10m)))
    pace = min(max(pace * PACE_SLOPE, PACE_LEAST), PACE_MOST)
    hand = 0.0
    if kind == MOBILE:
        hand = min(max((calls_10s - p.hand_calls) * HAND_SLOPE, 0.0), HAND_LIMIT)
    odds = outcome + misdialled + pace + hand + habit + reciprocity
    if odds < p.notable:
        return NOTHING
    f[:] = 0.0
    f[0], f[1], f[2], f[3] = calls_10s, calls_1m, calls, callees
    f[4], f[5], f[6], f[7], f[8], f[9] = unanswered, brief, talked, pending, inbound, day
    f[10], f[11], f[12], f[13], f[14], f[15] = outcome, misdialled, pace, hand, habit, reciprocity
    if odds < p.threshold or outcome + misdialled < LEAST_DIRECT:
        return MEDIUM
    if rate >= CRITICAL_RATE and odds >= 2.0 * p.threshold:
        return CRITICAL
    return HIGH


@inlined
def probe(row: Any, time: Any, callee: Any, tail: Any, p: Any, f: Any) -> Any:
    """Note one attempt on ``callee`` (int64), whose last nine digits are ``tail``; level of the probe."""
    second = max(time // 1_000, 0) & 0xFFFFFFFF
    held_tail = np.int64(row.probe[0] >> np.uint64(32))
    began = np.int64(row.probe[0] & np.uint64(0xFFFFFFFF))
    if row.probe[1] == 0 or held_tail != tail or abs(second - began) > PROBE_SECONDS:
        row.probe[0] = (np.uint64(tail) << np.uint64(32)) | np.uint64(second)
        row.probe[1] = 0
    prefixes = _note_prefix(row, callee)
    if prefixes < p.probe_prefixes:
        return NOTHING
    f[:] = 0.0
    f[0] = np.float64(prefixes)
    f[1] = np.float64(abs(second - np.int64(row.probe[0] & np.uint64(0xFFFFFFFF))))
    return HIGH


@inlined
def _note_prefix(row: Any, callee: Any) -> Any:
    """Notes one way of dialling; how many there were."""
    word = row.probe[1]
    known = np.int64(word & np.uint64(15))
    mark = mix(callee) >> np.uint64(54)
    for k in range(known):
        if (word >> np.uint64(4 + 10 * k)) & np.uint64(1023) == mark:
            return known
    if known == MOST_PREFIXES:
        return known
    row.probe[1] = (word | (mark << np.uint64(4 + 10 * known))) + np.uint64(1)
    return known + 1


@inlined
def probe_answered(row: Any, tail: Any) -> None:
    """A call to ``tail`` was answered: somebody who got through is not probing."""
    if np.int64(row.probe[0] >> np.uint64(32)) == tail:
        row.probe[1] = 0


def misdialled_reference(counts: Counts, calls: int, p: Any) -> float:
    """As `misdialled_odds`."""
    invalid = min(counts.recent(counts.marked), calls)
    odds: float = invalid * p.invalid + (calls - invalid) * p.valid
    return min(max(odds, 0.0), MISDIALLED_LIMIT)


def look_reference(counts: Counts, inbound: int, kind: int, p: BurstParameters) -> tuple[int, list[float]]:
    """What `look` decides, and its features, from the events themselves."""
    calls_10s, calls_1m, calls = counts.calls(2_000, 5), counts.calls(10_000, 6), counts.calls(60_000, 10)
    gates = (calls_10s / p.calls_10s, calls_1m / p.calls_1m, calls / p.calls_10m)
    callees = min(counts.counterparts(), calls)
    outage = 2 * counts.recent(counts.failures) >= calls
    redials = callees < p.fan_out * calls and callees < SATURATED
    if calls < p.least or max(gates) < 1 or outage or redials:
        return NOTHING, []
    day, day_talked = counts.calls(10_800_000, 8), counts.talks(10_800_000, 8)
    outcome, unanswered, brief, talked, pending = counts.outcome_odds(
        counts.recent(counts.failures), p.dialler, p.announcer
    )
    habit = max(day - day_talked, 0) * p.dialler.unanswered + day_talked * p.dialler.talked
    habit = sorted((HABIT_LIMIT, habit, 0.0))[1]
    share = inbound / max(inbound + day, 1)
    reciprocity = sorted((RECIPROCITY_LIMIT, (FRAUD_IN_SHARE - share) * RECIPROCITY_SLOPE, 0.0))[1]
    misdialled = misdialled_reference(counts, calls, p)
    speed = max(calls / p.pace_10m, calls_1m / (MINUTE_SHARE * p.pace_10m))
    pace = sorted((PACE_LEAST, PACE_SLOPE * math.log(speed), PACE_MOST))[1]
    hand = sorted((0.0, (calls_10s - p.hand_calls) * HAND_SLOPE, HAND_LIMIT))[1] if kind == MOBILE else 0.0
    odds = outcome + misdialled + pace + hand + habit + reciprocity
    if odds < p.notable:
        return NOTHING, []
    features = [calls_10s, calls_1m, calls, callees, unanswered, brief, talked, pending, inbound, day]
    features += [outcome, misdialled, pace, hand, habit, reciprocity]
    if odds < p.threshold or outcome + misdialled < LEAST_DIRECT:
        return MEDIUM, features
    certain = max(gates) >= CRITICAL_RATE and odds >= 2 * p.threshold
    return CRITICAL if certain else HIGH, features


def probe_reference(
    counts: Counts, time: int, callee: int, tail: int, p: BurstParameters
) -> tuple[int, list[float]]:
    """What `probe` notes and decides, and its features."""
    second = time // 1_000
    if counts.probe is None or counts.probe[0] != tail or abs(second - counts.probe[1]) > PROBE_SECONDS:
        counts.probe = (tail, second, set())
    counts.probe[2].add(callee)
    prefixes = min(len(counts.probe[2]), MOST_PREFIXES)
    if prefixes < p.probe_prefixes:
        return NOTHING, []
    return HIGH, [float(prefixes), float(abs(second - counts.probe[1]))]


class Burst:
    """Turns the signals of `look` and `probe` into findings."""

    name = "burst"

    def __init__(self, settings: BurstSettings) -> None:
        self._parameters = parameters_of(settings)

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        return self._probe(signal, call) if signal.pattern == PREFIX_PROBE else self._number(signal, call)

    def _number(self, signal: Signal, call: Call) -> Finding:
        f = signal.features
        proposals = []
        if signal.level >= HIGH:
            proposals = [proposal(call.caller_match, f["calls_day"], 1, f["callees_10m"])]
        return Finding(
            subject_type="number",
            subject_value=call.caller_spelled,
            kind="burst",
            level=signal.level,
            score=_score(f),
            evidence=self._evidence(f),
            message=f"{_named(call)} {_did(f)} {_outcome(f)}; {_way(call)}.",
            proposals=proposals,
            apart="" if call.caller >= 0 else call.trunk,
        )

    def _probe(self, signal: Signal, call: Call) -> Finding:
        prefixes = signal.features["prefixes"]
        seconds = signal.features["seconds"]
        tried = f"{call.callee_tail:09d}"
        return Finding(
            subject_type="number",
            subject_value=call.caller_spelled,
            kind="prefix_probe",
            level=signal.level,
            score=round(1 - 0.5**prefixes, 4),
            evidence=weighed(
                [
                    ("prefixes", prefixes, 1, prefixes),
                    ("seconds", seconds, PROBE_SECONDS, 1 if seconds < 60 else 0.5),
                ]
            ),
            message=(
                f"{_named(call)} on trunk {call.trunk or 'unknown'} tried "
                f"{prefixes:.0f}{' or more' if prefixes >= MOST_PREFIXES else ''} dialling prefixes "
                f"within {seconds:.0f} s to reach the number that ends in {tried} (last as "
                f"{call.callee_spelled}), unanswered: a toll-fraud scan."
            ),
            proposals=[proposal(call.caller_match, signal.calls, 1, prefixes)],
            apart="" if call.caller >= 0 else call.trunk,
        )

    def _evidence(self, f: dict[str, float]) -> Any:
        p = self._parameters
        rate = max(
            (f["calls_10s"] / p.calls_10s, "calls_10s", 1.0),
            (f["calls_1m"] / p.calls_1m, "calls_1m", 1.0),
            (f["calls_10m"] / p.calls_10m, "calls_10m", 3.0),
        )
        fan_out = f["callees_10m"] / f["calls_10m"]
        if f["callees_10m"] >= SATURATED:
            fan_out = max(fan_out, p.fan_out)
        return weighed(
            [
                (rate[1], f[rate[1]], rate[2], max(f["pace"], 0.5)),
                ("fan_out", fan_out, 0.5, 2 * fan_out),
                ("talked_share", f["talked"] / max(_ends(f), 1.0), 0.45, f["outcome"]),
                ("misdialled", f["misdialled"], 0, f["misdialled"]),
                ("hand", f["hand"], 0, f["hand"]),
                ("called_back", f["calls_in_day"], 3, 1.0 if f["calls_in_day"] == 0 else 0.0),
            ]
        )


def _ends(f: dict[str, float]) -> float:
    return f["unanswered"] + f["brief"] + f["talked"]


def _score(f: dict[str, float]) -> float:
    odds = sum(f[name] for name in ("outcome", "misdialled", "pace", "hand", "habit", "reciprocity"))
    return round(1 / (1 + math.exp(-min(odds, 30.0))), 4)


def _named(call: Call) -> str:
    return call.caller_spelled if call.caller >= 0 else f"Caller {call.caller_text!r}"


def _did(f: dict[str, float]) -> str:
    callees = f["callees_10m"]
    numbers = "more than 150 numbers" if callees >= SATURATED else f"about {callees:.0f} numbers"
    return f"called {numbers} {f['calls_10m']:.0f} times in 10 minutes ({f['calls_1m']:.0f} in the last one);"


def _outcome(f: dict[str, float]) -> str:
    if _ends(f) == 0:
        return "too early to know their outcome"
    back = (
        "nobody called it back" if f["calls_in_day"] == 0 else f"it was called {f['calls_in_day']:.0f} times"
    )
    return f"{f['talked']:.0f} of {_ends(f):.0f} finished calls became talk, {back} today"


def _way(call: Call) -> str:
    return f"trunk {call.trunk or 'unknown'}, from {call.from_network or 'unknown'}"
