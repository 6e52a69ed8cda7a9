"""Flush, then commit: never the other way round, and nothing is committed when a flush fails."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from streams.checkpoint import Checkpoint
from streams.wire.outgoing import Outgoing

PARTITION = TopicPartition("frames", 3)


class Broker:
    """Consumer, producer and sink in one: notes the order of what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.commits: dict[TopicPartition, int] = {}

    def assignment(self) -> set[TopicPartition]:
        return set()

    async def send(self, topic: str, **_: Any) -> asyncio.Future[None]:
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, self._acknowledge, acknowledged)
        return acknowledged

    def _acknowledge(self, future: asyncio.Future[None]) -> None:
        self.asked.append("acknowledged")
        if self.failure:
            future.set_exception(self.failure)
        else:
            future.set_result(None)

    async def flush(self) -> None:
        self.asked.append("stored")

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.asked.append("committed")
        self.commits |= offsets


async def _work(broker: Broker) -> None:
    checkpoint = Checkpoint(broker, broker, broker.flush)
    await checkpoint.send([Outgoing("alerts", b"a", b"{}")])
    checkpoint.processed(PARTITION, 42)
    await checkpoint.commit()


def test_commits_only_what_is_acknowledged_and_stored() -> None:
    broker = Broker()
    asyncio.run(_work(broker))
    assert broker.asked == ["acknowledged", "stored", "committed"]
    assert broker.commits == {PARTITION: 42}


def test_commits_nothing_when_the_broker_refused_a_record() -> None:
    broker = Broker()
    broker.failure = ConnectionError("gone")
    with pytest.raises(ConnectionError):
        asyncio.run(_work(broker))
    assert broker.commits == {}


def test_commits_nothing_when_the_store_refused() -> None:
    broker = Broker()

    async def refuse() -> None:
        raise OSError("store is gone")

    async def work() -> None:
        checkpoint = Checkpoint(broker, broker, refuse)
        checkpoint.processed(PARTITION, 42)
        await checkpoint.commit()

    with pytest.raises(OSError, match="store is gone"):
        asyncio.run(work())
    assert broker.commits == {}


def test_what_was_forgotten_is_not_committed() -> None:
    broker = Broker()

    async def work() -> None:
        checkpoint = Checkpoint(broker, broker)
        checkpoint.processed(PARTITION, 42)
        checkpoint.forget()
        await checkpoint.commit()

    asyncio.run(work())
    assert broker.asked == []


def test_sends_nothing_where_the_group_has_moved_on() -> None:
    class Expelled(Broker):
        def assignment(self) -> set[TopicPartition]:
            return {PARTITION}

        @property
        def _coordinator(self) -> Any:
            return self

        group_id = "ringfence-detect"

        async def ensure_coordinator_known(self) -> None:
            """It is known."""

        async def _send_req(self, request: Any) -> Any:
            return SimpleNamespace(topics=[("frames", [(3, 41, "", 0)])], error_code=0)

        async def commit(self, offsets: dict[TopicPartition, int]) -> None:
            raise CommitFailedError("another generation")

    broker = Expelled()
    with pytest.raises(CommitFailedError):
        asyncio.run(_work(broker))
    assert broker.asked == []
