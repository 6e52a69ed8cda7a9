"""Where legitimate calls come from. Each source gives the calls that begin in a slice of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streams.simulate.calls import Calls, Floats, Habit, Ints, Outcome, conduct, join, settle
from streams.simulate.numbers import FOREIGN, NETWORKS
from streams.simulate.world import World

#                        answer no-answer busy declined off failed wrong gives up
SOCIAL = Habit((0.61, 0.13, 0.08, 0.055, 0.06, 0.008, 0.004, 0.053), ring=7.0, talk=52.0, talk_spread=1.1)
BUSINESS = Habit((0.68, 0.12, 0.07, 0.03, 0.04, 0.008, 0.006, 0.046), ring=6.0, talk=70.0)
COURIER = Habit((0.80, 0.07, 0.03, 0.04, 0.03, 0.004, 0.002, 0.024), ring=6.0, talk=16.0, talk_spread=0.55)
CALL_CENTRE = Habit(
    (0.50, 0.17, 0.04, 0.11, 0.07, 0.004, 0.006, 0.10), 7.5, 42.0, give_up=22.0, caller_hangs_up=0.35
)
NOTIFICATION = Habit(
    (0.66, 0.13, 0.04, 0.07, 0.07, 0.004, 0.006, 0.02), 8.0, 11.0, talk_spread=0.35, caller_hangs_up=0.7
)
SERVICE = Habit((0.93, 0.01, 0.02, 0.0, 0.0, 0.01, 0.0, 0.03), ring=2.0, talk=85.0, talk_spread=1.0)
VOTE = Habit(
    (0.90, 0.0, 0.08, 0.0, 0.0, 0.02, 0.0, 0.0), ring=0.7, talk=7.0, talk_spread=0.3, caller_hangs_up=0.8
)
ALARM = Habit((0.97, 0.005, 0.02, 0.0, 0.0, 0.005, 0.0, 0.0), ring=1.2, talk=4.0, talk_spread=0.3)
ABROAD = Habit((0.58, 0.16, 0.05, 0.05, 0.08, 0.02, 0.01, 0.05), ring=9.0, talk=95.0)

_AGAIN = np.array([0.0, 0.2, 0.45, 0.06, 0.22, 0.6, 0.02, 0.12, 0.6])
_BACK = np.array([0.10, 0.42, 0.25, 0.22, 0.30, 0.0, 0.0, 0.40, 0.0])
"""By outcome: how often a person tries again, and how often the other one calls back."""

Source = Callable[[int, int], Calls | None]
"""Begin and end of a slice in ms to the calls that begin in it."""


def as_people_do(calls: Calls) -> Calls:
    """Sets the chances that the two try again and call back."""
    calls.again[:] = _AGAIN[calls.outcome]
    calls.back[:] = _BACK[calls.outcome]
    return calls


@dataclass
class _Slice:
    """Draws of one source for one slice."""

    world: World
    random: np.random.Generator
    start: Ints

    def __len__(self) -> int:
        return len(self.start)

    def calls(self, habit: Habit, caller: Ints, callee: Ints, sender: Ints, receiver: Ints) -> Calls:
        """Calls between networks; those within one network do not cross and are left out."""
        trunk = self.world.trunks(self.random, sender, receiver)
        keep = trunk >= 0
        return conduct(self.random, habit, self.start[keep], caller[keep], callee[keep], trunk[keep])

    def anyone(self) -> Ints:
        return self.random.integers(0, len(self.world.population.people), len(self))


def sources(world: World) -> list[Source]:
    """Every source of first calls; the calls that these lead to come from `FollowUps`."""
    return [_source(world, share, draw) for share, draw in _SHARES]


def _source(world: World, share: float, draw: Callable[[_Slice], Calls]) -> Source:
    name = draw.__name__
    random = world.scenario.random("source", name)
    rate = share * world.scenario.calls_per_second

    def calls(begin: int, end: int) -> Calls | None:
        count = int(random.poisson(rate * world.level(begin) * (end - begin) / 1000))
        if not count:
            return None
        return draw(_Slice(world, random, random.integers(begin, end, count)))

    return calls


_PLACES = 1 / np.arange(1, 13) ** 1.1
_PLACES_DRAWN = np.cumsum(_PLACES) / _PLACES.sum()


def _social(s: _Slice) -> Calls:
    """People call whom they know, the closest most."""
    people = s.world.population.people
    caller = s.world.draw_people(s.random, len(s))
    callee = people.contacts[caller, np.searchsorted(_PLACES_DRAWN, s.random.random(len(s)), side="right")]
    known = callee >= 0
    s.start, caller, callee = s.start[known], caller[known], callee[known]
    calls = s.calls(
        SOCIAL, people.number[caller], people.number[callee], people.network[caller], people.network[callee]
    )
    hidden = s.random.random(len(calls))
    calls.presentation[hidden < 0.02] = 1
    calls.presentation[hidden < 0.006] = 2
    calls = as_people_do(calls)
    calls.back[calls.presentation > 0] = 0
    return calls


def _couriers(s: _Slice) -> Calls:
    people = s.world.population.people
    caller = s.random.choice(s.world.population.couriers, len(s))
    callee = s.anyone()
    return as_people_do(
        s.calls(
            COURIER,
            people.number[caller],
            people.number[callee],
            people.network[caller],
            people.network[callee],
        )
    )


def _call_centres(s: _Slice) -> Calls:
    """Predictive diallers, which honour refusals; now and then one of the missed calls back."""
    people = s.world.population.people
    caller, network = s.world.draw_organisations(s.random, s.world.population.call_centres, len(s))
    callee = s.anyone()
    keep = ~s.world.refuses[callee]
    s.start, caller, network, callee = s.start[keep], caller[keep], network[keep], callee[keep]
    calls = s.calls(CALL_CENTRE, caller, people.number[callee], network, people.network[callee])
    calls.back[:] = 0.25 * _BACK[calls.outcome]
    calls.back_answered[:] = 0.92
    return calls


def _notifications(s: _Slice) -> Calls:
    people = s.world.population.people
    caller, network = s.world.draw_organisations(s.random, s.world.population.notifiers, len(s))
    callee = s.anyone()
    return s.calls(NOTIFICATION, caller, people.number[callee], network, people.network[callee])


def _to_services(s: _Slice) -> Calls:
    people = s.world.population.people
    caller = s.world.draw_people(s.random, len(s))
    callee, network = s.world.draw_organisations(s.random, s.world.population.services, len(s))
    calls = s.calls(SERVICE, people.number[caller], callee, people.network[caller], network)
    calls.again[:] = _AGAIN[calls.outcome]
    return calls


def _companies(s: _Slice) -> Calls:
    """Extensions call the same few customers over and over, and new ones."""
    people = s.world.population.people
    caller, network = s.world.draw_organisations(s.random, s.world.population.companies, len(s))
    customer = (caller * 7_919 + s.random.integers(0, 6, len(s)) * 104_729) % len(people)
    callee = np.where(s.random.random(len(s)) < 0.65, customer, s.anyone())
    return as_people_do(s.calls(BUSINESS, caller, people.number[callee], network, people.network[callee]))


def _to_companies(s: _Slice) -> Calls:
    people = s.world.population.people
    caller = s.world.draw_people(s.random, len(s))
    callee, network = s.world.draw_organisations(s.random, s.world.population.companies, len(s))
    return as_people_do(s.calls(BUSINESS, people.number[caller], callee, people.network[caller], network))


def _extensions(s: _Slice) -> Calls:
    """Extensions of a company's exchange whose trunk does not complete the number."""
    people = s.world.population.people
    callee = s.anyone()
    caller = -s.random.integers(8_000, 8_040, len(s))
    network = np.full(len(s), NETWORKS.index("CT"))
    return s.calls(BUSINESS, caller, people.number[callee], network, people.network[callee])


