"""What the two servers have in common: a directory, ports, a life of starting and stopping."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from streams.embedded.child import Child, ChildError, free_port

ROOT = Path(__file__).resolve().parents[2]
DOWNLOADS = ROOT / ".servers"
_START_SECONDS = 90
_ATTEMPTS = 3


class ServerMissing(Exception):
    """The server's program is not on this machine; the message says how to get it."""


class Server(ABC):
    """One server. It keeps its ports and its data over ``stop`` and ``start``."""

    name: str

    def __init__(self, directory: Path, ports: tuple[int, ...]) -> None:
        self.directory = directory
        self.ports = ports
        self.log = directory / f"{self.name}.log"
        self._child: Child | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Writes configuration into ``directory``. Raises ServerMissing."""

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def ready(self) -> bool:
        """Whether it serves."""

    @property
    def pid(self) -> int:
        """The server's own process id. Raises ValueError when it is not running."""
        if self._child is None:
            raise ValueError(f"{self.name} is not running")
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def start(self) -> None:
        if self.running:
            return
        self._child = Child(self.name, self.command(), self.log, cwd=self.directory, grace_seconds=30)
        self._child.wait_until(self.ready, _START_SECONDS)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def restart(self) -> None:
        self.stop()
        self.start()


S = TypeVar("S", bound=Server)


def started(kind: type[S], directory: Path, ports: tuple[int, ...]) -> S:
    """A running server. A port of 0 is chosen, and chosen again if somebody takes it meanwhile."""
    for attempt in range(_ATTEMPTS):
        server = kind(directory, tuple(port or free_port() for port in ports))
        try:
            server.start()
        except ChildError:
            if all(ports) or attempt == _ATTEMPTS - 1:
                raise
            shutil.rmtree(directory)
        else:
            return server
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def running(kind: type[S], directory: Path | None, ports: tuple[int, ...]) -> Iterator[S]:
    """A server for the length of a ``with`` block.

    A directory that was given is kept. One that was made for it goes away with it, except after an error,
    when its logs may be wanted.
    """
    where = directory or Path(tempfile.mkdtemp(prefix=f"ringfence-{kind.name}-"))
    server = started(kind, where, ports)
    try:
        yield server
    finally:
        server.stop()
    if directory is None:
        shutil.rmtree(where, ignore_errors=True)
