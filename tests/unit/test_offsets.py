"""The committed offset: an answer that is an error is never taken for a group without commits."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)

from streams.offsets import UNKNOWN, committed_offset

PARTITION = TopicPartition("frames", 2)


class Coordinator:
    group_id = "ringfence-detect"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.looked_up = 0

    async def ensure_coordinator_known(self) -> None:
        self.looked_up += 1

    def coordinator_dead(self) -> None:
        self.looked_up += 100

    async def _send_req(self, request: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _told(offset: int, error_code: int = 0) -> Any:
    return SimpleNamespace(topics=[("frames", [(2, offset, "", error_code)])], error_code=0)


def _refused(error: type) -> Any:
    """As a coordinator says it that speaks of the whole group: no topics, one error."""
    return SimpleNamespace(topics=[], error_code=error.errno)  # type: ignore[attr-defined]


def _asked(*answers: Any) -> tuple[int | None, Coordinator]:
    coordinator = Coordinator(*answers)
    consumer: Any = SimpleNamespace(_coordinator=coordinator)
    return asyncio.run(committed_offset(consumer, PARTITION)), coordinator


def test_a_commit_and_none() -> None:
    assert _asked(_told(26))[0] == 26
    assert _asked(_told(0))[0] == 0
    assert _asked(_told(UNKNOWN))[0] is None


def test_a_coordinator_that_loads_is_asked_again() -> None:
    assert _asked(_refused(GroupLoadInProgressError), _refused(GroupLoadInProgressError), _told(26))[0] == 26
    assert _asked(_told(UNKNOWN, GroupLoadInProgressError.errno), _told(26))[0] == 26


def test_another_coordinator_is_looked_for() -> None:
    offset, coordinator = _asked(_refused(NotCoordinatorForGroupError), _told(26))
    assert offset == 26
    assert coordinator.looked_up > 100


def test_a_broker_that_is_away_is_waited_for() -> None:
    assert _asked(NotCoordinatorForGroupError(), _told(26))[0] == 26


def test_what_will_not_pass_is_raised() -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        _asked(_refused(GroupAuthorizationFailedError))
