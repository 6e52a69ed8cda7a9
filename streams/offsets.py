"""Which offset a group has committed, as the broker tells it.

aiokafka 0.14 overlooks the error of a whole answer (KIP-88): a coordinator that still loads, after a
restart of its broker, looks to it like a group that has committed nothing. A rebuild that believed that
would leave out everything before the commit, and count again what it should have recognised.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NoError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest

ANSWER_S = 60.0
"""For a coordinator that answers. Without one the role starts over."""
RETRY_S = 0.1
UNKNOWN = -1


async def committed_offset(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """The offset that the group of ``consumer`` has committed; None where it has committed none.

    Waits while the coordinator is not there or still loads. Raises KafkaError for what will not pass, and
    TimeoutError after ANSWER_S.
    """
    coordinator = consumer._coordinator
    request = OffsetFetchRequest(coordinator.group_id, [(partition.topic, [partition.partition])])
    async with asyncio.timeout(ANSWER_S):
        while True:
            await coordinator.ensure_coordinator_known()
            try:
                return _offset(await coordinator._send_req(request))
            except KafkaError as error:
                if not error.retriable:
                    raise
                if isinstance(error, (NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError)):
                    coordinator.coordinator_dead()
                await asyncio.sleep(RETRY_S)


def _offset(answer: Any) -> int | None:
    """The offset in an answer about one partition. Raises the error that it tells, of whatever part."""
    _check(getattr(answer, "error_code", NoError.errno))
    [(_, [(_, offset, _, error_code)])] = answer.topics
    _check(error_code)
    return None if offset == UNKNOWN else int(offset)


def _check(error_code: int) -> None:
    if error_code != NoError.errno:
        raise for_code(error_code)()
