"""`ringfence doctor`: what is reachable, what is wrong, each with what to do next."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from config.loading import FILE, SettingsError, shown, suspects
from config.settings import Settings
from streams.cli import context, exits
from streams.cli.context import load, write_json
from streams.faults import Fault

if TYPE_CHECKING:
    from streams.store.ports import Store

State = Literal["ok", "warning", "wrong"]
MARKS: dict[State, str] = {"ok": "ok     ", "warning": "warning", "wrong": "WRONG  "}


@dataclass(frozen=True)
class Finding:
    subject: str
    state: State
    message: str
    do_next: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def doctor_command(json: Annotated[bool, typer.Option("--json", help="as JSON")] = False) -> None:
    """Look at everything Ringfence needs; say what is wrong and what to do.

    Changes nothing. Exit code 1 where something is wrong.
    """
    findings = []
    for finding in examine():
        findings.append(finding)
        if not json:
            _print(finding)
    if json:
        write_json([asdict(finding) for finding in findings])
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(exits.NO)


def examine() -> Iterator[Finding]:
    """Every finding, as it is made."""
    try:
        settings = load()
    except SettingsError as error:
        for problem in error.problems:
            yield Finding("settings", "wrong", problem, "`ringfence config reference` lists what is allowed")
        return
    for check in CHECKS:
        yield from check(settings)


def _settings(_settings: Settings) -> Iterator[Finding]:
    for suspect in suspects(os.environ):
        yield Finding("settings", "warning", suspect, "rename it or remove it")
    file = context.given.config or (FILE if Path(FILE).exists() else "no file")
    yield Finding("settings", "ok", f"right ({file})")


def _python(_settings: Settings) -> Iterator[Finding]:
    import faust.streams

    name = ".".join(str(part) for part in sys.version_info[:3])
    if faust.streams._CStreamIterator is None:
        yield Finding(
            "python",
            "wrong",
            f"Python {name}, but Faust's compiled parts are missing: it may lose records in a rebalance",
            "install faust-streaming from a wheel and unset NO_CYTHON",
        )
    else:
        yield Finding("python", "ok", f"Python {name}, Faust's compiled parts are there")


def _kernels(_settings: Settings) -> Iterator[Finding]:
    from detectors import cache, kernels

    if not kernels.CACHED:
        do_next = "set RINGFENCE_CACHE_DIR to a directory that can be written"
        yield Finding(
            "kernels", "warning", "they are compiled anew at each start, which takes minutes", do_next
        )
        return
    directory = cache.cache_directory()
    if directory is not None and any(directory.rglob("*.nbi")):
        yield Finding("kernels", "ok", f"compiled, in {directory}")
    else:
        yield Finding(
            "kernels", "warning", "not compiled yet, so the first start takes longer", "`ringfence warm`"
        )


def _plan(settings: Settings) -> Iterator[Finding]:
    from detectors.plan import NumberingPlan
    from detectors.plan_additions import PlanError

    try:
        plan = NumberingPlan.load(settings.numbering)
    except PlanError as error:
        yield Finding(
            "plan", "wrong", f"the numbering plan: {error}", "correct the file of numbering.additions"
        )
    else:
        yield Finding("plan", "ok", f"numbering plan {plan.version}")


def _kafka(settings: Settings) -> Iterator[Finding]:
    if not settings.kafka.brokers:
        yield from _embedded_broker()
        return
    from streams.topics import check_topics

    try:
        differences = check_topics(settings)
    except Fault as fault:
        yield Finding("kafka", "wrong", fault.message, fault.do_next)
        return
    yield Finding("kafka", "ok", f"answers at {settings.kafka.brokers}")
    for each in differences:
        yield Finding("topics", "wrong", str(each), each.do_next)
    if not differences:
        yield Finding("topics", "ok", "all as the settings say")


def _embedded_broker() -> Iterator[Finding]:
    from streams.embedded.broker import EmbeddedBroker

    try:
        with EmbeddedBroker():
            pass
    except Fault as fault:
        yield Finding("kafka", "wrong", fault.message, fault.do_next)
    else:
        message = (
            "kafka.brokers is empty: the embedded broker is used, which works and forgets all at its end"
        )
        yield Finding("kafka", "ok", message)


def _store(settings: Settings) -> Iterator[Finding]:
    from streams.store.opening import open_store
    from streams.store.ports import StoreError

    where = shown(settings.store.url) or "the embedded store"
    try:
        store = open_store(settings.store)
    except (Fault, ValueError) as error:
        yield Finding("store", "wrong", f"{where}: {error}", "check store.url and store.path")
        return
    try:
        yield Finding("store", "ok", f"{where} is ClickHouse {store.version()}")
        yield from _schema(store) if settings.store.url else ()
    except StoreError as error:
        yield Finding("store", "wrong", error.message, error.do_next or "check store.url and its log")
    finally:
        store.close()


def _schema(store: Store) -> Iterator[Finding]:
    from streams.store.upgrade import check_schema

    problems = check_schema(store)
    for problem in problems:
        do_next = "`ringfence schema apply`" if problem.mends else "see docs/operations.md"
        yield Finding("schema", "wrong", problem.what, do_next)
    if not problems:
        yield Finding("schema", "ok", "all tables are there")


def _port(settings: Settings) -> Iterator[Finding]:
    from streams.embedded.child import port_is_free

    service = settings.service
    if service.port and not port_is_free(service.port, service.host):
        message = (
            f"port {service.port} of {service.host} is in use: by a running ringfence, or by something else"
        )
        yield Finding(
            "port", "warning", message, "set service.port to another one, or 0, to run a second one"
        )
    else:
        yield Finding("port", "ok", f"/healthz, /readyz and /metrics can be on {service.host}:{service.port}")


CHECKS: tuple[Check, ...] = (_settings, _python, _kernels, _plan, _kafka, _store, _port)


def _print(finding: Finding) -> None:
    typer.echo(f"{MARKS[finding.state]}  {finding.subject}: {finding.message}")
    if finding.do_next and finding.state != "ok":
        typer.echo(f"         {' ' * len(finding.subject)}  what to do: {finding.do_next}")
