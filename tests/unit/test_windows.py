"""The windows of one subject: slots by the event's own time, bounded, and never wrong by order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import BurstSettings
from detectors import outcomes, subjects, windows
from detectors.subjects import BYTES_PER_SUBJECT, new_table
from tests.kernel import called
from tests.traffic import START

MINUTE = 60_000
Row = Any

touch = called(subjects.touch)
acquaint = called(windows.acquaint)
acquainted = called(windows.acquainted)
advance = called(windows.advance)
advance_block = called(windows.advance_block)
count_attempt = called(windows.count_attempt)
count_failure = called(windows.count_failure)
count_outcome = called(windows.count_outcome)
is_busy = called(windows.is_busy)
is_failure = called(windows.is_failure)
is_invalid = called(windows.is_invalid)
outcome_odds = called(outcomes.outcome_odds)
note_number = called(windows.note_number)
note_suspect = called(windows.note_suspect)
total = called(windows.total)
vote_trunk = called(windows.vote_trunk)


def new_row() -> Row:
    table = new_table(8, windows.BLOCK_ROW)
    return table.rows[touch(table, 1, START)]


def attempt(row: Row, time: int, callee: int = 1) -> None:
    advance(row, time)
    count_attempt(row, time, callee)


def test_a_subject_takes_less_than_300_bytes() -> None:
    assert BYTES_PER_SUBJECT < 300


def test_each_tier_forgets_at_its_own_pace() -> None:
    row = new_row()
    attempt(row, START)
    attempt(row, START + 11 * 1_000)
    assert [total(row[t]) for t in ("two_seconds", "ten_seconds", "attempts")] == [1, 2, 2]
    attempt(row, START + 2 * MINUTE)
    assert [total(row[t]) for t in ("two_seconds", "ten_seconds", "attempts")] == [1, 1, 3]
    attempt(row, START + 30 * MINUTE)
    assert [total(row[t]) for t in ("attempts", "hour_attempts", "day_attempts")] == [1, 4, 4]
    attempt(row, START + 5 * 3_600_000)
    assert [total(row[t]) for t in ("hour_attempts", "day_attempts")] == [1, 5]
    attempt(row, START + 30 * 3_600_000)
    assert total(row["day_attempts"]) == 1


def test_a_late_event_is_left_out_only_where_the_ring_has_gone_on() -> None:
    row = new_row()
    attempt(row, START + 45 * MINUTE)
    attempt(row, START + 20 * MINUTE)
    assert total(row["attempts"]) == 1
    assert total(row["hour_attempts"]) == 2
    assert row["newest"] == START + 45 * MINUTE


def test_a_clock_jump_of_centuries_clears_each_ring_once() -> None:
    row = new_row()
    attempt(row, START)
    attempt(row, START + 10**15)
    assert [total(row[t]) for t in ("attempts", "hour_attempts", "day_attempts")] == [1, 1, 1]
    attempt(row, START)
    assert total(row["day_attempts"]) == 1


def test_counters_stop_at_their_most() -> None:
    row = new_row()
    advance(row, START)
    row["attempts"][START // MINUTE % 10] = 65_534
    for _ in range(3):
        count_attempt(row, START, 1)
    assert total(row["attempts"]) == 65_535


def test_ends_without_attempts_leave_nothing_negative() -> None:
    row = new_row()
    advance(row, START + 3 * MINUTE)
    for _ in range(5):
        count_outcome(row, START, 0, -1)
    count_failure(row, START)

    p = outcomes.outcome_parameters(BurstSettings())
    _, *ends = outcome_odds(row, 1, p.robot, p.silent)
    assert ends == [5, 0, 0, 0, 0]


def test_an_outcome_belongs_to_the_minute_of_its_attempt() -> None:
    row = new_row()
    attempt(row, START)
    advance(row, START + 5 * MINUTE)
    count_outcome(row, START, 1, 300_000)
    slot = START // MINUTE % 10
    assert row["ends"][slot] == row["answered"][slot] == row["talked"][slot] == 1


@pytest.mark.parametrize(
    ("answered", "talk_ms", "talked"),
    [(0, -1, 0), (2, -1, 0), (1, 0, 0), (1, 20_000, 0), (1, 20_001, 1), (1, -1, 1)],
)
def test_talked_is_answered_for_more_than_twenty_seconds(answered: int, talk_ms: int, talked: int) -> None:
    row = new_row()
    advance(row, START)
    count_outcome(row, START, answered, talk_ms)
    assert total(row["talked"]) == total(row["day_talked"]) == talked


@pytest.mark.parametrize(
    ("answered", "talk_ms", "short"),
    [(0, -1, 0), (1, 0, 1), (1, 6_000, 1), (1, 6_001, 0), (1, 21_000, 0), (1, -1, 0)],
)
def test_short_is_answered_for_at_most_six_seconds(answered: int, talk_ms: int, short: int) -> None:
    row = new_row()
    advance(row, START)
    count_outcome(row, START, answered, talk_ms)
    assert total(row["short"]) == short


@pytest.mark.parametrize(
    ("answered", "cause", "sip", "failed"),
    [(0, 34, -1, True), (0, 41, 200, True), (1, 34, -1, False), (0, 17, 503, False), (0, -1, 503, True),
     (0, -1, 486, False), (0, 63, -1, False), (0, 127, -1, False), (0, -1, -1, False), (0, 1, -1, False)],
)  # fmt: skip
def test_what_counts_as_lost_by_the_network(answered: int, cause: int, sip: int, failed: bool) -> None:
    assert is_failure(answered, cause, sip) is failed


def test_what_counts_as_busy() -> None:
    assert is_busy(0, 17, -1)
    assert is_busy(0, -1, 486)
    assert not is_busy(0, 16, 486)
    assert not is_busy(1, 17, -1)


@pytest.mark.parametrize(
    ("answered", "cause", "sip", "invalid"),
    [(0, 1, -1, True), (0, -1, 404, True), (0, 17, 404, False), (1, 1, -1, False), (0, -1, 486, False)],
)
def test_what_counts_as_a_number_that_does_not_exist(
    answered: int, cause: int, sip: int, invalid: bool
) -> None:
    assert is_invalid(answered, cause, sip) is invalid


def test_the_circle_lasts_until_the_day_after() -> None:
    row = new_row()
    day = 86_400_000
    advance(row, START)
    acquaint(row, START, 8613800138000)
    assert acquainted(row, 8613800138000)
    assert not acquainted(row, 8613800138001)
    advance(row, START + day)
    assert acquainted(row, 8613800138000)
    advance(row, START + 2 * day)
    assert not acquainted(row, 8613800138000)


def test_a_block_knows_its_numbers_for_two_hours() -> None:
    row = new_row()
    hour = 3_600_000
    for time, number in ((START, 10_007), (START + 1, 19_993), (START + hour, 15_000)):
        advance_block(row, time)
        note_number(row, time, number)
        note_suspect(row, number)
    assert 10_000 - row["span"][0] == 7
    assert row["span"][1] - 1 == 9_993
    assert sum(int(word).bit_count() for word in row["numbers"]) == 3
    advance_block(row, START + 2 * hour)
    assert sum(int(word).bit_count() for word in row["numbers"]) == 1
    advance_block(row, START + 4 * hour)
    assert not row["numbers"].any()
    assert not row["span"].any()


def test_the_trunk_of_most_calls_is_kept() -> None:
    row = new_row()
    for trunk in (5, 7, 7, 9, 7, 7):
        vote_trunk(row, np.uint64(trunk))
    assert row["trunk"] == 7


@given(
    st.lists(
        st.tuples(st.integers(0, 3 * 86_400_000), st.integers(0, 200), st.integers(0, 3)),
        min_size=1,
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_order_does_not_matter(events: list[tuple[int, int, int]], random: Any) -> None:
    def fold(order: list[tuple[int, int, int]]) -> bytes:
        row = new_row()
        for offset, number, what in order:
            time = START + offset
            advance(row, time)
            if what == 0:
                count_outcome(row, time, number % 2, number * 100)
            elif what == 1:
                count_failure(row, time)
            else:
                count_attempt(row, time, number)
                acquaint(row, time, number)
        row["first_seen"] = 0
        return bytes(row.tobytes())

    shuffled = events[:]
    random.shuffle(shuffled)
    assert fold(events) == fold(shuffled)
