"""What one role sends, over a producer of its own.

A producer of its own, because one topic that cannot be written must not hold up the others' records. And one
that can be replaced: an idempotent producer that once failed on a partition (a record too large, a missing
right) has a gap in its sequence, and the broker takes nothing more from it there.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from config.settings import Settings

BATCH_BYTES = 1 << 20
"""Of a partition: what waits to be sent there, at most."""
LINGER_MS = 5
STOP_S = 10.0
"""For the broker to take what is still in hand when a role ends. What it did not take is sent again after
the next start, for nothing of it was committed."""

_log = structlog.get_logger("outbox")


class Outbox:
    """Starts its producer with the first record. Not to be shared between tasks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def send(self, topic: str, **record: Any) -> asyncio.Future[Any]:
        """As `AIOKafkaProducer.send`: waits while a full batch waits; what it returns is done when the broker
        has answered. Raises KafkaError."""
        if self._producer is None:
            self._producer = await self._started()
        future: asyncio.Future[Any] = await self._producer.send(topic, **record)
        return future

    async def renew(self) -> None:
        """Forget what was not taken; the next record goes over a new producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)

    async def stop(self) -> None:
        """Returns when the broker has what was sent, or STOP_S are over."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            await asyncio.wait_for(producer.flush(), STOP_S)
        except TimeoutError:
            _log.warning("Kafka has not taken all that was sent; it is sent again after the next start")
        await _close(producer)

    async def _started(self) -> AIOKafkaProducer:
        kafka = self._settings.kafka
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.brokers,
            acks="all",
            enable_idempotence=kafka.idempotent,
            linger_ms=LINGER_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=self._settings.ingest.max_message_bytes * 2,
            request_timeout_ms=kafka.request_timeout_ms,
        )
        try:
            await producer.start()
        except BaseException:
            await _close(producer)
            raise
        return producer


async def _close(producer: AIOKafkaProducer) -> None:
    """Ends ``producer`` with what it has in hand. Its own `stop` would wait for that to be taken, for ever
    where the broker is gone."""
    try:
        await asyncio.wait_for(producer._sender.close(), STOP_S)
        producer._message_accumulator.fail_all(KafkaError("given up: the producer is replaced"))
        await asyncio.wait_for(producer.stop(), STOP_S)
    except (KafkaError, TimeoutError, OSError) as error:
        _log.warning("a producer did not end in order", error=repr(error))
