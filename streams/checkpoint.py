"""The one order in which work becomes durable: flush, commit, snapshot.

1. Everything a poll gave rise to (frames, alerts, summaries, rules) is acknowledged by the broker with
   all replicas, and what goes to the store is durably inserted.
2. Only then is the offset behind that poll committed.
3. Only right after a commit, before another record is processed, is a snapshot of a state taken
   (``streams.snapshots``): it stands for exactly the committed offset.

So a crash between 1 and 2 costs a repetition, never a loss; and since ids are hashes of content and every
sink replaces by id, a repetition changes nothing. A crash after 2 costs a longer replay. No snapshot is ever
ahead of the commit, so none can leave out an alert that was not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.lease import Lease
from streams.outbox import Outbox
from streams.wire.outgoing import Outgoing

COMMIT_EVERY_S = 1.0
"""Between commits. Longer repeats more after a crash; shorter costs the broker a request each."""

FLUSH_TIMEOUT_S = 120.0
"""For the broker or the store to take what is owed. Past it the role starts over from the last commit
instead of holding memory for a sink that is gone."""

SESSION_S = 10.0
"""Session time-out where none is given: after it a silent worker has lost its partitions."""

MAX_UNACKNOWLEDGED = 4_096
"""Records sent and not yet acknowledged. Bounds memory when the broker is slow."""


class Checkpoint:
    """Flush and commit for one consumer. Not to be shared between tasks."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        producer: Outbox,
        flush_sink: Callable[[], Awaitable[None]] | None = None,
        session_s: float = SESSION_S,
    ) -> None:
        self._lease = Lease(consumer, session_s)
        self._consumer = consumer
        self._producer = producer
        self._flush_sink = flush_sink
        self._unacknowledged: list[asyncio.Future[Any]] = []
        self._offsets: dict[TopicPartition, int] = {}

    async def send(self, records: list[Outgoing]) -> None:
        """Hand ``records`` to the producer; wait for acknowledgements when too many are owed.

        Raises CommitFailedError, before anything is sent, where the group has given our partitions away.
        """
        if records:
            await self._lease.hold()
        for record in records:
            self._unacknowledged.append(
                await self._producer.send(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                )
            )
        if len(self._unacknowledged) > MAX_UNACKNOWLEDGED:
            await self._acknowledged()

    def processed(self, partition: TopicPartition, next_offset: int) -> None:
        self._offsets[partition] = next_offset

    async def commit(self) -> None:
        """Flush, then commit. Raises what the broker or the store raised; then nothing is committed."""
        if not self._offsets:
            return
        await self._acknowledged()
        if self._flush_sink is not None:
            await asyncio.wait_for(self._flush_sink(), FLUSH_TIMEOUT_S)
        asked = self._lease.now()
        await asyncio.wait_for(self._consumer.commit(dict(self._offsets)), FLUSH_TIMEOUT_S)
        self._lease.renewed(asked)
        self._offsets.clear()

    def forget(self) -> None:
        """Drop what is owed: the work will be done again from the last commit."""
        for owed in self._unacknowledged:
            owed.add_done_callback(_passed_over)
        self._unacknowledged.clear()
        self._offsets.clear()

    async def _acknowledged(self) -> None:
        owed, self._unacknowledged = self._unacknowledged, []
        if owed:
            await asyncio.wait_for(asyncio.gather(*owed), FLUSH_TIMEOUT_S)


def _passed_over(answer: asyncio.Future[Any]) -> None:
    """Looks at what the broker said of a record that nobody waits for any more, so that asyncio does not log
    it as an error that went unseen."""
    if not answer.cancelled():
        answer.exception()
