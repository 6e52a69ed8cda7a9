"""Burst dialling: one number that dials many others and is not wanted by them.

The rate of the last 10 s, minute or ten minutes is only the gate. Then diversity (distinct callees against
attempts: redials of one callee or two are no burst, those of several are from ``redials`` calls on), and
outcome: that of the calls of the last ten minutes that are not young (``detectors.outcomes``). The *pace* is
added, since slow callers are many and ordinary and fast ones few: 1.5 times the logarithm of the rate against
``pace_10m``, -3 to 2. Two things raise the log-odds:

- *misdialled*: calls to numbers that do not exist, which people and well-kept lists seldom dial, at most 5;
- *hand*: a mobile number that tries more callees in 10 s than a hand can dial, at most 5.

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
from detectors.outcomes import (
    OutcomeParameters,
    habit_odds,
    habit_reference,
    misdialled_odds,
    misdialled_reference,
    outcome_odds,
    outcome_odds_reference,
    outcome_parameters,
)
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
    score_of,
    weighed,
)
from detectors.sketches import SATURATED
from detectors.windows import distinct, total

FEATURES = (
    Feature("calls_10s", "calls", "attempts of the last 10 s", 1),
    Feature("calls_1m", "calls", "attempts of the last minute", 1),
    Feature("calls_10m", "calls", "attempts of the last 10 minutes", 3),
    Feature("callees_10m", "numbers", "distinct callees of the last 10 minutes, estimated up to some 180", 2),
    Feature("unanswered", "calls", "calls of the last 10 minutes, not young, that nobody answered", 1),
    Feature("brief", "calls", "those answered for 6 to 20 s", 1),
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
    Feature("short", "calls", "calls of the last 10 minutes answered for at most 6 s", 0),
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

RECIPROCITY_LIMIT = -6.0
RECIPROCITY_SLOPE = 40.0
FRAUD_IN_SHARE = 0.05
"""Share of incoming calls up to which being called back says nothing: fraudsters have 4 % (median), ordinary
users 48 % (research on labelled Chinese call records)."""
CRITICAL_RATE = 10.0
"""Times the gate from which a certain burst is critical."""
LEAST_DIRECT = 2.0
LIGHT_CALLS = 8
"""Calls of a number within ten minutes up to which they count for its block."""
PACE_SLOPE = 1.5
PACE_LEAST, PACE_MOST = -3.0, 2.0
MINUTE_SHARE = 0.25
"""Of the ten minutes' pace, what one minute must hold to be as fast: calls come in bunches."""
LEAST_REDIALLED = 2.5
"""Callees, as estimated, below which redials are somebody's who wants to get through."""
HAND_LIMIT = 5.0
HAND_SLOPE = 1.0
"""Log-odds that each attempt beyond the hand's adds."""
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
    redials: float
    pace_10m: float
    hand_calls: float
    outcomes: OutcomeParameters
    probe_prefixes: int


