"""What a judgement says: plain records that can be written, read back and put together."""

from __future__ import annotations

import msgspec

from detectors.alert import SEVERITIES, Severity

FOUND_FROM: Severity = "medium"
"""A campaign is found by an alert of at least this severity."""


class CampaignOutcome(msgspec.Struct, frozen=True):
    """What became of one campaign."""

    campaign: str
    kind: str
    size: str
    first: int
    """Its first call, ms since the epoch."""
    calls: int
    blocked: int
    alerts: int
    """That belong to it, of any severity."""
    severity: Severity | None
    """The highest of its alerts."""
    detectors: list[str]
    """That found something in its alerts, sorted."""
    calls_to_alert: int | None
    """Its calls up to the first version of an alert of it that was of FOUND_FROM or above."""
    seconds_to_alert: float | None
    """From its first call until then, at least 0."""
    calls_to_rule: int | None
    """Its calls up to the issue of the rule that blocked the first call of it that was blocked."""
    seconds_to_rule: float | None

    @property
    def found(self) -> bool:
        return self.severity is not None and at_least(self.severity, FOUND_FROM)


class RuleOutcome(msgspec.Struct, frozen=True):
    """What one rule blocked: the calls it decided about."""

    rule_id: str
    detector: str
    severity: Severity
    score: float
    """The highest of the alerts it names, 0 where none of them is known."""
    kind: str
    size: str
    """Of the campaign it is about: most of the calls it blocked, else its alerts; empty: of none."""
    malicious: int
    legitimate: int


class DetectorOutcome(msgspec.Struct, frozen=True):
    detector: str
    alerts: int
    stray: dict[str, int]
    """Alerts without a campaign, by severity."""


class WrongBlock(msgspec.Struct, frozen=True):
    """A legitimate call that was blocked."""

    time: int
    caller: str
    callee: str
    trunk: str
    rule_id: str
    detector: str
    reason: str


class Judgement(msgspec.Struct, frozen=True):
    """One run judged."""

    calls: int
    malicious: int
    blocked: int
    """Malicious calls that were blocked."""
    wrongly_blocked: int
    wrongly_blocked_callers: int
    """Callers of those, each counted once."""
    eased: int
    """Malicious calls that a rule throttles or labels and none blocks."""
    wrongly_eased: int
    campaigns: list[CampaignOutcome]
    rules: list[RuleOutcome]
    """Those that blocked a call."""
    detectors: list[DetectorOutcome]
    wrong: list[WrongBlock]
    """The first `MOST_WRONG` calls that were wrongly blocked."""

    @property
    def legitimate(self) -> int:
        return self.calls - self.malicious


def at_least(severity: str, least: Severity) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)
