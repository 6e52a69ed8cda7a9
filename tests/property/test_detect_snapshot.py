"""State from a snapshot and the log after it, from the log alone, and of a run that never stopped: the same,
table by table and alert by alert."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import DetectSettings, Settings
from detectors.calls import NumberStatus
from detectors.evidence import Alerts
from streams.detect.snapshot import FORMAT, PIECE_BYTES, arrays_of, layout_of
from streams.detect.step import Detect, Detected
from streams.snapshots import SnapshotError
from tests.folding import SMALL, settings_with, state_bytes
from tests.property.test_detect_determinism import EAGER, TINY
from tests.traffic import FakePlan, Row, both_roles, dialler, frame, in_time, mixed_events

RECORDS = 24


@cache
def traffic(seed: int) -> list[Row]:
    burst = dialler(8613800138000, 80, 300, [None, None, None, 2_000], caller_status=NumberStatus.TOO_LONG)
    mixed = mixed_events(seed, 250)
    shift = burst[0]["time"] - mixed[0]["time"]
    return list(both_roles(in_time(burst, [row | {"time": row["time"] + shift} for row in mixed])))


@cache
def records(seed: int) -> list[Any]:
    rows = traffic(seed)
    edges = [len(rows) * place // RECORDS for place in range(RECORDS + 1)]
    return [frame(rows[begin:end]) for begin, end in pairwise(edges)]


def detect_with(detect: DetectSettings = SMALL, **changed: Any) -> Detect:
    return Detect(0, settings_with(EAGER, detect.model_copy(update=changed)), FakePlan(8613800))


def fed(step: Detect, seed: int, begin: int, end: int = RECORDS) -> list[Detected]:
    return [step(records(seed)[offset], offset) for offset in range(begin, end)]


@cache
def undisturbed(seed: int, tiny: bool) -> tuple[list[Detected], bytes, Any]:
    step = detect_with(TINY if tiny else SMALL)
    return fed(step, seed, 0), state_bytes(step.state), _remembered(step)


def _remembered(step: Detect) -> Any:
    alerts: Alerts = step._alerts
    return alerts.kept(), dict(step._trunks)


@given(st.integers(0, 2), st.lists(st.integers(0, RECORDS), min_size=1, max_size=4), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_run_that_goes_on_from_its_snapshots_is_one_that_never_stopped(
    seed: int, stops: list[int], tiny: bool
) -> None:
    step, done = detect_with(TINY if tiny else SMALL), 0
    found: list[Detected] = []
    for stop in sorted(stops):
        found += fed(step, seed, done, stop)
        parts, step, done = step.snapshot()(), detect_with(TINY if tiny else SMALL), stop
        step.restore(parts)
    found += fed(step, seed, done)
    assert (found, state_bytes(step.state), _remembered(step)) == undisturbed(seed, tiny)


@given(st.integers(0, 2), st.integers(0, RECORDS), st.booleans())
@settings(max_examples=10, deadline=None)
def test_a_run_that_goes_on_from_the_log_alone_is_one_that_never_stopped(
    seed: int, stop: int, tiny: bool
) -> None:
    step = detect_with(TINY if tiny else SMALL)
    for offset in range(stop):
        step.rebuild(records(seed)[offset])
    found = fed(step, seed, stop)
    whole, state, remembered = undisturbed(seed, tiny)
    assert (found, state_bytes(step.state), _remembered(step)) == (whole[stop:], state, remembered)


def test_traffic_leaves_alerts_open_for_the_snapshot_to_keep() -> None:
    found, _, (kept, trunks) = undisturbed(0, False)
    assert sum(len(each.alerts) for each in found) > 10
    assert kept.open
    assert kept.of_signal
    assert trunks


def test_a_snapshot_is_of_its_moment() -> None:
    step = detect_with()
    fed(step, 0, 0, 10)
    before, packed = state_bytes(step.state), step.snapshot()
    fed(step, 0, 10)
    again = detect_with()
    again.restore(packed())
    assert state_bytes(again.state) == before


def test_an_empty_state_takes_next_to_nothing() -> None:
    parts = detect_with().snapshot()()
    assert len(parts) == 1
    assert len(parts[0]) < 2_000


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_damage_is_noticed_or_harmless(data: st.DataObject) -> None:
    """The digest of the manifest finds every change of a byte; what gets past it must not end a worker."""
    step = detect_with()
    fed(step, 0, 0, 12)
    parts = step.snapshot()()
    number = data.draw(st.integers(0, len(parts) - 1))
    cut = data.draw(st.integers(0, len(parts[number]) - 1))
    parts[number] = parts[number][:cut]
    with pytest.raises(SnapshotError):
        detect_with().restore(parts)


def test_a_snapshot_without_its_alerts_is_refused() -> None:
    with pytest.raises(SnapshotError, match="no part with its open alerts"):
        detect_with().restore([])


def test_a_snapshot_of_larger_tables_has_no_place() -> None:
    large = detect_with(tracked_numbers=1 << 16)
    fed(large, 0, 0)
    with pytest.raises(SnapshotError, match="have no place"):
        detect_with().restore(large.snapshot()())


def test_the_layout_names_types_sizes_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = detect_with().layout
    assert detect_with().layout == layout
    assert detect_with(tracked_numbers=1 << 16).layout != layout
    monkeypatch.setattr("streams.detect.snapshot.FORMAT", FORMAT + 1)
    assert detect_with().layout != layout


def test_other_thresholds_fit_the_same_snapshots() -> None:
    stricter = Detect(0, Settings(detect=SMALL), FakePlan(8613800))
    step = detect_with()
    fed(step, 0, 0, 12)
    assert stricter.layout == step.layout
    stricter.restore(step.snapshot()())
    assert state_bytes(stricter.state) == state_bytes(step.state)
    fed(stricter, 0, 12)


def test_every_array_is_kept_once() -> None:
    state = detect_with().state
    named = dict(arrays_of(state))
    assert len(named) == len(list(arrays_of(state)))
    assert {"callers.keys", "callers.rows", "counted.events", "newest"} <= set(named)
    assert not any(
        np.shares_memory(one, other)
        for name, one in named.items()
        for another, other in named.items()
        if name < another
    )
    assert layout_of(state) == detect_with().layout
    assert PIECE_BYTES % 8 == 0
