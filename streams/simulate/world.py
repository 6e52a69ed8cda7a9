"""The networks and who lives in them, as the sources of traffic ask for them."""

from __future__ import annotations

import numpy as np

from streams.simulate.calls import Bools, Ints
from streams.simulate.networks import TRUNKS_PER_PAIR, Networks
from streams.simulate.numbers import NETWORKS
from streams.simulate.population import Organisation, Population, populate
from streams.simulate.scenario import MINUTE, Scenario

DAY = 24 * 60 * MINUTE
_LOCAL_TIME = 8 * 60 * MINUTE
_BY_HOUR = np.array(
    [8, 5, 3, 2, 3, 6, 18, 42, 75, 95, 100, 92, 78, 80, 90, 94, 93, 88, 82, 80, 74, 58, 34, 17],
    dtype=np.float64,
)
"""Calls by hour of the local day, in percent of the busiest."""
REFUSING = 0.1
"""Share of the people who refuse advertising calls."""


class World:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.networks = Networks()
        self.population: Population = populate(scenario)
        people = self.population.people
        random = scenario.random("world")
        self.refuses: Bools = random.random(len(people)) < REFUSING
        self.people_of = [np.flatnonzero(people.network == i) for i in range(len(NETWORKS))]
        vote, outage = (
            scenario.random("vote").uniform(0.35, 0.45),
            scenario.random("outage").uniform(0.65, 0.75),
        )
        self._vote_at, self._outage_at = float(vote), float(outage)
        to_unicom = [
            i for i, t in enumerate(self.networks.trunks) if t.to_network == "CU" and not t.international
        ]
        self.failing: Ints = random.permutation(np.array(to_unicom))[:4]
        """Trunks that the outage takes down."""

    def level(self, time: int) -> float:
        """Traffic at ``time`` as a share of the busiest hour's."""
        hour = (time + _LOCAL_TIME) % DAY / (60 * MINUTE)
        return float(np.interp(hour, np.arange(25), np.append(_BY_HOUR, _BY_HOUR[0]) / 100))

    def in_vote(self, time: Ints) -> Bools:
        return self._in_window(time, self._vote_at)

    def in_outage(self, time: Ints) -> Bools:
        return self._in_window(time, self._outage_at)

    def _in_window(self, time: Ints, at: float) -> Bools:
        """A tenth of the scenario, or of each of its days, beginning at the share ``at`` of it."""
        period = min(DAY, self.scenario.end_ms - self.scenario.start_ms)
        place = (time - self.scenario.start_ms) % period / period
        return np.asarray((place >= at) & (place < at + min(0.1, 10 * MINUTE / period)))

    def trunks(self, random: np.random.Generator, sender: Ints, receiver: Ints) -> Ints:
        """A trunk for each pair of networks (indices into ``Networks.names``); -1 where there is none."""
        return np.asarray(
            self.networks.table[sender, receiver, random.integers(0, TRUNKS_PER_PAIR, len(sender))],
            dtype=np.int64,
        )

    def draw_people(self, random: np.random.Generator, count: int) -> Ints:
        """Indices of people, the busy ones more often."""
        return np.searchsorted(self.population.people.activity, random.random(count), side="right")

    def draw_organisations(
        self, random: np.random.Generator, organisations: list[Organisation], count: int
    ) -> tuple[Ints, Ints]:
        """A number of one of them and its network, for each of ``count`` calls."""
        weights = np.cumsum([o.weight for o in organisations])
        chosen = np.searchsorted(weights, random.random(count) * weights[-1], side="right")
        sizes = np.array([len(o.numbers) for o in organisations])
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        numbers = np.concatenate([o.numbers for o in organisations])
        network = np.array([o.network for o in organisations])
        place = (random.random(count) * sizes[chosen]).astype(np.int64)
        return numbers[first[chosen] + place], network[chosen]
