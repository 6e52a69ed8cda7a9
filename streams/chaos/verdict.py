"""Whether a storm lost, doubled or changed anything: every log and table against an undisturbed run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from config.settings import Settings
from detectors.alert import Alert
from detectors.plan import NumberingPlan
from streams.chaos.logs import read_all
from streams.chaos.reference import (
    Detected,
    Ingested,
    Undisturbed,
    call_ends,
    profiled,
    ruled,
    source_records,
)
from streams.store.ports import Store
from streams.topics import topic_name
from streams.wire.candidates import decode_candidates
from streams.wire.frames import decode_frame
from streams.wire.records import BlockRule, Rejection, decode, encode
from streams.wire.summaries import decode_summary

SHOWN = 5
"""Differences of one check that are spelt out."""
CLOCK_MS = 300_000
"""How far the service's clock may be ahead of the newest call when all is read: the time that took."""
LEARNING = ("behaviour", "reputation", "profile")
"""Detectors whose state folds what several partitions told, in the order in which they told it."""


@dataclass
class Check:
    """One thing that must be equal. ``differences`` are sentences; none: it holds."""

    name: str
    count: int
    differences: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        if self.holds:
            return f"equal      {self.name} ({self.count})"
        shown = "".join(f"\n             {each}" for each in self.differences[:SHOWN])
        return f"DIFFERENT  {self.name} ({len(self.differences)} differences){shown}"


@dataclass
class Verdict:
    checks: list[Check]
    figures: dict[str, int]
    """What the storm cost: work that was done twice."""

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)

    def __str__(self) -> str:
        lines = [str(check) for check in self.checks]
        return "\n".join([*lines, *(f"{count:10}  {name}" for name, count in self.figures.items())])


class Logs:
    """Every topic that matters, read once."""

    def __init__(self, settings: Settings) -> None:
        def read(name: str) -> list[Any]:
            return read_all(settings.kafka.brokers, topic_name(settings, name))

        self.calls = read("calls")
        self.rejected = read("calls.rejected")
        self.frames = read("frames")
        self.summaries = read("summaries")
        self.candidates = read("candidates")
        self.alerts = read("alerts")
        self.rules = read("block-rules")


def judge(settings: Settings, store: Store, lanes: int) -> Verdict:
    """Compares, when everything has come to rest. ``lanes``: partitions of `calls` that were written to."""
    plan = NumberingPlan.load(settings.numbering)
    logs = Logs(settings)
    records = source_records(logs.calls)
    detected = Detected(logs.frames, settings, plan)
    expected_alerts = detected.alerts | profiled(logs.summaries, logs.candidates, settings)
    sent = {(a.alert_id, a.version): encode(a) for a in map(_alert, logs.alerts)}
    rules = _rules(logs.rules)
    ingested = Ingested(records, settings, plan)
    checks = [
        *_ingest(logs, ingested),
        same("counted calls", counted(logs.summaries), detected.attempts),
        same("alerts with every version and word", sent, expected_alerts),
        Check("alerts that were sent twice are alike", len(logs.alerts), unlike(logs.alerts)),
        same(
            "candidates",
            {id_ for each in logs.candidates for id_ in decode_candidates(each.value).ids()},
            detected.candidates,
        ),
        same("rule ids with their matches", rules, ruled(logs.alerts, settings, plan)),
        Check("the last record of a rule is its newest", len(rules), not_newest(logs.rules)),
        Check(
            "no rule ends before its time", len(rules), gone_too_soon(logs.rules, _newest_call(logs.frames))
        ),
        *_store(store, logs, detected, sent),
    ]
    if lanes == 1:
        checks += _end_to_end(Undisturbed(records, settings, plan), sent, detected)
    return Verdict(checks, _repeated(logs, ingested, sent))


def same(name: str, actual: Any, expected: Any) -> Check:
    """``actual`` and ``expected`` are sets, or mappings whose values are compared too."""
    if not isinstance(actual, Mapping):
        actual, expected = dict.fromkeys(actual), dict.fromkeys(expected)
    differences = [f"lost: {_short(key)}" for key in expected if key not in actual]
    differences += [f"should not be: {_short(key)}" for key in actual if key not in expected]
    differences += [
        f"{_short(key)}: {_apart(actual[key], expected[key])}"
        for key in expected
        if key in actual and actual[key] != expected[key]
    ]
    return Check(name, len(expected), differences)


