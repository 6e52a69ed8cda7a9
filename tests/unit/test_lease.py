"""A worker that stood still for longer than its session sends nothing until the group has confirmed it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from streams.lease import Lease
from streams.offsets import UNKNOWN

PARTITION = TopicPartition("alerts", 0)
SESSION_S = 6.0


class Group:
    """The broker's view: it takes commits until ``moved_on``."""

    def __init__(self) -> None:
        self.moved_on = False
        self.offset: int | None = 7
        self.commits: list[dict[TopicPartition, int]] = []

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    @property
    def _coordinator(self) -> Any:
        return self

    group_id = "ringfence-respond"

    async def ensure_coordinator_known(self) -> None:
        """It is known."""

    async def _send_req(self, request: Any) -> Any:
        offset = UNKNOWN if self.offset is None else self.offset
        return SimpleNamespace(topics=[("alerts", [(0, offset, "", 0)])], error_code=0)

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 3)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self.moved_on:
            raise CommitFailedError("another generation")
        self.commits.append(offsets)


class Watch:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _lease() -> tuple[Lease, Any, Watch]:
    group, watch = Group(), Watch()
    return Lease(group, SESSION_S, watch), group, watch


def test_asks_nothing_while_a_commit_is_fresh() -> None:
    lease, group, watch = _lease()
    lease.renewed(watch.now)
    watch.now += SESSION_S - 0.001
    asyncio.run(lease.hold())
    assert group.commits == []


def test_asks_once_the_session_may_have_ended() -> None:
    lease, group, watch = _lease()
    lease.renewed(watch.now)
    watch.now += SESSION_S
    asyncio.run(lease.hold())
    asyncio.run(lease.hold())
    assert group.commits == [{PARTITION: 7}]


def test_a_member_that_was_expelled_learns_it() -> None:
    lease, group, watch = _lease()
    lease.renewed(watch.now)
    group.moved_on = True
    watch.now += 60
    with pytest.raises(CommitFailedError):
        asyncio.run(lease.hold())


def test_the_lease_runs_from_when_the_broker_was_asked() -> None:
    lease, group, watch = _lease()
    asked = lease.now()
    watch.now += SESSION_S  # the answer took this long
    lease.renewed(asked)
    asyncio.run(lease.hold())
    assert len(group.commits) == 1


def test_where_nothing_was_committed_the_beginning_is() -> None:
    lease, group, _ = _lease()
    group.offset = None
    asyncio.run(lease.hold())
    assert group.commits == [{PARTITION: 3}]
