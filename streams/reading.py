"""Reading topics outside of any group: replays for state, and compacted topics as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from config.settings import Settings
from streams.wire.outgoing import Outgoing

POLL_MS = 200
"""An empty poll waits this long; it bounds how late a stop or a commit is noticed."""

REPLAY_WAIT_MS = 20
"""A broker holds a fetch that finds nothing so long, and with it the next question on that connection."""

MAX_FETCH_BYTES = 4 << 20
"""Of one partition in one fetch: bounds memory to partitions x this, and to one record where it is longer."""


def reading(settings: Settings) -> dict[str, Any]:
    """Settings that every consumer shares."""
    return {
        "bootstrap_servers": settings.kafka.brokers,
        "request_timeout_ms": settings.kafka.request_timeout_ms,
        "max_partition_fetch_bytes": MAX_FETCH_BYTES,
        "check_crcs": False,
        "auto_offset_reset": "earliest",  # never past what was not read
    }


class Folding(Protocol):
    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]: ...


async def replay(
    settings: Settings,
    partition: TopicPartition,
    end: int,
    lookback_ms: int | None,
    work: Folding,
    still_wanted: Callable[[], bool],
    start: int | None = None,
) -> int:
    """Feed ``work`` the records before offset ``end``: those from ``start`` on, or where it is None those
    that are at most ``lookback_ms`` older than the last. How many that were."""
    consumer = AIOKafkaConsumer(
        group_id=None, enable_auto_commit=False, fetch_max_wait_ms=REPLAY_WAIT_MS, **reading(settings)
    )
    await consumer.start()
    try:
        beginning = (await consumer.beginning_offsets([partition]))[partition]
        consumer.assign([partition])
        if start is None and lookback_ms is not None and beginning < end:
            start = await _start_of_lookback(settings, consumer, partition, end - 1, lookback_ms)
        position = max(beginning, start or 0)
        consumer.seek(partition, position)
        fed = 0
        while position < end and still_wanted():
            polled = await consumer.getmany(partition, timeout_ms=POLL_MS)
            records = [record for record in polled.get(partition, []) if record.offset < end]
            if records:
                await asyncio.to_thread(work.process, records, False)
                fed += len(records)
            position = await consumer.position(partition)
        return fed
    finally:
        await consumer.stop()


async def _start_of_lookback(
    settings: Settings, consumer: AIOKafkaConsumer, partition: TopicPartition, last: int, lookback_ms: int
) -> int:
    """Offset of the first record that is at most ``lookback_ms`` older than the one at ``last``."""
    consumer.seek(partition, last)
    newest = await asyncio.wait_for(consumer.getone(partition), settings.kafka.request_timeout_ms / 1000)
    found = await consumer.offsets_for_times({partition: max(0, newest.timestamp - lookback_ms)})
    return int(found[partition].offset) if found[partition] is not None else 0


class Follower:
    """Reads single-partition ``topic`` whole, then follows it, outside of any group: every worker has all
    of it. ``take`` is given each record in order."""

    def __init__(self, settings: Settings, topic: str, take: Callable[[Any], None]) -> None:
        self._settings = settings
        self._partition = TopicPartition(topic, 0)
        self._take = take
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Returns when everything that was there at the call is taken in."""
        self._consumer = AIOKafkaConsumer(group_id=None, enable_auto_commit=False, **reading(self._settings))
        await self._consumer.start()
        self._consumer.assign([self._partition])
        end = (await self._consumer.end_offsets([self._partition]))[self._partition]
        await self._consumer.seek_to_beginning(self._partition)
        while await self._consumer.position(self._partition) < end:
            await self._poll(POLL_MS)

    async def catch_up(self) -> None:
        """Takes in what has arrived since; waits for nothing."""
        await self._poll(0)

    async def stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    async def _poll(self, timeout_ms: int) -> None:
        assert self._consumer is not None, "the follower was started"
        for records in (await self._consumer.getmany(self._partition, timeout_ms=timeout_ms)).values():
            for record in records:
                self._take(record)


async def read_compacted(settings: Settings, topic: str) -> dict[bytes, bytes]:
    """The present content of single-partition compacted ``topic``: key to value, tombstones left out."""
    partition = TopicPartition(topic, 0)
    content: dict[bytes, bytes] = {}

    class Latest:
        def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
            for record in records:
                if record.value is None:
                    content.pop(record.key, None)
                else:
                    content[record.key] = record.value
            return []

    consumer = AIOKafkaConsumer(group_id=None, enable_auto_commit=False, **reading(settings))
    await consumer.start()
    try:
        end = (await consumer.end_offsets([partition]))[partition]
    finally:
        await consumer.stop()
    await replay(settings, partition, end, None, Latest(), lambda: True)
    return content
