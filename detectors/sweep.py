"""Sequential number sweep: callees one after another, by one number or shared among numbers of one block.

A *trail* remembers the last 16 distinct callees of a suspect, by their last nine digits. A callee that is not
among them, and that the caller did not know before, is *close* or *near* to the nearest of them, or *far*.
The sum of the log-likelihood ratios of these, from 0 (Page's test, 1954), is the evidence of the *run*: gaps
up to the step, shuffling within a few places, several runs at once and a few calls elsewhere all leave it
rising; whoever dials numbers that merely come in order, or a company's few extensions now and then, does not
keep it up. It knows no window, so that a sweep of hours counts like one of seconds.

A run alone is no abuse: a list may be dense. So the outcomes of its calls are weighed, with calls to numbers
that do not exist. Nothing is said before these speak for abuse at 2 to 1, and for a rule they must say far
more, the most where the run leaves numbers out. Lowered by *habit*: other talk of the caller today.

A caller gets a trail with its first callee next to the one before, or with the fourth call within ten
minutes. A block gets one when a number with few calls dials next to one of the block's last three callees;
where two or more numbers keep the run up, the block is the subject and its numbers are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from config.settings import SweepSettings
from detectors.alert import Evidence
from detectors.kernels import inlined, popcount
from detectors.shape import (
    HIGH,
    MEDIUM,
    NOTHING,
    SWEEP_BLOCK,
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
from detectors.windows import latest, total

FEATURES = (
    Feature("run", "numbers", "distinct callees of the run", 1),
    Feature("succession", "log-odds", "for abuse, of the steps from callee to callee, 0 to 12", 0),
    Feature("mean_step", "numbers", "width of the runs by the callees in them", 1_000_000),
    Feature("upward", "share", "of the steps, those upward", 0.5),
    Feature("minutes", "min", "since the run began", 0),
    Feature("ends", "calls", "calls of the run that are over", 3),
    Feature("talked", "calls", "those answered for more than 6 s", 2),
    Feature("invalid", "calls", "those to numbers that do not exist", 0),
    Feature("pending", "calls", "calls of the run, older than 10 to 20 s, that are not over", 0),
    Feature("outcome", "log-odds", "for abuse, of the outcomes", 0),
    Feature("misdialled", "log-odds", "for abuse, of calls to numbers that do not exist, 0 to 5", 0),
    Feature("habit", "log-odds", "for abuse, of other talk today, -5 to 0; 0 for a block", 0),
    Feature("callees", "numbers", "callees that a rule touches: those of the run", 1),
    Feature("calls_day", "calls", "attempts of the last day", 10),
    Feature("parties", "numbers", "numbers of the block that take part, 17 for more than 16", 0),
    Feature("numbers", "numbers", "numbers of the block that called in the last two hours", 1),
    Feature("share", "share", "of the block's calls of the last hour, those of the run", 0),
    Feature("others_talked", "calls", "talks of, or with, other numbers of the block", 10),
    Feature("span", "digits", "10 000 times the lowest, plus the highest last four digits that take part", 0),
)

EVIDENCE = (
    Feature(
        "talked_share", "share", "of the run's calls that are over, those answered for more than 6 s", 0.35
    ),
    Feature("invalid_share", "share", "of those, calls to numbers that do not exist", 0.02),
)
"""What an alert lists besides."""

SUCCESSION_LIMIT = 12.0
"""Most that the run alone can say, so that its end is noticed and talk outweighs it."""
MISDIALLED_LIMIT = 5.0
HABIT_LIMIT = 5.0
HABIT_TALK = 0.5
"""Log-odds against abuse of each other talk today."""
NOTABLE_OUTCOME = math.log(2.0)
"""Log-odds for abuse that the outcomes must give before anything is said."""
TIGHT_STEP = 1.5
"""Mean step up to which a run leaves no number out."""
RUNS = 4
"""Runs at once whose ends are remembered."""
LEAST_NUMBER = 10_000_000
"""A callee below is a short number: its neighbours are other services, not other people."""
LEAST_TAIL = 1_000_000

TRAIL = np.dtype(
    [
        ("odds", np.float64),
        ("touched", np.int64),
        ("began", np.int64),
        *PARTIES,
        *TAILS,
        ("low", np.int32, (RUNS,)),
        ("high", np.int32, (RUNS,)),
        ("oldest_run", np.int32),
        ("run", np.int32),
        ("up", np.int32),
        ("calls", np.int32),
        ("over", np.int32),
        ("ends", np.int32),
        ("talked", np.int32),
        ("invalid", np.int32),
    ],
    align=True,
)
"""A suspect's trail. ``odds`` of its runs, which began at ``began`` (ms); ``low`` and ``high`` their ends, 0
where there are fewer; ``run`` distinct callees in them, ``up`` steps upward, ``calls`` attempts, of which
``over`` are over, ``ends`` without those that the network lost."""


class SweepParameters(NamedTuple):
    on: bool
    close: int
    step: int
    active: int
    least_run: float
    block_numbers: int
    min_ends: float
    is_close: float
    """Log-odds that a callee close to an earlier one adds; `is_near` and `is_far` likewise."""
    is_near: float
    is_far: float
    unwanted: float
    talked: float
    invalid: float
    valid: float
    suspicious: float
    threshold: float
    second: float
    """Log-odds that the outcomes must contribute to a rule, where the run leaves no number out."""
    second_loose: float


def parameters_of(settings: SweepSettings) -> SweepParameters:
    s = settings
    return SweepParameters(
        on=s.mode != "off",
        close=s.close_step,
        step=s.step,
        active=s.active_calls,
        least_run=float(s.least_run),
        block_numbers=s.block_numbers,
        min_ends=float(s.min_ends),
        is_close=math.log(s.abusive_close / s.ordinary_close),
        is_near=math.log(s.abusive_near / s.ordinary_near),
        is_far=math.log((1 - s.abusive_close - s.abusive_near) / (1 - s.ordinary_close - s.ordinary_near)),
        unwanted=math.log((1 - s.abusive_talked) / (1 - s.ordinary_talked)),
        talked=math.log(s.abusive_talked / s.ordinary_talked),
        invalid=math.log(s.abusive_invalid / s.ordinary_invalid),
        valid=math.log((1 - s.abusive_invalid) / (1 - s.ordinary_invalid)),
        suspicious=math.log(s.medium_odds),
        threshold=math.log(s.odds),
        second=math.log(s.outcome_odds),
        second_loose=math.log(s.loose_outcome_odds),
    )


@inlined
def follows(callee: Any, tail: Any, service: Any) -> Any:
    """Whether ``callee`` (int64) with last digits ``tail`` can be part of a run."""
    return not service and (callee >= LEAST_NUMBER or (callee < 0 and tail >= LEAST_TAIL)) and tail > 0


@inlined
def last_tail(row: Any) -> Any:
    """Last nine digits of the callee that a caller's row noted last (``detectors.burst.probe``), or 0."""
    return np.int64(row.probe[0] >> np.uint64(32))


