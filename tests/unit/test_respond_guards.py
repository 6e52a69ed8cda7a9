"""What never becomes a rule: too wide, about nobody, protected, allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detectors.alert import Match
from streams.respond.step import Respond
from streams.switches.protected import protected_numbers
from streams.wire.records import ListEntry
from tests.rules import CALLEE, CALLER, T0, TTL, alert, rule, settings


def entry(type_: str, value: str, entry_id: str = "e", **fields: Any) -> ListEntry:
    return ListEntry(entry_id, "allow", type_, value, "desk", "appeal", **fields)  # type: ignore[arg-type]


def refused(match: Match, *entries: ListEntry, now: int = T0, **respond: Any) -> str:
    """The guard that refuses a rule with this match; empty where it is issued."""
    step = Respond(settings(**respond), None)
    for each in entries:
        assert step.listed(each.entry_id, each, T0) == []
    changes = step.alert(alert(match, last_seen=now), now)
    assert bool(changes) is not bool(step.refused)
    return step.refused[0].guard if step.refused else ""


@pytest.mark.parametrize(("match", "guard"), [
    (Match(caller="+86138*"), "breadth"),
    (Match(caller="+861380*"), "breadth"),
    (Match(caller="+8613800*"), ""),
    (Match(caller="+85291*"), "breadth"),
    (Match(caller="+85291234*"), ""),
    (Match(caller="+12024*"), "breadth"),
    (Match(caller="+120245*"), ""),
    (Match(caller=CALLER, callee="+8613*"), "breadth"),
    (Match(trunk="T1"), "breadth"),
    (Match(network="CM"), "breadth"),
    (Match(gateway="international"), "breadth"),
    (Match(), "breadth"),
    (Match(caller=CALLER, trunk=""), "empty"),
    (Match(caller="", trunk="T1"), "empty"),
    (Match(caller=CALLER, network=""), "empty"),
    (Match(caller="sales"), "text"),
    (Match(caller="sales", trunk="T1"), ""),
    (Match(callee="200"), "text"),
    (Match(callee="200", trunk="T1"), ""),
    (Match(caller=CALLER), ""),
    (Match(callee=CALLEE), ""),
    (Match(callee=CALLEE, trunk="T1"), ""),
])  # fmt: skip
def test_breadth(match: Match, guard: str) -> None:
    assert refused(match) == guard


@pytest.mark.parametrize("number", ["+86110", "110", "+8610110", "+8695588*", "+86400*", "95588"])
def test_only_a_single_service_number_is_slowed_down(number: str) -> None:
    assert refused(Match(caller=number, trunk="T1"), min_prefix_digits=3) == "protected"


@pytest.mark.parametrize("match", [
    Match(callee="+8695588"), Match(caller=CALLER, callee="+8695588"),
    Match(caller="+8695588", callee="+86110"),
])  # fmt: skip
def test_calls_to_a_service_number_are_never_slowed_down(match: Match) -> None:
    assert refused(match) == "protected"


@pytest.mark.parametrize("number", [
    "+86110", "+86112", "+86119", "+86120", "+86122", "110", "0110", "+8610110", "010110", "+86755120",
    "+8695588", "95588", "+8695533000", "+8696166", "+8610086", "+8610000", "+8612345", "+86114",
    "+864001234567", "4001234567", "+86400*", "+8640012*", "+8695588*", "+86755110*",
])  # fmt: skip
def test_emergency_and_short_service_numbers_are_always_protected(number: str) -> None:
    never = {"min_prefix_digits": 3, "service_numbers": "none"}
    assert refused(Match(caller=number, trunk="T1"), **never) == "protected"
    assert refused(Match(callee=number, trunk="T1"), min_prefix_digits=3) == "protected"
    assert refused(Match(caller=CALLER, callee=number, trunk="T1"), min_prefix_digits=3) == "protected"


@pytest.mark.parametrize("number", [
    "+8613800138000", "+8613800*", "+867551101", "+869511234567", "+8695112345678", "+862195588123",
    "+864001234", "+862112345678", "+861012345678", "ACME", "1001x",
    "+12024561111", "+110",
])  # fmt: skip
def test_ordinary_numbers_are_not_protected(number: str) -> None:
    assert protected_numbers(86).named_by(number) is None


def test_a_prefix_that_reaches_into_service_numbers_is_protected() -> None:
    assert protected_numbers(86).named_by("+869511234*") == "+8695*"
    assert protected_numbers(86).named_by("+8695112345678*") is None
    assert protected_numbers(86).named_by("+86*") is not None


def test_another_home_country_has_its_own_emergency_numbers() -> None:
    british = protected_numbers(44)
    assert british.is_emergency("999")
    assert british.is_emergency("+44112")
    assert not british.is_emergency("110")


# --- allow-lists


@pytest.mark.parametrize(("type_", "value", "match", "guard"), [
    ("number", CALLER, Match(caller=CALLER), "allowed"),
    ("number", CALLER, Match(caller="+8613800138*"), "allowed"),
    ("number", CALLER, Match(caller="+8613800139*"), ""),
    ("number", CALLER, Match(caller="+86138001380001"), ""),
    ("number", CALLER, Match(caller=CALLER, callee=CALLEE, trunk="T1", network="CM"), "allowed"),
    ("number", "+86 138-0013-8000", Match(caller=CALLER), "allowed"),
    ("number", "13800138000", Match(caller=CALLER), "allowed"),
    ("number", "013800138000", Match(caller=CALLER), "allowed"),
    ("number", "008613800138000", Match(caller=CALLER), "allowed"),
    ("number", "8613800138000", Match(caller=CALLER), "allowed"),
    ("number", "sales", Match(caller="sales", trunk="T1"), "allowed"),
    ("number", "200", Match(caller="200", trunk="T1"), "allowed"),
    ("number", "sales", Match(caller="Sales", trunk="T1"), ""),
    ("prefix", "+86138*", Match(caller=CALLER), "allowed"),
    ("prefix", "+86138", Match(caller=CALLER), "allowed"),
    ("prefix", "+86138*", Match(caller="+8613800*"), "allowed"),
    ("prefix", "+8613800138*", Match(caller="+8613800*"), "allowed"),
    ("prefix", "+86139*", Match(caller="+8613800*"), ""),
    ("prefix", "1380013", Match(caller=CALLER), "allowed"),
    ("number", CALLER, Match(callee=CALLER, caller="+8613900*"), ""),
    ("number", CALLER, Match(callee=CALLER, trunk="T1"), ""),
    ("number", CALLER, Match(callee=CALLEE), "allowed"),
    ("number", CALLER, Match(callee=CALLEE, network="CM"), "allowed"),
    ("prefix", "+86138*", Match(callee=CALLEE), "allowed"),
    ("trunk", "T1", Match(callee=CALLEE), "allowed"),
    ("trunk", "T1", Match(callee=CALLEE, trunk="T1"), "allowed"),
    ("trunk", "T1", Match(callee=CALLEE, trunk="T2"), ""),
    ("trunk", "T1", Match(caller=CALLER, trunk="T1"), "allowed"),
    ("trunk", "T1", Match(caller=CALLER), ""),
])  # fmt: skip
def test_the_allow_list(type_: str, value: str, match: Match, guard: str) -> None:
    assert refused(match, entry(type_, value)) == guard


def test_entries_of_other_lists_protect_nobody() -> None:
    other = ListEntry("e", "refusal", "number", CALLER, "desk", "appeal")
    assert refused(Match(caller=CALLER), other) == ""


def test_an_entry_protects_until_it_expires() -> None:
    expiring = entry("number", CALLER, expires_at=T0 + 10)
    assert refused(Match(caller=CALLER), expiring, now=T0 + 9) == "allowed"
    assert refused(Match(caller=CALLER), expiring, now=T0 + 10) == ""


def test_one_of_two_entries_for_a_number_is_enough() -> None:
    step = Respond(settings(), None)
    step.listed("x", entry("number", CALLER, "x"), T0)
    step.listed("y", entry("number", CALLER, "y", expires_at=T0 + 1), T0)
    assert step.alert(alert(Match(caller=CALLER), last_seen=T0 + 5), T0 + 5) == []
    step.listed("x", None, T0 + 5)
    assert len(step.alert(alert(Match(caller=CALLER), last_seen=T0 + 5), T0 + 5)) == 1


def test_a_changed_entry_protects_what_it_says_now() -> None:
    step = Respond(settings(), None)
    step.listed("e", entry("number", CALLER), T0)
    step.listed("e", entry("number", CALLEE), T0)
    assert len(step.alert(alert(Match(caller=CALLER)), T0)) == 1
    assert step.alert(alert(Match(caller=CALLEE), alert_id="b"), T0) == []


def test_an_entry_ends_rules_already_out() -> None:
    step = Respond(settings(), None)
    matches = [Match(caller=CALLER), Match(caller="+8613800138*"), Match(caller=CALLEE)]
    issued = [change.rule_id for change in step.alert(alert(*matches), T0)]
    ended = step.listed("e", entry("number", CALLER), T0 + 1)
    assert [(change.rule_id, change.rule) for change in ended] == [(id_, None) for id_ in sorted(issued[:2])]
    assert all("allow-list" in change.why and "desk" in change.why for change in ended)
    assert list(step.rules) == issued[2:]
    assert step.listed("e", entry("number", CALLER), T0 + 2) == [], "the same entry again changes nothing"


def test_a_restored_rule_that_an_entry_protects_ends_first_thing() -> None:
    step = Respond(settings(), None)
    step.listed("e", entry("number", CALLER), T0)
    step.restore(rule(Match(caller=CALLER)))
    [ended] = step.advance(T0 + 1)
    assert ended.rule is None


@pytest.mark.parametrize(("type_", "value"), [
    ("number", ""), ("number", " "), ("number", "+"), ("number", "+86x"), ("prefix", "sales*"),
    ("prefix", "*"), ("prefix", ""), ("trunk", ""), ("trunk", " "),
])  # fmt: skip
def test_an_entry_that_means_nothing_is_refused_aloud(type_: str, value: str) -> None:
    step = Respond(settings(), None)
    step.listed("e", entry("number", CALLER), T0)
    step.listed("e", entry(type_, value), T0)
    assert [refusal.guard for refusal in step.refused] == ["entry"]
    assert step.alert(alert(Match(caller=CALLER)), T0) == [], "the entry as it was stays"


def test_an_entry_under_another_key_is_refused() -> None:
    step = Respond(settings(), None)
    step.listed("other", entry("number", CALLER), T0)
    assert step.refused[0].guard == "entry"
    assert not step.allowed


def test_a_refusal_is_told_once_for_an_alert_and_its_versions() -> None:
    step = Respond(settings(), None)
    for version in range(1, 50):
        step.alert(alert(Match(trunk="T1"), last_seen=T0 + version, version=version), T0 + version)
    assert len(step.refused) == 1
    assert step.refusals == {"breadth": 1}
    assert step.refused[0].message.endswith("it would stop a whole trunk.")


def test_refusals_are_bounded() -> None:
    step = Respond(settings(), None)
    for number in range(3_000):
        step.alert(alert(Match(trunk="T1"), alert_id=str(number)), T0)
    assert len(step.refused) == 1_000
    assert step.refusals["breadth"] == 3_000


def test_the_file_of_the_settings_always_applies(tmp_path: Path) -> None:
    file = tmp_path / "allow.yaml"
    file.write_text(f'- {{type: number, value: "{CALLER}", owner: hospital, reason: reminders}}\n')
    step = Respond(settings(allow=str(file)), None)
    [entry_id] = step.allowed
    assert step.alert(alert(Match(caller=CALLER)), T0) == []
    step.listed(entry_id, None, T0)
    assert step.alert(alert(Match(caller=CALLER), last_seen=T0 + TTL), T0 + TTL) == []


@pytest.mark.parametrize("content", [
    "- {type: number}", "- {type: people, value: x}", "{", "- {type: number, value: '+86x'}", "x: y",
    "- {type: number, value: x, colour: red}",
])  # fmt: skip
def test_a_wrong_file_says_so(tmp_path: Path, content: str) -> None:
    file = tmp_path / "allow.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match="allow"):
        Respond(settings(allow=str(file)), None)
