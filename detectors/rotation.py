"""Caller-id rotation: many numbers of one block, each with few calls and the same behaviour.

The volume of a block says nothing: a company's hundred extensions call more. What tells a rotation is that
nobody wants to talk with these numbers and nobody has heard of them. Only calls of *light* numbers count, up
to the eighth within ten minutes: beyond, a number is a subject of ``detectors.burst`` itself, so one bad
number never condemns its block. Then log-odds for abuse are summed up:

- *outcome* and *misdialled* of these calls, as in ``detectors.burst``;
- *newcomers*: the share of the calls by numbers first heard of within ten minutes, against the same share of
  all light callers of the partition just then: after a start everybody is new and it says nothing. At most 5;
- *habit*: the outcome's sum over the block's day before the last hour, where that is below 0, at least -10;
- *reciprocity*: calls to its numbers that became talk, today and yesterday, one each, at least -6. People are
  called about as often as they call: of mobile numbers it is a Poisson likelihood ratio against half of what
  the partition's numbers usually receive, -6 to 5. For a mobile block the outcome is at least that of people
  who are pressed, against those who are called by whom they know, up to 2.5. Both only where newcomers say
  something.

A rule must not touch the ordinary numbers of the block. ``span`` holds the lowest and highest number whose
call came to nothing and with which nobody talks. Where nobody ordinary is known in any hundred of the
narrowest prefix that covers these, and the numbers are many for its width, that prefix is proposed on the
trunk of most of the calls; else the calling number itself once it has called twice for nothing and hardly
anybody calls it. Nor must they renew a rule when the rotation is over: where the last minute holds little of
the ten minutes' calls, what is left of them is medium.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import RotationSettings
from detectors.alert import Match, Proposal
from detectors.calls import BLOCK
from detectors.kernels import inlined, popcount
from detectors.outcomes import (
    OutcomeParameters,
    habit_odds,
    habit_reference,
    misdialled_odds,
    misdialled_reference,
    outcome_odds,
    outcome_odds_reference,
    outcome_parameters,
    pressing_odds,
)
from detectors.plain import Counts
from detectors.shape import (
    CRITICAL,
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
from detectors.sketches import LINEAR, SATURATED
from detectors.windows import distinct, latest, total

FEATURES = (
    Feature("numbers", "numbers", "distinct numbers of the block that called in the last two hours", 2),
    Feature("calls_1m", "calls", "attempts of the last minute by numbers with few calls", 1),
    Feature("calls_10m", "calls", "the same of the last 10 minutes", 3),
    Feature("callees_10m", "numbers", "distinct callees of the last 10 minutes, estimated up to some 180", 2),
    Feature("unanswered", "calls", "calls of the last 10 minutes, not young, that nobody answered", 1),
    Feature("brief", "calls", "those answered for 6 to 20 s", 1),
    Feature("talked", "calls", "those answered for longer", 2),
    Feature("pending", "calls", "calls of the last 10 minutes, not young, that are not over", 0),
    Feature("calls_day", "calls", "attempts of the last day", 20),
    Feature("called", "calls", "calls to its numbers that became talk, today and yesterday", 5),
    Feature("outcome", "log-odds", "for abuse, of the outcomes", 0),
    Feature("misdialled", "log-odds", "for abuse, of calls to numbers that do not exist, at least 0", 0),
    Feature("newcomers", "log-odds", "for abuse, of numbers never heard of before, 0 to 5", 0),
    Feature("habit", "log-odds", "for abuse, of the day before the last hour, at most 0", 0),
    Feature("span", "digits", "10 000 times the lowest, plus the highest last four digits of those", 0),
    Feature("ordinary", "hundreds", "hundreds of their common prefix in which somebody talked", 1),
    Feature("number_calls", "calls", "attempts of the calling number in the last hour", 1),
    Feature(
        "number_talked", "calls", "calls to it but one; with its own that became talk where people live", 1
    ),
    Feature("short", "calls", "calls of the last 10 minutes answered for at most 6 s", 0),
    Feature("reciprocity", "log-odds", "for abuse, of calls to its numbers; above 0 for mobile ones only", 0),
)

EVIDENCE = (
    Feature("talked_share", "share", "of the calls that are over, those answered for longer than 20 s", 0.45),
)
"""What an alert lists besides."""

FEW_NUMBERS = 5.0
LEAST_NUMBERS = (0, 3, 5, 10, 16)
"""Numbers that must have called before a prefix of 10, 100, 1 000 or 10 000 numbers is proposed."""
NEWCOMER_MS = 600_000
NEWCOMERS_LIMIT = 5.0
CALLED_LIMIT = -6.0
CALLED_SHARE, MOST_CALLED = 0.5, 0.15
"""Part of what is usual that even the least called mobile block receives, a call that it makes; and the most
that this is taken for."""
ABUSIVE_CALLED = 0.01
RECIPROCITY_LIMIT = 5.0
NOBODY_CALLS = 4.9
"""Log-odds of reciprocity from which nobody lives in a mobile block, so that talk alone excuses no number."""
PRESSING_LIMIT = 2.5
FRESH = 0.5
"""Log-odds of newcomers below which a mobile block is only judged as any other."""
ONE_BACK = 1.0
"""Calls to a number that say nothing for it: of a hundred whom a nuisance call missed, some call back."""
LASTS_SHARE = 0.05
"""Part of the ten minutes' calls that the last minute holds while a rotation lasts: half of an even pace."""
_STRANGE = 0.95
"""Share of a rotation's calls that are by newcomers."""


