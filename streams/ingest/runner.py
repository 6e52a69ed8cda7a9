"""Binds `Ingest` to Kafka: `calls` in, `frames` and `calls.rejected` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition

from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.ingest.step import Ingest
from streams.metrics import Metrics
from streams.topics import topic_name
from streams.wire.frames import encode_frames
from streams.wire.outgoing import Outgoing
from streams.wire.records import SourceRecord, encode
from streams.work import Role, Work


class IngestRole(Role):
    name = "ingest"
    linger_s = 0.1

    def __init__(self, settings: Settings, plan: NumberingPlan, metrics: Metrics) -> None:
        self.topics = (topic_name(settings, "calls"),)
        self._frames = topic_name(settings, "frames")
        self._rejected = topic_name(settings, "calls.rejected")
        self._ingest = Ingest(plan, settings)
        self._metrics = metrics

    def open(self, partition: TopicPartition) -> Work:
        return self

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        out: list[Outgoing] = []
        for ingested in self._ingest.steps([source_record(record) for record in records]):
            out += [
                Outgoing(self._frames, None, value, partition)
                for partition, batch in ingested.frames.items()
                for value in encode_frames(batch)
            ]
            out += [Outgoing(self._rejected, None, encode(rejection)) for rejection in ingested.rejected]
            self._metrics.ingested(ingested.events, [rejection.reason for rejection in ingested.rejected])
        return out


def source_record(record: Any) -> SourceRecord:
    return SourceRecord(
        value=record.value or b"",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
    )
