"""The calls as a Kafka topic, for the systems that read from nothing else; on the tests' real Kafka."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import orjson
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

from bench.peers.venvs import Missing
from tests.servers import KafkaServer, ServerMissing, kafka_server

FOREVER = {"retention.ms": "-1", "message.timestamp.after.max.ms": "31536000000000"}
"""Records carry the time of their call, which may be long ago or, for the closing call, ahead."""


class Broker:
    """Kafka, started when the first topic is asked for."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._server: KafkaServer | None = None
        self._topics: dict[tuple[Path, ...], str] = {}

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def brokers(self) -> str:
        if self._server is None:
            try:
                self._server = self._stack.enter_context(kafka_server())
            except ServerMissing as missing:
                raise Missing(str(missing)) from None
        return self._server.brokers

    def topic(self, parts: list[Path]) -> str:
        """A topic whose partitions are ``parts``: key caller, value the line, timestamp the call's time."""
        key = tuple(parts)
        if key not in self._topics:
            name = f"calls-{len(self._topics)}"
            admin = KafkaAdminClient(bootstrap_servers=self.brokers)
            admin.create_topics([NewTopic(name, len(parts), 1, topic_configs=FOREVER)])
            admin.close()
            producer = KafkaProducer(bootstrap_servers=self.brokers, linger_ms=50, batch_size=1 << 18)
            for partition, path in enumerate(parts):
                load(producer, name, partition, path)
            producer.flush()
            producer.close()
            self._topics[key] = name
        return self._topics[key]


def load(producer: KafkaProducer, topic: str, partition: int, path: Path) -> None:
    with path.open("rb") as lines:
        for line in lines:
            event = orjson.loads(line)
            producer.send(
                topic,
                line[:-1],
                key=event["caller"].encode(),
                partition=partition,
                timestamp_ms=event["time"],
            )
