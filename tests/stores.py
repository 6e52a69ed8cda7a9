"""Stores to test with: the embedded one, and a database of its own on a real server; and what to put in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from config.settings import CampaignSettings, StoreSettings
from detectors.alert import (
    Alert,
    BlastRadius,
    Entry,
    Evidence,
    Match,
    Proposal,
    Statement,
    Subject,
    Window,
)
from detectors.calls import FRAME_SCHEMA, UNKNOWN, EventType, Role, Tristate
from detectors.campaigns import Campaign, Campaigns
from streams.store.opening import open_store
from streams.store.ports import Rows, Store
from streams.store.step import (
    rows_of_alert,
    rows_of_calls,
    rows_of_campaign,
    rows_of_command,
    rows_of_outcome,
    rows_of_rejection,
    rows_of_rule_change,
    rows_of_summary,
)
from streams.wire.records import Approval, BlockRule, Command, CommandOutcome, Rejection, RuleChange
from streams.wire.summaries import Summary, SummaryRow
from tests.summaries import summary_of

LONG = {"days": 10_000, "calls_days": 10_000}
"""Retention that does not end while a test with fixed times is of use."""
BASE = 1_795_176_000_000
"""2026-11-20 12:00 UTC in ms."""
CALLER, CALLEE, TRUNK = 8_613_800_138_000, 861_065_529_988, "GZ-IC-01"


@contextlib.contextmanager
def embedded(**settings: Any) -> Iterator[Store]:
    with contextlib.closing(open_store(StoreSettings(**(LONG | settings)))) as store:
        yield store


@contextlib.contextmanager
def on_server(url: str, database: str, **settings: Any) -> Iterator[Store]:
    address = url.rsplit("/", 1)[0]
    with contextlib.closing(
        open_store(StoreSettings(url=f"{address}/{database}", **(LONG | settings)))
    ) as store:
        with contextlib.closing(open_store(StoreSettings(url=f"{address}/default"))) as outside:
            outside.execute(f"DROP DATABASE IF EXISTS `{database}`")
        yield store


def frame(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Rows of FRAME_SCHEMA; a column that a row does not give is absent as the schema says."""
    arrays = [
        pa.array([row.get(field.name, _absent(field)) for row in rows]).cast(field.type)
        for field in FRAME_SCHEMA
    ]
    return pa.record_batch(arrays, schema=FRAME_SCHEMA)


def calls_frame(count: int, seed: int, start: int = BASE, spacing_ms: int = 1) -> pa.RecordBatch:
    """``count`` seizures and releases of many numbers, both roles, different for each seed."""
    draw = np.random.default_rng(seed)
    callers = draw.integers(8_613_800_000_000, 8_613_900_000_000, count)
    ids = [f"{seed}-{i}" for i in range(count)]
    columns: dict[str, Any] = {
        "role": np.arange(count) % 2,
        "type": draw.integers(0, 3, count),
        "time": start + np.arange(count) * spacing_ms,
        "id": ids,
        "call_id": ids,
        "caller": callers,
        "callee": callers[::-1].copy(),
        "from_network": _one_of(draw, ["CM", "CU", "CT"], count),
        "to_network": _one_of(draw, ["CM", "CU", "CT"], count),
        "trunk": _one_of(draw, [f"T-{i:02d}" for i in range(40)], count),
        "answered": draw.integers(0, 3, count),
        "ring_ms": draw.integers(-1, 30_000, count),
        "talk_ms": draw.integers(-1, 300_000, count),
        "cause": draw.integers(-1, 128, count),
    }
    arrays = [
        pa.array(columns.get(field.name, [_absent(field)] * count)).cast(field.type) for field in FRAME_SCHEMA
    ]
    return pa.record_batch(arrays, schema=FRAME_SCHEMA)


def an_alert(**changes: Any) -> Alert:
    values: dict[str, Any] = {
        "alert_id": "a" * 32,
        "detector": "burst",
        "kind": "burst dialling",
        "severity": "high",
        "score": 0.93,
        "subject": Subject("number", f"+{CALLER}"),
        "window": Window(BASE - 600_000, BASE),
        "first_seen": BASE - 590_123,
        "last_seen": BASE - 1_877,
        "calls": 120,
        "evidence": [Evidence("rate", 12.0, 0.5, 0.6), Evidence("answer_ratio", 0.01, 0.5, 0.4)],
        "sample_call_ids": ["c-1", "c-2"],
        "networks": ["CM"],
        "trunks": [TRUNK],
        "message": "+8613800138000 dialled 120 numbers in ten minutes, one answered: it's burst dialling",
        "config_hash": "c" * 16,
        "version": 1,
        "plan_version": "2026.11",
        "proposals": [Proposal(Match(caller=f"+{CALLER}"), BlastRadius(120, 1, 119))],
        "findings": [Statement("burst", "burst dialling", "high", 0.93, "burst dialling", 1)],
        "entries": [Entry(TRUNK, "CM", 120)],
    }
    return Alert(**(values | changes))


def campaigns_of(*alerts: Alert) -> list[Campaign]:
    """Every version of the campaigns that these alerts make."""
    campaigns = Campaigns(CampaignSettings())
    changes = [change for alert in alerts for change in campaigns.alert(alert, alert.last_seen)]
    return [change.campaign for change in changes if change.campaign is not None]


