"""A switch on real Kafka sees a rule come while the attack lasts and go after it."""

from __future__ import annotations

import time
from pathlib import Path

from config.loading import as_environment, load_settings
from streams.simulate import AttackSpec, Scenario
from streams.switches.reader import RuleReader
from streams.switches.rulebook import RuleBook
from streams.topics import ensure_topics, topic_name
from tests.servers import KafkaServer
from tests.service import MORNING, Worker, produce, traffic_of, wait_until

LIFE_MS = 60_000
"""As long as the traffic, all of which comes at once: a rule that would be over by then is not issued."""


def test_a_switch_sees_rules_come_and_go(kafka: KafkaServer, tmp_path: Path) -> None:
    given = {
        "kafka.brokers": kafka.brokers,
        "kafka.topic_prefix": f"rules_{time.monotonic_ns()}.",
        "kafka.partitions": "2",
        "respond.mode": "enforce",
        "respond.ttl_ms": str(LIFE_MS),
    }
    settings = load_settings(overrides=given)
    ensure_topics(settings)
    environment = as_environment(given)
    worker = Worker(environment, tmp_path / "worker.log", ("ingest", "detect", "respond")).start()
    try:
        wait_until("the worker is ready", worker.ready, [worker])
        scenario = Scenario(
            seed=5, start_ms=MORNING, minutes=1, calls_per_second=10, attacks=[AttackSpec("burst", 2)]
        )
        now = int(time.time() * 1000)
        events = (each.event for each in traffic_of(scenario, now - 60_000) if each.event["time"] < now)
        produce(kafka.brokers, topic_name(settings, "calls"), events)
        _come_and_go(settings.kafka, worker)
    finally:
        assert worker.stop() == 0


def _come_and_go(kafka: object, worker: Worker) -> None:
    book = RuleBook()
    reader = RuleReader(book, kafka)  # type: ignore[arg-type]
    outcomes: list[str] = []

    def seen(outcome: str) -> bool:
        outcomes.extend(change.applied.outcome for change in reader.poll())
        return outcome in outcomes

    try:
        wait_until("a rule has come", lambda: seen("added"), [worker])
        wait_until("every rule has gone", lambda: seen("removed") and not book.rules, [worker])
    finally:
        reader.close()
    assert "refused" not in outcomes
