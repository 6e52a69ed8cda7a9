"""The simulated traffic: the same from the same seed, cleanly labelled, and like real traffic."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xxhash

from config.settings import Settings
from detectors.calls import NumberStatus
from detectors.numbering import Normalised, Normaliser
from detectors.plan import NumberingPlan
from streams.simulate import KINDS, AttackSpec, Scenario, SimulatedEvent, Simulation, campaigns, traffic
from streams.simulate.numbers import segments

SMALL = Scenario(seed=11, minutes=6, calls_per_second=60)


@pytest.fixture(scope="module")
def plan() -> NumberingPlan:
    return NumberingPlan.load(Settings().numbering)


@pytest.fixture(scope="module")
def normaliser(plan: NumberingPlan) -> Normaliser:
    return Normaliser(86, plan)


@pytest.fixture(scope="module")
def number(normaliser: Normaliser) -> Callable[[str, Any], int]:
    """The number that a text and its nature of address stand for."""
    known: dict[tuple[str, Any], int] = {}

    def number(text: str, noa: Any) -> int:
        if (text, noa) not in known:
            known[text, noa] = normaliser.number(text, noa).number
        return known[text, noa]

    return number


@pytest.fixture(scope="module")
def read(normaliser: Normaliser) -> Callable[[SimulatedEvent], Normalised]:
    """An event's caller as `ingest` reads it."""
    known: dict[tuple[str, Any, Any], Normalised] = {}

    def read(e: SimulatedEvent) -> Normalised:
        key = e.event["caller"], e.event.get("caller_noa"), e.event.get("presentation")
        if key not in known:
            known[key] = normaliser.number(*key)
        return known[key]

    return read


@pytest.fixture(scope="module")
def events() -> list[SimulatedEvent]:
    return list(traffic(SMALL))


@pytest.fixture(scope="module")
def calls(events: list[SimulatedEvent]) -> dict[str, SimulatedEvent]:
    """How each call ended, by call_id; the first probe's view."""
    ended: dict[str, SimulatedEvent] = {}
    for e in events:
        if e.event["type"] != "attempt":
            ended.setdefault(e.event["call_id"], e)
    return ended


def digest(events: list[SimulatedEvent]) -> str:
    return xxhash.xxh3_64_hexdigest(repr(events).encode())


_PRINT_DIGEST = """
import xxhash
from streams.simulate import Scenario, traffic
events = list(traffic(Scenario(seed=5, minutes=1, calls_per_second=30)))
print(xxhash.xxh3_64_hexdigest(repr(events).encode()))
"""


def test_a_seed_fixes_the_traffic_in_every_process() -> None:
    here = digest(list(traffic(Scenario(seed=5, minutes=1, calls_per_second=30))))
    for hash_seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", _PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert out.stdout.strip() == here
    assert digest(list(traffic(Scenario(seed=6, minutes=1, calls_per_second=30)))) != here


def test_events_come_in_time_order_but_for_the_few_that_are_late(events: list[SimulatedEvent]) -> None:
    times = np.array([e.event["time"] for e in events])
    behind = np.maximum.accumulate(times) - times
    assert behind.max() <= SMALL.disorder_ms + 700
    assert 0 < (behind > 0).mean() < 3 * SMALL.disordered


def test_legitimate_traffic_is_the_same_with_and_without_attacks() -> None:
    def legitimate(attacks: Any) -> set[tuple[int, str, str]]:
        scenario = Scenario(seed=3, minutes=2, calls_per_second=30, attacks=attacks)
        return {
            (e.event["time"], e.event["caller"], e.event["callee"])
            for e in traffic(scenario)
            if not e.campaign and e.event["type"] != "end"
        }

    without, with_attacks = legitimate("none"), legitimate("all")
    assert len(without) > 500
    assert without <= with_attacks, "attacks add calls back to the attackers, and change nothing else"


def test_a_long_scenario_begins_at_once() -> None:
    year = Scenario(seed=1, minutes=60 * 24 * 365, calls_per_second=20, attacks="none")
    assert [e.event["type"] for e in itertools.islice(traffic(year), 3)]


def test_the_night_is_quiet() -> None:
    def calls_in_a_minute(start_ms: int) -> int:
        scenario = Scenario(seed=2, start_ms=start_ms, minutes=1, calls_per_second=60, attacks="none")
        return sum(e.event["type"] != "end" for e in traffic(scenario))

    day, night = calls_in_a_minute(SMALL.start_ms), calls_in_a_minute(SMALL.start_ms + 16 * 3_600_000)
    assert night < day / 10


