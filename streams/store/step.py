"""Records as rows of the store's tables (config/clickhouse/schema.yaml). Pure, and the same each time."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from detectors.alert import Alert
from detectors.calls import (
    UNKNOWN,
    EventType,
    Gateway,
    NumberKind,
    NumberStatus,
    ReleasedBy,
    Role,
    Tristate,
)
from detectors.campaigns import Campaign
from streams.store.ports import Rows
from streams.wire.records import BlockRule, Command, CommandOutcome, Rejection, RuleChange
from streams.wire.summaries import Summary

__all__ = [
    "Rows",
    "rows_of_alert",
    "rows_of_calls",
    "rows_of_campaign",
    "rows_of_command",
    "rows_of_outcome",
    "rows_of_rejection",
    "rows_of_rule_change",
    "rows_of_summary",
]

_json = msgspec.json.Encoder()


def rows_of_alert(alert: Alert) -> Rows:
    """One row of ``alerts``."""
    return _row(
        "alerts",
        alert_id=alert.alert_id,
        version=alert.version,
        detector=alert.detector,
        kind=alert.kind,
        severity=alert.severity,
        score=alert.score,
        subject_type=alert.subject.type,
        subject=alert.subject.value,
        window_start_ms=alert.window.start,
        window_end_ms=alert.window.end,
        first_seen_ms=alert.first_seen,
        last_seen_ms=alert.last_seen,
        calls=alert.calls,
        **{
            "evidence.feature": [item.feature for item in alert.evidence],
            "evidence.actual": [item.actual for item in alert.evidence],
            "evidence.typical": [item.typical for item in alert.evidence],
            "evidence.weight": [item.weight for item in alert.evidence],
        },
        sample_call_ids=alert.sample_call_ids,
        networks=alert.networks,
        trunks=alert.trunks,
        message=alert.message,
        config_hash=alert.config_hash,
        plan_version=alert.plan_version,
        proposals=_text(alert.proposals),
        **{
            "findings.detector": [item.detector for item in alert.findings],
            "findings.kind": [item.kind for item in alert.findings],
            "findings.severity": [item.severity for item in alert.findings],
            "findings.score": [item.score for item in alert.findings],
            "findings.message": [item.message for item in alert.findings],
            "findings.withheld": [item.withheld for item in alert.findings],
            "entries.trunk": [item.trunk for item in alert.entries],
            "entries.network": [item.network for item in alert.entries],
            "entries.calls": [item.calls for item in alert.entries],
        },
    )


def rows_of_campaign(campaign: Campaign) -> Rows:
    """One row of ``campaigns``."""
    return _row(
        "campaigns",
        campaign_id=campaign.campaign_id,
        version=campaign.version,
        opened_ms=campaign.opened,
        status=campaign.status,
        severity=campaign.severity,
        first_seen_ms=campaign.first_seen,
        last_seen_ms=campaign.last_seen,
        calls=campaign.calls,
        alert_count=campaign.alert_count,
        **{
            "alerts.alert_id": [item.alert_id for item in campaign.alerts],
            "alerts.calls": [item.calls for item in campaign.alerts],
            "alerts.trunk": [item.trunk for item in campaign.alerts],
            "alerts.network": [item.network for item in campaign.alerts],
            "subjects.type": [item.type for item in campaign.subjects],
            "subjects.value": [item.value for item in campaign.subjects],
        },
        detectors=campaign.detectors,
        kinds=campaign.kinds,
        entry_trunk=campaign.entry_trunk,
        operator=campaign.operator,
        callees=campaign.callees,
        sample_call_ids=campaign.sample_call_ids,
        related=campaign.related,
        story=campaign.story,
    )


def rows_of_rule_change(change: RuleChange, offset: int = 0) -> Rows:
    """One row of ``rules``: a version of a rule, or its end.

    ``offset`` is that of the record of `block-rules`; what is last on that topic holds.
    """
    common = {"rule_id": change.rule_id, "offset": offset, "at_ms": change.at, "why": change.why}
    if change.rule is None:
        return _row("rules", **common, **_ENDED, not_before_ms=change.at)
    return _row("rules", **common, **_live(change.rule), not_before_ms=change.rule.not_before)


def rows_of_rejection(rejection: Rejection, at: int) -> Rows:
    """One row of ``rejected``; ``at`` is the Kafka timestamp of the record on `calls.rejected`, ms."""
    return _row(
        "rejected",
        topic=rejection.topic,
        partition=rejection.partition,
        offset=rejection.offset,
        index=rejection.index,
        at_ms=at,
        reason=rejection.reason,
        field=rejection.field,
        value=rejection.value,
        expected=rejection.expected,
        message=rejection.message,
        original=rejection.original,
        original_bytes=rejection.original_bytes,
        truncated=int(rejection.truncated),
    )


def rows_of_summary(summary: Summary) -> Rows:
    """Rows of ``traffic``: the seconds of the summary added up by minute, trunk and network pair."""
    sums: dict[tuple[int, str, str, str], list[int]] = {}
    for row in summary.rows():
        key = (row.second // 60 * 60, row.trunk, row.from_network, row.to_network)
        total = sums.setdefault(key, [0] * len(_SUMS))
        for i, name in enumerate(_SUMS):
            total[i] += getattr(row, name)
    keys = sorted(sums)
    by_column = {
        "minute": [key[0] for key in keys],
        "trunk": [key[1] for key in keys],
        "from_network": [key[2] for key in keys],
        "to_network": [key[3] for key in keys],
        "partition": [summary.partition] * len(keys),
        "offset": [summary.offset] * len(keys),
    } | {name: [sums[key][i] for key in keys] for i, name in enumerate(_SUMS)}
    return Rows("traffic", list(by_column), list(by_column.values()))


def rows_of_calls(batch: pa.RecordBatch) -> Rows:
    """Rows of ``calls``: the events of ``batch`` (FRAME_SCHEMA) as seen from their caller, once each."""
    seen = batch.filter(pc.equal(batch["role"], int(Role.CALLER)))
    by_column = {
        "time_ms": seen["time"],
        "type": _named(seen["type"], _EVENT_TYPES),
        "id": seen["id"],
        "call_id": seen["call_id"],
        "caller": _spelt(seen["caller"], seen["caller_text"]),
        "callee": _spelt(seen["callee"], seen["callee_text"]),
        "caller_status": _named(seen["caller_status"], _STATUSES),
        "callee_status": _named(seen["callee_status"], _STATUSES),
        "caller_kind": _named(seen["caller_kind"], _KINDS),
        "callee_kind": _named(seen["callee_kind"], _KINDS),
        "gateway": _named(seen["gateway"], _GATEWAYS),
        "answered": _given(seen["answered"], int(Tristate.UNKNOWN)),
        "ring_ms": _given(seen["ring_ms"], UNKNOWN),
        "talk_ms": _given(seen["talk_ms"], UNKNOWN),
        "cause": _given(seen["cause"], UNKNOWN),
        "sip_code": _given(seen["sip_code"], UNKNOWN),
        "released_by": _named(seen["released_by"], _RELEASED_BY),
        "roaming": _given(seen["roaming"], int(Tristate.UNKNOWN)),
        "presentation": _given(seen["presentation"], UNKNOWN),
        "screening": _given(seen["screening"], UNKNOWN),
        "redirecting": _spelt_or_empty(seen["redirecting"]),
    } | {name: seen[name] for name in _COPIED}
    return Rows("calls", list(by_column), list(by_column.values()))


def rows_of_command(command: Command) -> Rows:
    """One row of ``commands``."""
    return _row(
        "commands",
        command_id=command.command_id,
        who=command.who,
        at_ms=command.at,
        what=command.what,
        id=command.id,
        why=command.why,
        details=_text(command.details),
    )


def rows_of_outcome(outcome: CommandOutcome) -> Rows:
    """One row of ``outcomes``: what became of a command."""
    return _row(
        "outcomes",
        command_id=outcome.command_id,
        outcome="done" if outcome.ok else "refused",
        at_ms=outcome.at,
        issued_at_ms=outcome.issued_at,
        message=outcome.message,
        rules=outcome.rules,
    )


_SUMS = ("attempts", "ends", "answered", "short", "ring_ms", "rings", "talk_ms")
_COPIED = ("caller_operator", "from_network", "to_network", "trunk", "probe", "attest", "verstat")
_EVENT_TYPES = [item.name.lower() for item in EventType]
_STATUSES = [item.name.lower() for item in NumberStatus]
_KINDS = [item.name.lower() for item in NumberKind]
_GATEWAYS = [item.name.lower() for item in Gateway]
_RELEASED_BY = [item.name.lower() for item in ReleasedBy]


def _live(rule: BlockRule) -> dict[str, Any]:
    return {
        "state": "live",
        "version": rule.version,
        "sequence": rule.sequence,
        "mode": rule.mode,
        "action": rule.action,
        "caller": rule.match.caller or "",
        "callee": rule.match.callee or "",
        "trunk": rule.match.trunk or "",
        "network": rule.match.network or "",
        "gateway": rule.match.gateway or "",
        "cps": rule.cps,
        "divert_to": rule.divert_to or "",
        "label": rule.label or "",
        "sip_code": rule.sip_code,
        "sip_reason": rule.sip_reason,
        "q850_cause": rule.q850_cause,
        "reason": rule.reason,
        "detector": rule.detector,
        "severity": rule.severity,
        "alert_ids": rule.alert_ids,
        "expires_at_ms": rule.expires_at,
        "renewals": rule.renewals,
        "approval_state": rule.approval.state,
        "approval_by": rule.approval.by,
        "approval_at_ms": rule.approval.at,
        "calls_24h": rule.blast_radius.calls_24h,
        "callers": rule.blast_radius.callers,
        "callees": rule.blast_radius.callees,
        "issued_at_ms": rule.issued_at,
        "issuer": rule.issuer,
        "signature": rule.signature,
    }


_ENDED: dict[str, Any] = {
    "state": "ended",
    "version": 0,
    "sequence": 0,
    "mode": "",
    "action": "",
    "caller": "",
    "callee": "",
    "trunk": "",
    "network": "",
    "gateway": "",
    "cps": None,
    "divert_to": "",
    "label": "",
    "sip_code": 0,
    "sip_reason": "",
    "q850_cause": 0,
    "reason": "",
    "detector": "",
    "severity": "",
    "alert_ids": [],
    "expires_at_ms": 0,
    "renewals": 0,
    "approval_state": "",
    "approval_by": "",
    "approval_at_ms": 0,
    "calls_24h": 0,
    "callers": 0,
    "callees": 0,
    "issued_at_ms": 0,
    "issuer": "",
    "signature": "",
}


def _row(table: str, **values: Any) -> Rows:
    return Rows(table, list(values), [[value] for value in values.values()])


def _text(record: Any) -> str:
    return _json.encode(record).decode()


def _named(codes: pa.Array, names: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(codes.cast(pa.int8()), pa.array(names))


def _given(values: pa.Array, absent: int) -> pa.Array:
    return pc.if_else(pc.equal(values, absent), pa.scalar(None, values.type), values)


def _spelt(numbers: pa.Array, texts: pa.Array) -> pa.Array:
    """As ``detectors.calls.spell`` does it, a column at a time."""
    return pc.if_else(pc.greater_equal(numbers, 0), _with_plus(numbers), texts)


def _spelt_or_empty(numbers: pa.Array) -> pa.Array:
    return pc.if_else(pc.greater(numbers, 0), _with_plus(numbers), "")


def _with_plus(numbers: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise("+", numbers.cast(pa.utf8()), "")
