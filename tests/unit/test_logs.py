"""Logs: structured, on standard error, with the numbers of persons masked."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from config.settings import ServiceSettings
from streams import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in logs.LIBRARIES}
    yield
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    written = capsys.readouterr()
    assert written.out == ""
    return [json.loads(line) for line in written.err.splitlines()]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+8613800138000", "+861380013****"),
        ("8613800138000 called +861012345678.", "861380013**** called +86101234****."),
        ("sip:+8613800138000@10.0.0.1:5060", "sip:+861380013****@10.0.0.1:5060"),
        ("+8617001234*", "+861700****" + "*"),
        ("95588 and 110", "95588 and 110"),
        ("rule 0123456789abcdef0123456789abcdef", "rule 0123456789abcdef0123456789abcdef"),
        ("at 1763768622.25", "at 1763768622.25"),
        ("127.0.0.1:36231 on 2026-11-21", "127.0.0.1:36231 on 2026-11-21"),
    ],
)
def test_the_last_four_digits_of_a_number_are_hidden(text: str, shown: str) -> None:
    assert logs.masked(text) == shown


def test_structured_fields_are_masked_where_they_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(ServiceSettings(log_format="json"))
    structlog.get_logger("respond").info(
        "issued for +8613800138000",
        caller=8613800138000,
        offset=1234567890,
        time=1763768622000,
        match={"callee": 861012345678, "trunk": "T1"},
        samples=["+8613800138000"],
        live=True,
    )
    (line,) = logged(capsys)
    assert line["event"] == "issued for +861380013****"
    assert line["caller"] == "861380013****"
    assert line["match"] == {"callee": "86101234****", "trunk": "T1"}
    assert line["samples"] == ["+861380013****"]
    assert (line["offset"], line["time"], line["live"]) == (1234567890, 1763768622000, True)
    assert (line["level"], line["logger"]) == ("info", "respond")


def test_numbers_in_a_traceback_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(ServiceSettings(log_format="json"))
    try:
        raise ValueError("no room for +8613800138000")
    except ValueError:
        structlog.get_logger("detect").error("failed", exc_info=True)
    (line,) = logged(capsys)
    assert "no room for +861380013****" in line["exception"]
    assert "138000" not in json.dumps(line)


def test_masking_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(ServiceSettings(log_format="json", mask_numbers=False))
    structlog.get_logger("respond").info("issued", caller="+8613800138000")
    assert logged(capsys)[0]["caller"] == "+8613800138000"


def test_libraries_are_heard_only_when_something_is_wrong_and_masked_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(ServiceSettings(log_format="json"))
    logging.getLogger("aiokafka.consumer").info("joined")
    logging.getLogger("faust").warning("no room for %s", "+8613800138000")
    (line,) = logged(capsys)
    assert (line["logger"], line["event"]) == ("faust", "no room for +861380013****")


def test_what_a_library_repeats_is_told_once_in_a_while(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure(ServiceSettings(log_format="json"))
    library, own = logging.getLogger("aiokafka"), structlog.get_logger("store")
    now = 1_000.0
    monkeypatch.setattr(logging.time, "time", lambda: now)
    monkeypatch.setattr(logging.time, "time_ns", lambda: int(now * 1e9), raising=False)
    for _ in range(5):
        library.error("Unable connect to node with id %s", 1)
        own.error("down")
    library.error("Unable to update metadata from %s", [1])
    now += logs.REPEAT_S
    library.error("Unable connect to node with id %s", 2)
    told = [line["event"] for line in logged(capsys)]
    assert told.count("down") == 5
    assert [event for event in told if event != "down"] == [
        "Unable connect to node with id 1",
        "Unable to update metadata from [1]",
        "Unable connect to node with id 2 (4 times more since it was last told)",
    ]


def test_the_level_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(ServiceSettings(log_format="json", log_level="error"))
    structlog.get_logger("store").warning("slow")
    structlog.get_logger("store").error("down")
    assert [line["event"] for line in logged(capsys)] == ["down"]


def test_text_is_one_line_without_colour_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(ServiceSettings(log_format="text"))
    structlog.get_logger("ringfence").info("last minute", events=5)
    (line,) = capsys.readouterr().err.splitlines()
    assert "last minute" in line
    assert "events=5" in line
    assert "\x1b" not in line