class TestLabels:
    def test_every_event_of_a_call_has_its_label(self, events: list[SimulatedEvent]) -> None:
        labels = defaultdict(set)
        for e in events:
            labels[e.event["call_id"]].add((e.campaign, e.kind))
        assert all(len(label) == 1 for label in labels.values())

    def test_campaigns_are_those_of_the_labels(self, events: list[SimulatedEvent]) -> None:
        calls = {e.event["call_id"]: e.campaign for e in events if e.campaign}
        listed = {c.campaign: c for c in campaigns(SMALL)}
        assert Counter(calls.values()) == {name: c.calls for name, c in listed.items()}
        assert {c.kind for c in listed.values()} == set(KINDS)
        firsts = {}
        for e in events:
            if e.campaign and e.event["type"] != "end":
                firsts[e.campaign] = min(firsts.get(e.campaign, e.event["time"]), e.event["time"])
        assert firsts == {name: c.first_ms for name, c in listed.items()}

    def test_attackers_numbers_make_no_legitimate_calls(
        self, events: list[SimulatedEvent], read: Callable[[SimulatedEvent], Normalised]
    ) -> None:
        callers: dict[bool, set[int]] = {True: set(), False: set()}
        for e in events:
            if e.kind != "clone":
                callers[bool(e.campaign)].add(read(e).number)
        assert len(callers[True]) > 500
        assert not callers[True] & callers[False]

    def test_attacks_come_over_trunks_that_others_use(self, events: list[SimulatedEvent]) -> None:
        legitimate = Counter(e.event["trunk"] for e in events if not e.campaign)
        attacked = {e.event["trunk"] for e in events if e.campaign}
        assert all(legitimate[trunk] >= 10 for trunk in attacked)


class TestLegitimateTraffic:
    def test_most_calls_are_answered_and_are_no_trifles(self, calls: dict[str, SimulatedEvent]) -> None:
        ended = [e.event for e in calls.values() if not e.campaign]
        talk = np.array([e["talk_ms"] for e in ended if e["answered"]])
        assert 0.55 < len(talk) / len(ended) < 0.75
        assert 30_000 < np.median(talk) < 70_000
        assert (talk <= 6_000).mean() < 0.1

    def test_an_end_agrees_with_itself(self, calls: dict[str, SimulatedEvent]) -> None:
        for e in (e.event for e in calls.values()):
            assert e["answered"] == (e["sip_code"] == 200) == (e["talk_ms"] > 0)
            assert e["released_by"] in ("caller", "callee", "network")
            assert (e["cause"] == 16) == (e["sip_code"] in (200, 487))

    def test_missed_calls_are_called_back(
        self, calls: dict[str, SimulatedEvent], number: Callable[[str, Any], int]
    ) -> None:
        missed: dict[tuple[int, int], int] = {}
        back = 0
        for e in sorted((e.event for e in calls.values() if not e.campaign), key=lambda e: e["time"]):
            caller = number(e["caller"], e.get("caller_noa"))
            callee = number(e["callee"], e.get("callee_noa"))
            if (callee, caller) in missed:
                back += 1
            if not e["answered"]:
                missed[caller, callee] = e["time"]
        assert back > 0.1 * len(missed)

    def test_couriers_and_call_centres_work_as_theirs_do(
        self, calls: dict[str, SimulatedEvent], read: Callable[[SimulatedEvent], Normalised]
    ) -> None:
        who = Simulation(SMALL).directory()
        made = defaultdict(list)
        for e in calls.values():
            if not e.campaign:
                made[spell(read(e))].append(e.event)
        hours = SMALL.minutes / 60
        couriers = [made[number] for number in who["courier"]]
        by_hour = np.mean([len(c) for c in couriers]) / hours
        assert 25 < by_hour < 70
        assert 0.7 < answer_ratio(couriers) < 0.9
        centres = [made[number] for number in who["call_centre"] if number.startswith("+86")]
        assert 0.4 < answer_ratio(centres) < 0.65
        assert len({e["callee"] for c in centres for e in c}) > 0.8 * sum(map(len, centres))

    def test_the_vote_and_the_outage_happen(self, calls: dict[str, SimulatedEvent]) -> None:
        minute = defaultdict(Counter)
        for e in (e.event for e in calls.values() if not e.campaign):
            start = e["time"] - (e["ring_ms"] + e["talk_ms"] if e["type"] == "end" else 0)
            share = int((start - SMALL.start_ms) / (SMALL.minutes * 6_000))
            minute[share]["vote"] += e["callee"] == "4008880001"
            minute[share]["failed"] += e["cause"] in (34, 38)
        votes = [minute[i]["vote"] for i in range(10)]
        failures = [minute[i]["failed"] for i in range(10)]
        assert sum(votes[3:6]) > 100
        assert sum(votes[:3]) + sum(votes[7:]) == 0
        assert sum(failures[6:9]) > 3 * sum(failures[2:5])

    def test_it_has_what_makes_real_traffic_awkward(self, events: list[SimulatedEvent]) -> None:
        legitimate = [e.event for e in events if not e.campaign]
        ids = Counter(e["id"] for e in legitimate)
        probes = defaultdict(set)
        for e in legitimate:
            probes[e["call_id"]].add((e["probe"], e["trunk"]))
        assert 0 < sum(n - 1 for n in ids.values()) < 0.005 * len(legitimate)
        assert 0.02 < sum(len(p) > 1 for p in probes.values()) / len(probes) < 0.12
        assert any(e.get("roaming") for e in legitimate)
        assert any(e.get("presentation") == 1 and e["caller"] for e in legitimate)
        assert any(e["caller"] == "" for e in legitimate)
        assert any(e["caller"].startswith("80") and len(e["caller"]) == 4 for e in legitimate)
        assert {e["type"] for e in legitimate} == {"attempt", "end", "cdr"}
        assert {e["from_network"] for e in legitimate} > {"CM", "CU", "CT", "CB", "HKT"}
        assert {e.get("caller_noa") for e in legitimate} == {None, 2, 3, 4}

    def test_ported_numbers_call_from_another_network_than_their_block_s(
        self, events: list[SimulatedEvent], read: Callable[[SimulatedEvent], Normalised]
    ) -> None:
        ported = set(Simulation(SMALL).directory()["ported"])
        assert any(spell(read(e)) in ported for e in events if not e.campaign)

    def test_its_numbers_are_in_the_plan(
        self, events: list[SimulatedEvent], read: Callable[[SimulatedEvent], Normalised]
    ) -> None:
        statuses = Counter(read(e).status for e in events if not e.campaign)
        fine = {
            NumberStatus.ALLOCATED,
            NumberStatus.SHORT_SERVICE,
            NumberStatus.HIDDEN,
            NumberStatus.TEXT,
        }
        assert set(statuses) <= fine
        assert statuses[NumberStatus.TEXT] < 0.01 * statuses.total()


