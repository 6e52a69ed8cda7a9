"""Topics as they are at this moment: every record of one, and how far a group is behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from config.settings import Settings
from streams.topics import topic_name

READS = {
    "ingest": ("calls",),
    "detect": ("frames",),
    "profile": ("summaries", "lessons", "candidates", "commands"),
    "respond": ("alerts", "commands", "lists", "summaries"),
    "store": (
        "frames", "summaries", "alerts", "campaigns", "block-rules", "calls.rejected", "commands", "audit",
    ),
}  # fmt: skip
"""Topics of each consumer group, for which it must have committed everything in the end."""


def read_all(brokers: str, topic: str) -> list[Any]:
    """Every record of ``topic`` that is there now, in offset order within partitions."""
    consumer = KafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic))]
        ends = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        records: list[Any] = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for polled in consumer.poll(timeout_ms=500).values():
                records += polled
        return records
    finally:
        consumer.close()


def behind(brokers: str, group: str, topics: Iterable[str]) -> int:
    """Records of ``topics`` that ``group`` has not committed yet."""
    consumer = KafkaConsumer(bootstrap_servers=brokers, group_id=group, enable_auto_commit=False)
    try:
        partitions = [
            TopicPartition(topic, each)
            for topic in topics
            for each in sorted(consumer.partitions_for_topic(topic))
        ]
        ends = consumer.end_offsets(partitions)
        return sum(ends[each] - (consumer.committed(each) or 0) for each in partitions)
    finally:
        consumer.close()


def worked_off(settings: Settings) -> bool:
    """Whether every group of a service with all roles has committed all there is."""
    kafka = settings.kafka
    return not any(
        behind(
            kafka.brokers,
            f"{kafka.topic_prefix}ringfence-{group}",
            [topic_name(settings, topic) for topic in topics],
        )
        for group, topics in READS.items()
    )
