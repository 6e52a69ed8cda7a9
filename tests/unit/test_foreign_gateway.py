"""Domestic numbers from abroad: spoofed ranges are proposed there, roamers and hosted traffic are not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from config.settings import DetectorsSettings, ForeignGatewaySettings, RotationSettings, Settings
from detectors.alert import Alert, Match
from streams.detect.step import Detect
from tests.alerts import alerts_of, proposed
from tests.folding import ROOMY
from tests.traffic import START, FakePlan, Row, call, in_time

MINUTE = 60_000
SPOOFED = 8613900070000


def person(n: int) -> int:
    return 8613000000000 + (n % 20) * 10_000 + 40 * (n // 20) + 7


def gateway(n: int) -> dict[str, Any]:
    carrier = ("HKT", "NTT", "VODAFONE")[n % 3]
    return {"gateway": 1, "from_network": carrier, "trunk": f"{carrier}-CM-{n // 3 % 2}"}


def ordinary(seed: int, calls: int = 2_000, roamers: int = 10, confirmed: bool = True) -> list[Row]:
    """500 people who call each other at home, some abroad, and foreigners who call them."""
    draw = random.Random(seed)
    abroad = draw.sample(range(500), roamers)
    rows: list[Row] = []
    for n in range(calls):
        callee = person(draw.randrange(500))
        talk = draw.choice((None, 40_000))
        kind = draw.random()
        given: dict[str, Any] = {}
        caller = person(draw.randrange(500))
        if kind < 0.1:
            caller, given = 85290000000 + draw.randrange(300) * 1_000, gateway(draw.randrange(6))
        elif kind < 0.2 and roamers:
            caller, given = person(draw.choice(abroad)), gateway(draw.randrange(6))
            given["roaming"] = 1 if confirmed else 2
        if caller != callee:
            rows += call(START + n * 700, caller, callee, f"o{n}", talk, **given)
    return in_time(rows)


def spoofed(calls: int, numbers: int = 8, every_ms: int = 4_000, **other: Any) -> list[Row]:
    """Numbers of a silent block from abroad over one trunk, to strangers who seldom talk."""
    draw = random.Random(calls)
    rows: list[Row] = []
    given = {"gateway": 1, "from_network": "HKT", "trunk": "HKT-CM-0"} | other
    for n in range(calls):
        caller = SPOOFED + 1_100 * (n % numbers)
        callee = 8613700000000 + draw.randrange(90_000_000)
        talk = draw.choice((None, None, 30_000))
        rows += call(START + 15 * MINUTE + n * every_ms, caller, callee, f"s{n}", talk, **given)
    return rows


def found(*streams: list[Row], settings: ForeignGatewaySettings | None = None) -> list[Alert]:
    detectors = DetectorsSettings(
        foreign_gateway=settings or ForeignGatewaySettings(), rotation=RotationSettings(mode="off")
    )
    step = Detect(0, Settings(detect=ROOMY, detectors=detectors), FakePlan())
    return [a for a in alerts_of(in_time(*streams), step=step) if a.detector == "foreign_gateway"]


def test_a_range_that_is_not_at_home_is_proposed_at_the_gateway() -> None:
    (alert,) = found(ordinary(1), spoofed(30))
    assert (alert.severity, alert.kind) == ("high", "foreign_gateway_range")
    assert Match(caller="+861390007*", trunk="HKT-CM-0", gateway="international") in proposed([alert])
    assert {m.gateway for m in proposed([alert])} == {"international"}


def test_a_few_calls_suffice_where_roaming_is_told() -> None:
    assert proposed(found(ordinary(1), spoofed(3)))


def test_it_takes_more_where_it_is_not() -> None:
    rows = ordinary(1, confirmed=False, roamers=4)
    assert proposed(found(rows, spoofed(3))) == []
    assert proposed(found(rows, spoofed(30)))


@pytest.mark.parametrize("confirmed", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_roamers_are_left_alone(seed: int, confirmed: bool) -> None:
    assert proposed(found(ordinary(seed, 3_000, 20, confirmed))) == []


def test_confirmed_roamers_and_forwarded_calls_are_innocent() -> None:
    assert found(ordinary(1), spoofed(40, roaming=1)) == []
    assert found(ordinary(1), spoofed(40, redirecting=8613000000007)) == []


def test_calls_that_leave_the_country_are_none_of_its_business() -> None:
    leaving = [row | {"callee": 85290001234} for row in spoofed(60)]
    assert found(ordinary(1), leaving) == []


def test_calls_to_people_who_roam_here_come_back_through_the_gateway() -> None:
    """Many people, each of another block, reach a range that is routed abroad."""
    rows: list[Row] = []
    for n in range(300):
        caller = 8613800000000 + (n % 150) * 10_000 + 77 + n // 150
        given = gateway(0)
        rows += call(
            START + 10 * MINUTE + n * 2_000, caller, 8613440560000 + n % 40, f"m{n}", 30_000, **given
        )
    assert proposed(found(ordinary(1), rows)) == []


def test_a_hosted_company_clears_itself() -> None:
    """Its telephone system stands abroad: it calls its customers again and again, and they call back."""
    draw = random.Random(2)
    rows: list[Row] = []
    for n in range(500):
        mine, customer = SPOOFED + draw.randrange(40), person(draw.randrange(60))
        talk = draw.choice((None, 60_000, 60_000))
        out = draw.random() < 0.6
        pair, given = ((mine, customer), gateway(n % 6)) if out else ((customer, mine), {})
        rows += call(START + MINUTE + n * 3_000, *pair, f"h{n}", talk, **given)
    assert proposed(found(ordinary(1), rows)) == []


def test_a_single_number_is_medium_at_most() -> None:
    alerts = found(ordinary(1), spoofed(40, numbers=1, every_ms=40_000))
    assert {a.severity for a in alerts} <= {"medium"}
    assert {a.subject.type for a in alerts} <= {"number"}


def test_a_single_number_that_is_at_home_too_is_proposed() -> None:
    at_home = [
        row
        for n in range(4)
        for row in call(START + 15 * MINUTE + n * 20_000, SPOOFED, person(n), f"at{n}", 60_000)
    ]
    alerts = found(ordinary(1), spoofed(40, numbers=1), at_home)
    assert {m.caller for m in proposed(alerts)} == {f"+{SPOOFED}"}


def test_an_empty_and_a_quiet_stream_say_nothing() -> None:
    assert found([]) == []
    assert found(spoofed(40)) == []
