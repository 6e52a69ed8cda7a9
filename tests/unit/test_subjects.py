"""Tables of subjects: fixed in size, fair in whom they let go, honest about it."""

from __future__ import annotations

import numpy as np

from detectors import subjects, windows
from detectors.subjects import WAYS, Table, new_table, power_of_two, used
from detectors.windows import CALLER
from tests.kernel import called
from tests.traffic import START

find = called(subjects.find)
touch = called(subjects.touch)
advance = called(windows.advance)
count_attempt = called(windows.count_attempt)


def calls(table: Table, key: int, time: int, n: int = 1) -> None:
    row = table.rows[touch(table, key, time)]
    for _ in range(n):
        advance(row, time)
        count_attempt(row, time, 1)


def test_what_is_taken_in_is_found() -> None:
    table = new_table(1_024, CALLER)
    for key in range(1, 500):
        touch(table, key, START)
    found = [find(table, key) for key in range(1, 500)]
    assert all(at >= 0 and table.keys[at] == key for key, at in zip(range(1, 500), found, strict=True))
    assert find(table, 10_000) == -1
    assert used(table) == 499


def test_capacity_is_a_power_of_two() -> None:
    assert [power_of_two(n) for n in (1, 8, 9, 1_000, 1_024)] == [8, 8, 16, 1_024, 1_024]


def test_rows_start_cache_lines() -> None:
    table = new_table(64, CALLER)
    assert table.keys.ctypes.data % 64 == 0
    assert table.rows.ctypes.data % 64 == 0


def test_a_storm_of_one_call_numbers_pushes_out_its_own_kind() -> None:
    table = new_table(WAYS, CALLER)
    calls(table, 1, START, n=30)
    calls(table, 2, START, n=12)
    for key in range(100, 1_100):
        calls(table, key, START + key)
    assert find(table, 1) >= 0
    assert find(table, 2) >= 0
    assert used(table) == WAYS
    assert table.evicted[0] == 2 + 1_000 - WAYS


def test_the_idle_go_first_and_a_day_of_silence_is_no_loss() -> None:
    table = new_table(WAYS, CALLER)
    day = 86_400_000
    calls(table, 1, START, n=500)
    for key in range(2, WAYS + 1):
        calls(table, key, START + 2 * day)
    calls(table, 99, START + 2 * day)
    assert find(table, 1) == -1
    assert table.evicted[0] == 0
    calls(table, 98, START + 2 * day + 3_600_000 + 1)
    assert table.evicted[0] == 1


def test_a_replaced_row_starts_from_nothing() -> None:
    table = new_table(WAYS, CALLER)
    for key in range(1, WAYS + 2):
        calls(table, key, START + key, n=3)
    row = table.rows[find(table, WAYS + 1)]
    assert row["attempts"].sum() == 3
    assert row["newest"] == START + WAYS + 1


def test_eviction_is_the_same_every_time() -> None:
    def run() -> bytes:
        table = new_table(64, CALLER)
        keys = np.random.default_rng(3).integers(1, 5_000, 3_000)
        for n, key in enumerate(keys.tolist()):
            calls(table, key, START + n * 100)
        return table.keys.tobytes() + table.rows.tobytes()

    assert run() == run()
