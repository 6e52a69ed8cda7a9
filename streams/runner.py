"""The runner: binds a role's pure step to Kafka. One for every role that reads whole polls or has state.

A role says which topics it reads, how far back its state reaches, and what to do with a poll. The runner
owns the consumer: joins the group, rebuilds state from the log when partitions are assigned, processes
polls in a thread, sends what comes out, and commits in the order of `streams.checkpoint`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, KafkaError
from mode import Service

from config.settings import Settings
from streams.checkpoint import COMMIT_EVERY_S, Checkpoint
from streams.health import Readiness
from streams.metrics import Metrics
from streams.offsets import committed_offset
from streams.outbox import Outbox
from streams.wire.outgoing import Outgoing

POLL_MS = 200
"""An empty poll waits this long; it bounds how late a stop or a commit is noticed."""

MAX_POLL_INTERVAL_MS = 1_000_000
"""A rebuild may keep a worker from polling for minutes; heartbeats go on, so it must not be expelled."""

MAX_FETCH_BYTES = 4 << 20
"""Of one partition in one fetch: bounds memory to partitions x this, and to one record where it is longer."""

STOP_TIMEOUT_S = 10.0
"""For each last thing a stopping worker waits for; longer, and an orchestrator kills it meanwhile."""

REVOKE_TIMEOUT_S = 20.0
"""For the same when partitions are handed over; longer, and the whole group waits for one worker."""

STALL_S = 10.0
"""A role that has waited so long for what it sends or stores to be taken is no longer ready."""

RETRY_S = 2.0
"""After a failure the role waits this long, then starts over from the last commit."""


class Work(Protocol):
    """The state behind one input partition."""

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        """Fold ``records`` (in offset order) in; what comes out of it.

        ``live`` is False while state is rebuilt: what comes out was sent before, so nothing is counted
        and what is returned is dropped.
        """


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
    linger_s = 0.0
    """Pause after a poll that gave less than a full one, so that outgoing records are of a good size."""

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


class Runner(Service):  # type: ignore[misc]
    """Runs one role until stopped. Any failure starts the role over from the last commit."""

    def __init__(
        self,
        role: Role,
        settings: Settings,
        producer: Outbox,
        readiness: Readiness,
        metrics: Metrics,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.role = role
        self.settings = settings
        self.producer = producer
        self.readiness = readiness
        self.metrics = metrics
        self._work: dict[TopicPartition, Work] = {}
        self._next: dict[TopicPartition, int] = {}
        self._generation = 0
        self._assigned = False
        self._rebuilt = -1
        self._turn = asyncio.Lock()
        self._waits_since: float | None = None
        self._log = structlog.get_logger(role.name)
        readiness.set(role.name, False, "starting")

    @property
    def label(self) -> str:
        return f"Runner-{self.role.name}"

    async def on_start(self) -> None:
        self.consumer = AIOKafkaConsumer(
            group_id=f"{self.settings.kafka.topic_prefix}ringfence-{self.role.name}",
            enable_auto_commit=False,
            session_timeout_ms=self.settings.kafka.session_timeout_ms,
            heartbeat_interval_ms=max(500, self.settings.kafka.session_timeout_ms // 4),
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            partition_assignment_strategy=(RangePartitionAssignor,),
            **reading(self.settings),
        )
        session_s = self.settings.kafka.session_timeout_ms / 1000
        self.checkpoint = Checkpoint(self.consumer, self.producer, self.role.flush, session_s)
        await self.consumer.start()
        self.consumer.subscribe(list(self.role.topics), listener=_Rebalance(self))

    async def on_stop(self) -> None:
        """Takes at most STOP_TIMEOUT_S for each thing it waits for, whatever does not answer."""
        try:
            await asyncio.wait_for(self._turn.acquire(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._log.warning("no commit before stopping: what it waits for does not answer")
        else:
            await self._commit_before("stopping", STOP_TIMEOUT_S)
        for close in (self.role.close, self.producer.stop, self.consumer.stop):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(close(), STOP_TIMEOUT_S)

    async def _commit_before(self, what: str, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.checkpoint.commit(), seconds)
        except (KafkaError, OSError, TimeoutError) as error:
            self._log.warning(f"no commit before {what}; its work will be repeated", error=str(error))

    @Service.task  # type: ignore[untyped-decorator]
    async def _poll_for_ever(self) -> None:
        failed = False
        while not self.should_stop:
            try:
                if failed:
                    await self._start_over()
                await self._poll_until_failure()
            except CommitFailedError as error:
                self._log.info("the group has moved on; what was not committed is repeated", error=str(error))
                failed = True
            except Exception as error:
                if self.should_stop:
                    return
                self.readiness.set(self.role.name, False, f"starting over: {error}")
                self._log.error("starting over from the last commit", error=repr(error), exc_info=True)
                failed = True
                self._rebuilt = -1
                await self.producer.renew()
                await self.sleep(RETRY_S)

    async def _poll_until_failure(self) -> None:
        committed_at = time.monotonic()
        while not self.should_stop:
            generation = self._generation
            if not self._assigned:
                await self.sleep(POLL_MS / 1000)
                continue
            if self._rebuilt != generation:
                async with self._turn:
                    await self._rebuild(generation)
                continue
            polled = await self.consumer.getmany(timeout_ms=POLL_MS)
            async with self._turn:
                if generation != self._generation or self.should_stop:
                    continue
                await self.role.follow()
                for partition in sorted(polled, key=self._order):
                    await self._process(partition, polled[partition])
                with self._waiting():
                    await self.checkpoint.send(self.role.idle())
                if time.monotonic() - committed_at >= COMMIT_EVERY_S:
                    with self._waiting():
                        await self.checkpoint.commit()
                    committed_at = time.monotonic()
                    self.metrics.committed(self.role.name)
                    self.metrics.lag(self.role.name, self._lag())
            if self.role.linger_s:
                await self.sleep(self.role.linger_s)

    def _order(self, partition: TopicPartition) -> tuple[int, int]:
        return self.role.topics.index(partition.topic), partition.partition

    async def _process(self, partition: TopicPartition, records: list[Any]) -> None:
        started = time.perf_counter()
        with self._waiting():
            out = await asyncio.to_thread(self._work[partition].process, records, True)
            self.metrics.step_seconds(self.role.name, time.perf_counter() - started)
            await self.checkpoint.send(out)
        self._next[partition] = records[-1].offset + 1
        self.checkpoint.processed(partition, records[-1].offset + 1)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        """What may take long where something downstream is slow or gone: `_watch_stall` looks at it."""
        self._waits_since = time.monotonic()
        try:
            yield
        finally:
            self._waits_since = None

    @Service.timer(1.0)  # type: ignore[untyped-decorator]
    async def _watch_stall(self) -> None:
        if self._rebuilt != self._generation:
            return  # it is not ready for another reason, which says so itself
        seconds = 0.0 if self._waits_since is None else time.monotonic() - self._waits_since
        self.metrics.waited(self.role.name, seconds)
        if seconds >= STALL_S:
            self.readiness.set(
                self.role.name, False, f"{seconds:.0f} s in one poll: what it feeds is slow or gone"
            )
        else:
            self.readiness.set(self.role.name, True, f"{len(self._work)} partitions")

    def _lag(self) -> dict[str, int]:
        lag = dict.fromkeys(self.role.topics, 0)
        for partition, next_offset in self._next.items():
            end = self.consumer.highwater(partition)
            lag[partition.topic] += max(0, (end or 0) - next_offset)
        return lag

    async def _start_over(self) -> None:
        async with self._turn:
            self.checkpoint.forget()
            self._generation += 1

    async def _rebuild(self, generation: int) -> None:
        """Open the assigned partitions' work, replay what its state reaches back to, go on at the commit."""
        partitions = self.consumer.assignment()
        self._work = {}
        self._next = {}
        started = time.monotonic()
        await self.role.restore(partitions)
        replayed = 0
        for partition in sorted(partitions, key=self._order):
            work = self.role.open(partition)
            if self.role.stateful:
                replayed += await self._replay(partition, work, generation)
            self._work[partition] = work
        await self._go_back_to_commit(partitions)
        if generation != self._generation:
            return
        self._rebuilt = generation
        seconds = time.monotonic() - started
        self.metrics.rebuilt(self.role.name, seconds)
        self.readiness.set(self.role.name, True, f"{len(partitions)} partitions")
        self._log.info("ready", partitions=len(partitions), replayed=replayed, seconds=round(seconds, 2))

    async def _go_back_to_commit(self, partitions: set[TopicPartition]) -> None:
        """A poll of an earlier generation was dropped, and the consumer has moved past it."""
        for partition in partitions:
            committed = await committed_offset(self.consumer, partition)
            if committed is None:
                await self.consumer.seek_to_beginning(partition)
            else:
                self.consumer.seek(partition, committed)

    async def _replay(self, partition: TopicPartition, work: Work, generation: int) -> int:
        committed = await committed_offset(self.consumer, partition)
        if not committed:
            return 0
        lookback = self.role.lookback(partition.topic)

        def still_ours() -> bool:
            return generation == self._generation

        return await replay(self.settings, partition, committed, lookback, work, still_ours)

    async def revoked(self) -> None:
        self._generation += 1
        self._assigned = False
        self.readiness.set(self.role.name, False, "rebalancing")
        async with self._turn:
            await self._commit_before("handing partitions over", REVOKE_TIMEOUT_S)
            self.checkpoint.forget()
            self._work = {}

    def assigned(self) -> None:
        self._generation += 1
        self._assigned = True


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._runner.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._runner.assigned()


