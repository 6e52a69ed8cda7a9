"""A short storm over real Kafka and ClickHouse. `docs/recovery.md` says what may differ."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from streams.chaos.schedule import KINDS
from streams.chaos.storm import Plan, Storm
from tests.servers import ClickHouseServer, KafkaServer

SEED = 7
MINUTES = 1.0


def test_a_storm_changes_nothing(kafka: KafkaServer, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    name = f"storm_{time.monotonic_ns()}"
    given = {
        "kafka.brokers": kafka.brokers,
        "kafka.topic_prefix": f"{name}.",
        "kafka.partitions": "4",
        "kafka.session_timeout_ms": "6000",
        "respond.mode": "enforce",
        "store.url": clickhouse.url.rsplit("/", 1)[0] + f"/{name}",
        "store.calls": "true",
    }
    told: list[str] = []
    storm = Storm(Plan(SEED, MINUTES, workers=2), given, tmp_path, told.append, kafka, clickhouse, clickhouse)
    report = storm.run()
    story = "\n".join([*told, str(report.verdict)])
    assert {blow.kind for blow in report.blows} == set(KINDS), "the seed strikes in every way"
    assert report.verdict.figures["of them from events that came twice"] > 0
    if not report.holds:
        pytest.fail(f"the storm changed something:\n{story}")
