"""What holds for every numba detector, each on a stream that makes it speak (tests/speaking.py)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.alert import Alert
from detectors.calls import FRAME_SCHEMA, TAIL, EventType, NumberStatus
from detectors.registry import DETECTORS
from detectors.shape import BEHAVIOUR
from detectors.subjects import used
from tests.folding import SMALL
from tests.speaking import SPEAKING, Speaking, heard, listening, of_detector, quiet
from tests.traffic import START, Row, call, frame_of, in_time

NAMES = [detector.name for detector in DETECTORS if max(detector.patterns) < BEHAVIOUR]
"""The river detectors, from BEHAVIOUR on, see candidates and no calls."""
BY_OUTCOME = {"burst", "rotation", "flood", "sweep", "wangiri"}
"""Those that judge by what becomes of the calls."""
SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000

every_detector = pytest.mark.parametrize("name", NAMES)


@cache
def speaking(name: str) -> Speaking:
    assert name in SPEAKING, f"tests/speaking.py has no stream that makes {name} speak; add one"
    return SPEAKING[name]()


@cache
def said(name: str) -> list[Alert]:
    alerts = heard(*speaking(name))
    assert of_detector(name, alerts), f"{name} says nothing of its own stream"
    return alerts


def final(name: str, alerts: list[Alert]) -> dict[str, str]:
    """The severity at the end, by subject, of the alerts in which the detector has a say."""
    return {f"{a.subject.type} {a.subject.value}": a.severity for a in of_detector(name, alerts)}


@every_detector
@given(data=st.data())
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_under_any_batching(name: str, data: st.DataObject) -> None:
    events, lists = speaking(name)
    whole, step = frame_of(events), listening(lists)
    edges = data.draw(st.lists(st.integers(0, whole.num_rows), max_size=12))
    alerts: list[Alert] = []
    bounds = [0, *sorted(set(edges) - {0, whole.num_rows}), whole.num_rows]
    for offset, (begin, end) in enumerate(pairwise(bounds)):
        alerts += step(whole.slice(begin, end - begin), offset).alerts
    assert alerts == said(name)


@every_detector
def test_duplicates_change_nothing(name: str) -> None:
    events, lists = speaking(name)
    draw = random.Random(name)
    again = [(place + draw.choice((0.5, 1.5, 7.5)), row) for place, row in enumerate(events)]
    told = sorted([*enumerate(events), *again], key=lambda placed: placed[0])
    assert len(told) == 2 * len(events)
    assert heard([row for _, row in told], lists) == said(name)


@every_detector
@pytest.mark.parametrize("seed", range(2))
def test_events_out_of_order_say_the_same_in_the_end(name: str, seed: int) -> None:
    """Events arrive up to five seconds late, one in twenty up to a minute: some ends before attempts."""
    events, lists = speaking(name)
    draw = random.Random(f"{name}/{seed}")
    late = {id(row): draw.uniform(0, 60 if draw.random() < 0.05 else 5) * SECOND for row in events}
    disordered = sorted(events, key=lambda row: row["time"] + late[id(row)])
    assert disordered != events
    assert final(name, heard(disordered, lists)) == final(name, said(name))


def moved(events: list[Row], by: int) -> list[Row]:
    """The same calls ``by`` ms later, as calls of their own."""
    return [
        row | {"time": row["time"] + by, "id": f"{row['id']}@{by}", "call_id": f"{row['call_id']}@{by}"}
        for row in events
    ]


@every_detector
@pytest.mark.parametrize("jump", [3 * HOUR, 5 * DAY], ids=["hours", "days"])
def test_a_clock_that_jumps_ahead_does_no_harm(name: str, jump: int) -> None:
    """Silence and a few ordinary calls say nothing; the next campaign, when all
    that was learnt of its numbers is forgotten, is heard as the first one was."""
    events, lists = speaking(name)
    step = listening(lists)
    assert step(frame_of(events), 0).alerts == said(name)
    rest = quiet(events[-1]["time"] + jump)
    assert step(frame_of(rest), 1).alerts == []
    later = moved(events, rest[-1]["time"] - events[0]["time"] + 2 * DAY)
    assert set(final(name, step(frame_of(later), 2).alerts)) >= set(final(name, said(name)))


@every_detector
def test_one_event_with_a_clock_far_ahead_does_not_stop_detection(name: str) -> None:
    events, lists = speaking(name)
    ahead = call(events[0]["time"] + 6 * HOUR, 8613911119999, 8613922228888, "ahead", 30_000)
    assert set(final(name, heard([*ahead, *events], lists))) == set(final(name, said(name)))


@pytest.mark.parametrize("name", sorted(BY_OUTCOME & set(NAMES)))
def test_calls_without_any_outcome_propose_nothing(name: str) -> None:
    events, lists = speaking(name)
    attempts = [row | {"type": int(EventType.ATTEMPT)} for row in events if row["type"] != EventType.END]
    alerts = of_detector(name, heard([row | _NO_OUTCOME for row in attempts], lists))
    assert {alert.severity for alert in alerts} <= {"info", "low", "medium"}
    assert not [alert for alert in alerts if alert.proposals]


_NO_OUTCOME = {"answered": 2, "ring_ms": -1, "talk_ms": -1, "cause": -1, "sip_code": -1}


def test_an_empty_and_a_quiet_stream_say_nothing() -> None:
    step = listening()
    assert step(frame_of([]), 0).alerts == []
    assert step(frame_of(quiet()), 1).alerts == []


ENDINGS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "talk": ({"talk_ms": 60_000}, {"ends": 1, "answered": 1, "talked": 1}),
    "brief": ({"talk_ms": 5_000}, {"ends": 1, "answered": 1}),
    "CANCEL": ({"cause": -1, "sip_code": 487, "ring_ms": 4_000}, {"ends": 1}),
    "no answer": ({"cause": 19, "ring_ms": 30_000}, {"ends": 1}),
    "busy": ({"cause": 17, "ring_ms": 0}, {"ends": 1}),
    "busy by SIP": ({"cause": -1, "sip_code": 486, "ring_ms": 0}, {"ends": 1}),
    "no such number": ({"cause": 1, "ring_ms": 0}, {"ends": 1, "marked": 1}),
    "failed": ({"cause": 34, "ring_ms": 0}, {"failed": 1}),
    "failed by SIP": ({"cause": -1, "sip_code": 503, "ring_ms": 0}, {"failed": 1}),
    "never": ({}, {}),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("by_record", [False, True], ids=["events", "records"])
def test_counters_end_right(ending: str, by_record: bool) -> None:
    """Seven calls of one number, each told twice, its ends before the attempts of the next ones."""
    given_, expected = ENDINGS[ending]
    caller, calls = 8613811112222, 7
    rows: list[Row] = []
    for n in range(calls):
        told = call(START + n * 20_000, caller, 8613900000000 + n, f"c{n}", **({"talk_ms": None} | given_))
        attempt, end = told
        if ending == "never":
            rows += [attempt, attempt]
        elif by_record:
            rows += [end | {"type": int(EventType.CDR), "time": attempt["time"]}] * 2
        else:
            rows += told * 2
    step = listening()
    step(frame_of(in_time(rows)), 0)
    row = step.state.callers.rows[np.flatnonzero(step.state.callers.keys == caller)[0]]
    counted = {name: int(row[name].sum()) for name in ("attempts", "ends", "answered", "talked")}
    counted |= {name: int(row[name].sum()) for name in ("failed", "marked")}
    every = dict.fromkeys(("ends", "answered", "talked", "failed", "marked"), 0) | expected
    assert counted == {"attempts": calls} | {name: calls * count for name, count in every.items()}


def arrays_in(state: Any, name: str = "state") -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if isinstance(state, np.ndarray):
        yield name, state
        return
    for field, value in zip(state._fields, state, strict=True):
        yield from arrays_in(value, f"{name}.{field}")


def crowd(first: int, calls: int) -> pa.RecordBatch:
    """``calls`` calls that nobody answers, each of its own number; every fortieth cannot exist."""
    place = np.arange(first, first + calls)
    spread = (place * 2_654_435_761) % 10_000_000_000
    columns: dict[str, Any] = {
        "role": np.zeros(calls),
        "type": np.full(calls, int(EventType.CDR)),
        "time": START + place * 5,
        "event": place * 2 + 1,
        "call": place * 2 + 2,
        "caller": 860_000_000_000 + spread,
        "callee": 870_000_000_000 + spread[::-1],
        "callee_tail": spread[::-1] % TAIL,
        "caller_status": np.where(place % 40 == 0, int(NumberStatus.UNALLOCATED), 0),
        "gateway": place % 2,
        "cause": np.full(calls, 19),
        "ring_ms": np.full(calls, 1_000),
    }
    return pa.record_batch(
        [_column(field, columns.get(field.name, np.zeros(calls))) for field in FRAME_SCHEMA],
        schema=FRAME_SCHEMA,
    )


def _column(field: pa.Field, values: npt.NDArray[Any]) -> pa.Array:
    if pa.types.is_dictionary(field.type):
        return pa.DictionaryArray.from_arrays(np.arange(len(values), dtype=np.int32) % 3, ["A", "B", "C"])
    if pa.types.is_string(field.type):
        return pa.array([""] * len(values))
    return pa.array(values.astype(field.type.to_pandas_dtype()))


def both_ends(batch: pa.RecordBatch) -> pa.RecordBatch:
    place = batch.schema.get_field_index("role")
    ones = pa.array(np.ones(batch.num_rows, np.uint8))
    called = batch.set_column(place, batch.schema.field(place), ones)
    return pa.Table.from_batches([batch, called]).combine_chunks().to_batches()[0]


def test_memory_does_not_grow_with_the_number_of_callers() -> None:
    step = listening()
    sizes = {name: array.nbytes for name, array in arrays_in(step.state)}
    numbers, evicted = 200_000, 0
    for offset, first in enumerate(range(0, numbers, 20_000)):
        summary = step(both_ends(crowd(first, 20_000)), offset).summary
        assert summary is not None
        evicted += summary.evicted
    assert {name: array.nbytes for name, array in arrays_in(step.state)} == sizes
    state = step.state
    for table in (state.callers, state.callees):
        assert used(table) + int(table.evicted[0]) == numbers
        assert used(table) <= SMALL.tracked_numbers
    assert used(state.blocks) <= SMALL.tracked_blocks
    assert evicted == sum(int(table.evicted[0]) for table in (state.callers, state.blocks, state.callees))
    assert len(step._alerts) <= SMALL.open_alerts
