"""What a switch believes of the topic, and which calls its rules are about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import xxhash
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from detectors.alert import Match
from streams.switches.patterns import country_code_of, pattern_matches, read_pattern
from streams.switches.rulebook import RuleBook
from streams.switches.validation import rule_id_of
from streams.wire.records import Approval, BlockRule, encode
from tests.rules import CALLEE, CALLER, T0, TTL, rule

CALL = {"caller": CALLER, "callee": CALLEE, "trunk": "T1", "network": "CM", "gateway": "national", "now": T0}


def book_of(*rules: BlockRule) -> RuleBook:
    book = RuleBook()
    for each in rules:
        applied = book.apply(each.rule_id, encode(each))
        assert applied.outcome == "added", applied.message
    return book


def stops(match: Match, **call: Any) -> bool:
    return book_of(rule(match)).decide(**{**CALL, **call}) is not None


@pytest.mark.parametrize(("text", "kind", "value"), [
    ("+8613800138000", "number", "8613800138000"), ("+86138*", "prefix", "86138"), ("200", "text", "200"),
    ("+86138**", "text", "+86138**"), ("86138*", "text", "86138*"), ("+", "text", "+"), ("+*", "text", "+*"),
    ("", "text", ""), ("+86 138", "text", "+86 138"), ("+٨٦", "text", "+٨٦"), ("+0123*", "text", "+0123*"),
    ("sales*", "text", "sales*"), ("+86138\n", "text", "+86138\n"),
])  # fmt: skip
def test_patterns(text: str, kind: str, value: str) -> None:
    assert read_pattern(text) == (kind, value)


@pytest.mark.parametrize(("digits", "code"), [
    ("8613800138000", "86"), ("12025550123", "1"), ("85291234567", "852"), ("999123", "999"), ("7", "7"),
])  # fmt: skip
def test_country_codes(digits: str, code: str) -> None:
    assert country_code_of(digits) == code


@pytest.mark.parametrize(("match", "call", "stopped"), [
    (Match(caller=CALLER), {}, True),
    (Match(caller=CALLER), {"caller": CALLER + "1"}, False),
    (Match(caller=CALLER), {"caller": CALLER[:-1]}, False),
    (Match(caller="+86138001*"), {}, True),
    (Match(caller="+8613800138000*"), {}, True),
    (Match(caller="+86138001380001*"), {}, False),
    (Match(caller="+86139001*"), {}, False),
    (Match(caller="+86138001*"), {"caller": "86138001*"}, False),
    (Match(caller="+86138001*"), {"caller": ""}, False),
    (Match(caller="sales", trunk="T1"), {"caller": "sales"}, True),
    (Match(caller="sales", trunk="T1"), {"caller": "sales2"}, False),
    (Match(caller="sales", trunk="T1"), {"caller": "sales", "trunk": "T2"}, False),
    (Match(caller="sales*", trunk="T1"), {"caller": "sales2"}, False),
    (Match(caller="sales*", trunk="T1"), {"caller": "sales*"}, True),
    (Match(callee=CALLEE), {}, True),
    (Match(callee=CALLEE), {"callee": CALLER}, False),
    (Match(callee="+86139001*", trunk="T1"), {}, True),
    (Match(caller=CALLER, callee=CALLEE, trunk="T1", network="CM", gateway="national"), {}, True),
    (Match(caller=CALLER, callee=CALLEE), {"callee": CALLER}, False),
    (Match(caller=CALLER, network="CU"), {}, False),
    (Match(caller=CALLER, gateway="international"), {}, False),
    (Match(trunk="T1"), {}, True),
    (Match(trunk="T1"), {"trunk": ""}, False),
])  # fmt: skip
def test_matching(match: Match, call: dict[str, str], stopped: bool) -> None:
    assert stops(match, **call) is stopped


@pytest.mark.parametrize("emergency", ["+86110", "110", "0110", "+8610120", "+86755119"])
def test_no_rule_is_ever_about_an_emergency_call(emergency: str) -> None:
    assert not stops(Match(caller=CALLER), callee=emergency)
    assert not stops(Match(callee=CALLEE), caller=emergency)
    assert not stops(Match(trunk="T1"), callee=emergency)


@pytest.mark.parametrize(("fields", "now", "stopped"), [
    ({}, T0, True),
    ({}, T0 - 1, False),
    ({}, T0 + TTL - 1, True),
    ({}, T0 + TTL, False),
    ({"mode": "shadow"}, T0, False),
    ({"mode": "report"}, T0, False),
    ({"approval": Approval("approved")}, T0, True),
    ({"approval": Approval("pending")}, T0, False),
    ({"approval": Approval("rejected")}, T0, False),
    ({"approval": Approval("revoked")}, T0, False),
])  # fmt: skip
def test_only_rules_in_force_stop_calls(fields: dict[str, Any], now: int, stopped: bool) -> None:
    decision = book_of(rule(**fields)).decide(**{**CALL, "now": now})
    assert (decision is not None) is stopped


def test_what_shadow_rules_would_have_stopped() -> None:
    book = book_of(rule(mode="shadow"))
    assert book.decide(**CALL) is None
    assert book.decide(**CALL, least="shadow") is not None
    assert book_of(rule(mode="report")).decide(**CALL, least="shadow") is None


def test_a_decision_has_the_words_for_the_call() -> None:
    made = book_of(rule(sip_code=604, sip_reason="Does Not Exist Anywhere")).decide(**CALL)
    assert made is not None
    assert made[:6] == (rule().rule_id, "block", 604, "Does Not Exist Anywhere", 21, "40 calls in a minute")
    assert made.rule.alert_ids == ["a"]


def test_the_strongest_action_decides_then_the_rule_that_names_most() -> None:
    wide, narrow = rule(Match(caller="+86138001*")), rule(Match(caller=CALLER, trunk="T1"))
    label = rule(Match(caller=CALLER, callee=CALLEE, trunk="T1"), action="label", label="nuisance")
    for order in ([wide, narrow, label], [label, narrow, wide]):
        decision = book_of(*order).decide(**CALL)
        assert decision is not None
        assert decision.rule_id == narrow.rule_id


def test_two_actions_on_one_match_are_two_rules() -> None:
    block, throttle = rule(), rule(action="throttle", cps=0.5)
    book = book_of(throttle, block)
    assert len(book.rules) == 2
    book.apply(block.rule_id, None)
    decision = book.decide(**CALL)
    assert decision is not None
    assert (decision.action, decision.rule.cps) == ("throttle", 0.5)


def test_a_tombstone_ends_a_rule() -> None:
    book = book_of(rule())
    assert book.apply(rule().rule_id.encode(), None) == ("removed", rule().rule_id, None, "")
    assert book.decide(**CALL) is None
    assert book.apply(rule().rule_id, None).outcome == "unchanged"


def test_a_later_sequence_replaces_and_an_earlier_one_is_passed_over() -> None:
    book = book_of(rule(sequence=T0 + 5, version=3))
    newer = rule(sequence=T0 + 6, version=4, mode="shadow")
    assert book.apply(newer.rule_id, encode(newer)).outcome == "updated"
    assert book.decide(**CALL) is None
    assert book.apply(newer.rule_id, encode(newer)).outcome == "unchanged"
    for older in (rule(sequence=T0 + 5, version=9), rule(sequence=T0 + 6, version=9)):
        applied = book.apply(older.rule_id, encode(older))
        assert (applied.outcome, applied.rule) == ("stale", newer)
    next_life = rule(sequence=T0 + 7, version=1)
    assert book.apply(next_life.rule_id, encode(next_life)).outcome == "updated"


@pytest.mark.parametrize(("change", "says"), [
    ({"rule_id": "0" * 32}, "its match and action give"),
    ({"match": {}}, "give"),
    ({"match": {"caller": 5}}, "$.match.caller"),
    ({"mode": "destroy"}, "$.mode"),
    ({"version": "1"}, "$.version"),
    ({"version": 0}, "version 0"),
    ({"sequence": 0}, "sequence 0"),
    ({"not_before": T0 + TTL}, "not_before"),
    ({"expires_at": T0 + 8 * 86_400_000}, "after issued_at"),
    ({"expires_at": 10**18, "issued_at": 10**18}, "ms since the epoch"),
    ({"not_before": -1}, "ms since the epoch"),
    ({"sip_code": 200}, "sip_code is 200"),
    ({"q850_cause": 0}, "q850_cause is 0"),
    ({"severity": "worst"}, "$.severity"),
    ({"approval": None}, "$.approval"),
])  # fmt: skip
def test_a_bad_record_is_refused_with_its_reason(change: dict[str, Any], says: str) -> None:
    book = book_of(rule())
    record = {**msgspec.to_builtins(rule(sequence=T0 + 1)), **change}
    applied = book.apply(record["rule_id"], orjson.dumps(record))
    assert applied.outcome == "refused"
    assert says in applied.message
    assert book.rules == {rule().rule_id: rule()}
    assert book.counts["refused"] == 1


@pytest.mark.parametrize("match", [
    Match(), Match(network="CM"), Match(gateway="national"), Match(caller="", trunk="T1"), Match(trunk=""),
    Match(caller=CALLER, network=""), Match(caller="+86*"), Match(caller="+8613*"), Match(callee="+1*"),
    Match(caller="+" + "8" * 25), Match(caller="+86110"), Match(callee="+86110"),
    Match(callee="110", trunk="T1"), Match(callee="+8695588"), Match(caller="+861*"),
    Match(caller="+8610011*"),
])  # fmt: skip
def test_no_issuer_may_ask_for_this(match: Match) -> None:
    bad = rule(match)
    applied = RuleBook().apply(bad.rule_id, encode(bad))
    assert applied.outcome == "refused"
    assert "match" in applied.message


@pytest.mark.parametrize(("action", "fields"), [
    ("throttle", {}), ("throttle", {"cps": 0.0}), ("divert", {}), ("divert", {"divert_to": ""}),
    ("label", {}),
])  # fmt: skip
def test_an_action_needs_what_it_works_with(action: str, fields: dict[str, Any]) -> None:
    bad = rule(action=action, **fields)
    assert RuleBook().apply(bad.rule_id, encode(bad)).outcome == "refused"


@pytest.mark.parametrize("value", [b"", b"{", b"null", b"[]", b"\xff\xfe", b"1" * 70_000, b"[" * 5_000])
def test_what_is_no_rule_at_all_is_refused(value: bytes) -> None:
    assert RuleBook().apply(b"k", value).outcome == "refused"


@pytest.mark.parametrize("key", [None, b"", "other", b"\xff"])
def test_a_record_under_another_key_is_refused(key: Any) -> None:
    applied = RuleBook().apply(key, encode(rule()))
    assert (applied.outcome, "the record's key is" in applied.message) == ("refused", True)


def test_unknown_fields_are_ignored() -> None:
    record = {**msgspec.to_builtins(rule()), "colour": "red"}
    assert RuleBook().apply(rule().rule_id, orjson.dumps(record)).outcome == "added"


def test_the_book_is_bounded() -> None:
    book = RuleBook(max_rules=1)
    assert book.add(rule()).outcome == "added"
    assert book.add(rule(Match(caller=CALLEE))).outcome == "refused"
    assert book.add(rule(sequence=T0 + 1)).outcome == "updated"


parties = st.sampled_from(
    ["+8613800138000", "+8613800138001", "+8613900139000", "+120255501234", "200", "sales", "", "+86138"]
)
patterns = st.one_of(st.none(), parties, st.sampled_from(["+8613800*", "+861380013800*", "+1202555*"]))
names = st.sampled_from(["", "T1", "T2"])
matches = st.builds(
    Match,
    caller=patterns,
    callee=patterns,
    trunk=st.one_of(st.none(), names),
    network=st.one_of(st.none(), names),
    gateway=st.sampled_from([None, "national", "international"]),
)


def plainly_matches(match: Match, call: dict[str, str]) -> bool:
    """The contract in words: every part that is given agrees."""
    return all(
        part is None
        or (pattern_matches(part, call[name]) if name in ("caller", "callee") else part == call[name])
        for name in ("caller", "callee", "trunk", "network", "gateway")
        for part in [getattr(match, name)]
    )


@given(
    st.lists(matches, max_size=8, unique=True),
    st.lists(st.integers(0, 7), max_size=4),
    parties, parties, names, names, st.sampled_from(["national", "international"]),
)  # fmt: skip
@examples(max_examples=500, deadline=None)
def test_the_book_agrees_with_the_contract(
    wanted: list[Match], ended: list[int], caller: str, callee: str, trunk: str, network: str, gateway: str
) -> None:
    book = RuleBook()
    for match in wanted:
        book.add(rule(match))
    for index in ended:
        if index < len(wanted):
            book.remove(rule_id_of(wanted[index], "block"))
    live = [match for index, match in enumerate(wanted) if index not in ended]
    call = {"caller": caller, "callee": callee, "trunk": trunk, "network": network, "gateway": gateway}
    expected = {rule_id_of(match, "block") for match in live if plainly_matches(match, call)}
    decision = book.decide(**call, now=T0)
    assert (decision is not None) == bool(expected)
    assert decision is None or decision.rule_id in expected
    assert set(book.rules) == {rule_id_of(match, "block") for match in live}


def test_the_rule_in_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
    [example] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    record = orjson.loads(example)
    assert list(record) == list(BlockRule.__struct_fields__)
    book = RuleBook()
    applied = book.apply(record["rule_id"], example.encode())
    assert applied.outcome == "added", applied.message
    call = {**CALL, "caller": "+86170012345678", "trunk": "CU-GD-07", "now": record["not_before"]}
    assert book.decide(**call) is not None
    [hashed] = re.findall(r"`(\[\{.*?\}.*?\])` gives", page)
    assert xxhash.xxh3_128_hexdigest(hashed.encode()) == record["rule_id"]
