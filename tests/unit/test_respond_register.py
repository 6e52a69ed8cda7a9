"""Enterprise numbers (400, 800) as callers: whether one may be blocked depends on who is registered."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.alert import Match
from streams.respond.step import Respond
from streams.switches.rulebook import RuleBook
from streams.wire.records import ListEntry, RuleChange, encode
from tests.rules import CALLEE, CALLER, T0, alert, rule, settings

NOTIFIER, STRANGER = "+864008200001", "+864009990001"


def company(value: str, category: str = "notification", entry_id: str = "c", **fields: Any) -> ListEntry:
    type_ = "prefix" if value.endswith("*") else "number"
    return ListEntry(
        entry_id,
        "company",
        type_,
        value,
        "Parcels",
        "registered",
        category=category,  # type: ignore[arg-type]
        **fields,
    )


def respond(*entries: ListEntry, **limits: Any) -> Respond:
    step = Respond(settings(**limits), None)
    for entry in entries:
        assert step.listed(entry.entry_id, entry, T0) == []
    return step


def actions(changes: list[RuleChange]) -> list[str]:
    return ["end" if change.rule is None else change.rule.action for change in changes]


def ruled(step: Respond, caller: str, now: int = T0) -> list[str]:
    return actions(step.alert(alert(Match(caller=caller), last_seen=now), now))


def test_without_a_register_each_is_labelled() -> None:
    assert ruled(respond(), STRANGER) == ["label"]
    assert ruled(respond(company("+862161234567")), STRANGER) == ["label"], "no enterprise number"


@pytest.mark.parametrize(
    "value",
    [NOTIFIER, "4008200001", "400-820-0001", "+86400820*", "400820*", "0086 400 820 0001", "864008200001"],
)
def test_who_is_registered_is_labelled_and_everybody_else_blocked(value: str) -> None:
    step = respond(company(value))
    assert ruled(step, NOTIFIER) == ["label"]
    assert ruled(step, STRANGER) == ["block"]


def test_a_number_for_advertising_is_nobodys() -> None:
    step = respond(company("+864007770001"), company(NOTIFIER, "marketing", "m"))
    assert ruled(step, NOTIFIER) == ["block"]
    assert ruled(respond(company(NOTIFIER, "marketing")), NOTIFIER) == ["label"], "that is no register"
    both = respond(company(NOTIFIER, "service", "s"), company(NOTIFIER, "marketing", "m"))
    assert ruled(both, NOTIFIER) == ["label"]


def test_an_entry_that_has_expired_registers_nothing() -> None:
    step = respond(company("+864007770001"), company(NOTIFIER, entry_id="old", expires_at=T0 + 1))
    assert ruled(step, NOTIFIER) == ["label"]
    assert ruled(step, NOTIFIER, T0 + 1) == ["block"]


def test_a_new_entry_ends_the_rules_that_it_forbids() -> None:
    step = respond(company("+864007770001"))
    assert ruled(step, NOTIFIER) == ["block"]
    assert ruled(step, STRANGER) == ["block"]
    [ended] = step.listed("new", company(NOTIFIER, entry_id="new"), T0 + 1)
    assert ended.rule is None
    assert NOTIFIER in ended.why
    assert [each.match.caller for each in step.rules.values()] == [STRANGER]


def test_without_the_last_entry_all_rules_about_enterprises_end() -> None:
    step = respond(company(NOTIFIER))
    assert ruled(step, STRANGER) == ["block"]
    assert ruled(step, CALLER) == ["block"]
    assert actions(step.listed("c", None, T0 + 1)) == ["end"]
    assert [each.match.caller for each in step.rules.values()] == [CALLER]


def test_a_restored_rule_ends_where_its_caller_was_registered_since() -> None:
    step = respond(company(NOTIFIER))
    step.restore(rule(Match(caller=NOTIFIER)))
    step.restore(rule(Match(caller=STRANGER)))
    assert actions(step.advance(T0)) == ["end"]
    assert [each.match.caller for each in step.rules.values()] == [STRANGER]


@pytest.mark.parametrize("match", [
    Match(callee=STRANGER), Match(caller=CALLER, callee=STRANGER), Match(caller="+8640099*"),
])  # fmt: skip
def test_as_callee_or_in_a_prefix_each_is_protected(match: Match) -> None:
    step = respond(company(NOTIFIER))
    assert step.alert(alert(match), T0) == []
    assert step.refused[0].guard == "protected"


def test_registered_with_no_rules_about_service_numbers_means_none() -> None:
    step = respond(company(NOTIFIER), service_numbers="none")
    assert ruled(step, NOTIFIER) == []
    assert step.refused[0].guard == "protected"
    assert ruled(step, STRANGER) == ["block"]


def test_an_entry_that_is_no_number_is_refused_with_the_reason() -> None:
    step = respond()
    broken = ListEntry("b", "company", "number", "+86400820*", "Parcels", "registered")
    assert step.listed("b", broken, T0) == []
    assert step.refused[0].guard == "entry"
    assert "+86400820*" in step.refused[0].message


def test_a_switch_takes_a_rule_that_blocks_one() -> None:
    [change] = respond(company(NOTIFIER)).alert(alert(Match(caller=STRANGER)), T0)
    assert change.rule is not None
    switch = RuleBook()
    assert switch.apply(change.rule_id, encode(change.rule)).outcome == "added"
    decision = switch.decide(STRANGER, CALLEE, "T1", "CM", "national", now=T0)
    assert decision is not None
    assert decision.action == "block"
