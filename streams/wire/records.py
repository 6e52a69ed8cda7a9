"""Typed records of the topics that carry JSON, besides call events and alerts.

``encode`` writes any of them (and `Alert`) with orjson-compatible JSON; ``decode`` reads one back and
raises ``msgspec.ValidationError`` that names the path, the value's type and what was expected.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from detectors.alert import BlastRadius, Match, Severity

Mode = Literal["report", "shadow", "enforce"]
Action = Literal["block", "throttle", "divert", "label"]
ISSUED: tuple[Action, ...] = ("block", "throttle", "label")
"""Actions of the rules that `respond` issues."""


class SourceRecord(msgspec.Struct, frozen=True):
    """One record as it came from a topic or a file: what an input step is given."""

    value: bytes
    topic: str
    partition: int
    offset: int
    timestamp: int | None
    """Kafka's own record timestamp in ms; None where there is none (a file)."""


class Rejection(msgspec.Struct, frozen=True):
    """A call event that was refused. The contract of `calls.rejected` (config/schemas/rejection.json)."""

    topic: str
    partition: int
    offset: int
    index: int
    """Position of the event in its message, from 0."""
    reason: str
    """A code from ``streams.ingest.reasons``."""
    field: str
    value: str
    expected: str
    message: str
    """One sentence."""
    original: str
    """The event's bytes in base64."""
    original_bytes: int
    """Their full length; more than was kept where ``truncated``."""
    truncated: bool = False


class Approval(msgspec.Struct, frozen=True):
    state: Literal["auto", "pending", "approved", "rejected", "revoked"]
    by: str = ""
    at: int = 0


class BlockRule(msgspec.Struct, frozen=True, omit_defaults=False):
    """A rule for switches. The contract of `block-rules` (config/schemas/block-rule.json)."""

    rule_id: str
    version: int
    sequence: int
    mode: Mode
    action: Action
    match: Match
    sip_code: int
    sip_reason: str
    q850_cause: int
    reason: str
    detector: str
    severity: Severity
    alert_ids: list[str]
    not_before: int
    expires_at: int
    renewals: int
    approval: Approval
    blast_radius: BlastRadius
    issued_at: int
    issuer: str
    signature: str = ""
    cps: float | None = None
    divert_to: str | None = None
    label: str | None = None
    revoked_alert_ids: list[str] = []
    """Alerts that may not have this rule back, since a person revoked it; nothing to a switch."""


class RuleChange(msgspec.Struct, frozen=True):
    """A rule that was issued or changed, or (``rule`` is None) one that ended at ``at``."""

    rule_id: str
    rule: BlockRule | None
    at: int
    why: str = ""


class ListEntry(msgspec.Struct, frozen=True):
    """One entry of a list; the record key on `lists` is ``entry_id``, a tombstone removes it.

    What the fields mean in each list: docs/lists.md.
    """

    entry_id: str
    list: Literal["allow", "refusal", "consent", "portability", "company"]
    type: Literal["number", "prefix", "trunk"]
    value: str
    owner: str
    reason: str
    expires_at: int | None = None
    caller: str = ""
    category: Literal["", "marketing", "notification", "service", "collection"] = ""


class Command(msgspec.Struct, frozen=True):
    """Who, when, what, on which id, why. The contract of `commands`."""

    command_id: str
    who: str
    at: int
    what: Literal["approve", "reject", "revoke", "revoke_all", "allow", "disallow", "verdict", "complaint"]
    id: str
    why: str
    details: dict[str, str] = {}


class Lesson(msgspec.Struct, frozen=True):
    """What a label taught `reputation`. The contract of `lessons` (config/schemas/lesson.json)."""

    lesson_id: str
    at: int
    """When the label was given, ms."""
    subject: str
    malicious: bool
    vectors: list[dict[str, float]]
    predicted: list[float]
    """What the model made of each before the label came; -1 where it knew too little."""
    command_id: str
    """The verdict, or the complaint that was one too many."""


class ListChange(msgspec.Struct, frozen=True):
    """What to write to `lists`: an entry, or (``entry`` is None) the tombstone of one."""

    entry_id: str
    entry: ListEntry | None


class CommandOutcome(msgspec.Struct, frozen=True):
    """What became of a command: a row of the audit table. ``command_id`` is its id."""

    command_id: str
    who: str
    at: int
    """Event time at which it was carried out or refused; the command's own time is ``issued_at``."""
    issued_at: int
    what: str
    id: str
    why: str
    ok: bool
    message: str
    """One sentence: what was done, or why not and what to do instead."""
    rules: list[str] = []
    """Ids of the rules it changed or ended."""
    lists: list[ListChange] = []


class Refusal(msgspec.Struct, frozen=True):
    """A rule that was proposed and not issued, or a list entry that was not understood."""

    at: int
    subject_id: str
    """The alert or the list entry."""
    rule_id: str
    """Empty for a list entry."""
    guard: str
    """Which guard refused: allowed, protected, breadth, empty, text, stale, full, entry."""
    message: str


T = TypeVar("T")

_encoder = msgspec.json.Encoder()


def encode(record: msgspec.Struct) -> bytes:
    return _encoder.encode(record)


def decode(data: bytes, type_: type[T]) -> T:
    """``data`` as a ``type_``. Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return msgspec.json.decode(data, type=type_)
