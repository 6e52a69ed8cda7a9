"""Number sweeps: runs are found through gaps, shuffling and shared callers; ordinary callers are let be."""

from __future__ import annotations

import random

import pytest

from detectors.alert import Alert, Match
from detectors.calls import NumberStatus
from tests.alerts import alerts_of, only, proposed
from tests.suspects import FIRST, sweeping
from tests.traffic import START, Row, call, in_time

CALLER = 8617001230042
OUR_BLOCK = 8617001230000
HOUR = 3_600_000


def sweeps(rows: list[Row]) -> list[Alert]:
    return alerts_of(rows, step=only("sweep"))


def is_high(alert: Alert) -> bool:
    return alert.severity in ("high", "critical")


def test_a_sweep_is_proposed_by_its_number() -> None:
    (alert,) = sweeps(sweeping([CALLER], 60, 900))
    assert (alert.kind, alert.severity) == ("sweep", "high")
    assert alert.subject.value == f"+{CALLER}"
    assert proposed([alert]) == [Match(caller=f"+{CALLER}")]
    assert "neighbouring numbers 1.2 apart, ascending" in alert.message


def test_eight_neighbours_and_nobody_talks_is_enough() -> None:
    rows = sweeping([CALLER], 8, 2_000, invalid=0, talk=0)
    assert [is_high(alert) for alert in sweeps(rows)] == [True]
    assert sweeps(sweeping([CALLER], 7, 2_000, invalid=0, talk=0)) == []


@pytest.mark.parametrize(
    "habit",
    [
        {"step": 3},
        {"shuffle": 6},
        {"runs": 2},
        {"runs": 4},
        {"step": 4, "shuffle": 3, "runs": 2},
        {"talk": 0.15},
        {"every_ms": 60_000},
        {"every_ms": 600_000},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(3))
def test_sweeps_of_every_habit(habit: dict[str, int], seed: int) -> None:
    alerts = sweeps(sweeping([CALLER], 40, seed=seed, **({"every_ms": 900} | habit)))
    assert any(is_high(alert) for alert in alerts)


def test_steps_up_to_the_setting_take_longer() -> None:
    assert any(is_high(alert) for alert in sweeps(sweeping([CALLER], 60, 900, step=16)))


def test_a_descending_sweep() -> None:
    rows: list[Row] = []
    for n in range(30):
        rows += call(START + n * 900, CALLER, FIRST - n, f"d{n}", None, ring_ms=9_000)
    (alert,) = sweeps(in_time(rows))
    assert is_high(alert)
    assert "descending" in alert.message


def test_a_sweep_shared_by_a_block_is_proposed_by_its_narrowest_prefix() -> None:
    (alert,) = sweeps(sweeping([OUR_BLOCK + 4_200 + n for n in range(30)], 100, 900))
    assert (alert.subject.type, alert.kind) == ("block", "shared_sweep")
    assert is_high(alert)
    assert Match(caller="+86170012342*", trunk="CM-CU-1") in proposed([alert])


def test_in_a_block_with_ordinary_users_only_those_who_sweep_are_proposed() -> None:
    draw = random.Random(1)
    people: list[Row] = []
    for n in range(60):
        at, caller = START - HOUR + n * 60_000, OUR_BLOCK + draw.randrange(2_000)
        people += call(at, caller, 8613900000000 + draw.randrange(90_000_000), f"p{n}", 60_000)
    callers = [OUR_BLOCK + 4_200 + 97 * n for n in range(5)]
    alerts = [a for a in sweeps(in_time(people, sweeping(callers, 100, 900))) if is_high(a)]
    assert {match.caller for match in proposed(alerts)} == {f"+{caller}" for caller in callers}
    assert len(alerts) == 1


def rounds(seed: int, count: int, talk: float) -> list[Row]:
    """A company calls another company's five to eight extensions, one after another, now and then."""
    draw = random.Random(seed)
    rows: list[Row] = []
    at = START
    for n in range(count):
        first = 865710000000 + draw.randrange(9_999) * 10_000
        for k in range(draw.randint(5, 8)):
            talks = draw.randrange(25_000, 200_000) if draw.random() < talk else None
            rows += call(at, CALLER, first + k, f"r{seed}-{n}-{k}", talk_ms=talks)
            at += (talks or 20_000) + 8_000
        at += 1_800_000
    return in_time(rows)


@pytest.mark.parametrize("seed", range(5))
def test_rounds_of_a_companys_extensions_are_no_sweep(seed: int) -> None:
    assert not any(is_high(alert) for alert in sweeps(rounds(seed, 20, talk=0.6)))


@pytest.mark.parametrize("gap", [25, 400, 4_000])
def test_a_list_in_order_is_no_sweep(gap: int) -> None:
    """A call centre works through its customers by number; 40 % talk."""
    draw = random.Random(gap)
    rows: list[Row] = []
    callee = FIRST
    for n in range(600):
        callee += 1 + int(draw.expovariate(1 / gap))
        talk = draw.randrange(25_000, 90_000) if draw.random() < 0.4 else None
        rows += call(START + n * 4_000, CALLER, callee, f"l{n}", talk, ring_ms=12_000)
    assert not any(is_high(alert) for alert in sweeps(in_time(rows)))


def test_redials_of_known_neighbours_never_count() -> None:
    draw = random.Random(5)
    rows: list[Row] = []
    for n in range(300):
        rows += call(START + n * 30_000, CALLER, FIRST + draw.randrange(7), f"k{n}", None)
    assert sweeps(in_time(rows)) == []


def test_short_service_numbers_are_no_neighbours() -> None:
    rows: list[Row] = []
    for n in range(40):
        given = {"callee_status": NumberStatus.SHORT_SERVICE}
        rows += call(START + n * 30_000, CALLER, 95_500 + n, f"s{n}", None, **given)
    assert sweeps(in_time(rows)) == []


def test_a_number_with_a_life_of_its_own_needs_more() -> None:
    life: list[Row] = []
    for n in range(12):
        life += call(START - HOUR + n * 200_000, CALLER, 8613900000000 + n * 7_919, f"o{n}", 90_000)
    swept = sweeping([CALLER], 8, 2_000, invalid=0, talk=0)
    assert sweeps(in_time(swept))
    assert sweeps(in_time(life, swept)) == []


def test_no_ends_no_rule() -> None:
    rows = [row for row in sweeping([CALLER], 60, 900) if row["type"] == 0]
    assert proposed(sweeps(rows)) == []


def test_a_text_caller_is_proposed_with_its_trunk() -> None:
    rows: list[Row] = []
    for n in range(30):
        rows += call(START + n * 900, "pbx-7", FIRST + n, f"t{n}", None, ring_ms=9_000, trunk="scan")
    (alert,) = sweeps(in_time(rows))
    assert proposed([alert]) == [Match(caller="pbx-7", trunk="scan")]


def test_duplicates_and_disorder_change_nothing() -> None:
    rows = sweeping([CALLER], 60, 900)
    draw = random.Random(2)
    shuffled = sorted([*rows, *rows[::3]], key=lambda row: row["time"] + draw.randrange(20_000))
    (alert,), (again,) = sweeps(rows), sweeps(shuffled)
    assert (again.severity, proposed([again])) == (alert.severity, proposed([alert]))