@inlined
def is_next(tail: Any, before: Any, p: Any) -> Any:
    return before > 0 and tail != before and abs(tail - before) <= p.step


@inlined
def knows(row: Any, callee: Any) -> Any:
    """Whether a caller's row shows that it called ``callee`` before."""
    bits = circle_bits(callee)
    return is_familiar(row.circle[0], bits) or is_familiar(row.circle[1], bits)


@inlined
def next_to_recent(block: Any, tail: Any, p: Any) -> Any:
    """Whether ``tail`` is next to one of the last three callees in a block's row."""
    return (
        is_next(tail, np.int64(block.tails[0]), p)
        or is_next(tail, np.int64(block.tails[1]), p)
        or is_next(tail, np.int64(block.tails[2]), p)
    )


@inlined
def note_recent(block: Any, tail: Any) -> None:
    """Note in a block's row that one of its numbers dialled ``tail``."""
    if tail == block.tails[0] or tail == block.tails[1] or tail == block.tails[2]:
        return
    block.tails[2] = block.tails[1]
    block.tails[1] = block.tails[0]
    block.tails[0] = np.int32(tail)


@inlined
def _forget(trail: Any) -> None:
    trail.odds = 0.0
    trail.low[:] = 0
    trail.high[:] = 0
    trail.oldest_run = np.int32(0)
    trail.run = np.int32(0)
    trail.up = np.int32(0)
    trail.calls = np.int32(0)
    trail.over = np.int32(0)
    trail.ends = np.int32(0)
    trail.talked = np.int32(0)
    trail.invalid = np.int32(0)
    forget_parties(trail)


@inlined
def _in_run(trail: Any, tail: Any) -> Any:
    found = False
    for k in range(RUNS):
        found = found or (trail.high[k] != 0 and trail.low[k] <= tail <= trail.high[k])
    return found


