"""Rows of the store as records again: what `streams.store.step` wrote, read back."""

from __future__ import annotations

from typing import Any

import msgspec

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
from detectors.campaigns import Campaign, CampaignAlert
from streams.store.ports import Store
from streams.switches.validation import rule_id_of
from streams.wire.records import ISSUED, Approval, BlockRule, RuleChange

MOST_IDS = 10


def ids_beginning_with(store: Store, digits: str) -> list[str]:
    """Ids of alerts, at most ten. Raises StoreError."""
    sql = (
        "SELECT DISTINCT alert_id FROM alerts WHERE startsWith(alert_id, %(digits)s) "
        f"ORDER BY alert_id LIMIT {MOST_IDS}"
    )
    return [str(alert_id) for (alert_id,) in store.query(sql, {"digits": digits}).rows]


def alert_of(store: Store, alert_id: str) -> Alert:
    """The newest version of an alert that is there. Raises StoreError."""
    sql = "SELECT * FROM alerts WHERE alert_id = %(id)s ORDER BY version DESC LIMIT 1"
    (row,) = store.query(sql, {"id": alert_id}).dicts()
    evidence = zip(*(row[f"evidence.{name}"] for name in Evidence.__struct_fields__), strict=True)
    findings = zip(*(row[f"findings.{name}"] for name in Statement.__struct_fields__), strict=True)
    entries = zip(*(row[f"entries.{name}"] for name in Entry.__struct_fields__), strict=True)
    return Alert(
        alert_id=row["alert_id"],
        detector=row["detector"],
        kind=row["kind"],
        severity=row["severity"],
        score=row["score"],
        subject=Subject(row["subject_type"], row["subject"]),
        window=Window(row["window_start_ms"], row["window_end_ms"]),
        first_seen=row["first_seen_ms"],
        last_seen=row["last_seen_ms"],
        calls=row["calls"],
        evidence=[Evidence(*values) for values in evidence],
        sample_call_ids=list(row["sample_call_ids"]),
        networks=list(row["networks"]),
        trunks=list(row["trunks"]),
        message=row["message"],
        config_hash=row["config_hash"],
        version=row["version"],
        plan_version=row["plan_version"],
        proposals=msgspec.json.decode(row["proposals"] or "[]", type=list[Proposal]),
        findings=[Statement(*values) for values in findings],
        entries=[Entry(*values) for values in entries],
    )


def rules_of(store: Store, alert: Alert) -> dict[str, RuleChange]:
    """The last that is there of each rule that the alert proposes, by id. Raises StoreError."""
    ids = [rule_id_of(proposal.match, action) for proposal in alert.proposals for action in ISSUED]
    if not ids:
        return {}
    sql = (
        "SELECT * FROM rules WHERE rule_id IN %(ids)s "
        "ORDER BY offset DESC, at_ms DESC, state DESC LIMIT 1 BY rule_id"
    )
    return {
        row["rule_id"]: RuleChange(row["rule_id"], _rule(row), row["at_ms"], row["why"])
        for row in store.query(sql, {"ids": ids}).dicts()
    }


def campaign_with(store: Store, alert_id: str) -> Campaign | None:
    """The campaign that has this alert, as of its newest version; None where none has. Raises StoreError."""
    sql = (
        "SELECT * FROM campaigns WHERE has(alerts.alert_id, %(id)s) "
        "ORDER BY last_seen_ms DESC, version DESC LIMIT 1"
    )
    found = store.query(sql, {"id": alert_id}).dicts()
    return _campaign(found[0]) if found else None


def _rule(row: dict[str, Any]) -> BlockRule | None:
    if row["state"] == "ended":
        return None
    parts = ("caller", "callee", "trunk", "network", "gateway")
    return BlockRule(
        rule_id=row["rule_id"],
        version=row["version"],
        sequence=row["sequence"],
        mode=row["mode"],
        action=row["action"],
        match=Match(**{part: row[part] or None for part in parts}),
        sip_code=row["sip_code"],
        sip_reason=row["sip_reason"],
        q850_cause=row["q850_cause"],
        reason=row["reason"],
        detector=row["detector"],
        severity=row["severity"],
        alert_ids=list(row["alert_ids"]),
        not_before=row["not_before_ms"],
        expires_at=row["expires_at_ms"],
        renewals=row["renewals"],
        approval=Approval(row["approval_state"], row["approval_by"], row["approval_at_ms"]),
        blast_radius=BlastRadius(row["calls_24h"], row["callers"], row["callees"]),
        issued_at=row["issued_at_ms"],
        issuer=row["issuer"],
    )


def _campaign(row: dict[str, Any]) -> Campaign:
    """As far as the store has it: what only decides which alerts join it is left out."""
    names = ("alert_id", "calls", "trunk", "network")
    alerts = zip(*(row[f"alerts.{name}"] for name in names), strict=True)
    subjects = zip(row["subjects.type"], row["subjects.value"], strict=True)
    return Campaign(
        campaign_id=row["campaign_id"],
        version=row["version"],
        status=row["status"],
        severity=row["severity"],
        opened=row["opened_ms"],
        first_seen=row["first_seen_ms"],
        last_seen=row["last_seen_ms"],
        calls=row["calls"],
        alerts=[
            CampaignAlert(alert_id, 0, "", "", "", calls, trunk, network)
            for alert_id, calls, trunk, network in alerts
        ],
        alert_count=row["alert_count"],
        detectors=list(row["detectors"]),
        kinds=list(row["kinds"]),
        subjects=[Subject(*values) for values in subjects],
        entry_trunk=row["entry_trunk"],
        operator=row["operator"],
        story=row["story"],
        callees=list(row["callees"]),
        sample_call_ids=list(row["sample_call_ids"]),
        related=list(row["related"]),
    )
