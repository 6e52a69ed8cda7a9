"""What becomes of a caller's calls, as evidence for abuse or against it.

A call that is over was *unanswered*, *short* (answered for at most 6 s), *brief* (for at most 20 s) or became
*talk*; a *pending* one counts as talk. Each adds the logarithm of its likelihood under abuse against that of
an ordinary heavy caller (a sequential probability ratio test, Wald 1945). There are two abusers, of whom the
one that explains the calls better counts: a *robot* (hardly anybody answers, fewer listen) and a *silent*
caller (whoever answers is left within seconds: silent calls, pumped traffic). And there are three ordinary
callers, of whom again the best counts: a *dialler* (a call centre: few answer, but those talk), an
*announcer* (a notification, a courier: many answer, and listen for some seconds) and a *stale* dialler (a
call centre with an old list: fewer still answer, and hardly anybody hangs up).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from config.settings import OutcomeSettings
from detectors.kernels import inlined
from detectors.plain import Counts
from detectors.windows import latest, total

HABIT_LIMIT = -10.0
MISDIALLED_LIMIT = 5.0
PRESSING, SUBSCRIBERS = (0.02, 0.09, 0.27), (0.02, 0.14, 0.42)
"""Shares of calls that are short, brief and talk: of a swindler or a pushy salesman whom 38 % answer, and of
people who call whom they know."""
_YOUNG_SLOTS = (3, 1)
"""Slots of 10 s for which a call is young."""
_LEAST_ODDS = -1e12


class Weights(NamedTuple):
    """What a call adds to the log-odds for abuse by its outcome; a pending one as if it became talk."""

    unanswered: float
    short: float
    brief: float
    talked: float


class Against(NamedTuple):
    """One abuser held against each ordinary caller."""

    dialler: Weights
    announcer: Weights
    stale: Weights


class OutcomeParameters(NamedTuple):
    robot: Against
    silent: Against
    pressing: Weights
    """Who talks people into something, held against ordinary subscribers."""
    invalid: float
    """Log-odds that a call to a number which does not exist adds."""
    valid: float
    """Log-odds that any other call adds; below 0."""
    notable: float
    threshold: float


def log_ratios(abusive: Sequence[float], ordinary: Sequence[float]) -> list[float]:
    """Log-likelihood ratio of what has none of the given shares, then of each that has one."""
    return [
        math.log((1 - sum(abusive)) / (1 - sum(ordinary))),
        *(math.log(one / other) for one, other in zip(abusive, ordinary, strict=True)),
    ]


def outcome_parameters(settings: OutcomeSettings) -> OutcomeParameters:
    s = settings
    ordinary = (
        (s.dialler_short, s.dialler_brief, s.dialler_talked),
        (s.announcer_short, s.announcer_brief, s.announcer_talked),
        (s.stale_short, s.stale_brief, s.stale_talked),
    )
    robot = (s.abusive_short, s.abusive_brief, s.abusive_talked)
    silent = (s.silent_short, s.silent_brief, s.silent_talked)
    return OutcomeParameters(
        robot=Against(*(Weights(*log_ratios(robot, usual)) for usual in ordinary)),
        silent=Against(*(Weights(*log_ratios(silent, usual)) for usual in ordinary)),
        pressing=Weights(*log_ratios(PRESSING, SUBSCRIBERS)),
        invalid=math.log(s.abusive_invalid / s.ordinary_invalid),
        valid=math.log((1 - s.abusive_invalid) / (1 - s.ordinary_invalid)),
        notable=math.log(s.notable_odds),
        threshold=math.log(s.odds),
    )


@inlined
def _sum_of(unanswered: Any, short: Any, brief: Any, talked: Any, w: Any) -> Any:
    return unanswered * w.unanswered + short * w.short + brief * w.brief + talked * w.talked


@inlined
def _of_abuser(unanswered: Any, short: Any, brief: Any, talked: Any, abuser: Any) -> Any:
    """Against the ordinary caller that explains the calls best."""
    return min(
        _sum_of(unanswered, short, brief, talked, abuser.dialler),
        _sum_of(unanswered, short, brief, talked, abuser.announcer),
        _sum_of(unanswered, short, brief, talked, abuser.stale),
    )


@inlined
def outcome_odds(row: Any, aside: Any, robot: Any, silent: Any) -> Any:
    """Log-odds for abuse of the calls of the last 10 minutes that are not young, and what they rest on:
    unanswered ends, short ones, brief ones, talks and pending calls. float64 each.

    ``aside`` calls are over without being ends (int64). Calls are young for 10 s or for 30 s, whichever says
    more: either way what still rings counts as talk. Of the answered calls without talk that are left, as
    large a share is short as of all of the last 10 to 20 minutes.
    """
    head = row.newest // 10_000
    talked = np.float64(total(row.talked))
    over = max(np.float64(total(row.answered)) - talked, 0.0)
    share = min(np.float64(total(row.short)) / max(over, 1.0), 1.0)
    odds, unanswered, untalked, pending = _LEAST_ODDS, 0.0, 0.0, 0.0
    for young in _YOUNG_SLOTS:
        ends = np.float64(total(row.ends) - latest(row.ten_seconds_ends, head, young))
        attempts = np.float64(total(row.attempts) - latest(row.ten_seconds, head, young))
        left = max(over - np.float64(latest(row.ten_seconds_answered, head, young)), 0.0)
        missed, unfinished = max(ends - left - talked, 0.0), max(attempts - ends - aside, 0.0)
        short, brief = share * left, (1.0 - share) * left
        found = max(
            _of_abuser(missed, short, brief, talked + unfinished, robot),
            _of_abuser(missed, short, brief, talked + unfinished, silent),
        )
        if found > odds:
            odds, unanswered, untalked, pending = found, missed, left, unfinished
    return odds, unanswered, share * untalked, (1.0 - share) * untalked, talked, pending


def outcome_odds_reference(
    counts: Counts, aside: int, robot: Against, silent: Against
) -> tuple[float, float, float, float, float, float]:
    """As `outcome_odds`, from the events themselves."""
    talked = counts.talks(60_000, 10)
    over = max(counts.answered() - talked, 0)
    share = min(counts.recent(counts.shorts) / max(over, 1), 1.0)
    found = []
    for young in _YOUNG_SLOTS:
        ends = counts.matured((o.time for o in counts.outcomes), young)
        attempts = counts.matured((a.time for a in counts.attempts), young)
        fresh = counts.window((o.time for o in counts.outcomes if o.answered), 10_000, young)
        left = max(over - fresh, 0)
        missed, unfinished = max(ends - left - talked, 0), max(attempts - ends - aside, 0)
        short, brief = share * left, (1 - share) * left
        ends_of_calls = (missed, short, brief, talked + unfinished)
        odds = max(
            min(sum(n * weight for n, weight in zip(ends_of_calls, usual, strict=True)) for usual in abuser)
            for abuser in (robot, silent)
        )
        found.append((odds, float(missed), short, brief, float(talked), float(unfinished)))
    return max(found, key=lambda each: each[0])


@inlined
def pressing_odds(unanswered: Any, short: Any, brief: Any, talked: Any, p: Any) -> Any:
    """Log-odds for people being pressed, against their being called by those whom they know."""
    return _sum_of(unanswered, short, brief, talked, p.pressing)


@inlined
def misdialled_odds(invalid: Any, calls: Any, p: Any) -> Any:
    """Log-odds for abuse of ``invalid`` calls to numbers that do not exist among ``calls`` (float64)."""
    invalid = min(invalid, calls)
    return min(max(invalid * p.invalid + (calls - invalid) * p.valid, 0.0), MISDIALLED_LIMIT)


def misdialled_reference(counts: Counts, calls: int, p: OutcomeParameters) -> float:
    """As `misdialled_odds`."""
    invalid = min(counts.recent(counts.marked), calls)
    return min(max(invalid * p.invalid + (calls - invalid) * p.valid, 0.0), MISDIALLED_LIMIT)


@inlined
def habit_odds(calls: Any, talked: Any, p: Any) -> Any:
    """Log-odds for abuse of what a subject usually does, at most 0: of its ``calls`` (float64) of a long
    time, ``talked`` became talk."""
    usual = p.robot.dialler
    odds = max(calls - talked, 0.0) * usual.unanswered + talked * usual.talked
    return min(max(odds, HABIT_LIMIT), 0.0)


def habit_reference(calls: float, talked: float, p: OutcomeParameters) -> float:
    """As `habit_odds`."""
    usual = p.robot.dialler
    return sorted((HABIT_LIMIT, max(calls - talked, 0) * usual.unanswered + talked * usual.talked, 0.0))[1]
