"""The topics: which there are, how each is kept, made and checked by hand and never by accident."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigFilterType, ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError

from config.settings import Settings
from streams.faults import Fault, Usage

NAMES = (
    "calls",
    "calls.rejected",
    "frames",
    "snapshots",
    "snapshots.parts",
    "summaries",
    "candidates",
    "baselines",
    "alerts",
    "campaigns",
    "block-rules",
    "commands",
    "lessons",
    "audit",
    "lists",
)

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_MIB = 1 << 20
_BATCH_BYTES = 8 * _MIB
"""Of one record of `frames`, and of what it gives rise to: a poll's worth of rows."""
_PART_BYTES = 4 * _MIB
"""Of one record of `snapshots.parts`, which are cut far smaller."""
_PARTS_SEGMENT_BYTES = 128 * _MIB
_PARTS_LAG_MS = 600_000
"""Parts of dropped snapshots leave the disk about this long after, a segment at a time."""
_ENVELOPE_BYTES = _MIB
"""What keys, headers and record framing may add to a message's own bytes."""
_BASE64 = 4 / 3


@dataclass(frozen=True)
class TopicSpec:
    """``name`` is the full one, prefix included; ``config`` holds Kafka's own topic settings as text."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)
    shared_out: bool = False
    """Whether kafka.partitions says how many partitions it has, as of every such topic."""


@dataclass(frozen=True)
class Difference:
    """One way in which a topic is not as the settings say. ``what`` is ``missing``, ``partitions``,
    ``replication`` or the name of a Kafka topic setting."""

    topic: str
    what: str
    actual: str
    wanted: str
    do_next: str

    def __str__(self) -> str:
        if self.what == "missing":
            return f"{self.topic} does not exist"
        return f"{self.topic} has {self.what} {self.actual}, the settings say {self.wanted}"


def topic_name(settings: Settings, name: str) -> str:
    """The full name of one of ``NAMES``."""
    if name not in NAMES:
        raise ValueError(f"no topic is called {name!r}; there are {', '.join(NAMES)}")
    return settings.kafka.topic_prefix + name


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Every topic of the product as the settings want it."""
    kafka, ingest = settings.kafka, settings.ingest
    rejection = max(_MIB, round(ingest.keep_original_bytes * _BASE64) + _ENVELOPE_BYTES)
    hours = {"retention.ms": str(kafka.retention_hours * _HOUR_MS)}
    years = {"retention.ms": str(kafka.audit_days * _DAY_MS)}
    kept = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": str(_HOUR_MS),
        "delete.retention.ms": str(_DAY_MS),
    }
    parts = {
        "cleanup.policy": "compact,delete",
        "retention.ms": hours["retention.ms"],
        "segment.bytes": str(_PARTS_SEGMENT_BYTES),
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": str(_PARTS_LAG_MS),
        "delete.retention.ms": str(_PARTS_LAG_MS),
    }
    durable = {"min.insync.replicas": "2"} if kafka.replication >= 3 else {}

    def spec(
        name: str, config: Mapping[str, str], largest: int | None = None, partitions: int = 0
    ) -> TopicSpec:
        limit = {"max.message.bytes": str(largest)} if largest else {}
        config = {**config, **limit, **durable}
        return TopicSpec(
            topic_name(settings, name), partitions or 1, kafka.replication, config, bool(partitions)
        )

    return [
        spec("calls", hours, ingest.max_message_bytes + _ENVELOPE_BYTES, kafka.partitions),
        spec("calls.rejected", hours, rejection),
        spec("frames", hours, _BATCH_BYTES, kafka.partitions),
        spec("snapshots", kept),
        spec("snapshots.parts", parts, _PART_BYTES, kafka.partitions),
        spec("summaries", hours, _BATCH_BYTES),
        spec("candidates", hours, _BATCH_BYTES),
        spec("baselines", kept),
        spec("alerts", years),
        spec("campaigns", kept),
        spec("block-rules", kept),
        spec("commands", years),
        spec("lessons", years),
        spec("audit", years),
        spec("lists", kept),
    ]


def check_topics(settings: Settings) -> list[Difference]:
    """What about the topics is not as the settings say; empty where all is well. Raises Fault."""
    with admin_client(settings) as admin:
        return _differences(admin, topic_specs(settings))


def ensure_topics(settings: Settings) -> list[Difference]:
    """Makes the topics as the settings say: creates what is missing, corrects what can be corrected.

    Returns what it did, as the differences there were before. Raises Usage, before it changes anything,
    where a topic has another number of partitions or replicas, and Fault where Kafka does not answer.
    """
    specs = {spec.name: spec for spec in topic_specs(settings)}
    with admin_client(settings) as admin:
        differences = _differences(admin, list(specs.values()))
        _refuse_what_cannot_be_changed(differences)
        _create(admin, settings, [specs[each.topic] for each in differences if each.what == "missing"])
        _configure(admin, [each for each in differences if each.what != "missing"])
    return differences


