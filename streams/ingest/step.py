"""The step of `ingest`: raw messages of `calls` in, frames and rejections out. No I/O, no clock.

Messages whose every event is in order are decoded whole (the fast path). Any other message is taken apart
(`messages.spans`) and judged event by event (`judge.judge`), so that a bad event is refused alone. Both
ways give the same events for the same bytes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from operator import attrgetter, le

import msgspec
import numpy as np
import pyarrow as pa

from config.settings import Settings
from detectors.numbering import Normaliser
from detectors.plan import NumberingPlan
from streams.ingest.columns import Framer, join
from streams.ingest.judge import NO_LATEST, Refusal, judge
from streams.ingest.messages import BOM, spans
from streams.ingest.reasons import Reason
from streams.wire.calls import CallEvent
from streams.wire.records import Rejection, SourceRecord

STEP_EVENTS = 4_096
"""Events and rejections after which a step ends: enough for the cost of a column to vanish, few enough
that what is in memory at a time stays small."""
WHOLE_BYTES = 1024 * 1024
"""Longest message that is decoded whole; a longer one is read piece by piece. Kafka's own default limit."""

GROUP_RECORDS = 512
"""Messages looked at together; if one of them is not one event in order, all are looked at one by one."""

_CONTROL_ESCAPE = re.compile(rb"\\(?:[bfnrt]|u00[01])")
_NOT_PLAIN = (b"[", b"\\", b"\n")
_ARRAY, _NEWLINE, _BRACE = b"[\n{"

_time_of = attrgetter("time")


class Ingested(msgspec.Struct):
    frames: dict[int, pa.RecordBatch]
    """Partition of `frames` to its rows (FRAME_SCHEMA, metadata ``plan_version``): both ends of each call
    event, the caller's first, in the order of arrival."""
    rejected: list[Rejection]
    events: int
    """Call events accepted."""


