"""Fixtures for every test: real Kafka and ClickHouse, once a session.

Where a server is missing its tests are skipped and say how to get it. With ``RINGFENCE_REQUIRE_SERVERS=1``,
as in CI, such a skip is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from streams.cli import context
from tests.servers import ClickHouseServer, KafkaServer, ServerMissing, clickhouse_server, kafka_server
from tests.servers.clickhouse import program
from tests.servers.kafka import jars_and_java

SERVERS = ("kafka", "clickhouse")


@pytest.fixture(autouse=True)
def no_flags_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that a test runs in this process gets no flags but its own."""
    monkeypatch.setattr(context, "given", context.Given())


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[KafkaServer]:
    """Real Apache Kafka: ``.brokers``, ``.stop() .start() .restart() .kill()``."""
    _need(jars_and_java)
    with kafka_server() as server:
        yield server
        _keep_log(request, server)


@pytest.fixture(scope="session")
def clickhouse(request: pytest.FixtureRequest) -> Iterator[ClickHouseServer]:
    """A real ClickHouse server: ``.url``, ``.stop() .start() .restart() .kill()``."""
    _need(program)
    with clickhouse_server() as server:
        yield server
        _keep_log(request, server)


def _need(find: Callable[[], object]) -> None:
    try:
        find()
    except ServerMissing as missing:
        pytest.skip(str(missing))


def _keep_log(request: pytest.FixtureRequest, server: KafkaServer | ClickHouseServer) -> None:
    """Keeps the log of a server beside the failures it may explain."""
    if request.session.testsfailed and server.log.exists():
        kept = Path(request.config.rootpath) / ".servers" / "logs" / server.log.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(server.log.read_bytes())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses a server's fixture carries its marker: ``-m 'not kafka'`` leaves it out."""
    for item in items:
        for name in SERVERS:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    wanted = any(item.get_closest_marker(name) for name in SERVERS)
    required = os.environ.get("RINGFENCE_REQUIRE_SERVERS") == "1"
    if required and wanted and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and RINGFENCE_REQUIRE_SERVERS=1 forbids that: {report.longrepr}"
    return report
