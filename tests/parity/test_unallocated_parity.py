"""What `unallocated` signals, by kernel and in plain Python, over the same traffic."""

from __future__ import annotations

import pytest

from config.settings import BurstSettings, DetectorsSettings, FloodSettings, RotationSettings
from detectors.calls import NumberStatus
from detectors.shape import HIGH, LOW, UNALLOCATED
from tests.folding import by_kernel, by_reference, settings_with
from tests.parity.same import assert_said_the_same
from tests.traffic import START, Row, both_roles, cdr, mixed_events

ALONE = DetectorsSettings(
    burst=BurstSettings(mode="off"), flood=FloodSettings(mode="off"), rotation=RotationSettings(mode="off")
)


@pytest.mark.parametrize("seed", range(15))
def test_mixed_traffic(seed: int) -> None:
    rows = list(both_roles(mixed_events(seed, 350, spread_ms=(300, 60_000)[seed % 2])))
    settings = settings_with(ALONE)
    said = by_kernel(rows, settings)[0]
    assert_said_the_same(said, by_reference(rows, settings)[0])
    assert said


def spoofed(numbers: int, calls: int) -> list[Row]:
    status = {"caller_status": NumberStatus.UNALLOCATED}
    return [
        cdr(START + n * 700, 8617001230000 + 13 * (n % numbers), 8613900000000 + n, f"u{n}", None, **status)
        for n in range(calls)
    ]


@pytest.mark.parametrize("numbers", [1, 2, 5, 60, 400])
def test_a_spoofed_block(numbers: int) -> None:
    rows = list(both_roles(spoofed(numbers, 500)))
    settings = settings_with(ALONE)
    said = by_kernel(rows, settings)[0]
    assert_said_the_same(said, by_reference(rows, settings)[0])
    assert {s.level for s in said if s.pattern == UNALLOCATED} == {LOW, HIGH}
