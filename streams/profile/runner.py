"""Binds `Profile` to Kafka: `summaries` in, `alerts` out; state is a fold over the retained `summaries`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition

from config.settings import Settings
from streams.metrics import Metrics
from streams.profile.step import Profile, lookback_ms
from streams.runner import Role, Work
from streams.topics import topic_name
from streams.wire.outgoing import Outgoing
from streams.wire.records import Summary, decode, encode


class ProfileRole(Role):
    name = "profile"
    stateful = True

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.topics = (topic_name(settings, "summaries"),)
        self.lookback_ms = lookback_ms(settings)
        self._settings = settings
        self._metrics = metrics

    def open(self, partition: TopicPartition) -> Work:
        return _Summaries(self._settings, self._metrics)


class _Summaries:
    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._profile = Profile(settings)
        self._alerts = topic_name(settings, "alerts")
        self._metrics = metrics

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        out: list[Outgoing] = []
        for record in records:
            alerts = self._profile(decode(record.value, Summary))
            if not live:
                continue
            self._metrics.alerted(alerts)
            out += [Outgoing(self._alerts, alert.alert_id.encode(), encode(alert)) for alert in alerts]
        self._metrics.profiled(self._profile)
        return out
