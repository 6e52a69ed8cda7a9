"""Apache Kafka in KRaft mode, one process, from the jars that `make servers` fetches."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from streams.embedded.child import answers
from tests.servers.server import DOWNLOADS, Server, ServerMissing, running

JARS = DOWNLOADS / "kafka" / "jars"
_LOGGING = Path(__file__).with_name("log4j2.properties")
_HOW = "run `make servers` (it needs Java 17 or newer and Maven)"


def jars_and_java() -> tuple[Path, str]:
    """Where Kafka's jars and Java are. Raises ServerMissing."""
    java = shutil.which("java")
    if java is None:
        raise ServerMissing(f"Kafka needs java, and none is on PATH: install it, then {_HOW}")
    if not any(JARS.glob("kafka_2.13-*.jar")):
        raise ServerMissing(f"Kafka's jars are not in {JARS}: {_HOW}")
    return JARS, java


class KafkaServer(Server):
    name = "kafka"
    heap = "512m"

    @property
    def brokers(self) -> str:
        return f"127.0.0.1:{self.ports[0]}"

    def prepare(self) -> None:
        jars, java = jars_and_java()
        self._java = [java, f"-Xmx{self.heap}", f"-Dlog4j2.configurationFile={_LOGGING}", "-cp", f"{jars}/*"]
        self._properties = self.directory / "server.properties"
        self._properties.write_text(self._configuration())
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        return [*self._java, "kafka.Kafka", str(self._properties)]

    def ready(self) -> bool:
        if not answers(self.ports[0]):
            return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.brokers, bootstrap_timeout_ms=2_000)
        except KafkaError:
            return False
        try:
            cluster = admin.describe_cluster()
        except KafkaError:
            return False
        finally:
            admin.close()
        return cluster["cluster_id"] == self._cluster_id() and len(cluster["brokers"]) == 1

    def _cluster_id(self) -> str:
        """Of the data in ``directory``: it tells our server from another that took the port."""
        lines = (self.directory / "data" / "meta.properties").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)["cluster.id"]

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*self._java, "kafka.tools.StorageTool", "format"]
        subprocess.run(
            [*command, f"--cluster-id={cluster}", "--config", str(self._properties)],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )

    def _configuration(self) -> str:
        broker, controller = self.ports
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "message.max.bytes": str(32 * 1024 * 1024),
            "auto.create.topics.enable": "false",
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())


@contextmanager
def kafka_server(directory: Path | None = None, port: int = 0) -> Iterator[KafkaServer]:
    """Kafka that serves on 127.0.0.1 at ``port`` (0: a free one). Raises ServerMissing or ChildError."""
    jars_and_java()
    with running(KafkaServer, directory, (port, 0)) as server:
        yield server
