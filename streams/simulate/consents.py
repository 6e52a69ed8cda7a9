"""Who refuses advertising calls, from everybody or from one company, and who agreed to them."""

from __future__ import annotations

import numpy as np

from streams.simulate.calls import Bools, Ints
from streams.simulate.population import Population
from streams.simulate.scenario import Scenario

REFUSING = 0.1
"""Share of the people who refuse advertising calls from everybody."""
REFUSING_ONE = 0.04
"""Share who refuse those of one call centre."""
AGREEING = 0.15
"""Share of those who refuse in general that agreed to the calls of one call centre."""


class Consents:
    def __init__(self, scenario: Scenario, population: Population) -> None:
        random = scenario.random("world")
        count, centres = len(population.people), population.call_centres.organisations
        self._obliged = np.array([o.category == "marketing" for o in centres])
        self.refuses: Bools = random.random(count) < REFUSING
        draws = random.random((2, count))
        some = random.integers(0, len(centres), (2, count))
        self.refused: Ints = np.where(draws[0] < REFUSING_ONE, some[0], -1)
        """By person: the call centre from which that one wants no more calls; -1: none."""
        agreed = self.refuses & (draws[1] < AGREEING) & (some[1] != self.refused)
        self.agreed: Ints = np.where(agreed, some[1], -1)
        """By person: the call centre that may call in spite of a general refusal; -1: none."""

    def may_market(self, centre: Ints, person: Ints) -> Bools:
        """Whether a call centre may call a person, for each pair; those that do not advertise always may."""
        willing = ~self.refuses[person] | (self.agreed[person] == centre)
        return np.asarray(~self._obliged[centre] | (willing & (self.refused[person] != centre)))
