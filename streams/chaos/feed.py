"""Traffic for the storm: simulated calls as time passes, with bad, repeated and disordered events in it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from random import Random
from typing import Any

import orjson
from kafka import KafkaProducer

from streams.simulate import SimulatedEvent

REMEMBERED = 2_000
"""Newest events, of which some are sent again."""
REPEATED = 400
BAD_EVERY = 97
"""One event in so many is followed by a message that cannot be used."""
DELIVERY_MS = 300_000
"""A broker that is down is waited for: what was sent must arrive."""


class Feed:
    """A thread that sends ``events``, each when its time has come, over ``lanes`` partitions of ``topic``.

    Events of one caller stay on one lane. ``behind_ms`` is how far the events' clock is behind the wall.
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        events: Iterable[SimulatedEvent],
        behind_ms: int,
        lanes: int,
        seed: int,
    ) -> None:
        self.sent = 0
        self.error: Exception | None = None
        self._topic = topic
        self._events = events
        self._behind_ms = behind_ms
        self._lanes = lanes
        self._random = Random(seed)
        self._recent: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._again = threading.Event()
        self._stopping = threading.Event()
        self._producer = KafkaProducer(
            bootstrap_servers=brokers.split(","),
            acks="all",
            enable_idempotence=False,
            linger_ms=20,
            delivery_timeout_ms=DELIVERY_MS,
            max_block_ms=DELIVERY_MS,
            request_timeout_ms=10_000,
            retries=1_000_000,
            retry_backoff_ms=200,
        )
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def repeat(self) -> None:
        """Send some of the newest events again, in another order."""
        self._again.set()

    def finish(self, seconds: float) -> None:
        """Waits until every event is sent and acknowledged. Raises what went wrong."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._stopping.set()
            raise TimeoutError(f"the traffic was not over after {seconds:.0f} s; {self.sent} events are sent")
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(10)
        self._producer.close(timeout=5)

    def _run(self) -> None:
        try:
            for each in self._events:
                if not self._wait_for(each.event["time"] + self._behind_ms):
                    return
                self._send(each.event)
                self._recent.append(each.event)
                if self._again.is_set():
                    self._again.clear()
                    self._send_again()
            self._producer.flush(timeout=DELIVERY_MS / 1000)
            if self._failures:
                raise RuntimeError(f"{len(self._failures)} events were not taken: {self._failures[0]!r}")
        except Exception as error:
            self.error = error

    def _send(self, event: dict[str, Any]) -> None:
        lane = self._lane(event["caller"])
        self._out(orjson.dumps(event), lane)
        self.sent += 1
        if self.sent % BAD_EVERY == 0:
            self._out(b'{"id": "bad-%d", "type": "attempt"}' % self.sent, lane)

    def _send_again(self) -> None:
        recent = list(self._recent)
        for event in self._random.sample(recent, min(REPEATED, len(recent))):
            self._out(orjson.dumps(event), self._lane(event["caller"]))

    def _out(self, value: bytes, lane: int) -> None:
        self._producer.send(self._topic, value, partition=lane).add_errback(self._failures.append)

    def _lane(self, caller: str) -> int:
        return sum(caller.encode()) % self._lanes

    def _wait_for(self, time_ms: int) -> bool:
        while not self._stopping.is_set():
            ahead = time_ms - time.time_ns() // 1_000_000
            if ahead <= 0:
                return True
            self._stopping.wait(min(ahead, 200) / 1000)
        return False
