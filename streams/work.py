"""What a role is to its runner: which topics it reads, what it remembers, what it does with a poll."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from aiokafka import TopicPartition

from streams.snapshots import Snapshots
from streams.wire.arrow import BatchError
from streams.wire.outgoing import Outgoing

T = TypeVar("T")


def passed_over(log: Any, record: Any, error: Exception) -> None:
    """Says in ``log`` that ``record`` is of no use to the role that read it."""
    log.error(
        "a record cannot be read and is passed over; it stays on its topic",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        error=str(error),
    )


def readable(log: Any, records: Iterable[Any], decode: Callable[[bytes], T]) -> Iterator[T]:
    """What of ``records`` can be read; the others are passed over. ``decode`` raises BatchError."""
    for record in records:
        try:
            decoded = decode(record.value)
        except BatchError as error:
            passed_over(log, record, error)
        else:
            yield decoded


class Work(Protocol):
    """The state behind one input partition."""

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        """Fold ``records`` (in offset order) in; what comes out of it.

        ``live`` is False while state is rebuilt: what comes out was sent before, so nothing is counted
        and what is returned is dropped.
        """


@runtime_checkable
class KeptWork(Work, Protocol):
    """State that snapshots are taken of."""

    layout: str
    """Which snapshots fit."""

    def snapshot(self) -> Callable[[], list[bytes]]:
        """All of it as it is now. What is returned makes the parts, beside the work that goes on."""

    def restore(self, parts: Iterable[bytes]) -> None:
        """Goes on from ``parts``; nothing was processed before. Raises SnapshotError where they are of no
        use; then so is this."""


class Role:
    """How a role binds its step to topics."""

    name: str
    topics: tuple[str, ...]
    """Full names, in the order in which one poll's records are processed. A role that needs several
    single-partition topics on one worker names them together: the range assignor keeps them together."""
    lookback_ms: int | None = None
    """How far before the commit its state reaches."""
    stateful = False
    """Whether its state is a fold over its input, to be rebuilt when partitions are assigned."""
    snapshots: Snapshots | None = None
    """Where the snapshots of its works (each a `KeptWork`) are; None: the log alone rebuilds them."""
    linger_s = 0.0
    """Pause after a poll that was not a full one, so that the next one has many records."""

    def lookback(self, topic: str) -> int | None:
        """How far before the commit its state reaches on ``topic``; None: to the topic's beginning."""
        return self.lookback_ms

    async def restore(self, partitions: set[TopicPartition]) -> None:
        """Read what the role needs besides its input (compacted topics) before any work is opened."""

    def open(self, partition: TopicPartition) -> Work:
        raise NotImplementedError

    async def follow(self) -> None:
        """Called before the records of a poll are processed: take in what came on topics that the role
        reads whole on every worker."""

    async def close(self) -> None:
        """Let go of what `restore` opened."""

    async def flush(self) -> None:
        """Make durable what went to a sink other than Kafka."""

    def idle(self) -> list[Outgoing]:
        """Called after every poll: what is due without any record."""
        return []
