"""What an attacker's campaign is made of: numbers to call from, targets, trunks, pace and habit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from streams.simulate.calls import Calls, Habit, Ints, conduct, one_of
from streams.simulate.networks import TRUNKS_PER_PAIR
from streams.simulate.numbers import (
    AREAS,
    FOREIGN,
    NETWORKS,
    SEGMENT,
    fixed,
    foreign,
    mobile,
    segments,
    spell,
    toll_free,
)
from streams.simulate.population import in_sorted
from streams.simulate.scenario import AttackSpec
from streams.simulate.world import World
from streams.wire.records import ListEntry

SORTS = {"mobile": 0.42, "virtual": 0.15, "fixed": 0.2, "toll_free": 0.08, "service": 0.08, "abroad": 0.07}
"""Sorts of numbers that campaigns call from, and how often each."""
LARGEST_POOL = 300


@dataclass(frozen=True)
class Plan:
    """A campaign before its calls are drawn."""

    number: int
    """From 1, by time of begin; 0 stands for no campaign."""
    kind: str
    ordinal: int
    """Among those of its kind, from 0."""
    begin: int
    end: int
    spec: AttackSpec

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.ordinal + 1}"


@dataclass(frozen=True)
class Drawn:
    calls: Calls
    subjects: list[str]
    entries: list[ListEntry] = field(default_factory=list)
    """What lists say of its numbers, and of those it calls."""


class Craft:
    """Draws what one campaign needs, everything from its own random numbers."""

    def __init__(self, world: World, taken: Ints, plan: Plan) -> None:
        """``taken``: numbers that make legitimate calls, ascending."""
        self.world = world
        self.plan = plan
        self._taken = taken
        self.random = world.scenario.random("campaign", plan.kind, plan.ordinal)
        self.sender, self.receiver = self._pair()
        """Networks that the calls come from and go to."""
        self.carrier = ""
        """The foreign carrier that they come from; empty: from home."""

    def _pair(self) -> tuple[int, int]:
        """Pairs take turns, so that campaigns at the same time seldom use the same trunk."""
        pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
        order = self.world.scenario.random("pairs").permutation(len(pairs))
        sender, receiver = pairs[order[self.plan.number % len(pairs)]]
        return (NETWORKS.index("CB") if self.random.random() < 0.05 else sender), receiver

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def between(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, the small ones more often; no more than there are calls."""
        drawn = round(float(np.exp(self.random.uniform(np.log(low), np.log(high)))))
        return min(drawn, self.plan.spec.calls or high)

    def habit(self, habit: Habit, spread: float = 0.2) -> Habit:
        """The campaign's own variety of ``habit``."""
        return one_of(self.random, habit, spread)

    def trunks(self, most: int = 1) -> Ints:
        """Trunks from the sender, or its carrier, to the receiver; everybody's calls go over them too."""
        sender = self.carrier or NETWORKS[self.sender]
        own = np.array(self.world.networks.of_pair(sender, NETWORKS[self.receiver]))
        count = int(self.random.integers(1, min(most, TRUNKS_PER_PAIR, len(own)) + 1))
        return self.random.choice(own, count, replace=False)

    def starts(self, slowest: float, fastest: float) -> Ints:
        """Times of the calls asked for, else of eight or more at a rate (calls/s) between the two."""
        rate = self.between(slowest, fastest) * self.plan.spec.intensity
        lasts = self.plan.end - self.plan.begin
        count = self.plan.spec.calls or max(8, round(rate * lasts / 1000))
        return self.plan.begin + np.sort((self._pace(count) * lasts).astype(np.int64))

    def _pace(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Where in the campaign each call begins, 0 to 1: evenly, at random, in waves, or ever faster."""
        at = (np.arange(count) + self.random.random(count)) / count
        style = self.random.random()
        if style < 0.3:
            return at
        if style < 0.6:
            return self.random.random(count)
        if style < 0.8:
            return np.sqrt(at)
        waves = int(self.random.integers(2, 6))
        wave, inside = np.divmod(at * waves, 1.0)
        return np.minimum((wave + inside * self.between(0.3, 0.7)) / waves, 0.999999)

    def sort(self, *but: str) -> str:
        """A sort of number to call from, none of ``but``."""
        names = [name for name in SORTS if name not in but]
        weights = np.array([SORTS[name] for name in names])
        return names[int(self.random.choice(len(names), p=weights / weights.sum()))]

    def segment(self, network: int | None = None, virtual: bool = False) -> int:
        """A segment of a network (None: the sender), for every second campaign one where people live too."""
        network = self.sender if network is None else network
        if not virtual and self.chance(0.5):
            people = self.world.population.people
            own = people.number[people.allotted == network]
            return int(self.random.choice(own)) // SEGMENT % 10_000_000
        spare = self.world.spare_virtual[network] if virtual else self.world.spare[network]
        return int(self.random.choice(spare if len(spare) else self.world.spare[network]))

    def free(self, numbers: Ints) -> Ints:
        """Those from which nobody legitimate calls."""
        return numbers[~in_sorted(numbers, self._taken)]

    def pool(self, count: int, segment: int | None = None) -> Ints:
        """Numbers of one segment, in a row or scattered."""
        numbers = self.free(mobile(self.segment() if segment is None else segment, np.arange(SEGMENT)))
        count = min(count, len(numbers))
        if self.chance(0.4):
            first = int(self.random.integers(0, len(numbers) - count + 1))
            return numbers[first : first + count]
        return self.random.choice(numbers, count, replace=False)

    def callers(self, count: int, sort: str) -> Ints:
        """``count`` numbers of a sort; those from abroad also choose the carrier."""
        if sort in ("mobile", "virtual"):
            return self.pool(count, self.segment(virtual=sort == "virtual"))
        if sort == "abroad":
            return self.abroad(count)
        if sort == "fixed":
            return self.fixed_pool(count)
        ranges = (
            toll_free(np.arange(1_000_000, 9_999_000, 37))
            if sort == "toll_free"
            else np.arange(951_000, 960_000)
        )
        numbers = self.free(ranges)
        first = int(self.random.integers(0, len(numbers) - count))
        return numbers[first : first + count]

    def fixed_pool(self, count: int) -> Ints:
        """Fixed numbers of one exchange, every second time within a hundred as a company's are."""
        area, width = (
            int(self.random.choice(tuple(AREAS))),
            100 if count <= 90 and self.chance(0.5) else 3_000,
        )
        first = int(self.random.integers(3_000, 8_900)) * SEGMENT + int(self.random.integers(0, 70)) * 100
        return self.random.choice(self.free(fixed(area, first + np.arange(width))), count, replace=False)

    def abroad(self, count: int) -> Ints:
        """Numbers of a foreign carrier, over whose trunks the calls come then."""
        self.carrier = list(FOREIGN)[int(self.random.integers(len(FOREIGN)))]
        base = int(self.random.choice(foreign(FOREIGN[self.carrier]))) // 1000 * 1000
        near = self.free(base + np.arange(1000 if count > 60 else 100))
        return self.random.choice(near, min(count, len(near)), replace=False)

    def targets(self, count: int) -> Ints:
        """People of the receiver and numbers drawn from its segments, anywhere or in a few blocks."""
        people = self.world.population.people
        known = people.number[self.random.choice(self.world.people_of[self.receiver], count)]
        plan = segments()
        own = plan.prefix[plan.network == self.receiver]
        if self.chance(0.25):
            own = self.random.choice(own, int(self.random.integers(1, 6)))
        drawn = mobile(self.random.choice(own, count), self.random.integers(0, SEGMENT, count))
        return np.where(self.random.random(count) < self.between(0.2, 0.8), known, drawn)

    def victim(self) -> int:
        """Index of somebody on the receiver's network."""
        return int(self.random.choice(self.world.people_of[self.receiver]))

    def each(self, pool: Ints, count: int) -> Ints:
        """One of ``pool`` for each call: at random, in turn, or one after the other is used up."""
        style = self.random.random()
        if style < 0.4:
            return self.random.choice(pool, count)
        if style < 0.7:
            return np.resize(pool, count)
        return pool[np.arange(count) * len(pool) // count]

    def calls(self, habit: Habit, start: Ints, caller: Ints, callee: Ints, trunks: Ints) -> Calls:
        """Calls over ``trunks``, drawn at random; now and then somebody calls the number back."""
        calls = conduct(self.random, habit, start, caller, callee, self.random.choice(trunks, len(start)))
        calls.back[:] = np.where(calls.talk > 0, 0.0, self.between(0.0, 0.03))
        calls.back_answered[:] = 0.3
        return calls

    def trunk_name(self, trunk: int) -> str:
        return self.world.networks.trunks[trunk].name


def spelled(numbers: Ints) -> list[str]:
    return [spell(n) for n in np.unique(numbers).tolist()]
