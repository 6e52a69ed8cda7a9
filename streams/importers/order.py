"""Events in order of time, however many there are and however they came."""

from __future__ import annotations

import contextlib
import heapq
import tempfile
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import IO

from streams.importers.table import Timed

IN_MEMORY = 200_000
"""Events held at once; more go to temporary files, sorted in part, and are merged."""

MOST_FILES = 64
"""Open at once; then they are merged into one."""


def by_time(events: Iterable[Timed], in_memory: int = IN_MEMORY) -> Iterator[Timed]:
    """``events`` sorted by time; those of one time stay in the order they came in."""
    run: list[Timed] = []
    with contextlib.ExitStack() as files:
        spilled: list[IO[bytes]] = []
        for event in events:
            run.append(event)
            if len(run) == in_memory:
                spilled.append(_written(files, sorted(run, key=_TIME)))
                run = []
            if len(spilled) == MOST_FILES:
                spilled = [_written(files, _merged(spilled))]
        run.sort(key=_TIME)
        yield from heapq.merge(_merged(spilled), run, key=_TIME)


_TIME = itemgetter(0)


def _written(files: contextlib.ExitStack, events: Iterable[Timed]) -> IO[bytes]:
    file = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    file.writelines(b"%d %b\n" % event for event in events)
    file.seek(0)
    return file


def _merged(files: list[IO[bytes]]) -> Iterator[Timed]:
    yield from heapq.merge(*map(_read_back, files), key=_TIME)
    for file in files:
        file.close()


def _read_back(file: IO[bytes]) -> Iterator[Timed]:
    for line in file:
        time, _, event = line.rstrip(b"\n").partition(b" ")
        yield Timed(int(time), event)
