"""The job that every system does, and what it must give. Standard library alone: every peer imports it.

A call is an event of type ``attempt`` or ``cdr`` whose caller is known (not empty). Windows are 60 s long and
start every 5 s, at multiples of 5 s since the epoch, so that each call is in twelve. In a window, per caller
as signalled: how many calls, and how many distinct callees as signalled. Where there are 30 calls or more,
the window's final figures are an alert. Calls may come up to 5 s out of order.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WINDOW_MS = 60_000
SLIDE_MS = 5_000
DELAY_MS = 5_000
"""How far a call may be behind the newest one and still count."""
THRESHOLD = 30

Call = tuple[int, str, str]
"""Time in ms since the epoch, caller, callee."""
Alert = tuple[str, int, int, int]
"""Caller, start of the window in ms, calls, distinct callees."""


def call_of(event: dict[str, Any]) -> Call | None:
    """The call that a decoded event is, or None where it is none (an end, a hidden caller)."""
    if event["type"] == "end" or not event["caller"]:
        return None
    return event["time"], event["caller"], event["callee"]


def window_starts(time: int) -> range:
    """Starts, ms, of the windows that hold ``time``."""
    last = time // SLIDE_MS * SLIDE_MS
    return range(last - WINDOW_MS + SLIDE_MS, last + SLIDE_MS, SLIDE_MS)


def reference(calls: Iterable[Call]) -> set[Alert]:
    """The alerts by definition, whatever the order of ``calls``.

    Callers with fewer than 30 calls in all are left out first: they cannot reach 30 in a window.
    """
    by_caller: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for time, caller, callee in calls:
        by_caller[caller].append((time, callee))
    alerts = set()
    for caller, made in by_caller.items():
        if len(made) < THRESHOLD:
            continue
        windows: dict[int, list[str]] = defaultdict(list)
        for time, callee in made:
            for start in window_starts(time):
                windows[start].append(callee)
        alerts |= {
            (caller, start, len(callees), len(set(callees)))
            for start, callees in windows.items()
            if len(callees) >= THRESHOLD
        }
    return alerts


def calls_in(paths: Iterable[Path]) -> Iterable[Call]:
    """The calls of files of JSON events, one a line."""
    for path in paths:
        with path.open("rb") as lines:
            for line in lines:
                call = call_of(json.loads(line))
                if call is not None:
                    yield call


def write_alerts(path: Path, alerts: Iterable[Alert]) -> None:
    """One JSON array a line, sorted."""
    path.write_text("".join(json.dumps(list(alert)) + "\n" for alert in sorted(alerts)))


def read_alerts(path: Path) -> list[Alert]:
    """What `write_alerts` wrote. A list, since a system may give an alert twice, and that is to be seen."""
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()]


CLOSING_CALLER = "+10000000000"
"""Who makes the last call of every file, an hour after the others: it closes their windows on systems that do
not close them at the end of the input."""


def closing_line(newest: int) -> bytes:
    """The line of that call, for a file whose newest call is at ``newest`` ms."""
    event = {
        "id": "closing",
        "type": "attempt",
        "time": newest + 3_600_000,
        "caller": CLOSING_CALLER,
        "callee": "+10000000001",
    }
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
