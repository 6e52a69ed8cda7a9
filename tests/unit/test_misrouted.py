"""Ranges on trunks whose operator cannot originate them; ported numbers, transit and virtual ones are not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic import ValidationError

from config.settings import DetectorsSettings, MisroutedSettings, Settings
from detectors.alert import Alert, Match
from streams.detect.step import Detect
from tests.alerts import alerts_of, proposed
from tests.folding import ROOMY
from tests.traffic import START, FakePlan, Row, call, in_time

OPERATORS = ("CM", "CU", "CT")
SPOOFED = 8613900070000
MINUTE = 60_000


def number(operator: int, block: int, tail: int) -> int:
    return 8613000000000 + operator * 100_000_000 + block * 10_000 + tail


def trunk(network: str, n: int) -> str:
    return f"{network}-{n % 6}"


def ordinary(seed: int, calls: int = 1_500, ported: float = 0.02, every_ms: int = 800) -> list[Row]:
    """People of three operators, 25 in each of 20 blocks, a few of them ported, who call each other."""
    draw = random.Random(seed)
    people = [number(o, b, 40 * t + 7) for o in range(3) for b in range(20) for t in range(25)]
    moved = {n: OPERATORS[draw.randrange(3)] for n in people if draw.random() < ported}
    rows: list[Row] = []
    for n in range(calls):
        caller, callee = draw.sample(people, 2)
        operator = OPERATORS[(caller - 8613000000000) // 100_000_000]
        network = moved.get(caller, operator)
        way = {
            "caller_operator": operator,
            "from_network": network,
            "trunk": trunk(network, draw.randrange(6)),
        }
        rows += call(START + n * every_ms, caller, callee, f"o{n}", draw.choice((None, 40_000)), **way)
    return in_time(rows)


def spoofed(calls: int, numbers: int = 6, every_ms: int = 4_000, **other: Any) -> list[Row]:
    """Numbers of a silent CM block from CT over one trunk, to strangers."""
    draw = random.Random(calls)
    rows: list[Row] = []
    given = {"caller_operator": "CM", "from_network": "CT", "trunk": "CT-1"} | other
    for n in range(calls):
        caller = SPOOFED + 1_100 * (n % numbers)
        callee = number(1, draw.randrange(20), draw.randrange(10_000))
        talk = draw.choice((None, None, 30_000))
        rows += call(START + 15 * MINUTE + n * every_ms, caller, callee, f"s{n}", talk, **given)
    return rows


def found(*streams: list[Row], settings: MisroutedSettings | None = None) -> list[Alert]:
    detectors = DetectorsSettings(misrouted=settings or MisroutedSettings())
    step = Detect(0, Settings(detect=ROOMY, detectors=detectors), FakePlan())
    return [a for a in alerts_of(in_time(*streams), step=step) if a.detector == "misrouted"]


def test_a_silent_block_on_another_networks_trunk_is_proposed_there() -> None:
    (alert,) = found(ordinary(1), spoofed(30))
    assert (alert.severity, alert.kind) == ("high", "misrouted_range")
    assert alert.subject.value == "+861390007*"
    assert {m.trunk for m in proposed([alert])} == {"CT-1"}
    assert Match(caller="+861390007*", trunk="CT-1") in proposed([alert])
    assert "CT-1" in alert.message


def test_a_score_of_calls_suffices() -> None:
    assert proposed(found(ordinary(1), spoofed(20)))


@pytest.mark.parametrize("seed", range(4))
def test_ported_numbers_are_left_alone(seed: int) -> None:
    assert found(ordinary(seed, 2_500)) == []


def test_one_number_alone_is_no_range() -> None:
    assert proposed(found(ordinary(1), spoofed(40, numbers=1, every_ms=40_000))) == []


def test_one_number_that_no_hand_can_dial_so_fast_is_proposed() -> None:
    fast = spoofed(40, numbers=1, every_ms=6_000)
    assert [m.caller for m in proposed(found(ordinary(1), fast))] == [f"+{SPOOFED}"]


def test_where_nothing_was_learnt_nothing_is_said() -> None:
    assert found(spoofed(40)) == []


def test_a_network_that_sends_all_of_an_operator_is_its_host() -> None:
    """Whatever the plan calls an operator: the way that its numbers take is the right one."""
    rows = [
        row | {"caller_operator": {"CM": "Virtual"}.get(row["caller_operator"], "CT")} for row in ordinary(1)
    ]
    assert found(rows) == []


def test_transit_carries_everybody() -> None:
    """A small carrier whose trunk brings blocks of all operators."""
    draw = random.Random(5)
    rows: list[Row] = []
    for n in range(400):
        operator = draw.randrange(3)
        caller = number(operator, 40 + draw.randrange(30), 11 * draw.randrange(20))
        callee = number(draw.randrange(3), draw.randrange(20), 7)
        given = {"caller_operator": OPERATORS[operator], "from_network": "TRANSIT", "trunk": "T-1"}
        rows += call(START + n * 2_000, caller, callee, f"t{n}", draw.choice((None, 50_000)), **given)
    assert proposed(found(ordinary(1, 3_000), rows)) == []


def moved_company(calls: int) -> list[Row]:
    """A company whose whole range was ported: it calls its customers again and again, and they call it."""
    draw = random.Random(3)
    rows: list[Row] = []
    for n in range(calls):
        mine = SPOOFED + draw.randrange(50)
        customer = number(1, mine % 20, 40 * draw.randrange(3) + 7)
        talk = draw.choice((None, 60_000, 60_000))
        out = {"caller_operator": "CM", "from_network": "CT", "trunk": trunk("CT", n)}
        back = {"caller_operator": "CU", "from_network": "CU", "trunk": trunk("CU", n)}
        pair = (customer, mine, back) if draw.random() < 0.4 else (mine, customer, out)
        rows += call(START + n * 3_000, pair[0], pair[1], f"c{n}", talk, **pair[2])
    return rows


def test_a_company_that_was_ported_as_a_whole_is_left_alone() -> None:
    assert proposed(found(ordinary(1, 3_000), moved_company(600))) == []


def test_in_an_inhabited_block_the_numbers_are_proposed_one_by_one() -> None:
    """Who lives there and calls as ever is not in the way of the rules."""
    rows = [
        row | {"caller": row["caller"] - SPOOFED + number(0, 3, 1)} if row["caller"] >= SPOOFED else row
        for row in spoofed(60)
    ]
    matches = proposed(found(ordinary(1, 3_000, ported=0.0), rows))
    assert matches
    for match in matches:
        assert match.caller is not None
        assert not match.caller.endswith("*")
        assert match.trunk == "CT-1"
        assert (int(match.caller) - number(0, 3, 1)) % 1_100 == 0


def test_what_a_trunk_may_carry_can_be_configured() -> None:
    settings = MisroutedSettings(carries="CT-1: CT CB; CT-2: CT CM")
    assert proposed(found(spoofed(4), settings=settings))
    assert found(ordinary(1), spoofed(40, trunk="CT-2"), settings=settings) == []


@pytest.mark.parametrize("text", ["CT-1", "CT-1:", ": CM", "CT-1: CM; CT-2"])
def test_what_a_trunk_may_carry_must_be_readable(text: str) -> None:
    with pytest.raises(ValidationError, match="carries has"):
        MisroutedSettings(carries=text)


def test_foreign_gateways_are_none_of_its_business() -> None:
    assert found(ordinary(1), spoofed(40, gateway=1)) == []


def test_calls_that_never_end_do_not_hide_a_range() -> None:
    assert found(ordinary(1), [row for row in spoofed(30) if row["type"] == 0])


def test_a_clock_jump_and_duplicates_do_no_harm() -> None:
    rows = ordinary(2, 2_000)
    jumped = [row | {"time": row["time"] + 3 * 86_400_000, "id": row["id"] + "j"} for row in rows[:200]]
    assert found(rows, rows[:500], jumped) == []
