"""What `sweep` and `wangiri` signal, by kernel and in plain Python, over the same traffic."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from config.settings import (
    BurstSettings,
    DetectorsSettings,
    FloodSettings,
    SweepSettings,
    UnallocatedSettings,
    WangiriSettings,
)
from detectors.shape import HIGH, MEDIUM, SWEEP, SWEEP_BLOCK, WANGIRI, WANGIRI_BLOCK
from tests.folding import by_kernel, by_reference, settings_with
from tests.parity.same import assert_said_the_same
from tests.suspects import ringing, sweeping
from tests.traffic import START, Row, both_roles, in_time, mixed_events

EAGER = DetectorsSettings(
    burst=BurstSettings(mode="off"),
    unallocated=UnallocatedSettings(mode="off"),
    flood=FloodSettings(mode="off"),
    sweep=SweepSettings(least_run=3, min_ends=1, odds=5, medium_odds=2, outcome_odds=1, active_calls=2),
    wangiri=WangiriSettings(
        least_callees=3, fan_out=0.2, fast_rings=2, odds=5, slow_odds=20, medium_odds=2, ordinary_rings=0.1
    ),
)


def suspicious_traffic(seed: int) -> list[Row]:
    """Mixed traffic; in it sweeps and rings of one number and of several, at any pace, over two days."""
    draw = random.Random(seed)
    mixed = mixed_events(seed, 200, spread_ms=(300, 20_000)[seed % 2])
    for row in mixed:
        row["released_by"] = draw.choice((0, 1, 1, 2))
        row["ring_ms"] = draw.choice((row["ring_ms"], 1_000, 3_000))
    start = mixed[0]["time"]
    parts = [mixed]
    for n in range(6):
        callers = [mixed[0]["caller"] + k for k in range(draw.choice((1, 1, 3, 20)))]
        callers = [abs(caller) % 10**13 + 10**7 for caller in callers]
        begin, every = start + draw.randrange(100_000), draw.choice((300, 5_000, 400_000, 4_000_000))
        made = (sweeping, ringing)[n % 2]
        parts.append(made(callers, draw.randrange(10, 40), every, start=begin, seed=seed * 10 + n))
    return list(both_roles(in_time(*parts)))


@pytest.mark.parametrize("seed", range(12))
def test_suspicious_traffic(seed: int) -> None:
    rows = suspicious_traffic(seed)
    settings = settings_with(EAGER)
    assert_said_the_same(by_kernel(rows, settings)[0], by_reference(rows, settings)[0])


def test_this_says_everything_that_they_can() -> None:
    said: Counter[tuple[int, int]] = Counter()
    for seed in range(12):
        said.update(
            (s.pattern, s.level) for s in by_kernel(suspicious_traffic(seed), settings_with(EAGER))[0]
        )
    both = (SWEEP, SWEEP_BLOCK, WANGIRI, WANGIRI_BLOCK)
    assert {(pattern, level) for pattern in both for level in (MEDIUM, HIGH)} <= set(said)


@pytest.mark.parametrize("callers", [1, 5, 40])
def test_as_shipped(callers: int) -> None:
    numbers = [8617001230000 + 37 * n for n in range(callers)]
    others = [8617001240000 + 37 * n for n in range(callers)]
    rows = list(both_roles(in_time(sweeping(numbers, 60, 900, start=START), ringing(others, 60, 900))))
    said = by_kernel(rows, settings_with())[0]
    assert_said_the_same(said, by_reference(rows, settings_with())[0])
    expected = {SWEEP, WANGIRI} if callers == 1 else {SWEEP_BLOCK, WANGIRI_BLOCK}
    assert {s.pattern for s in said if s.level == HIGH} >= expected
