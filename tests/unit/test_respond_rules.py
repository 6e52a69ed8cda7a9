"""Rules come with alerts, last as long as they do, and end by themselves."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from config.settings import Settings
from detectors.alert import BlastRadius, Match, Severity
from streams.respond.answers import answer_for
from streams.respond.step import MAX_ALERT_IDS, Respond
from streams.switches.rulebook import RuleBook
from streams.switches.validation import rule_id_of
from streams.wire.records import ListEntry, encode
from tests.rules import CALLEE, CALLER, T0, TTL, alert, only, rule, settings

MATCH = Match(caller=CALLER)


@pytest.fixture
def respond() -> Respond:
    return Respond(settings(), None)


def test_an_alert_issues_its_proposal_as_a_rule(respond: Respond) -> None:
    issued = only(respond.alert(alert(MATCH, last_seen=T0 - 5, message="40 calls"), T0))
    assert issued.rule_id == rule_id_of(MATCH, "block")
    assert (issued.version, issued.sequence, issued.renewals) == (1, T0, 0)
    assert (issued.not_before, issued.issued_at, issued.expires_at) == (T0, T0, T0 - 5 + TTL)
    assert (issued.mode, issued.action, issued.approval.state) == ("enforce", "block", "auto")
    assert (issued.alert_ids, issued.reason, issued.detector) == (["a"], "40 calls", "burst")
    assert (issued.sip_code, issued.sip_reason, issued.q850_cause) == (608, "Rejected", 21)
    assert respond.rules == {issued.rule_id: issued}


SERVICE = Match(caller="+8695588", trunk="T1")


@pytest.mark.parametrize(("calls_24h", "cps"), [(0, 0.1), (400, 0.1), (86_400, 2.0)])
def test_a_service_number_is_slowed_down_to_twice_its_usual_rate(calls_24h: int, cps: float) -> None:
    respond = Respond(settings(service_numbers="throttle"), None)
    told = alert(SERVICE)
    touched = BlastRadius(calls_24h=calls_24h, callers=1, callees=calls_24h)
    told = replace(told, proposals=[replace(told.proposals[0], blast_radius=touched)])
    issued = only(respond.alert(told, T0))
    assert (issued.action, issued.cps, issued.label) == ("throttle", cps, None)
    assert issued.rule_id == rule_id_of(SERVICE, "throttle")


def test_a_service_number_is_labelled_as_shipped() -> None:
    respond = Respond(settings(service_label="Advertising"), None)
    issued = only(respond.alert(alert(SERVICE), T0))
    assert (issued.action, issued.cps, issued.label) == ("label", None, "Advertising")


def test_a_switch_takes_a_rule_that_slows_a_service_number_down() -> None:
    issued = only(Respond(settings(service_numbers="throttle"), None).alert(alert(SERVICE), T0))
    book = RuleBook()
    assert book.apply(issued.rule_id, encode(issued)).outcome == "added"
    decision = book.decide("+8695588", CALLEE, "T1", "CM", "national", T0)
    assert decision is not None
    assert decision.action == "throttle"


def test_every_proposal_of_an_alert_becomes_a_rule(respond: Respond) -> None:
    other = Match(caller="+8613800138*", callee=CALLEE)
    changes = respond.alert(alert(MATCH, other, MATCH), T0)
    assert [change.rule.match for change in changes if change.rule] == [MATCH, other]


@pytest.mark.parametrize(("detector", "kind", "code", "reason"), [
    ("unallocated", "unallocated_range", 604, "Does Not Exist Anywhere"),
    ("flood", "flood", 608, "Rejected"),
    ("misrouted", "misrouted", 403, "Forbidden"),
    ("policy", "refused", 607, "Unwanted"),
])  # fmt: skip
def test_the_answer_says_why_in_sip_terms(detector: str, kind: str, code: int, reason: str) -> None:
    assert answer_for(detector, kind) == (code, reason)


@pytest.mark.parametrize(("least", "severity", "issues"), [
    ("high", "medium", False),
    ("high", "high", True),
    ("critical", "high", False),
    ("info", "info", True),
])  # fmt: skip
def test_only_severe_alerts_earn_a_rule(least: str, severity: Severity, issues: bool) -> None:
    respond = Respond(settings(min_severity=least), None)
    assert bool(respond.alert(alert(MATCH, severity=severity), T0)) is issues


def test_an_alert_that_ended_long_ago_issues_nothing(respond: Respond) -> None:
    assert respond.alert(alert(MATCH, last_seen=T0 - TTL), T0) == []
    assert respond.alert(alert(MATCH, last_seen=T0 - TTL + 1), T0) != []


def test_an_alert_far_ahead_of_the_traffic_issues_nothing(respond: Respond) -> None:
    assert respond.alert(alert(MATCH, last_seen=T0 + TTL + 1), T0) == []
    assert respond.refused[-1].guard == "future"
    assert respond.alert(alert(MATCH, last_seen=T0 + TTL), T0) != []
    assert respond.alert(alert(MATCH, last_seen=T0 + TTL + TTL, version=2), T0) == []


def test_the_same_alert_again_changes_nothing(respond: Respond) -> None:
    respond.alert(alert(MATCH), T0)
    assert respond.alert(alert(MATCH), T0) == []
    assert respond.alert(alert(MATCH), T0 + TTL - 1) == []


def test_a_rule_is_renewed_when_its_end_moves_by_a_quarter_of_its_life(respond: Respond) -> None:
    respond.alert(alert(MATCH), T0)
    early = T0 + TTL // 4 - 1
    assert respond.alert(alert(MATCH, last_seen=early, version=2), early) == []
    due = T0 + TTL // 4
    renewed = only(respond.alert(alert(MATCH, last_seen=due, version=3, message="still"), due))
    assert (renewed.version, renewed.renewals, renewed.sequence) == (2, 1, due)
    assert (renewed.not_before, renewed.expires_at, renewed.reason) == (T0, due + TTL, "still")
    assert renewed.alert_ids == ["a"]


def test_what_others_of_its_alert_do_does_not_renew_a_rule(respond: Respond) -> None:
    first = only(respond.alert(alert(MATCH), T0))
    later = alert(MATCH, Match(caller="+8613800138001"), last_seen=T0 + TTL // 2, version=2)
    old, new = later.proposals
    later = replace(later, proposals=[replace(old, last_seen=T0), replace(new, last_seen=later.last_seen)])
    issued = only(respond.alert(later, T0 + TTL // 2))
    assert issued.match == new.match
    assert issued.expires_at == T0 + TTL // 2 + TTL
    assert respond.rules[first.rule_id].expires_at == T0 + TTL


def test_a_renewal_keeps_the_highest_severity(respond: Respond) -> None:
    respond.alert(alert(MATCH, severity="critical"), T0)
    renewed = only(respond.alert(alert(MATCH, last_seen=T0 + TTL // 2, version=2), T0 + TTL // 2))
    assert renewed.severity == "critical"


def test_another_alert_joins_a_rule_once(respond: Respond) -> None:
    respond.alert(alert(MATCH), T0)
    joined = only(respond.alert(alert(MATCH, last_seen=T0 + 1, alert_id="b"), T0 + 1))
    assert (joined.alert_ids, joined.renewals, joined.version) == (["a", "b"], 0, 2)
    assert respond.alert(alert(MATCH, last_seen=T0 + 1, alert_id="b"), T0 + 1) == []
    assert respond.alert(alert(MATCH), T0 + 1) == []


def test_a_rule_names_at_most_its_newest_alerts(respond: Respond) -> None:
    for number in range(MAX_ALERT_IDS + 5):
        respond.alert(alert(MATCH, alert_id=f"{number:02}"), T0)
    [kept] = respond.rules.values()
    assert kept.alert_ids == [f"{number:02}" for number in range(MAX_ALERT_IDS)]
    renewed = only(respond.alert(alert(MATCH, last_seen=T0 + TTL, alert_id="new"), T0 + TTL - 1))
    assert renewed.alert_ids == [f"{number:02}" for number in range(1, MAX_ALERT_IDS)] + ["new"]
    assert respond.alert(alert(MATCH, alert_id="00"), T0 + TTL - 1) == [], "a forgotten alert joins no more"


def test_a_rule_ends_when_its_time_is_over(respond: Respond) -> None:
    issued = only(respond.alert(alert(MATCH), T0))
    assert respond.advance(T0 + TTL - 1) == []
    [ended] = respond.advance(T0 + TTL)
    assert (ended.rule_id, ended.rule, ended.at) == (issued.rule_id, None, T0 + TTL)
    assert not respond.rules
    assert respond.advance(T0 + TTL) == []


def test_a_rule_ended_when_it_was_due_however_late_that_is_noticed(respond: Respond) -> None:
    respond.alert(alert(MATCH), T0)
    [ended] = respond.advance(T0 + 5 * TTL)
    assert ended.at == T0 + TTL


def test_a_renewed_rule_ends_at_its_new_time(respond: Respond) -> None:
    respond.alert(alert(MATCH), T0)
    respond.alert(alert(MATCH, last_seen=T0 + TTL // 2, version=2), T0 + TTL // 2)
    assert respond.advance(T0 + TTL) == []
    assert len(respond.advance(T0 + TTL + TTL // 2)) == 1


def test_a_later_call_ends_what_is_due_first(respond: Respond) -> None:
    issued = only(respond.alert(alert(MATCH), T0))
    later = T0 + TTL
    ended, reissued = respond.alert(alert(MATCH, last_seen=later, alert_id="b"), later)
    assert ended.rule is None
    assert reissued.rule is not None
    assert (reissued.rule.version, reissued.rule.not_before, reissued.rule.alert_ids) == (1, later, ["b"])
    assert reissued.rule.sequence > issued.sequence


def test_sequences_rise_within_one_millisecond_and_over_lives(respond: Respond) -> None:
    sequences = [only(respond.alert(alert(MATCH, alert_id=name), T0)).sequence for name in "abcd"]
    respond.listed("e", ListEntry("e", "allow", "number", CALLER, "desk", "appeal"), T0)
    respond.listed("e", None, T0)
    sequences.append(only(respond.alert(alert(MATCH, alert_id="z"), T0)).sequence)
    assert sequences == [T0, T0 + 1, T0 + 2, T0 + 3, T0 + 4]


def test_time_never_goes_back(respond: Respond) -> None:
    respond.advance(T0)
    issued = only(respond.alert(alert(MATCH, last_seen=T0 - 10), T0 - 10))
    assert (issued.not_before, issued.sequence) == (T0, T0)


def test_rules_end_in_the_order_of_their_time(respond: Respond) -> None:
    matches = [Match(caller=f"+861380013800{number}") for number in range(5)]
    for number, match in enumerate(matches):
        respond.alert(alert(match, last_seen=T0 - number, alert_id=str(number)), T0)
    ended = [change.rule_id for change in respond.advance(T0 + TTL)]
    assert ended == [rule_id_of(match, "block") for match in reversed(matches)]


def test_the_number_of_rules_is_bounded() -> None:
    respond = Respond(settings(max_rules=2), None)
    matches = [Match(caller=f"+861380013800{number}") for number in range(3)]
    assert len(respond.alert(alert(*matches), T0)) == 2
    assert respond.refused[-1].guard == "full"


# --- modes


@pytest.mark.parametrize(
    ("detector", "service", "mode"),
    [("shadow", "enforce", "shadow"), ("enforce", "shadow", "shadow"), ("report", "enforce", "report")],
)
def test_a_rule_has_the_weaker_of_both_modes(detector: str, service: str, mode: str) -> None:
    given = {"respond": {"mode": service}, "detectors": {"burst": {"mode": detector}}}
    respond = Respond(Settings.model_validate(given), None)
    assert only(respond.alert(alert(MATCH), T0)).mode == mode


def test_a_detector_that_is_off_or_unknown_stops_nobody() -> None:
    off = Respond(Settings.model_validate({"detectors": {"burst": {"mode": "off"}}}), None)
    assert off.alert(alert(MATCH), T0) == []
    unknown = Respond(settings(), None)
    assert only(unknown.alert(alert(MATCH, detector="rumour"), T0)).mode == "report"


def test_a_detector_with_a_stronger_mode_takes_a_rule_over() -> None:
    given = {"respond": {"mode": "enforce"}, "detectors": {"flood": {"mode": "shadow"}}}
    respond = Respond(Settings.model_validate(given), None)
    issued = only(respond.alert(alert(MATCH, detector="flood", alert_id="f", message="flood"), T0))
    assert (issued.mode, issued.detector) == ("shadow", "flood")
    taken = only(respond.alert(alert(MATCH, alert_id="b", last_seen=T0 + 1, message="burst"), T0 + 1))
    assert (taken.mode, taken.detector, taken.reason) == ("enforce", "burst", "burst")
    half = T0 + TTL // 2
    weaker = alert(MATCH, detector="flood", alert_id="f", last_seen=half, version=2)
    renewed = only(respond.alert(weaker, half))
    assert (renewed.mode, renewed.detector, renewed.reason) == ("enforce", "burst", "burst")


def test_the_shipped_default_is_shadow() -> None:
    assert only(Respond(Settings(), None).alert(alert(MATCH), T0)).mode == "shadow"


@pytest.mark.parametrize("mode", ["report", "shadow", "enforce"])
def test_the_service_bounds_the_mode(mode: str) -> None:
    assert only(Respond(settings(mode), None).alert(alert(MATCH), T0)).mode == mode


def test_a_restored_rule_is_weakened_at_once() -> None:
    respond = Respond(settings("shadow"), None)
    respond.restore(rule(MATCH))
    weakened = only(respond.advance(T0 + 1))
    assert (weakened.mode, weakened.version, weakened.sequence) == ("shadow", 2, T0 + 1)
    assert respond.advance(T0 + 2) == []


def test_a_restored_rule_is_strengthened_by_its_next_renewal() -> None:
    respond = Respond(settings("enforce"), None)
    respond.restore(rule(MATCH, mode="shadow"))
    assert respond.advance(T0 + 1) == []
    assert respond.alert(alert(MATCH), T0 + 1) == []
    later = T0 + TTL // 2
    assert only(respond.alert(alert(MATCH, last_seen=later, version=2), later)).mode == "enforce"


def test_a_restored_rule_that_is_over_ends_without_another_version() -> None:
    respond = Respond(settings("shadow"), None)
    respond.restore(rule(MATCH))
    [ended] = respond.advance(T0 + TTL)
    assert ended.rule is None


def test_a_restored_rule_that_settings_no_longer_allow_ends() -> None:
    wide = Match(caller="+8613800*")
    respond = Respond(settings(min_prefix_digits=8), None)
    respond.restore(rule(wide))
    [ended] = respond.advance(T0 + 1)
    assert ended.rule is None
    assert "too wide" in ended.why


def test_restored_changes_go_on_from_the_restored_sequence() -> None:
    respond = Respond(settings(), None)
    respond.restore(rule(MATCH, sequence=T0 + 500, version=7))
    joined = only(respond.alert(alert(MATCH, alert_id="b"), T0))
    assert (joined.sequence, joined.version) == (T0 + 501, 8)
    assert replace(joined, sequence=0) == replace(joined, sequence=0, issued_at=T0)
