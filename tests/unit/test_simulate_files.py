"""What `ringfence simulate` leaves behind, in files and on Kafka."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard
from kafka import KafkaConsumer

from config.settings import KafkaSettings, Settings
from streams.cli.main import run
from streams.faults import Fault
from streams.simulate import AttackSpec, Scenario, SimulatedEvent, Simulation, campaigns, traffic
from streams.simulate.files import write_files
from streams.simulate.publish import Clock, publish
from streams.topics import ensure_topics
from streams.wire.calls import CallEvent
from streams.wire.records import ListEntry
from tests.servers import KafkaServer

SCENARIO = Scenario(seed=3, minutes=1, calls_per_second=10, attacks=[AttackSpec("flood")])


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("simulated")
    simulation = Simulation(SCENARIO)
    assert list(write_files(simulation, simulation.traffic(), directory)) == list(traffic(SCENARIO))
    return directory


def test_calls_are_call_events(out: Path) -> None:
    lines = (out / "calls.ndjson").read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == [e.event for e in traffic(SCENARIO)]
    for line in lines:
        msgspec.json.decode(line, type=CallEvent)


def test_each_call_has_one_label(out: Path) -> None:
    rows = list(csv.reader((out / "labels.csv").open(newline="")))
    assert rows[0] == ["call_id", "campaign", "kind"]
    labels = {(e.event["call_id"], e.campaign, e.kind) for e in traffic(SCENARIO)}
    assert len(rows) - 1 == len(labels)
    assert {tuple(row) for row in rows[1:]} == labels


def test_the_rest_describes_the_scenario(out: Path) -> None:
    (campaign,) = json.loads((out / "campaigns.json").read_bytes())
    assert campaign == msgspec.to_builtins(campaigns(SCENARIO)[0])
    assert json.loads((out / "directory.json").read_bytes())["vote"] == ["+864008880001"]
    entries = [
        msgspec.json.decode(line, type=ListEntry) for line in (out / "lists.ndjson").read_bytes().splitlines()
    ]
    assert {entry.list for entry in entries} == {"refusal", "consent", "portability", "company"}
    assert len({entry.entry_id for entry in entries}) == len(entries)


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_compressed_files_hold_the_same(out: Path, tmp_path: Path, suffix: str) -> None:
    arguments = ["simulate", "--seed", "3", "--minutes", "1", "--rate", "10", "--attacks", "flood"]
    assert run([*arguments, "--out", str(tmp_path), "--compress", suffix]) == 0
    packed = (tmp_path / f"calls.ndjson.{suffix}").open("rb")
    with packed, _unpacked(packed, suffix) as stream:
        assert stream.read() == (out / "calls.ndjson").read_bytes()


def _unpacked(packed, suffix: str):  # type: ignore[no-untyped-def]
    return gzip.open(packed) if suffix == "gz" else zstandard.ZstdDecompressor().stream_reader(packed)


def test_the_command_sums_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "simulate",
        "--minutes",
        "0.5",
        "--rate",
        "5",
        "--attacks",
        "burst:0.5,flood",
        "--events",
        "70",
    ]
    assert run([*arguments, "--out", str(tmp_path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["events"] == 70
    assert summary["campaigns"] == 2
    assert len((tmp_path / "calls.ndjson").read_bytes().splitlines()) == 70


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --out DIR, --brokers HOST:PORT, or both"),
        (["--out", "x", "--attacks", "flod"], "attack kind 'flod': expected one of burst,"),
        (["--out", "x", "--attacks", "burst:much"], "intensity 'much': expected a number"),
        (["--out", "x", "--minutes", "0"], "minutes 0.0: expected above 0"),
    ],
)
def test_a_wrong_flag_says_what_was_expected(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", *arguments]) == 2
    assert message in capsys.readouterr().err


class Hurried(Clock):
    """A clock that jumps over every wait."""

    def __init__(self, start: int) -> None:
        self.time = start
        self.slept: list[int] = []

    def now(self) -> int:
        return self.time

    def sleep(self, milliseconds: int) -> None:
        self.slept.append(milliseconds)
        self.time += milliseconds


def test_events_reach_the_topic_each_at_its_time(kafka: KafkaServer) -> None:
    settings = Settings(kafka=KafkaSettings(brokers=kafka.brokers, topic_prefix="simulated-", partitions=2))
    ensure_topics(settings)
    clock = Hurried(SCENARIO.start_ms)
    sent: list[SimulatedEvent] = []

    def watched() -> Iterator[SimulatedEvent]:
        for e in traffic(SCENARIO):
            assert not sent or clock.now() >= sent[-1].event["time"] - 5
            sent.append(e)
            yield e

    published = publish(watched(), kafka.brokers, "simulated-calls", clock=clock)
    assert published.events == len(sent)
    assert sum(clock.slept) > 50_000
    consumer = KafkaConsumer(
        "simulated-calls",
        bootstrap_servers=kafka.brokers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    got = []
    for record in consumer:
        event = json.loads(record.value)
        assert record.key.decode() == event["call_id"]
        got.append(event)
        if len(got) == len(sent):
            break
    consumer.close()
    assert sorted(map(str, got)) == sorted(str(e.event) for e in sent)


def test_publishing_stops_when_told(kafka: KafkaServer) -> None:
    settings = Settings(kafka=KafkaSettings(brokers=kafka.brokers, topic_prefix="stopped-", partitions=1))
    ensure_topics(settings)
    asked = iter(range(1_000_000))
    events = traffic(SCENARIO)
    published = publish(
        events, kafka.brokers, "stopped-calls", stop=lambda: next(asked) > 10, clock=Hurried(SCENARIO.end_ms)
    )
    assert published.events == 11


def test_no_broker_is_a_fault_that_says_what_to_do() -> None:
    with pytest.raises(Fault, match=r"no Kafka answers at nowhere:port .*correct --brokers"):
        publish(iter(()), "nowhere:port", "calls")
