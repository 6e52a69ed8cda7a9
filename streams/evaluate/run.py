"""Runs traffic through the pipeline and keeps what a judgement needs of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.evaluate.calls import CallTable, records_of
from streams.evaluate.judge import AlertLog, judge
from streams.evaluate.labels import Labels
from streams.evaluate.outcome import Judgement
from streams.pipeline import Happened, Pipeline
from streams.replay import learn
from streams.simulate import Scenario, SimulatedEvent, Simulation
from streams.wire.records import ListEntry, RuleChange, SourceRecord


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


class Recorded(NamedTuple):
    """Simulated traffic."""

    records: Iterable[SourceRecord]
    labels: Labels
    """Complete once ``records`` have been read."""
    lists: list[ListEntry]

    def kept(self) -> Recorded:
        """The same in memory, to be read many times."""
        return self._replace(records=list(self.records))


def recorded(scenario: Scenario) -> Recorded:
    """``scenario`` simulated; its records can be read once."""
    simulation = Simulation(scenario)
    sizes = {campaign.campaign: campaign.size for campaign in simulation.campaigns()}
    labels = Labels()
    return Recorded(
        records_of(_labelled(simulation.traffic(), labels, sizes)), labels, list(simulation.lists())
    )


def judge_recorded(traffic: Recorded, settings: Settings, plan: NumberingPlan) -> Judgement:
    """Runs ``traffic`` through a new pipeline that knows its lists, and judges."""
    watch, pipeline = Watch(), Pipeline(settings, plan)
    learn(pipeline, traffic.lists)
    for record in traffic.records:
        watch(pipeline.feed([record]))
    return watch.judgement(traffic.labels, settings.numbering.home_country)


def judge_scenario(scenario: Scenario, settings: Settings, plan: NumberingPlan) -> Judgement:
    """Simulates ``scenario`` and judges it, whole in memory at no time."""
    return judge_recorded(recorded(scenario), settings, plan)


def _labelled(
    events: Iterable[SimulatedEvent], labels: Labels, sizes: dict[str, str]
) -> Iterator[dict[str, Any]]:
    for event, campaign, kind in events:
        if campaign and event["type"] != "end":
            labels.add(event["call_id"], campaign, kind, sizes[campaign])
        yield event
