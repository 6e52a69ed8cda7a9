"""The schedule of a storm: seeded, complete, never everybody at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.chaos.schedule import KINDS, ON_A_WORKER, schedule

SESSION_S = 6.0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), workers=st.integers(2, 5), seconds=st.integers(40, 300))
def test_blows_come_in_order_and_are_over_in_time(seed: int, workers: int, seconds: int) -> None:
    blows = schedule(seed, seconds, workers, SESSION_S)
    assert blows, "there is a storm"
    assert [blow.at for blow in blows] == sorted(blow.at for blow in blows)
    assert all(blow.at > 0 and blow.at + blow.lasts <= seconds + 0.02 for blow in blows)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), workers=st.integers(2, 5))
def test_somebody_is_always_up_and_nothing_is_struck_while_it_is_down(seed: int, workers: int) -> None:
    blows = schedule(seed, 240, workers, SESSION_S)
    for i, blow in enumerate(blows):
        down = [other for other in blows[:i] if blow.at < other.at + other.lasts - 0.02]
        assert all(other.place != blow.place for other in down)
        struck = {other.target for other in [*down, blow] if other.kind in ON_A_WORKER}
        assert len(struck) < workers


def test_the_seed_decides() -> None:
    assert schedule(5, 120, 3, SESSION_S) == schedule(5, 120, 3, SESSION_S)
    assert schedule(5, 120, 3, SESSION_S) != schedule(6, 120, 3, SESSION_S)


def test_every_kind_strikes_in_a_storm_of_minutes() -> None:
    for seed in range(20):
        assert {blow.kind for blow in schedule(seed, 120, 3, SESSION_S)} == set(KINDS)


def test_a_frozen_worker_outlasts_its_session() -> None:
    frozen = [blow for blow in schedule(1, 600, 3, SESSION_S) if blow.kind == "freeze"]
    assert frozen
    assert all(blow.lasts > SESSION_S for blow in frozen)


def test_only_the_kinds_that_were_asked_for() -> None:
    assert {blow.kind for blow in schedule(1, 120, 3, SESSION_S, ["kill", "join"])} == {"kill", "join"}


def test_a_storm_needs_two_workers_and_a_kind() -> None:
    with pytest.raises(ValueError, match="workers 1"):
        schedule(1, 60, 1, SESSION_S)
    with pytest.raises(ValueError, match="kinds"):
        schedule(1, 60, 2, SESSION_S, [])