def _alarms(s: _Slice) -> Calls:
    people, centre = s.world.population.people, s.world.population.alarm_centre
    caller = s.random.choice(s.world.population.alarm_lines, len(s))
    callee, network = np.full(len(s), centre.numbers[0]), np.full(len(s), centre.network)
    calls = s.calls(ALARM, people.number[caller], callee, people.network[caller], network)
    calls.again[:] = _AGAIN[calls.outcome]
    return calls


def _vote(s: _Slice) -> Calls:
    """The viewers of one programme, each some times."""
    s.start = s.start[s.world.in_vote(s.start)]
    people = s.world.population.people
    caller = s.random.integers(0, max(1, len(people) // 20), len(s)) * 20
    callee, network = np.full(len(s), s.world.population.vote), np.full(len(s), NETWORKS.index("CM"))
    calls = s.calls(VOTE, people.number[caller], callee, people.network[caller], network)
    calls.again[:] = _AGAIN[calls.outcome]
    return calls


def _carrier(s: _Slice) -> tuple[Ints, Ints]:
    """A foreign carrier for each call: its index, and its index among all networks."""
    carrier = s.random.integers(0, len(FOREIGN), len(s))
    return carrier, carrier + len(NETWORKS)


def _foreigner(s: _Slice, carrier: Ints) -> Ints:
    numbers = s.world.population.foreigners
    place = s.random.random(len(s))
    return np.array(
        [numbers[c][int(p * len(numbers[c]))] for c, p in zip(carrier.tolist(), place.tolist(), strict=True)]
    )


def _from_abroad(s: _Slice) -> Calls:
    people = s.world.population.people
    carrier, network = _carrier(s)
    callee = s.anyone()
    calls = s.calls(ABROAD, _foreigner(s, carrier), people.number[callee], network, people.network[callee])
    return as_people_do(calls)


def _to_abroad(s: _Slice) -> Calls:
    people = s.world.population.people
    carrier, network = _carrier(s)
    caller = s.world.draw_people(s.random, len(s))
    callee = _foreigner(s, carrier)
    return as_people_do(s.calls(ABROAD, people.number[caller], callee, people.network[caller], network))


def _roamers(s: _Slice) -> Calls:
    """Domestic numbers that call home from abroad; their networks confirm it."""
    people = s.world.population.people
    _, network = _carrier(s)
    caller = s.random.integers(0, max(1, len(people) // 50), len(s)) * 50
    callee = s.anyone()
    calls = s.calls(ABROAD, people.number[caller], people.number[callee], network, people.network[callee])
    calls.roaming[:] = True
    calls.again[:] = _AGAIN[calls.outcome]
    return calls


_SHARES: tuple[tuple[float, Callable[[_Slice], Calls]], ...] = (
    (0.50, _social),
    (0.11, _couriers),
    (0.12, _call_centres),
    (0.075, _notifications),
    (0.10, _to_services),
    (0.15, _companies),
    (0.06, _to_companies),
    (0.003, _extensions),
    (0.02, _alarms),
    (0.15, _vote),
    (0.045, _from_abroad),
    (0.02, _to_abroad),
    (0.02, _roamers),
)
"""Calls tried per call a second of the scenario; about a third stay within one network and are not seen."""


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

    def due(self, end: int) -> Calls | None:
        """The calls that begin before ``end``."""
        if not self._waiting:
            return None
        waiting = join(self._waiting)
        now = waiting.start < end
        self._waiting = [waiting.where(~now)]
        return waiting.where(now)

    def react(self, calls: Calls, earliest: int) -> None:
        """Draws what follows from ``calls``, at ``earliest`` or later."""
        random = self._random
        draws = random.random((2, len(calls)))
        again = (draws[0] < calls.again) & (calls.outcome != Outcome.ANSWERED)
        back = (draws[1] < calls.back) & ~again
        if again.any():
            self._waiting.append(self._tried_again(calls.where(again), earliest))
        if back.any():
            self._waiting.append(self._called_back(calls.where(back), earliest))

    def _later(self, calls: Calls, median_s: float, earliest: int) -> Ints:
        wait = np.exp(self._random.normal(np.log(median_s * 1000), 0.8, len(calls)))
        release = calls.start + calls.setup + calls.ring + calls.talk
        return np.asarray(np.maximum(release + np.minimum(wait, 900_000).astype(np.int64), earliest))

    def _tried_again(self, calls: Calls, earliest: int) -> Calls:
        start = self._later(calls, 14.0, earliest)
        later = conduct(self._random, SOCIAL, start, calls.caller, calls.callee, calls.trunk)
        later.roaming[:] = calls.roaming
        later.presentation[:] = calls.presentation
        return as_people_do(later)

    def _called_back(self, calls: Calls, earliest: int) -> Calls:
        start = self._later(calls, 75.0, earliest)
        trunk = self._world.networks.back[calls.trunk]
        later = conduct(self._random, SOCIAL, start, calls.callee, calls.caller, trunk)
        _answer(self._random, later, calls.back_answered)
        later.again[:] = 0.5 * _AGAIN[later.outcome]
        later.back[:] = 0.5 * _BACK[later.outcome] * self._returned
        return later


def _answer(random: np.random.Generator, calls: Calls, chance: Floats) -> None:
    """Draws again which calls are answered."""
    draw = random.random(len(calls)) < chance
    calls.outcome = np.where(
        draw, int(Outcome.ANSWERED), np.where(calls.outcome == 0, int(Outcome.NO_ANSWER), calls.outcome)
    )
    settle(random, SOCIAL, calls)
