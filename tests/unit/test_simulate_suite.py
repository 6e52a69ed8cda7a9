"""The scenarios that detection is judged by: every kind at every size, none at the start."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from streams.simulate import KINDS, AttackSpec, Scenario, Simulation
from streams.simulate.scenario import AWKWARD
from streams.simulate.suite import SIZES, WARM_UP_MINUTES, suite_scenarios, week_scenario

SEEDS = (1, 2, 17)
MINUTE = 60_000


@pytest.fixture(scope="module", params=SEEDS)
def suite(request: pytest.FixtureRequest) -> list[tuple[str, Simulation]]:
    return [(name, Simulation(scenario)) for name, scenario in suite_scenarios(request.param)]


def test_it_holds_every_kind_at_every_size(suite: list[tuple[str, Simulation]]) -> None:
    found = Counter((c.kind, c.size) for _, simulation in suite for c in simulation.campaigns())
    assert found == {(kind, size.name): 1 for kind in KINDS for size in SIZES}


def test_each_campaign_has_the_calls_of_its_size(suite: list[tuple[str, Simulation]]) -> None:
    limits = {size.name: size.calls for size in SIZES}
    for _, simulation in suite:
        for campaign in simulation.campaigns():
            low, high = limits[campaign.size]
            assert low <= campaign.calls <= high
            if campaign.size == "slow":
                assert campaign.last_ms - campaign.first_ms > 1.5 * 60 * MINUTE


def test_none_begins_before_ordinary_traffic_has_run(suite: list[tuple[str, Simulation]]) -> None:
    for _, simulation in suite:
        scenario = simulation.scenario
        for campaign in simulation.campaigns():
            assert campaign.first_ms >= scenario.start_ms + WARM_UP_MINUTES * MINUTE
            assert campaign.last_ms < scenario.end_ms


def test_campaigns_of_a_busy_hour_seldom_meet_on_a_trunk(suite: list[tuple[str, Simulation]]) -> None:
    simulation = next(simulation for name, simulation in suite if name == "mixed")
    pairs = list(combinations(simulation.campaigns(), 2))
    met = sum(
        bool(set(a.trunks) & set(b.trunks)) and a.first_ms <= b.last_ms and b.first_ms <= a.last_ms
        for a, b in pairs
    )
    assert met < 0.05 * len(pairs)


def test_a_seed_fixes_the_suite() -> None:
    assert suite_scenarios(3) == suite_scenarios(3)
    assert suite_scenarios(3) != suite_scenarios(4)


def test_a_week_has_no_attack_in_it() -> None:
    week = week_scenario(1)
    assert week.minutes == 7 * 24 * 60
    assert Simulation(week).campaigns() == []
    assert isinstance(week, Scenario)


def test_an_awkward_sort_dominates_some_and_all_take_turns() -> None:
    dominant = {scenario.dominant for seed in range(len(AWKWARD)) for _, scenario in suite_scenarios(seed)}
    assert dominant == {"", *AWKWARD}


def test_every_seed_has_advertising_outside_its_hours(suite: list[tuple[str, Simulation]]) -> None:
    (evening,) = (simulation for name, simulation in suite if name.endswith("evening"))
    local = [
        (campaign.first_ms // MINUTE + 8 * 60) % (24 * 60) / 60
        for campaign in evening.campaigns()
        if campaign.kind == "policy"
    ]
    assert min(local) >= 21.4
    agencies = [entry for entry in evening.lists() if entry.owner.startswith("agency")]
    assert {entry.category for entry in agencies} == {"marketing"}


def test_no_two_campaigns_of_a_kind_are_alike() -> None:
    attacks = [AttackSpec(kind, 1, calls=60, minutes=1) for kind in KINDS]
    campaigns = [
        campaign
        for seed in range(12)
        for campaign in Simulation(
            Scenario(seed=seed, minutes=2, calls_per_second=1, attacks=attacks)
        ).campaigns()
    ]
    for kind in KINDS:
        mine = [campaign for campaign in campaigns if campaign.kind == kind]
        assert {campaign.calls for campaign in mine} == {60}
        assert len({tuple(campaign.trunks) for campaign in mine}) > 4, kind
        assert len({tuple(campaign.callers) for campaign in mine}) == len(mine), kind
    for kind in ("burst", "rotation", "wangiri", "foreign_gateway", "flood", "misrouted"):
        assert len({len(c.callers) for c in campaigns if c.kind == kind}) > 3, kind
    beginnings = {c.callers[0][:4] for c in campaigns if c.kind in ("burst", "wangiri", "policy")}
    assert {"+861", "+864"} < beginnings
    assert any(not b.startswith("+") for b in beginnings), "service numbers"
    assert any(b.startswith("+") and not b.startswith("+86") for b in beginnings), "foreign numbers"
