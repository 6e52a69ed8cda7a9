"""Binds `Profile` and `Models` to Kafka: `summaries`, `lessons`, `candidates`, `commands` in; `alerts`,
`lessons` and `baselines` out. Its state is a fold over the first three, as far back as each of them needs;
what is usual at each hour of the week reaches back for weeks, and is taken from the compacted `baselines`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import structlog
from aiokafka import TopicPartition

from config.settings import Settings
from detectors.alert import Alert
from detectors.seasons import HourLevels
from streams.metrics import Metrics
from streams.profile.models import LOOKBACK_MS, Models
from streams.profile.step import Profile, lookback_ms
from streams.reading import read_compacted
from streams.topics import topic_name
from streams.wire.candidates import decode_candidates
from streams.wire.outgoing import Outgoing
from streams.wire.records import Command, Lesson, decode, encode
from streams.wire.summaries import decode_summary
from streams.work import Role, Work, readable

_log = structlog.get_logger("profile")


class ProfileRole(Role):
    name = "profile"
    stateful = True

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        summaries, lessons, candidates, commands = (
            topic_name(settings, name) for name in ("summaries", "lessons", "candidates", "commands")
        )
        self.topics = (summaries, lessons, candidates, commands)
        back = LOOKBACK_MS + settings.detect.lateness_ms
        self._lookback = {
            summaries: lookback_ms(settings),
            lessons: None,
            candidates: back,
            commands: settings.detectors.reputation.label_hours * 3_600_000,
        }
        self._works: dict[str, Callable[[Models, Settings, Metrics], Work]] = {
            lessons: _Lessons,
            candidates: _Candidates,
            commands: _Commands,
        }
        self._settings = settings
        self._metrics = metrics
        self._models = Models(settings)
        self._hours: dict[bytes, bytes] = {}

    def lookback(self, topic: str) -> int | None:
        return self._lookback[topic]

    async def restore(self, partitions: set[TopicPartition]) -> None:
        self._models = Models(self._settings)
        baselines = topic_name(self._settings, "baselines")
        self._hours = await read_compacted(self._settings, baselines) if partitions else {}

    def open(self, partition: TopicPartition) -> Work:
        work = self._works.get(partition.topic)
        if work is None:
            return _Summaries(self._settings, self._metrics, self._hours.values())
        return work(self._models, self._settings, self._metrics)


def _sent(topic: str, alerts: Iterable[Alert]) -> list[Outgoing]:
    return [Outgoing(topic, alert.alert_id.encode(), encode(alert)) for alert in alerts]


class _Summaries:
    def __init__(self, settings: Settings, metrics: Metrics, hours: Iterable[bytes]) -> None:
        self._profile = Profile(settings)
        for hour in hours:
            self._profile.restore(decode(hour, HourLevels))
        self._baselines = topic_name(settings, "baselines")
        self._alerts = topic_name(settings, "alerts")
        self._metrics = metrics

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        out: list[Outgoing] = []
        for summary in readable(_log, records, decode_summary):
            alerts = self._profile(summary)
            if not live:
                continue
            self._metrics.alerted(alerts)
            out += _sent(self._alerts, alerts)
        over = self._profile.hours_over
        out += [Outgoing(self._baselines, hour.key.encode(), encode(hour)) for hour in over if live]
        over.clear()
        self._metrics.profiled(self._profile)
        return out


class _Candidates:
    def __init__(self, models: Models, settings: Settings, metrics: Metrics) -> None:
        self._models = models
        self._alerts = topic_name(settings, "alerts")
        self._metrics = metrics

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        out: list[Outgoing] = []
        for candidates in readable(_log, records, decode_candidates):
            alerts = self._models.told(candidates)
            if live:
                self._metrics.alerted(alerts)
                out += _sent(self._alerts, alerts)
        self._metrics.modelled(self._models.vectors, self._models.labels)
        return out


class _Commands:
    def __init__(self, models: Models, settings: Settings, metrics: Metrics) -> None:
        self._models = models
        self._lessons = topic_name(settings, "lessons")

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        out: list[Outgoing] = []
        for record in records:
            try:
                lessons = self._models.command(decode(record.value, Command))
            except (msgspec.ValidationError, msgspec.DecodeError) as error:
                _log.error("a command cannot be read and teaches nothing", error=str(error))
                continue
            out += [Outgoing(self._lessons, each.lesson_id.encode(), encode(each)) for each in lessons]
        return out


class _Lessons:
    def __init__(self, models: Models, settings: Settings, metrics: Metrics) -> None:
        self._models = models

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        for record in records:
            self._models.learn(decode(record.value, Lesson))
        return []
