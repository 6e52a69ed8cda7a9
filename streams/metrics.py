"""Every metric of the product, declared once. `docs/metrics.md` is generated from here.

Labels take few values: a role, a topic, a detector, a severity, a mode, a reason code; never a number, a
trunk or a network.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import Literal, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from detectors.alert import Alert
from streams.wire.records import BlockRule, RuleChange
from streams.wire.summaries import Summary


class Declared(NamedTuple):
    name: str
    """As it appears on ``/metrics``."""
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


EVENTS = Declared("ringfence_events_ingested_total", "counter", (), "Call events read, good and bad.")
REJECTED = Declared(
    "ringfence_events_rejected_total", "counter", ("reason",), "Call events refused, by reason code."
)
ROWS = Declared("ringfence_rows_detected_total", "counter", (), "Rows of frames the detectors have seen.")
DUPLICATES = Declared(
    "ringfence_rows_duplicate_total", "counter", (), "Rows left out because their event was seen before."
)
LATE = Declared("ringfence_rows_late_total", "counter", (), "Rows older than the allowed lateness.")
EVICTED = Declared(
    "ringfence_subjects_evicted_total", "counter", (), "Subjects dropped to stay within the memory setting."
)
CANDIDATES = Declared(
    "ringfence_candidates_total", "counter", (), "Busy callers and blocks told to the models."
)
TRACKED = Declared("ringfence_subjects_tracked", "gauge", ("table",), "Subjects in memory, by table.")
ALERTS = Declared(
    "ringfence_alerts_total", "counter", ("detector", "severity"), "New alerts, by first severity."
)
ALERT_VERSIONS = Declared(
    "ringfence_alert_versions_total", "counter", ("detector", "severity"), "Versions of alerts written."
)
RULES = Declared("ringfence_rules_live", "gauge", ("mode",), "Block rules in force, by mode.")
RULE_CHANGES = Declared(
    "ringfence_rule_changes_total", "counter", ("change",), "Rules issued, changed (renewed) or ended."
)
STORE_ROWS = Declared("ringfence_store_rows_total", "counter", ("table",), "Rows the store has taken.")
STORE_BATCHES = Declared("ringfence_store_batches_total", "counter", (), "Inserts the store has taken.")
STORE_RETRIES = Declared(
    "ringfence_store_retries_total", "counter", (), "Inserts that failed and were tried again."
)
STORE_QUEUE = Declared("ringfence_store_queue_rows", "gauge", (), "Rows that wait for the store.")
STORE_QUEUE_BYTES = Declared("ringfence_store_queue_bytes", "gauge", (), "Their size.")
LAG = Declared(
    "ringfence_consumer_lag_records", "gauge", ("role", "topic"), "Records on the topic not yet processed."
)
STEP = Declared(
    "ringfence_step_seconds", "histogram", ("role",), "Seconds of one call of a role's step on one poll."
)
COMMIT_AGE = Declared(
    "ringfence_commit_age_seconds", "gauge", ("role",), "Seconds since the role last committed its offsets."
)
WAIT = Declared(
    "ringfence_poll_wait_seconds",
    "gauge",
    ("role",),
    "Seconds the present poll takes so far; grows where what it is sent or stored to is slow or gone.",
)
REBUILD = Declared(
    "ringfence_rebuild_seconds", "gauge", ("role",), "Seconds the role's last rebuild of its state took."
)
SNAPSHOTS = Declared(
    "ringfence_snapshots_total",
    "counter",
    ("outcome",),
    "Snapshots of state: written, failed, used by a rebuild, or passed_over by one.",
)
SNAPSHOT_BYTES = Declared("ringfence_snapshot_bytes", "gauge", (), "Size of the last snapshot written.")
SNAPSHOT_PAUSE = Declared(
    "ringfence_snapshot_pause_seconds", "gauge", (), "How long detection waited for the last snapshot."
)
PROFILE_TRUNKS = Declared("ringfence_profile_trunks", "gauge", (), "Trunks whose traffic is profiled.")
PROFILE_VECTORS = Declared(
    "ringfence_profile_vectors", "gauge", (), "Vectors the live profile models have learnt."
)
MODEL_VECTORS = Declared(
    "ringfence_behaviour_vectors", "gauge", (), "Candidates that `behaviour` has judged."
)
LABELS = Declared(
    "ringfence_reputation_labels", "gauge", ("label",), "Labels that `reputation` has learnt from."
)
PROFILE_ROWS = Declared(
    "ringfence_profile_rows_left_out_total",
    "counter",
    ("reason",),
    "Summary rows not profiled: late, malformed, or of a trunk beyond the limit (crowded).",
)
LOOP_DELAY = Declared(
    "ringfence_event_loop_delay_seconds", "gauge", (), "How late the event loop last woke a sleeper."
)
READY = Declared("ringfence_ready", "gauge", ("check",), "1 where the readiness check passes, 0 where not.")
BUILD = Declared("ringfence_build_info", "gauge", ("version",), "1, with the version of the product.")

DECLARED = (
    EVENTS,
    REJECTED,
    ROWS,
    DUPLICATES,
    LATE,
    EVICTED,
    CANDIDATES,
    TRACKED,
    ALERTS,
    ALERT_VERSIONS,
    RULES,
    RULE_CHANGES,
    STORE_ROWS,
    STORE_BATCHES,
    STORE_RETRIES,
    STORE_QUEUE,
    STORE_QUEUE_BYTES,
    LAG,
    STEP,
    COMMIT_AGE,
    WAIT,
    REBUILD,
    SNAPSHOTS,
    SNAPSHOT_BYTES,
    SNAPSHOT_PAUSE,
    PROFILE_TRUNKS,
    PROFILE_VECTORS,
    MODEL_VECTORS,
    LABELS,
    PROFILE_ROWS,
    LOOP_DELAY,
    READY,
    BUILD,
)

STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MODES = ("report", "shadow", "enforce")


class StoreStats(Protocol):
    """What a store's writer has done since it started."""

    @property
    def written(self) -> Mapping[str, int]:
        """Rows by table."""
        ...

    @property
    def inserts(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def queued_rows(self) -> int: ...
    @property
    def queued_bytes(self) -> int: ...


class StoreWriter(Protocol):
    @property
    def stats(self) -> StoreStats: ...


class ProfileProgress(Protocol):
    """What the profile step counts since it started."""

    late: int
    malformed: int
    crowded: int

    @property
    def trunks(self) -> int: ...
    @property
    def vectors(self) -> int: ...


class Metrics:
    """The metrics of one process, in their own registry. Methods may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._clock = clock
        self._lock = Lock()
        self._counters = {d: self._counter(d) for d in DECLARED if d.type == "counter"}
        self._gauges = {
            d: Gauge(d.name, d.help, d.labels, registry=self.registry) for d in DECLARED if d.type == "gauge"
        }
        self._step = Histogram(
            STEP.name, STEP.help, STEP.labels, buckets=STEP_BUCKETS, registry=self.registry
        )
        self._tracked: dict[int, Mapping[str, int]] = {}
        self._committing: set[str] = set()
        self._seen: dict[tuple[Declared, str], int] = {}
        self._minute: Tally[str] = Tally()
        self._gauges[BUILD].labels(_version()).set(1)
        for mode in MODES:
            self._gauges[RULES].labels(mode).set(0)

    def _counter(self, declared: Declared) -> Counter:
        return Counter(
            declared.name.removesuffix("_total"), declared.help, declared.labels, registry=self.registry
        )

    def ingested(self, events: int, reasons: Iterable[str]) -> None:
        """A message was read: its events, and why those that were refused were."""
        self._add(EVENTS, events)
        for reason, count in Tally(reasons).items():
            self._add(REJECTED, count, reason)

    def detected(
        self, summary: Summary | None, alerts: Sequence[Alert], rows: int = 0, candidates: int = 0
    ) -> None:
        """A frame of ``rows`` rows went through the detectors."""
        self._add(ROWS, rows)
        self._add(CANDIDATES, candidates)
        if summary is not None:
            self._add(DUPLICATES, summary.duplicates)
            self._add(LATE, summary.late)
            self._add(EVICTED, summary.evicted)
        self.alerted(alerts)

    def alerted(self, alerts: Iterable[Alert]) -> None:
        """Alerts were written, each as its own version."""
        for alert in alerts:
            self._add(ALERT_VERSIONS, 1, alert.detector, alert.severity)
            if alert.version == 1:
                self._add(ALERTS, 1, alert.detector, alert.severity)

    def tracked(self, partition: int, subjects: Mapping[str, int]) -> None:
        """Subjects a partition holds by table; an empty mapping where it was given up."""
        with self._lock:
            tables = set(subjects) | set(self._tracked.get(partition, ()))
            self._tracked[partition] = dict(subjects)
            sums = {t: sum(held.get(t, 0) for held in self._tracked.values()) for t in tables}
        for table, count in sums.items():
            self._gauges[TRACKED].labels(table).set(count)

    def responded(self, changes: Iterable[RuleChange], rules: Mapping[str, BlockRule]) -> None:
        """Rules changed; ``rules`` are those live now."""
        for change in changes:
            self._add(RULE_CHANGES, 1, _change(change))
        live: Tally[str] = Tally(rule.mode for rule in rules.values())
        for mode in MODES:
            self._gauges[RULES].labels(mode).set(live[mode])

    def stored(self, writer: StoreWriter) -> None:
        stats = writer.stats
        for table, rows in stats.written.items():
            self._follow(STORE_ROWS, rows, table)
        self._follow(STORE_BATCHES, stats.inserts)
        self._follow(STORE_RETRIES, stats.failures)
        self._gauges[STORE_QUEUE].set(stats.queued_rows)
        self._gauges[STORE_QUEUE_BYTES].set(stats.queued_bytes)

    def profiled(self, profile: ProfileProgress) -> None:
        for reason in ("late", "malformed", "crowded"):
            self._follow(PROFILE_ROWS, getattr(profile, reason), reason)
        self._gauges[PROFILE_TRUNKS].set(profile.trunks)
        self._gauges[PROFILE_VECTORS].set(profile.vectors)

    def modelled(self, vectors: int, labels: Mapping[bool, int]) -> None:
        """Vectors judged, and labels learnt by whether they were malicious, since the state was built."""
        self._gauges[MODEL_VECTORS].set(vectors)
        for malicious, name in ((True, "malicious"), (False, "legitimate")):
            self._gauges[LABELS].labels(name).set(labels.get(malicious, 0))

    def lag(self, role: str, records: Mapping[str, int]) -> None:
        """Records behind, by topic."""
        for topic, behind in records.items():
            self._gauges[LAG].labels(role, topic).set(behind)

    def step_seconds(self, role: str, seconds: float) -> None:
        self._step.labels(role).observe(seconds)

    def committed(self, role: str) -> None:
        """The role has just committed its offsets."""
        at = self._clock()
        self._gauges[COMMIT_AGE].labels(role).set_function(lambda: self._clock() - at)

    def waited(self, role: str, seconds: float) -> None:
        """How long the role's present poll has taken so far."""
        self._gauges[WAIT].labels(role).set(seconds)

    def rebuilt(self, role: str, seconds: float) -> None:
        self._gauges[REBUILD].labels(role).set(seconds)

    def snapshot(
        self, outcome: Literal["written", "failed", "used", "passed_over"], size: int | None = None
    ) -> None:
        """What became of a snapshot; ``size`` in bytes where it was written."""
        self._add(SNAPSHOTS, 1, outcome)
        if size is not None:
            self._gauges[SNAPSHOT_BYTES].set(size)

    def snapshot_copied(self, seconds: float) -> None:
        """Detection of a partition stood still for this long."""
        self._gauges[SNAPSHOT_PAUSE].set(seconds)

    def loop_delay(self, seconds: float) -> None:
        self._gauges[LOOP_DELAY].set(seconds)

    def ready(self, check: str, ready: bool) -> None:
        self._gauges[READY].labels(check).set(int(ready))

    def minute(self) -> dict[str, int]:
        """What was counted since the last call, for the log: a stable set of names."""
        with self._lock:
            counted, self._minute = self._minute, Tally()
        return {name: counted[declared.name] for name, declared in IN_THE_LOG.items()}

    def _add(self, declared: Declared, count: int, *labels: str) -> None:
        counter = self._counters[declared]
        (counter.labels(*labels) if labels else counter).inc(count)
        with self._lock:
            self._minute[declared.name] += count

    def _follow(self, declared: Declared, total: int, label: str = "") -> None:
        """Adds what ``total`` has grown by; a smaller one comes from a counter that started anew."""
        with self._lock:
            before = self._seen.get((declared, label), 0)
            self._seen[declared, label] = total
        self._add(declared, total - before if total >= before else total, *([label] if label else []))


IN_THE_LOG = {
    "events": EVENTS,
    "rejected": REJECTED,
    "rows": ROWS,
    "duplicates": DUPLICATES,
    "late": LATE,
    "evicted": EVICTED,
    "alerts": ALERTS,
    "rule_changes": RULE_CHANGES,
    "stored_rows": STORE_ROWS,
    "store_retries": STORE_RETRIES,
}


def _change(change: RuleChange) -> str:
    if change.rule is None:
        return "ended"
    return "issued" if change.rule.version == 1 else "changed"


def _version() -> str:
    try:
        return version("ringfence")
    except PackageNotFoundError:
        return "unknown"


def reference() -> str:
    """`docs/metrics.md`: every metric as a table row."""
    rows = [
        f"| `{d.name}` | {d.type} | {', '.join(f'`{label}`' for label in d.labels) or '–'} | {d.help} |"
        for d in DECLARED
    ]
    return "\n".join(["| metric | type | labels | meaning |", "| --- | --- | --- | --- |", *rows]) + "\n"