class RotationParameters(NamedTuple):
    on: bool
    calls: float
    numbers: float
    fan_out: float
    number_calls: float
    outcomes: OutcomeParameters


def parameters_of(settings: RotationSettings) -> RotationParameters:
    return RotationParameters(
        on=settings.mode != "off",
        calls=float(settings.calls),
        numbers=float(settings.numbers),
        fan_out=settings.fan_out,
        number_calls=float(settings.number_calls),
        outcomes=outcome_parameters(settings),
    )


class Arrivals(NamedTuple):
    """Calls of light callers of a partition. ``counts`` int64 (2, 3): by slot of 10 min, all, those by
    newcomers, and calls to the partition's numbers that became talk; ``slot`` int64 (1,): the newest slot
    number."""

    counts: npt.NDArray[np.int64]
    slot: npt.NDArray[np.int64]


def new_arrivals() -> Arrivals:
    return Arrivals(np.zeros((2, 3), np.int64), np.zeros(1, np.int64))


@inlined
def arrive(arrivals: Any, time: Any, newcomer: Any) -> None:
    """Count one call of a light caller, attempted at ``time`` (ms)."""
    slot = _slot_of(arrivals, time)
    if slot < 0:
        return
    arrivals.counts[slot, 0] += 1
    if newcomer:
        arrivals.counts[slot, 1] += 1


@inlined
def receive(arrivals: Any, time: Any) -> None:
    """Count one call to a number of the partition that became talk and ended, or began, at ``time`` (ms)."""
    slot = _slot_of(arrivals, time)
    if slot >= 0:
        arrivals.counts[slot, 2] += 1


@inlined
def _slot_of(arrivals: Any, time: Any) -> Any:
    """Row of ``counts`` for ``time``, cleared where it is new; -1 where that is too long ago."""
    slot = time // NEWCOMER_MS
    head = arrivals.slot[0]
    if slot > head:
        for k in range(3):
            arrivals.counts[slot % 2, k] = 0
            if slot > head + 1:
                arrivals.counts[(slot + 1) % 2, k] = 0
        arrivals.slot[0] = slot
    elif slot < head - 1:
        return np.int64(-1)
    return slot % 2


@inlined
def _usually_called(arrivals: Any) -> Any:
    """Calls that became talk to a number, a light call by it, below which a block is seldom called."""
    calls = np.float64(arrivals.counts[0, 0] + arrivals.counts[1, 0])
    received = np.float64(arrivals.counts[0, 2] + arrivals.counts[1, 2])
    return min(CALLED_SHARE * received / max(calls, 1.0), MOST_CALLED)


@inlined
def _reciprocity(calls: Any, called: Any, usual: Any) -> Any:
    """Log-odds for abuse of a mobile block's ``called`` calls received, for ``calls`` made (float64)."""
    if usual <= ABUSIVE_CALLED:
        return max(-called, CALLED_LIMIT)
    odds = calls * (usual - ABUSIVE_CALLED) + called * math.log(ABUSIVE_CALLED / usual)
    return min(max(odds, CALLED_LIMIT), RECIPROCITY_LIMIT)


