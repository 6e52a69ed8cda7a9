"""The servers the other tests stand on: they serve, come back with their data, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clickhouse_driver import Client
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from streams.embedded.child import Child, ChildError, answers
from tests.servers import ClickHouseServer, KafkaServer, ServerMissing
from tests.servers import clickhouse as clickhouse_module
from tests.servers import kafka as kafka_module

ROOT = Path(__file__).resolve().parents[2]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pid: int) -> None:
    while alive(pid):
        time.sleep(0.02)


def test_kafka_keeps_records_over_a_restart(kafka: KafkaServer) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.brokers)
    admin.create_topics([NewTopic("test-servers", 1, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=kafka.brokers)
    producer.send("test-servers", b"kept").get(timeout=30)
    producer.close()

    kafka.restart()

    consumer = KafkaConsumer(bootstrap_servers=kafka.brokers, consumer_timeout_ms=30_000)
    partition = TopicPartition("test-servers", 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    assert next(iter(consumer)).value == b"kept"
    consumer.close()


def test_clickhouse_keeps_rows_over_a_crash(clickhouse: ClickHouseServer) -> None:
    with Client.from_url(clickhouse.url) as client:
        client.execute("CREATE TABLE test_servers (a UInt8) ENGINE = MergeTree ORDER BY a")
        client.execute("INSERT INTO test_servers VALUES", [(7,)])

    clickhouse.kill()
    clickhouse.start()

    with Client.from_url(clickhouse.url) as client:
        assert client.execute("SELECT a FROM test_servers") == [(7,)]
        client.execute("DROP TABLE test_servers")


def test_a_child_that_ends_early_says_why(tmp_path: Path) -> None:
    child = Child("thing", [sys.executable, "-c", "print('no room'); exit(3)"], tmp_path / "log")
    with pytest.raises(ChildError, match=r"(?s)thing ended before it served \(exit status 3\).*no room"):
        child.wait_until(lambda: False, 60)


def test_a_program_that_does_not_exist_says_so(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"(?s)thing could not be started.*no-such-program"):
        Child("thing", ["no-such-program"], tmp_path / "log")


def test_a_child_that_ignores_the_request_is_ended_by_force(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)"
    log = tmp_path / "log"
    child = Child(
        "deaf", [sys.executable, "-c", f"{deaf}\nwhile True: time.sleep(1)"], log, grace_seconds=0.2
    )
    child.wait_until(lambda: "up" in log.read_text(), 60)
    child.stop()
    assert not alive(child.pid)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_goes_when_its_starter_goes(tmp_path: Path, ending: signal.Signals) -> None:
    starter = (
        "import sys, time; from pathlib import Path; from streams.embedded.child import Child\n"
        f"child = Child('sleeper', ['sleep', '600'], Path({str(tmp_path / 'log')!r}))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert alive(pid)
    process.send_signal(ending)
    process.wait()
    process.stdout.close()
    wait_until_gone(pid)


def test_a_child_goes_when_its_guard_is_killed(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends a program with its guard")
    child = Child("sleeper", ["sleep", "600"], tmp_path / "log")
    child._guard.kill()
    wait_until_gone(child.pid)
    child.stop()


def test_from_the_command_line(clickhouse: ClickHouseServer) -> None:
    del clickhouse  # only says whether there is one
    command = [sys.executable, "-m", "tests.servers", "clickhouse"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with Client.from_url(url) as client:
        assert client.execute("SELECT 1") == [(1,)]
    process.send_signal(signal.SIGINT)
    _, logged = process.communicate()
    assert process.returncode == 0
    assert "Ctrl-C ends it" in logged
    assert not answers(int(url.rsplit(":", 1)[1].split("/")[0]))


def test_missing_servers_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(clickhouse_module, "_PLACES", str(tmp_path))
    with pytest.raises(ServerMissing, match="make servers"):
        clickhouse_module.program()
    with pytest.raises(ServerMissing, match="make servers"):
        kafka_module.jars_and_java()


SKIPPING = """
import pytest
from tests.conftest import pytest_collection_modifyitems, pytest_runtest_makereport
"""


@pytest.mark.parametrize(("required", "outcome"), [("1", "1 failed"), ("0", "1 skipped")])
def test_a_skip_for_want_of_a_server_fails_where_servers_are_required(
    tmp_path: Path, required: str, outcome: str
) -> None:
    (tmp_path / "conftest.py").write_text(SKIPPING)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    kafka: x\n    clickhouse: x\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.kafka\ndef test_it():\n    pytest.skip('no Kafka here')\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "RINGFENCE_REQUIRE_SERVERS": required, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert outcome in run.stdout
    assert (run.returncode == 0) == (required == "0")
