"""Reads `block-rules` into a `RuleBook`: the whole compacted topic first, then every change.

No consumer group and no stored offsets: a switch that starts reads everything again, so nothing can be
missed or left over. Blocking and in-process; one thread uses one reader.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from config.settings import KafkaSettings
from streams.faults import Fault
from streams.switches.rulebook import Applied, RuleBook

BLOCK_RULES = "block-rules"
RETRY_FIRST_S = 0.5
RETRY_MOST_S = 10.0
POLL_MS = 500
POLL_RECORDS = 5_000
DIGITS_OF_A_TIME = 13
"""Of ms since the epoch, until the year 2286."""
CHECK_EVERY_S = 10.0
"""How often the reader asks for the end of the topic, which also shows that the broker answers."""
STALE_AFTER_S = 60.0
"""A reader whose broker has not answered for so long is no longer ready."""


class RulesUnreachable(Fault):
    """The topic could not be read in the given time."""


class Change(NamedTuple):
    """What became of one record of the topic."""

    applied: Applied
    at: int
    """Event time of the change in ms, from the record's headers; where they lack it its Kafka timestamp."""
    why: str = ""
    """The issuer's sentence, from the record's headers."""


class Consumer(Protocol):
    """What the reader needs of ``kafka.KafkaConsumer``."""

    def partitions_for_topic(self, topic: str) -> set[int] | None: ...
    def assign(self, partitions: list[TopicPartition]) -> None: ...
    def seek_to_beginning(self, *partitions: TopicPartition) -> None: ...
    def end_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]: ...
    def position(self, partition: TopicPartition, timeout_ms: int) -> int | None: ...
    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]: ...
    def close(self) -> None: ...


