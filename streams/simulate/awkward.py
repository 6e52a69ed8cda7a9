"""Legitimate callers who look like attackers. Each sort says who they are and gives the calls they begin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from streams.simulate.calls import (
    CALLER,
    Bools,
    Calls,
    Habit,
    Ints,
    Outcome,
    conduct,
    join,
    one_of,
    varied,
)
from streams.simulate.habits import (
    ABROAD,
    AGAIN,
    BUSINESS,
    CALL_CENTRE,
    COURIER,
    RECORDED,
    SOCIAL,
    as_people_do,
)
from streams.simulate.mix import rate
from streams.simulate.numbers import AREAS, FOREIGN, NETWORKS, SEGMENT, fixed, mobile, segments, toll_free
from streams.simulate.population import Category
from streams.simulate.scenario import MINUTE
from streams.simulate.slices import Slice
from streams.simulate.world import DAY, MARKETING_HOURS, World

ABROAD_FIRST = len(NETWORKS)
"""Index of the first foreign carrier among all networks."""


class Group(ABC):
    """One sort of callers. Built anew it draws the same calls again."""

    name: ClassVar[str]
    category: ClassVar[Category] = ""
    """What the list of companies says of their numbers; empty: they are not on it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.people = world.population.people
        self.random = world.scenario.random("group", self.name)
        self.rate = rate(world.scenario, self.name)
        self.numbers: Ints = np.zeros(0, np.int64)
        """Theirs; `Simulation.directory` shows them under ``name``."""
        self.ported: tuple[Ints, Ints] = (self.numbers, self.numbers)
        """Those of their numbers that were ported, and the networks that serve them."""
        self.settle()

    @abstractmethod
    def settle(self) -> None:
        """Draws who they are."""

    @abstractmethod
    def draw(self, s: Slice) -> Calls:
        """The calls that begin at ``s.start``, and later ones that belong to them."""

    def calls(self, begin: int, end: int) -> Calls | None:
        count = int(self.random.poisson(self.rate * self.world.level(begin) * (end - begin) / 1000))
        if not count:
            return None
        return self.draw(self.slice(np.sort(self.random.integers(begin, end, count))))

    def slice(self, start: Ints) -> Slice:
        return Slice(self.world, self.random, start)

    def members(self, fewest: float, most: float) -> int:
        """How many they are if one tries between so many calls an hour."""
        return max(1, round(self.rate * 3600 / float(self.random.uniform(fewest, most))))

    def some_people(self, count: int, among: Ints | None = None) -> Ints:
        """Indices of different people."""
        among = np.arange(len(self.people)) if among is None else among
        return self.random.choice(among, min(count, max(1, len(among) // 2)), replace=False)

    def among_people(self, count: int) -> tuple[Ints, Ints]:
        """Different numbers in blocks where people live, that are none of theirs, and their networks."""
        chosen = self.random.integers(0, len(self.people), 2 * count + 8)
        numbers = self.people.number[chosen] // SEGMENT * SEGMENT + self.random.integers(
            0, SEGMENT, len(chosen)
        )
        free = np.unique(numbers[~np.isin(numbers, self.people.number)])
        numbers = self.random.permutation(free)[:count]
        return numbers, segments_network(numbers)

    def fixed_numbers(self, series: int, count: int, apart: int) -> Ints:
        """Fixed numbers in the series ``series`` (two digits), so far apart from each other."""
        area = int(self.random.choice(tuple(AREAS)))
        first = series * 1_000_000 + int(self.random.integers(0, 200_000))
        return fixed(area, first + np.arange(count) * apart)

    def virtual_segment(self, network: int) -> int:
        """A spare segment of a virtual operator that ``network`` hosts."""
        return int(self.random.choice(self.world.spare_virtual[network]))

    def spare_segment(self, network: int) -> int:
        """A segment of ``network`` in which none of the people live."""
        return int(self.random.choice(self.world.spare[network]))

    def between(self, s: Slice, habit: Habit, caller: Ints, callee: Ints) -> Calls:
        """Calls between people, given by index."""
        people = self.people
        return s.calls(
            habit,
            people.number[caller],
            people.number[callee],
            people.network[caller],
            people.network[callee],
        )

    def to_people(
        self, s: Slice, habit: Habit, caller: Ints, network: Ints, callee: Ints, which: Ints | None = None
    ) -> Calls:
        """Calls from numbers of theirs to people, given by index."""
        return s.calls(habit, caller, self.people.number[callee], network, self.people.network[callee], which)

    def from_people(
        self, s: Slice, habit: Habit, caller: Ints, callee: Ints, network: Ints, which: Ints | None = None
    ) -> Calls:
        return s.calls(habit, self.people.number[caller], callee, self.people.network[caller], network, which)


def nth(which: Ints) -> Ints:
    """For each element, how many equal ones come before it."""
    order = np.argsort(which, kind="stable")
    ranked = which[order]
    first = np.searchsorted(ranked, ranked, side="left")
    out = np.empty(len(which), np.int64)
    out[order] = np.arange(len(which)) - first
    return out


class SortedDialler(Group):
    """Predictive diallers whose lists of customers are in order of number."""

    name = "sorted_dialler"
    category = "marketing"

    def settle(self) -> None:
        count = self.members(250, 900)
        self.numbers = self.fixed_numbers(52, count, 10_000)
        self._network = self.random.integers(0, 3, count)
        self._habit = varied(self.random, CALL_CENTRE, count)
        willing = np.flatnonzero(~self.world.consents.refuses)
        self._list = willing[np.argsort(self.people.number[willing])]
        self._at = self.random.integers(0, len(self._list), count)

    def draw(self, s: Slice) -> Calls:
        s.start = s.start[self.world.within(MARKETING_HOURS, s.start)]
        which = self.random.integers(0, len(self.numbers), len(s))
        place = self._at[which] + nth(which)
        self._at += np.bincount(which, minlength=len(self._at))
        callee = self._list[place % len(self._list)]
        calls = self.to_people(s, self._habit, self.numbers[which], self._network[which], callee, which)
        calls.back = np.where(calls.outcome == Outcome.NO_ANSWER, 0.1, 0.0)
        return calls


class OldList(Group):
    """Diallers whose list is old: many numbers no longer exist; who answers, talks long."""

    name = "old_list"
    category = "marketing"
    #                      answer no-answer busy declined off failed wrong gives up
    habit = Habit(
        (0.30, 0.27, 0.06, 0.10, 0.11, 0.005, 0.0, 0.10), 8.0, 110.0, give_up=25.0, caller_hangs_up=0.3
    )

    def settle(self) -> None:
        count = self.members(120, 500)
        self.numbers = self.fixed_numbers(53, count, 10_000)
        self._network = self.random.integers(0, 3, count)
        self._habit = varied(self.random, self.habit, count, 0.15)
        self._willing = np.flatnonzero(~self.world.consents.refuses)
        self._wrong = self.random.uniform(0.03, 0.07, count)

    def draw(self, s: Slice) -> Calls:
        s.start = s.start[self.world.within(MARKETING_HOURS, s.start)]
        which = self.random.integers(0, len(self.numbers), len(s))
        callee = self.random.choice(self._willing, len(s))
        calls = self.to_people(s, self._habit, self.numbers[which], self._network[which], callee, which)
        return gone(self.random, calls, 0.055)


def gone(random: np.random.Generator, calls: Calls, share: float) -> Calls:
    """Makes ``share`` of the callees numbers that do not exist any more."""
    hit = random.random(len(calls)) < share
    calls.callee = np.where(
        hit, calls.callee // SEGMENT * SEGMENT + random.integers(0, SEGMENT, len(calls)), calls.callee
    )
    calls.outcome[hit] = int(Outcome.NOT_A_NUMBER)
    calls.ring[hit] = calls.talk[hit] = 0
    calls.released_by[hit] = 3
    calls.again[hit] = calls.back[hit] = 0
    return calls


class PrivacyNumbers(Group):
    """A platform's numbers that stand for couriers, drivers and their customers, several at a time."""

    name = "privacy_number"

    def settle(self) -> None:
        count = max(6, self.members(20, 60))
        segments = [self.virtual_segment(int(n)) for n in self.random.integers(0, 3, 1 + count // 200)]
        tails = [self.random.choice(SEGMENT, count // len(segments) + 1, replace=False) for _ in segments]
        near = [int(self.random.integers(0, 8_000)) + np.arange(count // len(segments) + 1) for _ in segments]
        runs = self.random.random() < 0.5
        pool = [mobile(s, n if runs else t) for s, n, t in zip(segments, near, tails, strict=True)]
        self.numbers = np.concatenate(pool)[:count]
        owner = segments_network(self.numbers)
        self._network = owner
        self._habit = one_of(self.random, Habit((0.77, 0.08, 0.03, 0.04, 0.03, 0.005, 0.0, 0.045), 7.0, 28.0))

    def draw(self, s: Slice) -> Calls:
        """Seven in ten calls go out; the others are customers who dial the number they see."""
        which = (self.random.random(len(s)) ** 1.6 * len(self.numbers)).astype(np.int64)
        out = self.random.random(len(s)) < 0.7
        away, home = self.slice(s.start[out]), self.slice(s.start[~out])
        there = self.to_people(
            away, self._habit, self.numbers[which[out]], self._network[which[out]], away.anyone()
        )
        there.back = np.where(there.outcome == Outcome.ANSWERED, 0.06, 0.4)
        here = self.from_people(
            home, self._habit, home.anyone(), self.numbers[which[~out]], self._network[which[~out]]
        )
        return join([there, here])


def segments_network(numbers: Ints) -> Ints:
    """The network that the plan gives the segment of each mobile number."""
    plan = segments()
    return plan.network[np.searchsorted(plan.prefix, numbers // SEGMENT % 10_000_000)].astype(np.int64)


class RingingCouriers(Group):
    """Couriers who in a fifth of their calls let it ring once: I am downstairs."""

    name = "ringing_courier"

    def settle(self) -> None:
        self._who = self.some_people(self.members(35, 70))
        self.numbers = self.people.number[self._who]
        self._habit = one_of(self.random, COURIER, 0.1)
        self._share = float(self.random.uniform(0.15, 0.25))

    def draw(self, s: Slice) -> Calls:
        calls = as_people_do(self.between(s, self._habit, self.random.choice(self._who, len(s)), s.anyone()))
        return ring_once(self.random, calls, self._share, (1_500, 5_000), back=0.3)


def ring_once(
    random: np.random.Generator, calls: Calls, share: float, ring: tuple[int, int], back: float
) -> Calls:
    """Ends ``share`` of the calls while they ring, after so many ms; so often are those called back."""
    once = random.random(len(calls)) < share
    calls.outcome[once] = int(Outcome.GIVEN_UP)
    calls.ring = np.where(once, random.integers(*ring, len(calls)), calls.ring)
    calls.talk[once] = 0
    calls.released_by[once] = CALLER
    calls.again[once] = 0
    calls.back[once] = back
    return calls


class Flashers(Group):
    """People who ring a friend once, so that the friend calls back and pays."""

    name = "flasher"

    def settle(self) -> None:
        known = np.flatnonzero((self.people.contacts >= 0).sum(axis=1) > 1)
        self._who = self.some_people(self.members(2, 6), known)
        self.numbers = self.people.number[self._who]

    def draw(self, s: Slice) -> Calls:
        caller = self.random.choice(self._who, len(s))
        callee, known = contact(self.random, self.world, caller)
        s.start = s.start[known]
        calls = as_people_do(self.between(s, SOCIAL, caller[known], callee[known]))
        calls = ring_once(self.random, calls, 0.8, (700, 3_500), back=0.8)
        calls.back_answered[:] = 0.9
        return calls


def contact(random: np.random.Generator, world: World, person: Ints) -> tuple[Ints, Bools]:
    """One of each person's acquaintances on other networks, the closest most; which have one."""
    contacts = world.population.people.contacts
    callee = contacts[person, (random.random(len(person)) ** 2 * contacts.shape[1]).astype(np.int64)]
    return callee, callee >= 0


class HeavyPorted(Group):
    """Estate agents and the like, whose number they took along from another network."""

    name = "heavy_ported"

    def settle(self) -> None:
        moved = np.flatnonzero(self.people.network != self.people.allotted)
        self._who = self.some_people(
            self.members(25, 60), np.setdiff1d(moved, self.world.population.rerouted)
        )
        self.numbers = self.people.number[self._who]
        self._habit = one_of(self.random, BUSINESS)

    def draw(self, s: Slice) -> Calls:
        caller = self.random.choice(self._who, len(s))
        customer = (caller * 6_101 + self.random.integers(0, 25, len(s)) * 7_907) % len(self.people)
        callee = np.where(self.random.random(len(s)) < 0.5, customer, s.anyone())
        return as_people_do(self.between(s, self._habit, caller, callee))


class Forwarding(Group):
    """People whose phone forwards to another network: the call arrives there from theirs, with its caller."""

    name = "forwarding"

    def settle(self) -> None:
        self._who = self.some_people(self.members(3, 10))
        self._to = self.random.integers(0, len(self.people), len(self._who))
        for _ in range(4):
            same = self.people.network[self._to] == self.people.network[self._who]
            self._to[same] = self.random.integers(0, len(self.people), int(same.sum()))
        self.numbers = self.people.number[self._who]
        self._at_once = self.random.random(len(self._who)) < 0.5

    def draw(self, s: Slice) -> Calls:
        people = self.people
        which = self.random.integers(0, len(self._who), len(s))
        caller, through, callee = s.anyone(), self._who[which], self._to[which]
        apart = (people.network[caller] != people.network[through]) & (
            people.network[through] != people.network[callee]
        )
        s.start, which, caller = s.start[apart], which[apart], caller[apart]
        through, callee = through[apart], callee[apart]
        delay = np.where(self._at_once[which], 300, self.random.integers(8_000, 20_000, len(s)))
        first = self.world.trunks(self.random, people.network[caller], people.network[through])
        second = self.world.trunks(self.random, people.network[through], people.network[callee])
        onward = conduct(
            self.random, SOCIAL, s.start + delay, people.number[caller], people.number[callee], second
        )
        onward.redirecting = people.number[through]
        return join([fronted(onward, s.start, people.number[through], first), onward])


def fronted(onward: Calls, start: Ints, callee: Ints, trunk: Ints) -> Calls:
    """The first legs of calls that were sent on: up for as long, and ended alike."""
    first = onward.where(np.arange(len(onward)))
    first.start, first.callee, first.trunk = start, callee, trunk
    first.setup = np.minimum(onward.setup, 900)
    first.ring = onward.start + onward.setup + onward.ring - start - first.setup
    first.redirecting = np.zeros(len(onward), np.int64)
    first.again, first.back = np.zeros(len(onward)), np.zeros(len(onward))
    return first


class HostedAbroad(Group):
    """Businesses whose exchange stands abroad: their fixed numbers come in at an international gateway."""

    name = "hosted_abroad"

    def settle(self) -> None:
        each = int(self.random.integers(5, 40))
        count = max(1, self.members(1.5 * each, 4 * each))
        self._of = np.repeat(np.arange(count), each)
        self.numbers = np.concatenate([self.fixed_numbers(54, each, 1) + i * 10_000 for i in range(count)])
        self._carrier = ABROAD_FIRST + self.random.integers(0, len(FOREIGN), count)
        self._habit = varied(self.random, BUSINESS, count)

    def draw(self, s: Slice) -> Calls:
        which = self.random.integers(0, len(self.numbers), len(s))
        customer = (self.numbers[which] * 31 + self.random.integers(0, 12, len(s)) * 8_311) % len(self.people)
        out = self.random.random(len(s)) < 0.7
        away, home = self.slice(s.start[out]), self.slice(s.start[~out])
        of, carrier = self._of[which], self._carrier[self._of[which]]
        there = self.to_people(
            away, self._habit, self.numbers[which[out]], carrier[out], customer[out], of[out]
        )
        here = self.from_people(
            home, self._habit, customer[~out], self.numbers[which[~out]], carrier[~out], of[~out]
        )
        return as_people_do(join([there, here]))


class Roamers(Group):
    """People who call from abroad. Some carriers never signal that a caller roams."""

    name = "roamer"

    def settle(self) -> None:
        self.numbers, self._network = self.among_people(self.members(2, 5))
        count = len(self.numbers)
        self._friends = self.random.integers(0, len(self.people), (count, 8))
        self._carrier = self.random.integers(0, len(FOREIGN), count)
        self.silent = np.zeros(len(FOREIGN), np.bool_)
        """By carrier, whether it keeps silent about roaming."""
        self.silent[self.random.choice(len(FOREIGN), int(self.random.integers(2, 4)), replace=False)] = True
        self.unconfirmed = self.numbers[self.silent[self._carrier]]
        self._habit = one_of(self.random, ABROAD)

    def draw(self, s: Slice) -> Calls:
        """They call home, mostly friends; in a fifth of the calls those call their number at home."""
        which = self.random.integers(0, len(self.numbers), len(s))
        friend = self._friends[which, self.random.integers(0, self._friends.shape[1], len(s))]
        out = self.random.random(len(s)) < 0.8
        away, home = self.slice(s.start[out]), self.slice(s.start[~out])
        roaming = ~self.silent[self._carrier[which[out]]]
        callee = np.where(self.random.random(len(away)) < 0.8, friend[out], away.anyone())
        there = self.to_people(
            away, self._habit, self.numbers[which[out]], ABROAD_FIRST + self._carrier[which[out]], callee
        )
        there.roaming = np.isin(there.caller, self.numbers[which[out]][roaming])
        here = self.from_people(
            home, self._habit, friend[~out], self.numbers[which[~out]], self._network[which[~out]]
        )
        calls = join([there, here])
        calls.again = AGAIN[calls.outcome]
        calls.back_answered[:] = 0
        return calls


class Visitors(Group):
    """Foreigners who roam here: a call to one goes abroad and comes back to a roaming number."""

    name = "visitor"

    def settle(self) -> None:
        count = self.members(2, 6)
        self._carrier = self.random.integers(0, len(FOREIGN), count)
        self._foreign = self.world.draw_foreigners(self.random, self._carrier)
        self._visited = self.random.integers(0, 3, count)
        ranges = [mobile(self.spare_segment(n), 0) for n in range(3)]
        self._range = np.array([int(r) for r in ranges])
        self.numbers = np.concatenate([r + np.arange(200) for r in self._range])

    def draw(self, s: Slice) -> Calls:
        which = self.random.integers(0, len(self._foreign), len(s))
        caller, carrier, visited = s.anyone(), ABROAD_FIRST + self._carrier[which], self._visited[which]
        numbers, network = self.people.number[caller], self.people.network[caller]
        out = self.world.trunks(self.random, network, carrier)
        keep = out >= 0
        s.start, which, carrier, visited = s.start[keep], which[keep], carrier[keep], visited[keep]
        numbers, out = numbers[keep], out[keep]
        back = self.world.trunks(self.random, carrier, visited)
        callee = self._range[visited] + self.random.integers(0, 200, len(s))
        onward = conduct(
            self.random, ABROAD, s.start + self.random.integers(700, 2_500, len(s)), numbers, callee, back
        )
        return join([fronted(onward, s.start, self._foreign[which], out), onward])


class CompanyToCompany(Group):
    """Somebody at a company who tries one extension after another of a second company."""

    name = "company_to_company"

    def settle(self) -> None:
        self._companies = self.world.population.companies.organisations
        self.numbers = np.concatenate([o.numbers[:1] for o in self._companies])
        self._ranges = [i for i, o in enumerate(self._companies) if len(o.numbers) > 8]
        self.rate /= 6.5

    def draw(self, s: Slice) -> Calls:
        return join([self._round(int(start)) for start in s.start])

    def _round(self, start: int) -> Calls:
        asked = self._companies[int(self.random.choice(self._ranges))]
        others = [o for o in self._companies if o.network != asked.network]
        asking = others[int(self.random.integers(len(others)))]
        count = int(self.random.integers(5, 9))
        first = int(self.random.integers(0, len(asked.numbers) - count))
        gaps = self.random.integers(12_000, 70_000, count)
        s = self.slice(start + np.cumsum(gaps) - gaps[0])
        caller = np.full(count, self.random.choice(asking.numbers))
        calls = s.calls(
            BUSINESS,
            caller,
            asked.numbers[first : first + count],
            np.full(count, asking.network),
            np.full(count, asked.network),
        )
        calls.talk = np.minimum(calls.talk, 40_000)
        return calls


class CallsBack(Group):
    """Hospitals and banks whose switchboard takes a note and calls everybody back."""

    name = "calls_back"
    category = "service"

    def settle(self) -> None:
        count = self.members(40, 150)
        self.numbers = self.fixed_numbers(55, count, 10_000)
        self._network = self.random.integers(0, 3, count)
        #                                   answer no-answer busy declined off failed wrong gives up
        self._habit = varied(self.random, Habit((0.6, 0.1, 0.2, 0.0, 0.0, 0.01, 0.0, 0.09), 3.0, 14.0), count)

    def draw(self, s: Slice) -> Calls:
        which = self.random.integers(0, len(self.numbers), len(s))
        calls = self.from_people(s, self._habit, s.anyone(), self.numbers[which], self._network[which], which)
        calls.back[:] = 0.9
        calls.back_answered[:] = 0.85
        return calls


class Moved(Group):
    """Small businesses whose number changes networks at some moment of the scenario."""

    name = "moved"

    def settle(self) -> None:
        count = max(2, self.members(8, 20))
        scenario = self.world.scenario
        self._before = self.random.integers(0, 3, count)
        self._after = (self._before + self.random.integers(1, 3, count)) % 3
        self.numbers = np.array(
            [
                int(mobile(self.spare_segment(int(n)), int(self.random.integers(SEGMENT))))
                for n in self._before
            ]
        )
        share = self.random.uniform(0.3, 0.7, count)
        self.when = scenario.start_ms + (share * (scenario.end_ms - scenario.start_ms)).astype(np.int64)
        """Time of each one's move."""

    def draw(self, s: Slice) -> Calls:
        which = self.random.integers(0, len(self.numbers), len(s))
        network = np.where(s.start < self.when[which], self._before[which], self._after[which])
        customer = (which * 977 + self.random.integers(0, 20, len(s)) * 5_003) % len(self.people)
        out = self.random.random(len(s)) < 0.6
        away, home = self.slice(s.start[out]), self.slice(s.start[~out])
        there = self.to_people(away, BUSINESS, self.numbers[which[out]], network[out], customer[out])
        here = self.from_people(home, BUSINESS, customer[~out], self.numbers[which[~out]], network[~out])
        calls = as_people_do(join([there, here]))
        calls.back[len(there) :] = calls.back_answered[len(there) :] = 0
        return calls


class Families(Group):
    """Families and small companies with neighbouring numbers, some of them ported: they call one another."""

    name = "family"

    def settle(self) -> None:
        size = self.random.integers(4, 13, max(2, self.members(4, 12) // 2))
        self._first = np.cumsum(size) - size
        self._size = size
        blocks, networks = [], []
        for count in size.tolist():
            owner = int(self.random.integers(0, 3))
            first = int(self.random.integers(0, SEGMENT - 200))
            tails = first + self.random.choice(
                200 if self.random.random() < 0.5 else count, count, replace=False
            )
            blocks.append(mobile(self.spare_segment(owner), tails))
            moved = self.random.random(count) < 0.5
            networks.append(np.where(moved, (owner + self.random.integers(1, 3, count)) % 3, owner))
        self.numbers = np.concatenate(blocks)
        self._network = np.concatenate(networks)
        away = self._network != segments_network(self.numbers)
        self.ported = (self.numbers[away], self._network[away])

    def draw(self, s: Slice) -> Calls:
        which = self.random.integers(0, len(self._size), len(s))
        place = self.random.random((2, len(s)))
        one, other = (self._first[which] + (p * self._size[which]).astype(np.int64) for p in place)
        return as_people_do(
            s.calls(SOCIAL, self.numbers[one], self.numbers[other], self._network[one], self._network[other])
        )


class TestCalls(Group):
    """Carriers test their routes: one number calls one answering machine, at regular times."""

    name = "test_call"

    def settle(self) -> None:
        count = int(self.random.integers(2, 6))
        self._machine = self.fixed_numbers(57, count, 1_000)
        self.numbers = self.fixed_numbers(56, count, 1_000)
        sender = self.random.integers(0, 3, count)
        self._networks = sender, (sender + self.random.integers(1, 3, count)) % 3
        self._period = self.random.choice(np.array([30_000, 60_000, 120_000, 300_000]), count)
        self._talk = self.random.uniform(3.0, 9.0, count)

    def calls(self, begin: int, end: int) -> Calls | None:
        due = [np.arange(-(-begin // p) * p, end, p) for p in self._period.tolist()]
        which = np.repeat(np.arange(len(due)), [len(d) for d in due])
        if not len(which):
            return None
        s = self.slice(np.concatenate(due) + self.random.integers(0, 150, len(which)))
        return self._made(s, which)

    def draw(self, s: Slice) -> Calls:
        return self._made(s, self.random.integers(0, len(self.numbers), len(s)))

    def _made(self, s: Slice, which: Ints) -> Calls:
        #              answer no-answer busy declined off failed wrong gives up
        habit = Habit((0.985, 0.0, 0.0, 0.0, 0.0, 0.015, 0.0, 0.0), 1.0, 1.0, 0.05, 0.05, caller_hangs_up=1.0)
        calls = s.calls(
            habit,
            self.numbers[which],
            self._machine[which],
            self._networks[0][which],
            self._networks[1][which],
        )
        calls.again_answered[:] = 0
        calls.talk = np.where(calls.outcome == 0, (calls.talk * self._talk[which]).astype(np.int64), 0)
        return calls


class Occasion(Group):
    """Something that happens now and then; all its calls are drawn when it begins."""

    minutes: ClassVar[tuple[float, float]]
    calls_for_each: ClassVar[tuple[float, float]]
    """Calls for each call a second of the scenario."""

    def settle(self) -> None:
        scenario = self.world.scenario
        length = scenario.end_ms - scenario.start_ms
        low, high = self.calls_for_each
        self._mean = scenario.calls_per_second * (low + high) / 2
        often = self._often(length) if scenario.dominant == self.name else 1.0
        count = max(1, round(often), round(2 * length / DAY))
        begins = (
            scenario.start_ms + (np.arange(count) + self.random.uniform(0.1, 0.7, count)) / count * length
        )
        self.begins: Ints = np.array(
            [b for b in begins.astype(np.int64).tolist() if self.world.level(b) > 0.3]
            or begins[:1].astype(np.int64)
        )
        self.found()

    def _often(self, length: int) -> float:
        return self.rate * length / 1000 / self._mean

    @abstractmethod
    def found(self) -> None:
        """Draws who they are, for each occasion."""

    def occasion(self, s: Slice) -> int:
        """Which occasion the calls of ``s`` belong to."""
        return int(np.searchsorted(self.begins, s.start[0], side="right")) - 1

    def calls(self, begin: int, end: int) -> Calls | None:
        now = self.begins[(self.begins >= begin) & (self.begins < end)]
        return join([self._happen(int(time)) for time in now]) if len(now) else None

    def _happen(self, time: int) -> Calls:
        low, high = self.calls_for_each
        count = int(np.clip(self.world.scenario.calls_per_second * self.random.uniform(low, high), 60, 4_000))
        lasts = float(self.random.uniform(*self.minutes)) * MINUTE
        return self.draw(self.slice(np.sort(time + (self.random.random(count) * lasts).astype(np.int64))))


class School(Occasion):
    """A school or the flood warning tells a whole area something, from one fixed number."""

    name = "school"
    category = "notification"
    minutes = (3.0, 9.0)
    calls_for_each = (20.0, 45.0)

    def found(self) -> None:
        self._area = int(self.random.choice(tuple(AREAS)))
        self.numbers = fixed(self._area, 58_000_000 + self.random.integers(0, 100_000, len(self.begins)))
        self._network = self.random.integers(0, 3, len(self.begins))
        self._habit = one_of(self.random, RECORDED, 0.12)

    def draw(self, s: Slice) -> Calls:
        which, count = self.occasion(s), len(s)
        parents = self.random.choice(len(self.people), count, replace=False)
        lines = fixed(self._area, 67_000_000 + self.random.choice(10_000, count, replace=False))
        at_home = self.random.random(count) < 0.25
        callee = np.where(at_home, lines, self.people.number[parents])
        receiver = np.where(at_home, (self._network[which] + 1) % 3, self.people.network[parents])
        network = np.full(count, self._network[which])
        calls = s.calls(self._habit, np.full(count, self.numbers[which]), callee, network, receiver)
        calls.again = np.where(np.isin(calls.outcome, (1, 2)), 0.6, 0.0)
        calls.back = np.where(calls.outcome != 0, 0.05, 0.0)
        return calls


class _Rush(Occasion):
    """Many people call one number that is overloaded, and go on trying."""

    answered: ClassVar[tuple[float, float]]

    def rush(self, s: Slice, callee: int, network: int) -> Calls:
        chance = float(self.random.uniform(*self.answered))
        busy = (1 - chance) * 0.85
        #              answer no-answer busy declined off failed wrong gives up
        habit = Habit((chance, 0.0, busy, 0.0, 0.0, (1 - chance) * 0.08, 0.0, (1 - chance) * 0.07), 2.0, 60.0)
        count = len(s)
        caller = self.random.choice(len(self.people), max(1, count // 2), replace=False)
        calls = self.from_people(
            s, habit, self.random.choice(caller, count), np.full(count, callee), np.full(count, network)
        )
        calls.again = np.where(calls.outcome == Outcome.ANSWERED, 0.0, float(self.random.uniform(0.5, 0.8)))
        calls.again_answered[:] = chance
        return calls


class TicketSale(_Rush):
    """Tickets go on sale at a 400 number."""

    name = "ticket_sale"
    minutes = (4.0, 12.0)
    calls_for_each = (10.0, 25.0)
    answered = (0.12, 0.28)

    def found(self) -> None:
        self.numbers = toll_free(8_100_000 + self.random.integers(0, 10_000, len(self.begins)))

    def draw(self, s: Slice) -> Calls:
        which = self.occasion(s)
        return self.rush(s, int(self.numbers[which]), which % 3)


class Hotline(_Rush):
    """The lights go out in a district, and everybody asks the utility's fixed number."""

    name = "hotline"
    minutes = (5.0, 15.0)
    calls_for_each = (6.0, 18.0)
    answered = (0.2, 0.5)

    def found(self) -> None:
        self.numbers = self.fixed_numbers(59, len(self.begins), 1_000)

    def draw(self, s: Slice) -> Calls:
        which = self.occasion(s)
        return self.rush(s, int(self.numbers[which]), (which + 1) % 3)


class Celebrant(Occasion):
    """A birthday or a wedding: many people, known and unknown, call one person within the hour."""

    name = "celebrant"
    minutes = (10.0, 50.0)
    calls_for_each = (0.8, 3.0)

    def found(self) -> None:
        self._who = self.some_people(len(self.begins))
        self.numbers = self.people.number[self._who]

    def draw(self, s: Slice) -> Calls:
        celebrant = np.full(len(s), self._who[self.occasion(s) % len(self._who)])
        friend, known = contact(self.random, self.world, celebrant)
        caller = np.where(known & (self.random.random(len(s)) < 0.2), friend, s.anyone())
        #              answer no-answer busy declined off failed wrong gives up
        habit = Habit((0.5, 0.12, 0.27, 0.03, 0.0, 0.01, 0.0, 0.07), 6.0, 45.0)
        calls = as_people_do(self.between(s, habit, caller, celebrant))
        calls.again_answered[:] = 0.5
        return calls


GROUPS: tuple[type[Group], ...] = (
    SortedDialler,
    OldList,
    PrivacyNumbers,
    RingingCouriers,
    Flashers,
    HeavyPorted,
    Forwarding,
    HostedAbroad,
    Roamers,
    Visitors,
    CompanyToCompany,
    CallsBack,
    Moved,
    Families,
    TestCalls,
    School,
    TicketSale,
    Hotline,
    Celebrant,
)
