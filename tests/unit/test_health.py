"""The pages a platform operator's probes and Prometheus read, on a real server."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.settings import ServiceSettings
from detectors.alert import Alert, Match, Subject, Window
from streams.health import MAX_LINE_BYTES, Health, PortUnavailable, Readiness
from streams.metrics import DECLARED, Metrics, reference
from streams.store.writer import WriterStats
from streams.wire.records import Approval, BlastRadius, BlockRule, RuleChange
from tests.summaries import summary_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


class Served:
    def __init__(self, health: Health, readiness: Readiness, metrics: Metrics) -> None:
        self.health, self.readiness, self.metrics = health, readiness, metrics

    async def get(self, path: str, method: str = "GET", **options: Any) -> tuple[int, str, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.health.url + path, **options) as response,
        ):
            return response.status, await response.text(), response.headers["Content-Type"]


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    readiness, metrics = Readiness(), Metrics()
    health = Health(ServiceSettings(port=0), readiness, metrics)
    await health.start()
    try:
        yield Served(health, readiness, metrics)
    finally:
        await health.stop()


def on_a_server(steps: Callable[[Served], Awaitable[None]]) -> None:
    async def run() -> None:
        async with served() as service:
            await steps(service)

    asyncio.run(run())


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_port_0_takes_a_free_port_and_links_lead_everywhere() -> None:
    async def steps(service: Served) -> None:
        assert service.health.port > 0
        status, text, kind = await service.get("/")
        assert (status, kind) == (200, "text/html; charset=utf-8")
        service.readiness.set("detect", True)
        for page in ("healthz", "readyz", "metrics"):
            assert f'href="{page}"' in text
            assert (await service.get(f"/{page}"))[0] == 200

    on_a_server(steps)


def test_readyz_names_what_is_not_ready() -> None:
    async def steps(service: Served) -> None:
        assert (await service.get("/readyz"))[0] == 503
        service.readiness.set("detect", True, "8 partitions")
        service.readiness.set("store", False, "no connection to ClickHouse")
        async with aiohttp.ClientSession() as session:
            async with session.get(service.health.url + "/readyz") as response:
                assert response.status == 503
                assert await response.json() == {
                    "ready": False,
                    "not_ready": ["store"],
                    "checks": {
                        "detect": {"ready": True, "note": "8 partitions"},
                        "store": {"ready": False, "note": "no connection to ClickHouse"},
                    },
                }
            service.readiness.set("store", True)
            async with session.get(service.health.url + "/readyz") as response:
                assert response.status == 200
                assert (await response.json())["not_ready"] == []

    on_a_server(steps)


def test_healthz_is_alive_even_where_nothing_is_ready() -> None:
    async def steps(service: Served) -> None:
        service.readiness.set("detect", False, "rebuilding")
        assert await service.get("/healthz") == (200, '{"alive": true}', "application/json; charset=utf-8")

    on_a_server(steps)


def test_metrics_are_what_prometheus_parses() -> None:
    async def steps(service: Served) -> None:
        service.readiness.set("detect", True)
        service.metrics.step_seconds("detect", 0.02)
        service.metrics.ingested(3, ["time_ahead"])
        status, text, kind = await service.get("/metrics", headers={"Accept": "text/plain"})
        assert status == 200
        assert kind.startswith("text/plain; version=")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert families["ringfence_ready"].samples[0].labels == {"check": "detect"}
        assert families["ringfence_step_seconds"].type == "histogram"
        assert families["ringfence_events_rejected"].samples[0].value == 1
        assert {d.name.removesuffix("_total") for d in DECLARED} <= set(families)
        assert "process_resident_memory_bytes" in families

    on_a_server(steps)


def test_requests_beyond_the_limits_are_refused_and_the_server_lives() -> None:
    async def steps(service: Served) -> None:
        assert (await service.get("/nowhere"))[0] == 404
        assert (await service.get("/metrics", method="POST", data=b"x"))[0] == 405
        assert (await service.get("/?" + "x" * 2 * MAX_LINE_BYTES))[0] == 400
        assert (await service.get("/", headers={"X-Long": "x" * 2 * MAX_LINE_BYTES}))[0] == 400
        assert (await service.get("/healthz"))[0] == 200

    on_a_server(steps)


def test_a_busy_port_says_which_and_what_to_do() -> None:
    async def start(port: int) -> None:
        health = Health(ServiceSettings(port=port), Readiness(), Metrics())
        await health.start()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortUnavailable, match=rf"127\.0\.0\.1:{port} is taken.*RINGFENCE_SERVICE__PORT"):
            asyncio.run(start(port))


def test_a_foreign_address_says_what_to_do() -> None:
    async def start() -> None:
        await Health(ServiceSettings(host="192.0.2.1", port=0), Readiness(), Metrics()).start()

    with pytest.raises(PortUnavailable, match="RINGFENCE_SERVICE__HOST"):
        asyncio.run(start())


def test_a_stopped_service_frees_its_port() -> None:
    async def twice() -> None:
        async with served() as service:
            port = service.health.port
        again = Health(ServiceSettings(port=port), Readiness(), Metrics())
        await again.start()
        await again.stop()

    asyncio.run(twice())


def test_the_document_lists_what_the_code_declares() -> None:
    assert reference() in DOCUMENT.read_text()


def test_names_carry_their_unit_and_every_counter_its_suffix() -> None:
    for declared in DECLARED:
        assert declared.name.startswith("ringfence_")
        assert declared.name.endswith("_total") == (declared.type == "counter")
        assert declared.help.endswith(".")
    assert len({d.name for d in DECLARED}) == len(DECLARED)


def alert(severity: str = "low", version: int = 1) -> Alert:
    return Alert(
        alert_id="a",
        detector="burst",
        kind="burst",
        severity=severity,  # type: ignore[arg-type]
        score=0.5,
        subject=Subject("trunk", "T"),
        window=Window(0, 600_000),
        first_seen=0,
        last_seen=1,
        calls=1,
        evidence=[],
        sample_call_ids=[],
        networks=[],
        trunks=[],
        message="",
        config_hash="",
        version=version,
    )


def test_an_alert_counts_once_and_its_versions_each() -> None:
    metrics = Metrics()
    metrics.alerted([alert(), alert(version=2), alert("high", version=3)])
    assert sample(metrics, "ringfence_alerts_total", detector="burst", severity="low") == 1
    assert sample(metrics, "ringfence_alerts_total", detector="burst", severity="high") is None
    assert sample(metrics, "ringfence_alert_versions_total", detector="burst", severity="low") == 2
    assert sample(metrics, "ringfence_alert_versions_total", detector="burst", severity="high") == 1


def test_what_a_frame_brought_is_counted() -> None:
    metrics = Metrics()
    metrics.detected(summary_of(0, 0, 0, [], duplicates=2, late=3, evicted=4), [alert()], rows=100)
    metrics.detected(None, [], rows=1)
    assert sample(metrics, "ringfence_rows_detected_total") == 101
    assert sample(metrics, "ringfence_rows_duplicate_total") == 2
    assert sample(metrics, "ringfence_rows_late_total") == 3
    assert sample(metrics, "ringfence_subjects_evicted_total") == 4


def test_subjects_add_up_over_partitions_and_go_with_them() -> None:
    metrics = Metrics()
    metrics.tracked(0, {"caller": 5, "block": 1})
    metrics.tracked(1, {"caller": 7})
    assert sample(metrics, "ringfence_subjects_tracked", table="caller") == 12
    metrics.tracked(0, {})
    assert sample(metrics, "ringfence_subjects_tracked", table="caller") == 7
    assert sample(metrics, "ringfence_subjects_tracked", table="block") == 0


def rule(mode: str, version: int) -> BlockRule:
    return BlockRule(
        rule_id="r",
        version=version,
        sequence=1,
        mode=mode,  # type: ignore[arg-type]
        action="block",
        match=Match(caller="+8613800138000"),
        sip_code=608,
        sip_reason="",
        q850_cause=21,
        reason="",
        detector="burst",
        severity="high",
        alert_ids=[],
        not_before=0,
        expires_at=1,
        renewals=0,
        approval=Approval("auto"),
        blast_radius=BlastRadius(0, 0, 0),
        issued_at=0,
        issuer="ringfence",
    )


def test_rules_are_counted_by_mode_and_change() -> None:
    metrics = Metrics()
    first, second = rule("shadow", 1), rule("shadow", 2)
    metrics.responded([RuleChange("r", first, 0), RuleChange("r", second, 1)], {"r": second})
    assert sample(metrics, "ringfence_rules_live", mode="shadow") == 1
    metrics.responded([RuleChange("r", None, 2)], {})
    assert sample(metrics, "ringfence_rules_live", mode="shadow") == 0
    for change in ("issued", "changed", "ended"):
        assert sample(metrics, "ringfence_rule_changes_total", change=change) == 1


class CountingWriter:
    def __init__(self, rows: int) -> None:
        self.stats = WriterStats(Counter(alerts=rows), inserts=1, failures=2, queued_rows=rows)


def test_what_the_store_counts_is_followed_even_when_it_starts_anew() -> None:
    metrics = Metrics()
    for rows in (10, 25, 4):
        metrics.stored(CountingWriter(rows))
    assert sample(metrics, "ringfence_store_rows_total", table="alerts") == 29
    assert sample(metrics, "ringfence_store_batches_total") == 1
    assert sample(metrics, "ringfence_store_retries_total") == 2
    assert sample(metrics, "ringfence_store_queue_rows") == 4


def test_the_age_of_a_commit_grows_until_the_next() -> None:
    now = [100.0]
    metrics = Metrics(lambda: now[0])
    metrics.committed("detect")
    now[0] = 107.5
    assert sample(metrics, "ringfence_commit_age_seconds", role="detect") == 7.5
    metrics.committed("detect")
    assert sample(metrics, "ringfence_commit_age_seconds", role="detect") == 0


def test_lag_and_rebuild_are_by_role() -> None:
    metrics = Metrics()
    metrics.lag("store", {"frames": 5, "summaries": 0})
    metrics.rebuilt("detect", 2.5)
    assert sample(metrics, "ringfence_consumer_lag_records", role="store", topic="frames") == 5
    assert sample(metrics, "ringfence_rebuild_seconds", role="detect") == 2.5


def test_a_minute_of_the_log_starts_from_nothing() -> None:
    metrics = Metrics()
    metrics.ingested(3, ["json", "json"])
    assert metrics.minute()["events"] == 3
    assert metrics.minute() == dict.fromkeys(metrics.minute(), 0)