@inlined
def _usual_share(arrivals: Any) -> Any:
    """Share of the light callers' calls that are by newcomers, of the last 10 to 20 minutes."""
    calls = np.float64(arrivals.counts[0, 0] + arrivals.counts[1, 0])
    return (np.float64(arrivals.counts[0, 1] + arrivals.counts[1, 1]) + 1.0) / (calls + 2.0)


@inlined
def is_newcomer(row: Any, time: Any) -> Any:
    """Whether the number of a caller's row was first heard of within ten minutes of ``time`` (ms)."""
    return time // 1_000 - np.int64(row.first_seen) <= NEWCOMER_MS // 1_000


@inlined
def is_ordinary(row: Any) -> Any:
    """Whether people talk with the number of a caller's row: twice today, and in a third of its calls."""
    talked = total(row.day_talked)
    return talked >= 2 and 3 * talked >= total(row.day_attempts)


@inlined
def calls_one_only(row: Any) -> Any:
    """Whether the number of a caller's row has called twice today, and one callee only, as an alarm line
    does: numbers that take turns never call anybody again."""
    return total(row.day_attempts) >= 2 and popcount(row.circle[0] | row.circle[1]) <= 2


def calls_one_only_reference(number: Counts) -> bool:
    return number.calls(10_800_000, 8) >= 2 and number.circle().bit_count() <= 2


def is_ordinary_reference(number: Counts) -> bool:
    talked = number.talks(10_800_000, 8)
    return talked >= 2 and 3 * talked >= number.calls(10_800_000, 8)


@inlined
def _newcomer_odds(new: Any, calls: Any, share: Any, numbers: Any) -> Any:
    """One call a number counts: those of one number are not independent."""
    odds = new * math.log(_STRANGE / share) + (calls - new) * math.log((1.0 - _STRANGE) / (1.0 - share))
    return min(max(odds * min(numbers / max(calls, 1.0), 1.0), 0.0), NEWCOMERS_LIMIT)


