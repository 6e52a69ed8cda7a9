"""Who uses the simulated networks: people and whom they know, companies, call centres, services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from streams.simulate.calls import Bools, Floats, Ints
from streams.simulate.mix import crowd
from streams.simulate.numbers import (
    AREAS,
    FOREIGN,
    NETWORKS,
    SEGMENT,
    SERVICES,
    fixed,
    foreign,
    mobile,
    segments,
    toll_free,
)
from streams.simulate.scenario import Scenario

Category = Literal["", "marketing", "notification", "service", "collection"]
"""What an organisation calls people for, as the list of companies says; empty: it is not on it."""

COURIERS = 5.2
"""For each call a second."""
PEOPLE_PER_CALL_A_SECOND = 600
PEOPLE_PER_SEGMENT = 40
COMMUNITY = 64
"""Close ties are within a community of this size; the rest of the acquaintances are anywhere."""
CLOSE, LOOSE = 6, 6
NETWORK_SHARES = (0.48, 0.24, 0.24, 0.04)
PORTED = 0.02
EXTENSIONS = 100
"""Numbers in a company's range."""


@dataclass
class People:
    number: Ints
    network: Ints
    """Index into NETWORKS of the operator that serves the number."""
    allotted: Ints
    """Index of the operator that the number's segment belongs to; differs where the number was ported."""
    contacts: Ints
    """(people, CLOSE + LOOSE): index of each acquaintance, best first; -1 where that one is on the same
    network, for such calls never cross to another."""
    activity: Floats
    """Cumulative, last is 1: calls are drawn by it."""

    def __len__(self) -> int:
        return len(self.number)


@dataclass
class Organisation:
    """A call centre, a company, a notification sender, a service."""

    name: str
    numbers: Ints
    network: int
    weight: float
    category: Category = ""


class Roster:
    """Organisations of one sort; calls are drawn by their weights."""

    def __init__(self, organisations: list[Organisation]) -> None:
        self.organisations = organisations
        self.numbers = np.concatenate([o.numbers for o in organisations])
        self._size = np.array([len(o.numbers) for o in organisations])
        self._first = np.cumsum(self._size) - self._size
        self._network = np.array([o.network for o in organisations])
        self._weight = np.cumsum([o.weight for o in organisations])

    def __len__(self) -> int:
        return len(self.organisations)

    def draw(self, random: np.random.Generator, count: int) -> tuple[Ints, Ints, Ints]:
        """For each of ``count`` calls: which organisation, one of its numbers, its network."""
        chosen = np.searchsorted(self._weight, random.random(count) * self._weight[-1], side="right")
        place = (random.random(count) * self._size[chosen]).astype(np.int64)
        return chosen, self.numbers[self._first[chosen] + place], self._network[chosen]


@dataclass
class Population:
    people: People
    couriers: Ints
    """Indices into ``people``."""
    alarm_lines: Ints
    call_centres: Roster
    companies: Roster
    notifiers: Roster
    services: Roster
    alarm_centre: Organisation
    vote: int
    """The number that the viewers of a programme call."""
    foreigners: list[Ints]
    """By carrier."""
    spare: Ints
    """Segments where none of the people are: allotted, and free for the attackers' numbers."""
    spare_network: Ints
    rerouted: Ints
    """Indices of people whose virtual operator is routed by another host than the plan says."""


