"""Binds the store to Kafka.

The busy topics (`frames`, `summaries`) come through the runner; the low-rate ones (`alerts`, `campaigns`,
`block-rules`, `calls.rejected`, `commands`) are Faust agents. Both put rows into one `Writer`, and both
acknowledge only what the store has taken: the runner flushes before it commits, an agent flushes before its
batch ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Protocol

import faust
import msgspec
import structlog
from aiokafka import TopicPartition

from config.settings import Settings
from detectors.alert import Alert
from detectors.campaigns import Campaign
from streams.store.step import (
    Rows,
    rows_of_alert,
    rows_of_calls,
    rows_of_campaign,
    rows_of_command,
    rows_of_outcome,
    rows_of_rejection,
    rows_of_rule_change,
    rows_of_summary,
)
from streams.store.writer import Writer
from streams.topics import topic_name
from streams.wire.frames import decode_frame
from streams.wire.outgoing import Outgoing
from streams.wire.records import BlockRule, Command, CommandOutcome, Rejection, RuleChange, Summary, decode
from streams.work import Role, Work

AGENT_BATCH = 1_000
AGENT_BATCH_SECONDS = 0.5
PUT_SECONDS = 20.0
"""For a full queue to get room: longer delays a stop, shorter repeats more when the store is slow."""
FLUSH_SECONDS = 60.0
AGENT_RETRY_SECONDS = 1.0

_log = structlog.get_logger("store")


class StoreRole(Role):
    name = "store"

    def __init__(self, settings: Settings, writer: Writer) -> None:
        self._frames = topic_name(settings, "frames")
        self._summaries = topic_name(settings, "summaries")
        self.topics = (self._summaries, self._frames) if settings.store.calls else (self._summaries,)
        self._writer = writer

    def open(self, partition: TopicPartition) -> Work:
        return self

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        for record in records:
            if record.topic == self._summaries:
                put(self._writer, rows_of_summary(decode(record.value, Summary)))
            else:
                put(self._writer, rows_of_calls(decode_frame(record.value)))
        return []

    async def flush(self) -> None:
        await flushed(self._writer)


class StoreBehind(OSError):
    """The store has not taken what is owed in the time it had."""


def put(writer: Writer, rows: Rows) -> None:
    """Hand ``rows`` over, waiting while the queue is full: that is what pauses reading.

    Raises StoreBehind after PUT_SECONDS, so that a worker can be stopped or rebalanced meanwhile.
    """
    if not writer.put(rows, timeout=PUT_SECONDS):
        raise StoreBehind(f"the store does not keep up: {writer.last_error or 'its queue is full'}")


async def flushed(writer: Writer) -> None:
    """Returns once everything put before is in the store. Raises StoreBehind after FLUSH_SECONDS."""
    if not await asyncio.to_thread(writer.flush, FLUSH_SECONDS):
        raise StoreBehind(f"the store has not taken what is owed: {writer.last_error or 'it is slow'}")


class Event(Protocol):
    key: bytes | None
    value: bytes | None
    message: Any
    headers: Any


def add_agents(app: faust.App, settings: Settings, writer: Writer) -> None:
    """The low-rate topics of the store, one agent each.

    An agent's batch is acknowledged when its body is done, whether or not it raised, so the body does not
    raise: it waits for the store, and a record that cannot be read is reported and passed over.
    """
    for topic, rows_of in _LOW_RATE.items():
        _add_agent(app, topic_name(settings, topic), rows_of, writer)


def _add_agent(app: faust.App, topic: str, rows_of: Callable[[Any], Rows | None], writer: Writer) -> None:
    source = app.topic(
        topic,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        allow_empty=True,
    )

    async def keep(stream: Any) -> AsyncIterator[None]:
        async for events in stream.take_events(AGENT_BATCH, within=AGENT_BATCH_SECONDS):
            await _kept(writer, list(_readable(topic, rows_of, events)))
            yield

    app.agent(source, name=f"store-{topic}")(keep)


async def _kept(writer: Writer, batch: list[Rows]) -> None:
    """Returns when ``batch`` is in the store, however long that takes; rows put twice replace themselves."""
    while True:
        try:
            for rows in batch:
                await asyncio.to_thread(put, writer, rows)
            await flushed(writer)
        except StoreBehind as error:
            _log.warning("nothing more is read until the store is back", error=str(error))
            await asyncio.sleep(AGENT_RETRY_SECONDS)
        else:
            return


def _readable(topic: str, rows_of: Callable[[Any], Rows | None], events: Iterable[Event]) -> Iterable[Rows]:
    for event in events:
        try:
            rows = rows_of(event)
        except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
            _log.error(
                "a record cannot be read and is passed over; it stays on its topic",
                topic=topic,
                partition=event.message.partition,
                offset=event.message.offset,
                error=str(error),
            )
            continue
        if rows is not None:
            yield rows


def _alert(event: Event) -> Rows | None:
    return rows_of_alert(decode(event.value or b"", Alert))


def _campaign(event: Event) -> Rows | None:
    return rows_of_campaign(decode(event.value, Campaign)) if event.value else None


def _rule(event: Event) -> Rows | None:
    rule = decode(event.value, BlockRule) if event.value else None
    headers = {name: value.decode() for name, value in dict(event.headers or {}).items()}
    at = int(headers["at"]) if "at" in headers else rule.issued_at if rule else _event_time(event)
    rule_id = rule.rule_id if rule else (event.key or b"").decode()
    return rows_of_rule_change(RuleChange(rule_id, rule, at, headers.get("why", "")), event.message.offset)


def _rejection(event: Event) -> Rows | None:
    return rows_of_rejection(decode(event.value or b"", Rejection), _event_time(event))


def _command(event: Event) -> Rows | None:
    return rows_of_command(decode(event.value or b"", Command))


def _outcome(event: Event) -> Rows | None:
    return rows_of_outcome(decode(event.value or b"", CommandOutcome))


def _event_time(event: Event) -> int:
    return int(event.message.timestamp * 1000)


_LOW_RATE: dict[str, Callable[[Any], Rows | None]] = {
    "alerts": _alert,
    "campaigns": _campaign,
    "block-rules": _rule,
    "calls.rejected": _rejection,
    "commands": _command,
    "audit": _outcome,
}
