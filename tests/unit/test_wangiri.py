"""One-ring calls: campaigns are found fast and slow, alone and rotating; couriers and flashers are let be."""

from __future__ import annotations

import random

import pytest

from detectors.alert import Alert, Match
from detectors.calls import Gateway, NumberKind
from tests.alerts import alerts_of, only, proposed
from tests.suspects import ringing
from tests.traffic import START, Row, call, in_time

CALLER = 95912345042
OUR_BLOCK = 95912340000
HOUR = 3_600_000


def rings(rows: list[Row]) -> list[Alert]:
    return alerts_of(rows, step=only("wangiri"))


def is_high(alert: Alert) -> bool:
    return alert.severity in ("high", "critical")


def test_a_campaign_is_proposed_by_its_number() -> None:
    (alert,) = rings(ringing([CALLER], 60, 900))
    assert (alert.kind, alert.severity) == ("one_ring", "high")
    assert proposed([alert]) == [Match(caller=f"+{CALLER}")]
    assert "gave up within seconds" in alert.message


@pytest.mark.parametrize("seed", range(5))
def test_thirteen_calls_are_enough(seed: int) -> None:
    rows = ringing([CALLER], 13, 5_000, seed=seed, share=0.9)
    assert [is_high(alert) for alert in rings(rows)] == [True]


@pytest.mark.parametrize("every_ms", [60_000, 300_000, 900_000])
def test_slow_campaigns(every_ms: int) -> None:
    assert any(is_high(alert) for alert in rings(ringing([CALLER], 40, every_ms)))


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9])
def test_shares_of_rings(share: float) -> None:
    assert any(is_high(alert) for alert in rings(ringing([CALLER], 100, 900, share=share)))


def test_from_abroad_and_at_premium_rate_it_is_critical() -> None:
    (abroad,) = rings(ringing([CALLER], 60, 900, gateway=Gateway.INTERNATIONAL))
    assert abroad.severity == "critical"
    assert "costs" not in abroad.message
    (premium,) = rings(ringing([CALLER], 60, 900, caller_kind=NumberKind.PREMIUM))
    assert premium.severity == "critical"
    assert "a call back costs premium rate" in premium.message


def test_rotating_numbers_are_one_alert_with_their_narrowest_prefix() -> None:
    (alert,) = rings(ringing([OUR_BLOCK + 4_200 + n for n in range(7)], 60, 900))
    assert (alert.subject.type, alert.kind) == ("block", "shared_one_ring")
    assert proposed([alert])[0] == Match(caller="+9591234420*", trunk="CM-CU-1")


def test_in_a_block_with_ordinary_users_only_those_who_ring_are_proposed() -> None:
    draw = random.Random(1)
    people: list[Row] = []
    for n in range(60):
        at, caller = START - HOUR + n * 60_000, OUR_BLOCK + draw.randrange(2_000)
        people += call(at, caller, 8613900000000 + draw.randrange(90_000_000), f"p{n}", 60_000)
    callers = [OUR_BLOCK + 4_200 + 97 * n for n in range(5)]
    alerts = [a for a in rings(in_time(people, ringing(callers, 100, 900))) if is_high(a)]
    assert {match.caller for match in proposed(alerts)} == {f"+{caller}" for caller in callers}
    assert len(alerts) == 1


def test_being_called_back_does_not_speak_for_the_caller() -> None:
    campaign = ringing([CALLER], 60, 2_000)
    backs = [
        call(row["time"] + 30_000, row["callee"], CALLER, f"b{n}", 90_000)
        for n, row in enumerate(row for row in campaign if row["type"] == 0)
    ]
    (alert,) = [a for a in rings(in_time(campaign, *backs)) if a.subject.value == f"+{CALLER}"]
    assert is_high(alert)


@pytest.mark.parametrize("seed", range(6))
def test_couriers_who_ring_at_the_door_are_let_be(seed: int) -> None:
    """A quarter of their calls is one ring, the others are answered, mostly briefly, all day long."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for courier in range(12):
        for n in range(90):
            at = START + n * 400_000 + draw.randrange(200_000)
            caller, callee = 8613800000000 + courier * 10_007, 8613900000000 + draw.randrange(90_000_000)
            talk = draw.choice((9_000, 15_000, 30_000)) if draw.random() < 0.85 else None
            given: Row = {"ring_ms": 8_000}
            if draw.random() < 0.25:
                talk, given = None, {"ring_ms": 2_500, "cause": 16, "released_by": 1}
            rows += call(at, caller, callee, f"c{courier}-{n}", talk, **given)
    assert not any(is_high(alert) for alert in rings(in_time(rows)))


def test_who_rings_friends_once_rings_few() -> None:
    friends = [8613900000000 + 7_919 * n for n in range(5)]
    assert rings(ringing([CALLER], 80, 300_000, share=0.85, callees=friends)) == []


def test_many_friends_rung_again_and_again() -> None:
    friends = [8613900000000 + 7_919 * n for n in range(12)]
    alerts = rings(ringing([CALLER], 200, 300_000, share=0.75, answered=0.2, callees=friends))
    assert not any(is_high(alert) for alert in alerts)


def test_where_nobody_says_who_released_it_takes_longer() -> None:
    assert rings(ringing([CALLER], 13, 5_000, released_by=0, share=0.9)) == []
    assert any(is_high(a) for a in rings(ringing([CALLER], 80, 5_000, released_by=0, share=0.9)))


@pytest.mark.parametrize(
    "given",
    [{"ring_ms": (-1,)}, {"ring_ms": (0,)}, {"ring_ms": (12_000,)}, {"released_by": 3}, {"released_by": 2}],
)
def test_what_is_no_ring(given: Row) -> None:
    assert rings(ringing([CALLER], 60, 900, share=1, **given)) == []


def test_a_predictive_dialler_is_let_be() -> None:
    """A hundred calls at once: what is over first was given up or lost; the talks are still going on."""
    draw = random.Random(3)
    rows: list[Row] = []
    for n in range(400):
        u = draw.random()
        talk = draw.randrange(20_000, 120_000) if u < 0.4 else None
        given: Row = {"ring_ms": 9_000} if u < 0.85 else {"ring_ms": 3_000, "released_by": 1, "cause": 16}
        callee = 8613900000000 + draw.randrange(90_000_000)
        rows += call(START + n * 200, 8657155550000, callee, f"d{n}", talk, **given)
    assert not any(is_high(alert) for alert in rings(in_time(rows)))