def a_rule(**changes: Any) -> BlockRule:
    values: dict[str, Any] = {
        "rule_id": "r" * 32,
        "version": 1,
        "sequence": 7,
        "mode": "shadow",
        "action": "block",
        "match": Match(caller=f"+{CALLER}"),
        "sip_code": 608,
        "sip_reason": "Rejected",
        "q850_cause": 21,
        "reason": "burst dialling",
        "detector": "burst",
        "severity": "high",
        "alert_ids": ["a" * 32],
        "not_before": BASE - 500_000,
        "expires_at": BASE + 100_000,
        "renewals": 0,
        "approval": Approval("auto"),
        "blast_radius": BlastRadius(120, 1, 119),
        "issued_at": BASE - 500_000,
        "issuer": "ringfence",
    }
    return BlockRule(**(values | changes))


def a_rejection(**changes: Any) -> Rejection:
    values: dict[str, Any] = {
        "topic": "calls",
        "partition": 3,
        "offset": 41,
        "index": 2,
        "reason": "type",
        "field": "caller",
        "value": "13800138000",
        "expected": "a string",
        "message": "caller is 13800138000; expected a string",
        "original": "eyJpZCI6MX0=",
        "original_bytes": 8,
    }
    return Rejection(**(values | changes))


def a_summary(**changes: Any) -> Summary:
    seconds = BASE // 1000
    row = SummaryRow(
        second=seconds - 60,
        trunk=TRUNK,
        from_network="CM",
        to_network="CU",
        attempts=10,
        ends=8,
        answered=4,
        short=3,
        ring_ms=48_000,
        rings=8,
        talk_ms=40_000,
        callees=0,
    )
    values: dict[str, Any] = {
        "partition": 1,
        "offset": 77,
        "newest": BASE,
        "rows": [
            row,
            msgspec.structs.replace(row, second=seconds - 59),
            msgspec.structs.replace(row, second=seconds, trunk="SH-IC-02"),
        ],
    }
    return summary_of(**(values | changes))


def a_command(**changes: Any) -> Command:
    values: dict[str, Any] = {
        "command_id": "k" * 32,
        "who": "li.wei",
        "at": BASE - 60_000,
        "what": "revoke",
        "id": "r" * 32,
        "why": "the bank's own line",
        "details": {"ticket": "4711"},
    }
    return Command(**(values | changes))


def an_outcome(**changes: Any) -> CommandOutcome:
    values: dict[str, Any] = {
        "command_id": "k" * 32,
        "who": "li.wei",
        "at": BASE - 59_000,
        "issued_at": BASE - 60_000,
        "what": "revoke",
        "id": "r" * 32,
        "why": "the bank's own line",
        "ok": True,
        "message": "the rule is revoked",
        "rules": ["r" * 32],
    }
    return CommandOutcome(**(values | changes))


def sample() -> list[Rows]:
    """An afternoon: a burst dialler, a flooded callee, ordinary traffic, rules, refusals and a command."""
    events = [
        {
            "time": BASE - 600_000 + i * 5_000,
            "id": f"burst-{i}",
            "caller": CALLER,
            "callee": 8_613_900_000_000 + i,
            "trunk": TRUNK,
            "from_network": "CM",
            "to_network": "CU",
        }
        for i in range(120)
    ] + [
        {
            "time": BASE - 300_000 + i * 1_000,
            "id": f"flood-{i}",
            "caller": 8_615_000_000_000 + i * 7_919,
            "callee": CALLEE,
            "trunk": "SH-IC-02",
            "from_network": "CT",
            "to_network": "CU",
            "answered": int(Tristate.TRUE if i == 3 else Tristate.FALSE),
            "type": int(EventType.CDR),
        }
        for i in range(60)
    ]
    end = {"type": int(EventType.END), "id": "burst-0-end", "time": BASE - 590_000, "ring_ms": 4_000}
    frames = frame([*events, {**events[0], **end}])
    rule, ended = a_rule(), a_rule(rule_id="e" * 32, match=Match(callee=f"+{CALLEE}"))
    flood = an_alert(
        alert_id="b" * 32,
        detector="flood",
        kind="call bombing",
        severity="critical",
        subject=Subject("callee", f"+{CALLEE}"),
        calls=60,
        networks=["CT"],
        trunks=["SH-IC-02", TRUNK],
        message="+861065529988 is called by 60 numbers in a minute",
    )
    return [
        rows_of_calls(frames),
        rows_of_alert(an_alert(calls=50)),
        rows_of_alert(an_alert(version=2)),
        rows_of_alert(flood),
        *(rows_of_campaign(each) for each in campaigns_of(an_alert(version=2), flood)),
        rows_of_rule_change(RuleChange(rule.rule_id, rule, rule.issued_at), 10),
        rows_of_rule_change(RuleChange(ended.rule_id, ended, ended.issued_at), 11),
        rows_of_rule_change(RuleChange(ended.rule_id, None, BASE - 60_000, "revoked"), 12),
        rows_of_rule_change(RuleChange(rule.rule_id, a_rule(version=2, renewals=1), BASE - 10_000), 13),
        rows_of_rejection(a_rejection(), BASE - 5_000),
        rows_of_rejection(a_rejection(index=3), BASE - 5_000),
        rows_of_summary(a_summary()),
        rows_of_command(a_command()),
        rows_of_outcome(an_outcome()),
        rows_of_command(a_command(command_id="p" * 32, what="approve", at=BASE - 1_000)),
    ]


def _one_of(draw: np.random.Generator, names: list[str], count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(draw.integers(0, len(names), count).astype(np.int32), names)


def _absent(field: pa.Field) -> Any:
    if field.name in ("answered", "roaming"):
        return int(Tristate.UNKNOWN)
    if field.name in ("ring_ms", "talk_ms", "cause", "sip_code", "presentation", "screening"):
        return UNKNOWN
    if field.name == "role":
        return int(Role.CALLER)
    return "" if pa.types.is_string(field.type) or pa.types.is_dictionary(field.type) else 0
