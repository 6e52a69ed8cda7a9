"""Windows, de-duplication and tables by kernel and in plain Python: the same counts of every subject."""

from __future__ import annotations

import pytest

from detectors import kernels, subjects, windows
from detectors.fold import State
from detectors.plain import Counts, estimate, mix, mix2
from detectors.reference import Reference
from detectors.subjects import Table, used
from tests.folding import by_kernel, by_reference, settings_with
from tests.kernel import called
from tests.traffic import both_roles, mixed_events

find = called(subjects.find)
total = called(windows.total)
distinct = called(windows.distinct)
kernel_mix = called(kernels.mix)
kernel_mix2 = called(kernels.mix2)

SEEDS = range(12)


@pytest.fixture(scope="module", params=SEEDS)
def both(request: pytest.FixtureRequest) -> tuple[State, list[int], Reference]:
    rows = list(
        both_roles(mixed_events(request.param, 400, spread_ms=(400, 4_000, 60_000)[request.param % 3]))
    )
    _, state, sums = by_kernel(rows, settings_with())
    _, reference = by_reference(rows, settings_with())
    return state, sums, reference


def test_hashes_agree() -> None:
    for value in (0, 1, -1, 2**63 - 1, -(2**63), 8613800138000):
        assert int(kernel_mix(value)) == mix(value % 2**64)
        assert int(kernel_mix2(value, 7)) == mix2(value, 7)


def test_duplicates_and_late_rows(both: tuple[State, list[int], Reference]) -> None:
    state, sums, reference = both
    assert sums == [reference.duplicates, reference.late]
    assert state.newest[0] == reference.newest


def test_there_are_duplicates_and_late_rows_to_find() -> None:
    sums = [by_kernel(list(both_roles(mixed_events(seed, 300))), settings_with())[2] for seed in SEEDS]
    assert min(duplicates for duplicates, _ in sums) > 50
    assert sum(late for _, late in sums) > 100


def test_every_count_of_every_subject(both: tuple[State, list[int], Reference]) -> None:
    state, _, reference = both
    tables = (
        (state.callers, reference.callers),
        (state.blocks, reference.blocks),
        (state.callees, reference.callees),
    )
    for table, held in tables:
        assert used(table) == len(held)
        for key, counts in held.items():
            assert_same(table, key, counts)


def assert_same(table: Table, key: int, counts: Counts) -> None:
    row = table.rows[find(table, key)]
    assert row["newest"] == counts.newest
    assert total(row["two_seconds"]) == counts.calls(2_000, 5)
    assert total(row["ten_seconds"]) == counts.calls(10_000, 6)
    assert total(row["attempts"]) == counts.calls(60_000, 10)
    assert total(row["hour_attempts"]) == counts.calls(600_000, 6)
    assert total(row["day_attempts"]) == counts.calls(10_800_000, 8)
    assert total(row["ends"]) == counts.ends()
    assert total(row["answered"]) == counts.answered()
    assert total(row["talked"]) == counts.talks(60_000, 10)
    assert total(row["hour_talked"]) == counts.talks(600_000, 6)
    assert total(row["day_talked"]) == counts.talks(10_800_000, 8)
    assert total(row["failed"]) == counts.recent(counts.failures)
    assert total(row["marked"]) == counts.recent(counts.marked)
    assert total(row["short"]) == counts.recent(counts.shorts)
    assert distinct(row["counterparts"]) == pytest.approx(counts.counterparts())


def test_estimates_agree() -> None:
    assert estimate([]) == 0
    assert estimate(range(10**6, 10**6 + 3_000)) == pytest.approx(266.17, abs=0.01)