@inlined
def _extend(trail: Any, neighbour: Any, tail: Any, step: Any) -> None:
    """Take ``tail`` into the run it is within a step of; else begin one with its neighbour."""
    for k in range(RUNS):
        if trail.high[k] != 0 and trail.low[k] - step <= tail <= trail.high[k] + step:
            trail.low[k] = np.int32(min(np.int64(trail.low[k]), tail))
            trail.high[k] = np.int32(max(np.int64(trail.high[k]), tail))
            return
    k = trail.oldest_run
    trail.low[k] = np.int32(min(neighbour, tail))
    trail.high[k] = np.int32(max(neighbour, tail))
    trail.oldest_run = np.int32((k + 1) % RUNS)


@inlined
def follow(trail: Any, tail: Any, known: Any, time: Any, p: Any) -> Any:
    """Note an attempt on ``tail`` at ``time`` (ms); 1 where it is part of the run, else 0."""
    step = np.int64(p.step)
    neighbour = np.int64(0)
    nearest = np.int64(1_000_000_000)
    for k in range(REMEMBERED):
        apart = abs(np.int64(trail.tails[k]) - tail)
        if trail.tails[k] != 0 and apart < nearest:
            nearest, neighbour = apart, np.int64(trail.tails[k])
    if known or nearest == 0:
        inside = _in_run(trail, tail)
        trail.calls += np.int32(inside)
        return np.int64(inside)
    remember(trail, tail)
    if nearest > step:
        trail.odds = max(trail.odds + p.is_far, 0.0)
        if trail.odds == 0.0:
            _forget(trail)
        return np.int64(0)
    if trail.odds == 0.0:
        trail.began = time
        trail.run = np.int32(1)
        trail.calls = np.int32(1)
    weight = p.is_close if nearest <= p.close else p.is_near
    trail.odds = min(trail.odds + weight, SUCCESSION_LIMIT)
    trail.run += np.int32(1)
    trail.calls += np.int32(1)
    trail.up += np.int32(tail > neighbour)
    _extend(trail, neighbour, tail, step)
    return np.int64(1)


@inlined
def conclude(trail: Any, tail: Any, failed: Any, talked: Any, invalid: Any) -> Any:
    """Note how a call to ``tail`` ended; 1 where it is part of the run, else 0."""
    if trail.odds == 0.0 or not _in_run(trail, tail):
        return np.int64(0)
    trail.over += np.int32(1)
    if not failed:
        trail.ends += np.int32(1)
        trail.talked += np.int32(talked)
        trail.invalid += np.int32(invalid)
    return np.int64(1)


@inlined
def _width(trail: Any) -> Any:
    width = np.int64(0)
    for k in range(RUNS):
        width += np.int64(trail.high[k]) - np.int64(trail.low[k])
    return np.float64(width)


@inlined
def look(trail: Any, row: Any, habit_talk: Any, p: Any, f: Any) -> Any:
    """Level of a trail whose subject's row (caller or block) is ``row``; its features into ``f``.

    ``habit_talk`` log-odds that each other talk of the day takes away.
    """
    run = np.float64(trail.run)
    if run < p.least_run:
        return NOTHING
    head = row.newest // 10_000
    young = latest(row.ten_seconds, head, 2) - latest(row.ten_seconds_ends, head, 2)
    pending = np.float64(max(np.int64(trail.calls) - np.int64(trail.over) - max(young, 0), 0))
    ends, talked, invalid = np.float64(trail.ends), np.float64(trail.talked), np.float64(trail.invalid)
    outcome = (ends - talked) * p.unwanted + (talked + pending) * p.talked
    misdialled = min(max(invalid * p.invalid + (ends - invalid) * p.valid, 0.0), MISDIALLED_LIMIT)
    if outcome + misdialled < NOTABLE_OUTCOME:
        return NOTHING
    others = max(np.float64(total(row.day_talked)) - talked, 0.0)
    habit = -min(others * habit_talk, HABIT_LIMIT)
    odds = trail.odds + outcome + misdialled + habit
    if odds < p.suspicious:
        return NOTHING
    f[:] = 0.0
    f[0], f[1], f[2] = run, trail.odds, _width(trail) / max(run - 1.0, 1.0)
    f[3] = np.float64(trail.up) / max(run - 1.0, 1.0)
    f[4] = np.float64(max(row.newest - trail.began, 0)) / 60_000.0
    f[5], f[6], f[7], f[8] = ends, talked, invalid, pending
    f[9], f[10], f[11], f[12] = outcome, misdialled, habit, run
    f[13] = np.float64(total(row.day_attempts))
    f[17] = others
    second = p.second if f[2] <= TIGHT_STEP else p.second_loose
    if ends < p.min_ends or odds < p.threshold or outcome + misdialled < second:
        return MEDIUM
    return HIGH


