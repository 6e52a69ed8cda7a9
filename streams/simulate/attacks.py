"""Attacks: campaigns of every kind, each planned in full before its first call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streams.simulate.calls import Calls, Habit, Ints, conduct, join
from streams.simulate.networks import TRUNKS_PER_PAIR
from streams.simulate.numbers import (
    CHINA,
    FOREIGN,
    NETWORKS,
    SEGMENT,
    block,
    foreign,
    mobile,
    segments,
    spell,
)
from streams.simulate.population import in_sorted
from streams.simulate.scenario import KINDS, MINUTE, AttackSpec, Campaign
from streams.simulate.world import World

CAMPAIGNS_IN_TWENTY_MINUTES = 3
LONGEST_MS = {"behaviour": 15 * MINUTE, "clone": 4 * MINUTE, "profile": 4 * MINUTE, "misrouted": 5 * MINUTE}
USUAL_LONGEST_MS = 150_000
SHORTEST_MS = 40_000

#                       answer no-answer busy declined off failed wrong gives up
ROBOT = Habit((0.16, 0.22, 0.06, 0.16, 0.12, 0.01, 0.15, 0.12), 8.0, 6.0, caller_hangs_up=0.3, no_answer=30.0)
SWEEP = Habit((0.10, 0.14, 0.04, 0.10, 0.14, 0.01, 0.40, 0.07), 8.0, 5.0, caller_hangs_up=0.4, no_answer=25.0)
ONE_RING = Habit((0.02, 0.0, 0.03, 0.01, 0.07, 0.01, 0.06, 0.80), 1.2, 1.0, 0.3, give_up=1.6)
HARASS = Habit(
    (0.12, 0.0, 0.22, 0.10, 0.0, 0.02, 0.0, 0.54), 2.0, 1.4, 0.4, 0.4, give_up=1.5, caller_hangs_up=0.7
)
TELEMARKETING = Habit((0.24, 0.20, 0.05, 0.18, 0.10, 0.01, 0.08, 0.14), 8.0, 11.0, caller_hangs_up=0.25)
SWINDLE = Habit((0.36, 0.18, 0.05, 0.12, 0.09, 0.01, 0.04, 0.15), 8.0, 35.0, caller_hangs_up=0.4)
PUMPING = Habit((0.93, 0.02, 0.02, 0.0, 0.0, 0.02, 0.0, 0.01), 1.5, 4.0, 0.4, 0.3, caller_hangs_up=0.9)


@dataclass(frozen=True)
class _Plan:
    """A campaign before its calls are drawn."""

    number: int
    """From 1; 0 stands for no campaign."""
    kind: str
    ordinal: int
    """Among those of its kind, from 0: variants of a kind take turns by it."""
    begin: int
    end: int
    spec: AttackSpec


@dataclass(frozen=True)
class _Drawn:
    calls: Calls
    subjects: list[str]


class Attacks:
    """The campaigns of a scenario, by the time they begin."""

    def __init__(self, world: World, taken: Ints) -> None:
        """``taken``: numbers that make legitimate calls, ascending."""
        self._world = world
        self._taken = taken
        self._plans = _plans(world)
        self.labels: list[tuple[str, str]] = [("", ""), *((_name(p), p.kind) for p in self._plans)]
        """Campaign id and kind by the number in ``Calls.campaign``."""
        self._next = 0
        self._waiting: list[Calls] = []

    def due(self, end: int) -> Calls | None:
        """The calls that begin before ``end`` and were not given out yet."""
        while self._next < len(self._plans) and self._plans[self._next].begin < end:
            self._waiting.append(self._draw(self._plans[self._next]).calls)
            self._next += 1
        if not self._waiting:
            return None
        waiting = join(self._waiting)
        now = waiting.start < end
        self._waiting = [] if now.all() else [waiting.where(~now)]
        return waiting.where(now)

    def campaigns(self) -> list[Campaign]:
        return sorted((self._describe(plan) for plan in self._plans), key=lambda c: (c.first_ms, c.campaign))

    def _draw(self, plan: _Plan) -> _Drawn:
        drawn = _DRAWERS[plan.kind](_Campaign(self._world, self._taken, plan))
        drawn.calls.campaign[:] = plan.number
        return drawn

    def _describe(self, plan: _Plan) -> Campaign:
        drawn = self._draw(plan)
        calls, trunks = drawn.calls, self._world.networks.trunks
        return Campaign(
            campaign=_name(plan),
            kind=plan.kind,
            first_ms=int(calls.start.min()),
            last_ms=int(calls.start.max()),
            calls=len(calls),
            size=plan.spec.size,
            subjects=drawn.subjects,
            callers=[spell(n) for n in np.unique(calls.caller).tolist()],
            callees=[spell(n) for n in np.unique(calls.callee).tolist()[:20]],
            trunks=[trunks[i].name for i in np.unique(calls.trunk).tolist()],
        )


def _name(plan: _Plan) -> str:
    return f"{plan.kind}-{plan.ordinal + 1}"


def _plans(world: World) -> list[_Plan]:
    scenario = world.scenario
    length = scenario.end_ms - scenario.start_ms
    planned = []
    ordinals = dict.fromkeys(KINDS, 0)
    drawn_from = {kind: scenario.random("schedule", kind) for kind in KINDS}
    for spec in scenario.attack_specs():
        for _ in range(spec.campaigns or _usual_count(length)):
            begin, end = _when(drawn_from[spec.kind], spec, length)
            planned.append((begin, end, spec, ordinals[spec.kind]))
            ordinals[spec.kind] += 1
    planned.sort(key=lambda p: (p[0], KINDS.index(p[2].kind), p[3]))
    return [
        _Plan(i, spec.kind, ordinal, scenario.start_ms + begin, scenario.start_ms + end, spec)
        for i, (begin, end, spec, ordinal) in enumerate(planned, 1)
    ]


def _when(random: np.random.Generator, spec: AttackSpec, length: int) -> tuple[int, int]:
    """Begin and end of a campaign, ms from the begin of the scenario, which is ``length`` long."""
    longest = min(LONGEST_MS.get(spec.kind, USUAL_LONGEST_MS), length)
    last_begin = length - max(SHORTEST_MS, longest // 2)
    duration = round(spec.minutes * MINUTE)
    if duration:
        last_begin = length - duration
    begin = int(random.integers(length // 50, max(last_begin, length // 10) + 1))
    if spec.at is not None:
        begin = min(round(spec.at * MINUTE), length - 1)
    duration = duration or int(random.integers(max(1, longest // 2), longest + 1))
    return begin, min(begin + duration, length)


def _usual_count(length: int) -> int:
    return max(1, round(CAMPAIGNS_IN_TWENTY_MINUTES * length / (20 * MINUTE)))


class _Campaign:
    """What the drawing functions below share."""

    def __init__(self, world: World, taken: Ints, plan: _Plan) -> None:
        self.world = world
        self.taken = taken
        self.plan = plan
        self.random = world.scenario.random("campaign", plan.kind, plan.ordinal)
        self.sender, self.receiver = self.random.permutation(3)[:2].tolist()
        """Networks that the calls come from and go to."""

    def trunks(self, count: int = 1) -> Ints:
        """Some trunks from the sender to the receiver; everybody's calls go over them too."""
        own = self.world.networks.of_pair(NETWORKS[self.sender], NETWORKS[self.receiver])
        return self.random.choice(np.array(own), min(count, TRUNKS_PER_PAIR), replace=False)

    def starts(self, slowest: float, fastest: float) -> Ints:
        """Times of the calls asked for, else of eight or more at a rate (calls/s) between the two."""
        rate = float(self.random.uniform(slowest, fastest)) * self.plan.spec.intensity
        count = self.plan.spec.calls or max(8, round(rate * (self.plan.end - self.plan.begin) / 1000))
        return np.sort(self.random.integers(self.plan.begin, self.plan.end, count))

    def segment(self) -> int:
        """A segment of the sender's: for every second campaign one where people live too."""
        if self.plan.ordinal % 2:
            people = self.world.population.people
            own = people.number[people.allotted == self.sender]
            return int(self.random.choice(own)) // SEGMENT % 10_000_000
        spare = self.world.population.spare[self.world.population.spare_network == self.sender]
        return int(self.random.choice(spare))

    def pool(self, count: int, segment: int | None = None) -> Ints:
        """Numbers of one segment that nobody legitimate calls from."""
        numbers = mobile(self.segment() if segment is None else segment, np.arange(SEGMENT))
        free = numbers[~in_sorted(numbers, self.taken)]
        return self.random.choice(free, min(count, len(free)), replace=False)

    def targets(self, count: int) -> Ints:
        """Numbers of the receiver: half of them people, half drawn at random from its segments."""
        people = self.world.population.people
        known = people.number[self.random.choice(self.world.people_of[self.receiver], count)]
        own = segments().prefix[segments().network == self.receiver]
        drawn = mobile(self.random.choice(own, count), self.random.integers(0, SEGMENT, count))
        return np.where(self.random.random(count) < 0.5, known, drawn)

    def calls(self, habit: Habit, start: Ints, callers: Ints, callee: Ints, trunks: Ints) -> Calls:
        """Calls from ``callers`` and over ``trunks``, either drawn at random or one for each call."""
        caller = callers if len(callers) == len(start) else self.random.choice(callers, len(start))
        return conduct(self.random, habit, start, caller, callee, self.random.choice(trunks, len(start)))


