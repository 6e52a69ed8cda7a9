"""What `clone` signals, by kernel and in plain Python, over the same traffic and the same lists."""

from __future__ import annotations

import random

import pytest

from config.settings import (
    BurstSettings,
    CloneSettings,
    DetectorsSettings,
    FloodSettings,
    PolicySettings,
    UnallocatedSettings,
)
from detectors.lists import ListBook
from detectors.plain_lists import PlainLists
from detectors.shape import HIGH, MEDIUM
from streams.wire.records import ListEntry
from tests.folding import by_kernel, by_reference, settings_with
from tests.parity.same import assert_said_the_same
from tests.traffic import START, Row, both_roles, call, cdr, in_time, mixed_events

EAGER = DetectorsSettings(
    burst=BurstSettings(mode="off"),
    unallocated=UnallocatedSettings(mode="off"),
    flood=FloodSettings(mode="off"),
    policy=PolicySettings(mode="off"),
    clone=CloneSettings(
        min_callees=1, quiet_callees=2, min_overlaps=1, notable_odds=1.2, odds=4.0, usual_share=0.2
    ),
)


def two_networks(seed: int, calls: int) -> list[Row]:
    """Few numbers, each mostly on its own network, with every sort of call from elsewhere."""
    draw = random.Random(seed)
    numbers = [8613800000000 + n * 5_003 for n in range(7)]
    rows: list[Row] = []
    time = START
    for n in range(calls):
        time += draw.choice((500, 4_000, 20_000, 90_000, 400_000))
        if draw.random() < 0.01:
            time += 90_000_000
        which = draw.randrange(len(numbers))
        home = ("CM", "CU", "CT")[which % 3]
        network = home if draw.random() < 0.6 else draw.choice(("CM", "CU", "CT", "CB", ""))
        given: Row = {
            "from_network": network,
            "to_network": draw.choice(("CM", "CU", "CT")),
            "caller_operator": ("", home, "CU")[which % 3],
            "caller_kind": draw.choice((1, 1, 2)) if which == 6 else 1,
            "gateway": int(draw.random() < 0.05),
            "roaming": draw.choice((2, 2, 2, 0, 1)),
            "redirecting": 8613700000000 if draw.random() < 0.05 else 0,
            "ring_ms": draw.choice((-1, 2_000, 9_000)),
            "cause": draw.choice((16, 17, 1, 34)),
        }
        told = cdr if draw.random() < 0.3 else call
        talk = draw.choice((None, None, 0, 4_000, 30_000, 120_000))
        callee = 8613900000000 + draw.randrange(12) * 7
        made = told(time, numbers[which], callee, f"t{seed}-{n}", talk, **given)
        rows += made if isinstance(made, list) else [made]
    return in_time(rows)


@pytest.mark.parametrize("seed", range(12))
def test_two_networks(seed: int) -> None:
    rows = list(both_roles(two_networks(seed, 400)))
    entries = [ListEntry("p", "portability", "number", f"+{8613800000000 + 5_003}", "CT", "ported")]
    book = ListBook(86, 10)
    book.put("p", entries[0])
    settings = settings_with(EAGER)
    said = by_kernel(rows, settings, lists=book.tables)[0]
    assert_said_the_same(said, by_reference(rows, settings, PlainLists(entries))[0])
    assert MEDIUM in {s.level for s in said}


@pytest.mark.parametrize("seed", range(6))
def test_mixed_traffic(seed: int) -> None:
    rows = list(both_roles(mixed_events(seed, 400, spread_ms=(300, 2_000)[seed % 2])))
    settings = settings_with(EAGER)
    said = by_kernel(rows, settings)[0]
    assert_said_the_same(said, by_reference(rows, settings)[0])
    assert said


def test_a_clone_during_talks() -> None:
    rows: list[Row] = []
    for n in range(20):
        rows += call(START + n * 300_000, 8613800000000, 8613700000000 + n * 7, f"h{n}", 120_000)
        away = START + n * 300_000 + 50_000
        rows += call(away, 8613800000000, 8613900000000 + n * 7, f"e{n}", None, from_network="CT")
    said = by_kernel(list(both_roles(in_time(rows))), settings_with())[0]
    assert_said_the_same(said, by_reference(both_roles(in_time(rows)), settings_with())[0])
    assert HIGH in {s.level for s in said}
