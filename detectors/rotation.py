"""Caller-id rotation: many numbers of one block, each with few calls and the same behaviour.

The volume of a block says nothing: a company's hundred extensions call more. What tells a rotation is that
nobody wants to talk with these numbers and nobody has heard of them. Only calls of *light* numbers count, up
to the eighth within ten minutes: beyond, a number is a subject of ``detectors.burst`` itself, so one bad
number never condemns its block. Then log-odds for abuse are summed up:

- *outcome* and *misdialled* of these calls, as in ``detectors.burst``;
- *newcomers*: the share of the calls by numbers first heard of within ten minutes, against the same share of
  all light callers of the partition just then: after a start everybody is new and it says nothing. At most 5;
- *habit*: the outcome's sum over the block's day before the last hour, where that is below 0, at least -10;
- *called*: calls to its numbers that became talk, today and yesterday, one each, at least -6.

A rule must not touch the ordinary numbers of the block. ``span`` holds the lowest and highest number whose
call came to nothing and with which nobody talks. Where nobody ordinary is known in any hundred of the
narrowest prefix that covers these, and the numbers are many for its width, that prefix is proposed on the
trunk of most of the calls; else the calling number itself once it has called twice for nothing and hardly
anybody calls it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import RotationSettings
from detectors.alert import Match, Proposal
from detectors.burst import HABIT_LIMIT, misdialled_odds, misdialled_reference
from detectors.calls import BLOCK
from detectors.kernels import inlined, popcount
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
    weighed,
)
from detectors.sketches import LINEAR, SATURATED
from detectors.windows import Weights, distinct, outcome_odds, total, weights

FEATURES = (
    Feature("numbers", "numbers", "distinct numbers of the block that called in the last two hours", 2),
    Feature("calls_1m", "calls", "attempts of the last minute by numbers with few calls", 1),
    Feature("calls_10m", "calls", "the same of the last 10 minutes", 3),
    Feature("callees_10m", "numbers", "distinct callees of the last 10 minutes, estimated up to some 180", 2),
    Feature("unanswered", "calls", "calls of the last 10 minutes, not young, that nobody answered", 1),
    Feature("brief", "calls", "those answered for at most 20 s", 1),
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
    Feature("number_talked", "calls", "its calls of the day that became talk, and calls to it but one", 1),
)

EVIDENCE = (
    Feature("talked_share", "share", "of the calls that are over, those answered for longer than 20 s", 0.45),
)
"""What an alert lists besides."""

LEAST_NUMBERS = (0, 3, 5, 10, 16)
"""Numbers that must have called before a prefix of 10, 100, 1 000 or 10 000 numbers is proposed."""
NEWCOMER_MS = 600_000
NEWCOMERS_LIMIT = 5.0
CALLED_LIMIT = -6.0
ONE_BACK = 1.0
"""Calls to a number that say nothing for it: of a hundred whom a nuisance call missed, some call back."""
_STRANGE = 0.95
"""Share of a rotation's calls that are by newcomers."""


class RotationParameters(NamedTuple):
    on: bool
    calls: float
    numbers: float
    fan_out: float
    number_calls: float
    dialler: Weights
    announcer: Weights
    invalid: float
    valid: float
    notable: float
    threshold: float


def parameters_of(settings: RotationSettings) -> RotationParameters:
    abusive = (settings.abusive_brief, settings.abusive_talked)
    return RotationParameters(
        on=settings.mode != "off",
        calls=float(settings.calls),
        numbers=float(settings.numbers),
        fan_out=settings.fan_out,
        number_calls=float(settings.number_calls),
        dialler=weights(abusive, (settings.dialler_brief, settings.dialler_talked)),
        announcer=weights(abusive, (settings.announcer_brief, settings.announcer_talked)),
        invalid=math.log(settings.abusive_invalid / settings.ordinary_invalid),
        valid=math.log((1 - settings.abusive_invalid) / (1 - settings.ordinary_invalid)),
        notable=math.log(settings.notable_odds),
        threshold=math.log(settings.odds),
    )


class Arrivals(NamedTuple):
    """Calls of light callers of a partition. ``counts`` int64 (2, 2): by slot of 10 min, all and those by
    newcomers; ``slot`` int64 (1,): the newest slot number."""

    counts: npt.NDArray[np.int64]
    slot: npt.NDArray[np.int64]


def new_arrivals() -> Arrivals:
    return Arrivals(np.zeros((2, 2), np.int64), np.zeros(1, np.int64))


@inlined
def arrive(arrivals: Any, time: Any, newcomer: Any) -> None:
    """Count one call of a light caller, attempted at ``time`` (ms)."""
    slot = time // NEWCOMER_MS
    head = arrivals.slot[0]
    if slot > head:
        for k in range(2):
            arrivals.counts[slot % 2, k] = 0
            if slot > head + 1:
                arrivals.counts[(slot + 1) % 2, k] = 0
        arrivals.slot[0] = slot
    elif slot < head - 1:
        return
    arrivals.counts[slot % 2, 0] += 1
    if newcomer:
        arrivals.counts[slot % 2, 1] += 1


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


def is_ordinary_reference(number: Counts) -> bool:
    talked = number.talks(10_800_000, 8)
    return talked >= 2 and 3 * talked >= number.calls(10_800_000, 8)


