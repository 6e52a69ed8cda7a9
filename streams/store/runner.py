"""Binds the store to Kafka: every topic that ClickHouse keeps, in whole polls.

Rows go into one `Writer`; an offset is committed when the store has taken everything before it. A record that
cannot be read is reported and passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

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
from streams.wire.arrow import joined
from streams.wire.frames import decode_frame
from streams.wire.outgoing import Outgoing
from streams.wire.records import BlockRule, Command, CommandOutcome, Rejection, RuleChange, decode
from streams.wire.summaries import decode_summary
from streams.work import Role, Work, passed_over, readable

PUT_SECONDS = 20.0
"""For a full queue to get room: longer delays a stop, shorter repeats more when the store is slow."""
FLUSH_SECONDS = 60.0

_log = structlog.get_logger("store")


class StoreRole(Role):
    name = "store"
    linger_s = 0.2

    def __init__(self, settings: Settings, writer: Writer) -> None:
        self._rows_of = {topic_name(settings, topic): rows_of for topic, rows_of in _ROWS_OF.items()}
        self._frames = topic_name(settings, "frames")
        self.topics = (*self._rows_of, *([self._frames] if settings.store.calls else []))
        self._writer = writer

    def open(self, partition: TopicPartition) -> Work:
        return self

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        if records and records[0].topic == self._frames:
            batches = list(readable(_log, records, decode_frame))
            if batches:
                put(self._writer, rows_of_calls(joined(batches)))
            return []
        for record in records:
            rows = self._rows(record)
            if rows is not None:
                put(self._writer, rows)
        return []

    def _rows(self, record: Any) -> Rows | None:
        try:
            return self._rows_of[record.topic](record)
        except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
            passed_over(_log, record, error)
            return None

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


def _alert(record: Any) -> Rows | None:
    return rows_of_alert(decode(record.value or b"", Alert))


def _campaign(record: Any) -> Rows | None:
    return rows_of_campaign(decode(record.value, Campaign)) if record.value else None


def _rule(record: Any) -> Rows | None:
    rule = decode(record.value, BlockRule) if record.value else None
    headers = {name: value.decode() for name, value in dict(record.headers or {}).items()}
    at = int(headers["at"]) if "at" in headers else rule.issued_at if rule else _written_at(record)
    rule_id = rule.rule_id if rule else (record.key or b"").decode()
    return rows_of_rule_change(RuleChange(rule_id, rule, at, headers.get("why", "")), record.offset)


def _rejection(record: Any) -> Rows | None:
    return rows_of_rejection(decode(record.value or b"", Rejection), _written_at(record))


def _command(record: Any) -> Rows | None:
    return rows_of_command(decode(record.value or b"", Command))


def _outcome(record: Any) -> Rows | None:
    return rows_of_outcome(decode(record.value or b"", CommandOutcome))


def _written_at(record: Any) -> int:
    return int(record.timestamp)


def _summary(record: Any) -> Rows:
    return rows_of_summary(decode_summary(record.value))


_ROWS_OF: dict[str, Callable[[Any], Rows | None]] = {
    "alerts": _alert,
    "campaigns": _campaign,
    "block-rules": _rule,
    "calls.rejected": _rejection,
    "commands": _command,
    "audit": _outcome,
    "summaries": _summary,
}
"""What ClickHouse keeps of each topic but `frames`, of which all calls of a poll go at once."""
