"""Runs traffic through the pipeline and keeps what a judgement needs of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.evaluate.calls import CallTable, records_of
from streams.evaluate.judge import AlertLog, judge
from streams.evaluate.labels import Labels
from streams.evaluate.outcome import Judgement
from streams.pipeline import Happened, Pipeline
from streams.replay import learn
from streams.simulate import Scenario, SimulatedEvent, Simulation
from streams.wire.records import RuleChange


class Watch:
    """Gathers a run as it happens."""

    def __init__(self) -> None:
        self.calls = CallTable()
        self.alerts = AlertLog()
        self.changes: list[RuleChange] = []

    def __call__(self, happened: Happened) -> None:
        for frame in happened.frames:
            self.calls.add(frame)
        self.alerts.add(happened.alerts)
        self.changes += happened.changes

    def judgement(self, labels: Labels, country: int) -> Judgement:
        return judge(self.calls.calls(), labels, self.alerts, self.changes, country)


def judge_scenario(scenario: Scenario, settings: Settings, plan: NumberingPlan) -> Judgement:
    """Simulates ``scenario``, runs it through a new pipeline that knows its lists, and judges."""
    simulation = Simulation(scenario)
    sizes = {campaign.campaign: campaign.size for campaign in simulation.campaigns()}
    labels, watch, pipeline = Labels(), Watch(), Pipeline(settings, plan)
    learn(pipeline, simulation.lists())
    for record in records_of(_labelled(simulation.traffic(), labels, sizes)):
        watch(pipeline.feed([record]))
    return watch.judgement(labels, settings.numbering.home_country)


def _labelled(
    events: Iterable[SimulatedEvent], labels: Labels, sizes: dict[str, str]
) -> Iterator[dict[str, Any]]:
    for event, campaign, kind in events:
        if campaign and event["type"] != "end":
            labels.add(event["call_id"], campaign, kind, sizes[campaign])
        yield event