@inlined
def _newcomer_odds(new: Any, calls: Any, share: Any, numbers: Any) -> Any:
    """One call a number counts: those of one number are not independent."""
    odds = new * math.log(_STRANGE / share) + (calls - new) * math.log((1.0 - _STRANGE) / (1.0 - share))
    return min(max(odds * min(numbers / calls, 1.0), 0.0), NEWCOMERS_LIMIT)


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
def look(block: Any, row: Any, inbound: Any, arrivals: Any, p: Any, f: Any) -> Any:
    """Level of one block, whose number with ``row`` just called; its features into ``f``.

    ``inbound`` attempts to that number in the last day.
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
    outcome, unanswered, brief, talked, pending = outcome_odds(
        block, total(block.failed), p.dialler, p.announcer
    )
    misdialled = misdialled_odds(np.float64(total(block.marked)), calls, p)
    new = min(np.float64(total(block.newcomers)), calls)
    newcomers = _newcomer_odds(new, calls, _usual_share(arrivals), numbers)
    day_calls = np.float64(total(block.day_attempts))
    before = day_calls - np.float64(total(block.hour_attempts))
    before_talked = np.float64(total(block.day_talked) - total(block.hour_talked))
    habit = max(before - before_talked, 0.0) * p.dialler.unanswered + before_talked * p.dialler.talked
    habit = min(max(habit, HABIT_LIMIT), 0.0)
    called = np.float64(block.circle[0]) + np.float64(block.circle[1])
    odds = outcome + misdialled + newcomers + habit + max(-called, CALLED_LIMIT)
    if odds < p.notable:
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
    f[16] = np.float64(total(row.hour_attempts))
    f[17] = np.float64(total(row.day_talked)) + max(inbound - ONE_BACK, 0.0)
    if odds < p.threshold:
        return MEDIUM
    return CRITICAL if odds >= 2.0 * p.threshold else HIGH


@inlined
def is_proposed_alone(f: Any, p: Any) -> Any:
    """Whether the features are of a block with ordinary users, and of a number in it that is proposed."""
    return f[15] > 0.0 and f[16] >= p.number_calls and f[17] == 0.0


def is_proposed_alone_reference(f: list[float], p: RotationParameters) -> bool:
    return f[15] > 0 and f[16] >= p.number_calls and f[17] == 0


def _ordinary_reference(block: Counts, low: int, high: int) -> int:
    prefix, width = low, 1
    while low != high:
        low, high, width = low // 10, high // 10, width * 10
        prefix = low
    head = block.newest // 86_400_000
    hundreds = {number % BLOCK // 100 for time, number in block.ordinary if head - time // 86_400_000 < 2}
    return len(hundreds & set(range(prefix * width // 100, ((prefix + 1) * width - 1) // 100 + 1)))


def look_reference(
    block: Counts, number: Counts, inbound: int, share: float, p: RotationParameters
) -> tuple[int, list[float]]:
    """What `look` decides, and its features, from the events themselves; ``share`` of newcomers is usual."""
    calls, numbers = block.calls(60_000, 10), block.numbers()
    callees = min(block.counterparts(), calls)
    redials = callees < p.fan_out * calls and callees < SATURATED
    outage = 2 * block.recent(block.failures) >= calls
    if calls < p.calls or numbers < p.numbers or outage or redials:
        return NOTHING, []
    outcome, unanswered, brief, talked, pending = block.outcome_odds(
        block.recent(block.failures), p.dialler, p.announcer
    )
    misdialled = misdialled_reference(block, calls, p)
    new = min(block.recent(block.newcomers), calls)
    odds_new = new * math.log(_STRANGE / share) + (calls - new) * math.log((1 - _STRANGE) / (1 - share))
    newcomers = sorted((0.0, odds_new * min(numbers / calls, 1), NEWCOMERS_LIMIT))[1]
    before = block.calls(10_800_000, 8) - block.calls(600_000, 6)
    before_talked = block.talks(10_800_000, 8) - block.talks(600_000, 6)
    habit = max(before - before_talked, 0) * p.dialler.unanswered + before_talked * p.dialler.talked
    habit = sorted((HABIT_LIMIT, habit, 0.0))[1]
    called = block.window((time for time in block.talks_to), 86_400_000, 2)
    odds = outcome + misdialled + newcomers + habit + max(-called, CALLED_LIMIT)
    if odds < p.notable:
        return NOTHING, []
    span, ordinary = 0.0, 100.0
    if block.suspects:
        low, high = min(block.suspects) % BLOCK, max(block.suspects) % BLOCK
        span, ordinary = float(low * BLOCK + high), float(_ordinary_reference(block, low, high))
    features = [numbers, block.calls(10_000, 6), calls, callees, unanswered, brief, talked, pending]
    features += [block.calls(10_800_000, 8), called, outcome, misdialled, newcomers, habit, span, ordinary]
    features += [number.calls(600_000, 6), number.talks(10_800_000, 8) + max(inbound - ONE_BACK, 0)]
    if odds < p.threshold:
        return MEDIUM, features
    return (CRITICAL if odds >= 2 * p.threshold else HIGH), features


class Rotation:
    """Turns the signals of `look` into findings. ``trunks`` names them by hash."""

    name = "rotation"

    def __init__(self, settings: RotationSettings, trunks: Mapping[int, str]) -> None:
        self._settings = settings
        self._trunks = trunks

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        f, block = signal.features, signal.key
        trunk = self._trunks.get(signal.trunk, "")
        odds = f["outcome"] + f["misdialled"] + f["newcomers"] + f["habit"] + max(-f["called"], CALLED_LIMIT)
        ends = f["unanswered"] + f["brief"] + f["talked"]
        return Finding(
            subject_type="block",
            subject_value=f"+{block}*",
            kind="rotation",
            level=signal.level,
            score=round(1 / (1 + math.exp(-min(odds, 30.0))), 4),
            evidence=weighed(
                [
                    ("numbers", f["numbers"], 2, 1.0),
                    ("talked_share", f["talked"] / max(ends, 1.0), 0.45, f["outcome"]),
                    ("misdialled", f["misdialled"], 0, f["misdialled"]),
                    ("newcomers", f["newcomers"], 0, f["newcomers"]),
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
