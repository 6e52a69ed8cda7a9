"""Something is slow or gone: reading pauses, memory stays flat, it is seen, and it heals by itself."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from config.loading import as_environment, load_settings
from config.settings import Settings
from streams.chaos.cluster import ENDED_IN_ORDER
from streams.chaos.logs import behind
from streams.health import Readiness
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.runner import STALL_S, Runner
from streams.simulate import Scenario
from streams.store.opening import open_store
from streams.store.ports import Store, StoreError
from streams.topics import admin_client, ensure_topics, topic_name
from streams.wire.outgoing import Outgoing
from streams.work import Role, Work
from tests.servers import ClickHouseServer, KafkaServer, clickhouse_server, kafka_server
from tests.service import MORNING, PATIENCE_S, Worker, traffic_of, wait_until

QUEUE_BYTES = 1 << 20
SLACK_BYTES = 80 << 20
"""How much the memory of a worker may move while nothing moves on: allocators, log lines, fetched records."""
WAVE = 15_000
"""Events of one wave; as rows for the store they are several times QUEUE_BYTES."""


class World(NamedTuple):
    settings: Settings
    worker: Worker
    store: Store


@pytest.fixture
def world(kafka: KafkaServer, clickhouse: ClickHouseServer, tmp_path: Path) -> Iterator[World]:
    with _world(kafka, clickhouse, tmp_path) as running:
        yield running


@contextmanager
def _world(kafka: KafkaServer, clickhouse: ClickHouseServer, directory: Path) -> Iterator[World]:
    name = f"pressure_{time.monotonic_ns()}"
    given = {
        "kafka.brokers": kafka.brokers,
        "kafka.topic_prefix": f"{name}.",
        "kafka.partitions": "2",
        "kafka.session_timeout_ms": "6000",
        "store.url": clickhouse.url.rsplit("/", 1)[0] + f"/{name}",
        "store.queue_bytes": str(QUEUE_BYTES),
        "store.calls": "true",
    }
    settings = load_settings(overrides=given)
    ensure_topics(settings)
    environment = as_environment(given)
    worker = Worker(environment, directory / "worker.log").start()
    store = open_store(settings.store)
    try:
        wait_until("the worker is ready", worker.ready, [worker])
        yield World(settings, worker, store)
    finally:
        worker.stop()
        store.close()


def test_a_store_that_takes_nothing(world: World, clickhouse: ClickHouseServer) -> None:
    settings, worker, store = world
    events = _events(3 * WAVE)
    clickhouse.refuse()
    try:
        _send(settings, events[:WAVE])
        _until("the queue for the store is full", worker, lambda: _queued(worker) >= QUEUE_BYTES // 2)
        _until("detection has gone on without the store", worker, lambda: _rows_detected(worker) >= 2 * WAVE)
        _until("the worker says what is wrong", worker, lambda: "clickhouse" in _not_ready(worker))
        before = _metric(worker, "process_resident_memory_bytes")
        _send(settings, events[WAVE:])
        _until("the rest is detected as well", worker, lambda: _rows_detected(worker) >= 6 * WAVE)
        assert _queued(worker) <= 2 * QUEUE_BYTES
        assert _metric(worker, "process_resident_memory_bytes") < before + SLACK_BYTES
        assert _metric(worker, "ringfence_store_retries_total") > 0
    finally:
        clickhouse.take()
    _until("every call is in the store", worker, lambda: _stored(store) == len(events))
    _until("the worker is ready again", worker, worker.ready)
    _until("nothing waits any more", worker, lambda: _queued(worker) == 0)


def test_a_topic_that_cannot_be_written(world: World) -> None:
    settings, worker, store = world
    events = _events(3_000)
    _send(settings, events[:1_000])
    _until("all is well", worker, lambda: _stored(store) == 1_000)
    _configure(settings, "frames", "max.message.bytes", "100")
    _send(settings, events[1_000:2_000])
    _until("ingest says that it cannot go on", worker, lambda: "ingest" in _not_ready(worker))
    assert "detect" not in _not_ready(worker), "the other roles are not held up"
    before = _metric(worker, "process_resident_memory_bytes")
    _send(settings, events[2_000:])
    _configure(settings, "frames", "max.message.bytes", str(8 << 20))
    _until("every call is in the store", worker, lambda: _stored(store) == len(events))
    _until("the worker is ready again", worker, worker.ready)
    assert _metric(worker, "process_resident_memory_bytes") < before + SLACK_BYTES
    group = f"{settings.kafka.topic_prefix}ringfence-ingest"
    _until("ingest has committed", worker, lambda: not _behind(settings, group, "calls"))


def test_it_ends_when_asked_though_broker_and_store_are_gone(tmp_path: Path) -> None:
    with (
        kafka_server() as kafka,
        clickhouse_server() as clickhouse,
        _world(kafka, clickhouse, tmp_path) as (settings, worker, store),
    ):
        events = _events(3_000)
        _send(settings, events[:1_000])
        _until("calls arrive in the store", worker, lambda: _stored(store) > 0)
        clickhouse.kill()
        _send(settings, events[1_000:])
        _until("it cannot store what came since", worker, lambda: "clickhouse" in _not_ready(worker))
        kafka.kill()
        _until("it has lost the broker", worker, lambda: "Unable connect to node" in worker.tail())
        assert worker.stop() in ENDED_IN_ORDER, worker.tail()


class Slow(Role):
    """A role that answers when it is told to, as one whose work takes long."""

    name = "respond"

    def __init__(self, topic: str) -> None:
        self.topics = (topic,)
        self.polls: list[int] = []
        self.go_on = threading.Event()

    def open(self, partition: Any) -> Work:
        return self

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        self.polls.append(len(records))
        self.go_on.wait(PATIENCE_S)
        return []


def test_a_role_that_is_slow(kafka: KafkaServer) -> None:
    name = f"slow_{time.monotonic_ns()}"
    settings = load_settings(
        overrides={
            "kafka.brokers": kafka.brokers,
            "kafka.topic_prefix": f"{name}.",
            "kafka.partitions": "1",
            "kafka.session_timeout_ms": "6000",
        }
    )
    ensure_topics(settings)
    topic = topic_name(settings, "alerts")
    _fill(settings, topic, 20_000)
    asyncio.run(_slow(settings, Slow(topic)))
    assert not _behind(settings, f"{settings.kafka.topic_prefix}ringfence-respond", "alerts")


async def _slow(settings: Settings, role: Slow) -> None:
    readiness, metrics = Readiness(), Metrics()
    runner = Runner(role, settings, Outbox(settings), readiness, metrics)
    async with runner:
        await _eventually(lambda: bool(role.polls))
        began = time.monotonic()
        await _eventually(lambda: not readiness.ready)
        assert time.monotonic() - began > settings.kafka.session_timeout_ms / 1000
        assert "slow or gone" in readiness.checks()["respond"].note
        waited = metrics.registry.get_sample_value("ringfence_poll_wait_seconds", {"role": "respond"})
        assert waited is not None
        assert waited >= STALL_S
        assert len(role.polls) == 1, "nothing is read while a poll is worked on, and nobody was expelled"
        role.go_on.set()
        await _eventually(lambda: sum(role.polls) >= 20_000)
        await _eventually(lambda: readiness.ready)
        assert sum(role.polls) == 20_000, "a slow role kept its partitions: nothing was done twice"


class Interrupted(Slow):
    """A role that starts while a reader of its own is broken off, as one does when the broker goes."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.go_on.set()
        self.interrupted = 0

    async def restore(self, partitions: Any) -> None:
        if not self.interrupted:
            self.interrupted += 1
            reader = asyncio.ensure_future(asyncio.sleep(PATIENCE_S))
            reader.cancel()
            await reader


