"""A switch's reader: everything that is on the topic, then every change, through failures of the broker."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaConnectionError, KafkaError, OffsetOutOfRangeError

from config.settings import KafkaSettings, Settings
from detectors.alert import Match
from streams.switches.reader import CHECK_EVERY_S, RETRY_MOST_S, STALE_AFTER_S, RuleReader, RulesUnreachable
from streams.switches.rulebook import RuleBook
from streams.topics import ensure_topics, topic_name
from streams.wire.records import BlockRule, encode
from tests.rules import CALLEE, CALLER, T0, rule
from tests.servers import KafkaServer

ONE, OTHER = rule(Match(caller=CALLER)), rule(Match(caller=CALLEE))


class Topic:
    """A topic in memory and the consumers that read it, which fail when told to."""

    def __init__(self, partitions: int | None = 1) -> None:
        self.partitions = partitions
        self.records: list[SimpleNamespace] = []
        self.failures: list[tuple[str, Exception]] = []
        self.opened: list[Consumer] = []
        self.most = 2
        """Records a poll gives: few, so that loading takes several."""

    def put(self, key: str, value: BlockRule | bytes | None, **headers: bytes) -> None:
        data = encode(value) if isinstance(value, BlockRule) else value
        offset = len(self.records)
        self.records.append(
            SimpleNamespace(
                key=key.encode(),
                value=data,
                offset=offset,
                timestamp=T0 + offset,
                headers=list(headers.items()),
            )
        )

    def fail(self, call: str, error: Exception | None = None) -> None:
        self.failures.append((call, error or KafkaConnectionError("connection refused")))

    def check(self, call: str) -> None:
        for index, (failing, error) in enumerate(self.failures):
            if failing == call:
                del self.failures[index]
                raise error

    def open(self, **options: Any) -> Consumer:
        self.check("open")
        consumer = Consumer(self, options)
        self.opened.append(consumer)
        return consumer


class Consumer:
    def __init__(self, topic: Topic, options: dict[str, Any]) -> None:
        self.topic = topic
        self.options = options
        self.closed = False
        self.at = -1

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        assert topic == "x.block-rules"
        return None if self.topic.partitions is None else set(range(self.topic.partitions))

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert partitions == [TopicPartition("x.block-rules", 0)]

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        self.at = 0

    def end_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        self.topic.check("end_offsets")
        return {partition: len(self.topic.records) for partition in partitions}

    def position(self, partition: TopicPartition, timeout_ms: int) -> int | None:
        return self.at

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        self.topic.check("poll")
        records = self.topic.records[self.at : self.at + min(self.topic.most, max_records)]
        self.at += len(records)
        return {TopicPartition("x.block-rules", 0): records} if records else {}

    def close(self) -> None:
        self.closed = True
        self.topic.check("close")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(topic: Topic, clock: Clock) -> RuleReader:
    kafka = KafkaSettings(brokers="a:1, b:2", topic_prefix="x.")
    return RuleReader(
        RuleBook(), kafka, open_consumer=topic.open, monotonic=lambda: clock.now, sleep=clock.sleep
    )


def outcomes(changes: list[Any]) -> list[tuple[str, str]]:
    return [(change.applied.outcome, change.applied.rule_id) for change in changes]


def test_loading_gives_the_rules_that_are_live(reader: RuleReader, topic: Topic) -> None:
    topic.put(ONE.rule_id, ONE)
    topic.put(OTHER.rule_id, OTHER)
    topic.put(ONE.rule_id, rule(Match(caller=CALLER), sequence=T0 + 1, version=2))
    topic.put(OTHER.rule_id, None)
    topic.put("bad", b"{}")
    changes = reader.load()
    assert sorted(outcomes(changes)) == [("added", ONE.rule_id), ("refused", "bad")]
    assert [change.at for change in changes if change.applied.rule] == [T0 + 2]
    assert reader.book.rules[ONE.rule_id].version == 2
    assert (reader.caught_up, reader.ready, reader.behind) == (True, True, 0)


def test_an_empty_topic_is_loaded_at_once(reader: RuleReader) -> None:
    assert reader.load() == []
    assert reader.ready


def test_nothing_acts_before_everything_is_loaded(reader: RuleReader, topic: Topic) -> None:
    for each in (ONE, OTHER):
        topic.put(each.rule_id, each)
    topic.put(ONE.rule_id, None)
    assert reader.poll() == []
    assert (reader.caught_up, reader.ready, reader.behind, reader.book.rules) == (False, False, 1, {})
    assert outcomes(reader.poll()) == [("added", OTHER.rule_id)]


def test_what_comes_while_loading_is_not_waited_for_but_taken(reader: RuleReader, topic: Topic) -> None:
    topic.put(ONE.rule_id, ONE)
    topic.put(ONE.rule_id, None)
    topic.put(OTHER.rule_id, OTHER)
    reader.poll()
    topic.put(OTHER.rule_id, None)
    topic.most = 1
    assert outcomes(reader.load()) == [("added", OTHER.rule_id)]
    assert outcomes(reader.poll()) == [("removed", OTHER.rule_id)]


def test_every_change_is_followed(reader: RuleReader, topic: Topic) -> None:
    reader.load()
    topic.put(ONE.rule_id, ONE)
    topic.put(ONE.rule_id, rule(sequence=T0 + 1, mode="shadow"))
    assert outcomes(reader.poll()) == [("added", ONE.rule_id), ("updated", ONE.rule_id)]
    topic.put(ONE.rule_id, None)
    following = reader.follow(lambda: not reader.book.rules)
    assert outcomes(list(following)) == [("removed", ONE.rule_id)]


def test_headers_say_when_and_why(reader: RuleReader, topic: Topic) -> None:
    topic.put(ONE.rule_id, ONE, at=b"12", why=b"Alert a issued the rule.")
    assert reader.load()[0][1:] == (12, "Alert a issued the rule.")
    topic.put(ONE.rule_id, None, at=b"soon", why=b"\xff")
    topic.put(ONE.rule_id, None, at=b"9" * 5_000)
    assert [change[1:] for change in reader.poll()] == [(T0 + 1, "\ufffd"), (T0 + 2, "")]


def test_no_group_no_commits_no_topic_by_accident(reader: RuleReader, topic: Topic) -> None:
    reader.load()
    options = topic.opened[0].options
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["group_id"] is None
    assert options["enable_auto_commit"] is False
    assert options["allow_auto_create_topics"] is False
    assert options["request_timeout_ms"] == 30_000


@pytest.mark.parametrize("call", ["open", "end_offsets", "poll"])
def test_a_broken_broker_is_tried_again(reader: RuleReader, topic: Topic, clock: Clock, call: str) -> None:
    topic.put(ONE.rule_id, ONE)
    for _ in range(7):
        topic.fail(call)
    assert outcomes(reader.load(timeout_s=200)) == [("added", ONE.rule_id)]
    assert clock.pauses == [0.5, 1, 2, 4, 8, RETRY_MOST_S, RETRY_MOST_S]
    assert [consumer.closed for consumer in topic.opened[:-1]] == [True] * (len(topic.opened) - 1)
    assert not topic.opened[-1].closed


def test_loading_gives_up_in_time_and_says_what_to_do(reader: RuleReader, topic: Topic) -> None:
    topic.partitions = None
    with pytest.raises(RulesUnreachable, match=r"x\.block-rules on a:1, b:2 .* there is no topic") as raised:
        reader.load(timeout_s=10)
    assert raised.value.do_next
    assert all(consumer.closed for consumer in topic.opened)


def test_rules_act_on_while_the_broker_is_away(reader: RuleReader, topic: Topic, clock: Clock) -> None:
    topic.put(ONE.rule_id, ONE)
    reader.load()
    topic.fail("poll")
    topic.fail("open")
    assert reader.poll() == []
    assert reader.poll() == []
    assert list(reader.book.rules) == [ONE.rule_id]
    assert not reader.caught_up
    assert reader.poll() == [], "read again, and nothing has changed"
    assert reader.ready


def test_what_ended_while_away_ends(reader: RuleReader, topic: Topic) -> None:
    """Also where compaction has meanwhile removed the tombstone."""
    topic.put(ONE.rule_id, ONE)
    topic.put(OTHER.rule_id, OTHER)
    reader.load()
    topic.fail("poll", OffsetOutOfRangeError())
    reader.poll()
    topic.records.clear()
    topic.put(OTHER.rule_id, rule(Match(caller=CALLEE), sequence=T0 + 9))
    assert outcomes(reader.load()) == [("removed", ONE.rule_id), ("updated", OTHER.rule_id)]


def test_an_old_life_does_not_act_again_while_reading_again(reader: RuleReader, topic: Topic) -> None:
    topic.put(ONE.rule_id, ONE)
    topic.put(ONE.rule_id, None)
    topic.put(OTHER.rule_id, OTHER)
    reader.load()
    topic.fail("poll")
    reader.poll()
    topic.most = 1
    while not reader.caught_up:
        assert reader.poll() == []
        assert list(reader.book.rules) == [OTHER.rule_id]


def test_a_silent_broker_makes_it_not_ready(reader: RuleReader, topic: Topic, clock: Clock) -> None:
    reader.load()
    clock.now += STALE_AFTER_S
    assert not reader.ready
    reader.poll()
    assert reader.ready, "it asked for the end of the topic and got an answer"


def test_it_knows_how_far_behind_it_is(reader: RuleReader, topic: Topic, clock: Clock) -> None:
    reader.load()
    for number in range(5):
        topic.put(str(number), None)
    clock.now += CHECK_EVERY_S
    reader.poll()
    assert reader.behind == 3


def test_closing_never_fails_twice(reader: RuleReader, topic: Topic) -> None:
    reader.load()
    topic.fail("poll")
    topic.fail("close")
    assert reader.poll() == []
    with reader:
        reader.load()
    assert topic.opened[-1].closed
    reader.close()


def test_a_defect_is_not_taken_for_a_broken_broker(reader: RuleReader, topic: Topic) -> None:
    topic.fail("poll", TypeError("defect"))
    with pytest.raises(TypeError):
        reader.load()


@pytest.mark.kafka
def test_on_kafka(kafka: KafkaServer) -> None:
    prefix = f"reader-{time.time_ns()}."
    settings = Settings(kafka=KafkaSettings(brokers=kafka.brokers, topic_prefix=prefix))
    with RuleReader(RuleBook(), settings.kafka) as reader, pytest.raises(RulesUnreachable, match="no topic"):
        reader.load(timeout_s=1)
    ensure_topics(settings)
    topic = topic_name(settings, "block-rules")
    producer = KafkaProducer(bootstrap_servers=kafka.brokers)
    try:
        many = [rule(Match(caller=f"+86138001{number:05}")) for number in range(3_000)]
        for each in many:
            producer.send(topic, key=each.rule_id.encode(), value=encode(each))
        producer.send(topic, key=many[0].rule_id.encode(), value=None)
        producer.flush()
        with RuleReader(RuleBook(), settings.kafka) as reader:
            reader.load()
            assert len(reader.book.rules) == 2_999
            assert reader.ready
            producer.send(topic, key=ONE.rule_id.encode(), value=encode(ONE))
            producer.send(topic, key=b"forged", value=encode(ONE))
            producer.send(topic, key=ONE.rule_id.encode(), value=None)
            producer.flush()
            found: list[tuple[str, str]] = []
            while len(found) < 3:
                found += outcomes(reader.poll())
            assert found == [("added", ONE.rule_id), ("refused", "forged"), ("removed", ONE.rule_id)]
    finally:
        producer.close()


def test_a_port_with_nobody_behind_it_is_told_in_time() -> None:
    settings = KafkaSettings(brokers="127.0.0.1:1", request_timeout_ms=300)
    with RuleReader(RuleBook(), settings) as reader, pytest.raises(RulesUnreachable, match=r"127\.0\.0\.1:1"):
        reader.load(timeout_s=0.5)
    assert issubclass(KafkaConnectionError, KafkaError)
