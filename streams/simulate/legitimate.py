"""Where ordinary legitimate calls come from. Each source gives the calls that begin in a slice of time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streams.simulate.calls import Calls, Habit, Ints, one_of, varied
from streams.simulate.habits import (
    ABROAD,
    AGAIN,
    ALARM,
    BACK,
    BUSINESS,
    CALL_CENTRE,
    COURIER,
    NOTIFICATION,
    SERVICE,
    SOCIAL,
    VOTE,
    as_people_do,
)
from streams.simulate.mix import rate
from streams.simulate.numbers import FOREIGN, NETWORKS
from streams.simulate.population import Roster
from streams.simulate.slices import Slice, Source
from streams.simulate.world import MARKETING_HOURS, NOTIFICATION_HOURS, World


def ordinary_sources(world: World) -> list[Source]:
    """Sources of first calls of the ordinary sorts."""
    habits = _Habits(world)
    return [_source(world, name, draw, habits) for name, draw in _DRAWS.items()]


class _Habits:
    """How this scenario's callers behave: every organisation in its own way."""

    def __init__(self, world: World) -> None:
        random, population = world.scenario.random("habits"), world.population
        self.social = one_of(random, SOCIAL, 0.1)
        self.courier = one_of(random, COURIER, 0.12)
        self.service = one_of(random, SERVICE, 0.2)
        self.abroad = one_of(random, ABROAD, 0.15)
        self.business = one_of(random, BUSINESS, 0.15)
        self.alarm = one_of(random, ALARM, 0.1)
        self.vote = one_of(random, VOTE, 0.1)
        self.call_centre = varied(random, CALL_CENTRE, len(population.call_centres), 0.2)
        self.notification = varied(random, NOTIFICATION, len(population.notifiers), 0.2)
        self.company = varied(random, BUSINESS, len(population.companies), 0.2)


_Draw = Callable[[Slice, _Habits], Calls]


def _source(world: World, name: str, draw: _Draw, habits: _Habits) -> Source:
    random = world.scenario.random("source", name)
    busiest = rate(world.scenario, name)

    def calls(begin: int, end: int) -> Calls | None:
        count = int(random.poisson(busiest * world.level(begin) * (end - begin) / 1000))
        if not count:
            return None
        return draw(Slice(world, random, random.integers(begin, end, count)), habits)

    return calls


_PLACES = 1 / np.arange(1, 13) ** 1.1
_PLACES_DRAWN = np.cumsum(_PLACES) / _PLACES.sum()


def _social(s: Slice, habits: _Habits) -> Calls:
    """People call whom they know, the closest most."""
    people = s.world.population.people
    caller = s.world.draw_people(s.random, len(s))
    callee = people.contacts[caller, np.searchsorted(_PLACES_DRAWN, s.random.random(len(s)), side="right")]
    known = callee >= 0
    s.start, caller, callee = s.start[known], caller[known], callee[known]
    calls = _between(s, habits.social, caller, callee)
    hidden = s.random.random(len(calls))
    calls.presentation[hidden < 0.02] = 1
    calls.presentation[hidden < 0.006] = 2
    calls = as_people_do(calls)
    calls.back[calls.presentation > 0] = 0
    return calls


def _between(s: Slice, habit: Habit, caller: Ints, callee: Ints) -> Calls:
    """Calls between people, given by index."""
    people = s.world.population.people
    return s.calls(
        habit, people.number[caller], people.number[callee], people.network[caller], people.network[callee]
    )


def _couriers(s: Slice, habits: _Habits) -> Calls:
    caller = s.random.choice(s.world.population.couriers, len(s))
    return as_people_do(_between(s, habits.courier, caller, s.anyone()))


def _call_centres(s: Slice, habits: _Habits) -> Calls:
    """Predictive diallers, which honour refusals and hours; now and then one of the missed calls back."""
    people, centres = s.world.population.people, s.world.population.call_centres
    which, caller, network = centres.draw(s.random, len(s))
    callee = s.anyone()
    keep = s.world.consents.may_market(which, callee) & s.world.within(MARKETING_HOURS, s.start)
    s.start, which, caller, network, callee = (
        s.start[keep],
        which[keep],
        caller[keep],
        network[keep],
        callee[keep],
    )
    calls = s.calls(habits.call_centre, caller, people.number[callee], network, people.network[callee], which)
    calls.back[:] = 0.25 * BACK[calls.outcome]
    calls.back_answered[:] = 0.92
    return calls


