"""Simulated traffic to the topic `calls`, each event when its time has come."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError

from streams.faults import Fault
from streams.simulate.scenario import SimulatedEvent

LINGER_MS = 20
BATCH_BYTES = 256 * 1024
BOOTSTRAP_MS = 10_000
"""How long a broker is looked for."""
REQUEST_MS = 30_000
"""Time-out of one request; the producer tries again until DELIVERY_MS have passed."""
DELIVERY_MS = 60_000
_NEAR_MS = 5
"""An event this close to its time goes out, rather than a sleep that short."""


@dataclass(frozen=True)
class Published:
    events: int
    seconds: float


class Clock:
    """The wall clock; a test brings its own."""

    def now(self) -> int:
        """ms since the epoch."""
        return time.time_ns() // 1_000_000

    def sleep(self, milliseconds: int) -> None:
        time.sleep(milliseconds / 1000)


def publish(
    events: Iterable[SimulatedEvent],
    brokers: str,
    topic: str,
    stop: Callable[[], bool] = lambda: False,
    clock: Clock | None = None,
) -> Published:
    """Sends ``events`` to ``topic``, keyed by call_id, none before the clock has reached its time.

    Ends with the events, or when ``stop`` says so. Raises Fault where Kafka does not take them in time.
    """
    clock = clock or Clock()
    began, sent, failures = clock.now(), 0, list[BaseException]()
    with _producer(brokers) as producer:
        try:
            for simulated in events:
                if not _wait_for(simulated.event["time"], stop, clock) or failures:
                    break
                key = simulated.event["call_id"].encode()
                producer.send(topic, orjson.dumps(simulated.event), key=key).add_errback(failures.append)
                sent += 1
            producer.flush(timeout=DELIVERY_MS / 1000)
        except KafkaError as error:
            failures.append(error)
    if failures:
        raise Fault(
            f"Kafka at {brokers} does not take events for the topic {topic} ({failures[0]})",
            "ringfence topics create makes the topics; ringfence doctor says what is wrong",
        )
    return Published(sent, (clock.now() - began) / 1000)


@contextmanager
def _producer(brokers: str) -> Iterator[KafkaProducer]:
    """A producer whose library keeps quiet: what goes wrong is told once, as a Fault."""
    logger = logging.getLogger("kafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        producer = KafkaProducer(
            bootstrap_servers=[b.strip() for b in brokers.split(",")],
            client_id="ringfence-simulate",
            acks="all",
            enable_idempotence=False,
            linger_ms=LINGER_MS,
            batch_size=BATCH_BYTES,
            bootstrap_timeout_ms=BOOTSTRAP_MS,
            request_timeout_ms=REQUEST_MS,
            delivery_timeout_ms=DELIVERY_MS,
            max_block_ms=DELIVERY_MS,
            allow_auto_create_topics=False,
        )
    except (KafkaError, ValueError) as error:
        raise Fault(f"no Kafka answers at {brokers} ({error})", "start it, or correct --brokers") from error
    else:
        try:
            yield producer
        finally:
            producer.close(timeout=1)
    finally:
        logger.setLevel(before)


def _wait_for(time_ms: int, stop: Callable[[], bool], clock: Clock) -> bool:
    """Waits until ``time_ms``; false where it was told to stop."""
    while not stop():
        ahead = time_ms - clock.now()
        if ahead <= _NEAR_MS:
            return True
        clock.sleep(min(ahead, 200))
    return False
