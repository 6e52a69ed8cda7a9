"""The job as a Faust agent on a Kafka topic loaded before.

``plain`` (the default): the agent holds its windows in dictionaries of its own (`bench.peers.plain`), the
quicker way. ``table``: a windowed table with its changelog, as Faust's page on tables shows; its windows
close by the clock of the wall, so that a replay reads the table once at the end.
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faust

from bench.peers.command import Asked, run_peer
from bench.peers.job import CLOSING_CALLER, SLIDE_MS, THRESHOLD, WINDOW_MS, Alert
from bench.peers.plain import Windows


class Event(faust.Record, serializer="json"):
    type: str
    time: int
    caller: str
    callee: str


def application(asked: Asked, directory: str) -> faust.App:
    return faust.App(
        f"peers-{uuid.uuid4().hex}",
        broker=f"kafka://{asked.brokers}",
        store="memory://",
        datadir=directory,
        topic_partitions=1,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
    )


async def by_agent(asked: Asked, closings: int, directory: str) -> list[Alert]:
    app, done, alerts = application(asked, directory), asyncio.Event(), []
    topic = app.topic(asked.topic, key_type=bytes, key_serializer="raw", value_type=Event)
    as_table = asked.variant == "table"
    windows = Windows()
    table = app.Table("windows", default=list, partitions=1) if as_table else None
    hopping = None if table is None else table.hopping(WINDOW_MS / 1000, SLIDE_MS / 1000).relative_to_stream()

    @app.agent(topic)
    async def count(events: faust.Stream[Event]) -> None:
        left, started = closings, False
        async for event in events:
            if not started:
                asked.watch.start()
                started = True
            if event.type == "end" or not event.caller:
                continue
            if hopping is not None:
                hopping[event.caller] += [event.callee]
            else:
                alerts.extend(windows.add((event.time, event.caller, event.callee)))
            if event.caller == CLOSING_CALLER:
                left -= 1
                if not left:
                    asked.watch.stop()
                    done.set()

    await app.start()
    try:
        await done.wait()
        return alerts if table is None else alerts_in(table)
    finally:
        await app.stop()


def alerts_in(table: faust.Table[Any, list[str]]) -> list[Alert]:
    """What a windowed table holds at the end: its keys are of a caller and the window's begin and end, s."""
    return [
        (caller, round(start * 1000), len(callees), len(set(callees)))
        for (caller, (start, _)), callees in table.data.items()
        if len(callees) >= THRESHOLD
    ]


def job(asked: Asked, parts: Sequence[Path]) -> list[Alert]:
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(by_agent(asked, len(parts), directory))


if __name__ == "__main__":
    run_peer(job, version("faust-streaming"))
