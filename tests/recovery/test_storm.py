"""A short storm over real Kafka and ClickHouse, as `ringfence chaos` runs it. See `docs/recovery.md`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from streams.chaos.schedule import ON_A_WORKER, ON_THE_BROKER, ON_THE_STORE
from streams.cli import exits
from streams.cli.main import run
from streams.embedded.child import free_port
from tests.servers import ClickHouseServer, KafkaServer, ServerMissing
from tests.servers.clickhouse import READ_ONLY, WRITABLE, users

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

SEED = 7
MINUTES = 1.2


class Servers(NamedTuple):
    """Prepared, and not started: the storm starts, ends and kills them itself."""

    kafka: KafkaServer
    clickhouse: ClickHouseServer


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    def ports() -> tuple[int, int]:
        return free_port(), free_port()

    try:
        yield Servers(
            KafkaServer(tmp_path / "kafka", ports()), ClickHouseServer(tmp_path / "clickhouse", ports())
        )
    except ServerMissing as missing:
        pytest.skip(str(missing))


def test_a_storm_changes_nothing(
    servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = f"storm_{time.monotonic_ns()}"
    settings = {
        "kafka.brokers": servers.kafka.brokers,
        "kafka.partitions": "4",
        "kafka.session_timeout_ms": "6000",
        "kafka.replication": "1",
        "store.url": servers.clickhouse.url.rsplit("/", 1)[0] + f"/{database}",
    }
    arguments = ["--seed", str(SEED), "--minutes", str(MINUTES), "--workers", "2", "--json"]
    arguments += ["--keep", str(tmp_path / "logs")]
    arguments += ["--broker", shlex.join(servers.kafka.command())]
    arguments += ["--clickhouse", shlex.join(servers.clickhouse.command())]
    arguments += _refusing(servers.clickhouse.directory)
    for name, value in settings.items():
        arguments += ["--set", f"{name}={value}"]
    status = run(["chaos", *arguments])
    told = capsys.readouterr()
    assert status == exits.OK, told.err + told.out
    _says(orjson.loads(told.out))


def _refusing(directory: Path) -> list[str]:
    """How the store is made to refuse inserts, and to take them again: another file of users."""
    arguments = []
    for option, readonly in (("--refuse", READ_ONLY), ("--take", WRITABLE)):
        file = directory / f"users-{readonly}.xml"
        file.write_text(users(readonly))
        arguments += [option, shlex.join(["cp", str(file), str(directory / "users.xml")])]
    return arguments


def _says(verdict: dict[str, Any]) -> None:
    assert verdict["holds"]
    struck = {blow["kind"] for blow in verdict["blows"]}
    for kinds in (ON_A_WORKER, ON_THE_BROKER, ON_THE_STORE):
        assert struck.intersection(kinds), "the seed strikes everything that there is"
    checks = {check["name"]: check for check in verdict["checks"]}
    assert not [name for name, check in checks.items() if check["differences"]]
    assert checks["alert ids of one undisturbed process"]["count"] > 0
    assert checks["rule ids with their matches"]["count"] > 0
    assert checks["calls in ClickHouse"]["count"] > 1_000
    assert verdict["figures"]["of them from events that came twice"] > 0
