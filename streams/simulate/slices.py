"""Slices of time, in which sources of calls draw those that begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streams.simulate.calls import Calls, Habit, Ints, conduct
from streams.simulate.world import World

Source = Callable[[int, int], Calls | None]
"""Begin and end of a slice in ms to the calls that begin in it, or follow from such."""


@dataclass
class Slice:
    """Draws of one source for one slice."""

    world: World
    random: np.random.Generator
    start: Ints

    def __len__(self) -> int:
        return len(self.start)

    def calls(
        self,
        habit: Habit,
        caller: Ints,
        callee: Ints,
        sender: Ints,
        receiver: Ints,
        which: Ints | None = None,
    ) -> Calls:
        """Calls between networks; those within one network do not cross and are left out.

        ``which``: the row of ``habit`` for each call, where it holds several habits.
        """
        trunk = self.world.trunks(self.random, sender, receiver)
        keep = np.flatnonzero(trunk >= 0)
        self.start = self.start[keep]
        if which is not None:
            habit = habit.of(which[keep])
        return conduct(self.random, habit, self.start, caller[keep], callee[keep], trunk[keep])

    def anyone(self) -> Ints:
        """Indices of people, all alike likely."""
        return self.random.integers(0, len(self.world.population.people), len(self))
