"""`ringfence rules`: what people and programs are shown of the rules."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from detectors.alert import Match
from streams.cli import rules as command
from streams.faults import Fault, Usage
from streams.switches.reader import RuleReader
from streams.wire.records import Approval
from tests.rules import CALLEE, CALLER, T0, TTL, rule, settings
from tests.unit.test_switch_reader import Topic

NOW = time.time_ns() // 1_000_000
LONG = {"not_before": NOW - TTL, "issued_at": NOW - TTL, "expires_at": NOW + 100 * TTL}
ONE = rule(Match(caller=CALLER, trunk="T1"), reason="40 calls in a minute", **LONG)


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    """The command reads a topic in memory, and gives up following where its records end."""
    topic = Topic()

    class Reader(RuleReader):
        def __init__(self, book: Any, kafka: Any) -> None:
            super().__init__(book, kafka, open_consumer=topic.open, sleep=lambda seconds: None)

        def follow(self, stop: Callable[[], bool] = lambda: False) -> Any:
            for key, value in topic.later:
                topic.put(key, value)
            return super().follow(lambda: topic.opened[-1].at == len(topic.records))

    monkeypatch.setattr(command, "RuleReader", Reader)
    given = settings()
    kafka = given.kafka.model_copy(update={"brokers": "a:1", "topic_prefix": "x."})
    monkeypatch.setattr(command, "load", lambda: given.model_copy(update={"kafka": kafka}))
    topic.later = []  # type: ignore[attr-defined]
    return topic


def test_json_is_the_records_and_then_the_changes(topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    topic.put(ONE.rule_id, ONE)
    topic.put("forged", b"{}")
    changed = rule(ONE.match, sequence=T0 + 1, **LONG)
    topic.later = [(ONE.rule_id, changed), (ONE.rule_id, changed), (ONE.rule_id, None)]  # type: ignore[attr-defined]
    with capture_logs() as logged:
        command.rules_command(json=True)
    live, second, ended = map(json.loads, capsys.readouterr().out.splitlines())
    assert (live["rule_id"], live["sequence"], live["match"]) == (
        ONE.rule_id,
        T0,
        {"caller": CALLER, "trunk": "T1"},
    )
    assert second["sequence"] == T0 + 1
    assert ended == {"rule_id": ONE.rule_id, "tombstone": True, "at": T0 + 4, "why": ""}
    assert [(each["event"], each["rule_id"]) for each in logged] == [("rule refused", "forged")]


def test_once_lists_and_ends(topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    topic.put(ONE.rule_id, ONE)
    topic.later = [(ONE.rule_id, None)]  # type: ignore[attr-defined]
    command.rules_command(once=True)
    out = capsys.readouterr().out
    assert ONE.rule_id[:12] in out
    assert f"from {CALLER} on trunk T1" in out
    assert "in force" in out
    assert "burst high: 40 calls in a minute" in out
    assert "ended" not in out


@pytest.mark.parametrize(("fields", "state"), [
    ({"mode": "shadow"}, "shadow"), ({"mode": "report"}, "report"), ({"expires_at": NOW - 1}, "over"),
    ({"not_before": NOW + 100 * TTL, "expires_at": NOW + 200 * TTL}, "to come"),
    ({"approval": Approval("revoked")}, "revoked"),
])  # fmt: skip
def test_a_rule_that_does_not_act_says_why(
    topic: Topic, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], state: str
) -> None:
    topic.put(ONE.rule_id, rule(ONE.match, **{**LONG, **fields}))
    command.rules_command(once=True)
    assert state in capsys.readouterr().out


def test_changes_are_told_in_a_line_each(topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    topic.later = [(ONE.rule_id, ONE), (ONE.rule_id, None)]  # type: ignore[attr-defined]
    command.rules_command()
    nothing, issued, ended = capsys.readouterr().out.splitlines()
    assert nothing == "no rules"
    assert f"issued   {ONE.rule_id[:12]}  in force  block from {CALLER} on trunk T1 until" in issued
    assert f"ended    {ONE.rule_id[:12]}" in ended


def test_rules_are_listed_in_the_order_they_came(topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    later = rule(Match(caller=CALLEE), sequence=T0 + 9, **LONG)
    topic.put(later.rule_id, later)
    topic.put(ONE.rule_id, ONE)
    command.rules_command(once=True, json=True)
    listed = [json.loads(line)["sequence"] for line in capsys.readouterr().out.splitlines()]
    assert listed == [T0, T0 + 9]


def test_without_a_broker_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "load", lambda: settings())
    with pytest.raises(Usage, match=r"kafka\.brokers"):
        command.rules_command()


def test_a_broker_that_does_not_answer_is_a_fault(topic: Topic) -> None:
    topic.partitions = None
    with pytest.raises(Fault, match="there is no topic"):
        command.rules_command(wait=1)
