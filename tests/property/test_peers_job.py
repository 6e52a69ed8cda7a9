"""The job of `make bench-peers`: our kernels, the definition and the plain loop give the same alerts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.peers import ours
from bench.peers.data import Cut
from bench.peers.job import DELAY_MS, Call, call_of, calls_in, closing_line, reference
from bench.peers.ours import SlidingJob, alerts_of, by_msgspec, portions
from bench.peers.plain import Windows

START = 1_772_416_800_000
NAMES = ("+8613800138000", "95013", "010", "0" * 32, "服务", 'with "quotes"', "back\\slash", "anonymous")


def events(seed: int, count: int, callers: int, callees: int, span_ms: int) -> list[dict[str, object]]:
    """Events in an order in which none is more than `DELAY_MS` behind the newest before it."""
    draw = random.Random(seed)
    times = [START + draw.randrange(span_ms) for _ in range(count)]
    times.sort(key=lambda time: time + draw.randint(0, DELAY_MS))
    return [
        {
            "id": f"e{number}",
            "type": draw.choice(("attempt", "attempt", "cdr", "end")),
            "time": time,
            "caller": draw.choice((*NAMES, "")) if draw.random() < 0.2 else f"1{draw.randrange(callers):03}",
            "callee": f"0{draw.randrange(callees)}",
            "answered": draw.choice((True, False, None)),
            "ring_ms": draw.randrange(30_000),
        }
        for number, time in enumerate(times)
    ]


def lines_of(found: Iterable[dict[str, object]], seed: int) -> Iterator[bytes]:
    """Each as JSON: mostly compact, some with blanks, some with their fields in another order."""
    draw = random.Random(seed)
    for event in found:
        order = list(event.items())
        if draw.random() < 0.2:
            draw.shuffle(order)
        separators = (", ", ": ") if draw.random() < 0.1 else (",", ":")
        text = json.dumps(dict(order), separators=separators, ensure_ascii=draw.random() < 0.5)
        yield text.encode() + b"\n"


def write(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(lines))
    return path


streams = st.builds(
    events,
    seed=st.integers(0, 2**32),
    count=st.integers(0, 1_500),
    callers=st.integers(1, 40),
    callees=st.integers(1, 60),
    span_ms=st.integers(1, 400_000),
)
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("decode", ["kernel", "msgspec"])
@given(found=streams, seed=st.integers(0, 2**32))
@quick
def test_kernels_give_the_alerts_of_the_definition(
    tmp_path: Path, decode: str, found: list[dict[str, object]], seed: int
) -> None:
    newest = max((int(str(event["time"])) for event in found), default=START)
    path = write(tmp_path / "calls.ndjson", [*lines_of(found, seed), closing_line(newest)])
    alerts = alerts_of(path, decode)
    assert len(alerts) == len(set(alerts))
    assert set(alerts) == reference(calls_in([path]))


@given(found=streams)
@quick
def test_the_plain_loop_gives_the_alerts_of_the_definition(found: list[dict[str, object]]) -> None:
    calls = [call for call in map(call_of, found) if call is not None]
    closing: Call = (START + 4_000_000, "+10000000000", "+1")
    windows = Windows()
    alerts = [alert for call in [*calls, closing] for alert in windows.add(call)]
    assert len(alerts) == len(set(alerts))
    assert set(alerts) == reference(calls)


def test_tables_that_must_grow_lose_nothing(tmp_path: Path) -> None:
    found = events(seed=3, count=20_000, callers=900, callees=500, span_ms=300_000)
    path = write(tmp_path / "calls.ndjson", [*lines_of(found, 3), closing_line(START + 300_000)])
    job = SlidingJob(callers=64, calls=64)
    alerts = [alert for columns, count in portions(path, "kernel") for alert in job.feed(columns, count)]
    assert alerts
    assert set(alerts) == reference(calls_in([path]))
    assert job.late == 0


def test_a_call_whose_windows_have_closed_is_counted_as_late() -> None:
    newest, late = START + 200_000, START
    lines = [
        b'{"type":"attempt","time":%d,"caller":"1","callee":"2"}\n' % time for time in (START, newest, late)
    ]
    job = SlidingJob()
    assert [*job.feed(*by_msgspec(b"".join(lines)))] == []
    assert job.late == 1


def test_a_line_longer_than_the_buffer_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "calls.ndjson", [b'{"type":"' + b"a" * ours.READ_BYTES + b'"}\n'])
    with pytest.raises(ValueError, match="longer than"):
        alerts_of(path, "kernel")


def test_a_cut_has_the_same_calls_in_every_form(tmp_path: Path) -> None:
    found = events(seed=5, count=3_000, callers=20, callees=50, span_ms=100_000)
    calls = write(tmp_path / "calls.ndjson", lines_of(found, 5))
    cut = Cut(calls, 2_000)
    whole = set(calls_in(cut.parts(1)))
    assert cut.events == 2_000
    assert set(calls_in(cut.parts(2))) == whole
    assert set(calls_in(sorted(cut.chunks.iterdir()))) == whole
    assert cut.alerts == reference(calls_in(cut.parts(1)))
    in_two = [alert for part in cut.parts(2) for alert in alerts_of(part, "kernel")]
    assert set(in_two) == cut.alerts
