"""Callers that cannot exist: by number, by block, and only as wide as the plan allows."""

from __future__ import annotations

from detectors.alert import Alert, Match
from detectors.calls import NumberKind, NumberStatus
from tests.alerts import alerts_of, detector, proposed
from tests.traffic import START, FakePlan, Row, both_roles, call, cdr, frame, in_time

GHOST = 8617001230000
PLAN = FakePlan(8617)


def calls_by(
    *callers: int, status: NumberStatus = NumberStatus.UNALLOCATED, every_ms: int = 5_000
) -> list[Row]:
    return [
        cdr(START + n * every_ms, caller, 8613900000000 + n, f"u{n}", None, caller_status=status)
        for n, caller in enumerate(callers)
    ]


def last(alerts: list[Alert]) -> Alert:
    return alerts[-1]


def test_one_call_is_noted_and_not_proposed() -> None:
    (alert,) = alerts_of(calls_by(GHOST), PLAN)
    assert alert.severity == "low"
    assert alert.proposals == []
    assert alert.subject.value == "+861700123*"
    assert alert.plan_version == "plan-1"


def test_the_second_call_within_an_hour_is_proposed_by_number() -> None:
    alert = last(alerts_of(calls_by(GHOST, GHOST), PLAN))
    assert (alert.severity, alert.subject.type, alert.kind) == ("high", "number", "unallocated_number")
    assert proposed([alert]) == [Match(caller="+8617001230000")]
    assert "no range of the numbering plan holds it" in alert.message


def test_two_calls_far_apart_are_two_accidents() -> None:
    assert proposed(alerts_of(calls_by(GHOST, GHOST, every_ms=2 * 3_600_000), PLAN)) == []


def test_three_calls_by_two_numbers_make_the_block() -> None:
    alert = last(alerts_of(calls_by(GHOST, GHOST + 5, GHOST + 77), PLAN))
    assert (alert.severity, alert.subject.type, alert.kind) == ("high", "block", "unallocated_range")
    assert proposed([alert]) == [Match(caller="+861700123*")]
    assert alert.proposals[0].blast_radius.callers == 3


def test_a_wider_hole_in_the_plan_makes_no_wider_proposal() -> None:
    assert proposed(alerts_of(calls_by(GHOST, GHOST + 5, GHOST + 77), FakePlan(86))) == [
        Match(caller="+861700123*")
    ]


def test_a_narrower_hole_makes_a_narrower_proposal() -> None:
    assert proposed(alerts_of(calls_by(GHOST, GHOST + 5, GHOST + 77), FakePlan(86170012300)))[-1] == Match(
        caller="+86170012300*"
    )


def test_where_the_plan_has_somebody_each_number_is_proposed_for_itself() -> None:
    alerts = alerts_of(calls_by(GHOST, GHOST + 5, GHOST + 77, GHOST), FakePlan())
    assert {m.caller for m in proposed(alerts)} == {"+8617001230077", "+8617001230000"}


def test_a_wrong_length_says_so() -> None:
    for status, words in ((NumberStatus.TOO_LONG, "too long"), (NumberStatus.TOO_SHORT, "too short")):
        alert = last(alerts_of(calls_by(GHOST * 100, GHOST * 100, status=status), FakePlan()))
        assert alert.kind == "wrong_length"
        assert words in alert.message


def test_very_short_numbers_stand_for_themselves() -> None:
    alerts = alerts_of(calls_by(8613, 8613, 8613, 8614, status=NumberStatus.TOO_SHORT), FakePlan(86))
    assert proposed(alerts) == []


def test_others_are_none_of_its_business() -> None:
    for status in NumberStatus:
        if status not in (NumberStatus.UNALLOCATED, NumberStatus.TOO_SHORT, NumberStatus.TOO_LONG):
            assert alerts_of(calls_by(GHOST, GHOST, GHOST, GHOST + 1, status=status), PLAN) == []


def test_a_storm_of_ghosts_is_few_alerts() -> None:
    callers = [GHOST + (n * 7_919) % 10_000 for n in range(3_000)]
    (alert,) = alerts_of(calls_by(*callers, every_ms=20), PLAN)
    assert "unallocated" in {finding.detector for finding in alert.findings}
    assert 3_000 / 2 < alert.calls <= 3_000, "it is told again at the latest when its calls have doubled"


def test_the_plan_is_the_one_that_judged_the_callers() -> None:
    found = detector(PLAN)(frame(both_roles(calls_by(GHOST)), plan_version="2026-09"), 0)
    assert found.alerts[0].plan_version == "2026-09"


def test_a_machines_number_that_calls_around_is_no_machine() -> None:
    """A lift telephone calls its two numbers; whoever calls ten has no lift."""

    def calls(callees: int) -> list[Alert]:
        rows: list[Row] = []
        for n in range(30):
            callee = 8613900000000 + n % callees * 7_919
            kind = {"caller_kind": NumberKind.MACHINE}
            rows += call(START + n * 5_000, 8614600512527, callee, f"m{n}", 30_000, **kind)
        return [a for a in alerts_of(in_time(rows)) if a.detector == "unallocated"]

    assert calls(2) == []
    found = calls(10)
    assert [a.kind for a in found] == ["machine_number"]
    assert proposed(found) == [Match(caller="+8614600512527")]