@contextmanager
def admin_client(settings: Settings) -> Iterator[Any]:
    """A kafka-python admin client. What Kafka refuses, also inside the block, is raised as Fault."""
    brokers = settings.kafka.brokers
    if not brokers:
        raise Usage("kafka.brokers is empty, so there is no Kafka to ask", "set it, or use `ringfence demo`")
    with _quiet_client():
        try:
            admin = KafkaAdminClient(
                bootstrap_servers=brokers.split(","),
                client_id="ringfence-topics",
                bootstrap_timeout_ms=min(settings.kafka.request_timeout_ms, 10_000),
                request_timeout_ms=settings.kafka.request_timeout_ms,
            )
        except (KafkaError, ValueError) as error:
            do_next = "check kafka.brokers and that the brokers run"
            raise Fault(f"no Kafka answers at {brokers} ({error})", do_next) from error
        try:
            yield admin
        except KafkaError as error:
            do_next = "check its log and the rights of this user"
            raise Fault(f"Kafka at {brokers} refused: {error}", do_next) from error
        finally:
            admin.close()


@contextmanager
def _quiet_client() -> Iterator[None]:
    """The client logs an error for each attempt; what matters of it, the Fault says."""
    logger = logging.getLogger("kafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _differences(admin: Any, specs: list[TopicSpec]) -> list[Difference]:
    there = set(admin.list_topics())
    present = [spec for spec in specs if spec.name in there]
    found = [_missing(spec) for spec in specs if spec.name not in there]
    if not present:
        return found
    described = {topic["name"]: topic for topic in admin.describe_topics([spec.name for spec in present])}
    configured = _configurations(admin, present)
    together = [spec.name for spec in specs if spec.shared_out]
    for spec in present:
        found += _shape_differences(spec, described[spec.name]["partitions"], together)
        found += _config_differences(spec, configured.get(spec.name, {}))
    return found


def _configurations(admin: Any, specs: list[TopicSpec]) -> dict[str, dict[str, Any]]:
    """Kafka's settings of each topic. One that the broker does not tell is absent."""
    everything = None  # the embedded broker hangs up when asked for some settings by name
    asked = [ConfigResource(ConfigResourceType.TOPIC, spec.name, everything) for spec in specs]
    answer = admin.describe_configs(asked, config_filter=ConfigFilterType.ALL)
    return {name: configs for topics in answer.values() for name, configs in topics.items()}


def _missing(spec: TopicSpec) -> Difference:
    return Difference(spec.name, "missing", "", "", "run `ringfence topics create`")


def _shape_differences(
    spec: TopicSpec, partitions: list[dict[str, Any]], together: list[str]
) -> list[Difference]:
    found = []
    if len(partitions) != spec.partitions:
        advice = _partition_advice(spec, len(partitions), together)
        found.append(Difference(spec.name, "partitions", str(len(partitions)), str(spec.partitions), advice))
    replicas = min((len(partition["replica_nodes"]) for partition in partitions), default=0)
    if replicas != spec.replication:
        advice = (
            f"set kafka.replication to {replicas}, or move replicas with Kafka's kafka-reassign-partitions"
        )
        found.append(Difference(spec.name, "replication", str(replicas), str(spec.replication), advice))
    return found


def _partition_advice(spec: TopicSpec, actual: int, together: list[str]) -> str:
    """``together`` are the topics that have as many partitions as each other."""
    if not spec.shared_out:
        anew = f"stop the service, delete {spec.name} and run `ringfence topics create`"
        return f"it must have one, because its order matters: {anew}"
    return (
        f"set kafka.partitions back to {actual}; or, because a number's history belongs to its partition and "
        "cannot follow it, let the service finish what is on the topics, stop it, delete "
        f"{', '.join(together[:-1])} and {together[-1]}, then run `ringfence topics create`"
    )


def _config_differences(spec: TopicSpec, configured: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(spec.name, key, actual, wanted, "run `ringfence topics create`, which corrects it")
        for key, wanted in spec.config.items()
        if key in configured and (actual := str(configured[key]["value"])) != wanted
    ]


def _refuse_what_cannot_be_changed(differences: list[Difference]) -> None:
    for each in differences:
        if each.what in ("partitions", "replication"):
            raise Usage(str(each), each.do_next)


def _create(admin: Any, settings: Settings, specs: list[TopicSpec]) -> None:
    if not specs:
        return
    wanted = {
        spec.name: {
            "num_partitions": spec.partitions,
            "replication_factor": spec.replication,
            "configs": dict(spec.config),
        }
        for spec in specs
    }
    try:
        admin.create_topics(wanted, timeout_ms=settings.kafka.request_timeout_ms, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        if not {spec.name for spec in specs} <= set(admin.list_topics()):
            raise


def _configure(admin: Any, differences: list[Difference]) -> None:
    changes: dict[str, dict[str, str]] = {}
    for each in differences:
        changes.setdefault(each.topic, {})[each.what] = each.wanted
    if changes:
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, change) for topic, change in changes.items()]
        )
