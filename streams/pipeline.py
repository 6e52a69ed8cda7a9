"""The roles' steps composed without a broker: what `replay`, `evaluate` and the tests run.

The same code that the runners bind to Kafka, in one process, with event time as the only clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from config.settings import Settings
from detectors.alert import Alert
from detectors.campaigns import Campaign, Campaigns
from detectors.plan import NumberingPlan
from streams.detect.step import Detect, Detected, new_lists
from streams.ingest.step import Ingest
from streams.profile.models import Models
from streams.profile.step import Profile
from streams.respond.step import Respond
from streams.wire.candidates import Candidate
from streams.wire.records import Command, ListEntry, Rejection, RuleChange, SourceRecord
from streams.wire.summaries import Summary


@dataclass
class Happened:
    """What one feed gave rise to, in order."""

    alerts: list[Alert] = field(default_factory=list)
    changes: list[RuleChange] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    """Every version of every campaign."""
    rejected: list[Rejection] = field(default_factory=list)
    frames: list[pa.RecordBatch] = field(default_factory=list)
    """What the events became (FRAME_SCHEMA)."""


@dataclass
class Totals:
    events: int = 0
    attempts: int = 0
    duplicates: int = 0
    late: int = 0
    evicted: int = 0
    newest: int | None = None
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, summary: Summary) -> None:
        """Counts what one record of `frames` held."""
        self.attempts += summary.attempts
        self.duplicates += summary.duplicates
        self.late += summary.late
        self.evicted += summary.evicted
        self.newest = max(self.newest or 0, summary.newest)


class Pipeline:
    """ingest, detect, profile and respond over ``settings.kafka.partitions`` partitions of frames."""

    def __init__(self, settings: Settings, plan: NumberingPlan) -> None:
        self.totals = Totals()
        self._ingest = Ingest(plan, settings)
        self._lists = new_lists(settings)
        self._detect = [
            Detect(partition, settings, plan, self._lists) for partition in range(settings.kafka.partitions)
        ]
        self._offsets = [0] * settings.kafka.partitions
        self._profile = Profile(settings)
        self._models = Models(settings)
        self.respond = Respond(settings, plan)
        self.campaigns = Campaigns(settings.campaigns)

    def listed(self, entry_id: str, entry: ListEntry | None, now: int) -> list[RuleChange]:
        """An entry of `lists` came, changed or (None) went at ``now``, ms; what that changes of the rules.

        Raises ValueError that names the field, its value and what was expected.
        """
        self._lists.put(entry_id, entry)
        return self.respond.listed(entry_id, entry, now)

    def feed(self, records: Sequence[SourceRecord]) -> Happened:
        happened = Happened()
        for ingested in self._ingest.steps(records):
            self.totals.events += ingested.events
            self.totals.rejected.update(rejection.reason for rejection in ingested.rejected)
            happened.rejected += ingested.rejected
            happened.frames += ingested.frames.values()
            alerts: list[Alert] = []
            candidates: list[Candidate] = []
            summaries: list[Summary] = []
            for partition in sorted(ingested.frames):
                detected = self._detected(partition, ingested.frames[partition])
                alerts += detected.alerts
                candidates += detected.candidates.rows() if detected.candidates else []
                summaries += [detected.summary] if detected.summary else []
            alerts += self._profile(*summaries)
            self._profile.hours_over.clear()
            for candidate in sorted(candidates, key=lambda each: (each.time, each.candidate_id)):
                alerts += self._models.candidate(candidate)
            alerts.sort(key=lambda alert: (alert.last_seen, alert.alert_id, alert.version))
            happened.alerts += alerts
            happened.changes += self._responded(alerts)
            happened.campaigns += self._campaigned(alerts)
        return happened

    def command(self, command: Command, now: int) -> list[RuleChange]:
        """A person's command at ``now`` (ms): `respond` carries it out, the models learn from it."""
        for lesson in self._models.command(command):
            self._models.learn(lesson)
        return self.respond.command(command, now)

    def _detected(self, partition: int, batch: pa.RecordBatch) -> Detected:
        detected = self._detect[partition](batch, self._offsets[partition])
        self._offsets[partition] += 1
        if detected.summary is not None:
            self.totals.add(detected.summary)
        return detected

    def _responded(self, alerts: list[Alert]) -> list[RuleChange]:
        changes: list[RuleChange] = []
        for alert in alerts:
            changes += self.respond.advance(alert.last_seen)
            changes += self.respond.alert(alert, alert.last_seen)
        if self.totals.newest is not None:
            changes += self.respond.advance(self.totals.newest)
        return changes

    def _campaigned(self, alerts: list[Alert]) -> list[Campaign]:
        changes = [change for alert in alerts for change in self.campaigns.alert(alert, alert.last_seen)]
        if self.totals.newest is not None:
            changes += self.campaigns.advance(self.totals.newest)
        return [change.campaign for change in changes if change.campaign is not None]
