"""Call bombing: the strangers are proposed, the victim's friends, hotlines and votes are not."""

from __future__ import annotations

import random

import pytest

from detectors.alert import Alert, Match
from detectors.calls import NumberStatus
from detectors.evidence import MOST_PROPOSALS
from tests.alerts import alerts_of, proposed
from tests.traffic import START, Row, call, in_time

VICTIM = 8613811112222
MINUTE = 60_000


def bombing(
    callers: list[int], calls: int, every_ms: int = 400, *, start: int = START, **other: object
) -> list[Row]:
    draw = random.Random(calls)
    rows: list[Row] = []
    for n in range(calls):
        talk = 2_000 if draw.random() < 0.12 else None
        given = {"ring_ms": 1_500, "cause": 16, **other}
        rows += call(start + n * every_ms, draw.choice(callers), VICTIM, f"b{n}", talk, **given)
    return in_time(rows)


def of(alerts: list[Alert], detector: str = "flood") -> Alert:
    (alert,) = [a for a in alerts if a.detector == detector]
    return alert


def test_a_few_bombers_are_proposed_one_by_one() -> None:
    bombers = [8613700000001, 8615900000002, 8618600000003]
    alert = of(alerts_of(bombing(bombers, 150)))
    assert (alert.kind, alert.severity) == ("call_bombing", "high")
    assert alert.subject.type == "callee"
    assert alert.subject.value == "+8613811112222"
    assert {(m.caller, m.callee) for m in proposed([alert])} == {(f"+{n}", "+8613811112222") for n in bombers}
    assert "strangers" in alert.message


def test_many_numbers_of_a_block_are_proposed_as_their_prefix() -> None:
    block = [8613700124000 + n for n in range(0, 100, 3)]
    alert = of(alerts_of(bombing(block, 150)))
    assert proposed([alert]) == [Match(caller="+86137001240*", callee="+8613811112222")]


def test_scattered_numbers_over_one_trunk_are_proposed_by_the_trunk() -> None:
    draw = random.Random(3)
    scattered = [8613000000000 + draw.randrange(900_000_000) for _ in range(300)]
    alert = of(alerts_of(bombing(scattered, 150, trunk="CT-CM-9")))
    assert alert.severity == "critical"
    assert Match(callee="+8613811112222", trunk="CT-CM-9") in proposed([alert])


def test_callers_used_up_one_after_the_other_are_stopped_by_their_trunk() -> None:
    draw = random.Random(4)
    rows: list[Row] = []
    for n in range(60):
        caller = 8613000000000 + draw.randrange(900_000_000)
        for k in range(4):
            at = START + n * 1_600 + k * 400
            rows += call(at, caller, VICTIM, f"b{n}-{k}", None, ring_ms=1_500, trunk="CT-CM-9")
    alert = of(alerts_of(in_time(rows)))
    assert alert.severity == "critical"
    assert Match(callee="+8613811112222", trunk="CT-CM-9") in proposed([alert])


def test_calls_by_acquaintances_alone_are_a_low_alert() -> None:
    guards = [8613700000001, 8615900000002]
    known = [row for n in guards for row in call(START, VICTIM, n, f"k{n}", 60_000)]
    alarms = [
        row
        for n in range(10)
        for row in call(START + 5 * MINUTE + n * 20_000, guards[n % 2], VICTIM, f"a{n}", None, ring_ms=1_500)
    ]
    alert = of(alerts_of(in_time(known, alarms)))
    assert (alert.severity, alert.proposals) == ("low", [])


def test_friends_are_never_proposed() -> None:
    """Whom the victim called today, or talked with at length, may redial as they like."""
    friend, caller_of_old = 8613700000001, 8615900000002
    known = call(START - 3_600_000, VICTIM, friend, "k1", 60_000)
    known += call(START - 3_500_000, caller_of_old, VICTIM, "k2", 60_000)
    rows = in_time(known, bombing([friend, caller_of_old, 8618600000003], 150))
    assert {m.caller for m in proposed(alerts_of(rows))} == {"+8618600000003"}


def test_a_caller_who_talked_is_no_bomber() -> None:
    rows = in_time(
        bombing([8613700000001, 8615900000002], 120),
        call(START - 60_000, 8615900000002, VICTIM, "talk", 21_000),
    )
    assert {m.caller for m in proposed(alerts_of(rows))} == {"+8613700000001"}


