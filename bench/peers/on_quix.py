"""The job on Quix Streams: a `hopping_window` that collects callees, from a Kafka topic loaded before.

Quix Streams reads from Kafka alone. Changelog topics are off, as nobody else is made recoverable here;
windows close by partition, so that a caller's last windows do not wait for its next call.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows.aggregations import Collect

from bench.peers.command import Asked, run_peer
from bench.peers.job import CLOSING_CALLER, DELAY_MS, SLIDE_MS, THRESHOLD, WINDOW_MS, Alert


def job(asked: Asked, parts: Sequence[Path]) -> list[Alert]:
    alerts: list[Alert] = []
    with tempfile.TemporaryDirectory() as state:
        app = Application(
            asked.brokers,
            consumer_group=uuid.uuid4().hex,
            auto_offset_reset="earliest",
            state_dir=state,
            use_changelog_topics=False,
            loglevel="WARNING",
        )
        topic = app.topic(asked.topic, value_deserializer="json")
        seen = closing = 0

        def is_call(event: dict[str, Any]) -> bool:
            nonlocal seen, closing
            if not seen:
                asked.watch.start()
            seen += 1
            if event["caller"] == CLOSING_CALLER:
                closing += 1
            return event["type"] != "end" and bool(event["caller"])

        def keep(window: dict[str, Any], key: bytes, *_: Any) -> None:
            callees = window["value"]
            if len(callees) >= THRESHOLD:
                alerts.append((key.decode(), window["start"], len(callees), len(set(callees))))

        def processed(*_: Any) -> None:
            if closing == len(parts):
                asked.watch.stop()
                app.stop()

        app._on_message_processed = processed
        calls = app.dataframe(topic).filter(is_call)
        windows = calls.hopping_window(WINDOW_MS, SLIDE_MS, DELAY_MS).agg(value=Collect("callee"))
        windows.final(closing_strategy="partition").update(keep, metadata=True)
        app.run()
    return alerts


if __name__ == "__main__":
    run_peer(job, version("quixstreams"))
