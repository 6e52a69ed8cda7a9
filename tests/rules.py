"""Alerts and rules for the tests of what issues, carries and applies rules."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from config.settings import DetectorsSettings, Settings
from detectors.alert import Alert, BlastRadius, Match, Proposal, Severity, Subject, Window
from streams.switches.validation import rule_id_of
from streams.wire.records import Approval, BlockRule, RuleChange

T0 = 1_750_000_000_000
TTL = 600_000
CALLER = "+8613800138000"
CALLEE = "+8613900139000"


def settings(mode: str = "enforce", **respond: Any) -> Settings:
    """Settings in which every detector may do what ``mode`` says."""
    detectors = {name: {"mode": "enforce"} for name in DetectorsSettings.model_fields}
    return Settings.model_validate({"respond": {"mode": mode, **respond}, "detectors": detectors})


def alert(
    *matches: Match,
    last_seen: int = T0,
    alert_id: str = "a",
    severity: Severity = "high",
    version: int = 1,
    detector: str = "burst",
    kind: str = "burst",
    message: str = "",
) -> Alert:
    return Alert(
        alert_id=alert_id,
        detector=detector,
        kind=kind,
        severity=severity,
        score=0.9,
        subject=Subject("number", CALLER),
        window=Window(T0 - 60_000, T0),
        first_seen=T0 - 60_000,
        last_seen=last_seen,
        calls=40,
        evidence=[],
        sample_call_ids=[],
        networks=["CM"],
        trunks=["T1"],
        message=message or f"{alert_id} version {version}",
        config_hash="c",
        version=version,
        proposals=[Proposal(match, BlastRadius(40, 1, 40)) for match in matches],
    )


def rule(match: Match | None = None, **fields: Any) -> BlockRule:
    """A rule in force at ``T0``; its id is right unless one is given."""
    match = match or Match(caller=CALLER)
    good = BlockRule(
        rule_id=rule_id_of(match, fields.get("action", "block")),
        version=1,
        sequence=T0,
        mode="enforce",
        action="block",
        match=match,
        sip_code=608,
        sip_reason="Rejected",
        q850_cause=21,
        reason="40 calls in a minute",
        detector="burst",
        severity="high",
        alert_ids=["a"],
        not_before=T0,
        expires_at=T0 + TTL,
        renewals=0,
        approval=Approval("auto"),
        blast_radius=BlastRadius(40, 1, 40),
        issued_at=T0,
        issuer="ringfence",
    )
    return replace(good, **fields)


def only(changes: list[RuleChange]) -> BlockRule:
    """The rule of the only change there is."""
    [change] = changes
    assert change.rule is not None, f"{change.rule_id} ended: {change.why}"
    return change.rule
