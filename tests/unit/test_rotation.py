"""Caller-id rotation: what it finds, and which blocks it leaves alone."""

from __future__ import annotations

import random

import pytest

from config.settings import DetectorsSettings, RotationSettings, Settings
from detectors.alert import Alert, Match
from streams.detect.step import Detect
from tests.alerts import alerts_of, proposed
from tests.folding import ROOMY
from tests.traffic import START, FakePlan, Row, call, dialler, in_time

MINUTE = 60_000
BLOCK = 8617001230000
CALLEE = 8613911110000


def only(alerts: list[Alert]) -> Alert:
    assert len(alerts) == 1, alerts
    return alerts[0]


def rotation(
    numbers: int = 60,
    calls: int = 4,
    name: str = "rot",
    wide: bool = False,
    talks: tuple[int | None, ...] = (None,),
) -> list[Row]:
    """``numbers`` of one hundred, or (``wide``) of the whole block, each ``calls`` times."""
    draw = random.Random(5)
    rows: list[Row] = []
    for n in range(numbers * calls):
        number = draw.randrange(numbers)
        caller = BLOCK + (number * 10_000 // numbers if wide else 1_200 + number)
        rows += call(
            START + MINUTE + n * 350, caller, 8613900000000 + n * 911, f"{name}{n}", draw.choice(talks)
        )
    return in_time(rows)


def test_a_rotating_block_is_proposed_as_its_prefix_on_its_trunk() -> None:
    alert = only([a for a in alerts_of(rotation()) if a.subject.type == "block"])
    assert alert.subject.value == "+861700123*"
    assert (alert.detector, alert.kind) == ("rotation", "rotation")
    assert proposed([alert]) == [Match(caller="+86170012312*", trunk="CM-CU-1")]


def test_what_is_left_of_a_rotation_does_not_renew_its_rule() -> None:
    """Somebody of the block calls when it is over, and the ten minutes are still full of it."""
    attack = rotation()
    over = max(row["time"] for row in attack)
    late = [
        row for n in range(4) for row in call(over + (n + 2) * MINUTE, BLOCK + 1_240, CALLEE, f"l{n}", None)
    ]
    last = alerts_of(in_time(attack, late))[-1]
    assert last.last_seen == late[-2]["time"]
    (made,) = [p for p in last.proposals if p.match.caller == "+86170012312*"]
    assert made.last_seen <= over


def test_a_block_where_somebody_lives_is_not_proposed() -> None:
    neighbours: list[Row] = []
    for n in range(4):
        neighbours += call(START + n * 9_000, 8613911110000 + n, BLOCK + 5_000 + n, f"n{n}", 30_000)
    alerts = alerts_of(in_time(neighbours, rotation(wide=True)))
    matches = proposed([a for a in alerts if a.subject.type == "block"])
    assert matches
    assert not any((match.caller or "").endswith("*") for match in matches)


def test_one_bad_number_does_not_condemn_its_block() -> None:
    neighbours: list[Row] = []
    for n in range(30):
        neighbours += call(START + n * 4_000, BLOCK + n * 37, 8613911110000 + n * 7_919, f"n{n}", None)
    alerts = alerts_of(in_time(neighbours, dialler(BLOCK + 9_999, 600, 150, [None])))
    assert proposed(alerts) == [Match(caller=f"+{BLOCK + 9_999}")]


def test_the_narrowest_prefix_leaves_the_rest_of_the_block_alone() -> None:
    """People live in another thousand of the block: the rotation's own hundred is proposed all the same."""
    people: list[Row] = []
    for n in range(2):
        people += call(START + n * 9_000, BLOCK + 5_000 + n, 8613911110000 + n, f"p{n}", 90_000)
    alerts = alerts_of(in_time(people, rotation(calls=6)))
    matches = proposed([a for a in alerts if a.subject.type == "block"])
    assert {match.caller for match in matches} == {"+86170012312*"}


@pytest.mark.parametrize("seed", range(4))
def test_a_companys_hundred_extensions_are_left_alone(seed: int) -> None:
    draw = random.Random(seed)
    rows: list[Row] = []
    for n in range(600):
        talk = draw.choice((None, None, None, 12_000, 45_000, 70_000, 160_000))
        rows += call(
            START + n * 900, 862161000000 + draw.randrange(100), 8613900000000 + n * 911, f"c{n}", talk
        )
    assert proposed(alerts_of(in_time(rows))) == []


def test_an_outage_is_not_the_blocks_doing() -> None:
    rows: list[Row] = []
    for n in range(300):
        rows += call(
            START + n * 400, BLOCK + n % 90, 8613900000000 + n * 31, f"o{n}", None, cause=34, ring_ms=0
        )
    assert proposed(alerts_of(in_time(rows))) == []


def test_newcomers_are_evidence_only_where_newcomers_are_rare() -> None:
    """The same rotation is found earlier in a partition whose other callers have been heard of before."""

    def calls_to_proposal(rows: list[Row]) -> int:
        step = Detect(0, Settings(detect=ROOMY), FakePlan())
        alerts = [a for a in alerts_of(rows, step=step) if a.detector == "rotation" and a.proposals]
        return alerts[0].first_seen

    regulars: list[Row] = []
    for n in range(600):
        caller, callee = 8613800000000 + n % 60 * 10_000, 8613900000000 + n * 77
        regulars += call(START - 3_600_000 + n * 6_300, caller, callee, f"r{n}", 50_000)
    late = rotation(calls=2)
    assert calls_to_proposal(in_time(regulars, late)) <= calls_to_proposal(late)


def test_switched_off_it_says_nothing() -> None:
    step = Detect(
        0,
        Settings(detect=ROOMY, detectors=DetectorsSettings(rotation=RotationSettings(mode="off"))),
        FakePlan(),
    )
    assert [a for a in alerts_of(rotation(), step=step) if a.detector == "rotation"] == []