@inlined
def _ordinary_within(block: Any, low: Any, high: Any) -> Any:
    """Hundreds with ordinary use in the narrowest prefix that covers the last four digits given."""
    width = 1
    while low != high:
        low //= 10
        high //= 10
        width *= 10
    count = np.int64(0)
    for hundred in range(low * width // 100, ((low + 1) * width - 1) // 100 + 1):
        word, bit = hundred >> 6, np.uint64(hundred & 63)
        seen = (block.ordinary[word] | block.ordinary[2 + word]) >> bit
        count += np.int64(seen & np.uint64(1))
    return count


@inlined
def look(block: Any, row: Any, inbound: Any, mobile: Any, arrivals: Any, p: Any, f: Any) -> Any:
    """Level of one block, whose number with ``row`` just called; its features into ``f``.

    ``inbound`` attempts to that number in the last day; ``mobile``: the block is of mobile numbers.
    """
    calls = np.float64(total(block.attempts))
    if calls < p.calls:
        return NOTHING
    numbers = LINEAR[popcount(block.numbers[0] | block.numbers[1])]
    if numbers < p.numbers or 2.0 * np.float64(total(block.failed)) >= calls:
        return NOTHING
    callees = min(distinct(block.counterparts), calls)
    if callees < p.fan_out * calls and callees < SATURATED:
        return NOTHING
    o = p.outcomes
    outcome, unanswered, short, brief, talked, pending = outcome_odds(
        block, total(block.failed), o.robot, o.silent
    )
    misdialled = misdialled_odds(np.float64(total(block.marked)), calls, o)
    lately = np.float64(latest(block.hour_attempts, block.newest // NEWCOMER_MS, 2))
    new = min(np.float64(total(block.newcomers)), lately)
    newcomers = _newcomer_odds(new, lately, _usual_share(arrivals), numbers)
    day_calls = np.float64(total(block.day_attempts))
    before = day_calls - np.float64(total(block.hour_attempts))
    before_talked = np.float64(total(block.day_talked) - total(block.hour_talked))
    habit = habit_odds(before, before_talked, o)
    called = np.float64(block.circle[0]) + np.float64(block.circle[1])
    reciprocity = max(-called, CALLED_LIMIT)
    if mobile and newcomers >= FRESH:
        reciprocity = _reciprocity(day_calls, called, _usually_called(arrivals))
        pressing = pressing_odds(unanswered, short, brief, talked + pending, o)
        outcome = max(outcome, min(pressing, PRESSING_LIMIT))
    odds = outcome + misdialled + newcomers + habit + reciprocity
    if odds < o.notable:
        return NOTHING
    low, high = 10_000 - np.int64(block.span[0]), np.int64(block.span[1]) - 1
    f[:] = 0.0
    f[0], f[1], f[2], f[3] = numbers, np.float64(total(block.ten_seconds)), calls, callees
    f[4], f[5], f[6], f[7], f[8], f[9] = unanswered, brief, talked, pending, day_calls, called
    f[10], f[11], f[12], f[13] = outcome, misdialled, newcomers, habit
    if block.span[1] > 0:
        f[14] = np.float64(low * 10_000 + high)
        f[15] = np.float64(_ordinary_within(block, low, high))
    else:
        f[15] = 100.0
    if reciprocity >= NOBODY_CALLS:
        f[15] = 0.0
    f[16] = np.float64(total(row.hour_attempts))
    own_talk = np.float64(total(row.day_talked)) if reciprocity < NOBODY_CALLS else 0.0
    f[17] = own_talk + max(inbound - ONE_BACK, 0.0)
    f[18], f[19] = short, reciprocity
    if odds < o.threshold or f[1] < LASTS_SHARE * calls:
        return MEDIUM
    return CRITICAL if odds >= 2.0 * o.threshold else HIGH


@inlined
def is_proposed_alone(f: Any, p: Any) -> Any:
    """Whether the features are of a block with ordinary users, or few suspects, and of a number in it that is
    proposed."""
    return (f[15] > 0.0 or f[0] < FEW_NUMBERS) and f[16] >= p.number_calls and f[17] == 0.0


def is_proposed_alone_reference(f: list[float], p: RotationParameters) -> bool:
    return (f[15] > 0 or f[0] < FEW_NUMBERS) and f[16] >= p.number_calls and f[17] == 0


def _ordinary_reference(block: Counts, low: int, high: int) -> int:
    prefix, width = low, 1
    while low != high:
        low, high, width = low // 10, high // 10, width * 10
        prefix = low
    head = block.newest // 86_400_000
    hundreds = {number % BLOCK // 100 for time, number in block.ordinary if head - time // 86_400_000 < 2}
    return len(hundreds & set(range(prefix * width // 100, ((prefix + 1) * width - 1) // 100 + 1)))


def look_reference(
    block: Counts,
    number: Counts,
    inbound: int,
    mobile: bool,
    share: float,
    usually_called: float,
    p: RotationParameters,
) -> tuple[int, list[float]]:
    """What `look` decides, and its features, from the events themselves; ``share`` of newcomers is usual."""
    calls, numbers = block.calls(60_000, 10), block.numbers()
    callees = min(block.counterparts(), calls)
    redials = callees < p.fan_out * calls and callees < SATURATED
    outage = 2 * block.recent(block.failures) >= calls
    if calls < p.calls or numbers < p.numbers or outage or redials:
        return NOTHING, []
    o = p.outcomes
    outcome, unanswered, short, brief, talked, pending = outcome_odds_reference(
        block, block.recent(block.failures), o.robot, o.silent
    )
    misdialled = misdialled_reference(block, calls, o)
    lately = block.calls(600_000, 2)
    new = min(block.recent(block.newcomers), lately)
    odds_new = new * math.log(_STRANGE / share) + (lately - new) * math.log((1 - _STRANGE) / (1 - share))
    newcomers = sorted((0.0, odds_new * min(numbers / max(lately, 1), 1), NEWCOMERS_LIMIT))[1]
    before = block.calls(10_800_000, 8) - block.calls(600_000, 6)
    before_talked = block.talks(10_800_000, 8) - block.talks(600_000, 6)
    habit = habit_reference(before, before_talked, o)
    called = block.window((time for time in block.talks_to), 86_400_000, 2)
    day = block.calls(10_800_000, 8)
    reciprocity = float(max(-called, CALLED_LIMIT))
    if mobile and newcomers >= FRESH:
        if usually_called > ABUSIVE_CALLED:
            found = day * (usually_called - ABUSIVE_CALLED)
            found += called * math.log(ABUSIVE_CALLED / usually_called)
            reciprocity = sorted((CALLED_LIMIT, found, RECIPROCITY_LIMIT))[1]
        ends = (unanswered, short, brief, talked + pending)
        pressing = sum(n * weight for n, weight in zip(ends, o.pressing, strict=True))
        outcome = max(outcome, min(pressing, PRESSING_LIMIT))
    odds = outcome + misdialled + newcomers + habit + reciprocity
    if odds < o.notable:
        return NOTHING, []
    span, ordinary = 0.0, 100.0
    if block.suspects:
        low, high = min(block.suspects) % BLOCK, max(block.suspects) % BLOCK
        span, ordinary = float(low * BLOCK + high), float(_ordinary_reference(block, low, high))
    if reciprocity >= NOBODY_CALLS:
        ordinary = 0.0
    features = [numbers, block.calls(10_000, 6), calls, callees, unanswered, brief, talked, pending]
    features += [block.calls(10_800_000, 8), called, outcome, misdialled, newcomers, habit, span, ordinary]
    own_talk = number.talks(10_800_000, 8) if reciprocity < NOBODY_CALLS else 0
    features += [number.calls(600_000, 6), own_talk + max(inbound - ONE_BACK, 0), short, reciprocity]
    if odds < o.threshold or features[1] < LASTS_SHARE * calls:
        return MEDIUM, features
    return (CRITICAL if odds >= 2 * o.threshold else HIGH), features


class Rotation:
    """Turns the signals of `look` into findings. ``trunks`` names them by hash."""

    name = "rotation"

    def __init__(self, settings: RotationSettings, trunks: Mapping[int, str]) -> None:
        self._settings = settings
        self._trunks = trunks

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        f, block = signal.features, signal.key
        trunk = self._trunks.get(signal.trunk, "")
        odds = sum(f[name] for name in ("outcome", "misdialled", "newcomers", "habit", "reciprocity"))
        ends = f["unanswered"] + f["short"] + f["brief"] + f["talked"]
        return Finding(
            subject_type="block",
            subject_value=f"+{block}*",
            kind="rotation",
            level=signal.level,
            score=score_of(odds),
            evidence=weighed(
                [
                    ("numbers", f["numbers"], 2, 1.0),
                    ("talked_share", f["talked"] / max(ends, 1.0), 0.45, f["outcome"]),
                    ("misdialled", f["misdialled"], 0, f["misdialled"]),
                    ("newcomers", f["newcomers"], 0, f["newcomers"]),
                    ("called", f["called"], 5, f["reciprocity"]),
                    ("calls_1m", f["calls_1m"], 1, min(math.log2(1 + f["calls_1m"]), 3.0)),
                ]
            ),
            message=(
                f"About {f['numbers']:.0f} numbers of block +{block}* called {f['calls_10m']:.0f} times in "
                f"10 minutes, a few times each; {f['talked']:.0f} of {ends:.0f} finished calls became talk; "
                f"mostly over trunk {trunk or 'unknown'}."
            ),
            proposals=self._proposals(f, block, trunk, call) if signal.level >= HIGH else [],
        )

    def _proposals(self, f: Mapping[str, float], block: int, trunk: str, call: Call) -> list[Proposal]:
        low, high = divmod(int(f["span"]), BLOCK)
        prefix = narrowest_prefix(block * BLOCK + low, block * BLOCK + high)
        wide = len(f"{block * BLOCK}") - len(f"{prefix}")
        if trunk and f["ordinary"] == 0 and wide and f["numbers"] >= LEAST_NUMBERS[wide]:
            match = Match(caller=f"+{prefix}*", trunk=trunk)
            return [proposal(match, f["calls_day"], f["numbers"], f["callees_10m"])]
        if f["number_calls"] >= self._settings.number_calls and f["number_talked"] == 0:
            return [proposal(call.caller_match, f["number_calls"], 1, f["number_calls"])]
        return []
