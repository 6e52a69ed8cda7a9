"""Binds `Detect` to Kafka: `frames` in; `alerts`, `summaries`, `candidates` out; its state folds `frames`.

`lists` is read whole by every worker before its work opens and followed from then on: an entry counts for
the records processed after it was read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import structlog
from aiokafka import TopicPartition

from config.settings import Settings
from detectors.lists import ListBook
from detectors.plan import NumberingPlan
from streams.detect.step import Detect, new_lists
from streams.metrics import Metrics
from streams.reading import Follower
from streams.snapshots import Snapshots
from streams.topics import topic_name
from streams.wire.candidates import encode_candidates
from streams.wire.frames import decode_frame
from streams.wire.outgoing import Outgoing
from streams.wire.records import ListEntry, decode, encode
from streams.wire.summaries import encode_summary
from streams.work import Role, Work

_log = structlog.get_logger("detect")

COUNT_SUBJECTS_EVERY_S = 10.0


class DetectRole(Role):
    name = "detect"
    stateful = True

    def __init__(self, settings: Settings, plan: NumberingPlan, metrics: Metrics) -> None:
        self.topics = (topic_name(settings, "frames"),)
        self.lookback_ms = settings.detect.rebuild_ms
        self._settings = settings
        self._plan = plan
        self._metrics = metrics
        self.lists = new_lists(settings)
        if settings.detect.snapshot_ms:
            self.snapshots = Snapshots(settings, metrics)
        self._follower = Follower(settings, topic_name(settings, "lists"), self._listed)

    async def restore(self, partitions: set[TopicPartition]) -> None:
        await self._follower.stop()
        self.lists = new_lists(self._settings)
        await self._follower.start()

    async def follow(self) -> None:
        await self._follower.catch_up()

    async def close(self) -> None:
        await self._follower.stop()

    def open(self, partition: TopicPartition) -> Work:
        return _Partition(partition.partition, self._settings, self._plan, self.lists, self._metrics)

    def _listed(self, record: Any) -> None:
        try:
            entry_id = record.key.decode()
            self.lists.put(entry_id, None if record.value is None else decode(record.value, ListEntry))
        except (ValueError, AttributeError) as error:
            _log.error(
                "an entry of lists cannot be used by detection and is passed over; it stays on its topic",
                offset=record.offset,
                key=record.key,
                error=str(error),
            )


class _Partition:
    def __init__(
        self,
        partition: int,
        settings: Settings,
        plan: NumberingPlan,
        lists: ListBook,
        metrics: Metrics,
    ) -> None:
        self._detect = Detect(partition, settings, plan, lists)
        self._alerts = topic_name(settings, "alerts")
        self._summaries = topic_name(settings, "summaries")
        self._candidates = topic_name(settings, "candidates")
        self._metrics = metrics
        self._partition = partition
        self._counted_at = 0.0
        self.layout = self._detect.layout
        self.snapshot = self._detect.snapshot
        self.restore = self._detect.restore

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        out: list[Outgoing] = []
        for record in records:
            batch = decode_frame(record.value)
            if not live:
                self._detect.rebuild(batch)
                continue
            detected = self._detect(batch, record.offset)
            out += [
                Outgoing(self._alerts, alert.alert_id.encode(), encode(alert)) for alert in detected.alerts
            ]
            told = 0
            if detected.candidates is not None:
                told = detected.candidates.columns.num_rows
                out.append(Outgoing(self._candidates, None, encode_candidates(detected.candidates)))
            if detected.summary is not None:
                out.append(Outgoing(self._summaries, None, encode_summary(detected.summary)))
            self._metrics.detected(detected.summary, detected.alerts, batch.num_rows, told)
        if live and time.monotonic() - self._counted_at >= COUNT_SUBJECTS_EVERY_S:
            self._counted_at = time.monotonic()
            self._metrics.tracked(self._partition, self._detect.subjects())
        return out