class RuleReader:
    """Keeps ``book`` in step with the topic. Use as a context manager, or call `close`.

    ``options`` go to ``kafka.KafkaConsumer`` (TLS, SASL). Broken connections are tried again for ever with
    a pause of 0.5 s that doubles up to 10 s; only `load` gives up, after the time it is given. Meanwhile the
    book stays as it is: rules end by their own expiry, and `ready` turns False.
    """

    def __init__(
        self,
        book: RuleBook,
        settings: KafkaSettings,
        options: Mapping[str, Any] | None = None,
        open_consumer: Callable[..., Consumer] = KafkaConsumer,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.book = book
        self.topic = f"{settings.topic_prefix}{BLOCK_RULES}"
        self.caught_up = False
        """Whether the topic has been read to its end since the connection was last made."""
        self.behind: int | None = None
        """Records of the topic not yet read when last asked; None before."""
        self._settings = settings
        self._options = {
            "bootstrap_servers": [broker.strip() for broker in settings.brokers.split(",")],
            "client_id": "ringfence-switch",
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "allow_auto_create_topics": False,
            "request_timeout_ms": settings.request_timeout_ms,
            "bootstrap_timeout_ms": settings.request_timeout_ms,
            **(options or {}),
        }
        self._open_consumer = open_consumer
        self._monotonic = monotonic
        self._sleep = sleep
        self._consumer: Consumer | None = None
        self._partitions: list[TopicPartition] = []
        self._ends: dict[TopicPartition, int] = {}
        self._loading: RuleBook | None = None
        self._loaded_by: dict[str, Change] = {}
        self._answered_at: float | None = None
        self._asked_at = 0.0
        self._pause = RETRY_FIRST_S
        self._problem = ""
        self._log = structlog.get_logger("rules")

    @property
    def ready(self) -> bool:
        """Whether the book is whole and the broker answered lately: what a readiness probe asks."""
        return (
            self.caught_up
            and self._answered_at is not None
            and self._monotonic() - self._answered_at < STALE_AFTER_S
        )

    def load(self, timeout_s: float = 60.0) -> list[Change]:
        """Read until the book holds all that is on the topic: the rules that are live then.

        Raises `RulesUnreachable` after ``timeout_s``.
        """
        deadline = self._monotonic() + timeout_s
        changes: list[Change] = []
        while not self.caught_up:
            changes += self.poll()
            if not self.caught_up and self._monotonic() >= deadline:
                raise RulesUnreachable(
                    f"{self.topic} on {self._settings.brokers} was not read to its end in {timeout_s:g} s"
                    + (f": {self._problem}" if self._problem else ""),
                    "see what `ringfence doctor` says of the broker and its topics",
                )
        return changes

    def follow(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Change]:
        """Every change as it comes, until ``stop()``, which is asked after every poll."""
        while not stop():
            yield from self.poll()

    def poll(self, timeout_ms: int = POLL_MS) -> list[Change]:
        """Wait up to ``timeout_ms`` for records and take them in. Never raises for a broker that fails."""
        try:
            return self._poll(timeout_ms)
        except KafkaError as error:
            self._failed(error)
            return []

    def close(self) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _poll(self, timeout_ms: int) -> list[Change]:
        if self._consumer is None:
            self._consumer = self._open()
        polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=POLL_RECORDS)
        records = [record for partition in polled.values() for record in partition]
        if self._loading is not None:
            changes = self._load(self._loading, records, self._consumer)
        else:
            changes = [self._take(self.book, record) for record in records]
        if self._monotonic() - self._asked_at >= CHECK_EVERY_S:
            self._ask_how_far(self._consumer)
        self._pause = RETRY_FIRST_S
        self._problem = ""
        return changes

    def _open(self) -> Consumer:
        """A consumer at the beginning of the topic."""
        consumer = self._open_consumer(**self._options)
        try:
            numbers = consumer.partitions_for_topic(self.topic)
            if not numbers:
                raise KafkaError(f"there is no topic {self.topic}; `ringfence topics` creates it")
            self._partitions = [TopicPartition(self.topic, number) for number in sorted(numbers)]
            consumer.assign(self._partitions)
            consumer.seek_to_beginning(*self._partitions)
            self._ends = consumer.end_offsets(self._partitions, timeout_ms=self._settings.request_timeout_ms)
        except BaseException:
            consumer.close()
            raise
        self._answered()
        self._loading = self.book.emptied()
        self._loaded_by.clear()
        self.caught_up = False
        return consumer

    def _take(self, book: RuleBook, record: Any) -> Change:
        applied = book.apply(record.key, record.value)
        if applied.outcome == "refused":
            self._log.warning(
                "rule refused", rule_id=applied.rule_id, offset=record.offset, why=applied.message
            )
        return _change(applied, record)

    def _load(self, loading: RuleBook, records: list[Any], consumer: Consumer) -> list[Change]:
        """Read on into a book beside the real one, so that no rule of the past acts again meanwhile."""
        taken = [self._take(loading, record) for record in records]
        self._loaded_by.update((change.applied.rule_id, change) for change in taken)
        self.behind = self._left(consumer)
        refused = [change for change in taken if change.applied.outcome == "refused"]
        return refused if self.behind else refused + self._finish_loading(loading)

    def _finish_loading(self, loading: RuleBook) -> list[Change]:
        """Make the real book what was read: every partition was read to where it ended."""
        gone = sorted(self.book.rules.keys() - loading.rules.keys())
        applied = [self.book.remove(rule_id) for rule_id in gone]
        applied += [self.book.add(rule) for _, rule in sorted(loading.rules.items())]
        changes = [self._net_change(each) for each in applied if each.outcome != "unchanged"]
        self._loading = None
        self._loaded_by.clear()
        self.caught_up = True
        self._answered()
        return changes

    def _net_change(self, applied: Applied) -> Change:
        by = self._loaded_by.get(applied.rule_id)
        return (
            Change(applied, 0, "It is no longer on the topic.")
            if by is None
            else by._replace(applied=applied)
        )

    def _ask_how_far(self, consumer: Consumer) -> None:
        self._asked_at = self._monotonic()
        self._ends = consumer.end_offsets(self._partitions, timeout_ms=self._settings.request_timeout_ms)
        self.behind = self._left(consumer)
        self._answered()

    def _left(self, consumer: Consumer) -> int:
        timeout_ms = self._settings.request_timeout_ms
        return sum(
            max(0, self._ends[partition] - (consumer.position(partition, timeout_ms=timeout_ms) or 0))
            for partition in self._partitions
        )

    def _answered(self) -> None:
        self._answered_at = self._asked_at = self._monotonic()

    def _failed(self, error: KafkaError) -> None:
        """Start over with a new consumer after a pause; the book stays until the topic was read again."""
        self.caught_up = False
        self._problem = str(error)
        self._log.warning("rules cannot be read", topic=self.topic, error=str(error), retry_in_s=self._pause)
        self._sleep(self._pause)
        self._pause = min(self._pause * 2, RETRY_MOST_S)
        try:
            self.close()
        except KafkaError as closing:
            self._log.warning("closing failed", error=str(closing))


def _change(applied: Applied, record: Any) -> Change:
    headers = dict(record.headers or ())
    at, why = headers.get("at") or b"", headers.get("why") or b""
    is_time = at.isdigit() and len(at) <= DIGITS_OF_A_TIME
    return Change(applied, int(at) if is_time else record.timestamp, why.decode("utf-8", "replace"))
