"""The job on Bytewax: a `SlidingWindower` and `fold_window` over lines of a file.

The clock of the windows follows the events alone (``now_getter``, ``to_system_utc``): with the defaults the
watermark also moves with the system's clock, so that a replay slower than the calls were made drops calls as
late, and a timer for every open window wakes the runtime at once, which took 400 s for 100 000 events.
``ordered=False``, since counting needs no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main

from bench.peers.command import Asked, run_peer
from bench.peers.job import DELAY_MS, SLIDE_MS, THRESHOLD, WINDOW_MS, Alert, call_of

EPOCH = datetime.fromtimestamp(0, UTC)
Made = tuple[datetime, str]
"""When a call was made, and to whom."""
Window = tuple[int, set[str]]
"""Calls and callees of one caller."""


def keyed(line: str) -> tuple[str, Made] | None:
    call = call_of(orjson.loads(line))
    return None if call is None else (call[1], (datetime.fromtimestamp(call[0] / 1000, UTC), call[2]))


def count(window: Window, made: Made) -> Window:
    window[1].add(made[1])
    return window[0] + 1, window[1]


def merge(one: Window, other: Window) -> Window:
    return one[0] + other[0], one[1] | other[1]


def alert(item: tuple[str, tuple[int, Window]]) -> Alert | None:
    caller, (window, (calls, callees)) = item
    return (caller, window * SLIDE_MS, calls, len(callees)) if calls >= THRESHOLD else None


def dataflow(path: Path, alerts: list[Alert]) -> Dataflow:
    flow = Dataflow("peers")
    lines = op.input("lines", flow, FileSource(path))
    calls = op.filter_map("calls", lines, keyed)
    clock = win.EventClock(
        ts_getter=lambda made: made[0],
        wait_for_system_duration=timedelta(milliseconds=DELAY_MS),
        now_getter=lambda: EPOCH,
        to_system_utc=lambda _: None,
    )
    windower = win.SlidingWindower(
        length=timedelta(milliseconds=WINDOW_MS), offset=timedelta(milliseconds=SLIDE_MS), align_to=EPOCH
    )
    windows = win.fold_window(
        "windows", calls, clock, windower, lambda: (0, set()), count, merge, ordered=False
    )
    op.output("alerts", op.filter_map("judge", windows.down, alert), TestingSink(alerts))
    return flow


def job(asked: Asked, parts: Sequence[Path]) -> list[Alert]:
    alerts: list[Alert] = []
    run_main(dataflow(parts[0], alerts))
    return alerts


if __name__ == "__main__":
    run_peer(job, version("bytewax"))
