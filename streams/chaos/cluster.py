"""What the storm strikes: worker processes, and the servers they depend on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import orjson

from streams.cli import exits
from streams.embedded.child import Child, ChildError, free_port

RUN = (sys.executable, "-m", "streams.cli", "run")
START_S = 180.0
WORKER_GRACE_S = 45.0
"""A worker that ends in order flushes and commits; one that has not done so by then hangs."""
TELL_S = 2.0
"""That one is asked what it is doing, and has this long to write it into its log."""
SERVER_GRACE_S = 30.0
ENDED_IN_ORDER = (exits.OK, exits.FAULT, 128 + signal.SIGTERM)
"""FAULT where it was about to start and there was no broker, SIGTERM where the process was not up yet."""


class Server(Protocol):
    """A broker or a ClickHouse. It keeps its data when it ends."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class Refusing(Protocol):
    """A store that can be made to refuse every insert, as a full one does."""

    def refuse(self) -> None: ...
    def take(self) -> None: ...


class CommandServer:
    """A server that runs in the foreground as ``command``; ``ready`` tells when it serves."""

    def __init__(self, name: str, command: str, log: Path, ready: Callable[[], bool]) -> None:
        self._name = name
        self._command = shlex.split(command)
        self._log = log
        self._ready = ready
        self._child: Child | None = None

    def start(self) -> None:
        self._child = Child(self._name, self._command, self._log, grace_seconds=SERVER_GRACE_S)
        self._child.wait_until(self._ready, START_S)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


class RefusingByCommand:
    """A store that ``refuse`` makes refuse inserts and ``take`` makes take them again (shell commands)."""

    def __init__(self, refuse: str, take: str) -> None:
        self._refuse = shlex.split(refuse)
        self._take = shlex.split(take)

    def refuse(self) -> None:
        subprocess.run(self._refuse, check=True, timeout=START_S)

    def take(self) -> None:
        subprocess.run(self._take, check=True, timeout=START_S)


class Worker:
    """One process of `ringfence run` with every role."""

    def __init__(
        self, name: str, environment: Mapping[str, str], log: Path, command: Sequence[str] = RUN
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self.unasked = 0
        """How often it ended by itself."""
        self.wrong_ends: list[int] = []
        """Exit statuses other than 0 after SIGTERM."""
        self._port = free_port()
        self._environment = {**os.environ, **environment, "RINGFENCE_SERVICE__PORT": str(self._port)}
        self._child: Child | None = None
        self._wanted = False

    def start(self) -> None:
        self._wanted = True
        self._child = Child(
            self.name, self._command, self.log, env=self._environment, grace_seconds=WORKER_GRACE_S
        )

    def kill(self) -> None:
        """As a crash."""
        self._wanted = False
        if self._child is not None:
            self._child.kill()
            self._child = None

    def terminate(self) -> None:
        """SIGTERM, as an operator; does not wait for the end."""
        self._wanted = False
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """SIGTERM, and waits; after WORKER_GRACE_S it tells its log where it hangs, and is killed."""
        self._wanted = False
        if self._child is None:
            return
        self.terminate()
        self.thaw()
        deadline = time.monotonic() + WORKER_GRACE_S
        while self._child.running and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._child.running:
            self._signal(signal.SIGQUIT)
            time.sleep(TELL_S)
            self._child.kill()
        self._child.stop()
        if self._child.status not in ENDED_IN_ORDER:
            self.wrong_ends.append(self._child.status or 0)
        self._child = None

    def start_again(self) -> None:
        """Up again after it was killed or told to end."""
        self.end()
        self.start()

    def watch(self) -> bool:
        """Starts it again where it ended by itself, as an orchestrator does; whether it did."""
        if self._child is None or not self._wanted or self._child.running:
            return False
        self.unasked += 1
        self.start()
        return True

    def ready(self) -> bool:
        if self._child is not None and self._wanted and not self._child.running:
            raise ChildError(self._child.report("ended by itself"))
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def at_work(self) -> bool:
        """Whether it takes part: it answers, and its `ingest` has its partitions."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=0.5) as answer:
                body = answer.read()
        except urllib.error.HTTPError as not_ready:
            body = not_ready.read()
        except (urllib.error.URLError, OSError):
            return False
        return bool(orjson.loads(body)["checks"].get("ingest", {}).get("ready", False))

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.running:
            os.kill(self._child.pid, number)
