"""Traffic as a stream: calls from every source, merged, turned into events and put in order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.simulate.attacks import Attacks
from streams.simulate.awkward import GROUPS
from streams.simulate.calls import CAUSE, NETWORK, SIP_CODE, Calls, Ints, Outcome, join
from streams.simulate.directory import Directory
from streams.simulate.followups import FollowUps
from streams.simulate.legitimate import ordinary_sources
from streams.simulate.networks import signalled
from streams.simulate.scenario import Campaign, Scenario, SimulatedEvent
from streams.simulate.world import World
from streams.wire.records import ListEntry

SHORTEST_SLICE_MS, LONGEST_SLICE_MS = 5_000, 300_000
_CALLS_IN_A_SLICE = 2_000
"""Calls are drawn in slices of time that hold about so many of them; memory holds one slice, the calls in
progress and those that will follow from earlier ones."""

_TRANSIT_MS = 30
"""From the first network's seizure to the next one's."""
_REPEATED_AFTER_MS = 700

_DUE = itemgetter(0)
_RELEASED_BY = ("", "caller", "callee", "network")


class Simulation:
    """A scenario with its world, which is built once."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._world = World(scenario)
        self._directory = Directory(self._world)

    def traffic(self) -> Iterator[SimulatedEvent]:
        """The events by time of event, but for the few that arrive a little late. Each call starts anew."""
        scenario, world = self.scenario, self._world
        attacks = self._attacks()
        sources = [*ordinary_sources(world), *(group(world).calls for group in GROUPS)]
        ordinary, attacked = FollowUps(world, "ordinary"), FollowUps(world, "attacked", returned=False)
        events = _Events(world, attacks)
        length = int(
            np.clip(_CALLS_IN_A_SLICE * 1000 / scenario.calls_per_second, SHORTEST_SLICE_MS, LONGEST_SLICE_MS)
        )
        for begin in range(scenario.start_ms, scenario.end_ms, length):
            end = min(begin + length, scenario.end_ms)
            for source in sources:
                ordinary.hold(source(begin, end))
            attacked.hold(attacks.due(end))
            drawn = [*_draw(world, ordinary, end), *_draw(world, attacked, end)]
            if drawn:
                calls = join(drawn)
                events.add(calls.where(np.argsort(calls.start, kind="stable")))
            yield from events.before(end)
        yield from events.rest()

    def campaigns(self) -> list[Campaign]:
        """The attacks, by time of their first call."""
        return self._attacks().campaigns()

    def directory(self) -> dict[str, list[str]]:
        """Legitimate numbers that call or are called otherwise than most people's, by what they are."""
        return self._directory.spelled()

    def lists(self) -> Iterator[ListEntry]:
        """What the networks know besides: refusals and consents, ported numbers, companies that call many."""
        yield from self._directory.lists()
        yield from self._attacks().entries()

    def _attacks(self) -> Attacks:
        return Attacks(self._world, self._directory.taken)


def traffic(scenario: Scenario) -> Iterator[SimulatedEvent]:
    """The events of ``scenario`` by time of event, but for the few that arrive a little late."""
    return Simulation(scenario).traffic()


def campaigns(scenario: Scenario) -> list[Campaign]:
    """The attacks of ``scenario``, by time of their first call."""
    return Simulation(scenario).campaigns()


def _draw(world: World, waiting: FollowUps, end: int) -> Iterator[Calls]:
    """The calls that begin before ``end``, with those that they lead to in that time."""
    while (calls := waiting.due(end)) is not None:
        _interrupt(world, calls)
        waiting.react(calls)
        yield calls


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
    calls.again[hit & (calls.campaign == 0) & (calls.again_answered > 0)] = 0.75


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
        self._held: list[tuple[int, SimulatedEvent]] = []

    def before(self, time: int) -> Iterator[SimulatedEvent]:
        self._held.sort(key=_DUE)
        ready = bisect_left(self._held, time, key=_DUE)
        out, self._held = self._held[:ready], self._held[ready:]
        for _, event in out:
            yield event

    def rest(self) -> Iterator[SimulatedEvent]:
        self._held.sort(key=_DUE)
        for _, event in self._held:
            yield event
        self._held = []

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
            calls.redirecting.tolist(),
            calls.campaign.tolist(),
            as_cdr.tolist(),
            twice.tolist(),
            repeated.tolist(),
            delays[0].tolist(),
            delays[1].tolist(),
            strict=True,
        )
        self._calls += count
        held = self._held.append
        for (
            key, start, release, caller, callee, trunk, ring, talk, outcome, released_by,
            presentation, roaming, redirecting, campaign, cdr, seen_twice, repeat, delay, end_delay,
        ) in rows:  # fmt: skip
            call_id = f"{key:016x}"
            legs = self._legs(call_id, start, caller, callee, trunk, presentation, roaming, seen_twice)
            if redirecting:
                for _, leg in legs:
                    leg["redirecting"] = f"+{redirecting}"
            ended = {
                "answered": outcome == 0,
                "ring_ms": ring,
                "talk_ms": talk,
                "cause": _CAUSE[outcome],
                "sip_code": _SIP_CODE[outcome],
                "released_by": _RELEASED_BY[released_by],
            }
            label = self._labels[campaign]
            for mark, leg in legs:
                if cdr:
                    leg |= ended
                    leg["id"], leg["type"] = f"{call_id}-c{mark}", "cdr"
                    due = leg["time"] + delay
                    held((due, SimulatedEvent(leg, *label)))
                    last = leg
                else:
                    last = leg | ended
                    last["id"], last["type"], last["time"] = f"{call_id}-e{mark}", "end", release
                    held((leg["time"] + delay, SimulatedEvent(leg, *label)))
                    due = release + end_delay
                    held((due, SimulatedEvent(last, *label)))
            if repeat:
                held((due + _REPEATED_AFTER_MS, SimulatedEvent(last, *label)))

    def _legs(
        self,
        call_id: str,
        start: int,
        caller: int,
        callee: int,
        trunk: int,
        presentation: int,
        roaming: bool,
        seen_twice: bool,
    ) -> list[tuple[str, dict[str, Any]]]:
        """The call as each probe sees it: its set-up, and a mark for the ids of that view's events."""
        first = self._set_up(call_id, start, caller, callee, trunk, presentation, roaming)
        first["id"] = call_id + "-a"
        if not seen_twice and trunk not in self._transit:
            return [("", first)]
        legs = [("", first)]
        if seen_twice:
            legs.append(("b", first | {"id": call_id + "-ab", "probe": self._trunks[trunk].far_probe}))
        if trunk in self._transit:
            later = start + _TRANSIT_MS
            onward = self._set_up(call_id, later, caller, callee, self._transit[trunk], presentation, roaming)
            onward["id"] = call_id + "-at"
            legs.append(("t", onward))
        return legs

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
            "id": "",
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
