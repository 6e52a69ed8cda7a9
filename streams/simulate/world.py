"""The networks and who lives in them, as the sources of traffic ask for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from streams.simulate.calls import Bools, Ints
from streams.simulate.consents import Consents
from streams.simulate.networks import TRUNKS_PER_PAIR, Networks
from streams.simulate.numbers import NETWORKS, segments
from streams.simulate.population import Population, populate
from streams.simulate.scenario import MINUTE, Scenario

DAY = 24 * 60 * MINUTE
_LOCAL_TIME = 8 * 60 * MINUTE
_BY_HOUR = np.array(
    [8, 5, 3, 2, 3, 6, 18, 42, 75, 95, 100, 92, 78, 80, 90, 94, 93, 88, 82, 80, 74, 58, 34, 17],
    dtype=np.float64,
)
"""Calls by hour of the local day, in percent of the busiest."""
MARKETING_HOURS = (9.0, 20.0)
NOTIFICATION_HOURS = (7.5, 21.5)
"""Hours of the local day in which such calls are made."""


class World:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.networks = Networks()
        self.population: Population = populate(scenario)
        self.consents = Consents(scenario, self.population)
        people = self.population.people
        self.people_of = [np.flatnonzero(people.network == i) for i in range(len(NETWORKS))]
        vote, outage = (
            scenario.random("vote").uniform(0.35, 0.45),
            scenario.random("outage").uniform(0.65, 0.75),
        )
        self.spare, self.spare_virtual = self._spare(virtual=False), self._spare(virtual=True)
        """By network, the segments in which none of the people live: its own, and of operators it hosts."""
        foreigners = self.population.foreigners
        self._foreigners = np.concatenate(foreigners)
        self._foreigners_of = np.array([len(f) for f in foreigners])
        self._first_foreigner = np.cumsum(self._foreigners_of) - self._foreigners_of
        self._vote_at, self._outage_at = float(vote), float(outage)
        to_unicom = [
            i for i, t in enumerate(self.networks.trunks) if t.to_network == "CU" and not t.international
        ]
        self.failing: Ints = scenario.random("world").permutation(np.array(to_unicom))[:4]
        """Trunks that the outage takes down."""

    def _spare(self, virtual: bool) -> list[Ints]:
        spare, network = self.population.spare, self.population.spare_network
        hosted = segments().virtual[np.searchsorted(segments().prefix, spare)]
        return [spare[(network == i) & (hosted == virtual)] for i in range(len(NETWORKS))]

    def hour(self, time: int | Ints) -> Any:
        """The local hour of the day, with its fraction."""
        return (time + _LOCAL_TIME) % DAY / (60 * MINUTE)

    def within(self, hours: tuple[float, float], time: Ints) -> Bools:
        """Which times are between two hours of the local day."""
        hour = self.hour(time)
        return np.asarray((hour >= hours[0]) & (hour < hours[1]))

    def level(self, time: int) -> float:
        """Traffic at ``time`` as a share of the busiest hour's."""
        hour = self.hour(time)
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

    def draw_foreigners(self, random: np.random.Generator, carrier: Ints) -> Ints:
        """A number of each foreign carrier, given by its index among those."""
        place = (random.random(len(carrier)) * self._foreigners_of[carrier]).astype(np.int64)
        return np.asarray(self._foreigners[self._first_foreigner[carrier] + place])
