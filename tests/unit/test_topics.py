"""Topics are made as the settings say, on real Kafka and on the embedded broker, and never by accident."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import MessageSizeTooLargeError

from config.settings import IngestSettings, KafkaSettings, Settings
from streams.embedded.broker import SESSION_TIMEOUT_MS, EmbeddedBroker
from streams.embedded.child import answers
from streams.faults import Fault, Usage
from streams.topics import NAMES, check_topics, ensure_topics, topic_name, topic_specs
from tests.servers import KafkaServer
from tests.service import wait_until
from tests.unit.test_servers import ROOT, wait_until_gone


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(params=["kafka", "embedded"])
def brokers(request: pytest.FixtureRequest) -> str:
    if request.param == "kafka":
        return str(request.getfixturevalue("kafka").brokers)
    return str(request.getfixturevalue("broker").brokers)


def settings_for(brokers: str, prefix: str, **kafka: int) -> Settings:
    return Settings(
        kafka=KafkaSettings.model_validate(
            {"brokers": brokers, "topic_prefix": prefix, "partitions": 3, **kafka}
        )
    )


def test_every_topic_has_its_shape() -> None:
    specs = {spec.name: spec for spec in topic_specs(Settings(kafka=KafkaSettings(topic_prefix="x.")))}
    assert list(specs) == ["x." + name for name in NAMES]
    assert {name for name, spec in specs.items() if spec.partitions == 8} == {
        "x.calls", "x.frames", "x.snapshots.parts",
    }  # fmt: skip
    compacted = {name for name, spec in specs.items() if spec.config.get("cleanup.policy") == "compact"}
    assert compacted == {"x.block-rules", "x.campaigns", "x.baselines", "x.lists", "x.snapshots"}
    assert specs["x.calls"].config["retention.ms"] == str(48 * 3_600_000)
    assert specs["x.commands"].config["retention.ms"] == str(400 * 86_400_000)


def test_three_replicas_ask_for_two_in_sync() -> None:
    for spec in topic_specs(Settings(kafka=KafkaSettings(replication=3))):
        assert spec.replication == 3
        assert spec.config["min.insync.replicas"] == "2"


def test_an_unknown_topic_is_refused() -> None:
    with pytest.raises(ValueError, match="no topic is called 'call'"):
        topic_name(Settings(), "call")


def test_create_then_check_then_create_again(brokers: str) -> None:
    settings = settings_for(brokers, "create-")
    assert {each.what for each in check_topics(settings)} == {"missing"}
    assert [each.topic for each in ensure_topics(settings)] == ["create-" + name for name in NAMES]
    assert check_topics(settings) == []
    assert ensure_topics(settings) == []


def test_another_number_of_partitions_is_refused_and_nothing_changed(brokers: str) -> None:
    ensure_topics(settings_for(brokers, "refuse-"))
    wrong = settings_for(brokers, "refuse-", partitions=5, retention_hours=1)
    with pytest.raises(Usage, match=r"refuse-calls has partitions 3, the settings say 5; set .* back to 3"):
        ensure_topics(wrong)
    assert check_topics(settings_for(brokers, "refuse-")) == []


def test_settings_of_a_topic_are_corrected(kafka: KafkaServer) -> None:
    ensure_topics(settings_for(kafka.brokers, "correct-"))
    longer = settings_for(kafka.brokers, "correct-", retention_hours=72)
    found = check_topics(longer)
    assert {str(each) for each in found} >= {
        f"correct-calls has retention.ms {48 * 3_600_000}, the settings say {72 * 3_600_000}"
    }
    assert {each.what for each in found} == {"retention.ms"}
    ensure_topics(longer)
    wait_until("the broker says so", lambda: check_topics(longer) == [])


def test_checking_creates_nothing(brokers: str) -> None:
    check_topics(settings_for(brokers, "nothing-"))
    admin = KafkaAdminClient(bootstrap_servers=brokers)
    assert [name for name in admin.list_topics() if name.startswith("nothing-")] == []
    admin.close()


def test_calls_takes_a_message_longer_than_ingest_accepts_but_not_any(kafka: KafkaServer) -> None:
    limit = 1 << 20
    kafka_settings = KafkaSettings(brokers=kafka.brokers, topic_prefix="long-", partitions=1)
    ensure_topics(Settings(kafka=kafka_settings, ingest=IngestSettings(max_message_bytes=limit)))
    producer = KafkaProducer(bootstrap_servers=kafka.brokers, max_request_size=64 << 20)
    producer.send("long-calls", b"x" * (limit + 1)).get(timeout=60)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send("long-calls", b"x" * (limit + (2 << 20))).get(timeout=60)
    producer.close()


def test_nobody_answers() -> None:
    with pytest.raises(Fault, match=r"no Kafka answers at 127\.0\.0\.1:1 .*check kafka\.brokers"):
        check_topics(settings_for("127.0.0.1:1", "", request_timeout_ms=1_000))


def test_no_brokers_configured() -> None:
    with pytest.raises(Usage, match=r"kafka\.brokers is empty"):
        check_topics(Settings())


def test_embedded_broker_carries_records(broker: EmbeddedBroker) -> None:
    settings = broker.settings(settings_for("", "carry-"))
    assert settings.kafka.session_timeout_ms == SESSION_TIMEOUT_MS
    ensure_topics(settings)
    producer = KafkaProducer(bootstrap_servers=broker.brokers)
    producer.send("carry-alerts", b"one").get(timeout=30)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=broker.brokers, consumer_timeout_ms=30_000)
    consumer.assign([TopicPartition("carry-alerts", 0)])
    consumer.seek_to_beginning()
    assert next(iter(consumer)).value == b"one"
    consumer.close()


def test_a_port_in_use_is_said_plainly(broker: EmbeddedBroker) -> None:
    with pytest.raises(Usage, match=f"port {broker.port} of 127.0.0.1 is in use"):
        EmbeddedBroker(broker.port).__enter__()


def test_a_port_taken_meanwhile_is_not_a_crash(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import streams.embedded.broker as module

    really = module.free_port
    offered = iter([broker.port])
    monkeypatch.setattr(module, "free_port", lambda: next(offered, None) or really())
    with EmbeddedBroker() as second:
        assert second.port != broker.port
        assert answers(second.port)


def test_its_own_environment_does_not_lead_it_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_ENGINE", "nonsense://")
    monkeypatch.setenv("CERT", "/no/such/file")
    with EmbeddedBroker() as broker:
        assert answers(broker.port)


def test_an_unexpected_end_is_noticed() -> None:
    with EmbeddedBroker() as broker:
        broker.check()
        assert broker._child is not None
        broker._child.kill()
        assert not broker.running
        with pytest.raises(Fault, match="the embedded broker ended by itself"):
            broker.check()


def test_nothing_is_left_behind() -> None:
    with EmbeddedBroker() as broker:
        port, directory = broker.port, broker._directory
        assert broker._child is not None
        pid = broker._child.pid
    wait_until_gone(pid)
    assert not answers(port)
    assert not directory.exists()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_it_goes_when_its_process_goes(ending: signal.Signals) -> None:
    program = (
        "import time\nfrom streams.embedded.broker import EmbeddedBroker\n"
        "with EmbeddedBroker() as broker:\n    print(broker._child.pid, flush=True)\n    time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.send_signal(ending)
    process.wait()
    process.stdout.close()
    wait_until_gone(pid)


def test_without_a_place_to_unpack_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", os.fspath(tmp_path / "absent"))
    with pytest.raises(Fault, match=r"set kafka\.brokers"):
        EmbeddedBroker().__enter__()
