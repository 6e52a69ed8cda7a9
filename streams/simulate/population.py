"""Who uses the simulated networks: people and whom they know, companies, call centres, services."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.simulate.calls import Bools, Floats, Ints
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

    numbers: Ints
    network: int
    weight: float


@dataclass
class Population:
    people: People
    couriers: Ints
    """Indices into ``people``."""
    alarm_lines: Ints
    call_centres: list[Organisation]
    companies: list[Organisation]
    notifiers: list[Organisation]
    services: list[Organisation]
    alarm_centre: Organisation
    vote: int
    """The number that the viewers of a programme call."""
    foreigners: list[Ints]
    """By carrier."""
    spare: Ints
    """Segments where none of the people are: allotted, and free for the attackers' numbers."""
    spare_network: Ints
    taken: Ints
    """Every number that makes legitimate calls, ascending."""


def populate(scenario: Scenario) -> Population:
    random = scenario.random("population")
    rate = scenario.calls_per_second
    count = (
        int(np.clip(rate * PEOPLE_PER_CALL_A_SECOND, 2 * 10 * COMMUNITY, 2_000_000)) // COMMUNITY * COMMUNITY
    )
    home, spare, spare_network = _settle_segments(random, max(8, count // PEOPLE_PER_SEGMENT))
    people = _people(random, count, home)
    courier_count = max(2, round(rate * 6.4))
    alarm_count = max(2, round(rate * 0.9))
    chosen = random.permutation(count)
    companies = [_company(random, i) for i in range(max(2, round(rate / 10)))]
    call_centres = [_call_centre(random, i) for i in range(max(2, round(rate / 10)))]
    notifiers = [_notifier(random, i) for i in range(max(1, round(rate / 18)))]
    services = [
        Organisation(np.array([int(number)]), i % 3, 1 / (i + 1)) for i, number in enumerate(SERVICES)
    ]
    alarm_centre = Organisation(fixed(21, np.array([62_000_110])), 2, 1.0)
    foreigners = [
        np.unique(random.choice(foreign(region), max(4, round(rate / 4)))) for region in FOREIGN.values()
    ]
    taken = np.sort(
        np.concatenate(
            [
                people.number,
                *(o.numbers for o in (*companies, *call_centres, *notifiers, *services, alarm_centre)),
                *foreigners,
            ]
        )
    )
    return Population(
        people=people,
        couriers=chosen[:courier_count],
        alarm_lines=chosen[courier_count : courier_count + alarm_count],
        call_centres=call_centres,
        companies=companies,
        notifiers=notifiers,
        services=services,
        alarm_centre=alarm_centre,
        vote=int(toll_free(8_880_001)),
        foreigners=foreigners,
        spare=spare,
        spare_network=spare_network,
        taken=taken,
    )


def _settle_segments(random: np.random.Generator, count: int) -> tuple[list[Ints], Ints, Ints]:
    """Segments that people live in, for each network, and the rest with their network."""
    plan = segments()
    home: list[Ints] = []
    free = np.ones(len(plan.prefix), np.bool_)
    for network, share in enumerate(NETWORK_SHARES):
        own = np.flatnonzero(plan.network == network)
        picked = random.choice(own, min(max(2, round(count * share)), len(own) // 2), replace=False)
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
    return People(
        number, network_now, allotted, _acquaintances(random, network_now), np.cumsum(habits) / habits.sum()
    )


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
    return Organisation(
        numbers[:1] if i % 3 == 2 else numbers, (2, 1, 0)[i % 3], 0.5 + float(random.random())
    )


def _call_centre(random: np.random.Generator, i: int) -> Organisation:
    """One to four numbers; every fifth is a bank's that shows its service number."""
    if i % 5 == 4:
        numbers = np.array([int(SERVICES[(i // 5) % len(SERVICES)])])
    elif i % 5 == 3:
        numbers = toll_free(np.array([6_660_000 + i * 10]))
    else:
        numbers = fixed(_area(i), 51_000_000 + i * 10_000 + np.arange(1 + i % 4))
    return Organisation(numbers, (1, 2, 0)[i % 3], 0.3 + float(random.random()))


def _notifier(random: np.random.Generator, i: int) -> Organisation:
    number = int(SERVICES[-1 - i % 3]) if i % 2 == 0 else int(toll_free(8_200_000 + i))
    return Organisation(np.array([number]), (2, 0, 1)[i % 3], 0.5 + float(random.random()))


def in_sorted(values: Ints, ordered: Ints) -> Bools:
    """Which of ``values`` are in ``ordered``, which ascends."""
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[at] == values)
