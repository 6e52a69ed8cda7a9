"""However the same rows are cut into records: the same alerts and the same state, to the last byte."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import BurstSettings, DetectorsSettings, DetectSettings, FloodSettings, RotationSettings
from detectors.alert import Alert
from detectors.calls import NumberStatus, text_hash
from streams.detect.step import Detect
from streams.wire.summaries import COUNTS
from tests.folding import SMALL, settings_with, state_bytes
from tests.traffic import FakePlan, Row, both_roles, dialler, frame, in_time, mixed_events

EAGER = DetectorsSettings(
    burst=BurstSettings(calls_10s=3, calls_1m=5, calls_10m=8, notable_odds=1.2, odds=2.0, fan_out=0.3),
    rotation=RotationSettings(calls=4, numbers=2, notable_odds=1.2, odds=2.0, fan_out=0.3),
    flood=FloodSettings(
        calls_10s=2,
        calls_1m=4,
        calls_10m=6,
        min_ends=2,
        notable_odds=1.2,
        odds=1.5,
        watch_10m=2,
        habit_factor=1,
    ),
)
TINY = DetectSettings(
    tracked_numbers=16, tracked_blocks=8, remembered_events=64, watched_callees=8, open_alerts=3
)


def run(
    rows: list[Row], edges: list[int], detect: DetectSettings = SMALL
) -> tuple[list[Alert], bytes, list[Any]]:
    step = Detect(0, settings_with(EAGER, detect), FakePlan(8613800))
    alerts: list[Alert] = []
    summaries: dict[tuple[Any, ...], list[int]] = {}
    samples: dict[tuple[Any, ...], set[str]] = {}
    bounds = [0, *sorted(set(edges) - {0, len(rows)}), len(rows)]
    for offset, (begin, end) in enumerate(pairwise(bounds)):
        found = step(frame(rows[begin:end]), offset)
        alerts += found.alerts
        assert found.summary is not None
        for row in found.summary.rows():
            key = (row.second, row.trunk, row.from_network, row.to_network)
            *sums, callees, new = summaries.setdefault(key, [0] * (len(COUNTS) + 2))
            added = [total + getattr(row, name) for total, name in zip(sums, COUNTS, strict=True)]
            summaries[key] = [*added, callees | row.callees, new | row.new_fruitless_callees]
            samples.setdefault(key, set()).add(row.new_fruitless_call)
    least = {key: min(found - {""}, key=text_hash, default="") for key, found in samples.items()}
    return alerts, state_bytes(step.state), [*sorted(summaries.items()), *sorted(least.items())]


@pytest.fixture(scope="module", params=[0, 1, 2])
def traffic(request: pytest.FixtureRequest) -> list[Row]:
    burst = dialler(8613800138000, 80, 300, [None, None, None, 2_000], caller_status=NumberStatus.TOO_LONG)
    start = burst[0]["time"]
    mixed = mixed_events(request.param, 250)
    shift = start - mixed[0]["time"]
    return list(both_roles(in_time(burst, [row | {"time": row["time"] + shift} for row in mixed])))


@pytest.mark.parametrize("detect", [SMALL, TINY], ids=["roomy", "full"])
def test_one_row_at_a_time(traffic: list[Row], detect: DetectSettings) -> None:
    whole = run(traffic, [], detect)
    assert len(whole[0]) > 10
    assert run(traffic, list(range(len(traffic))), detect) == whole


@given(st.data())
@settings(max_examples=10, deadline=None)
def test_any_cuts(traffic: list[Row], data: st.DataObject) -> None:
    edges = data.draw(st.lists(st.integers(0, len(traffic)), max_size=12))
    detect = data.draw(st.sampled_from([SMALL, TINY]))
    assert run(traffic, edges, detect) == run(traffic, [], detect)


def test_no_room_for_all_signals_of_a_record(traffic: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(traffic, [])
    monkeypatch.setattr("detectors.fold.SIGNALS", 12)
    monkeypatch.setattr("detectors.fold.CONTACT_COPIES", 2)
    assert run(traffic, []) == whole
