"""`detect` has all of `lists` before its work opens, and follows it: on a real log."""

from __future__ import annotations

import asyncio
from typing import Any

from kafka import KafkaProducer

from config.loading import load_settings
from detectors.plan import NumberingPlan
from streams.detect.runner import DetectRole
from streams.embedded.broker import EmbeddedBroker
from streams.metrics import Metrics
from streams.topics import ensure_topics, topic_name
from streams.wire.records import ListEntry, encode


def refusal(entry_id: str, number: str) -> bytes:
    return encode(ListEntry(entry_id, "refusal", "number", number, "the subscriber", "asked"))


async def held(role: DetectRole, wanted: int) -> int:
    """Entries held once there are as many as wanted, or after some seconds."""
    for _ in range(100):
        await role.follow()
        if len(role.lists) == wanted:
            break
        await asyncio.sleep(0.1)
    return len(role.lists)


async def follow(role: DetectRole, write: Any) -> list[int]:
    await role.restore(set())
    seen = [len(role.lists)]
    await asyncio.to_thread(write, b"c", refusal("c", "+8613800138002"))
    seen.append(await held(role, 3))
    await asyncio.to_thread(write, b"a", None)
    seen.append(await held(role, 2))
    await role.restore(set())
    seen.append(len(role.lists))
    await role.close()
    return seen


def test_entries_and_tombstones_before_and_after_it_starts() -> None:
    with EmbeddedBroker() as broker:
        settings = broker.settings(load_settings())
        ensure_topics(settings)
        producer = KafkaProducer(bootstrap_servers=settings.kafka.brokers, enable_idempotence=False)

        def write(key: bytes, value: bytes | None) -> None:
            producer.send(topic_name(settings, "lists"), value, key=key)
            producer.flush(timeout=30)

        write(b"a", refusal("a", "+8613800138000"))
        write(b"b", refusal("b", "+8613800138001"))
        write(b"gone", refusal("gone", "+8613800138009"))
        write(b"gone", None)
        write(b"bad", b"{}")
        write(b"wrong", refusal("wrong", "nobody"))
        role = DetectRole(settings, NumberingPlan.load(settings.numbering), Metrics())
        assert asyncio.run(follow(role, write)) == [2, 3, 2, 2]
        producer.close()
