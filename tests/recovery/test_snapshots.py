"""Snapshots on real Kafka: found when whole, passed over when not, and safe from workers that lost their
partition without knowing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from config.settings import KafkaSettings, Settings
from streams.metrics import Metrics
from streams.reading import read_compacted
from streams.snapshots import KEPT, Manifest, Snapshots, outdated, usable
from streams.topics import ensure_topics, topic_name
from streams.wire.records import decode, encode
from tests.servers import KafkaServer

PARTS = [b"one" * 100, b"two" * 100, b"three" * 100]


@pytest.fixture
def settings(kafka: KafkaServer) -> Settings:
    own = KafkaSettings(brokers=kafka.brokers, topic_prefix=f"snap_{time.monotonic_ns()}.", partitions=2)
    settings = Settings(kafka=own)
    ensure_topics(settings)
    return settings


def with_snapshots(settings: Settings, work: Callable[[Snapshots], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        snapshots = Snapshots(settings, Metrics())
        try:
            await snapshots.read_manifests()
            return await work(snapshots)
        finally:
            await snapshots.stop()

    return asyncio.run(run())


async def save(snapshots: Snapshots, offset: int, parts: list[bytes] = PARTS, layout: str = "l") -> None:
    snapshots.save(1, offset, layout, lambda: parts)
    await snapshots.settled()


async def found(snapshots: Snapshots, committed: int, layout: str = "l") -> list[tuple[int, list[bytes]]]:
    await snapshots.read_manifests()
    return [(manifest.offset, parts) async for manifest, parts in snapshots.find(1, layout, committed)]


def test_the_newest_that_is_not_ahead_of_the_commit_comes_first(settings: Settings) -> None:
    async def work(snapshots: Snapshots) -> None:
        await save(snapshots, 10)
        await save(snapshots, 20, [b"later"])
        assert await found(snapshots, 100) == [(20, [b"later"]), (10, PARTS)]
        assert await found(snapshots, 19) == [(10, PARTS)]
        assert await found(snapshots, 9) == []
        assert await found(snapshots, 100, layout="other") == []

    with_snapshots(settings, work)


def test_older_ones_are_removed_with_their_parts(settings: Settings) -> None:
    async def work(snapshots: Snapshots) -> None:
        for offset in range(10, 60, 10):
            await save(snapshots, offset)
        assert [offset for offset, _ in await found(snapshots, 100)] == [50, 40]

    with_snapshots(settings, work)
    content = asyncio.run(read_compacted(settings, topic_name(settings, "snapshots")))
    assert len(content) == KEPT


async def _put(settings: Settings, topic: str, key: bytes, value: bytes | None, partition: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.brokers)
    await producer.start()
    try:
        await producer.send_and_wait(topic_name(settings, topic), value, key=key, partition=partition)
    finally:
        await producer.stop()


async def _newest(settings: Settings) -> Manifest:
    content = await read_compacted(settings, topic_name(settings, "snapshots"))
    return max((decode(value, Manifest) for value in content.values()), key=lambda each: each.offset)


@pytest.mark.parametrize("changed", [{"digest": "0" * 32}, {"parts": 4}, {"last": 10_000}])
def test_one_that_is_not_what_its_manifest_says_is_passed_over(
    settings: Settings, changed: dict[str, Any]
) -> None:
    async def work(snapshots: Snapshots) -> None:
        await save(snapshots, 10)
        await save(snapshots, 20)
        newest = await _newest(settings)
        false = replace(newest, **changed)
        await _put(settings, "snapshots", newest.snapshot_id.encode(), encode(false), 0)
        assert await found(snapshots, 100) == [(10, PARTS)]

    with_snapshots(settings, work)


@pytest.mark.parametrize(
    ("topic", "key", "value", "partition"),
    [
        ("snapshots", b"from-another-version", b'{"format": 7}', 0),
        ("snapshots.parts", b"half/000000", b"half-written", 1),
    ],
    ids=["a manifest that cannot be read", "parts without a manifest"],
)
def test_what_is_no_snapshot_is_passed_over(
    settings: Settings, topic: str, key: bytes, value: bytes, partition: int
) -> None:
    async def work(snapshots: Snapshots) -> None:
        await save(snapshots, 10)
        await _put(settings, topic, key, value, partition)
        assert await found(snapshots, 100) == [(10, PARTS)]

    with_snapshots(settings, work)


def test_a_worker_that_lost_its_partition_neither_hides_nor_removes_the_new_owners(
    settings: Settings,
) -> None:
    async def lost(zombie: Snapshots) -> None:
        await save(zombie, 10)
        await save(zombie, 20)

        async def owner(new: Snapshots) -> None:
            await save(new, 30, [b"newer"])
            await save(new, 40, [b"newest"])

        await asyncio.to_thread(with_snapshots, settings, owner)
        await save(zombie, 25)
        assert (await found(zombie, 100))[:2] == [(40, [b"newest"]), (30, [b"newer"])]

    with_snapshots(settings, lost)


def _manifest(offset: int, partition: int = 1, layout: str = "l") -> Manifest:
    return Manifest(f"{offset:032x}", partition, offset, layout, 1, 1, "", 0, 0)


def test_only_what_fits_is_usable_newest_first() -> None:
    there = [_manifest(5), _manifest(9), _manifest(7, partition=0), _manifest(8, layout="m"), _manifest(12)]
    assert [each.offset for each in usable(there, 1, "l", 10)] == [9, 5]


def test_only_what_is_no_newer_is_outdated() -> None:
    there = [_manifest(offset) for offset in (1, 2, 3, 4, 9)]
    assert [each.offset for each in outdated(there, there[3])] == [2, 1]
    assert outdated([_manifest(3, partition=0)], _manifest(9)) == []
