"""The alert and what it proposes to block. The contract of the `alerts` topic (config/schemas/alert.json)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import orjson
import xxhash

SubjectType = Literal["number", "block", "callee", "trunk", "network_pair"]
Severity = Literal["info", "low", "medium", "high", "critical"]
Gateway = Literal["national", "international"]
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")
"""In rising order."""


class Subject(msgspec.Struct, frozen=True):
    type: SubjectType
    value: str
    """``+8613800138000``, ``+861380013*`` (a block), text as signalled, a trunk, ``CM>CU``."""


class Window(msgspec.Struct, frozen=True):
    """Event time in ms since the epoch, ``start`` inclusive, ``end`` exclusive."""

    start: int
    end: int


class Evidence(msgspec.Struct, frozen=True):
    feature: str
    actual: float
    typical: float
    weight: float
    """Share of the decision this feature carried, 0 to 1; the weights of one alert add up to 1."""


class Match(msgspec.Struct, frozen=True, omit_defaults=True):
    """What calls a rule is about: all given parts must agree. ``network`` is the sending one."""

    caller: str | None = None
    callee: str | None = None
    trunk: str | None = None
    network: str | None = None
    gateway: Gateway | None = None


class BlastRadius(msgspec.Struct, frozen=True):
    """What a rule would have touched in the last 24 hours of event time, as far as its detector saw."""

    calls_24h: int
    callers: int
    callees: int


class Proposal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The narrowest rule that would stop what the alert describes."""

    match: Match
    blast_radius: BlastRadius
    detector: str = ""
    """Which detector made it; empty: the alert's."""
    kind: str = ""
    """What that detector saw; empty: the alert's."""
    relies_on: str = ""
    """The detector whose independent evidence released it; empty where ``detector`` was certain by itself."""
    reason: str = ""
    """Why, in one sentence; empty: what ``detector`` says in the alert."""
    last_seen: int = 0
    """When it was last made, ms: its rule lasts from then on; 0: the alert's ``last_seen``."""


class Statement(msgspec.Struct, frozen=True):
    """What one detector says of the subject of an alert."""

    detector: str
    kind: str
    severity: Severity
    score: float
    message: str
    withheld: int = 0
    """Proposals it holds back until independent evidence agrees with it."""


class Entry(msgspec.Struct, frozen=True):
    """Where calls of an alert came in."""

    trunk: str
    network: str
    """The operator that sent them."""
    calls: int
    """Of those that were looked at: a share, not a count."""


class Alert(msgspec.Struct, frozen=True):
    """One alert; it grows: a later ``version`` of the same ``alert_id`` replaces the earlier one.

    ``detector``, ``kind``, ``message`` and the leading evidence are those of the strongest finding so far;
    ``alert_id`` names the detector that opened it, and stays.
    """

    alert_id: str
    detector: str
    kind: str
    severity: Severity
    score: float
    subject: Subject
    window: Window
    first_seen: int
    last_seen: int
    calls: int
    evidence: list[Evidence]
    sample_call_ids: list[str]
    networks: list[str]
    trunks: list[str]
    message: str
    config_hash: str
    version: int
    plan_version: str = ""
    proposals: list[Proposal] = []
    """Empty where the evidence does not carry a rule."""
    findings: list[Statement] = []
    """What each detector says, the leading one first."""
    entries: list[Entry] = []
    """By which trunk, from which operator; at most eight."""


def content_id(content: Any) -> str:
    """The id of ``content``: 32 hex digits of xxh3-128 over its JSON with sorted keys."""
    return xxhash.xxh3_128_hexdigest(orjson.dumps(msgspec.to_builtins(content), option=orjson.OPT_SORT_KEYS))