def reading(settings: Settings) -> dict[str, Any]:
    """Settings that every consumer shares."""
    return {
        "bootstrap_servers": settings.kafka.brokers,
        "request_timeout_ms": settings.kafka.request_timeout_ms,
        "max_partition_fetch_bytes": MAX_FETCH_BYTES,
        "check_crcs": False,
        "auto_offset_reset": "earliest",  # never past what was not read
    }


async def replay(
    settings: Settings,
    partition: TopicPartition,
    end: int,
    lookback_ms: int | None,
    work: Work,
    still_wanted: Any,
) -> int:
    """Feed ``work`` the records before offset ``end`` that are at most ``lookback_ms`` older; how many."""
    consumer = AIOKafkaConsumer(group_id=None, enable_auto_commit=False, **reading(settings))
    await consumer.start()
    try:
        consumer.assign([partition])
        position = await _start_of_replay(settings, consumer, partition, end, lookback_ms)
        consumer.seek(partition, position)
        fed = 0
        while position < end and still_wanted():
            polled = await consumer.getmany(partition, timeout_ms=POLL_MS)
            records = [record for record in polled.get(partition, []) if record.offset < end]
            if records:
                await asyncio.to_thread(work.process, records, False)
                fed += len(records)
            position = await consumer.position(partition)
        return fed
    finally:
        await consumer.stop()