def populate(scenario: Scenario) -> Population:
    random = scenario.random("population")
    rate = scenario.calls_per_second
    count = (
        int(np.clip(rate * PEOPLE_PER_CALL_A_SECOND, 2 * 10 * COMMUNITY, 2_000_000)) // COMMUNITY * COMMUNITY
    )
    home, spare, spare_network = _settle_segments(random, max(8, count // PEOPLE_PER_SEGMENT))
    people = _people(random, count, home)
    rerouted = _reroute(random, people)
    people.contacts = _acquaintances(random, people.network)
    courier_count = max(2, round(crowd(scenario, "courier") * COURIERS))
    alarm_count = max(2, round(rate * 0.9))
    chosen = random.permutation(count)
    companies = [_company(random, i) for i in range(max(3, round(crowd(scenario, "company") / 10)))]
    call_centres = [
        _call_centre(random, i) for i in range(max(2, round(crowd(scenario, "call_centre") / 10)))
    ]
    notifiers = [_notifier(random, i) for i in range(max(1, round(crowd(scenario, "notifier") / 18)))]
    services = [
        Organisation(f"service {number}", np.array([int(number)]), i % 3, 1 / (i + 1), "service")
        for i, number in enumerate(SERVICES)
    ]
    foreigners = [
        np.unique(random.choice(foreign(region), max(4, round(rate / 4)))) for region in FOREIGN.values()
    ]
    return Population(
        people=people,
        couriers=chosen[: min(courier_count, count // 3)],
        alarm_lines=chosen[count // 3 : count // 3 + alarm_count],
        call_centres=Roster(call_centres),
        companies=Roster(companies),
        notifiers=Roster(notifiers),
        services=Roster(services),
        alarm_centre=Organisation("alarm centre", fixed(21, np.array([62_000_110])), 2, 1.0, "service"),
        vote=int(toll_free(8_880_001)),
        foreigners=foreigners,
        spare=spare,
        spare_network=spare_network,
        rerouted=rerouted,
    )


def _settle_segments(random: np.random.Generator, count: int) -> tuple[list[Ints], Ints, Ints]:
    """Segments that people live in, for each network, and the rest with their network.

    Each network that hosts virtual operators has people in some of their segments.
    """
    plan = segments()
    home: list[Ints] = []
    free = np.ones(len(plan.prefix), np.bool_)
    for network, share in enumerate(NETWORK_SHARES):
        own = np.flatnonzero(plan.network == network)
        picked = random.choice(own, min(max(2, round(count * share)), len(own) // 2), replace=False)
        hosted = own[plan.virtual[own]]
        if len(hosted):
            picked = np.union1d(picked, random.choice(hosted, min(2, len(hosted)), replace=False))
        home.append(plan.prefix[picked])
        free[picked] = False
    return home, plan.prefix[free], plan.network[free].astype(np.int64)


def _people(random: np.random.Generator, count: int, home: list[Ints]) -> People:
    allotted = random.choice(len(NETWORKS), count, p=NETWORK_SHARES)
    number = np.empty(count, np.int64)
    for network, own in enumerate(home):
        here = np.flatnonzero(allotted == network)
        places = random.choice(len(own) * SEGMENT, len(here), replace=False)
        number[here] = mobile(own[places // SEGMENT], places % SEGMENT)
    moved = random.random(count) < PORTED
    network_now = np.where(
        moved, (allotted + random.integers(1, len(NETWORKS), count)) % len(NETWORKS), allotted
    )
    habits = np.minimum(random.gamma(0.9, 1.0, count), 4.0)
    nobody = np.full((count, CLOSE + LOOSE), -1, np.int64)
    return People(number, network_now, allotted, nobody, np.cumsum(habits) / habits.sum())


def _reroute(random: np.random.Generator, people: People) -> Ints:
    """Moves whole segments of virtual operators to another host; the people concerned."""
    plan = segments()
    segment = people.number // SEGMENT % 10_000_000
    at = np.searchsorted(plan.prefix, segment)
    hosted = np.unique(segment[plan.virtual[at] & (people.allotted < 3)])
    moved = random.choice(hosted, max(1, len(hosted) // 3), replace=False)
    concerned = np.flatnonzero(np.isin(segment, moved))
    people.network[concerned] = (people.allotted[concerned] + 1) % 3
    return concerned


def _acquaintances(random: np.random.Generator, network: Ints) -> Ints:
    """Random matchings: whoever is my contact has me as theirs, at the same place in the order."""
    count = len(network)
    contacts = np.full((count, CLOSE + LOOSE), -1, np.int64)
    for place in range(CLOSE + LOOSE):
        if place < CLOSE:
            order = np.arange(count).reshape(-1, COMMUNITY)
            order = random.permuted(order, axis=1).reshape(-1, 2)
        else:
            order = random.permutation(count).reshape(-1, 2)
        apart = order[network[order[:, 0]] != network[order[:, 1]]]
        contacts[apart[:, 0], place] = apart[:, 1]
        contacts[apart[:, 1], place] = apart[:, 0]
    return contacts


def _area(i: int) -> int:
    return tuple(AREAS)[i % len(AREAS)]


def _company(random: np.random.Generator, i: int) -> Organisation:
    """A range of a hundred numbers; every third company shows its main number for all extensions."""
    first = 61_000_000 + i * 10_000 + int(random.integers(0, 90)) * EXTENSIONS
    numbers = fixed(_area(i), first + np.arange(EXTENSIONS))
    shown = numbers[:1] if i % 3 == 2 else numbers
    return Organisation(f"company {i + 1}", shown, (2, 1, 0)[i % 3], 0.5 + float(random.random()))


def _call_centre(random: np.random.Generator, i: int) -> Organisation:
    """One to four numbers; every fifth is a bank's that shows its service number."""
    category: Category = "marketing"
    if i % 5 == 4:
        category = "service"
        numbers = np.array([int(SERVICES[(i // 5) % len(SERVICES)])])
    elif i % 5 == 3:
        numbers = toll_free(np.array([6_660_000 + i * 10]))
    else:
        numbers = fixed(_area(i), 51_000_000 + i * 10_000 + np.arange(1 + i % 4))
    weight = 0.3 + float(random.random())
    return Organisation(f"call centre {i + 1}", numbers, (1, 2, 0)[i % 3], weight, category)


def _notifier(random: np.random.Generator, i: int) -> Organisation:
    number = int(SERVICES[-1 - i % 3]) if i % 2 == 0 else int(toll_free(8_200_000 + i))
    weight = 0.5 + float(random.random())
    return Organisation(f"notifier {i + 1}", np.array([number]), (2, 0, 1)[i % 3], weight, "notification")


def in_sorted(values: Ints, ordered: Ints) -> Bools:
    """Which of ``values`` are in ``ordered``, which ascends."""
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[at] == values)
