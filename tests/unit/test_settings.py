"""Settings: which place wins, where each value came from, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from config.loading import DEFAULT, SettingsError, load, load_settings, shown, suspects
from config.reference import allowed, entries, generated, settings_yaml
from config.settings import Settings


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working directory without a settings file, an environment without settings."""
    import os

    monkeypatch.chdir(tmp_path)
    for variable in list(os.environ):
        if variable.startswith("RINGFENCE_"):
            monkeypatch.delenv(variable)


def file(text: str) -> Path:
    path = Path("given.yaml")
    path.write_text(text)
    return path


def problems(text: str = "", **overrides: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(file(text), {name.replace("__", "."): value for name, value in overrides.items()})
    return raised.value.problems


def test_defaults_without_anything() -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {DEFAULT}


def test_flags_win_over_environment_over_file_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_KAFKA__PARTITIONS", "3")
    monkeypatch.setenv("RINGFENCE_SERVICE__PORT", "3")
    path = file("kafka:\n  partitions: 2\n  brokers: kafka:9092\nservice:\n  port: 2\n")
    loaded = load(path, {"service.port": "4"})
    assert loaded.settings.kafka.brokers == "kafka:9092"
    assert loaded.settings.kafka.partitions == 3
    assert loaded.settings.service.port == 4
    assert loaded.origins["kafka.brokers"] == "given.yaml line 3"
    assert loaded.origins["kafka.partitions"] == "RINGFENCE_KAFKA__PARTITIONS in the environment"
    assert loaded.origins["service.port"] == "the command line"
    assert loaded.origins["kafka.replication"] == DEFAULT


def test_the_file_of_the_working_directory_is_read_without_asking() -> None:
    Path("ringfence.yaml").write_text("kafka: {partitions: 5}\n")
    assert load_settings().kafka.partitions == 5


def test_defaults_do_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_KAFKA__PARTITIONS", "3")
    assert Settings().kafka.partitions == 8


@pytest.mark.parametrize("text", ["", "# nothing\n", "kafka:\n", "kafka: {}\n"])
def test_an_empty_file_or_section_changes_nothing(text: str) -> None:
    assert load(file(text)).settings == Settings()


def test_a_wrong_value_names_itself_its_value_its_place_and_what_is_allowed() -> None:
    assert problems("kafka:\n  partitions: zero\n") == [
        "kafka.partitions = 'zero' (given.yaml line 2): expected an integer greater than 0"
    ]


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_RESPOND__MODE", "forceful")
    assert problems("kafka:\n  partitions: 0\n", service__port="70000") == [
        "kafka.partitions = '0' (given.yaml line 2): expected an integer greater than 0",
        "respond.mode = 'forceful' (RINGFENCE_RESPOND__MODE in the environment): "
        "expected one of report, shadow, enforce",
        "service.port = '70000' (the command line): expected an integer at least 0 and at most 65535",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "kafka:\n  brokres: x\n",
            "kafka.brokres = x (given.yaml line 2): there is no such setting; did you mean",
        ),
        (
            "kafak:\n  brokers: x\n",
            "kafak.brokers = x (given.yaml line 2): there is no such setting; did you mean",
        ),
        ("colour: blue\n", "`ringfence config reference` lists all settings"),
        ("kafka: 5\n", "kafka = 5 (given.yaml line 1): this is a section"),
        ("kafka:\n  brokers:\n", "kafka.brokers = 'None' (given.yaml line 2): expected text"),
        ("kafka:\n  brokers: [a, b]\n", "(given.yaml line 2): expected text"),
        ("kafka:\n  brokers: x\n  brokers: y\n", "kafka.brokers is given twice (given.yaml line 3)"),
        ("- kafka\n", "given.yaml holds ['kafka']; expected sections"),
        ("kafka: [\n", "given.yaml is not YAML"),
        ("kafka:\n  brokers: 2026-99-99\n", "given.yaml line 2 is not a value of YAML"),
        ("? [a, b]\n: 5\n", "there is no such setting"),
        ("kafka: &k {brokers: !!python/name:os.system x}\n", "given.yaml line 1 is not a value of YAML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(text: str, told: str) -> None:
    assert told in problems(text)[0]


def test_an_unknown_variable_of_a_known_shape_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_KAFKA__BROKRES", "x")
    assert "did you mean kafka.brokers?" in problems()[0]


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml cannot be read"):
        load("absent.yaml")


def test_a_file_that_is_not_text_is_said() -> None:
    Path("given.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load("given.yaml")


def test_a_password_is_never_shown() -> None:
    assert shown("clickhouse://me:secret@host:9000/db") == "clickhouse://me:***@host:9000/db"
    assert shown("clickhouse://host:9000/db") == "clickhouse://host:9000/db"
    assert shown("http://me:se:c@ret@host") == "http://me:***@host"
    assert "secret" not in problems("stores:\n  url: clickhouse://me:secret@host/db\n")[0]


def test_a_variable_with_one_underscore_too_few_is_suspect_and_those_of_kubernetes_are_not() -> None:
    environment = {"RINGFENCE_KAFKA_BROKERS": "x", "RINGFENCE_SERVICE_HOST": "10.0.0.1", "PATH": "/bin"}
    assert suspects(environment) == [
        "RINGFENCE_KAFKA_BROKERS is not read: did you mean RINGFENCE_KAFKA__BROKERS?"
    ]


def test_settings_cannot_be_changed_after_loading() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().kafka.partitions = 4  # type: ignore[misc]


def test_every_setting_says_what_it_is_and_what_is_allowed() -> None:
    for entry in entries():
        assert entry.description, entry.name
        assert allowed(entry), entry.name


def test_the_annotated_file_holds_every_setting_at_its_default() -> None:
    assert load(file(settings_yaml())).settings == Settings()
    given = yaml.safe_load(settings_yaml())
    for entry in entries():
        value = given
        for part in entry.name.split("."):
            value = value[part]
        assert value == entry.default


@pytest.mark.parametrize("path", list(generated()), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text() == generated()[path], "run `make generate`"