@inlined
def look_block(trail: Any, row: Any, p: Any, f: Any) -> Any:
    """Level of a block's trail, whose row is ``row``; its features into ``f``."""
    numbers = parties(trail)
    if numbers < p.block_numbers:
        return NOTHING
    level = look(trail, row, 0.0, p, f)
    if level == NOTHING:
        return NOTHING
    f[14] = np.float64(numbers)
    f[15] = LINEAR[popcount(row.numbers[0] | row.numbers[1])]
    f[16] = np.float64(trail.calls) / max(np.float64(total(row.hour_attempts)), 1.0)
    f[17] += np.float64(row.circle[0]) + np.float64(row.circle[1])
    f[18] = span_of(trail)
    return level


class Sweep:
    """Turns the signals of `look` and `look_block` into findings. ``trunks`` names a trunk by its hash.

    What it proposes below `HIGH` is withheld until independent evidence agrees (``detectors.evidence``).
    """

    name = "sweep"

    def __init__(self, settings: SweepSettings, trunks: Mapping[int, str]) -> None:
        self._settings = settings
        self._trunks = trunks

    def describe(self, signal: Signal, call: Call) -> Finding:
        f = signal.features
        if signal.pattern == SWEEP_BLOCK:
            return self._block(signal, call)
        named = call.caller_spelled if call.caller >= 0 else f"Caller {call.caller_text!r}"
        return Finding(
            subject_type="number",
            subject_value=call.caller_spelled,
            kind="sweep",
            level=signal.level,
            score=_score(f),
            evidence=self._evidence(f),
            message=f"{named} {_did(f, call)}; {_way(call, call.trunk)}.",
            proposals=[proposal(call.caller_match, f["calls_day"], 1, f["run"])],
            apart="" if call.caller >= 0 else call.trunk,
        )

    def _block(self, signal: Signal, call: Call) -> Finding:
        f, block = signal.features, signal.key
        trunk = self._trunks.get(signal.trunk, "")
        numbers = f"{f['parties']:.0f}" if f["parties"] <= REMEMBERED else f"more than {REMEMBERED}"
        return Finding(
            subject_type="block",
            subject_value=f"+{block}*",
            kind="shared_sweep",
            level=signal.level,
            score=_score(f),
            evidence=self._evidence(f),
            message=f"{numbers} numbers of block +{block}* together {_did(f, call)}; {_way(call, trunk)}.",
            proposals=proposals_of(block, trunk, signal.contacts, f),
        )

    def _evidence(self, f: dict[str, float]) -> list[Evidence]:
        ends = max(f["ends"], 1.0)
        return weighed(
            [
                ("run", f["run"], 1, f["succession"]),
                ("mean_step", f["mean_step"], 1_000_000, 1.0),
                ("talked_share", f["talked"] / ends, self._settings.ordinary_talked, f["outcome"]),
                ("invalid_share", f["invalid"] / ends, self._settings.ordinary_invalid, f["misdialled"]),
            ]
        )


def _score(f: dict[str, float]) -> float:
    odds = f["succession"] + f["outcome"] + f["misdialled"] + f["habit"]
    return score_of(odds)


def _did(f: dict[str, float], call: Call) -> str:
    order = "ascending" if f["upward"] > 0.7 else "descending" if f["upward"] < 0.3 else "in mixed order"
    steps = f"{f['mean_step']:.1f} apart" if f["mean_step"] >= 1.05 else "one after another"
    ended = (
        f"{f['talked']:.0f} of {f['ends']:.0f} finished calls became talk, "
        f"{f['invalid']:.0f} were to numbers that do not exist"
        if f["ends"]
        else "too early to know their outcome"
    )
    minutes = max(f["minutes"], 1.0)
    return (
        f"dialled {f['run']:.0f} neighbouring numbers {steps}, {order}, within {minutes:.0f} min "
        f"(last {call.callee_spelled}); {ended}"
    )


def _way(call: Call, trunk: str) -> str:
    return f"trunk {trunk or 'unknown'}, from {call.from_network or 'unknown'}"
