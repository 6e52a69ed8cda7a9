"""Calls that calls lead to: missed ones are called back, failed ones tried again."""

from __future__ import annotations

import numpy as np

from streams.simulate.calls import Calls, Floats, Ints, Outcome, conduct, join, settle
from streams.simulate.habits import AGAIN, BACK, SOCIAL, as_people_do
from streams.simulate.world import World

_OVERLOADED = 0.3
"""Who is answered less often than this goes on trying."""


class FollowUps:
    """The calls that calls lead to: a missed one is called back, a failed one tried again.

    ``returned`` tells whether a missed call back is called back in turn. Attackers do not: a call of theirs
    belongs to a campaign.
    """

    def __init__(self, world: World, name: str, returned: bool = True) -> None:
        self._world = world
        self._returned = returned
        self._random = world.scenario.random("follow-ups", name)
        self._waiting: list[Calls] = []

    def hold(self, calls: Calls | None) -> None:
        """Keeps calls until their time comes."""
        if calls is not None and len(calls):
            self._waiting.append(calls)

    def due(self, end: int) -> Calls | None:
        """The calls that begin before ``end``."""
        if not self._waiting:
            return None
        waiting = join(self._waiting)
        now = waiting.start < end
        self._waiting = [waiting.where(~now)]
        return waiting.where(now) if now.any() else None

    def react(self, calls: Calls) -> None:
        """Draws what follows from ``calls``, and keeps it."""
        draws = self._random.random((2, len(calls)))
        again = (draws[0] < calls.again) & (calls.outcome != Outcome.ANSWERED)
        back = (draws[1] < calls.back) & ~again
        if again.any():
            self._waiting.append(self._tried_again(calls.where(again)))
        if back.any():
            self._waiting.append(self._called_back(calls.where(back)))

    def _later(self, calls: Calls, median_s: float) -> Ints:
        wait = np.exp(self._random.normal(np.log(median_s * 1000), 0.8, len(calls)))
        release = calls.start + calls.setup + calls.ring + calls.talk
        return np.asarray(release + np.minimum(wait, 900_000).astype(np.int64))

    def _tried_again(self, calls: Calls) -> Calls:
        start = self._later(calls, 14.0)
        later = conduct(self._random, SOCIAL, start, calls.caller, calls.callee, calls.trunk)
        _answer(self._random, later, calls.again_answered, calls.outcome)
        later.roaming[:] = calls.roaming
        later.presentation[:] = calls.presentation
        later = as_people_do(later)
        later.back[calls.back_answered == 0] = 0
        later.back_answered[:] = calls.back_answered
        later.again_answered[:] = calls.again_answered
        later.again = np.where(calls.again_answered < _OVERLOADED, calls.again * 0.9, later.again)
        return later

    def _called_back(self, calls: Calls) -> Calls:
        start = self._later(calls, 75.0)
        trunk = self._world.trunks(self._random, *self._world.networks.back(calls.trunk))
        later = conduct(self._random, SOCIAL, start, calls.callee, calls.caller, trunk)
        _answer(self._random, later, calls.back_answered, later.outcome)
        later.again[:] = 0.5 * AGAIN[later.outcome]
        later.back[:] = 0.5 * BACK[later.outcome] * self._returned
        later.back_answered *= self._returned
        return later


def _answer(random: np.random.Generator, calls: Calls, chance: Floats, otherwise: Ints) -> None:
    """Draws again which calls are answered; the others end as ``otherwise`` says."""
    missed = np.where(otherwise == Outcome.ANSWERED, int(Outcome.NO_ANSWER), otherwise)
    calls.outcome = np.where(random.random(len(calls)) < chance, int(Outcome.ANSWERED), missed)
    settle(random, SOCIAL, calls)
