"""What `neighbour` signals, by kernel and in plain Python, over the same traffic."""

from __future__ import annotations

import random

import pytest

from config.settings import DetectorsSettings, NeighbourSettings
from detectors.shape import HIGH, MEDIUM, NEIGHBOUR
from tests.folding import by_kernel, by_reference, settings_with
from tests.parity.same import assert_said_the_same
from tests.traffic import START, Row, both_roles, call, in_time, mixed_events

OFF = {name: {"mode": "off"} for name in DetectorsSettings.model_fields if name not in ("neighbour",)}
EAGER = NeighbourSettings(
    usual_near=0.01,
    usual_alike=0.1,
    usual_loose=0.2,
    prior_attempts=50,
    medium_odds=1.5,
    odds=3,
    new_calls=20,
    pair_calls=2,
)
SETTINGS = settings_with(DetectorsSettings.model_validate(OFF | {"neighbour": EAGER}))


@pytest.mark.parametrize("seed", range(8))
def test_mixed_traffic(seed: int) -> None:
    rows = list(both_roles(mixed_events(seed, 350, spread_ms=(300, 60_000)[seed % 2])))
    assert_said_the_same(by_kernel(rows, SETTINGS)[0], by_reference(rows, SETTINGS)[0])


def lookalikes(seed: int, calls: int) -> list[Row]:
    """Callers of the callee's block, of its million, and others; few trunks; hours or days apart at times."""
    draw = random.Random(seed)
    rows: list[Row] = []
    time = START
    for n in range(calls):
        time += draw.choice((900, 20_000, 300_000)) if n % 150 else draw.choice((4_000_000, 90_000_000))
        callee = 8613800000000 + draw.randrange(4) * 100_000_000 + draw.randrange(5) * 250_000
        callee += draw.randrange(300)
        caller = callee + draw.choice((1, 7, 70, 700, 30_000, 400_000, 7_000_000))
        late = draw.choice((0, 0, 0, 0, 2_000_000, 5_000_000))
        rows += call(time - late, caller, callee, f"l{n}", None, trunk=f"T-{draw.randrange(5)}")
    return in_time(rows) if seed % 2 else rows


@pytest.mark.parametrize("seed", range(8))
def test_lookalikes(seed: int) -> None:
    rows = list(both_roles(lookalikes(seed, 700)))
    said = by_kernel(rows, SETTINGS)[0]
    assert_said_the_same(said, by_reference(rows, SETTINGS)[0])
    assert {s.level for s in said} == {MEDIUM, HIGH}
    assert {s.pattern for s in said} == {NEIGHBOUR}
