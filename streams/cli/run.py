"""`ringfence run`: the service."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import signal
from collections.abc import Iterator
from typing import Annotated

import typer

from config.settings import Settings
from streams.cli.context import load, tell
from streams.faults import Fault, Usage

ROLES = ("ingest", "detect", "profile", "respond", "store")


def run_command(
    roles: Annotated[list[str] | None, typer.Argument(help="roles to run; all where none is named")] = None,
) -> None:
    """Run the service: all roles, or those named, on the configured Kafka and ClickHouse.

    Without kafka.brokers it brings its own broker, in memory, which ends with it.
    """
    chosen = known_roles(roles or [])
    with on_broker(load()) as settings:
        run_until_stopped(settings, chosen)


def known_roles(roles: list[str]) -> tuple[str, ...]:
    """``roles`` in the order of the flow, all of them where none is named. Raises Usage."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise Usage(f"there is no role {unknown[0]!r}", f"the roles are {', '.join(ROLES)}")
    return tuple(role for role in ROLES if not roles or role in roles)


@contextlib.contextmanager
def on_broker(settings: Settings) -> Iterator[Settings]:
    """``settings`` that lead to a broker: the configured one, or an embedded one with its topics made."""
    if settings.kafka.brokers:
        yield settings
        return
    from streams.embedded.broker import EmbeddedBroker
    from streams.topics import ensure_topics

    with EmbeddedBroker() as broker:
        embedded = broker.settings(settings)
        ensure_topics(embedded)
        tell(f"kafka.brokers is empty: an embedded broker serves at {broker.brokers}, in memory only")
        yield embedded


def run_until_stopped(settings: Settings, roles: tuple[str, ...]) -> None:
    """Returns after SIGTERM or Ctrl-C. SIGQUIT writes what every thread is doing to standard error.

    Raises Fault where the topics are not as the settings say, or the service crashed.
    """
    from streams.topics import check_topics

    differences = check_topics(settings)
    if differences:
        found = "; ".join(str(difference) for difference in differences)
        raise Fault(f"the topics are not as the settings say: {found}", differences[0].do_next)
    gc.disable()  # until `streams.warming.spare_what_is_loaded`

    import faust

    from streams.app import build_app

    worker = faust.Worker(
        build_app(settings, roles), quiet=True, override_logging=False, redirect_stdouts=False, debug=False
    )
    worker.spinner = None
    faulthandler.register(signal.SIGQUIT)
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        if ended.code:
            raise _fault(ended.__context__) from ended


def _fault(reason: BaseException | None) -> Fault:
    if isinstance(reason, Fault):
        return reason
    return Fault(f"the service has crashed: {reason!r}", "the log above has the details; start it again")