def parameters_of(settings: BurstSettings) -> BurstParameters:
    return BurstParameters(
        on=settings.mode != "off",
        calls_10s=float(settings.calls_10s),
        calls_1m=float(settings.calls_1m),
        calls_10m=float(settings.calls_10m),
        least=float(min(settings.calls_10s, settings.calls_1m, settings.calls_10m)),
        fan_out=settings.fan_out,
        redials=float(settings.redials),
        pace_10m=float(settings.pace_10m),
        hand_calls=float(settings.hand_calls),
        outcomes=outcome_parameters(settings),
        probe_prefixes=settings.probe_prefixes,
    )


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
    few = callees < p.fan_out * calls and callees < SATURATED
    if few and (calls < p.redials or callees < LEAST_REDIALLED):
        return NOTHING
    o = p.outcomes
    outcome, unanswered, short, brief, talked, pending = outcome_odds(row, failed, o.robot, o.silent)
    day = np.float64(total(row.day_attempts))
    habit = habit_odds(day, np.float64(total(row.day_talked)), o)
    share = inbound / max(inbound + day, 1.0)
    reciprocity = min(max((FRAUD_IN_SHARE - share) * RECIPROCITY_SLOPE, RECIPROCITY_LIMIT), 0.0)
    misdialled = misdialled_odds(np.float64(total(row.marked)), calls, o)
    pace = math.log(max(calls / p.pace_10m, calls_1m / (MINUTE_SHARE * p.pace_10m)))
    pace = min(max(pace * PACE_SLOPE, PACE_LEAST), PACE_MOST)
    hand = 0.0
    if kind == NumberKind.MOBILE:
        hand = min(max((calls_10s - p.hand_calls) * HAND_SLOPE, 0.0), HAND_LIMIT)
    odds = outcome + misdialled + pace + hand + habit + reciprocity
    if odds < o.notable:
        return NOTHING
    f[:] = 0.0
    f[0], f[1], f[2], f[3] = calls_10s, calls_1m, calls, callees
    f[4], f[5], f[6], f[7], f[8], f[9] = unanswered, brief, talked, pending, inbound, day
    f[10], f[11], f[12], f[13], f[14], f[15] = outcome, misdialled, pace, hand, habit, reciprocity
    f[16] = short
    if odds < o.threshold or outcome + misdialled < LEAST_DIRECT:
        return MEDIUM
    if rate >= CRITICAL_RATE and odds >= 2.0 * o.threshold:
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


def look_reference(counts: Counts, inbound: int, kind: int, p: BurstParameters) -> tuple[int, list[float]]:
    """What `look` decides, and its features, from the events themselves."""
    calls_10s, calls_1m, calls = counts.calls(2_000, 5), counts.calls(10_000, 6), counts.calls(60_000, 10)
    gates = (calls_10s / p.calls_10s, calls_1m / p.calls_1m, calls / p.calls_10m)
    callees = min(counts.counterparts(), calls)
    outage = 2 * counts.recent(counts.failures) >= calls
    redials = callees < p.fan_out * calls and callees < SATURATED
    excused = redials and (calls < p.redials or callees < LEAST_REDIALLED)
    if calls < p.least or max(gates) < 1 or outage or excused:
        return NOTHING, []
    day, day_talked = counts.calls(10_800_000, 8), counts.talks(10_800_000, 8)
    o = p.outcomes
    outcome, unanswered, short, brief, talked, pending = outcome_odds_reference(
        counts, counts.recent(counts.failures), o.robot, o.silent
    )
    habit = habit_reference(day, day_talked, o)
    share = inbound / max(inbound + day, 1)
    reciprocity = sorted((RECIPROCITY_LIMIT, (FRAUD_IN_SHARE - share) * RECIPROCITY_SLOPE, 0.0))[1]
    misdialled = misdialled_reference(counts, calls, o)
    speed = max(calls / p.pace_10m, calls_1m / (MINUTE_SHARE * p.pace_10m))
    pace = sorted((PACE_LEAST, PACE_SLOPE * math.log(speed), PACE_MOST))[1]
    hand = (
        sorted((0.0, (calls_10s - p.hand_calls) * HAND_SLOPE, HAND_LIMIT))[1]
        if kind == NumberKind.MOBILE
        else 0.0
    )
    odds = outcome + misdialled + pace + hand + habit + reciprocity
    if odds < o.notable:
        return NOTHING, []
    features = [calls_10s, calls_1m, calls, callees, unanswered, brief, talked, pending, inbound, day]
    features += [outcome, misdialled, pace, hand, habit, reciprocity, short]
    if odds < o.threshold or outcome + misdialled < LEAST_DIRECT:
        return MEDIUM, features
    certain = max(gates) >= CRITICAL_RATE and odds >= 2 * o.threshold
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
    return f["unanswered"] + f["short"] + f["brief"] + f["talked"]


def _score(f: dict[str, float]) -> float:
    odds = sum(f[name] for name in ("outcome", "misdialled", "pace", "hand", "habit", "reciprocity"))
    return score_of(odds)


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
