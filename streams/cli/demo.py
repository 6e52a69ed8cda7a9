"""`ringfence demo`: the whole product on one machine, with attacks in the traffic, on one screen."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console
from rich.live import Live

from config.settings import Settings
from detectors.alert import Alert
from streams.cli import exits
from streams.cli.context import load, tell, write_json, write_summary
from streams.cli.screen import Seen, render
from streams.embedded.broker import EmbeddedBroker
from streams.embedded.child import Child, ChildError, free_port
from streams.faults import Fault
from streams.topics import ensure_topics, topic_name
from streams.wire.records import BlockRule, RuleChange, decode
from streams.wire.summaries import decode_summary

RULE_LIFE_MS = 20_000
"""Short, so that rules are seen to end."""
LOOKBACK_MS = 60_000
CALLS_PER_SECOND = 60
ATTACKS = "burst,flood,unallocated"
ROUND_MINUTES = 3.0
"""Length of one scenario where the demo has no end of its own; the next one has other attackers."""
START_SECONDS = 600
"""For the service to be ready; its kernels may have to be compiled first."""
POLL_MS = 200

FURTHER = """Look further:
  ringfence simulate --minutes 20 --out traffic      labelled traffic to try things on
  ringfence replay traffic/calls.ndjson --out found  the same detection on recorded calls
  docs/architecture.md, docs/rules.md, docs/sql.md   how it works, what switches read, what to ask"""


def demo_command(
    seconds: Annotated[int | None, typer.Option(help="end after so many seconds of traffic", min=5)] = None,
    keep: Annotated[Path | None, typer.Option(help="keep the store and the logs here", metavar="DIR")] = None,
    json: Annotated[bool, typer.Option("--json", help="no screen; the summary as JSON")] = False,
) -> None:
    """Play live traffic with attacks in it through the whole pipeline and show what it finds.

    Brings its own broker and store. Ends after --seconds or with Ctrl-C.

    Exit code 1 where nothing was caught.
    """
    with ExitStack() as stack:
        directory = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringfence-demo-")))
        directory.mkdir(parents=True, exist_ok=True)
        seen = Seen()
        with _terminated_as_interrupted():
            _play(load(), directory, seconds, json, seen)
        summary = _summary(seen, directory)
    if json:
        write_json(summary)
    else:
        _show(summary)
    if not (summary["alerts"] and summary["rules"]):
        raise typer.Exit(exits.NO)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM cleans up as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _play(settings: Settings, directory: Path, seconds: int | None, json: bool, seen: Seen) -> None:
    """Runs broker, service and traffic and notes in ``seen`` what comes out, until its end or Ctrl-C."""
    try:
        tell("starting the embedded broker and the service …")
        with EmbeddedBroker() as broker, ExitStack() as stack:
            settings = broker.settings(settings)
            ensure_topics(settings)
            service = _service(settings, directory)
            stack.callback(service.stop)
            follower = Follower(settings, seen)
            stack.callback(follower.close)
            _follow(settings, follower, service, broker, directory, seconds, json)
    except KeyboardInterrupt:
        tell("ended")


def _service(settings: Settings, directory: Path) -> Child:
    """The service itself, as `ringfence run`, once it is ready."""
    kafka = settings.kafka
    port = free_port()
    environment = {
        "RINGFENCE_KAFKA__BROKERS": kafka.brokers,
        "RINGFENCE_KAFKA__REPLICATION": "1",
        "RINGFENCE_KAFKA__IDEMPOTENT": "false",
        "RINGFENCE_KAFKA__SESSION_TIMEOUT_MS": str(kafka.session_timeout_ms),
        "RINGFENCE_RESPOND__MODE": "enforce",
        "RINGFENCE_RESPOND__TTL_MS": str(RULE_LIFE_MS),
        "RINGFENCE_DETECT__REBUILD_MS": str(LOOKBACK_MS),
        "RINGFENCE_STORE__URL": "",
        "RINGFENCE_STORE__PATH": str(directory / "store"),
        "RINGFENCE_SERVICE__PORT": str(port),
    }
    command = [sys.executable, "-m", "streams.cli", "run"]
    child = Child("the service", command, directory / "service.log", env={**os.environ, **environment})
    try:
        child.wait_until(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), START_SECONDS)
    except ChildError as error:
        raise Fault(str(error), "run `ringfence doctor`") from error
    except BaseException:
        child.stop()
        raise
    return child


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _follow(
    settings: Settings,
    follower: Follower,
    service: Child,
    broker: EmbeddedBroker,
    directory: Path,
    seconds: int | None,
    json: bool,
) -> None:
    console = Console(stderr=True, quiet=json)
    started = time.monotonic()
    rounds = 0
    traffic: Child | None = None
    with Live(console=console, screen=False, auto_refresh=False) as live:
        try:
            while seconds is None or time.monotonic() - started < seconds:
                if traffic is None or not traffic.running:
                    rounds += 1
                    traffic = _traffic(settings, directory, 1 + rounds, seconds)
                broker.check()
                if not service.running:
                    raise Fault(service.report("ended by itself"), "run `ringfence doctor`")
                follower.poll()
                note = (
                    f"{seconds - (time.monotonic() - started):.0f} s to go" if seconds else "Ctrl-C ends it"
                )
                live.update(render(follower.seen, note), refresh=True)
        finally:
            if traffic is not None:
                traffic.stop()


def _traffic(settings: Settings, directory: Path, seed: int, seconds: int | None) -> Child:
    """Simulated calls into the topic as time passes."""
    minutes = str(seconds / 60 if seconds else ROUND_MINUTES)
    command = [
        *(sys.executable, "-m", "streams.cli", "simulate", "--brokers", settings.kafka.brokers),
        *("--minutes", minutes, "--rate", str(CALLS_PER_SECOND), "--seed", str(seed), "--attacks", ATTACKS),
    ]
    return Child("the traffic", command, directory / "traffic.log", grace_seconds=3)


class Follower:
    """Reads what comes out of the pipeline into ``seen``."""

    def __init__(self, settings: Settings, seen: Seen) -> None:
        self.seen = seen
        self._rules = topic_name(settings, "block-rules")
        self._alerts = topic_name(settings, "alerts")
        self._summaries = topic_name(settings, "summaries")
        partitions = [TopicPartition(name, 0) for name in (self._rules, self._alerts, self._summaries)]
        self._consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka.brokers, group_id=None, enable_auto_commit=False
        )
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)

    def poll(self) -> None:
        for partition, records in self._consumer.poll(timeout_ms=POLL_MS).items():
            for record in records:
                self._take(partition.topic, record)

    def _take(self, topic: str, record: Any) -> None:
        if topic == self._alerts:
            self.seen.alert(decode(record.value, Alert))
        elif topic == self._summaries:
            self.seen.summary(decode_summary(record.value))
        else:
            rule = decode(record.value, BlockRule) if record.value is not None else None
            why = dict(record.headers).get("why", b"").decode()
            self.seen.rule(RuleChange(record.key.decode(), rule, self.seen.newest, why))

    def close(self) -> None:
        self._consumer.close()


def _summary(seen: Seen, directory: Path) -> dict[str, Any]:
    return {
        "calls": seen.calls,
        "alerts": dict(sorted(Counter(alert.detector for alert in seen.alerts.values()).items())),
        "rules": len(seen.issued),
        "rules_ended": seen.ended,
        "rules_live": len(seen.rules),
        "stored": _stored(directory / "store"),
    }


def _stored(path: Path) -> dict[str, int]:
    """Rows that the service left in its store; none where it ended before it had any."""
    if not path.exists():
        return {}
    from config.settings import StoreSettings
    from streams.store.opening import open_store
    from streams.store.ports import StoreError

    store = open_store(StoreSettings(path=str(path)))
    try:
        views = {"calls": "calls_once", "alerts": "alerts_current", "rule versions": "rules_history"}
        return {
            name: int(store.query(f"SELECT count() FROM {store.database}.{view}").rows[0][0])
            for name, view in views.items()
        }
    except StoreError:
        return {}
    finally:
        store.close()


def _show(summary: dict[str, Any]) -> None:
    write_summary(summary)
    tell(FURTHER)
