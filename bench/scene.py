"""One simulated campaign among ordinary calls, and what became of it: what the pictures are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import orjson
import pyarrow as pa

from config.settings import KafkaSettings, RespondSettings, Settings
from detectors.alert import Alert
from detectors.calls import NumberStatus
from detectors.plan import NumberingPlan
from streams.pipeline import Happened, Pipeline
from streams.replay import learn
from streams.simulate import Scenario, Simulation
from streams.wire.records import RuleChange, SourceRecord

TALK_MS = 20_000
"""Beyond it an answered call is a talk (docs/detectors/burst.md)."""
NOT_ASSIGNED = 1
"""Q.850: the called number does not exist."""
EVENTS = 200
"""In each record."""


@dataclass
class Call:
    """One call as the first probe saw it; times in ms, numbers as int64."""

    time: int
    caller: int
    callee: int
    status: int
    """`detectors.calls.NumberStatus` of the caller."""
    trunk: str
    network: str
    """Which sent it."""
    operator: str
    """To whom the plan allots the caller."""
    abroad: bool
    """It came in at an international gateway."""
    roaming: bool
    campaign: str
    ended: bool = False
    answered: bool = False
    ring_ms: int = 0
    talk_ms: int = 0
    cause: int = -1

    @property
    def outcome(self) -> str:
        if not self.ended:
            return "not over"
        if not self.answered:
            return "no such number" if self.cause == NOT_ASSIGNED else "not answered"
        return "talk" if self.talk_ms > TALK_MS else "answered briefly"


@dataclass(frozen=True)
class Scene:
    """``calls`` by time; ``begin``: ms of the campaign's first; ``alert``: ms when the detector first spoke
    of it, ``rule``: ms when the first rule of such an alert was issued, None where that did not happen."""

    calls: Sequence[Call]
    begin: int
    alert: int | None
    rule: int | None
    refusers: frozenset[int]

    @property
    def campaign(self) -> list[Call]:
        return [call for call in self.calls if call.campaign]

    @property
    def ordinary(self) -> list[Call]:
        return [call for call in self.calls if not call.campaign]

    def minutes(self, call: Call) -> float:
        """From the campaign's first call to ``call``."""
        return self.since(call.time)

    def since(self, time: int) -> float:
        return (time - self.begin) / 60_000


@cache
def plan() -> NumberingPlan:
    return NumberingPlan.load(Settings().numbering)


def scene(detector: str, scenario: Scenario) -> Scene:
    """Runs ``scenario``, which has one campaign, through the pipeline with rules in force.

    Raises ValueError where it has none or several.
    """
    simulation = Simulation(scenario)
    planned = simulation.campaigns()
    if len(planned) != 1:
        raise ValueError(f"{len(planned)} campaigns in the scenario; expected one")
    settings = Settings(respond=RespondSettings(mode="enforce"), kafka=KafkaSettings(partitions=1))
    pipeline = Pipeline(settings, plan())
    entries = list(simulation.lists())
    learn(pipeline, entries)
    calls: dict[str, Call] = {}
    labels: dict[str, str] = {}
    alerts: list[Alert] = []
    changes: list[RuleChange] = []
    traffic = simulation.traffic()
    number = 0
    while events := list(islice(traffic, EVENTS)):
        labels |= {each.event["call_id"]: each.campaign for each in events}
        value = orjson.dumps([each.event for each in events])
        happened = pipeline.feed([SourceRecord(value, "calls", 0, number, None)])
        number += 1
        _take(calls, happened, labels)
        alerts += happened.alerts
        changes += happened.changes
    ours = [alert for alert in alerts if _speaks_of(alert, detector, labels)]
    ids = {alert.alert_id for alert in ours}
    issued = [change for change in changes if change.rule and ids & set(change.rule.alert_ids)]
    return Scene(
        calls=sorted(calls.values(), key=lambda call: call.time),
        begin=planned[0].first_ms,
        alert=min((alert.last_seen for alert in ours), default=None),
        rule=min((change.at for change in issued), default=None),
        refusers=frozenset(int(each.value[1:]) for each in entries if _is_refuser(each.list, each.value)),
    )


def _is_refuser(kind: str, value: str) -> bool:
    return kind == "refusal" and value[1:].isdigit()


def _speaks_of(alert: Alert, detector: str, labels: dict[str, str]) -> bool:
    named = detector in {finding.detector for finding in alert.findings} or detector == alert.detector
    by_trunk = alert.subject.type in ("trunk", "network_pair")
    return named and (by_trunk or any(labels.get(call) for call in alert.sample_call_ids))


def _take(calls: dict[str, Call], happened: Happened, labels: dict[str, str]) -> None:
    for row in _rows(happened.frames):
        if row["type"] != 1:
            calls.setdefault(row["call_id"], _call(row, labels[row["call_id"]]))
        call = calls.get(row["call_id"])
        if row["type"] != 0 and call is not None:
            call.ended, call.answered, call.cause = True, row["answered"] == 1, row["cause"]
            call.ring_ms, call.talk_ms = max(row["ring_ms"], 0), max(row["talk_ms"], 0)


def _rows(frames: Sequence[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for frame in frames:
        yield from (row for row in frame.to_pylist() if row["role"] == 0)


def _call(row: dict[str, Any], campaign: str) -> Call:
    hidden = row["caller_status"] == NumberStatus.HIDDEN
    return Call(
        time=row["time"],
        caller=0 if hidden else row["caller"],
        callee=row["callee"],
        status=row["caller_status"],
        trunk=row["trunk"],
        network=row["from_network"],
        operator=row["caller_operator"],
        abroad=row["gateway"] == 1,
        roaming=row["roaming"] == 1,
        campaign=campaign,
    )