def redials(seed: int) -> list[Row]:
    """An outage: three friends try again and again, and the network loses every call."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for n in range(90):
        friend = 8613700000001 + draw.randrange(3)
        rows += call(
            START + n * 5_000, friend, VICTIM, f"o{n}", None, ring_ms=0, cause=draw.choice((34, 41, 42))
        )
    return in_time(rows)


@pytest.mark.parametrize("seed", range(3))
def test_redials_in_an_outage_are_no_flood(seed: int) -> None:
    assert [a for a in alerts_of(redials(seed)) if a.severity != "medium"] == []
    assert proposed(alerts_of(redials(seed))) == []


@pytest.mark.parametrize("lines", [5, 20])
def test_a_hotline_at_sale_time_is_left_alone(lines: int) -> None:
    """More callers than lines: most find it busy and try again, the others talk for two minutes."""
    draw = random.Random(lines)
    free_at = [0] * lines
    rows: list[Row] = []
    for n in range(1_200):
        time = START + n * 500
        at = min(range(lines), key=free_at.__getitem__)
        caller = 8613000000000 + draw.randrange(500) * 7_777_777
        if free_at[at] <= time:
            talk = draw.randrange(40_000, 200_000)
            free_at[at] = time + talk
            rows += call(time, caller, VICTIM, f"h{n}", talk, ring_ms=3_000)
        else:
            rows += call(time, caller, VICTIM, f"h{n}", None, ring_ms=0, cause=17)
    assert proposed(alerts_of(in_time(rows))) == []


def test_a_vote_is_left_alone() -> None:
    draw = random.Random(1)
    rows: list[Row] = []
    for n in range(1_000):
        rows += call(
            START + n * 200, 8613000000000 + draw.randrange(900_000_000), VICTIM, f"v{n}", 5_000, ring_ms=700
        )
    assert proposed(alerts_of(in_time(rows))) == []


def test_a_service_number_is_no_subject() -> None:
    rows = [row | {"callee_status": NumberStatus.SHORT_SERVICE} for row in bombing([8613700000001], 200)]
    assert [a for a in alerts_of(rows) if a.detector == "flood"] == []


def test_a_birthday_is_left_alone() -> None:
    draw = random.Random(4)
    rows: list[Row] = []
    for n in range(60):
        talk = draw.choice((None, None, 45_000, 90_000))
        rows += call(START + n * 9_000, 8613700000000 + n * 7_919, VICTIM, f"p{n}", talk)
    assert proposed(alerts_of(in_time(rows))) == []


def test_what_is_usual_for_a_callee_is_no_flood() -> None:
    """A line that gets forty calls in any ten minutes, mostly busy, all day long."""
    rows: list[Row] = []
    for n in range(2_000):
        rows += call(
            START + n * 15_000, 8613000000000 + n * 7_919, VICTIM, f"u{n}", None, ring_ms=0, cause=17
        )
    later = [a for a in alerts_of(in_time(rows)) if a.first_seen > START + 3 * 3_600_000]
    assert later == []


def test_withheld_callers_are_strangers_that_no_rule_can_name() -> None:
    rows = bombing([8613700000001], 150, trunk="CT-CM-9")
    hidden = [row | {"caller": -5, "caller_text": "", "caller_status": NumberStatus.HIDDEN} for row in rows]
    alert = of(alerts_of(hidden))
    assert all(m.caller is None for m in proposed([alert]))
    assert {m.trunk for m in proposed([alert])} == {"CT-CM-9"}


def test_a_flood_of_thousands_of_callers_has_few_proposals() -> None:
    draw = random.Random(9)
    callers = [8613000000000 + 10_000 * draw.randrange(30) + draw.randrange(9_000) for _ in range(5_000)]
    alert = of(alerts_of(bombing(callers, 1_500, 40)))
    assert 0 < len(alert.proposals) <= MOST_PROPOSALS
    assert alert.calls == pytest.approx(1_500, rel=0.5)


def pestering(callers: list[int], calls: int, every_ms: int, **other: object) -> list[Row]:
    """A call now and then, of which most are given up after a ring."""
    draw = random.Random(7)
    rows: list[Row] = []
    for n in range(calls):
        end: dict[str, object] = {"ring_ms": 1_500, "cause": 16, "released_by": 1}
        if draw.random() < 0.3:
            end = {"ring_ms": 0, "cause": 17, "released_by": 2}
        at = START + n * every_ms + draw.randrange(every_ms // 2)
        rows += call(at, callers[n % len(callers)], VICTIM, f"s{n}", None, **(end | other))
    return in_time(rows)


@pytest.mark.parametrize(
    ("calls", "every", "span"), [(22, 3 * MINUTE, "an hour"), (90, 12 * MINUTE, "a day")]
)
def test_calls_that_are_given_up_for_hours_are_found(calls: int, every: int, span: str) -> None:
    pesterers = [8613700000001, 8615900000002]
    alert = of(alerts_of(pestering(pesterers, calls, every)))
    assert alert.severity == "high"
    assert {(m.caller, m.callee) for m in proposed([alert])} == {
        (f"+{n}", "+8613811112222") for n in pesterers
    }
    assert f"times in {span}" in alert.message


def test_scattered_numbers_that_call_for_hours_are_a_medium_alert() -> None:
    draw = random.Random(8)
    scattered = [8613000000000 + draw.randrange(900_000_000) for _ in range(90)]
    alerts = alerts_of(pestering(scattered, 90, 4 * MINUTE))
    assert {alert.severity for alert in alerts} == {"medium"}
    assert proposed(alerts) == []


def test_a_line_that_nobody_answers_for_hours_is_left_alone() -> None:
    """Its callers let it ring: people who call a shop that is closed."""
    rows = pestering([8613700000000 + n * 7_919 for n in range(40)], 90, 4 * MINUTE, ring_ms=25_000, cause=19)
    assert alerts_of(rows) == []


def test_an_outage_for_hours_is_left_alone() -> None:
    rows = pestering([8613700000001, 8615900000002], 90, 4 * MINUTE, ring_ms=0, cause=41, released_by=0)
    assert alerts_of(rows) == []


def test_thirteen_strangers_who_give_up_after_a_ring_are_found() -> None:
    strangers = [8613000000000 + n * 70_007_919 for n in range(13)]
    [alert] = alerts_of(pestering(strangers, 13, 20_000))
    assert (alert.detector, alert.severity) == ("flood", "medium")


def test_strangers_who_call_back_are_not() -> None:
    strangers = [8613000000000 + n * 70_007_919 for n in range(13)]
    assert alerts_of(pestering(strangers, 13, 20_000, ring_ms=22_000, cause=19)) == []
