"""The service as its operator runs it: worker processes, traffic into `calls`, and what is on the topics."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaProducer

from streams.embedded.child import free_port
from streams.simulate import Scenario, SimulatedEvent, traffic

PATIENCE_S = 300
"""How long a test waits for what must come; a slow machine is not a failure."""

MORNING = 1_788_228_000_000
"""Ten o'clock of a Tuesday in China, ms: scenarios of a test begin then, whatever the hour of the test."""


@dataclass
class Worker:
    """One process of `ringfence run`."""

    environment: Mapping[str, str]
    log: Path
    roles: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Worker:
        environment = {**os.environ, **self.environment, "RINGFENCE_SERVICE__PORT": str(self.port)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "run", *self.roles],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.tail()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def tell(self) -> None:
        """Asks it what it is doing; its stacks go into its log."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)

    def kill(self) -> None:
        """As a crash: no warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As an operator: SIGTERM; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def wait_until(what: str, true: Callable[[], bool], workers: Iterable[Worker] = ()) -> None:
    """Waits until ``true()``; fails with the workers' logs when patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            logs = "\n\n".join(f"{worker.log.name}:\n{worker.tail()}" for worker in workers)
            raise AssertionError(f"waited {PATIENCE_S} s in vain until {what}\n{logs}")
        time.sleep(0.25)


def traffic_of(scenario: Scenario, begun: int) -> Iterator[SimulatedEvent]:
    """The traffic of ``scenario``, which begins at `MORNING`, as if it had begun at ``begun`` (ms)."""
    assert scenario.start_ms == MORNING
    for each in traffic(scenario):
        yield each._replace(event=each.event | {"time": each.event["time"] + begun - MORNING})


def produce(brokers: str, topic: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Writes ``events`` keyed by their caller and returns when the broker has them all."""
    producer = KafkaProducer(bootstrap_servers=brokers, linger_ms=20, batch_size=1 << 18)
    for event in events:
        producer.send(topic, orjson.dumps(event), key=event["caller"].encode())
    producer.flush(timeout=PATIENCE_S)
    producer.close()
