"""Burst dialling: one number, or one number block, that dials many others and is not wanted by them.

The rate of the last 10 s, minute or ten minutes is only the gate. Then diversity (distinct callees against
attempts: redials of one callee are no burst), and outcome. The outcome is a sequential probability ratio
test (Wald 1945) over the calls of the last ten minutes that are not young (``detectors.windows``): with ``a``
the share of an abusive caller's calls that become talk and ``o`` that of the worst ordinary heavy caller, a
call without talk adds ``ln((1 - a) / (1 - o))`` to the log-odds and one with talk, or pending, ``ln(a / o)``
(below 0).
Calls to numbers that do not exist, which people and well-kept lists seldom dial, raise them in the same way,
at most 5. Two things lower them:

- *habit*: the same sum over the day, where it is below 0, at most 10: a number whose calls are ordinarily
  answered needs that much more evidence;
- *reciprocity*: the share of calls to this number among all its calls of the day, above 5 %, at most 6.

Below -2 nothing is said; a suspect rate without enough outcomes is medium, with no proposal; from the log of
the configured odds it is high, with the number as the proposal. Where the network loses at least half of the
calls (an outage), nothing is said of anybody.

A block is a subject for what its numbers do below the gate: a number counts there until its eighth call
within ten minutes, then it is a subject itself. It is proposed, on the trunk of most of these calls, only
where practically all of its last hour was bad and nobody ordinary was heard of there during the day: no talk
before that hour, and nobody who called one of its numbers and talked.

The second pattern is the prefix probe of toll-fraud scanners: one caller tries the same subscriber number
(its last nine digits) behind several dialling prefixes within ten minutes, and none is answered. The state
is in the caller's row: ``probe[0]`` the number tried and when that began, ``probe[1]`` how many ways it was
dialled (4 bits) and 10 bits of the hash of each of the first six.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from config.settings import BurstSettings
from detectors.alert import Match, Proposal
from detectors.calls import BLOCK
from detectors.kernels import inlined, mix, popcount
from detectors.plain import Counts
from detectors.shape import (
    BURST_BLOCK,
    CRITICAL,
    HIGH,
    MEDIUM,
    NOTHING,
    PREFIX_PROBE,
    Call,
    Feature,
    Finding,
    Signal,
    narrowest_prefix,
    proposal,
    weighed,
)
from detectors.sketches import LINEAR, SATURATED
from detectors.windows import distinct, log_odds, total

FEATURES = (
    Feature("calls_10s", "calls", "attempts of the last 10 s", 1),
    Feature("calls_1m", "calls", "attempts of the last minute", 1),
    Feature("calls_10m", "calls", "attempts of the last 10 minutes", 3),
    Feature("callees_10m", "numbers", "distinct callees of the last 10 minutes, estimated up to some 180", 2),
    Feature("ends", "calls", "calls of the last 10 minutes, not young, that are over", 3),
    Feature("talked", "calls", "those answered for more than 6 s", 2),
    Feature("pending", "calls", "calls of the last 10 minutes, not young, that are not over", 0),
    Feature("calls_in_day", "calls", "attempts to this number in the last day (0 for a block)", 3),
    Feature("calls_day", "calls", "attempts of the last day", 10),
    Feature("outcome", "log-odds", "for abuse, of the outcomes", 0),
    Feature("habit", "log-odds", "for abuse, of the day, at most 0", 0),
    Feature("reciprocity", "log-odds", "for abuse, of being called, at most 0", 0),
    Feature("numbers", "numbers", "distinct numbers of the block that called in the last two hours", 1),
    Feature("misdialled", "log-odds", "for abuse, of calls to numbers that do not exist, at least 0", 0),
    Feature("span", "digits", "10 000 times the lowest, plus the highest last four digits of the block", 0),
)

PROBE_FEATURES = (
    Feature("prefixes", "prefixes", "distinct ways one number was dialled, up to 6", 1),
    Feature("seconds", "s", "since the first of them", 0),
)

QUIET_ODDS = -2.0
"""Log-odds below which the outcomes speak for the caller."""
HABIT_LIMIT = -10.0
RECIPROCITY_LIMIT = -6.0
RECIPROCITY_SLOPE = 40.0
FRAUD_IN_SHARE = 0.05
"""Share of incoming calls up to which being called back says nothing: fraudsters have 4 % (median), ordinary
users 48 % (research on labelled Chinese call records)."""
CRITICAL_RATE = 10.0
"""Times the gate from which a certain burst is critical."""
MISDIALLED_LIMIT = 5.0
LIGHT_CALLS = 8
"""Calls of a number within ten minutes up to which they count for its block."""
ORDINARY_IN_BLOCK = 2.0
"""Calls with talk, by the block before the last hour or to it, that it may have had today or yesterday and
still be proposed."""
PROBE_SECONDS = 600
MOST_PREFIXES = 6


class BurstParameters(NamedTuple):
    on: bool
    calls_10s: float
    calls_1m: float
    calls_10m: float
    least: float
    """Attempts in ten minutes below which no gate can be reached."""
    block_factor: float
    block_numbers: float
    block_talked: float
    fan_out: float
    min_ends: float
    unwanted: float
    """Log-odds that a call without talk adds."""
    talked: float
    """Log-odds that a call with talk adds; below 0."""
    invalid: float
    """Log-odds that a call to a number which does not exist adds."""
    valid: float
    """Log-odds that any other call adds; below 0."""
    threshold: float
    probe_prefixes: int


def parameters_of(settings: BurstSettings) -> BurstParameters:
    a, o = settings.abusive_talked, settings.ordinary_talked
    ai, oi = settings.abusive_invalid, settings.ordinary_invalid
    return BurstParameters(
        on=settings.mode != "off",
        calls_10s=float(settings.calls_10s),
        calls_1m=float(settings.calls_1m),
        calls_10m=float(settings.calls_10m),
        least=float(min(settings.calls_10s, settings.calls_1m, settings.calls_10m)),
        block_factor=float(settings.block_factor),
        block_numbers=float(settings.block_numbers),
        block_talked=settings.block_talked,
        fan_out=settings.fan_out,
        min_ends=float(settings.min_ends),
        unwanted=math.log((1 - a) / (1 - o)),
        talked=math.log(a / o),
        invalid=math.log(ai / oi),
        valid=math.log((1 - ai) / (1 - oi)),
        threshold=math.log(settings.odds),
        probe_prefixes=settings.probe_prefixes,
    )


@inlined
def look(row: Any, inbound: Any, factor: Any, p: Any, f: Any) -> Any:
    """Level of one caller or block row; its features into ``f``.

    ``inbound`` attempts to the same number in the last day; ``factor`` 1 or, for a block, its multiple of the
    gates.
    """
    calls = np.float64(total(row.attempts))
    if calls < p.least * factor:
        return NOTHING
    calls_10s = np.float64(total(row.two_seconds))
    calls_1m = np.float64(total(row.ten_seconds))
    rate = max(calls_10s / p.calls_10s, calls_1m / p.calls_1m, calls / p.calls_10m) / factor
    if rate < 1.0:
        return NOTHING
    if 2.0 * np.float64(total(row.failed)) >= calls:
        return NOTHING
    callees = min(distinct(row.counterparts), calls)
    if callees < p.fan_out * calls and callees < SATURATED:
        return NOTHING
    day = np.float64(total(row.day_attempts))
    outcome, ends, talked, pending = log_odds(row, total(row.failed), p.unwanted, p.talked)
    day_talked = np.float64(total(row.day_talked))
    habit = max(day - day_talked, 0.0) * p.unwanted + day_talked * p.talked
    habit = min(max(habit, HABIT_LIMIT), 0.0)
    share = inbound / max(inbound + day, 1.0)
    reciprocity = min(max((FRAUD_IN_SHARE - share) * RECIPROCITY_SLOPE, RECIPROCITY_LIMIT), 0.0)
    invalid = min(np.float64(total(row.marked)), calls)
    misdialled = min(max(invalid * p.invalid + (calls - invalid) * p.valid, 0.0), MISDIALLED_LIMIT)
    odds = outcome + misdialled + habit + reciprocity
    if odds < QUIET_ODDS:
        return NOTHING
    f[0], f[1], f[2], f[3] = calls_10s, calls_1m, calls, callees
    f[4], f[5], f[6], f[7], f[8] = ends, talked, pending, inbound, day
    f[9], f[10], f[11], f[12] = outcome, habit, reciprocity, 1.0
    f[13], f[14] = misdialled, 0.0
    if ends < p.min_ends or odds < p.threshold:
        return MEDIUM
    if rate >= CRITICAL_RATE and odds >= 2.0 * p.threshold:
        return CRITICAL
    return HIGH


@inlined
def look_block(row: Any, p: Any, f: Any) -> Any:
    """Level of one block row; its features into ``f``."""
    numbers = LINEAR[popcount(row.numbers[0] | row.numbers[1])]
    if numbers < p.block_numbers:
        return NOTHING
    level = look(row, 0.0, p.block_factor, p, f)
    if level == NOTHING:
        return NOTHING
    f[12] = numbers
    f[14] = np.float64((10_000 - np.int64(row.span[0])) * 10_000 + np.int64(row.span[1]) - 1)
    hour_talked = np.float64(total(row.hour_talked))
    if hour_talked > p.block_talked * np.float64(total(row.hour_attempts)):
        return MEDIUM
    if np.float64(total(row.day_talked)) - hour_talked > ORDINARY_IN_BLOCK:
        return MEDIUM
    if np.float64(row.circle[0]) + np.float64(row.circle[1]) > ORDINARY_IN_BLOCK:
        return MEDIUM
    return level


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


def look_reference(
    counts: Counts, inbound: int, factor: float, p: BurstParameters
) -> tuple[int, list[float]]:
    """What `look` decides, and its features, from the events themselves."""
    calls_10s, calls_1m, calls = counts.calls(2_000, 5), counts.calls(10_000, 6), counts.calls(60_000, 10)
    gates = (calls_10s / p.calls_10s, calls_1m / p.calls_1m, calls / p.calls_10m)
    callees = min(counts.counterparts(), calls)
    outage = 2 * counts.recent(counts.failures) >= calls
    redials = callees < p.fan_out * calls and callees < SATURATED
    if calls < p.least * factor or max(gates) < factor or outage or redials:
        return NOTHING, []
    day, day_talked = counts.calls(10_800_000, 8), counts.talks(10_800_000, 8)
    outcome, ends, talked, pending = counts.log_odds(p, counts.recent(counts.failures))
    habit = max(day - day_talked, 0) * p.unwanted + day_talked * p.talked
    habit = sorted((HABIT_LIMIT, habit, 0.0))[1]
    share = inbound / max(inbound + day, 1)
    reciprocity = sorted((RECIPROCITY_LIMIT, (FRAUD_IN_SHARE - share) * RECIPROCITY_SLOPE, 0.0))[1]
    invalid = min(counts.recent(counts.marked), calls)
    misdialled = sorted((0.0, invalid * p.invalid + (calls - invalid) * p.valid, MISDIALLED_LIMIT))[1]
    odds = outcome + misdialled + habit + reciprocity
    features = [calls_10s, calls_1m, calls, callees, ends, talked, pending, inbound, day]
    features += [outcome, habit, reciprocity, 1.0, misdialled, 0.0]
    if odds < QUIET_ODDS:
        return NOTHING, []
    if ends < p.min_ends or odds < p.threshold:
        return MEDIUM, features
    certain = max(gates) / factor >= CRITICAL_RATE and odds >= 2 * p.threshold
    return CRITICAL if certain else HIGH, features


def look_block_reference(counts: Counts, p: BurstParameters) -> tuple[int, list[float]]:
    """What `look_block` decides, and its features."""
    if counts.numbers() < p.block_numbers:
        return NOTHING, []
    level, features = look_reference(counts, 0, p.block_factor, p)
    if level == NOTHING:
        return NOTHING, []
    last = [attempt.counterpart % BLOCK for attempt in counts.callers]
    features[12] = counts.numbers()
    features[14] = float(min(last) * BLOCK + max(last))
    hour_talked = counts.talks(600_000, 6)
    talk_to = counts.window(counts.talks_to, 86_400_000, 2)
    ordinary = (
        hour_talked > p.block_talked * counts.calls(600_000, 6)
        or counts.talks(10_800_000, 8) - hour_talked > ORDINARY_IN_BLOCK
        or talk_to > ORDINARY_IN_BLOCK
    )
    return (MEDIUM if ordinary else level), features


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
    """Turns the signals of `look`, `look_block` and `probe` into findings. ``trunks`` names them by hash."""

    name = "burst"

    def __init__(self, settings: BurstSettings, trunks: Mapping[int, str]) -> None:
        self._trunks = trunks
        self._parameters = parameters_of(settings)

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        if signal.pattern == PREFIX_PROBE:
            return self._probe(signal, call)
        if signal.pattern == BURST_BLOCK:
            return self._block(signal, call)
        return self._number(signal, call)

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
            evidence=self._evidence(f, 1.0),
            message=f"{_named(call)} {_did(f)} {_outcome(f)}; {_way(call)}.",
            proposals=proposals,
            apart="" if call.caller >= 0 else call.trunk,
        )

    def _block(self, signal: Signal, call: Call) -> Finding:
        f = signal.features
        block = signal.key
        low, high = divmod(int(f["span"]), BLOCK)
        prefix = narrowest_prefix(block * BLOCK + low, block * BLOCK + high)
        trunk = self._trunks.get(signal.trunk, "")
        proposals: list[Proposal] = []
        if signal.level >= HIGH and trunk:
            match = Match(caller=f"+{prefix}*", trunk=trunk)
            proposals = [proposal(match, f["calls_day"], f["numbers"], f["callees_10m"])]
        return Finding(
            subject_type="block",
            subject_value=f"+{block}*",
            kind="block_burst",
            level=signal.level,
            score=_score(f),
            evidence=self._evidence(f, self._parameters.block_factor),
            message=(
                f"About {f['numbers']:.0f} numbers of block +{block}* {_did(f)} {_outcome(f)}; "
                f"mostly over trunk {trunk or 'unknown'}."
            ),
            proposals=proposals,
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

    def _evidence(self, f: dict[str, float], factor: float) -> Any:
        p = self._parameters
        rate = max(
            (f["calls_10s"] / p.calls_10s, "calls_10s", 1.0),
            (f["calls_1m"] / p.calls_1m, "calls_1m", 1.0),
            (f["calls_10m"] / p.calls_10m, "calls_10m", 3.0),
        )
        ends = max(f["ends"], 1.0)
        fan_out = f["callees_10m"] / f["calls_10m"]
        if f["callees_10m"] >= SATURATED:
            fan_out = max(fan_out, p.fan_out)
        return weighed(
            [
                (rate[1], f[rate[1]], rate[2] * factor, min(math.log2(1 + rate[0] / factor), 4.0)),
                ("fan_out", fan_out, 0.5, 2 * fan_out),
                ("talked_share", f["talked"] / ends, 0.45, f["outcome"]),
                ("misdialled", f["misdialled"], 0, f["misdialled"]),
                ("called_back", f["calls_in_day"], 3, 1.0 if f["calls_in_day"] == 0 else 0.0),
            ]
        )


def _score(f: dict[str, float]) -> float:
    odds = f["outcome"] + f["misdialled"] + f["habit"] + f["reciprocity"]
    return round(1 / (1 + math.exp(-min(odds, 30.0))), 4)


def _named(call: Call) -> str:
    return call.caller_spelled if call.caller >= 0 else f"Caller {call.caller_text!r}"


def _did(f: dict[str, float]) -> str:
    callees = f["callees_10m"]
    numbers = "more than 150 numbers" if callees >= SATURATED else f"about {callees:.0f} numbers"
    return f"called {numbers} {f['calls_10m']:.0f} times in 10 minutes ({f['calls_1m']:.0f} in the last one);"


def _outcome(f: dict[str, float]) -> str:
    if f["ends"] == 0:
        return "too early to know their outcome"
    back = (
        "nobody called it back" if f["calls_in_day"] == 0 else f"it was called {f['calls_in_day']:.0f} times"
    )
    return f"{f['talked']:.0f} of {f['ends']:.0f} finished calls became talk, {back} today"


def _way(call: Call) -> str:
    return f"trunk {call.trunk or 'unknown'}, from {call.from_network or 'unknown'}"