async def _start_of_replay(
    settings: Settings,
    consumer: AIOKafkaConsumer,
    partition: TopicPartition,
    end: int,
    lookback_ms: int | None,
) -> int:
    beginning = (await consumer.beginning_offsets([partition]))[partition]
    if lookback_ms is None or beginning >= end:
        return int(min(beginning, end))
    consumer.seek(partition, max(beginning, end - 1))
    last = await asyncio.wait_for(consumer.getone(partition), settings.kafka.request_timeout_ms / 1000)
    found = await consumer.offsets_for_times({partition: max(0, last.timestamp - lookback_ms)})
    start = found[partition].offset if found[partition] is not None else beginning
    return int(min(max(beginning, start), end))


class Follower:
    """Reads single-partition ``topic`` whole, then follows it, outside of any group: every worker has all
    of it. ``take`` is given each record in order."""

    def __init__(self, settings: Settings, topic: str, take: Callable[[Any], None]) -> None:
        self._settings = settings
        self._partition = TopicPartition(topic, 0)
        self._take = take
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Returns when everything that was there at the call is taken in."""
        self._consumer = AIOKafkaConsumer(group_id=None, enable_auto_commit=False, **reading(self._settings))
        await self._consumer.start()
        self._consumer.assign([self._partition])
        end = (await self._consumer.end_offsets([self._partition]))[self._partition]
        await self._consumer.seek_to_beginning(self._partition)
        while await self._consumer.position(self._partition) < end:
            await self._poll(POLL_MS)

    async def catch_up(self) -> None:
        """Takes in what has arrived since; waits for nothing."""
        await self._poll(0)

    async def stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    async def _poll(self, timeout_ms: int) -> None:
        assert self._consumer is not None, "the follower was started"
        for records in (await self._consumer.getmany(self._partition, timeout_ms=timeout_ms)).values():
            for record in records:
                self._take(record)


async def read_compacted(settings: Settings, topic: str) -> dict[bytes, bytes]:
    """The present content of single-partition compacted ``topic``: key to value, tombstones left out."""
    partition = TopicPartition(topic, 0)
    content: dict[bytes, bytes] = {}

    class Latest:
        def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
            for record in records:
                if record.value is None:
                    content.pop(record.key, None)
                else:
                    content[record.key] = record.value
            return []

    consumer = AIOKafkaConsumer(group_id=None, enable_auto_commit=False, **reading(settings))
    await consumer.start()
    try:
        end = (await consumer.end_offsets([partition]))[partition]
    finally:
        await consumer.stop()
    await replay(settings, partition, end, None, Latest(), lambda: True)
    return content
