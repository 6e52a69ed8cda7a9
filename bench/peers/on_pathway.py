"""The job on Pathway: `windowby` with a sliding window over a file of JSON lines.

``streaming`` (the default) hands the lines to a Python connector, which ends by itself, and closes windows by
`exactly_once_behavior`. ``static`` reads the file by Pathway's own reader as one batch: no stream, and told
apart, but the quicker of its ways.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pathway as pw

from bench.peers.command import Asked, run_peer
from bench.peers.job import DELAY_MS, SLIDE_MS, THRESHOLD, WINDOW_MS, Alert


class Event(pw.Schema):
    type: str
    time: int
    caller: str
    callee: str


class Lines(pw.io.python.ConnectorSubject):
    """The lines of a file, each decoded as the connector's page shows."""

    deletions_enabled = False

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def run(self) -> None:
        with self._path.open("rb") as lines:
            for line in lines:
                event = orjson.loads(line)
                self.next(
                    type=event["type"], time=event["time"], caller=event["caller"], callee=event["callee"]
                )


def table_of(parts: Sequence[Path], static: bool) -> pw.Table:
    if static:
        return pw.io.jsonlines.read(str(parts[0]), schema=Event, mode="static")
    return pw.io.python.read(Lines(parts[0]), schema=Event)


def alerts_of(events: pw.Table, static: bool) -> pw.Table:
    calls = events.filter((pw.this.type != "end") & (pw.this.caller != ""))
    windows = calls.windowby(
        calls.time,
        window=pw.temporal.sliding(hop=SLIDE_MS, duration=WINDOW_MS, origin=0),
        behavior=None if static else pw.temporal.exactly_once_behavior(shift=DELAY_MS),
        instance=calls.caller,
    ).reduce(
        caller=pw.this._pw_instance,
        start=pw.this._pw_window_start,
        calls=pw.reducers.count(),
        callees=pw.reducers.count_distinct(pw.this.callee),
    )
    return windows.filter(pw.this.calls >= THRESHOLD)


def job(asked: Asked, parts: Sequence[Path]) -> list[Alert]:
    os.environ["PATHWAY_THREADS"] = str(asked.workers)
    static = asked.variant == "static"
    alerts: list[Alert] = []

    def keep(row: dict[str, Any], is_addition: bool, **_: Any) -> None:
        if not is_addition:
            raise ValueError(f"an alert was taken back: {row}")
        alerts.append((row["caller"], row["start"], row["calls"], row["callees"]))

    pw.internals.parse_graph.G.clear()
    pw.io.subscribe(alerts_of(table_of(parts, static), static), on_change=keep)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    return alerts


if __name__ == "__main__":
    run_peer(job, version("pathway"))
