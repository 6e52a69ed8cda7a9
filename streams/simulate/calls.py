"""A batch of simulated calls as columns, and how calls end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Outcome(IntEnum):
    ANSWERED = 0
    NO_ANSWER = 1
    BUSY = 2
    DECLINED = 3
    SWITCHED_OFF = 4
    FAILED = 5
    NOT_A_NUMBER = 6
    GIVEN_UP = 7
    """The caller hangs up while it rings."""
    CONGESTED = 8


CALLER, CALLEE, NETWORK = 1, 2, 3
"""Who released."""

CAUSE = np.array([16, 19, 17, 21, 20, 38, 1, 16, 34])
SIP_CODE = np.array([200, 480, 486, 603, 480, 500, 404, 487, 503])
_RELEASED_BY = np.array([0, NETWORK, CALLEE, CALLEE, NETWORK, NETWORK, NETWORK, CALLER, NETWORK])
"""By outcome; who ends an answered call is drawn."""
_NO_ANSWER, _DECLINED, _GIVEN_UP = int(Outcome.NO_ANSWER), int(Outcome.DECLINED), int(Outcome.GIVEN_UP)
_LOG_1000 = np.log(1000.0)


@dataclass
class Calls:
    """Columns of equal length, one row a call."""

    start: Ints
    """Seizure, ms."""
    caller: Ints
    """E.164, or a short service number below 1 000 000; a text caller is ``-extension``."""
    callee: Ints
    trunk: Ints
    """Index into ``Networks.trunks``."""
    setup: Ints
    """ms from seizure to ringing, or to failure where it never rings."""
    ring: Ints
    talk: Ints
    outcome: Ints
    released_by: Ints
    presentation: Ints
    """-1 not signalled, 1 restricted, 2 restricted and the number not passed on."""
    roaming: Bools
    redirecting: Ints
    """The number that forwarded the call; 0: none."""
    again: Floats
    """Chance that the caller tries again after a failure."""
    again_answered: Floats
    """Chance that another try is answered; 0: there is none."""
    back: Floats
    """Chance that the callee calls back."""
    back_answered: Floats
    """Chance that such a call back is answered; 0: nor does anybody call back after another try."""
    campaign: Ints
    """Index of the campaign from 1; 0: legitimate."""

    def __len__(self) -> int:
        return len(self.start)

    def where(self, chosen: Bools | Ints) -> Calls:
        return Calls(*(getattr(self, f.name)[chosen] for f in fields(self)))


def join(batches: list[Calls]) -> Calls:
    return Calls(*(np.concatenate([getattr(b, f.name) for b in batches]) for f in fields(Calls)))


@dataclass(frozen=True)
class Habit:
    """How calls of one sort go. Times in seconds; spreads are sigmas of the logarithm.

    Each field may instead hold a row for each of several habits; ``of`` then gives every call its own.
    """

    outcomes: tuple[float, ...] | Floats
    """Weights of ANSWERED to GIVEN_UP."""
    ring: float | Floats
    talk: float | Floats
    ring_spread: float | Floats = 0.5
    talk_spread: float | Floats = 0.9
    give_up: float | Floats = 14.0
    """Median ring time of a caller who gives up."""
    caller_hangs_up: float | Floats = 0.55
    """Share of answered calls that the caller ends."""
    no_answer: float | Floats = 45.0
    """The network's time-out."""

    def of(self, which: Ints) -> Habit:
        """The habits that ``which`` names by row, one for each call."""
        return Habit(*(np.asarray(getattr(self, f.name))[which] for f in fields(self)))


def varied(random: np.random.Generator, habit: Habit, count: int, spread: float = 0.25) -> Habit:
    """``count`` habits around ``habit``, times and weights each off by a factor of log-spread ``spread``."""

    def factor(*shape: int) -> Floats:
        return np.exp(random.normal(0, spread, (count, *shape)))

    outcomes = np.asarray(habit.outcomes) * factor(len(np.asarray(habit.outcomes)))
    return Habit(
        outcomes / outcomes.sum(axis=1, keepdims=True),
        habit.ring * factor(),
        habit.talk * factor(),
        habit.ring_spread * factor(),
        habit.talk_spread * factor(),
        habit.give_up * factor(),
        np.clip(habit.caller_hangs_up * factor(), 0.0, 1.0),
        random.choice(np.array([habit.no_answer, 30.0, 40.0, 60.0]), count),
    )


def one_of(random: np.random.Generator, habit: Habit, spread: float = 0.25) -> Habit:
    """A single habit around ``habit``."""
    rows = varied(random, habit, 1, spread)
    return Habit(*(getattr(rows, f.name)[0] for f in fields(rows)))


def conduct(
    random: np.random.Generator, habit: Habit, start: Ints, caller: Ints, callee: Ints, trunk: Ints
) -> Calls:
    """The calls, with their outcome drawn by ``habit``; nobody tries again or calls back yet."""
    count = len(start)
    weights = np.cumsum(habit.outcomes, axis=-1)
    if weights.ndim == 1:
        outcome = np.searchsorted(weights, random.random(count) * weights[-1], side="right")
    else:
        outcome = (weights <= (random.random(count) * weights[:, -1])[:, None]).sum(axis=1)
    calls = Calls(
        start=start,
        caller=caller,
        callee=callee,
        trunk=trunk,
        setup=np.exp(random.normal(6.6, 0.4, count)).astype(np.int64),
        ring=np.zeros(count, np.int64),
        talk=np.zeros(count, np.int64),
        outcome=outcome.astype(np.int64),
        released_by=np.zeros(count, np.int64),
        presentation=np.full(count, -1, np.int64),
        roaming=np.zeros(count, np.bool_),
        redirecting=np.zeros(count, np.int64),
        again=np.zeros(count),
        again_answered=np.full(count, 0.6),
        back=np.zeros(count),
        back_answered=np.full(count, 0.8),
        campaign=np.zeros(count, np.int64),
    )
    settle(random, habit, calls)
    return calls


def settle(random: np.random.Generator, habit: Habit, calls: Calls) -> None:
    """Sets ring and talk time and who released, as the outcome of each call demands."""
    count = len(calls)
    ring = np.exp(random.normal(np.log(habit.ring) + _LOG_1000, habit.ring_spread, count))
    give_up = np.exp(random.normal(np.log(habit.give_up) + _LOG_1000, habit.ring_spread, count))
    talk = np.exp(random.normal(np.log(habit.talk) + _LOG_1000, habit.talk_spread, count))
    by_caller = random.random(count) < habit.caller_hangs_up
    outcome = calls.outcome
    answered = outcome == 0
    rung = np.where(outcome == _NO_ANSWER, np.asarray(habit.no_answer) * 1000.0, 0.0)
    rung = np.where(outcome == _GIVEN_UP, np.minimum(give_up, 59_000), rung)
    ring = np.where(answered | (outcome == _DECLINED), np.minimum(ring, 59_000), rung)
    calls.ring = ring.astype(np.int64)
    calls.talk = np.where(answered, np.clip(talk, 400, 7_200_000), 0).astype(np.int64)
    calls.released_by = np.where(answered, np.where(by_caller, CALLER, CALLEE), _RELEASED_BY[outcome])
