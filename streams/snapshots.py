"""Snapshots of a partition's state in Kafka, so that a rebuild need not replay a day.

A snapshot is its parts on `snapshots.parts` (same partition as the state's, key ``ID/N``) and then, when the
broker has them all, one manifest on `snapshots`. It says which offset the state stands for, and holds a
digest of the parts, so that what is half-written, damaged or of another layout is noticed and passed over.

Every snapshot has an id of its own and stands for a prefix of the log that was flushed and committed before
it was taken. So a worker that lost its partition without knowing can only add one that is older and just as
true, and removes none but those older than its own.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import msgspec
import structlog
import xxhash
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from config.settings import Settings
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.reading import POLL_MS, read_compacted, reading
from streams.topics import topic_name
from streams.wire.records import decode, encode

KEPT = 2
"""Snapshots of a partition that stay: where the newest is damaged, the one before it serves."""

SAVE_TIMEOUT_S = 120.0
"""For the broker to take a snapshot. Past it the snapshot is given up; the one before it stays."""

READ_TIMEOUT_S = 120.0
"""For reading one back. Past it the log is replayed instead."""


class SnapshotError(ValueError):
    """A snapshot that cannot be used; says why."""


class Manifest(msgspec.Struct, frozen=True):
    """What a complete snapshot is. The value of a record of `snapshots`, whose key is ``snapshot_id``."""

    snapshot_id: str
    partition: int
    offset: int
    """Of the first record of the log that the state does not know."""
    layout: str
    """Which states it fits (``streams.detect.snapshot.layout_of``)."""
    parts: int
    size: int
    """Bytes of all parts."""
    digest: str
    """xxh3-128 of the parts one after another, 32 hex digits."""
    first: int
    """Offset on `snapshots.parts` of the first part."""
    last: int


def usable(manifests: Iterable[Manifest], partition: int, layout: str, committed: int) -> list[Manifest]:
    """Those that a state of this layout can start from when the log was committed so far; newest first."""
    fitting = [
        each
        for each in manifests
        if each.partition == partition and each.layout == layout and each.offset <= committed
    ]
    return sorted(fitting, key=lambda each: (each.offset, each.snapshot_id), reverse=True)


def outdated(manifests: Iterable[Manifest], newest: Manifest) -> list[Manifest]:
    """Those of the same partition that ``newest`` makes needless: all but `KEPT` of what is no newer."""
    older = [
        each for each in manifests if each.partition == newest.partition and each.offset <= newest.offset
    ]
    return sorted(older, key=lambda each: (each.offset, each.snapshot_id), reverse=True)[KEPT:]


def digest_of(parts: Sequence[bytes]) -> str:
    """32 hex digits that name the content of ``parts``."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


