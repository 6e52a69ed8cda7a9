"""Callers that resemble their callees: campaigns are told by trunk; families and companies are not."""

from __future__ import annotations

import random

import pytest

from detectors.alert import Alert, Match
from tests.alerts import alerts_of, proposed
from tests.traffic import START, Row, call, in_time

MINUTE = 60_000


def ordinary(seed: int, calls: int = 1_500, every_ms: int = 600) -> list[Row]:
    draw = random.Random(seed)
    people = [8613000000000 + draw.randrange(90_000) * 10_000 + draw.randrange(10_000) for _ in range(900)]
    rows: list[Row] = []
    for n in range(calls):
        caller, callee = draw.sample(people, 2)
        talk = draw.choice((None, 30_000))
        rows += call(START + n * every_ms, caller, callee, f"o{n}", talk, trunk=f"T-{n % 3}")
    return in_time(rows)


def spoofed(
    calls: int,
    callees: list[int],
    every_ms: int = 20_000,
    trunk: str = "T-1",
    near: int = 9_000,
    start: int = START + 5 * MINUTE,
) -> list[Row]:
    """Each callee sees a new number that resembles its own."""
    draw = random.Random(calls)
    rows: list[Row] = []
    for n in range(calls):
        callee = callees[n % len(callees)]
        caller = callee // (10 * near // 9) * (10 * near // 9) + draw.randrange(10 * near // 9)
        if caller != callee:
            rows += call(start + n * every_ms, caller, callee, f"s{n}", None, trunk=trunk)
    return rows


def scattered(count: int) -> list[int]:
    draw = random.Random(count)
    return [8613000000000 + draw.randrange(90_000) * 10_000 + draw.randrange(10_000) for _ in range(count)]


def found(*streams: list[Row]) -> list[Alert]:
    return [a for a in alerts_of(in_time(*streams)) if a.detector == "neighbour"]


@pytest.mark.parametrize("calls", [4, 13, 60])
def test_scattered_targets_make_an_alert_and_no_rule(calls: int) -> None:
    (alert,) = found(ordinary(1), spoofed(calls, scattered(100)))
    assert (alert.subject.type, alert.subject.value) == ("trunk", "T-1")
    assert alert.severity == "medium"
    assert alert.proposals == []
    assert "resemble" in alert.message


def test_first_digits_alone_are_enough_where_they_are_unusual() -> None:
    """Callers share no more than the area code; where everybody's calls stay within it, that says nothing."""
    attack = spoofed(60, scattered(100), near=9_000_000, start=START + 120 * MINUTE)
    (alert,) = found(ordinary(1, every_ms=12_000), attack)
    assert (alert.subject.value, alert.severity, alert.proposals) == ("T-1", "medium", [])
    evidence = {e.feature: e.actual for e in alert.evidence}
    assert evidence["loose"] > evidence["alike"] > evidence["near"] == 0
    newcomers: list[Row] = []
    draw = random.Random(3)
    for n in range(1_500):
        caller, callee = (8613010000000 + draw.randrange(10_000_000) for _ in range(2))
        newcomers += call(START + n * 12_000, caller, callee, f"l{n}", None, trunk=f"T-{n % 3}")
    local = [8613010000000 + draw.randrange(10_000_000) for _ in range(100)]
    assert not found(in_time(newcomers), spoofed(20, local, near=9_000_000, start=START + 120 * MINUTE))


def test_targets_of_a_few_ranges_make_pairs_of_prefixes() -> None:
    targets = [8613912340000 + n * 37 for n in range(20)] + [8615056780000 + n * 37 for n in range(20)]
    (alert,) = found(ordinary(1), spoofed(40, targets))
    assert alert.severity == "high"
    assert set(proposed([alert])) == {
        Match(caller="+861391234*", callee="+861391234*", trunk="T-1"),
        Match(caller="+861505678*", callee="+861505678*", trunk="T-1"),
    }


def test_one_callee_is_named() -> None:
    alerts = found(ordinary(1), spoofed(12, [8613912345678]))
    assert Match(caller="+861391234*", callee="+8613912345678", trunk="T-1") in proposed(alerts)
    assert ("callee", "+8613912345678") in {(a.subject.type, a.subject.value) for a in alerts}


@pytest.mark.parametrize("seed", range(4))
def test_ordinary_calls_say_nothing(seed: int) -> None:
    assert found(ordinary(seed, 3_000)) == []


def test_families_and_companies_whose_numbers_were_ported_apart_are_left_alone() -> None:
    """Ten numbers of a block that call one another all day."""
    draw = random.Random(1)
    family = [8613912340000 + n * 111 for n in range(10)]
    rows: list[Row] = []
    for n in range(300):
        caller, callee = draw.sample(family, 2)
        rows += call(
            START + n * 50_000, caller, callee, f"f{n}", draw.choice((None, 60_000)), trunk=f"T-{n % 3}"
        )
    assert proposed(found(ordinary(2), rows)) == []


def test_callers_that_are_called_are_no_spoofers() -> None:
    pairs = spoofed(13, scattered(13))
    back = [
        row
        for n, at in enumerate(pairs[::2])
        for row in call(START + MINUTE + n, 8618600000000 + n, at["caller"], f"b{n}", 40_000, trunk="T-2")
    ]
    assert found(ordinary(1), back, pairs) == []


def test_without_a_trunk_nothing_is_said() -> None:
    assert found(spoofed(60, scattered(60), trunk="")) == []


@pytest.mark.parametrize(("apart", "alerts"), [(7, 0), (207, 1)])
def test_numbers_bought_together_are_a_family(apart: int, alerts: int) -> None:
    rows = [
        row
        for n in range(20)
        for row in call(
            START + n * MINUTE, 8613912340000 + 500 * n + apart, 8613912340000 + 500 * n, f"f{n}", None
        )
    ]
    assert len(found(ordinary(1), [row | {"trunk": "T-1"} for row in rows])) == alerts
