"""What is told of candidates, by kernel and in plain Python, over the same traffic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from config.settings import CandidatesSettings, Settings
from detectors.candidates import FEATURES
from detectors.fold import columns_of, fold, new_output, new_state, parameters_of
from detectors.lists import no_lists
from detectors.reference import Reference
from tests.folding import ROOMY, with_hashes
from tests.traffic import START, Row, both_roles, call, dialler, frame, in_time, mixed_events

Told = tuple[int, int, int, dict[str, float]]
EAGER = CandidatesSettings(
    open_hour=2, open_day=3, calls_hour=4, calls_day=6, block_numbers=2, block_calls=3, block_talked=1.0
)
CALLER = 8617001230007


def settings_with(candidates: CandidatesSettings) -> Settings:
    return Settings(detect=ROOMY, candidates=candidates)


def by_kernel(rows: Sequence[Row], settings: Settings, cuts: Sequence[int] = ()) -> list[Told]:
    state, parameters = new_state(settings), parameters_of(settings)
    told: list[Told] = []
    for begin, end in pairwise([0, *sorted(cuts), len(rows)]):
        columns, output = columns_of(frame(rows[begin:end])), new_output(end - begin)
        at = 0
        while at < end - begin:
            at = fold(columns, at, state, parameters, no_lists(), output)
            for row, _, key, _, is_block, *features in output.candidates[: output.used[2]].tolist():
                named = dict(zip((feature.name for feature in FEATURES), features, strict=True))
                told.append((begin + row, key, is_block, named))
            output.used[:] = 0
    return told


def by_reference(rows: Sequence[Row], settings: Settings) -> list[Told]:
    reference = Reference(parameters_of(settings))
    for index, row in enumerate(with_hashes(rows)):
        reference.see(index, row)
    return reference.suspects.told


def assert_told_the_same(kernel: list[Told], reference: list[Told]) -> None:
    assert [told[:3] for told in kernel] == [told[:3] for told in reference]
    for ours, theirs in zip(kernel, reference, strict=True):
        assert ours[3] == pytest.approx(theirs[3]), ours[:3]


@pytest.mark.parametrize("seed", range(10))
def test_mixed_traffic(seed: int) -> None:
    rows = list(both_roles(mixed_events(seed, 350, spread_ms=(300, 20_000)[seed % 2])))
    settings = settings_with(EAGER)
    told = by_kernel(rows, settings)
    assert {is_block for _, _, is_block, _ in told} == {0, 1}
    assert_told_the_same(told, by_reference(rows, settings))


def test_where_the_rows_are_cut_does_not_matter() -> None:
    rows = list(both_roles(mixed_events(3, 300)))
    settings = settings_with(EAGER)
    whole = by_kernel(rows, settings)
    assert by_kernel(rows, settings, cuts=(1, 7, 200, 201, 433)) == whole
    assert by_kernel(rows + rows, settings) == whole, "what comes twice is told once"


def test_a_slow_caller_is_told_at_the_gate_and_as_it_grows() -> None:
    every_ms = 300_000
    slow = dialler(CALLER, 40, every_ms, [None, None, None, 3_000, 30_000])
    back = call(START + 12 * every_ms, slow[0]["callee"], CALLER, "back", 9_000)
    rows = list(both_roles(in_time(slow, back)))
    settings = settings_with(CandidatesSettings())
    told = by_kernel(rows, settings)
    assert_told_the_same(told, by_reference(rows, settings))
    first, last = told[0][3], told[-1][3]
    assert first["calls_hour"] == 10 or first["calls_day"] == 12
    assert len(told) > 10, "every five minutes while it is active"
    assert last["attempts"] == 38, "sums begin at the third call of an hour"
    assert last["failed"] == last["invalid"] == 0
    assert last["answered"] >= last["brief"] >= last["short"] > 0
    assert (last["inbound"], last["called_back"]) in ((1, 0), (1, 1))
    assert last["spread_1m"] < 1, "as regular as a machine"


def test_what_is_a_day_old_is_forgotten() -> None:
    early = dialler(CALLER, 30, 20_000, [None], name="early")
    late = dialler(CALLER, 15, 20_000, [None], start=START + 90_000_000, name="late")
    rows = list(both_roles(in_time(early, late)))
    settings = settings_with(CandidatesSettings())
    told = by_kernel(rows, settings)
    assert_told_the_same(told, by_reference(rows, settings))
    assert 10 <= told[-1][3]["attempts"] <= 15


def test_few_calls_and_a_quiet_stream_give_none() -> None:
    rows = list(both_roles(dialler(CALLER, 9, 60_000, [None, 20_000])))
    assert by_kernel(rows, settings_with(CandidatesSettings())) == []


def test_more_suspects_than_there_is_room_for() -> None:
    few = CandidatesSettings(suspects=8, suspect_blocks=8)
    rows = in_time(*(dialler(CALLER + 10_000 * n, 20, 15_000, [None], name=str(n)) for n in range(60)))
    told = by_kernel(list(both_roles(rows)), settings_with(few))
    assert told, "who is left is told"
    state: Any = new_state(settings_with(few))
    assert state.suspects.keys.size == 8


def test_off_tells_nothing() -> None:
    rows = list(both_roles(dialler(CALLER, 40, 15_000, [None])))
    assert by_kernel(rows, settings_with(CandidatesSettings(mode="off"))) == []