class Snapshots:
    """Writes and finds the snapshots of one worker's partitions. At most one is written at a time."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.every_s = settings.detect.snapshot_ms / 1000
        """How often one of each partition is due."""
        self._settings = settings
        self._metrics = metrics
        self._manifests_topic = topic_name(settings, "snapshots")
        self._parts_topic = topic_name(settings, "snapshots.parts")
        self._known: dict[str, Manifest] = {}
        self._outbox = Outbox(settings)
        """One of its own, so that no alert waits behind the parts of a snapshot."""
        self._saving: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("snapshots")

    @property
    def busy(self) -> bool:
        """Whether one is being written."""
        return self._saving is not None and not self._saving.done()

    async def read_manifests(self) -> None:
        """Learn what snapshots there are, of every partition."""
        content = await read_compacted(self._settings, self._manifests_topic)
        self._known = {}
        for key, value in content.items():
            try:
                manifest = decode(value, Manifest)
            except msgspec.MsgspecError as error:
                self._pass_over(key.decode(errors="replace"), f"its manifest cannot be read: {error}")
            else:
                self._known[manifest.snapshot_id] = manifest

    async def find(
        self, partition: int, layout: str, committed: int
    ) -> AsyncIterator[tuple[Manifest, list[bytes]]]:
        """Complete snapshots that a state of ``layout`` can start from, newest first, read when asked for."""
        for manifest in usable(self._known.values(), partition, layout, committed):
            try:
                parts = await asyncio.wait_for(self._read(manifest), READ_TIMEOUT_S)
            except (SnapshotError, KafkaError, TimeoutError) as error:
                self.pass_over(manifest, str(error) or repr(error))
            else:
                yield manifest, parts

    def pass_over(self, manifest: Manifest, why: str) -> None:
        """Count and log that this one is of no use."""
        self._pass_over(manifest.snapshot_id, why, partition=manifest.partition, offset=manifest.offset)

    def save(self, partition: int, offset: int, layout: str, packed: Callable[[], list[bytes]]) -> None:
        """Write the snapshot whose parts ``packed`` makes, in the background. ``offset`` must have been
        committed."""
        assert not self.busy, "one snapshot at a time"
        self._saving = asyncio.create_task(self._save(partition, offset, layout, packed))

    async def settled(self) -> None:
        """Waits until the one that is being written is there, or was given up."""
        if self._saving is not None:
            await asyncio.wait({self._saving})

    async def stop(self) -> None:
        """Gives up what is being written."""
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)
            self._saving = None
        await self._outbox.stop()

    async def _save(
        self, partition: int, offset: int, layout: str, packed: Callable[[], list[bytes]]
    ) -> None:
        try:
            parts = await asyncio.to_thread(packed)
            await asyncio.wait_for(self._write(partition, offset, layout, parts), SAVE_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            await self._outbox.renew()
            self._metrics.snapshot("failed")
            self._log.warning("no snapshot", partition=partition, offset=offset, error=repr(error))

    async def _write(self, partition: int, offset: int, layout: str, parts: list[bytes]) -> None:
        id_ = uuid.uuid4().hex
        sent = [
            await self._put(self._parts_topic, _part_key(id_, number), part, partition)
            for number, part in enumerate(parts)
        ]
        manifest = Manifest(
            snapshot_id=id_,
            partition=partition,
            offset=offset,
            layout=layout,
            parts=len(parts),
            size=sum(map(len, parts)),
            digest=digest_of(parts),
            first=sent[0].offset,
            last=sent[-1].offset,
        )
        await self._put(self._manifests_topic, id_.encode(), encode(manifest))
        self._known[id_] = manifest
        self._metrics.snapshot("written", manifest.size)
        for old in outdated(self._known.values(), manifest):
            await self._remove(old)

    async def _remove(self, manifest: Manifest) -> None:
        """The manifest first: a snapshot without its parts must not be found."""
        await self._put(self._manifests_topic, manifest.snapshot_id.encode(), None)
        for number in range(manifest.parts):
            key = _part_key(manifest.snapshot_id, number)
            await self._put(self._parts_topic, key, None, manifest.partition)
        del self._known[manifest.snapshot_id]

    async def _put(self, topic: str, key: bytes, value: bytes | None, partition: int | None = None) -> Any:
        """Where the broker has put it."""
        return await (await self._outbox.send(topic, value=value, key=key, partition=partition))

    async def _read(self, manifest: Manifest) -> list[bytes]:
        partition = TopicPartition(self._parts_topic, manifest.partition)
        found: dict[bytes, bytes] = {}
        consumer = AIOKafkaConsumer(group_id=None, enable_auto_commit=False, **reading(self._settings))
        await consumer.start()
        try:
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            beginning = (await consumer.beginning_offsets([partition]))[partition]
            if not beginning <= manifest.first <= manifest.last < end:
                there = f"the topic has {beginning} to {end}"
                raise SnapshotError(f"its parts are at {manifest.first} to {manifest.last}; {there}")
            consumer.seek(partition, manifest.first)
            while await consumer.position(partition) <= manifest.last:
                for record in await _polled(consumer, partition):
                    if record.value is not None and record.offset <= manifest.last:
                        found[record.key] = record.value
        finally:
            await consumer.stop()
        return _complete(manifest, found)

    def _pass_over(self, id_: str, why: str, **about: int) -> None:
        self._metrics.snapshot("passed_over")
        self._log.warning("a snapshot is passed over", snapshot=id_, why=why, **about)


async def _polled(consumer: AIOKafkaConsumer, partition: TopicPartition) -> list[Any]:
    polled = await consumer.getmany(partition, timeout_ms=POLL_MS)
    records: list[Any] = polled.get(partition, [])
    return records


def _complete(manifest: Manifest, found: dict[bytes, bytes]) -> list[bytes]:
    keys = [_part_key(manifest.snapshot_id, number) for number in range(manifest.parts)]
    missing = sum(key not in found for key in keys)
    if missing:
        raise SnapshotError(f"{missing} of its {manifest.parts} parts are missing")
    parts = [found[key] for key in keys]
    if digest_of(parts) != manifest.digest:
        raise SnapshotError("its parts are not those that were written: the digest differs")
    return parts


def _part_key(snapshot_id: str, number: int) -> bytes:
    return f"{snapshot_id}/{number:06}".encode()
