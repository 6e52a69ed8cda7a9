"""What people ask of the response, and what they are told became of it."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from detectors.alert import Match
from streams.respond.step import Respond
from streams.switches.rulebook import in_force
from streams.wire.records import Approval, BlockRule, Command, CommandOutcome, ListChange
from tests.rules import CALLER, T0, TTL, alert, only, rule, settings

MATCH = Match(caller=CALLER)
DAY = 86_400_000


@pytest.fixture
def respond() -> Respond:
    return Respond(settings(), None)


numbers = count(1)


def command(what: str, id_: str = "", **details: str) -> Command:
    return Command(f"c{next(numbers)}", "li", T0 - 7, what, id_, "appeal 12", details)  # type: ignore[arg-type]


def outcome(respond: Respond) -> CommandOutcome:
    assert respond.outcome is not None
    return respond.outcome


def restarted(respond: Respond, **given: Any) -> Respond:
    again = Respond(settings(**given), None)
    for entry_id, entry in respond.allowed.items():
        assert again.listed(entry_id, entry, T0) == []
    for known in respond.rules.values():
        again.restore(known)
    return again


def issue(respond: Respond, *matches: Match) -> list[BlockRule]:
    changes = respond.alert(alert(*(matches or [MATCH])), T0)
    return [change.rule for change in changes if change.rule is not None]


def test_revoking_takes_a_rule_out_of_force_and_remembers_it(respond: Respond) -> None:
    [issued] = issue(respond)
    revoke = command("revoke", issued.rule_id)
    revoked = only(respond.command(revoke, T0 + 1))
    assert revoked.approval == Approval("revoked", "li", T0 + 1)
    assert (revoked.mode, revoked.version, revoked.expires_at) == ("report", 2, T0 + DAY)
    assert not in_force(revoked, T0 + 1)
    assert outcome(respond) == CommandOutcome(
        command_id=revoke.command_id,
        who="li",
        at=T0 + 1,
        issued_at=T0 - 7,
        what="revoke",
        id=issued.rule_id,
        why="appeal 12",
        ok=True,
        message="The rule is revoked.",
        rules=[issued.rule_id],
    )


@pytest.mark.parametrize("restart", [False, True])
def test_a_revoked_rule_is_not_issued_again_by_its_alerts(respond: Respond, restart: bool) -> None:
    [issued] = issue(respond)
    respond.alert(alert(MATCH, alert_id="b"), T0)
    respond.command(command("revoke", issued.rule_id), T0 + 1)
    respond = restarted(respond) if restart else respond
    for version in range(2, 30):
        seen = T0 + version * TTL // 8
        for alert_id in ("a", "b"):
            assert respond.alert(alert(MATCH, last_seen=seen, alert_id=alert_id, version=version), seen) == []


def test_a_revocation_lasts_while_its_alert_does(respond: Respond) -> None:
    [issued] = issue(respond)
    respond.command(command("revoke", issued.rule_id), T0 + 1)
    half = T0 + DAY // 2
    held = only(respond.alert(alert(MATCH, last_seen=half, version=2), half))
    assert (held.approval.state, held.expires_at) == ("revoked", half + DAY)
    assert respond.alert(alert(MATCH, last_seen=half, version=2), half) == []
    [ended] = respond.advance(half + DAY)
    assert ended.rule is None


def test_a_new_alert_issues_a_revoked_rule_anew(respond: Respond) -> None:
    [issued] = issue(respond)
    respond.command(command("revoke", issued.rule_id), T0 + 1)
    later = T0 + TTL
    anew = only(respond.alert(alert(MATCH, last_seen=later, alert_id="b"), later))
    assert (anew.approval.state, anew.mode, anew.not_before) == ("auto", "enforce", later)
    assert (anew.version, anew.expires_at, anew.renewals) == (3, later + TTL, 0)
    respond.command(command("revoke", issued.rule_id), later + 1)
    for alert_id in ("a", "b"):
        again = alert(MATCH, last_seen=later + 2, alert_id=alert_id, version=9)
        assert respond.alert(again, later + 2) == [], "neither alert has it back"


def test_what_was_revoked_stays_so_when_its_next_life_expires(respond: Respond) -> None:
    [issued] = issue(respond)
    respond.command(command("revoke", issued.rule_id), T0 + 1)
    respond.alert(alert(MATCH, last_seen=T0 + 2, alert_id="b"), T0 + 2)
    end = T0 + 2 + TTL
    held = only(respond.advance(end))
    assert (held.approval.state, held.mode, held.revoked_alert_ids) == ("revoked", "report", ["a"])
    assert respond.alert(alert(MATCH, last_seen=end, version=2), end) == []
    assert only(respond.alert(alert(MATCH, last_seen=end, alert_id="c"), end)).approval.state == "auto"


def test_a_revoked_alert_does_not_keep_a_rule_alive_that_another_issued(respond: Respond) -> None:
    [issued] = issue(respond)
    respond.command(command("revoke", issued.rule_id), T0 + 1)
    respond.alert(alert(MATCH, last_seen=T0 + 2, alert_id="b"), T0 + 2)
    half = T0 + TTL // 2
    assert respond.alert(alert(MATCH, last_seen=half, version=2), half) == []


def test_revoking_twice_changes_nothing(respond: Respond) -> None:
    [issued] = issue(respond)
    respond.command(command("revoke", issued.rule_id), T0 + 1)
    assert respond.command(command("revoke", issued.rule_id), T0 + 2) == []
    assert outcome(respond).ok
    assert outcome(respond).message == "The rule was revoked before, by li."


def test_revoking_what_is_not_there_is_refused(respond: Respond) -> None:
    assert respond.command(command("revoke", "nothing"), T0) == []
    assert not outcome(respond).ok
    assert outcome(respond).message == "There is no rule 'nothing' to revoke; it may have ended."


def test_the_kill_switch_revokes_everything_at_once(respond: Respond) -> None:
    matches = [Match(caller=f"+861380013800{number}") for number in range(5)]
    issued = issue(respond, *matches)
    respond.command(command("revoke", issued[0].rule_id), T0 + 1)
    changes = respond.command(command("revoke_all"), T0 + 2)
    assert [change.rule_id for change in changes] == sorted(each.rule_id for each in issued[1:])
    assert all(each.approval.state == "revoked" for each in respond.rules.values())
    assert outcome(respond).message == "4 rules are revoked."
    assert respond.alert(alert(*matches, version=2, last_seen=T0 + TTL), T0 + TTL) == []


@pytest.mark.parametrize(
    ("what", "state"),
    [("approve", "auto"), ("approve", "revoked"), ("approve", "rejected"), ("reject", "auto"),
     ("reject", "approved"), ("reject", "revoked")],
)  # fmt: skip
def test_only_a_pending_rule_is_approved_or_rejected(respond: Respond, what: str, state: str) -> None:
    known = rule(MATCH, approval=Approval(state))  # type: ignore[arg-type]
    respond.restore(known)
    assert respond.command(command(what, known.rule_id), T0) == []
    assert (outcome(respond).ok, outcome(respond).message) == (
        False, f"The rule is {state}; you can {what} a pending one only."
    )  # fmt: skip
    assert respond.command(command(what, "nothing"), T0) == []
    assert not outcome(respond).ok


@pytest.mark.parametrize(("what", "state"), [("approve", "approved"), ("reject", "rejected")])
def test_what_was_decided_before_is_no_error(respond: Respond, what: str, state: str) -> None:
    respond.restore(rule(MATCH, approval=Approval(state, "wang")))  # type: ignore[arg-type]
    assert respond.command(command(what, rule(MATCH).rule_id), T0) == []
    assert (outcome(respond).ok, outcome(respond).message) == (True, f"The rule was {state} before, by wang.")


def test_a_command_that_comes_twice_is_carried_out_once(respond: Respond) -> None:
    [issued] = issue(respond)
    revoke = command("revoke", issued.rule_id)
    respond.command(revoke, T0 + 1)
    first = outcome(respond)
    respond.alert(alert(MATCH, last_seen=T0 + 2, alert_id="b"), T0 + 2)
    assert respond.command(revoke, T0 + 3) == [], "the rule has a new reason by now"
    assert respond.outcome is first
    assert respond.rules[issued.rule_id].approval.state == "auto"


def test_a_pending_rule_is_approved(respond: Respond) -> None:
    respond.restore(rule(MATCH, approval=Approval("pending")))
    approved = only(respond.command(command("approve", rule(MATCH).rule_id), T0 + 1))
    assert approved.approval == Approval("approved", "li", T0 + 1)
    assert in_force(approved, T0 + 1)


def test_a_rejected_rule_does_not_come_back(respond: Respond) -> None:
    respond.restore(rule(MATCH, approval=Approval("pending")))
    rejected = only(respond.command(command("reject", rule(MATCH).rule_id), T0 + 1))
    assert (rejected.approval.state, rejected.mode) == ("rejected", "report")
    assert respond.alert(alert(MATCH, last_seen=T0 + 5, version=2), T0 + 5) == []


def test_a_pending_rule_stays_pending_when_renewed(respond: Respond) -> None:
    respond.restore(rule(MATCH, approval=Approval("pending")))
    renewed = only(respond.alert(alert(MATCH, last_seen=T0 + TTL // 2, version=2), T0 + TTL // 2))
    assert renewed.approval.state == "pending"


@pytest.mark.parametrize(("id_", "details", "type_"), [
    (CALLER, {}, "number"),
    ("+8613800*", {}, "prefix"),
    ("T1", {"type": "trunk"}, "trunk"),
])  # fmt: skip
def test_allowing_ends_rules_and_says_what_to_list(
    respond: Respond, id_: str, details: dict[str, str], type_: str
) -> None:
    issue(respond, Match(caller=CALLER, trunk="T1"))
    [ended] = respond.command(command("allow", id_, owner="hospital", **details), T0 + 1)
    assert ended.rule is None
    result = outcome(respond)
    assert result.ok
    [written] = result.lists
    assert written.entry is not None
    assert (written.entry.type, written.entry.value, written.entry.owner) == (type_, id_, "hospital")
    assert written.entry.reason == "appeal 12"
    assert respond.listed(written.entry_id, written.entry, T0 + 2) == [], "it comes back from the topic"
    again = respond.alert(alert(Match(caller=CALLER, trunk="T1"), version=2, last_seen=T0 + 3), T0 + 3)
    assert again == []


def test_allowing_twice_is_one_entry(respond: Respond) -> None:
    ids = []
    for _ in range(2):
        respond.command(command("allow", CALLER), T0)
        ids.append(outcome(respond).lists[0].entry_id)
    assert ids[0] == ids[1]
    assert len(respond.allowed) == 1


@pytest.mark.parametrize(("id_", "details", "problem"), [
    ("+86x", {}, "value '+86x' is not a number such as +8613800138000"),
    ("", {}, "value '' is not a number such as +8613800138000"),
    ("T1", {"type": "people"}, "details.type is 'people', expected number, prefix or trunk"),
    (CALLER, {"expires_at": "soon"}, "details.expires_at is 'soon', expected ms since the epoch"),
])  # fmt: skip
def test_allowing_what_makes_no_sense_is_refused(
    respond: Respond, id_: str, details: dict[str, str], problem: str
) -> None:
    assert respond.command(command("allow", id_, **details), T0) == []
    assert (outcome(respond).ok, outcome(respond).lists) == (False, [])
    assert problem in outcome(respond).message


def test_an_allowed_number_may_expire(respond: Respond) -> None:
    respond.command(command("allow", CALLER, expires_at=str(T0 + 10)), T0)
    assert respond.alert(alert(MATCH), T0) == []
    assert len(respond.alert(alert(MATCH), T0 + 10)) == 1


def test_disallowing_takes_the_entry_off_the_list(respond: Respond) -> None:
    respond.command(command("allow", CALLER), T0)
    entry_id = outcome(respond).lists[0].entry_id
    respond.command(command("disallow", entry_id), T0 + 1)
    assert (outcome(respond).ok, outcome(respond).lists) == (True, [ListChange(entry_id, None)])
    assert len(respond.alert(alert(MATCH), T0 + 1)) == 1
    respond.command(command("disallow", entry_id), T0 + 2)
    assert not outcome(respond).ok


def test_what_the_settings_allow_no_command_takes_away(tmp_path: Any) -> None:
    file = tmp_path / "allow.yaml"
    file.write_text(f'- {{type: number, value: "{CALLER}"}}\n')
    respond = Respond(settings(allow=str(file)), None)
    [entry_id] = respond.allowed
    respond.command(command("disallow", entry_id), T0)
    assert not outcome(respond).ok
    assert "take it out there" in outcome(respond).message
    respond.command(command("allow", CALLER), T0)
    assert (outcome(respond).ok, outcome(respond).lists) == (True, [])


def test_a_verdict_is_noted_and_changes_no_rule(respond: Respond) -> None:
    issue(respond)
    assert respond.command(command("verdict", "a", verdict="legitimate"), T0 + 1) == []
    assert outcome(respond).ok


def test_a_command_also_tells_what_ended_meanwhile_but_not_as_its_doing(respond: Respond) -> None:
    issue(respond)
    [ended] = respond.command(command("revoke_all"), T0 + TTL)
    assert ended.rule is None
    assert outcome(respond).rules == []