class TestAttacks:
    def ended(self, calls: dict[str, SimulatedEvent], kind: str) -> list[dict[str, Any]]:
        return [e.event for e in calls.values() if e.kind == kind]

    def test_burst_is_fast_wide_and_unanswered(self, calls: dict[str, SimulatedEvent]) -> None:
        one = self.ended(calls, "burst")
        assert len({e["callee"] for e in one}) > 0.95 * len(one)
        assert np.mean([e["answered"] for e in one]) < 0.25
        campaign = next(c for c in campaigns(SMALL) if c.kind == "burst")
        assert campaign.calls * 1000 / (campaign.last_ms - campaign.first_ms) > 3.5

    def test_sweep_goes_through_the_numbers(
        self, calls: dict[str, SimulatedEvent], number: Callable[[str, Any], int]
    ) -> None:
        callees = {number(e["callee"], e.get("callee_noa")) for e in self.ended(calls, "sweep")}
        steps = np.diff(sorted(callees))
        assert len(callees) > 0.95 * len(self.ended(calls, "sweep"))
        assert np.mean(steps <= 13) > 0.95

    def test_wangiri_rings_once(self, calls: dict[str, SimulatedEvent]) -> None:
        given_up = [e for e in self.ended(calls, "wangiri") if e["sip_code"] == 487]
        assert len(given_up) > 0.7 * len(self.ended(calls, "wangiri"))
        assert all(e["released_by"] == "caller" for e in given_up)
        assert np.percentile([e["ring_ms"] for e in given_up], 95) < 5_000

    def test_rotation_stays_in_a_block(
        self, calls: dict[str, SimulatedEvent], number: Callable[[str, Any], int]
    ) -> None:
        one = self.ended(calls, "rotation")
        callers = Counter(number(e["caller"], e.get("caller_noa")) for e in one)
        assert len({caller // 10_000 for caller in callers}) == 1
        assert len(callers) >= 8
        assert np.mean(list(callers.values())) <= 10

    def test_flood_has_one_callee(
        self, calls: dict[str, SimulatedEvent], number: Callable[[str, Any], int]
    ) -> None:
        one = self.ended(calls, "flood")
        assert len({number(e["callee"], e.get("callee_noa")) for e in one}) == 1
        assert len(one) > 100

    @pytest.mark.parametrize("seed", range(3))
    def test_unallocated_numbers_are_not_in_the_plan_or_machines(
        self, seed: int, normaliser: Normaliser
    ) -> None:
        scenario = Scenario(
            seed=seed, minutes=2, calls_per_second=1, attacks=[AttackSpec("unallocated", campaigns=8)]
        )
        callers = [
            normaliser.number(e.event["caller"], e.event.get("caller_noa"))
            for e in traffic(scenario)
            if e.campaign
        ]
        statuses = {caller.status for caller in callers if caller.number // 10**8 != 86_146}
        assert statuses <= {NumberStatus.UNALLOCATED, NumberStatus.TOO_LONG, NumberStatus.TOO_SHORT}

    def test_misrouted_numbers_belong_to_another_network(
        self, events: list[SimulatedEvent], read: Callable[[SimulatedEvent], Normalised], plan: NumberingPlan
    ) -> None:
        allotted = segments()
        for e in (e for e in events if e.kind == "misrouted"):
            segment = read(e).number // 10_000 % 10_000_000
            owner = allotted.network[np.searchsorted(allotted.prefix, segment)]
            assert ("CM", "CU", "CT", "CB")[owner] != e.event["from_network"]

    def test_foreign_gateway_brings_numbers_of_home(
        self, events: list[SimulatedEvent], read: Callable[[SimulatedEvent], Normalised]
    ) -> None:
        for e in (e for e in events if e.kind == "foreign_gateway"):
            assert e.event["gateway"] == "international"
            assert "roaming" not in e.event
            assert spell(read(e)).startswith("+861")

    def test_neighbours_share_the_callee_s_first_digits(
        self, calls: dict[str, SimulatedEvent], number: Callable[[str, Any], int]
    ) -> None:
        for e in self.ended(calls, "neighbour"):
            caller, callee = (number(e[side], e.get(f"{side}_noa")) for side in ("caller", "callee"))
            assert str(caller)[:6] == str(callee)[:6]
            assert caller != callee

    def test_a_clone_calls_from_two_networks_and_so_does_its_owner(
        self, events: list[SimulatedEvent], read: Callable[[SimulatedEvent], Normalised]
    ) -> None:
        numbers = {read(e).number for e in events if e.kind == "clone"}
        assert len(numbers) == 1
        assert len({e.event["from_network"] for e in events if e.kind == "clone"}) == 2
        assert numbers <= {read(e).number for e in events if not e.campaign}

    def test_policy_calls_those_who_refused(
        self, events: list[SimulatedEvent], number: Callable[[str, Any], int]
    ) -> None:
        refused = {entry.value for entry in Simulation(SMALL).lists() if entry.list == "refusal"}
        for e in (e.event for e in events if e.kind == "policy"):
            assert f"+{number(e['callee'], e.get('callee_noa'))}" in refused

    def test_behaviour_is_slow(self, calls: dict[str, SimulatedEvent]) -> None:
        (campaign,) = (c for c in campaigns(SMALL) if c.kind == "behaviour")
        assert campaign.calls * 1000 / (campaign.last_ms - campaign.first_ms) < 0.35
        assert np.mean([e["answered"] for e in self.ended(calls, "behaviour")]) < 0.45

    def test_profile_fills_a_trunk_with_short_calls(self, calls: dict[str, SimulatedEvent]) -> None:
        one = self.ended(calls, "profile")
        assert len({e["trunk"] for e in one}) == 1
        assert np.mean([0 < e["talk_ms"] <= 6_000 for e in one]) > 0.7

    def test_intensity_multiplies_the_calls(self) -> None:
        def count(intensity: float) -> int:
            scenario = Scenario(
                seed=4, minutes=3, calls_per_second=1, attacks=[AttackSpec("flood", 1, intensity)]
            )
            return campaigns(scenario)[0].calls

        assert count(4) == pytest.approx(4 * count(1), rel=0.02)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"minutes": 0}, "minutes 0: expected above 0"),
        ({"calls_per_second": -1}, "calls_per_second -1: expected above 0"),
        ({"attacks": "some"}, "attacks 'some': expected 'all', 'none' or a list"),
        ({"cdr": 2}, "cdr 2: expected a share"),
    ],
)
def test_a_wrong_scenario_says_what_was_expected(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scenario(**wrong)


def test_a_wrong_attack_says_what_was_expected() -> None:
    with pytest.raises(ValueError, match="attack kind 'flod': expected one of burst, sweep"):
        AttackSpec("flod")
    with pytest.raises(ValueError, match="intensity of burst 0: expected above 0"):
        AttackSpec("burst", intensity=0)


def spell(read: Normalised) -> str:
    return f"+{read.number}" if read.number >= 0 else read.text


def answer_ratio(callers: list[list[dict[str, Any]]]) -> float:
    return float(np.mean([e["answered"] for caller in callers for e in caller]))
