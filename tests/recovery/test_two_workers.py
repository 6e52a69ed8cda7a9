"""Two workers on real Kafka and ClickHouse: one dies and comes back, and everything is there exactly once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from config.loading import as_environment, load_settings
from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.chaos.logs import read_all, worked_off
from streams.pipeline import Pipeline
from streams.simulate import AttackSpec, Scenario, SimulatedEvent, campaigns
from streams.store.opening import open_store
from streams.store.ports import Store, StoreError
from streams.topics import ensure_topics, topic_name
from streams.wire.records import SourceRecord
from tests.servers import ClickHouseServer, KafkaServer
from tests.service import MORNING, Worker, produce, traffic_of, wait_until

MINUTE = 60_000


class World(NamedTuple):
    settings: Settings
    environment: dict[str, str]
    store: Store


@pytest.fixture
def world(kafka: KafkaServer, clickhouse: ClickHouseServer, tmp_path: Path) -> Iterator[World]:
    name = f"e2e_{time.monotonic_ns()}"
    given = {
        "kafka.brokers": kafka.brokers,
        "kafka.topic_prefix": f"{name}.",
        "kafka.partitions": "4",
        "kafka.session_timeout_ms": "6000",
        "detect.snapshot_ms": "2000",
        "respond.mode": "enforce",
        "store.url": clickhouse.url.rsplit("/", 1)[0] + f"/{name}",
        "service.log_level": "info",
    }
    settings = load_settings(overrides=given)
    ensure_topics(settings)
    store = open_store(settings.store)
    environment = as_environment(given)
    yield World(settings, environment, store)
    store.close()


@contextmanager
def workers(world: World, directory: Path, count: int) -> Iterator[list[Worker]]:
    started = [Worker(world.environment, directory / f"worker-{i}.log").start() for i in range(count)]
    try:
        for worker in started:
            wait_until("every worker is ready", worker.ready, started)
        yield started
    finally:
        for worker in started:
            worker.stop()


def test_nothing_is_lost_or_doubled_when_a_worker_dies(world: World, tmp_path: Path) -> None:
    """Six minutes of traffic inside one ten-minute window of alerts."""
    kinds = [AttackSpec("burst", 2), AttackSpec("flood", 1), AttackSpec("unallocated", 1)]
    scenario = Scenario(seed=11, start_ms=MORNING, minutes=6, calls_per_second=40, attacks=kinds)
    begun = int(time.time() * 1000) // (10 * MINUTE) * (10 * MINUTE) - 19 * MINUTE
    events = [each for each in traffic_of(scenario, begun) if each.event["time"] < begun + 6 * MINUTE]
    thirds = [events[len(events) * i // 3 : len(events) * (i + 1) // 3] for i in range(3)]
    with workers(world, tmp_path, 2) as (first, second):
        _play(world, thirds[0])
        wait_until("the first third is under way", lambda: _rows(world, "calls_once") > 0, (first, second))
        first.kill()
        _play(world, thirds[1])
        first.start()
        _play(world, thirds[2])
        _drained(world, (first, second))
        assert any("from a snapshot" in worker.log.read_text() for worker in (first, second))

    expected = _undisturbed(world.settings, events)
    _traffic_counts_once(world, expected)
    assert _stored_alerts(world) == _newest_alerts(world)
    assert _stored_rules(world) == _live_rules(world)
    _history_has_each_version_once(world)
    _every_campaign_is_answered(world, scenario)


def _play(world: World, events: list[SimulatedEvent]) -> None:
    produce(
        world.settings.kafka.brokers, topic_name(world.settings, "calls"), (each.event for each in events)
    )


def _drained(world: World, running: tuple[Worker, ...]) -> None:
    wait_until("every role has committed all it was given", lambda: worked_off(world.settings), running)
    alerts, rules = _newest_alerts(world), _live_rules(world)
    wait_until("every alert is in the store", lambda: _stored_alerts(world) == alerts, running)
    wait_until("every rule is in the store", lambda: _stored_rules(world) == rules, running)


def _rows(world: World, table: str) -> int:
    database = world.store.database
    try:
        return int(world.store.query(f"SELECT count() FROM {database}.{table}").rows[0][0])
    except StoreError:
        return 0  # the workers have not made the tables yet


class Expected(NamedTuple):
    events: int
    attempts: int


def _undisturbed(settings: Settings, events: list[SimulatedEvent]) -> Expected:
    """What a run that never failed counts."""
    pipeline = Pipeline(settings, NumberingPlan.load(settings.numbering))
    for start in range(0, len(events), 2_000):
        lines = b"\n".join(orjson.dumps(each.event) for each in events[start : start + 2_000])
        pipeline.feed([SourceRecord(lines, "calls", 0, start, None)])
    return Expected(len({each.event["id"] for each in events}), pipeline.totals.attempts)


def _traffic_counts_once(world: World, expected: Expected) -> None:
    database = world.store.database
    assert _rows(world, "calls_once") == expected.events
    counted = world.store.query(f"SELECT sum(attempts) FROM {database}.traffic_per_minute").rows[0][0]
    assert int(counted) == expected.attempts


def _newest_alerts(world: World) -> dict[str, int]:
    """The newest version of each alert on the topic. One that was sent again must be the same."""
    topic = topic_name(world.settings, "alerts")
    sent: dict[tuple[str, int], dict[str, Any]] = {}
    for record in read_all(world.settings.kafka.brokers, topic):
        alert = orjson.loads(record.value)
        before = sent.setdefault((alert["alert_id"], alert["version"]), alert)
        assert alert == before, "a version that was sent again differs"
    return dict(sorted(sent))


def _live_rules(world: World) -> dict[str, int]:
    """Version of each rule that a switch finds on the compacted topic."""
    topic = topic_name(world.settings, "block-rules")
    live = {record.key.decode(): record.value for record in read_all(world.settings.kafka.brokers, topic)}
    return {key: orjson.loads(value)["version"] for key, value in live.items() if value is not None}


def _stored_alerts(world: World) -> dict[str, int]:
    return _stored(world, "alert_id", "alerts_current")


def _stored_rules(world: World) -> dict[str, int]:
    return _stored(world, "rule_id", "rules_live")


def _stored(world: World, key: str, view: str) -> dict[str, int]:
    rows = world.store.query(f"SELECT {key}, version FROM {world.store.database}.{view}").rows
    stored = {str(name): int(version) for name, version in rows}
    assert len(stored) == len(rows), f"{view} has an id twice"
    return stored


def _history_has_each_version_once(world: World) -> None:
    database = world.store.database
    history = world.store.query(f"SELECT rule_id, not_before_ms, version FROM {database}.rules_history").rows
    assert len(history) == len({tuple(map(str, row)) for row in history})


def _every_campaign_is_answered(world: World, scenario: Scenario) -> None:
    """An alert and a live rule for each attack: the rule names its callers, their block, or its victim."""
    settings, database = world.settings, world.store.database
    alerts = world.store.query(f"SELECT detector, subject FROM {database}.alerts_current").rows
    rules = world.store.query(f"SELECT caller, callee FROM {database}.rules_live").rows
    for campaign in campaigns(scenario):
        subjects = set(campaign.subjects) | set(campaign.callers)
        detected = [s for d, s in alerts if d == campaign.kind and _within(str(s), subjects)]
        assert detected, f"no alert for {campaign} among {alerts}"
        named = [r for r in rules if _within(str(r[0]), subjects) or str(r[1]) in campaign.callees]
        assert named, f"no rule for {campaign} among {rules}"
    assert settings.respond.mode == "enforce"


def _within(value: str, subjects: set[str]) -> bool:
    if not value:
        return False
    stem = value.rstrip("*")
    return any(stem.startswith(each.rstrip("*")) or each.startswith(stem) for each in subjects)
