"""The job as a Python programmer writes it by hand: a dictionary for each open window.

What an agent of Faust holds in its variant ``plain``, and a system of its own in the table: what Python costs
without any framework.

    python -m bench.peers.plain --parts FILE --out FILE
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from bench.peers.command import Asked, run_peer
from bench.peers.job import DELAY_MS, SLIDE_MS, THRESHOLD, WINDOW_MS, Alert, Call, call_of, window_starts


class Windows:
    """Open windows; each is dropped with its alerts when a call is `DELAY_MS` past its end."""

    def __init__(self) -> None:
        self._callees: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._newest = self._closed = 0

    def add(self, call: Call) -> Iterator[Alert]:
        time, caller, callee = call
        if time > self._newest:
            self._newest = time
            yield from self._close(time - DELAY_MS - WINDOW_MS)
        for start in window_starts(time):
            if start > self._closed:
                self._callees[start][caller].append(callee)

    def _close(self, last: int) -> Iterator[Alert]:
        """Close the windows that start at ``last`` or before."""
        if last < self._closed + SLIDE_MS:
            return
        self._closed = last // SLIDE_MS * SLIDE_MS
        for start in [start for start in self._callees if start <= last]:
            for caller, callees in self._callees.pop(start).items():
                if len(callees) >= THRESHOLD:
                    yield caller, start, len(callees), len(set(callees))


def job(_: Asked, parts: Sequence[Path]) -> list[Alert]:
    windows, alerts = Windows(), []
    with parts[0].open("rb") as lines:
        for line in lines:
            call = call_of(orjson.loads(line))
            if call is not None:
                alerts += windows.add(call)
    return alerts


if __name__ == "__main__":
    run_peer(job, f"Python {platform.python_version()}")