def _ingest(logs: Logs, expected: Ingested) -> list[Check]:
    rows: dict[Any, int] = {}
    for record in logs.frames:
        rows |= dict.fromkeys(call_ends(decode_frame(record.value)), record.partition)
    rejected = {_place(decode(each.value, Rejection)) for each in logs.rejected}
    return [
        same("both ends of every event on their partition of frames", rows, expected.rows),
        same("refused messages", rejected, expected.rejected),
    ]


def _store(store: Store, logs: Logs, detected: Detected, sent: Mapping[Any, bytes]) -> list[Check]:
    events = {event for record in logs.frames for event, _ in call_ends(decode_frame(record.value))}
    newest: dict[str, int] = {}
    for alert_id, version in sent:
        newest[alert_id] = max(newest.get(alert_id, 0), version)
    live = {
        record.key.decode(): None if record.value is None else decode(record.value, BlockRule).version
        for record in logs.rules
    }
    attempts = asked(store, "SELECT sum(attempts) FROM {}.traffic_per_minute")[0][0]
    refused = asked(store, "SELECT topic, partition, offset, `index` FROM {}.rejected FINAL")
    return [
        once("calls in ClickHouse", [row[0] for row in asked(store, "SELECT id FROM {}.calls_once")], events),
        same("calls counted in ClickHouse", {int(attempts)}, {detected.attempts.total()}),
        same("alerts in ClickHouse", stored(store, "alert_id", "alerts_current"), newest),
        same(
            "live rules in ClickHouse",
            stored(store, "rule_id", "rules_live"),
            {key: version for key, version in live.items() if version is not None},
        ),
        same(
            "refused messages in ClickHouse",
            {(row[0], *map(int, row[1:])) for row in refused},
            {_place(decode(each.value, Rejection)) for each in logs.rejected},
        ),
    ]


def _end_to_end(quiet: Undisturbed, sent: Mapping[Any, bytes], detected: Detected) -> list[Check]:
    """From the input alone. What learns across partitions is left out: `same` holds it to its own input."""
    alerts: dict[str, set[str]] = defaultdict(set)
    for value in sent.values():
        alert = decode(value, Alert)
        alerts[alert.detector].add(alert.alert_id)
    names = sorted({*alerts, *quiet.alerts} - set(LEARNING))
    return [
        same(
            "alert ids of one undisturbed process",
            {(name, each) for name in names for each in alerts[name]},
            {(name, each) for name in names for each in quiet.alerts[name]},
        ),
        same("calls counted by one undisturbed process", {detected.attempts.total()}, {quiet.attempts}),
    ]


def asked(store: Store, sql: str) -> list[tuple[Any, ...]]:
    return store.query(sql.format(store.database)).rows


def stored(store: Store, key: str, view: str) -> dict[str, int]:
    """Key to version of a view that has each key once."""
    rows = asked(store, f"SELECT {key}, version FROM {{}}.{view}")
    return {str(name): int(version) for name, version in rows}


def once(name: str, actual: Iterable[Hashable], expected: Collection[Hashable]) -> Check:
    """As ``same``, and nothing is there twice."""
    counts = Counter(actual)
    check = same(name, set(counts), set(expected))
    check.differences += [f"{_short(key)} is there {n} times" for key, n in counts.items() if n > 1]
    return check


def counted(summaries: Iterable[Any]) -> Counter[int]:
    """Calls by partition: a summary that was sent again stands for the same record of `frames`."""
    told: dict[tuple[int, int], int] = {}
    for record in summaries:
        summary = decode_summary(record.value)
        told[summary.partition, summary.offset] = summary.attempts
    counted: Counter[int] = Counter()
    for (partition, _), attempts in told.items():
        counted[partition] += attempts
    return counted


