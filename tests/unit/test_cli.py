"""The command line as people and programs use it: output, exit codes, words for mistakes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.reference import entries
from streams.cli import exits, main
from streams.cli.context import parse_overrides
from streams.embedded.broker import EmbeddedBroker
from streams.embedded.child import port_is_free
from streams.faults import Usage
from tests.servers import ClickHouseServer, KafkaServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in list(os.environ):
        if variable.startswith("RINGFENCE_"):
            monkeypatch.delenv(variable)


def test_help_lists_every_command_and_loads_none() -> None:
    program = (
        "import sys; from streams.cli.main import run; code = run(['--help'])\n"
        "heavy = {'kafka', 'aiokafka', 'faust', 'numba', 'pyarrow', 'chdb', 'rich', 'structlog'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == exits.OK
    for mounted in main.COMMANDS:
        assert re.search(rf"^  {mounted.name} +{re.escape(mounted.help)}$", run.stdout, re.MULTILINE)
    assert run.stderr.strip() == "[]"


@pytest.mark.parametrize("name", [mounted.name for mounted in main.COMMANDS])
def test_every_command_has_help_and_the_shared_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([name, "--help"]) == exits.OK
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: ringfence {name} ")
    assert "--set NAME=VALUE" in shown
    assert "--config" in shown
    assert "-h, --help" in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == exits.OK
    assert re.fullmatch(r"ringfence \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["confg"], "Did you mean 'config'?"),
        (["config", "shw"], "Did you mean 'show'?"),
        (["config", "show", "--jsn"], "No such option: --jsn"),
        (["config", "show", "--set", "kafka.partitions"], "expected NAME=VALUE"),
        (["config", "show", "--set", "kafka.partitions=x"], "expected an integer greater than 0"),
        (["config", "check", "--config", "absent.yaml"], "absent.yaml cannot be read"),
        (["topics", "check"], "kafka.brokers is empty"),
    ],
)
def test_a_mistake_ends_with_2_and_a_sentence(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == exits.USAGE
    written = capsys.readouterr()
    assert told in written.err
    assert "Traceback" not in written.err
    assert written.out == ""


def test_what_does_not_answer_ends_with_3_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    away = ["--set", "kafka.brokers=127.0.0.1:1", "--set", "kafka.request_timeout_ms=500"]
    assert main.run(["topics", "create", *away]) == exits.FAULT
    assert capsys.readouterr().err.splitlines()[-1] == (
        "what to do: check kafka.brokers and that the brokers run"
    )


def test_a_fault_of_our_own_shows_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streams.cli.context.load_from", lambda *_: 1 / 0)
    assert main.run(["config", "check"]) == exits.BUG
    written = capsys.readouterr().err
    assert "ZeroDivisionError" in written
    assert "this is a fault of ringfence itself" in written


def test_a_reader_that_goes_away_is_no_fault() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "config", "reference"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait() == exits.OK
    assert process.stderr.read() == b""
    process.stderr.close()


def test_config_show_tells_value_and_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGFENCE_STORE__URL", "clickhouse://me:secret@ch:9000/calls")
    assert main.run(["config", "show", "--json", "--set", "kafka.partitions=3"]) == exits.OK
    shown = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert len(shown) == len(entries())
    assert shown["kafka.partitions"] == {
        "name": "kafka.partitions",
        "value": 3,
        "origin": "the command line",
    }
    assert shown["store.url"]["value"] == "clickhouse://me:***@ch:9000/calls"
    assert main.run(["config", "show"]) == exits.OK
    assert "RINGFENCE_STORE__URL in the environment" in capsys.readouterr().out


def test_options_before_and_after_the_command_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.yaml").write_text("kafka: {partitions: 5, replication: 3}\n")
    assert (
        main.run(["--config", "other.yaml", "config", "show", "--json", "--set", "kafka.partitions=6"]) == 0
    )
    shown = {row["name"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert shown["kafka.partitions"] == 6
    assert shown["kafka.replication"] == 3


def test_one_run_leaves_no_settings_behind_for_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["config", "show", "--set", "kafka.partitions=6"])
    capsys.readouterr()
    main.run(["config", "show", "--json"])
    shown = {row["name"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert shown["kafka.partitions"] == 8


def test_config_check_warns_of_a_variable_that_is_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGFENCE_KAFKA_BROKERS", "kafka:9092")
    assert main.run(["config", "check"]) == exits.OK
    written = capsys.readouterr()
    assert written.out.startswith("the settings are right: 0 given")
    assert "did you mean RINGFENCE_KAFKA__BROKERS?" in written.err


def test_an_equals_sign_may_be_in_a_value() -> None:
    assert parse_overrides(["store.url=clickhouse://h/d?a=b"]) == {"store.url": "clickhouse://h/d?a=b"}
    with pytest.raises(Usage):
        parse_overrides(["store.url"])


def test_topics_from_nothing_to_right(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker() as broker:
        there = ["--set", f"kafka.brokers={broker.brokers}"]
        assert main.run(["topics", "check", *there]) == exits.NO
        written = capsys.readouterr()
        assert "calls does not exist" in written.out
        assert written.err.count("what to do: run `ringfence topics create`") == 1
        assert main.run(["topics", "create", *there]) == exits.OK
        assert "created block-rules" in capsys.readouterr().out
        assert main.run(["topics", "check", "--json", *there]) == exits.OK
        assert json.loads(capsys.readouterr().out) == []
        assert main.run(["topics", "create", *there, "--set", "kafka.partitions=9"]) == exits.USAGE
        assert "set kafka.partitions back to 8" in capsys.readouterr().err


def findings(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    return {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)}


def test_doctor_finds_nothing_wrong_with_the_embedded_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "--json"]) == exits.OK
    found = findings(capsys)
    assert found["kafka"]["state"] == found["store"]["state"] == found["python"]["state"] == "ok"


def test_doctor_names_what_is_away_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    away = [
        *("--set", "kafka.brokers=127.0.0.1:1", "--set", "kafka.request_timeout_ms=500"),
        *("--set", "store.url=clickhouse://127.0.0.1:1/x"),
    ]
    assert main.run(["doctor", "--json", *away]) == exits.NO
    found = findings(capsys)
    assert found["kafka"]["state"] == found["store"]["state"] == "wrong"
    assert "kafka.brokers" in found["kafka"]["do_next"]
    assert "store.url" in found["store"]["do_next"]


def test_doctor_on_real_servers(
    kafka: KafkaServer, clickhouse: ClickHouseServer, capsys: pytest.CaptureFixture[str]
) -> None:
    there = [
        *("--set", f"kafka.brokers={kafka.brokers}", "--set", "kafka.topic_prefix=doctor-"),
        *("--set", f"store.url={clickhouse.url.removesuffix('default') + 'doctor'}"),
    ]
    assert main.run(["doctor", "--json", *there]) == exits.NO
    found = findings(capsys)
    assert found["kafka"]["state"] == "ok"
    assert found["topics"]["state"] == found["store"]["state"] == "wrong"
    assert "ringfence schema apply" in found["store"]["do_next"]
    assert main.run(["topics", "create", *there]) == exits.OK
    assert main.run(["schema", "apply", *there]) == exits.OK
    capsys.readouterr()
    assert main.run(["doctor", "--json", *there]) == exits.OK
    found = findings(capsys)
    assert found["topics"]["state"] == found["schema"]["state"] == "ok"


def test_doctor_tells_wrong_settings_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "--json", "--set", "kafka.partitions=x"]) == exits.NO
    assert "expected an integer greater than 0" in findings(capsys)["settings"]["message"]


def test_doctor_sees_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker() as broker:
        assert not port_is_free(broker.port)
        main.run(["doctor", "--json", "--set", f"service.port={broker.port}"])
    assert findings(capsys)["port"]["state"] == "warning"


def test_exit_codes_are_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    codes = {name: code for name, code in vars(exits).items() if isinstance(code, int)}
    for name, code in codes.items():
        assert re.search(rf"^\| {code} \|", page, re.MULTILINE), name
