"""What `flood` signals and notes, by kernel and in plain Python, over the same traffic."""

from __future__ import annotations

import random
from typing import Any

import pytest

from config.settings import BurstSettings, DetectorsSettings, FloodSettings, UnallocatedSettings
from detectors import subjects
from detectors.shape import HIGH, MEDIUM
from detectors.signals import CONTACTS
from tests.folding import by_kernel, by_reference, settings_with
from tests.kernel import called
from tests.parity.same import assert_said_the_same
from tests.traffic import START, Row, both_roles, call, in_time, mixed_events

index_of = called(subjects.index_of)

EAGER = DetectorsSettings(
    burst=BurstSettings(mode="off"),
    unallocated=UnallocatedSettings(mode="off"),
    flood=FloodSettings(
        calls_10s=2,
        calls_1m=4,
        calls_10m=6,
        min_ends=2,
        odds=1.5,
        notable_odds=1.2,
        watch_10m=2,
        habit_factor=1,
    ),
)


@pytest.mark.parametrize("seed", range(15))
def test_mixed_traffic(seed: int) -> None:
    rows = list(both_roles(mixed_events(seed, 350, spread_ms=(300, 2_000)[seed % 2])))
    settings = settings_with(EAGER)
    said = by_kernel(rows, settings)[0]
    assert_said_the_same(said, by_reference(rows, settings)[0])
    assert {s.level for s in said} >= {MEDIUM}


@pytest.mark.parametrize("seed", range(6))
def test_who_called_a_watched_callee(seed: int) -> None:
    rows = list(both_roles(mixed_events(seed, 500, spread_ms=300)))
    _, state, _ = by_kernel(rows, settings_with(EAGER))
    _, reference = by_reference(rows, settings_with(EAGER))
    strangers = []
    for callee, notes in reference.watched.items():
        if notes:
            assert noted(state.watched, callee) == notes
            strangers += [note[3] for note in notes]
    assert {0, 1} == set(strangers)


@pytest.mark.parametrize("seed", range(8))
def test_floods_of_hours(seed: int) -> None:
    draw = random.Random(seed)
    rows: list[Row] = []
    for n in range(600):
        callee, caller = 8613811112222 + draw.randrange(3), 8613700000000 + draw.randrange(30)
        talk = draw.choice((None, None, None, None, None, 3_000, 40_000))
        how = draw.choice(({"ring_ms": 1_500, "released_by": 1}, {"cause": 17}, {"cause": 41}, {"cause": 19}))
        at = START + draw.randrange(26 * 3_600_000)
        rows += call(at, caller, callee, f"l{n}", talk, **how)
    lasting = EAGER.flood.model_copy(update={"calls_1h": 4, "calls_1d": 12, "habit_factor": 4.0})
    settings = settings_with(EAGER.model_copy(update={"flood": lasting}))
    both = list(both_roles(in_time(rows)))
    said, _, _ = by_kernel(both, settings)
    assert_said_the_same(said, by_reference(both, settings)[0])
    assert {60.0, 1_440.0} <= {s.features[11] for s in said}


def noted(watched: Any, callee: int) -> list[list[int]]:
    at = index_of(watched.keys, callee)
    last = int(watched.written[at])
    ring = [watched.contacts[at, k % CONTACTS] for k in range(max(last - CONTACTS, 0), last)]
    return [
        [int(c["caller"]), int(c["call"]), int(c["outcome"]), int(c["stranger"]), int(c["time"])]
        for c in ring
    ]


def bombing(calls: int) -> list[Row]:
    return in_time(
        *(
            call(START + n * 400, 8613700000000 + n % 40, 8613811112222, f"b{n}", None, ring_ms=1_500)
            for n in range(calls)
        )
    )


def test_a_bombing() -> None:
    rows = list(both_roles(bombing(200)))
    said = by_kernel(rows, settings_with())[0]
    assert_said_the_same(said, by_reference(rows, settings_with())[0])
    assert HIGH in {s.level for s in said}
