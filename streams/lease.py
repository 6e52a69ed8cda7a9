"""Whether this process may still act for its partitions.

A process that stood still for longer than its session (stopped, swapped out, cut off from the broker) has
lost them without knowing it, and goes on where it stood when it wakes. The broker refuses its commits, but
takes its records. So nothing is sent unless the group confirmed this member within the session time-out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer

from streams.offsets import committed_offset

ANSWER_S = 30.0
"""For the broker to say whether we are still a member. Without an answer the role starts over."""


class Lease:
    """For ``seconds`` after the broker took a commit of ours, it gives our partitions to nobody else."""

    def __init__(
        self, consumer: AIOKafkaConsumer, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._consumer = consumer
        self._seconds = seconds
        self._clock = clock
        self._until = clock()

    def now(self) -> float:
        """To be handed to ``renewed``: when the broker was asked."""
        return self._clock()

    def renewed(self, asked_at: float) -> None:
        """The broker took a commit that was sent at ``asked_at``."""
        self._until = max(self._until, asked_at + self._seconds)

    async def hold(self) -> None:
        """Returns where the lease holds, after asking the broker if need be.

        Raises CommitFailedError where the group has moved on, TimeoutError where nobody answers.
        """
        if self._clock() < self._until:
            return
        asked = self._clock()
        await asyncio.wait_for(self._commit_again(), ANSWER_S)
        self.renewed(asked)

    async def _commit_again(self) -> None:
        """Commits what is committed: the broker takes that from a member of the present generation only."""
        for partition in sorted(self._consumer.assignment())[:1]:
            committed = await committed_offset(self._consumer, partition)
            if committed is None:
                committed = (await self._consumer.beginning_offsets([partition]))[partition]
            await self._consumer.commit({partition: committed})
