"""Traffic as a stream: calls from every source, merged, turned into events and put in order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.simulate.attacks import Attacks
from streams.simulate.calls import CAUSE, NETWORK, SIP_CODE, Calls, Ints, Outcome, join
from streams.simulate.legitimate import FollowUps, sources
from streams.simulate.networks import signalled
from streams.simulate.numbers import spell
from streams.simulate.scenario import Campaign, Scenario, SimulatedEvent
from streams.simulate.world import World

SLICE_MS = 5_000
"""Calls are drawn in slices of this length; memory holds one slice and the calls in progress."""

_RELEASED_BY = ("", "caller", "callee", "network")


def traffic(scenario: Scenario) -> Iterator[SimulatedEvent]:
    """The events of ``scenario`` by time of event, but for the few that arrive a little late."""
    world = World(scenario)
    attacks = Attacks(world)
    legitimate = sources(world)
    ordinary, attacked = FollowUps(world, "ordinary"), FollowUps(world, "attacked")
    events = _Events(world, attacks)
    for begin in range(scenario.start_ms, scenario.end_ms, SLICE_MS):
        end = min(begin + SLICE_MS, scenario.end_ms)
        drawn = [
            *_draw(world, [source(begin, end) for source in legitimate], ordinary, end),
            *_draw(world, [attacks.due(end)], attacked, end),
        ]
        if drawn:
            calls = join(drawn)
            events.add(calls.where(np.argsort(calls.start, kind="stable")))
        yield from events.before(end)
    yield from events.rest()


def _draw(world: World, first: list[Calls | None], follow_ups: FollowUps, end: int) -> list[Calls]:
    """The first calls of a slice with those that earlier ones led to."""
    batches = [batch for batch in (*first, follow_ups.due(end)) if batch is not None]
    if not batches:
        return []
    calls = join(batches)
    _interrupt(world, calls)
    follow_ups.react(calls, end)
    return [calls]


def campaigns(scenario: Scenario) -> list[Campaign]:
    """The attacks of ``scenario``, by time of their first call."""
    return Attacks(World(scenario)).campaigns()


def directory(scenario: Scenario) -> dict[str, list[str]]:
    """Legitimate numbers that call or are called more than people do, by what they are."""
    population = World(scenario).population
    people = population.people
    roles: dict[str, Ints] = {
        "alarm_centre": population.alarm_centre.numbers,
        "alarm_line": people.number[population.alarm_lines],
        "call_centre": np.concatenate([o.numbers for o in population.call_centres]),
        "company": np.concatenate([o.numbers for o in population.companies]),
        "courier": people.number[population.couriers],
        "notifier": np.concatenate([o.numbers for o in population.notifiers]),
        "ported": people.number[people.network != people.allotted],
        "service": np.concatenate([o.numbers for o in population.services]),
        "vote": np.array([population.vote]),
    }
    return {role: [spell(n) for n in np.unique(numbers).tolist()] for role, numbers in roles.items()}


def _interrupt(world: World, calls: Calls) -> None:
    """Most calls over the trunks of the outage fail while it lasts, and people try again at once."""
    if not world.in_outage(calls.start).any():
        return
    random = world.scenario.random("outage", *calls.start[:2].tolist())
    hit = (
        world.in_outage(calls.start)
        & np.isin(calls.trunk, world.failing)
        & (random.random(len(calls)) < 0.85)
    )
    congested = random.random(len(calls)) < 0.5
    calls.outcome[hit] = np.where(congested[hit], int(Outcome.CONGESTED), int(Outcome.FAILED))
    calls.ring[hit] = calls.talk[hit] = 0
    calls.released_by[hit] = NETWORK
    calls.back[hit] = 0
    calls.again[hit & (calls.campaign == 0)] = 0.75


class _Events:
    """Turns calls into events and holds back those whose time has not come."""

    def __init__(self, world: World, attacks: Attacks) -> None:
        self._scenario = world.scenario
        self._random = world.scenario.random("events")
        self._trunks = world.networks.trunks
        self._transit = world.networks.via_transit
        self._labels = attacks.labels
        self._salt = np.uint64(world.scenario.random("call ids").integers(0, 2**63))
        self._calls = 0
        self._order = 0
        self._held: list[tuple[int, int, SimulatedEvent]] = []

    def before(self, time: int) -> Iterator[SimulatedEvent]:
        self._held.sort()
        ready = bisect_left(self._held, time, key=itemgetter(0))
        out, self._held = self._held[:ready], self._held[ready:]
        for _, _, event in out:
            yield event

    def rest(self) -> Iterator[SimulatedEvent]:
        self._held.sort()
        for _, _, event in self._held:
            yield event
        self._held = []

    def _hold(self, event: dict[str, Any], label: tuple[str, str], delay: int) -> None:
        self._order += 1
        self._held.append((event["time"] + delay, self._order, SimulatedEvent(event, *label)))

    def add(self, calls: Calls) -> None:
        scenario, count = self._scenario, len(calls)
        draws = self._random.random((5, count))
        as_cdr = draws[0] < scenario.cdr
        twice = draws[1] < scenario.seen_twice
        repeated = draws[2] < 2 * scenario.duplicates
        late = self._random.random((2, count)) < scenario.disordered
        delays = np.where(late, draws[3:] * scenario.disorder_ms, 0).astype(np.int64)
        rows = zip(
            _mixed(np.arange(self._calls, self._calls + count), self._salt).tolist(),
            calls.start.tolist(),
            (calls.start + calls.setup + calls.ring + calls.talk).tolist(),
            calls.caller.tolist(),
            calls.callee.tolist(),
            calls.trunk.tolist(),
            calls.ring.tolist(),
            calls.talk.tolist(),
            calls.outcome.tolist(),
            calls.released_by.tolist(),
            calls.presentation.tolist(),
            calls.roaming.tolist(),
            calls.campaign.tolist(),
            as_cdr.tolist(),
            twice.tolist(),
            repeated.tolist(),
            delays[0].tolist(),
            delays[1].tolist(),
            strict=True,
        )
        self._calls += count
        for (
            key, start, release, caller, callee, trunk, ring, talk, outcome, released_by,
            presentation, roaming, campaign, cdr, seen_twice, repeat, delay, end_delay,
        ) in rows:  # fmt: skip
            call_id = f"{key:016x}"
            label = self._labels[campaign]
            set_up = self._set_up(call_id, start, caller, callee, trunk, presentation, roaming)
            ended = {
                "answered": outcome == 0,
                "ring_ms": ring,
                "talk_ms": talk,
                "cause": _CAUSE[outcome],
                "sip_code": _SIP_CODE[outcome],
                "released_by": _RELEASED_BY[released_by],
            }
            legs = [(set_up, "")]
            if seen_twice:
                legs.append(({**set_up, "probe": self._trunks[trunk].far_probe}, "b"))
            if trunk in self._transit:
                onward = self._set_up(
                    call_id, start + 30, caller, callee, self._transit[trunk], presentation, roaming
                )
                legs.append((onward, "t"))
            for leg, mark in legs:
                if cdr:
                    record = {**leg, **ended, "id": f"{call_id}-c{mark}", "type": "cdr"}
                    self._hold(record, label, delay)
                    last = record
                else:
                    self._hold(leg, label, delay) if not mark else self._hold(
                        {**leg, "id": f"{call_id}-a{mark}"}, label, delay
                    )
                    last = {**leg, **ended, "id": f"{call_id}-e{mark}", "type": "end", "time": release}
                    self._hold(last, label, end_delay)
            if repeat:
                self._hold(last, label, end_delay + 700)

    def _set_up(
        self, call_id: str, start: int, caller: int, callee: int, trunk: int, presentation: int, roaming: bool
    ) -> dict[str, Any]:
        way = self._trunks[trunk]
        called, called_noa = signalled(callee, way.style)
        if presentation == 2:
            calling, calling_noa = "", None
        elif caller < 0:
            calling, calling_noa = str(-caller), None
        else:
            calling, calling_noa = signalled(caller, way.style)
        event: dict[str, Any] = {
            "id": call_id + "-a",
            "call_id": call_id,
            "type": "attempt",
            "time": start,
            "caller": calling,
            "callee": called,
        }
        if calling_noa is not None:
            event["caller_noa"] = calling_noa
        if called_noa is not None:
            event["callee_noa"] = called_noa
        event["from_network"] = way.from_network
        event["to_network"] = way.to_network
        event["trunk"] = way.name
        event["probe"] = way.probe
        if way.international:
            event["gateway"] = "international"
        if roaming:
            event["roaming"] = True
        if presentation > 0:
            event["presentation"] = 1
        return event


_CAUSE = CAUSE.tolist()
_SIP_CODE = SIP_CODE.tolist()


def _mixed(keys: Ints, salt: np.uint64) -> npt.NDArray[np.uint64]:
    """splitmix64: different keys stay different, and nothing can be read from their order."""
    z = keys.astype(np.uint64) + salt
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
