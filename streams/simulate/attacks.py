"""Attacks: campaigns of every kind, each planned in full before its first call."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from streams.simulate.calls import Calls, Ints, join
from streams.simulate.craft import Craft, Drawn, Plan
from streams.simulate.kinds import draw
from streams.simulate.numbers import spell
from streams.simulate.scenario import KINDS, MINUTE, AttackSpec, Campaign
from streams.simulate.world import World
from streams.wire.records import ListEntry

CAMPAIGNS_IN_TWENTY_MINUTES = 3
LONGEST_MS = {"behaviour": 15 * MINUTE, "clone": 4 * MINUTE, "profile": 4 * MINUTE, "misrouted": 5 * MINUTE}
USUAL_LONGEST_MS = 150_000
SHORTEST_MS = 40_000


class Attacks:
    """The campaigns of a scenario, by the time they begin."""

    def __init__(self, world: World, taken: Ints) -> None:
        """``taken``: numbers that make legitimate calls, ascending."""
        self._world = world
        self._taken = taken
        self._plans = _plans(world)
        self.labels: list[tuple[str, str]] = [("", ""), *((p.name, p.kind) for p in self._plans)]
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

    def entries(self) -> Iterator[ListEntry]:
        """What lists say of the attackers' numbers, and of those they call."""
        for plan in self._plans:
            yield from self._draw(plan).entries

    def _draw(self, plan: Plan) -> Drawn:
        drawn = draw(Craft(self._world, self._taken, plan))
        drawn.calls.campaign[:] = plan.number
        return drawn

    def _describe(self, plan: Plan) -> Campaign:
        drawn = self._draw(plan)
        calls, trunks = drawn.calls, self._world.networks.trunks
        return Campaign(
            campaign=plan.name,
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


def _plans(world: World) -> list[Plan]:
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
        Plan(i, spec.kind, ordinal, scenario.start_ms + begin, scenario.start_ms + end, spec)
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
