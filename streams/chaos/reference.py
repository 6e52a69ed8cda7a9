"""What an undisturbed run makes of the same logs: each stage folded once, in one process, from its own input.

`ingest` merges the partitions of `calls` as they come, so the order of rows in `frames` is decided when they
are written, in a quiet run as in a storm. Everything after follows from that order. So each stage is held
against the log that it read: `frames` against `calls`, `alerts` against `frames`, rules against `alerts`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from config.settings import Settings
from detectors.alert import Alert
from detectors.calls import Role
from detectors.plan import NumberingPlan
from streams.detect.step import Detect
from streams.ingest.step import Ingest
from streams.pipeline import Pipeline
from streams.profile.models import Models
from streams.profile.step import Profile
from streams.respond.step import Respond
from streams.wire.candidates import decode_candidates
from streams.wire.frames import decode_frame
from streams.wire.records import SourceRecord, decode, encode
from streams.wire.summaries import decode_summary

CallEnd = tuple[str, int]
"""An event id and the end of the call that a row is seen from."""
SLICE = 2_000


def source_records(records: Iterable[Any]) -> list[SourceRecord]:
    """Records of `calls` in the order in which the broker took them, as far as that can be told.

    One that was tried again is on its partition after some with later time stamps; offsets decide there.
    """
    latest: dict[int, int] = {}
    placed = []
    for record in sorted(records, key=lambda each: (each.partition, each.offset)):
        latest[record.partition] = max(latest.get(record.partition, 0), record.timestamp)
        placed.append((latest[record.partition], record))
    placed.sort(key=lambda each: each[0])
    return [
        SourceRecord(record.value or b"", record.topic, record.partition, record.offset, record.timestamp)
        for _, record in placed
    ]


class Ingested:
    """What `ingest` makes of ``records``: where each end of each event belongs, and what is refused."""

    def __init__(self, records: Sequence[SourceRecord], settings: Settings, plan: NumberingPlan) -> None:
        self.written = 0
        """Rows, those of events that came twice among them."""
        self.rows: dict[CallEnd, int] = {}
        self.rejected: set[tuple[str, int, int, int]] = set()
        for step in Ingest(plan, settings).steps(records):
            for partition, batch in step.frames.items():
                self.written += batch.num_rows
                self.rows |= dict.fromkeys(call_ends(batch), partition)
            self.rejected |= {(r.topic, r.partition, r.offset, r.index) for r in step.rejected}


def call_ends(batch: Any) -> Iterator[CallEnd]:
    return zip(batch.column("id").to_pylist(), batch.column("role").to_pylist(), strict=True)


def calls_counted(batch: Any) -> Iterator[str]:
    """Ids of the events of ``batch`` that count as a call: those seen from the caller."""
    return (event for event, role in call_ends(batch) if role == int(Role.CALLER))


class Detected:
    """What `detect` makes of `frames`, a partition after the other."""

    def __init__(self, frames: Iterable[Any], settings: Settings, plan: NumberingPlan) -> None:
        self.alerts: dict[tuple[str, int], bytes] = {}
        self.candidates: set[str] = set()
        self.attempts: Counter[int] = Counter()
        """By partition."""
        self.late = 0
        folds: dict[int, Detect] = {}
        for record in frames:
            fold = folds.get(record.partition)
            if fold is None:
                fold = folds[record.partition] = Detect(record.partition, settings, plan)
            detected = fold(decode_frame(record.value), record.offset)
            self.alerts |= versions(detected.alerts)
            if detected.candidates is not None:
                self.candidates |= set(detected.candidates.ids())
            if detected.summary is not None:
                self.attempts[record.partition] += detected.summary.attempts
                self.late += detected.summary.late


def profiled(summaries: Iterable[Any], candidates: Iterable[Any], settings: Settings) -> dict[Any, bytes]:
    """Alerts that `profile` makes of its two inputs."""
    alerts: dict[tuple[str, int], bytes] = {}
    profile, models = Profile(settings), Models(settings)
    for record in summaries:
        alerts |= versions(profile(decode_summary(record.value)))
        profile.hours_over.clear()
    for record in candidates:
        alerts |= versions(models.told(decode_candidates(record.value)))
    return alerts


def ruled(alerts: Iterable[Any], settings: Settings, plan: NumberingPlan) -> dict[str, bytes]:
    """Rule ids with their matches that `respond` makes of `alerts`, however it timed them."""
    respond = Respond(settings, plan)
    rules: dict[str, bytes] = {}
    newest = 0
    for record in alerts:
        alert = decode(record.value, Alert)
        newest = max(newest, alert.last_seen)
        for change in respond.alert(alert, newest):
            if change.rule is not None:
                rules[change.rule_id] = encode(change.rule.match)
    return rules


class Undisturbed:
    """The whole service in one process over the input in one order: exact where `calls` has one lane."""

    def __init__(self, records: Sequence[SourceRecord], settings: Settings, plan: NumberingPlan) -> None:
        self.alerts: dict[str, set[str]] = defaultdict(set)
        """Ids by detector."""
        pipeline = Pipeline(settings, plan)
        for start in range(0, len(records), SLICE):
            for alert in pipeline.feed(records[start : start + SLICE]).alerts:
                self.alerts[alert.detector].add(alert.alert_id)
        self.attempts = pipeline.totals.attempts


def versions(alerts: Iterable[Alert]) -> dict[tuple[str, int], bytes]:
    return {(alert.alert_id, alert.version): canonical(encode(alert)) for alert in alerts}


def canonical(value: bytes) -> bytes:
    """An alert as it is written after it was read: a whole number that is a float is written as one."""
    return encode(decode(value, Alert))
