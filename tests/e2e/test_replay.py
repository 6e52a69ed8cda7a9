"""Simulated traffic through `replay`: every campaign is answered and nobody else is blocked."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from config.loading import load_settings
from detectors.alert import Alert
from detectors.plan import NumberingPlan
from streams.evaluate.calls import calls_of
from streams.evaluate.judge import judge
from streams.evaluate.labels import Labels
from streams.importers.events import open_events
from streams.replay import ALERTS, RULES, SUMMARY, replay, rule_change_of
from streams.simulate import Campaign, Scenario, SimulatedEvent, campaigns, traffic
from streams.wire.records import decode

OURS = ("burst", "flood", "unallocated")


@pytest.fixture(scope="module")
def plan() -> NumberingPlan:
    return NumberingPlan.load(load_settings().numbering)


MOST_WRONG = 0.01
"""Of the blocked calls: what is reached among all awkward legitimate callers. We aim at a hundredth of it,
over the whole suite (docs/evaluate.md)."""


@pytest.mark.parametrize("seed", [1, 2])
def test_every_campaign_is_answered_and_hardly_anybody_else_is_blocked(
    seed: int, tmp_path: Path, plan: NumberingPlan
) -> None:
    scenario = Scenario(seed=seed, minutes=20)
    events = list(traffic(scenario))
    file = tmp_path / "calls.ndjson"
    file.write_bytes(b"".join(orjson.dumps(each.event) + b"\n" for each in events))
    settings = load_settings(overrides={"respond.mode": "enforce"})
    summary = replay(open_events(file), tmp_path, settings, plan)

    assert summary["events"] == len(events)
    assert orjson.loads((tmp_path / SUMMARY).read_bytes()) == summary
    alerts = [decode(line, Alert) for line in (tmp_path / ALERTS).read_bytes().splitlines()]
    changes = [rule_change_of(line) for line in (tmp_path / RULES).read_bytes().splitlines()]
    calls = calls_of((each.event for each in events), settings, plan)
    judgement = judge(calls, _labels(events), alerts, changes)
    assert judgement.wrongly_blocked <= MOST_WRONG * judgement.blocked, judgement.wrong
    outcomes = {outcome.campaign: outcome for outcome in judgement.campaigns}
    for campaign in campaigns(scenario):
        if campaign.kind in OURS and not _shows_service_numbers(campaign):
            assert _detected(campaign, alerts), f"no alert for {campaign}"
            assert outcomes[campaign.campaign].found, f"not found: {campaign}"
            assert outcomes[campaign.campaign].blocked, f"no call blocked of {campaign}"


def _shows_service_numbers(campaign: Campaign) -> bool:
    """Rules about these are refused as protected."""
    return all(not caller.startswith("+") or caller.startswith("+86400") for caller in campaign.callers)


def _labels(events: list[SimulatedEvent]) -> Labels:
    labels = Labels()
    for each in events:
        labels.add(each.event["call_id"], each.campaign, each.kind)
    return labels


def _detected(campaign: Campaign, alerts: list[Alert]) -> bool:
    """Whether an alert of its detector names one of its subjects, or a block that holds one."""
    named = {each.rstrip("*") for each in (*campaign.subjects, *campaign.callers, *campaign.callees)}
    ours = {
        alert.subject.value.rstrip("*")
        for alert in alerts
        if campaign.kind in {each.detector for each in alert.findings}
    }
    return any(subject.startswith(each) or each.startswith(subject) for subject in ours for each in named)
