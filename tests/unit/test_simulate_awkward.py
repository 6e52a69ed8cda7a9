"""Legitimate callers who look like attackers show what they are named for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

from config.settings import Settings
from detectors.numbering import Normaliser
from detectors.plan import NumberingPlan
from streams.simulate import Scenario, Simulation
from streams.simulate.numbers import segments
from streams.simulate.scenario import AWKWARD

MINUTE = 60_000
SET_UP = 1_000
"""About; a `cdr` does not tell."""
SCENARIO = Scenario(seed=21, minutes=24, calls_per_second=60, attacks="none")


class Call(NamedTuple):
    start: int
    release: int
    caller: str
    callee: str
    event: dict[str, Any]

    @property
    def answered(self) -> bool:
        return bool(self.event["answered"])


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation(SCENARIO)


@pytest.fixture(scope="module")
def who(simulation: Simulation) -> dict[str, set[str]]:
    return {role: set(numbers) for role, numbers in simulation.directory().items()}


@pytest.fixture(scope="module")
def calls(simulation: Simulation) -> list[Call]:
    """Every call once, by start; numbers as the directory spells them."""
    normaliser = Normaliser(86, NumberingPlan.load(Settings().numbering))
    known: dict[tuple[str, Any], str] = {}

    def spelled(text: str, noa: Any) -> str:
        if (text, noa) not in known:
            read = normaliser.number(text, noa)
            known[text, noa] = f"+{read.number}" if read.number >= 0 else read.text
        return known[text, noa]

    starts: dict[str, int] = {}
    ended: dict[str, Call] = {}
    for e, _, _ in simulation.traffic():
        call_id = e["call_id"]
        if e["type"] != "end":
            starts.setdefault(call_id, e["time"])
        if e["type"] != "attempt" and call_id not in ended:
            caller = spelled(e["caller"], e.get("caller_noa"))
            callee = spelled(e["callee"], e.get("callee_noa"))
            release = e["time"] + (SET_UP + e["ring_ms"] + e["talk_ms"] if e["type"] == "cdr" else 0)
            ended[call_id] = Call(0, release, caller, callee, e)
    return sorted((c._replace(start=starts[i]) for i, c in ended.items()), key=lambda c: c.start)


@pytest.fixture(scope="module")
def made(calls: list[Call]) -> dict[str, list[Call]]:
    by_caller = defaultdict(list)
    for c in calls:
        by_caller[c.caller].append(c)
    return by_caller


@pytest.fixture(scope="module")
def received(calls: list[Call]) -> dict[str, list[Call]]:
    by_callee = defaultdict(list)
    for c in calls:
        by_callee[c.callee].append(c)
    return by_callee


def of(by_number: dict[str, list[Call]], numbers: Iterable[str]) -> list[Call]:
    return [c for number in sorted(numbers) for c in by_number.get(number, [])]


def share(flags: Iterable[bool]) -> float:
    return float(np.mean(list(flags)))


def allotted_to(number: str) -> str:
    plan = segments()
    return ("CM", "CU", "CT", "CB")[plan.network[np.searchsorted(plan.prefix, int(number[3:10]))]]


def together(a: Call, b: Call) -> bool:
    return a.start < b.release and b.start < a.release


def test_every_sort_is_in_the_directory_and_takes_part(
    who: dict[str, set[str]], made: dict[str, list[Call]], received: dict[str, list[Call]]
) -> None:
    for role in (*AWKWARD, "test_call", "virtual_operator", "silent_roamer"):
        assert who[role], role
        assert of(made, who[role]) or of(received, who[role]), role


def test_sorted_diallers_go_up_through_their_list(
    who: dict[str, set[str]], made: dict[str, list[Call]]
) -> None:
    for number in who["sorted_dialler"]:
        callees = [int(c.callee) for c in made[number]]
        assert len(callees) > 30
        assert share(np.diff(callees) > 0) > 0.9


def test_an_old_list_has_wrong_numbers_and_long_talks(
    who: dict[str, set[str]], made: dict[str, list[Call]]
) -> None:
    mine = of(made, who["old_list"])
    assert 0.2 < share(c.answered for c in mine) < 0.4
    assert 0.02 < share(c.event["cause"] == 1 for c in mine) < 0.1
    assert np.median([c.event["talk_ms"] for c in mine if c.answered]) > 60_000


def test_privacy_numbers_carry_several_calls_at_once(
    who: dict[str, set[str]], made: dict[str, list[Call]], received: dict[str, list[Call]]
) -> None:
    busy = 0
    for number in who["privacy_number"]:
        both = sorted(made.get(number, []) + received.get(number, []))
        busy += any(together(a, b) for a, b in pairwise(both))
    assert busy > 0.2 * len(who["privacy_number"])
    mine = of(made, who["privacy_number"])
    assert len({c.callee for c in mine}) > 0.7 * len(mine)
    assert share(c.answered for c in mine) > 0.6
    assert len({number[:10] for number in who["privacy_number"]}) <= 3


def test_some_couriers_let_it_ring_once(who: dict[str, set[str]], made: dict[str, list[Call]]) -> None:
    mine = of(made, who["ringing_courier"] - who["courier"])
    once = [c for c in mine if c.event["sip_code"] == 487 and c.event["ring_ms"] <= 5_000]
    assert 0.1 < len(once) / len(mine) < 0.3


def test_flashed_friends_call_back(who: dict[str, set[str]], calls: list[Call]) -> None:
    flashed = [
        c
        for c in calls
        if c.caller in who["flasher"] and c.event["sip_code"] == 487 and c.event["ring_ms"] < 3_500
    ]
    flashed = [c for c in flashed if c.start < SCENARIO.start_ms + 15 * MINUTE]
    back = {(c.callee, c.caller) for c in calls}
    assert len(flashed) > 20
    assert share((c.caller, c.callee) in back for c in flashed) > 0.6


def test_heavy_callers_with_ported_numbers(
    simulation: Simulation, who: dict[str, set[str]], made: dict[str, list[Call]]
) -> None:
    listed = {entry.value for entry in simulation.lists() if entry.list == "portability"}
    assert who["heavy_ported"] <= listed
    mine = of(made, who["heavy_ported"])
    assert len(mine) / len(who["heavy_ported"]) > 15 * SCENARIO.minutes / 60
    assert all(allotted_to(c.caller) != c.event["from_network"] for c in mine if len(c.caller) == 14)


def test_whole_segments_of_virtual_operators_come_from_another_host(
    who: dict[str, set[str]], made: dict[str, list[Call]]
) -> None:
    mine = [
        c
        for c in of(made, who["virtual_operator"])
        if c.event.get("gateway") != "international" and "redirecting" not in c.event
    ]
    assert len({c.caller for c in mine}) > 5
    assert all(allotted_to(c.caller) != c.event["from_network"] for c in mine)


def test_forwarded_calls_run_beside_the_call_that_was_forwarded(
    who: dict[str, set[str]], calls: list[Call], received: dict[str, list[Call]]
) -> None:
    outage = SCENARIO.start_ms + 15 * MINUTE
    onward = [c for c in calls if "redirecting" in c.event and c.start < outage]
    assert len(onward) > 20
    for c in onward:
        through = c.event["redirecting"]
        assert through in who["forwarding"]
        first = next(f for f in received[through] if f.caller == c.caller and together(f, c))
        assert first.event["to_network"] == c.event["from_network"]
        assert first.answered == c.answered


def test_businesses_hosted_abroad_come_in_at_the_international_gateway(
    who: dict[str, set[str]], made: dict[str, list[Call]], received: dict[str, list[Call]]
) -> None:
    mine = of(made, who["hosted_abroad"])
    assert len(mine) > 50
    assert all(c.event["gateway"] == "international" and "roaming" not in c.event for c in mine)
    assert share(c.answered for c in mine) > 0.5
    assert len(of(received, who["hosted_abroad"])) > 0.2 * len(mine)


def test_some_carriers_never_say_that_a_caller_roams(
    who: dict[str, set[str]], made: dict[str, list[Call]]
) -> None:
    told = defaultdict(set)
    for c in of(made, who["roamer"]):
        assert c.event["gateway"] == "international"
        told[c.event["from_network"]].add(c.event.get("roaming", False))
    assert {frozenset(said) for said in told.values()} == {frozenset({True}), frozenset({False})}


def test_calls_to_visitors_go_abroad_and_come_back(who: dict[str, set[str]], calls: list[Call]) -> None:
    back = [c for c in calls if c.callee in who["visitor"]]
    assert len(back) > 20
    out = defaultdict(list)
    for c in calls:
        if not c.callee.startswith("+86"):
            out[c.caller].append(c)
    for c in back:
        assert c.event["gateway"] == "international"
        assert c.caller.startswith("+861")
        assert any(together(c, first) for first in out[c.caller])


def test_companies_try_one_extension_after_another(
    who: dict[str, set[str]], made: dict[str, list[Call]]
) -> None:
    longest = 0
    for number in who["company"]:
        callees = [int(c.callee) for c in made.get(number, []) if c.callee in who["company"]]
        run = 1
        for step in np.diff(callees).tolist():
            run = run + 1 if step == 1 else 1
            longest = max(longest, run)
    assert 5 <= longest <= 8


def test_who_calls_the_hospital_is_called_back(who: dict[str, set[str]], calls: list[Call]) -> None:
    early = SCENARIO.start_ms + 15 * MINUTE
    asked = {(c.callee, c.caller) for c in calls if c.callee in who["calls_back"] and c.start < early}
    back = {(c.caller, c.callee) for c in calls if c.caller in who["calls_back"]}
    assert len(asked) > 30
    assert len(asked & back) > 0.75 * len(asked)
    assert len(back & asked) > 0.6 * len(back)


def test_numbers_move_to_another_network_in_the_middle(
    who: dict[str, set[str]], made: dict[str, list[Call]]
) -> None:
    moved = 0
    for number in who["moved"]:
        networks = [c.event["from_network"] for c in made.get(number, [])]
        changes = sum(a != b for a, b in pairwise(networks))
        assert changes <= 1
        moved += changes
    assert moved


def test_families_call_one_another_within_their_block(
    who: dict[str, set[str]], made: dict[str, list[Call]]
) -> None:
    mine = [c for c in of(made, who["family"]) if c.callee in who["family"]]
    assert len(mine) > 20
    assert all(c.caller[:10] == c.callee[:10] for c in mine)


def test_test_calls_are_short_and_regular(who: dict[str, set[str]], made: dict[str, list[Call]]) -> None:
    for number in who["test_call"] & made.keys():
        mine = made[number]
        assert len({c.callee for c in mine}) == 1
        assert max(c.event["talk_ms"] for c in mine) < 15_000
        assert all(c.start % 30_000 < 200 for c in mine)


def test_a_school_tells_everybody_within_minutes(
    who: dict[str, set[str]], made: dict[str, list[Call]]
) -> None:
    (number,) = who["school"]
    mine = made[number]
    assert len(mine) > 600
    assert np.percentile([c.start for c in mine], 90) - mine[0].start < 10 * MINUTE
    assert len({c.callee for c in mine}) > 0.8 * len(mine)
    assert share(c.answered for c in mine) > 0.6


@pytest.mark.parametrize("role", ["ticket_sale", "hotline"])
def test_overloaded_numbers_are_mostly_busy(
    role: str, who: dict[str, set[str]], received: dict[str, list[Call]]
) -> None:
    mine = of(received, who[role])
    assert len(mine) > 200
    assert share(c.answered for c in mine) < 0.55
    assert share(c.event["cause"] == 17 for c in mine) > 0.3
    callers = Counter(c.caller for c in mine)
    assert len(callers) > 80
    assert max(callers.values()) >= 4


def test_a_celebrant_is_called_by_many(who: dict[str, set[str]], received: dict[str, list[Call]]) -> None:
    (number,) = who["celebrant"]
    assert len({c.caller for c in received[number]}) >= 30


def test_lists_say_what_companies_call_for_and_who_agreed(
    simulation: Simulation, made: dict[str, list[Call]]
) -> None:
    entries = list(simulation.lists())
    assert len({entry.entry_id for entry in entries}) == len(entries)
    companies = {entry.value: entry for entry in entries if entry.list == "company"}
    assert {entry.category for entry in companies.values()} >= {"marketing", "notification", "service"}
    refused = {(e.value, e.caller) for e in entries if e.list == "refusal"}
    agreed = {(e.value, e.caller) for e in entries if e.list == "consent"}
    names = {entry.owner for entry in companies.values()}
    assert agreed
    assert {caller for _, caller in refused | agreed} <= names | {""}
    marketing = [entry for entry in companies.values() if entry.category == "marketing"]
    for company in marketing:
        for c in made.get(company.value, []):
            assert (c.callee, company.owner) not in refused
            assert (c.callee, "") not in refused or (c.callee, company.owner) in agreed
    assert any((c.callee, e.owner) in agreed for e in marketing for c in made.get(e.value, []))


@pytest.fixture(scope="module")
def usual() -> dict[str, float]:
    return shares_of_calls("")


@pytest.mark.parametrize("dominant", AWKWARD)
def test_a_dominant_sort_makes_many_of_the_calls(dominant: str, usual: dict[str, float]) -> None:
    assert shares_of_calls(dominant)[dominant] > max(0.15, 1.5 * usual[dominant])


def shares_of_calls(dominant: str) -> dict[str, float]:
    """Share of the events that begin a call in which each sort of caller has a part."""
    scenario = Scenario(seed=5, minutes=5, calls_per_second=6, attacks="none", dominant=dominant)
    simulation = Simulation(scenario)
    roles = {name: {national(n) for n in numbers} for name, numbers in simulation.directory().items()}
    parties = [
        {national(e["caller"]), national(e["callee"])}
        for e, _, _ in simulation.traffic()
        if e["type"] != "end"
    ]
    return {name: share(not own.isdisjoint(pair) for pair in parties) for name, own in roles.items()}


def national(text: str) -> str:
    """The digits without country code and trunk prefix."""
    digits = text.lstrip("+0")
    return digits[2:] if digits.startswith("86") and len(digits) > 11 else digits


def test_an_unknown_sort_says_what_was_expected() -> None:
    with pytest.raises(ValueError, match="dominant 'couriers': expected one of courier, call_centre"):
        Scenario(dominant="couriers")
