"""The job on Bytewax: a `SlidingWindower` and `fold_window` over lines of a file.

The clock of the windows follows the events alone (``now_getter``, ``to_system_utc``): with the defaults the
watermark also moves with the system's clock, so that a replay slower than the calls were made drops calls as
late, and a timer for every open window wakes the runtime at once, which took 400 s for 100 000 events.
``ordered=False``, since counting needs no order. Two workers are a cluster of two processes, each
reading a file of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import chain, repeat
from pathlib import Path

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.files import DirSource, FileSource
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.testing import TestingSink, cluster_main, run_main

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


def dataflow(source: Source[str], alerts: list[Alert]) -> Dataflow:
    flow = Dataflow("peers")
    lines = op.input("lines", flow, source)
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


def in_cluster(number: int, addresses: list[str], directory: Path) -> list[Alert]:
    """The alerts that process ``number`` of a cluster makes; it reads its share of the directory's files."""
    alerts: list[Alert] = []
    cluster_main(dataflow(DirSource(directory), alerts), addresses, number)
    return alerts


def free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def job(asked: Asked, parts: Sequence[Path]) -> list[Alert]:
    if asked.workers > 1:
        addresses, numbers = free_addresses(asked.workers), range(asked.workers)
        with ProcessPoolExecutor(asked.workers) as workers:
            made = workers.map(in_cluster, numbers, repeat(addresses), repeat(parts[0].parent))
            return [*chain.from_iterable(made)]
    alerts: list[Alert] = []
    run_main(dataflow(FileSource(parts[0]), alerts))
    return alerts


if __name__ == "__main__":
    run_peer(job, version("bytewax"))
