"""What `burst` signals, by kernel and in plain Python, over the same traffic."""

from __future__ import annotations

from collections import Counter

import pytest

from config.settings import (
    BurstSettings,
    DetectorsSettings,
    FloodSettings,
    RotationSettings,
    UnallocatedSettings,
)
from detectors.shape import BURST_NUMBER, CRITICAL, HIGH, MEDIUM, PREFIX_PROBE, ROTATION
from tests.folding import by_kernel, by_reference, settings_with
from tests.parity.same import assert_said_the_same
from tests.traffic import Row, both_roles, dialler, in_time, mixed_events

ALONE = DetectorsSettings(
    burst=BurstSettings(
        calls_10s=3,
        calls_1m=5,
        calls_10m=8,
        notable_odds=1.2,
        odds=2.0,
        fan_out=0.3,
    ),
    rotation=RotationSettings(calls=4, numbers=2, notable_odds=1.2, odds=2.0, fan_out=0.3),
    unallocated=UnallocatedSettings(mode="off"),
    flood=FloodSettings(mode="off"),
)


def rotation(seed: int) -> list[Row]:
    """Many numbers of one block, each with few calls."""
    block = 8617001230000
    talks = [None] * 12 + [2_000, 9_000]
    parts = [
        dialler(block + 7 * n, 3, 900, talks, start=1_788_230_400_000 + n * 500, seed=seed) for n in range(60)
    ]
    return in_time(*parts)


@pytest.mark.parametrize("seed", range(15))
def test_mixed_traffic(seed: int) -> None:
    rows = list(both_roles(mixed_events(seed, 350, spread_ms=(300, 2_000)[seed % 2])))
    settings = settings_with(ALONE)
    assert_said_the_same(by_kernel(rows, settings)[0], by_reference(rows, settings)[0])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("detectors", [DetectorsSettings(), ALONE], ids=["shipped", "eager"])
def test_a_burst_and_a_rotation(seed: int, detectors: DetectorsSettings) -> None:
    talks = [None] * 9 + [3_000, 20_000]
    rows = list(both_roles(in_time(dialler(8617012345678, 150, 400, talks, seed=seed), rotation(seed))))
    settings = settings_with(detectors)
    assert_said_the_same(by_kernel(rows, settings)[0], by_reference(rows, settings)[0])


def test_these_say_everything_that_burst_can() -> None:
    said: Counter[tuple[int, int]] = Counter()
    for seed in range(15):
        rows = list(both_roles(mixed_events(seed, 350, spread_ms=(300, 2_000)[seed % 2])))
        said.update((s.pattern, s.level) for s in by_kernel(rows, settings_with(ALONE))[0])
    rows = list(both_roles(in_time(dialler(8617012345678, 300, 300, [None]), rotation(1))))
    said.update((s.pattern, s.level) for s in by_kernel(rows, settings_with())[0])
    assert {
        (BURST_NUMBER, MEDIUM),
        (BURST_NUMBER, HIGH),
        (BURST_NUMBER, CRITICAL),
        (PREFIX_PROBE, HIGH),
    } <= set(said)
    assert {(ROTATION, MEDIUM), (ROTATION, HIGH)} <= set(said)