def test_a_reader_that_is_broken_off_does_not_end_the_role(kafka: KafkaServer) -> None:
    name = f"interrupted_{time.monotonic_ns()}"
    settings = load_settings(overrides={"kafka.brokers": kafka.brokers, "kafka.topic_prefix": f"{name}."})
    ensure_topics(settings)
    topic = topic_name(settings, "alerts")
    _fill(settings, topic, 100)
    role = Interrupted(topic)
    asyncio.run(_interrupted(settings, role))
    assert role.interrupted == 1


async def _interrupted(settings: Settings, role: Interrupted) -> None:
    readiness = Readiness()
    async with Runner(role, settings, Outbox(settings), readiness, Metrics()):
        await _eventually(lambda: sum(role.polls) >= 100)
        await _eventually(lambda: readiness.ready)


async def _eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.1)


def _events(count: int) -> list[dict[str, Any]]:
    scenario = Scenario(
        seed=3, start_ms=MORNING, minutes=9, calls_per_second=100, attacks="none", duplicates=0
    )
    begun = int(time.time() * 1000) - 600_000
    events = [each.event for each, _ in zip(traffic_of(scenario, begun), range(count), strict=False)]
    assert len({event["id"] for event in events}) == count
    return events


def _send(settings: Settings, events: list[dict[str, Any]]) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.kafka.brokers, linger_ms=20)
    for event in events:
        producer.send(topic_name(settings, "calls"), orjson.dumps(event))
    producer.flush(PATIENCE_S)
    producer.close()


def _fill(settings: Settings, topic: str, records: int) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.kafka.brokers, linger_ms=20)
    for i in range(records):
        producer.send(topic, b"%d" % i, key=b"k")
    producer.flush(PATIENCE_S)
    producer.close()


def _configure(settings: Settings, topic: str, name: str, value: str) -> None:
    with admin_client(settings) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic_name(settings, topic), {name: value})
        admin.alter_configs([resource])


def _behind(settings: Settings, group: str, topic: str) -> int:
    return behind(settings.kafka.brokers, group, [topic_name(settings, topic)])


def _until(what: str, worker: Worker, true: Callable[[], bool]) -> None:
    wait_until(what, true, [worker])


def _not_ready(worker: Worker) -> list[str]:
    """Names of the checks that fail."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/readyz", timeout=5) as answer:
            body = answer.read()
    except urllib.error.HTTPError as refused:
        body = refused.read()
    return list(orjson.loads(body)["not_ready"])


def _metric(worker: Worker, name: str) -> float:
    """The sum over the labels of ``name``."""
    lines = [line for line in worker.metrics().splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def _queued(worker: Worker) -> float:
    return _metric(worker, "ringfence_store_queue_bytes")


def _rows_detected(worker: Worker) -> float:
    return _metric(worker, "ringfence_rows_detected_total")


def _stored(store: Store) -> int:
    try:
        return int(store.query(f"SELECT count() FROM {store.database}.calls_once").rows[0][0])
    except StoreError:
        return 0
