"""`/healthz`, `/readyz` and `/metrics` on a port of the service."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Awaitable, Callable
from threading import Lock
from time import monotonic
from typing import NamedTuple

import structlog
from aiohttp import web
from mode import Service
from prometheus_client import exposition

from config.settings import ServiceSettings
from streams.faults import Fault
from streams.metrics import Metrics

MAX_REQUEST_BYTES = 1024
"""No request here has a body."""
MAX_LINE_BYTES = 4096
KEEPALIVE_S = 30.0
ANSWER_S = 5.0
"""A request is answered, or given up, within this."""
TICK_S = 1.0

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Ringfence</title>
<h1>Ringfence</h1>
<ul>
<li><a href="healthz">healthz</a>: the process is alive
<li><a href="readyz">readyz</a>: every role is ready, or which is not
<li><a href="metrics">metrics</a>: for Prometheus
</ul>
</html>
"""


class PortUnavailable(Fault):
    """The address of the service cannot be had."""


class Check(NamedTuple):
    ready: bool
    note: str


class Readiness:
    """Named checks that must all pass before the service is ready. May be used from any thread."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._lock = Lock()

    def set(self, name: str, ready: bool, note: str = "") -> None:
        """Whether ``name`` is ready now, and why not or what it does."""
        with self._lock:
            self._checks[name] = Check(ready, note)

    def checks(self) -> dict[str, Check]:
        with self._lock:
            return dict(sorted(self._checks.items()))

    @property
    def ready(self) -> bool:
        """Every check passes, and there is one."""
        checks = self.checks()
        return bool(checks) and all(check.ready for check in checks.values())


class Health(Service):  # type: ignore[misc]
    """Serves the three pages while it runs.

    Raises `PortUnavailable` at start where ``settings.port`` cannot be bound; port 0 takes a free one, and
    ``port`` tells which.
    """

    def __init__(self, settings: ServiceSettings, readiness: Readiness, metrics: Metrics) -> None:
        super().__init__()
        self._settings = settings
        self._readiness = readiness
        self._metrics = metrics
        self._runner: web.AppRunner | None = None
        self.port = settings.port

    @property
    def url(self) -> str:
        host = self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def on_start(self) -> None:
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            shutdown_timeout=ANSWER_S,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise _unavailable(self._settings, error) from error
        self.port = self._runner.addresses[0][1]
        structlog.get_logger("health").info("serving", url=self.url)

    async def on_stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @Service.task  # type: ignore[untyped-decorator]
    async def _watch_loop(self) -> None:
        while not self.should_stop:
            asleep = monotonic()
            await self.sleep(TICK_S)
            self._metrics.loop_delay(max(0.0, monotonic() - asleep - TICK_S))

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[_bounded])
        application.router.add_get("/", self._index)
        application.router.add_get("/healthz", self._alive)
        application.router.add_get("/readyz", self._ready)
        application.router.add_get("/metrics", self._exposed)
        return application

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def _alive(self, _: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _ready(self, _: web.Request) -> web.Response:
        checks = self._readiness.checks()
        body = {
            "ready": self._readiness.ready,
            "not_ready": [name for name, check in checks.items() if not check.ready],
            "checks": {name: check._asdict() for name, check in checks.items()},
        }
        return web.json_response(body, status=200 if body["ready"] else 503, dumps=_dumps)

    async def _exposed(self, request: web.Request) -> web.Response:
        for name, check in self._readiness.checks().items():
            self._metrics.ready(name, check.ready)
        encode, content_type = exposition.choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._metrics.registry), headers={"Content-Type": content_type})


@web.middleware
async def _bounded(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    async with asyncio.timeout(ANSWER_S):
        response = await handler(request)
    response.headers["Cache-Control"] = "no-store"
    return response


def _dumps(body: object) -> str:
    return json.dumps(body, ensure_ascii=False)


def _unavailable(settings: ServiceSettings, error: OSError) -> PortUnavailable:
    place = f"{settings.host}:{settings.port}"
    port = "set service.port (RINGFENCE_SERVICE__PORT) to another port, or to 0 for a free one"
    if error.errno == errno.EADDRINUSE:
        return PortUnavailable(f"{place} is taken by another program", port)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortUnavailable(f"{place} needs a privilege this process does not have", port)
    return PortUnavailable(
        f"{place} cannot be served ({error.strerror or error})",
        "set service.host (RINGFENCE_SERVICE__HOST) to an address of this machine",
    )
