"""`ringfence run` says what is wrong and ends with it in its exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.loading import as_environment
from config.settings import KafkaSettings, Settings
from streams.cli import exits
from streams.embedded.broker import EmbeddedBroker
from streams.topics import ensure_topics
from tests.service import Worker, wait_until


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


def _run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return _ringfence("run", *arguments, **settings)


def _ringfence(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **{f"RINGFENCE_{name}": value for name, value in settings.items()}}
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_an_unknown_role_is_named() -> None:
    ended = _run("ingset")
    assert ended.returncode == exits.USAGE
    assert "ingset" in ended.stderr


def test_without_its_topics_it_says_how_to_make_them(broker: EmbeddedBroker) -> None:
    ended = _run("ingest", KAFKA__BROKERS=broker.brokers)
    assert ended.returncode == exits.FAULT
    assert "calls does not exist" in ended.stderr
    assert "ringfence topics create" in ended.stderr


def test_a_busy_port_is_told_and_is_no_success(broker: EmbeddedBroker) -> None:
    ensure_topics(broker.settings(Settings()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = _run("ingest", KAFKA__BROKERS=broker.brokers, KAFKA__IDEMPOTENT="false", SERVICE__PORT=port)
    assert ended.returncode == exits.FAULT
    assert f"127.0.0.1:{port} is taken" in ended.stderr
    assert ended.stdout == ""


def test_another_number_of_partitions_is_refused_with_the_way_to_change_it(broker: EmbeddedBroker) -> None:
    """A number's history belongs to its partition: with another count it would be looked for elsewhere."""
    kafka = KafkaSettings(topic_prefix="moved-", partitions=3)
    ensure_topics(broker.settings(Settings(kafka=kafka)))
    settings = {"KAFKA__BROKERS": broker.brokers, "KAFKA__TOPIC_PREFIX": "moved-", "KAFKA__PARTITIONS": "6"}
    for command, status in (
        (("run", "ingest"), exits.FAULT),
        (("topics", "create"), exits.USAGE),
        (("doctor",), exits.NO),
    ):
        ended = _ringfence(*command, **settings)
        told = ended.stdout + ended.stderr
        assert ended.returncode == status, told
        assert "moved-calls has partitions 3, the settings say 6" in told
        assert "set kafka.partitions back to 3" in told
        assert "delete moved-calls, moved-frames and moved-snapshots.parts, then run" in told


def test_a_worker_tells_what_it_is_doing_and_goes_on(broker: EmbeddedBroker, tmp_path: Path) -> None:
    ensure_topics(broker.settings(Settings(kafka=KafkaSettings(topic_prefix="told-"))))
    environment = as_environment(
        {"kafka.brokers": broker.brokers, "kafka.topic_prefix": "told-", "kafka.idempotent": "false"}
    )
    worker = Worker(environment, tmp_path / "worker.log", ("respond",)).start()
    try:
        wait_until("the worker is ready", worker.ready, [worker])
        worker.tell()
        wait_until("its stacks are in its log", lambda: "run_until_stopped" in worker.tail(), [worker])
        assert worker.ready()
        assert worker.stop() == exits.OK
    finally:
        worker.kill()