class Ingest:
    """Decodes, checks and normalises call events. Holds no state between calls."""

    def __init__(self, plan: NumberingPlan, settings: Settings) -> None:
        self._limits = settings.ingest
        self._framer = Framer(
            Normaliser(settings.numbering.home_country, plan), plan, settings.kafka.partitions
        )
        self._whole_bytes = min(WHOLE_BYTES, self._limits.max_message_bytes)
        self._decode = msgspec.json.Decoder(CallEvent).decode
        self._decode_lines = msgspec.json.Decoder(CallEvent).decode_lines
        self._decode_array = msgspec.json.Decoder(list[CallEvent]).decode

    def __call__(self, records: Sequence[SourceRecord]) -> Ingested:
        """All of ``records`` at once: for messages known to be few. Memory grows with them."""
        steps = list(self.steps(records))
        return Ingested(
            join([step.frames for step in steps]),
            [rejection for step in steps for rejection in step.rejected],
            sum(step.events for step in steps),
        )

    def steps(self, records: Sequence[SourceRecord]) -> Iterator[Ingested]:
        """The same in slices of about ``STEP_EVENTS`` events and rejections, each to be written before the
        next is drawn: memory is bounded whatever the messages hold. Slices may end inside a message, so
        offsets may only be committed after the last."""
        events: list[CallEvent] = []
        rejected: list[Rejection] = []
        for found in self._found(records):
            if isinstance(found, Rejection):
                rejected.append(found)
            else:
                events += found
            if len(events) + len(rejected) >= STEP_EVENTS:
                yield self._ingested(events, rejected)
                events, rejected = [], []
        if events or rejected:
            yield self._ingested(events, rejected)

    def _ingested(self, events: list[CallEvent], rejected: list[Rejection]) -> Ingested:
        return Ingested(self._framer.frames(events), rejected, len(events))

    def _found(self, records: Sequence[SourceRecord]) -> Iterator[list[CallEvent] | Rejection]:
        for start in range(0, len(records), GROUP_RECORDS):
            group = records[start : start + GROUP_RECORDS]
            events = self._one_each(group)
            if events is not None:
                yield events
            else:
                for record in group:
                    yield from self._events_of(record)

    def _events_of(self, record: SourceRecord) -> Iterator[list[CallEvent] | Rejection]:
        events = self._whole(record)
        if events is not None:
            yield events
        else:
            yield from self._judged(record)

    def _one_each(self, records: Sequence[SourceRecord]) -> list[CallEvent] | None:
        """The events of messages that each are plainly one event in order, else None.

        Plainly: a flat object (so no depth to limit) on one line, without an escape. That is seen on all
        of them joined at a fraction of the cost of looking at each.
        """
        values = [record.value for record in records]
        if not all(values) or sum(map(len, values)) > self._whole_bytes:
            return None
        joined = b"".join(values)
        if any(letter in joined for letter in _NOT_PLAIN) or _count(joined, _BRACE) != len(values):
            return None
        try:
            events = list(map(self._decode, values))
        except (ValueError, RecursionError):
            return None
        in_time = all(map(le, map(_time_of, events), map(self._latest, records)))
        return events if in_time else None

    def _whole(self, record: SourceRecord) -> list[CallEvent] | None:
        """The events of a message that plainly is an array or lines of them in order, else None.

        Plainly: flat objects, one a line unless in an array, without an escape that could be a control
        character.
        """
        value = record.value
        if not value or len(value) > self._whole_bytes:
            return None
        if b"\\" in value and _CONTROL_ESCAPE.search(value):
            return None
        array = value[0] == _ARRAY
        try:
            events = self._decode_array(value) if array else self._decode_lines(value)
        except (ValueError, RecursionError):
            return None
        if not events or len(events) > self._limits.max_events_per_message:
            return None
        flat = value.find(b"[", 1) < 0 and _count(value, _BRACE) == len(events)
        apart = array or _count(value, _NEWLINE) + (value[-1] != _NEWLINE) == len(events)
        return events if flat and apart and max(map(_time_of, events)) <= self._latest(record) else None

    def _latest(self, record: SourceRecord) -> int:
        return NO_LATEST if record.timestamp is None else record.timestamp + self._limits.max_ahead_ms

    def _judged(self, record: SourceRecord) -> Iterator[list[CallEvent] | Rejection]:
        value = record.value or b""
        if len(value) > self._limits.max_message_bytes:
            yield self._reject(record, 0, value, self._too_large(value))
            return
        if not value.removeprefix(BOM).strip(b" \t\r\n"):
            yield self._reject(record, 0, value, _EMPTY)
            return
        latest = self._latest(record)
        for index, (start, end) in enumerate(spans(value)):
            if index == self._limits.max_events_per_message:
                yield self._reject(record, index, value[start:], self._too_many())
                return
            raw = value[start:end]
            judged = judge(raw, latest)
            yield self._reject(record, index, raw, judged) if isinstance(judged, Refusal) else [judged]

    def _reject(self, record: SourceRecord, index: int, raw: bytes, refusal: Refusal) -> Rejection:
        kept = raw[: self._limits.keep_original_bytes]
        return Rejection(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            index=index,
            reason=refusal.reason.value,
            field=refusal.field,
            value=refusal.value,
            expected=refusal.expected,
            message=refusal.message,
            original=base64.b64encode(kept).decode("ascii"),
            original_bytes=len(raw),
            truncated=len(kept) < len(raw),
        )

    def _too_large(self, value: bytes) -> Refusal:
        expected = f"at most {self._limits.max_message_bytes} bytes"
        message = f"The message has {len(value)} bytes; expected {expected}. None of it was read."
        return Refusal(Reason.MESSAGE_TOO_LARGE, "", str(len(value)), expected, message)

    def _too_many(self) -> Refusal:
        expected = f"at most {self._limits.max_events_per_message} events in a message"
        message = f"This is where the message goes beyond {expected}; nothing from here on was read."
        return Refusal(Reason.TOO_MANY_EVENTS, "", "", expected, message)


def _count(value: bytes, letter: int) -> int:
    """As ``value.count``, ten times as fast where there are many."""
    return int(np.count_nonzero(np.frombuffer(value, np.uint8) == letter))


_EMPTY = Refusal(
    Reason.EMPTY_MESSAGE, "", "", "a call event, an array or lines of them", "The message holds nothing."
)