def _notifications(s: Slice, habits: _Habits) -> Calls:
    people = s.world.population.people
    s.start = s.start[s.world.within(NOTIFICATION_HOURS, s.start)]
    which, caller, network = s.world.population.notifiers.draw(s.random, len(s))
    callee = s.anyone()
    return s.calls(habits.notification, caller, people.number[callee], network, people.network[callee], which)


def _to_services(s: Slice, habits: _Habits) -> Calls:
    calls = _to_organisations(s, habits.service, s.world.population.services)
    calls.again[:] = AGAIN[calls.outcome]
    return calls


def _to_organisations(s: Slice, habit: Habit, roster: Roster) -> Calls:
    people = s.world.population.people
    caller = s.world.draw_people(s.random, len(s))
    _, callee, network = roster.draw(s.random, len(s))
    return s.calls(habit, people.number[caller], callee, people.network[caller], network)


def _companies(s: Slice, habits: _Habits) -> Calls:
    """Extensions call the same few customers over and over, each its own, and new ones."""
    people = s.world.population.people
    which, caller, network = s.world.population.companies.draw(s.random, len(s))
    customer = (caller * 7_919 + s.random.integers(0, 6, len(s)) * 104_729) % len(people)
    callee = np.where(s.random.random(len(s)) < 0.65, customer, s.anyone())
    return as_people_do(
        s.calls(habits.company, caller, people.number[callee], network, people.network[callee], which)
    )


def _to_companies(s: Slice, habits: _Habits) -> Calls:
    return as_people_do(_to_organisations(s, habits.business, s.world.population.companies))


def _extensions(s: Slice, habits: _Habits) -> Calls:
    """Extensions of a company's exchange whose trunk does not complete the number."""
    people = s.world.population.people
    callee = s.anyone()
    caller = -s.random.integers(8_000, 8_040, len(s))
    network = np.full(len(s), NETWORKS.index("CT"))
    return s.calls(habits.business, caller, people.number[callee], network, people.network[callee])


def _alarms(s: Slice, habits: _Habits) -> Calls:
    people, centre = s.world.population.people, s.world.population.alarm_centre
    caller = s.random.choice(s.world.population.alarm_lines, len(s))
    callee, network = np.full(len(s), centre.numbers[0]), np.full(len(s), centre.network)
    calls = s.calls(habits.alarm, people.number[caller], callee, people.network[caller], network)
    calls.again[:] = AGAIN[calls.outcome]
    return calls


def _vote(s: Slice, habits: _Habits) -> Calls:
    """The viewers of one programme, each some times."""
    s.start = s.start[s.world.in_vote(s.start)]
    people = s.world.population.people
    caller = s.random.integers(0, max(1, len(people) // 20), len(s)) * 20
    callee, network = np.full(len(s), s.world.population.vote), np.full(len(s), NETWORKS.index("CM"))
    calls = s.calls(habits.vote, people.number[caller], callee, people.network[caller], network)
    calls.again[:] = AGAIN[calls.outcome]
    return calls


def _carrier(s: Slice) -> tuple[Ints, Ints]:
    """A foreign carrier for each call: its index, and its index among all networks."""
    carrier = s.random.integers(0, len(FOREIGN), len(s))
    return carrier, carrier + len(NETWORKS)


def _from_abroad(s: Slice, habits: _Habits) -> Calls:
    people = s.world.population.people
    carrier, network = _carrier(s)
    callee = s.anyone()
    caller = s.world.draw_foreigners(s.random, carrier)
    return as_people_do(
        s.calls(habits.abroad, caller, people.number[callee], network, people.network[callee])
    )


def _to_abroad(s: Slice, habits: _Habits) -> Calls:
    people = s.world.population.people
    carrier, network = _carrier(s)
    caller = s.world.draw_people(s.random, len(s))
    callee = s.world.draw_foreigners(s.random, carrier)
    return as_people_do(
        s.calls(habits.abroad, people.number[caller], callee, people.network[caller], network)
    )


_DRAWS: dict[str, _Draw] = {
    "social": _social,
    "courier": _couriers,
    "call_centre": _call_centres,
    "notifier": _notifications,
    "to_service": _to_services,
    "company": _companies,
    "to_company": _to_companies,
    "extension": _extensions,
    "alarm": _alarms,
    "vote": _vote,
    "from_abroad": _from_abroad,
    "to_abroad": _to_abroad,
}
