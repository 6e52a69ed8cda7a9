"""The step of `detect`: frames in, alerts and summaries out, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from config.settings import DetectSettings, Settings
from detectors import fold
from detectors.alert import Alert
from detectors.calls import FRAME_SCHEMA, EventType
from detectors.subjects import used
from streams.detect.step import Detect, config_hash
from streams.wire.records import decode, encode
from streams.wire.summaries import Summary, SummaryRow, decode_summary, encode_summary
from tests.alerts import detector
from tests.traffic import (
    START,
    FakePlan,
    Row,
    both_roles,
    call,
    cdr,
    dialler,
    event,
    frame,
    frame_of,
    in_time,
)

SUBSCRIBER, FRIEND = 8613700000001, 8613911110000


def summary_of(rows: list[Row], step: Detect | None = None) -> Summary:
    summary = (step or detector())(frame_of(rows), 7).summary
    assert summary is not None
    return summary


def test_a_record_without_rows_says_nothing() -> None:
    found = detector()(frame([]), 0)
    assert found.alerts == []
    assert found.summary is None


def test_another_schema_is_refused_and_changes_nothing() -> None:
    step = detector()
    with pytest.raises(ValueError, match="not a frame"):
        step(pa.record_batch({"time": [1]}), 0)
    assert used(step.state.callers) == 0


def test_a_quiet_stream_gives_no_alert() -> None:
    rows: list[Row] = []
    for n in range(300):
        rows += call(
            START + n * 4_000, SUBSCRIBER + n % 60, FRIEND + n % 90, f"q{n}", None if n % 3 else 60_000
        )
    assert detector()(frame_of(in_time(rows)), 0).alerts == []


def test_the_summary_adds_up_the_callers_rows() -> None:
    rows = [
        cdr(START, SUBSCRIBER, FRIEND, "1", 60_000, ring_ms=3_000),
        cdr(START + 500, SUBSCRIBER, FRIEND + 1, "2", 5_000, ring_ms=-1),
        cdr(START + 999, SUBSCRIBER, FRIEND + 1, "3", None, ring_ms=9_000),
        cdr(START + 1_000, SUBSCRIBER, FRIEND, "4", None, trunk="other"),
        event(EventType.ATTEMPT, START, SUBSCRIBER, FRIEND + 2, "5", from_network="CB"),
    ]
    summary = summary_of(rows)
    assert (summary.partition, summary.offset, summary.newest) == (0, 7, START + 1_000)
    second = START // 1_000
    found = [msgspec.structs.replace(row, callees=0) for row in summary.rows()]
    assert found == [
        SummaryRow(second, "CM-CU-1", "CB", "CU", 1, 0, 0, 0, 0, 0, 0),
        SummaryRow(second, "CM-CU-1", "CM", "CU", 3, 3, 2, 1, 12_000, 2, 65_000, new_ends=1),
        SummaryRow(second + 1, "other", "CM", "CU", 1, 1, 0, 0, 5_000, 1, 0),
    ]
    bits = [row.callees.bit_count() for row in summary.rows()]
    assert bits == [1, 2, 1]
    assert decode_summary(encode_summary(summary)) == summary


def test_the_callee_bitmap_counts_up_to_hundreds() -> None:
    rows = [cdr(START, SUBSCRIBER, FRIEND + n, f"{n}", None) for n in range(200)]
    bits = summary_of(rows).rows()[0].callees.bit_count()
    assert 256 * np.log(256 / (256 - bits)) == pytest.approx(200, rel=0.2)


def attempts_and_ends(summary: Summary) -> tuple[int, int]:
    return sum(row.attempts for row in summary.rows()), sum(row.ends for row in summary.rows())


def test_an_event_that_arrives_twice_counts_once() -> None:
    rows = call(START, SUBSCRIBER, FRIEND, "1", 60_000)
    summary = summary_of(rows + rows)
    assert attempts_and_ends(summary) == (1, 1)
    assert summary.duplicates == 4
    step = detector()
    summary_of(rows, step)
    assert attempts_and_ends(summary_of(rows, step)) == (0, 0)


def test_a_record_after_the_live_events_adds_nothing() -> None:
    rows = [*call(START, SUBSCRIBER, FRIEND, "1", 60_000), cdr(START, SUBSCRIBER, FRIEND, "1", 60_000)]
    assert attempts_and_ends(summary_of(rows)) == (1, 1)
    assert attempts_and_ends(summary_of(rows[::-1])) == (1, 1)
    assert attempts_and_ends(summary_of([rows[0], rows[2]])) == (1, 1)
    assert attempts_and_ends(summary_of([rows[1], rows[2]])) == (1, 1)


def test_a_call_seen_by_two_probes_counts_once() -> None:
    rows = call(START, SUBSCRIBER, FRIEND, "1", 60_000)
    other = [row | {"id": row["id"] + "b", "from_network": "CT", "time": row["time"] + 40} for row in rows]
    assert attempts_and_ends(summary_of(in_time(rows, other))) == (1, 1)


def test_the_same_two_numbers_on_another_network_within_two_seconds_are_one_call() -> None:
    rows = call(START, SUBSCRIBER, FRIEND, "1", 60_000)
    for delay, calls in ((1_500, 1), (2_500, 2)):
        other = call(START + delay, SUBSCRIBER, FRIEND, "elsewhere", 60_000, from_network="CT")
        assert attempts_and_ends(summary_of(in_time(rows, other))) == (calls, calls)
    redial = call(START + 1_500, SUBSCRIBER, FRIEND, "redial", 60_000)
    assert attempts_and_ends(summary_of(in_time(rows, redial))) == (2, 2)


def test_a_record_from_elsewhere_does_not_bring_a_second_outcome() -> None:
    rows = [*call(START, SUBSCRIBER, FRIEND, "1", 60_000)]
    rows.append(cdr(START + 100, SUBSCRIBER, FRIEND, "2", 60_000, from_network="CT"))
    assert attempts_and_ends(summary_of(rows)) == (1, 1)


def test_an_attacker_who_reuses_one_call_id_is_counted_all_the_same() -> None:
    rows = [
        event(EventType.ATTEMPT, START + n * 100, SUBSCRIBER, FRIEND + n, "same", id=f"e{n}")
        for n in range(50)
    ]
    assert attempts_and_ends(summary_of(rows)) == (50, 0)
    rows = [
        event(EventType.ATTEMPT, START + n * 11_000, SUBSCRIBER, FRIEND, "same", id=f"e{n}") for n in range(9)
    ]
    assert attempts_and_ends(summary_of(rows)) == (9, 0)


def test_late_rows_are_counted_and_still_told_to_the_slow_tiers() -> None:
    step = detector()
    rows = [
        cdr(START + 1_200_000, SUBSCRIBER, FRIEND, "1", None),
        cdr(START + 500_000, SUBSCRIBER, FRIEND, "2", None),
        cdr(START + 700_000, SUBSCRIBER, FRIEND, "3", None),
    ]
    summary = summary_of(rows, step)
    assert summary.late == 2
    assert summary.newest == START + 1_200_000
    state = step.state
    row = state.callers.rows[np.flatnonzero(state.callers.keys)[0]]
    assert row["hour_attempts"].sum() == 3
    assert row["attempts"].sum() == 2


def test_a_clock_that_jumps_there_and_back_wedges_nothing() -> None:
    step = detector()
    summary_of([cdr(START + 10**14, SUBSCRIBER, FRIEND, "far", None)], step)
    found = step(frame_of(dialler(8617012345678, 200, 300, [None])), 0)
    assert found.summary is not None
    assert found.summary.late == 800
    assert any(alert.proposals for alert in found.alerts)


def test_memory_is_bounded_and_eviction_is_told() -> None:
    small = DetectSettings(tracked_numbers=512, tracked_blocks=64, remembered_events=1_024, watched_callees=8)
    step = Detect(0, Settings(detect=small), FakePlan())
    evicted = 0
    for round_ in range(4):
        rows = [
            cdr(START + n, 8613000000000 + (round_ * 2_000 + n) * 9_973, FRIEND + n, f"{round_}-{n}", None)
            for n in range(2_000)
        ]
        evicted += summary_of(rows, step).evicted
    state = step.state
    assert used(state.callers) <= 512
    assert used(state.blocks) <= 64
    assert evicted == sum(int(t.evicted[0]) for t in (state.callers, state.blocks, state.callees))
    assert evicted > 8_000 - 512 - 64


def test_a_burst_is_found_in_a_full_table() -> None:
    small = DetectSettings(tracked_numbers=512, tracked_blocks=64, remembered_events=4_096, watched_callees=8)
    step = Detect(0, Settings(detect=small), FakePlan())
    noise = [cdr(START + n * 20, 8613000000000 + n * 9_973, FRIEND + n, f"n{n}", None) for n in range(3_000)]
    found = step(frame_of(in_time(noise, dialler(8617012345678, 200, 300, [None]))), 0)
    assert "+8617012345678" in {p.match.caller for a in found.alerts for p in a.proposals}
    assert [decode(encode(alert), Alert) for alert in found.alerts] == found.alerts


def test_slices_and_other_dictionaries_are_the_same_rows() -> None:
    rows = list(both_roles(dialler(8617012345678, 60, 300, [None])))
    padded = frame([rows[0] | {"trunk": "first", "id": "p", "call_id": "p"}, *rows])
    whole, sliced = detector()(frame(rows), 0), detector()(padded.slice(1), 0)
    assert whole.summary is not None
    assert sliced.summary is not None
    assert sliced.alerts == whole.alerts
    assert sliced.summary.rows() == whole.summary.rows()
    assert sliced.candidates == whole.candidates


def test_unaligned_buffers_are_read_all_the_same() -> None:
    rows = list(both_roles(dialler(8617012345678, 30, 300, [None])))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, frame(rows).schema) as writer:
        writer.write_batch(frame(rows))
    raw = b"x" + sink.getvalue().to_pybytes()
    with pa.ipc.open_stream(pa.py_buffer(raw).slice(1)) as reader:
        batch = reader.read_next_batch()
    assert detector()(batch, 0) == detector()(frame(rows), 0)
    assert len(fold.fold.signatures) == 1  # type: ignore[attr-defined]


def test_the_configuration_hash_names_the_detectors_settings() -> None:
    plain = Settings()
    assert config_hash(plain) == config_hash(Settings())
    assert len(config_hash(plain)) == 16
    burst = plain.detectors.burst.model_copy(update={"calls_1m": 99})
    changed = plain.model_copy(update={"detectors": plain.detectors.model_copy(update={"burst": burst})})
    assert config_hash(changed) != config_hash(plain)


def test_the_compiled_kernels_are_the_ones_that_run() -> None:
    fold.warm()
    compiled: Any = fold.fold
    assert type(compiled).__name__ == "CPUDispatcher"
    before = sum(compiled.stats.cache_hits.values()) + sum(compiled.stats.cache_misses.values())
    assert len(compiled.nopython_signatures) == 1
    detector()(frame_of(dialler(8617012345678, 30, 300, [None])), 0)
    assert len(compiled.nopython_signatures) == 1
    assert sum(compiled.stats.cache_hits.values()) + sum(compiled.stats.cache_misses.values()) == before


def test_without_a_place_for_the_cache_it_still_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = "from detectors import kernels; print(kernels.CACHED)"
    environment = os.environ | {"RINGFENCE_CACHE_DIR": str(tmp_path / "file")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False"]
    assert "set RINGFENCE_CACHE_DIR" in done.stderr


def test_the_frame_schema_is_read_whole() -> None:
    hashes = {"trunks", "networks", "operators", "receivers"}
    assert set(fold.Columns._fields) - hashes <= set(FRAME_SCHEMA.names)
