"""A server that runs beside us: started, watched, ended, never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_GUARD = Path(__file__).with_name("guard.py")
_POLL_SECONDS = 0.05


class ChildError(Exception):
    """A server did not start, or ended by itself; the message ends with what it logged last."""


class Child:
    """One program under `guard`, with its output in ``log``.

    The guard is in a session of its own, so Ctrl-C in a terminal reaches us and not the server: it is there
    until we have finished with it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace_seconds: float = 10,
    ) -> None:
        self.name = name
        self.log = log
        self._grace_seconds = grace_seconds
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", str(_GUARD), str(grace_seconds), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )
        first = _stream(self._guard.stdout).readline()
        if not first:
            self._guard.wait()
            raise ChildError(self.report("could not be started"))
        self.pid = int(first)

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    @property
    def status(self) -> int | None:
        """What it ended with, 128 and more for a signal; None while it runs."""
        return self._guard.poll()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns once ``ready()``. Raises ChildError if the server ends first or ``seconds`` go by."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ChildError(self.report("ended before it served"))
            if time.monotonic() > deadline:
                self.stop()
                raise ChildError(self.report(f"did not serve within {seconds:.0f} s"))
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ends it, with force after the grace time. Does nothing the second time."""
        _close(self._guard.stdin)
        try:
            self._guard.wait(self._grace_seconds + 5)
        except subprocess.TimeoutExpired:
            self.kill()
        _close(self._guard.stdout)

    def kill(self) -> None:
        """Ends it as a crash would: no warning, no clean-up of its own."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
            self._guard.wait()
        _close(self._guard.stdin)

    def report(self, what: str) -> str:
        status = self._guard.poll()
        ended = "" if status is None else f" (exit status {status})"
        return f"{self.name} {what}{ended}; its log {self.log} ends with:\n{tail(self.log)}"


def tail(log: Path, lines: int = 15) -> str:
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(nothing logged)"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1 at ``port``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _stream(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("the guard is started with pipes")
    return pipe


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()