def _spelled(numbers: Ints) -> list[str]:
    return [spell(n) for n in np.unique(numbers).tolist()]


def _burst(c: _Campaign) -> _Drawn:
    callers = c.pool(int(c.random.integers(1, 4)))
    start = c.starts(4, 12)
    calls = c.calls(ROBOT, start, callers, c.targets(len(start)), c.trunks(2))
    return _Drawn(calls, _spelled(callers))


def _sweep(c: _Campaign) -> _Drawn:
    """Callees one after another; every third campaign shuffles neighbours a little."""
    callers = c.pool((1, 5)[c.plan.ordinal % 2])
    start = c.starts(1, 3)
    steps = np.arange(len(start))
    if c.plan.ordinal % 3 == 2:
        steps = np.argsort(steps + c.random.uniform(0, 2.5, len(steps)), kind="stable")
    own = segments().prefix[segments().network == c.receiver]
    first = int(mobile(int(c.random.choice(own)), int(c.random.integers(0, SEGMENT // 2))))
    callee = first + (steps if c.plan.ordinal % 2 == 0 else steps[::-1])
    return _Drawn(c.calls(SWEEP, start, callers, callee, c.trunks()), _spelled(callers))


def _wangiri(c: _Campaign) -> _Drawn:
    """One ring from numbers that cost whoever calls back: from abroad, every third from home."""
    start = c.starts(1, 3)
    if c.plan.ordinal % 3 == 2:
        callers, trunks = c.pool(int(c.random.integers(1, 6))), c.trunks()
    else:
        carrier = ("MYTEL", "VODAFONE")[c.plan.ordinal % 2]
        base = int(c.random.choice(foreign(FOREIGN[carrier]))) // 100 * 100
        numbers = base + np.arange(100)
        callers = numbers[~in_sorted(numbers, c.taken)][: int(c.random.integers(2, 8))]
        trunks = np.array(c.world.networks.of_pair(carrier, NETWORKS[c.receiver]))
    calls = c.calls(ONE_RING, start, callers, c.targets(len(start)), trunks)
    calls.back[:] = np.where(calls.ring > 0, 0.1, 0.0)
    calls.back_answered[:] = 0.95
    return _Drawn(calls, _spelled(callers))


def _rotation(c: _Campaign) -> _Drawn:
    callers = c.pool(int(c.random.integers(30, 81)))
    start = c.starts(0.7, 2)
    calls = c.calls(TELEMARKETING, start, callers, c.targets(len(start)), c.trunks())
    return _Drawn(calls, [block(int(callers[0]))])


def _flood(c: _Campaign) -> _Drawn:
    """Many calls to one person, from a few numbers or from a new one each time."""
    start = c.starts(3, 10)
    if c.plan.ordinal % 2:
        callers = np.unique(np.concatenate([c.pool(20) for _ in range(10)]))
    else:
        callers = c.pool(int(c.random.integers(1, 5)))
    victim = c.world.population.people.number[c.random.choice(c.world.people_of[c.receiver])]
    calls = c.calls(HARASS, start, callers, np.full(len(start), victim), c.trunks(2))
    return _Drawn(calls, [spell(int(victim))])


def _unallocated(c: _Campaign) -> _Drawn:
    """Numbers that cannot exist: a segment or prefix never allotted, a digit too many or too few."""
    start = c.starts(0.3, 1.2)
    tails = c.random.choice(SEGMENT, int(c.random.integers(15, 60)), replace=False)
    segment = int(c.random.choice(segments().unallocated))
    callers = (
        mobile(segment, tails),
        mobile(1_200_000 + segment % 100_000, tails),
        (CHINA * 10_000_000 + segment) * 100_000 + tails * 7,
        (CHINA * 1_000_000 + segment // 10) * SEGMENT // 10 + tails // 10,
    )[c.plan.ordinal % 4]
    calls = c.calls(TELEMARKETING, start, callers, c.targets(len(start)), c.trunks())
    return _Drawn(calls, _spelled(calls.caller))


def _misrouted(c: _Campaign) -> _Drawn:
    """Numbers of the third network on a trunk of the sender."""
    third = 3 - c.sender - c.receiver
    spare = c.world.population.spare[c.world.population.spare_network == third]
    callers = np.concatenate([c.pool(5, int(segment)) for segment in c.random.choice(spare, 4)])
    start = c.starts(0.3, 0.8)
    trunks = c.trunks()
    calls = c.calls(SWINDLE, start, callers, c.targets(len(start)), trunks)
    return _Drawn(calls, [c.world.networks.trunks[int(trunks[0])].name])


def _foreign_gateway(c: _Campaign) -> _Drawn:
    """Numbers of home that come in from abroad and are not roaming."""
    carrier = list(FOREIGN)[int(c.random.integers(len(FOREIGN)))]
    trunks = np.array(c.world.networks.of_pair(carrier, NETWORKS[c.receiver]))
    callers = np.concatenate([c.pool(8) for _ in range(3)])
    start = c.starts(0.3, 1)
    calls = c.calls(SWINDLE, start, callers, c.targets(len(start)), trunks)
    return _Drawn(calls, [c.world.networks.trunks[int(trunks[0])].name])


def _neighbour(c: _Campaign) -> _Drawn:
    """Each callee sees a number that resembles the own."""
    start = c.starts(0.5, 1.5)
    callee = c.targets(len(start))
    caller = callee // SEGMENT * SEGMENT + c.random.integers(0, SEGMENT, len(start))
    while (bad := in_sorted(caller, c.taken) | (caller == callee)).any():
        caller[bad] = callee[bad] // SEGMENT * SEGMENT + c.random.integers(0, SEGMENT, int(bad.sum()))
    trunks = c.trunks()
    calls = c.calls(TELEMARKETING, start, caller, callee, trunks)
    return _Drawn(calls, [c.world.networks.trunks[int(trunks[0])].name])


def _clone(c: _Campaign) -> _Drawn:
    """A courier's number, busy at home, calls from two other networks at the same time."""
    people = c.world.population.people
    couriers = c.world.population.couriers
    own = couriers[people.network[couriers] < 3]
    victim = int(c.random.choice(own if len(own) else couriers))
    others = [i for i in range(3) if i != people.network[victim]]
    start = c.starts(0.1, 0.25)
    halves = []
    for chosen, (sender, receiver) in zip((start[::2], start[1::2]), (others, others[::-1]), strict=True):
        c.sender, c.receiver = sender, receiver
        caller = np.full(len(chosen), people.number[victim])
        halves.append(c.calls(SWINDLE, chosen, caller, c.targets(len(chosen)), c.trunks()))
    return _Drawn(join(halves), [spell(int(people.number[victim]))])


def _policy(c: _Campaign) -> _Drawn:
    """Advertising to people who refused it, otherwise as a small call centre."""
    here = c.world.people_of[c.receiver]
    refusing = here[c.world.consents.refuses[here]]
    callers = c.pool(1)
    start = c.starts(0.25, 0.6)
    callee = c.world.population.people.number[c.random.choice(refusing, len(start))]
    return _Drawn(c.calls(SWINDLE, start, callers, callee, c.trunks()), _spelled(callers))


def _behaviour(c: _Campaign) -> _Drawn:
    """Slow telemarketing from one number, that few answer."""
    callers = c.pool(1)
    start = c.starts(0.1, 0.25)
    return _Drawn(
        c.calls(TELEMARKETING, start, callers, c.targets(len(start)), c.trunks(2)), _spelled(callers)
    )


def _profile(c: _Campaign) -> _Drawn:
    """A trunk fills with very short answered calls, each from another number."""
    start = c.starts(2, 4)
    spare = c.world.population.spare[c.world.population.spare_network == c.sender]
    callers = mobile(c.random.choice(spare, len(start)), c.random.integers(0, SEGMENT, len(start)))
    trunks = c.trunks()
    calls = c.calls(PUMPING, start, callers, c.targets(len(start)), trunks)
    return _Drawn(calls, [c.world.networks.trunks[int(trunks[0])].name])


_DRAWERS: dict[str, Callable[[_Campaign], _Drawn]] = {
    "burst": _burst,
    "sweep": _sweep,
    "wangiri": _wangiri,
    "rotation": _rotation,
    "flood": _flood,
    "unallocated": _unallocated,
    "misrouted": _misrouted,
    "foreign_gateway": _foreign_gateway,
    "neighbour": _neighbour,
    "clone": _clone,
    "policy": _policy,
    "behaviour": _behaviour,
    "profile": _profile,
}