def unlike(records: Iterable[Any]) -> list[str]:
    first: dict[tuple[str, int], bytes] = {}
    return [
        f"version {alert.version} of alert {alert.alert_id} was sent with other content"
        for record in records
        for alert in [_alert(record)]
        if first.setdefault((alert.alert_id, alert.version), record.value) != record.value
    ]


def _rules(records: Iterable[Any]) -> dict[str, bytes]:
    return {
        record.key.decode(): encode(decode(record.value, BlockRule).match)
        for record in records
        if record.value is not None
    }


def not_newest(records: Iterable[Any]) -> list[str]:
    """Rules whose last record is not their newest: a worker wrote that no longer held the partition."""
    newest: dict[str, BlockRule] = {}
    last: dict[str, BlockRule] = {}
    for record in records:
        if record.value is None:
            continue
        rule = decode(record.value, BlockRule)
        last[rule.rule_id] = rule
        newest[rule.rule_id] = max(rule, newest.get(rule.rule_id, rule), key=lambda each: each.sequence)
    return [
        f"rule {rule_id} ends with sequence {rule.sequence}, expected {newest[rule_id].sequence}"
        for rule_id, rule in last.items()
        if rule.sequence != newest[rule_id].sequence
    ]


def _newest_call(frames: Iterable[Any]) -> int:
    return max((max(decode_frame(each.value).column("time").to_pylist()) for each in frames), default=0)


def gone_too_soon(records: Iterable[Any], newest: int) -> list[str]:
    """Rules that ended although their time is not up. ``newest``: time of the newest call, ms."""
    known: dict[str, BlockRule] = {}
    ended: dict[str, bool] = {}
    for record in records:
        rule_id = record.key.decode()
        ended[rule_id] = record.value is None
        if record.value is not None:
            known[rule_id] = decode(record.value, BlockRule)
    return [
        f"rule {rule_id} has ended, and should live until {known[rule_id].expires_at}"
        for rule_id, over in ended.items()
        if over and known[rule_id].expires_at > newest + CLOCK_MS
    ]


def _repeated(logs: Logs, ingested: Ingested, sent: Mapping[Any, bytes]) -> dict[str, int]:
    told = [decode_summary(record.value) for record in logs.summaries]
    rows = sum(decode_frame(record.value).num_rows for record in logs.frames)
    return {
        "messages on calls": len(logs.calls),
        "rows of frames": rows,
        "of them from events that came twice": ingested.written - len(ingested.rows),
        "of them written again after a failure": rows - ingested.written,
        "summaries": len(told),
        "of them sent again": len(told) - len({(each.partition, each.offset) for each in told}),
        "alert versions": len(sent),
        "alert versions sent again": len(logs.alerts) - len(sent),
        "ms from the call that gave an alert to its rule, at most": _latest_rule(logs),
    }


def _latest_rule(logs: Logs) -> int:
    """By the event clock, on which a rule's life is counted: the one moment that a storm may move."""
    known = {(alert.alert_id, alert.version): alert.last_seen for alert in map(_alert, logs.alerts)}
    first: dict[str, BlockRule] = {}
    for record in logs.rules:
        if record.value is not None:
            first.setdefault(record.key.decode(), decode(record.value, BlockRule))
    delays = []
    for rule in first.values():
        seen = [last for (alert_id, _), last in known.items() if alert_id in rule.alert_ids]
        delays.append(rule.issued_at - max((t for t in seen if t <= rule.issued_at), default=rule.issued_at))
    return max(delays, default=0)


def _alert(record: Any) -> Alert:
    return decode(record.value, Alert)


def _place(rejection: Rejection) -> tuple[str, int, int, int]:
    return rejection.topic, rejection.partition, rejection.offset, rejection.index


def _apart(actual: Any, expected: Any) -> str:
    """Where two values differ: of two JSON objects, the fields."""
    if isinstance(actual, bytes) and isinstance(expected, bytes):
        one, other = orjson.loads(actual), orjson.loads(expected)
        actual = {
            name: one.get(name) for name in one.keys() | other.keys() if one.get(name) != other.get(name)
        }
        expected = {name: other.get(name) for name in actual}
    return f"{_short(actual)}, expected {_short(expected)}"


def _short(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 160 else text[:157] + "..."
