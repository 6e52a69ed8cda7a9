"""The runner: binds a role's pure step to Kafka. One for every role that reads whole polls or has state.

A role says which topics it reads, how far back its state reaches, and what to do with a poll. The runner
owns the consumer: joins the group, rebuilds state from the log when partitions are assigned, processes
polls in a thread, sends what comes out, and commits in the order of `streams.checkpoint`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
from streams.reading import POLL_MS, reading, replay
from streams.snapshots import SnapshotError
from streams.work import KeptWork, Role, Work

MAX_POLL_INTERVAL_MS = 1_000_000
"""A rebuild may keep a worker from polling for minutes; heartbeats go on, so it must not be expelled."""

STOP_TIMEOUT_S = 10.0
"""For each last thing a stopping worker waits for; longer, and an orchestrator kills it meanwhile."""

REVOKE_TIMEOUT_S = 20.0
"""For the same when partitions are handed over; longer, and the whole group waits for one worker."""

STALL_S = 10.0
"""A role that has waited so long for what it sends or stores to be taken is no longer ready."""

RETRY_S = 2.0
"""After a failure the role waits this long, then starts over from the last commit."""


FULL_POLL_BYTES = 2 * 1024 * 1024
"""Of values; half of what one partition may add to a poll."""


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
        self._snapshot_due: dict[TopicPartition, float] = {}
        self._snapshot_at: dict[TopicPartition, int] = {}
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
        for close in (self.role.close, self._stop_snapshots, self.producer.stop, self.consumer.stop):
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(close(), STOP_TIMEOUT_S)

    async def _stop_snapshots(self) -> None:
        if self.role.snapshots is not None:
            await self.role.snapshots.stop()

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
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and asked_to_end():
                    raise
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
                    await self._take_snapshot()
            if self.role.linger_s and not is_full(polled):
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

    async def _take_snapshot(self) -> None:
        """Of the partition whose turn it is, right after a commit: the state then stands for that offset."""
        snapshots = self.role.snapshots
        if snapshots is None or snapshots.busy:
            return
        now = time.monotonic()
        waiting = [each for each, due in self._snapshot_due.items() if due <= now and self._moved_on(each)]
        if not waiting:
            return
        partition = min(waiting, key=self._snapshot_due.__getitem__)
        work = self._work[partition]
        assert isinstance(work, KeptWork)
        self._snapshot_due[partition] = now + snapshots.every_s
        self._snapshot_at[partition] = self._next[partition]
        packed = await asyncio.to_thread(work.snapshot)
        self.metrics.snapshot_copied(time.monotonic() - now)
        snapshots.save(partition.partition, self._next[partition], work.layout, packed)

    def _moved_on(self, partition: TopicPartition) -> bool:
        """Whether there is anything that its last snapshot does not know."""
        return self._next.get(partition) != self._snapshot_at.get(partition)

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
        self._snapshot_at = {}
        started = time.monotonic()
        await self.role.restore(partitions)
        if self.role.snapshots is not None:
            await self.role.snapshots.read_manifests()
        replayed = 0
        for partition in sorted(partitions, key=self._order):
            self._work[partition], count = await self._restored(partition, generation)
            replayed += count
        self._schedule_snapshots(started)
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
        new = []
        for partition in partitions:
            committed = await committed_offset(self.consumer, partition)
            if committed is None:
                new.append(partition)
            else:
                self.consumer.seek(partition, committed)
        if new:  # all at once: each question waits behind a fetch that the broker holds half a second
            await self.consumer.seek_to_beginning(*new)

    async def _restored(self, partition: TopicPartition, generation: int) -> tuple[Work, int]:
        """The partition's state as it was at the commit, and how many records were replayed for it."""
        committed = await committed_offset(self.consumer, partition) if self.role.stateful else None
        if not committed:
            return self.role.open(partition), 0
        work, start = await self._from_snapshot(partition, committed)
        lookback = self.role.lookback(partition.topic)

        def still_ours() -> bool:
            return generation == self._generation

        return work, await replay(self.settings, partition, committed, lookback, work, still_ours, start)

    async def _from_snapshot(self, partition: TopicPartition, committed: int) -> tuple[Work, int | None]:
        """State from the newest snapshot that is whole and fits, and its offset; or a new one, and None."""
        work = self.role.open(partition)
        if self.role.snapshots is None:
            return work, None
        assert isinstance(work, KeptWork)
        async for manifest, parts in self.role.snapshots.find(partition.partition, work.layout, committed):
            try:
                await asyncio.to_thread(work.restore, parts)
            except SnapshotError as error:
                self.role.snapshots.pass_over(manifest, str(error))
                work = self.role.open(partition)
                assert isinstance(work, KeptWork)
            else:
                self.metrics.snapshot("used")
                self._log.info("from a snapshot", partition=partition.partition, offset=manifest.offset)
                return work, manifest.offset
        return work, None

    def _schedule_snapshots(self, now: float) -> None:
        """The partitions take turns, so that one waits for its snapshot at a time."""
        if self.role.snapshots is None:
            return
        every_s, count = self.role.snapshots.every_s, len(self._work)
        self._snapshot_due = {
            partition: now + every_s * (place + 1) / count
            for place, partition in enumerate(sorted(self._work, key=self._order))
        }

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


def asked_to_end() -> bool:
    """Whether somebody cancelled the running task.

    A consumer of aiokafka that is stopped while its broker goes lets the cancellation of its own fetches out,
    as if the one who stopped it had been cancelled.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_full(polled: Mapping[TopicPartition, Sequence[Any]]) -> bool:
    """Whether there is enough in a poll that no more need be gathered for the next."""
    return sum(len(each.value or b"") for records in polled.values() for each in records) >= FULL_POLL_BYTES


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._runner.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._runner.assigned()
