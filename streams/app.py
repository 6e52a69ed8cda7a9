"""The Faust app: roles and topics at a glance.

    calls ──ingest──▶ frames ──detect──▶ alerts, summaries ──profile──▶ alerts ──respond──▶ block-rules
                └──▶ calls.rejected                      everything ──store──▶ ClickHouse

One process runs the roles it is given: each is a runner (`streams.runner`), a service of this app.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import faust
import structlog
from mode import Service

from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.clock import EventClock
from streams.health import Health, Readiness
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.runner import Runner
from streams.store.opening import open_store
from streams.store.ports import Store
from streams.store.runner import StoreRole
from streams.store.schema import prune
from streams.store.writer import Writer
from streams.warming import spare_what_is_loaded, warm
from streams.work import Role

REPORT_EVERY_S = 60.0
WATCH_EVERY_S = 1.0
PRUNE_EVERY_S = 3600.0
STARTED = ("respond", "store", "profile", "ingest", "detect")
"""Roles in the order in which they start."""


class RingfenceService(Service):  # type: ignore[misc]
    """Everything of one process besides Faust itself: runners, store writer, health."""

    def __init__(self, settings: Settings, roles: Iterable[str], store: Store | None) -> None:
        super().__init__()
        self.settings = settings
        self.roles = tuple(roles)
        self.store = store
        self.writer = None if store is None else Writer(store, settings.store)
        self.readiness = Readiness()
        self.metrics = Metrics()
        self._log = structlog.get_logger("ringfence")

    async def on_start(self) -> None:
        """Roles start one after the other, those without kernels first: while one loads what it runs, those
        before it join their groups."""
        await self.add_runtime_dependency(Health(self.settings.service, self.readiness, self.metrics))
        self.readiness.set("kernels", False, "compiling")
        plan = await asyncio.to_thread(NumberingPlan.load, self.settings.numbering)
        for name in sorted(self.roles, key=STARTED.index):
            role = await asyncio.to_thread(self._opened, name, plan)
            await self.add_runtime_dependency(
                Runner(role, self.settings, Outbox(self.settings), self.readiness, self.metrics)
            )
        spare_what_is_loaded()
        self.readiness.set("kernels", True)

    def _opened(self, name: str, plan: NumberingPlan) -> Role:
        """A role is imported where it runs: a process loads nothing that only another role needs."""
        settings, metrics = self.settings, self.metrics
        warm(settings, plan, (name,))
        match name:
            case "ingest":
                from streams.ingest.runner import IngestRole

                return IngestRole(settings, plan, metrics)
            case "detect":
                from streams.detect.runner import DetectRole

                return DetectRole(settings, plan, metrics)
            case "profile":
                from streams.profile.runner import ProfileRole

                return ProfileRole(settings, metrics)
            case "respond":
                from streams.respond.runner import RespondRole

                return RespondRole(settings, plan, metrics, EventClock(time.monotonic))
            case _:
                assert self.writer is not None, "only `store` is left"
                return StoreRole(settings, self.writer)

    async def on_shutdown(self) -> None:
        if self.writer is not None and self.store is not None:
            await asyncio.to_thread(self.writer.close)
            self.store.close()

    @Service.timer(WATCH_EVERY_S)  # type: ignore[untyped-decorator]
    async def _watch_store(self) -> None:
        if self.writer is not None:
            self.readiness.set("clickhouse", self.writer.healthy, self.writer.last_error)
            self.metrics.stored(self.writer)

    @Service.timer(PRUNE_EVERY_S)  # type: ignore[untyped-decorator]
    async def _prune_store(self) -> None:
        """Old servers cannot forget by themselves."""
        if self.store is None:
            return
        try:
            dropped = await asyncio.to_thread(prune, self.store, time.time_ns() // 1_000_000)
        except OSError as error:
            self._log.warning("what is too old was not dropped; next try in an hour", error=str(error))
        else:
            if dropped:
                self._log.info("dropped what is too old", statements=len(dropped))

    @Service.timer(REPORT_EVERY_S)  # type: ignore[untyped-decorator]
    async def _report(self) -> None:
        self._log.info("last minute", **self.metrics.minute())


def build_app(settings: Settings, roles: Iterable[str]) -> faust.App:
    """The app that runs ``roles``. Opens the store where ``store`` is one of them."""
    roles = tuple(roles)
    kafka = settings.kafka
    app = faust.App(
        f"{kafka.topic_prefix}ringfence",
        broker=[f"kafka://{broker}" for broker in kafka.brokers.split(",")],
        store="memory://",
        datadir=Path("/nonexistent"),
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        broker_request_timeout=kafka.request_timeout_ms / 1000,
    )
    app.producer_only = True
    store = open_store(settings.store) if "store" in roles else None
    app.service(RingfenceService(settings, roles, store))
    return app
