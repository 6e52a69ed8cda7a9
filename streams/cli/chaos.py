"""`ringfence chaos`: a storm of failures over a cluster of one's own, and a verdict."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from config.settings import Settings
from streams.chaos.cluster import CommandServer, RefusingByCommand, Server
from streams.chaos.schedule import KINDS, Kind
from streams.chaos.storm import Plan, Report, Storm
from streams.cli import exits
from streams.cli.context import load, tell, write_json
from streams.embedded.child import ChildError
from streams.faults import Fault, Usage


def chaos_command(
    seed: Annotated[int, typer.Option(help="the same seed gives the same storm")] = 1,
    minutes: Annotated[float, typer.Option(help="how long it blows", min=0.2)] = 3.0,
    workers: Annotated[int, typer.Option(help="processes of `ringfence run`", min=2)] = 3,
    lanes: Annotated[int, typer.Option(help="partitions of calls that traffic goes to", min=1)] = 1,
    rate: Annotated[float, typer.Option(help="legitimate calls a second")] = 40.0,
    only: Annotated[str, typer.Option(help="kinds of blows, such as kill,freeze (default: all)")] = "",
    broker: Annotated[
        str, typer.Option(help="runs the broker of kafka.brokers; it is then struck too", metavar="COMMAND")
    ] = "",
    clickhouse: Annotated[
        str, typer.Option(help="runs the server of store.url; it is then struck too", metavar="COMMAND")
    ] = "",
    refuse: Annotated[str, typer.Option(help="makes the store refuse inserts", metavar="COMMAND")] = "",
    take: Annotated[str, typer.Option(help="makes it take them again", metavar="COMMAND")] = "",
    keep: Annotated[Path | None, typer.Option(help="keep the logs here", metavar="DIR")] = None,
    json: Annotated[bool, typer.Option("--json", help="the verdict as JSON")] = False,
) -> None:
    """Strike workers and servers while calls flow, and compare with an undisturbed run.

    Uses kafka.brokers and store.url, in topics and a database of its own that stay there. Never point it at
    a cluster in service: with --broker and --clickhouse it ends and restarts the servers.

    Exit code 1 where anything was lost, doubled or changed.
    """
    settings = load()
    if not settings.kafka.brokers or not settings.store.url:
        raise Usage("kafka.brokers or store.url is empty", "a storm needs a real Kafka and ClickHouse")
    if bool(refuse) != bool(take):
        raise Usage("--refuse and --take belong together", "give both or neither")
    if lanes > settings.kafka.partitions:
        raise Usage(f"--lanes {lanes} is more than kafka.partitions", f"at most {settings.kafka.partitions}")
    plan = Plan(seed, minutes, workers, lanes, rate, _kinds(only))
    directory = keep or Path(tempfile.mkdtemp(prefix="ringfence-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    given = _given(settings, f"chaos_{seed}_{time.time_ns() // 1_000_000}")
    servers = _Servers(settings, directory, broker, clickhouse)
    try:
        servers.start()
        refusing = RefusingByCommand(refuse, take) if refuse else None
        report = Storm(plan, given, directory, _told(), servers.broker, servers.clickhouse, refusing).run()
    except ChildError as error:
        raise Fault(str(error), f"the logs are in {directory}") from error
    finally:
        servers.stop()
    _show(report, directory, json)
    if not report.holds:
        raise typer.Exit(exits.NO)


def _kinds(text: str) -> tuple[Kind, ...]:
    named = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in named if name not in KINDS]
    if unknown:
        raise Usage(f"there is no blow {unknown[0]!r}", f"the kinds are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if not named or kind in named)


def _given(settings: Settings, name: str) -> dict[str, str]:
    """Settings of the storm's workers: those in force, but with topics and a database of its own."""
    kafka = settings.kafka
    return {
        "kafka.brokers": kafka.brokers,
        "kafka.topic_prefix": f"{name}.",
        "kafka.partitions": str(kafka.partitions),
        "kafka.replication": str(kafka.replication),
        "kafka.session_timeout_ms": str(kafka.session_timeout_ms),
        "store.url": settings.store.url.rsplit("/", 1)[0] + f"/{name}",
    }


class _Servers:
    """The servers that were given as commands."""

    def __init__(self, settings: Settings, directory: Path, broker: str, clickhouse: str) -> None:
        self.broker: Server | None = None
        self.clickhouse: Server | None = None
        if broker:
            self.broker = CommandServer("kafka", broker, directory / "kafka.log", _kafka_serves(settings))
        if clickhouse:
            log = directory / "clickhouse.log"
            self.clickhouse = CommandServer("clickhouse", clickhouse, log, _clickhouse_serves(settings))

    def start(self) -> None:
        for server in (self.broker, self.clickhouse):
            if server is not None:
                server.start()

    def stop(self) -> None:
        for server in (self.clickhouse, self.broker):
            if server is not None:
                server.stop()


def _kafka_serves(settings: Settings) -> Callable[[], bool]:
    from streams.topics import admin_client

    def serves() -> bool:
        try:
            with admin_client(settings) as admin:
                return bool(admin.describe_cluster()["brokers"])
        except Fault:
            return False

    return serves


def _clickhouse_serves(settings: Settings) -> Callable[[], bool]:
    from streams.store.opening import open_store
    from streams.store.ports import StoreError

    url = settings.store.url.rsplit("/", 1)[0] + "/default"

    def serves() -> bool:
        store = open_store(settings.store.model_copy(update={"url": url}))
        try:
            return bool(store.version())
        except StoreError:
            return False
        finally:
            store.close()

    return serves


def _told() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda line: tell(f"[{time.monotonic() - began:6.1f}] {line}")


def _show(report: Report, directory: Path, json: bool) -> None:
    if json:
        write_json({**report.as_json(), "logs": str(directory)})
        return
    tell(str(report.verdict))
    tell(
        f"{report.unasked} workers ended by themselves; worked off {report.drained_s:.0f} s after the last"
        f" call; logs in {directory}"
    )
    typer.echo("nothing was lost, doubled or changed" if report.holds else "something differs")
