"""Whether a record of `block-rules` is a rule that a switch may believe."""

from __future__ import annotations

import msgspec

from detectors.alert import Match, content_id
from streams.switches.patterns import country_code_of, read_pattern
from streams.switches.protected import ProtectedNumbers
from streams.wire.records import BlockRule, decode

MAX_RECORD_BYTES = 65_536
MIN_DIGITS_AFTER_COUNTRY = 3
"""No rule of any issuer may be about more of a country than this prefix; `respond` asks for more."""
MAX_NUMBER_DIGITS = 24
"""E.164 has 15 digits; dialled numbers with prefixes and extensions have more."""
MAX_LIFE_MS = 7 * 86_400_000
"""A rule that claims to live longer than this from its last version on is not believed."""
LATEST_MS = 10**13 - 1
"""No time of a rule is beyond 13 digits of ms since the epoch (the year 2286)."""


def rule_id_of(match: Match, action: str) -> str:
    """The id of the rule with this match and action; the key of its record."""
    return content_id([msgspec.to_builtins(match), action])


def read_rule(key: str, value: bytes, protected: ProtectedNumbers) -> BlockRule:
    """The rule in a record. Raises ``msgspec.MsgspecError`` or ``ValueError`` that says what is wrong."""
    if len(value) > MAX_RECORD_BYTES:
        raise ValueError(f"the record has {len(value)} bytes, at most {MAX_RECORD_BYTES} are expected")
    rule = decode(value, BlockRule)
    if rule.rule_id != key:
        raise ValueError(f"rule_id is {rule.rule_id!r}, the record's key is {key!r}: they must be the same")
    expected = rule_id_of(rule.match, rule.action)
    if rule.rule_id != expected:
        raise ValueError(f"rule_id is {rule.rule_id!r}, its match and action give {expected!r}")
    _check_match(rule, protected)
    _check_times(rule)
    _check_answer(rule)
    _check_action(rule)
    return rule


def _check_match(rule: BlockRule, protected: ProtectedNumbers) -> None:
    match = rule.match
    if match.caller is None and match.callee is None and match.trunk is None:
        raise ValueError("match names neither a caller nor a callee nor a trunk")
    for field in ("caller", "callee", "trunk", "network"):
        if getattr(match, field) == "":
            raise ValueError(f"match.{field} is empty")
    _check_party("caller", match.caller)
    _check_party("callee", match.callee)
    stopped = protected.stopped_by(match, rule.action)
    if stopped is not None:
        raise ValueError(f"match {msgspec.to_builtins(match)} would stop {stopped}, which no rule may stop")


def _check_party(field: str, pattern: str | None) -> None:
    if pattern is None:
        return
    kind, digits = read_pattern(pattern)
    if kind != "text" and len(digits) > MAX_NUMBER_DIGITS:
        raise ValueError(f"match.{field} {pattern!r} has more than {MAX_NUMBER_DIGITS} digits")
    if kind == "prefix" and len(digits) < len(country_code_of(digits)) + MIN_DIGITS_AFTER_COUNTRY:
        raise ValueError(
            f"match.{field} {pattern!r} is too wide: a prefix needs {MIN_DIGITS_AFTER_COUNTRY} digits "
            "after its country code"
        )


def _check_times(rule: BlockRule) -> None:
    if rule.version < 1 or rule.sequence < 1:
        raise ValueError(f"version {rule.version} and sequence {rule.sequence} must both be at least 1")
    if not 0 <= rule.not_before <= rule.expires_at <= LATEST_MS:
        raise ValueError(
            f"not_before {rule.not_before} and expires_at {rule.expires_at} are not ms since the epoch"
        )
    if rule.not_before >= rule.expires_at:
        raise ValueError(f"not_before {rule.not_before} is not before expires_at {rule.expires_at}")
    if rule.expires_at - rule.issued_at > MAX_LIFE_MS:
        raise ValueError(
            f"expires_at is {rule.expires_at - rule.issued_at} ms after issued_at, at most {MAX_LIFE_MS}"
        )


def _check_answer(rule: BlockRule) -> None:
    if not 400 <= rule.sip_code <= 699:
        raise ValueError(f"sip_code is {rule.sip_code}, expected 400 to 699")
    if not 1 <= rule.q850_cause <= 127:
        raise ValueError(f"q850_cause is {rule.q850_cause}, expected 1 to 127")


def _check_action(rule: BlockRule) -> None:
    if rule.action == "throttle" and not (rule.cps is not None and rule.cps > 0):
        raise ValueError(f"cps is {rule.cps}, a rule that throttles needs a rate above 0")
    if rule.action == "divert" and not rule.divert_to:
        raise ValueError("divert_to is missing in a rule that diverts")
    if rule.action == "label" and not rule.label:
        raise ValueError("label is missing in a rule that labels")
