"""What may become a rule at all: guards that look at a proposed match alone."""

from __future__ import annotations

from typing import NamedTuple

from detectors.alert import Match
from streams.switches.patterns import country_code_of, read_pattern
from streams.switches.protected import ProtectedNumbers
from streams.wire.records import Action


class Objection(NamedTuple):
    guard: str
    """A code: ``empty``, ``breadth``, ``text``, ``protected``, ``allowed``, ``stale``, ``full``."""
    message: str


def objection_to(
    match: Match, action: Action, protected: ProtectedNumbers, min_prefix_digits: int
) -> Objection | None:
    """Why no rule may do ``action`` to the calls of this match, whoever asks for it; None if it may.

    ``min_prefix_digits`` is what a prefix must have after its country code.
    """
    return (
        _empty(match)
        or _nobody_named(match)
        or _too_short(match, min_prefix_digits)
        or _text_without_trunk(match)
        or _protected(match, action, protected)
    )


def _empty(match: Match) -> Objection | None:
    for field in ("caller", "callee", "trunk", "network"):
        if getattr(match, field) == "":
            return Objection(
                "empty", f"The match's {field} is empty, so it would mean everybody without one."
            )
    return None


def _nobody_named(match: Match) -> Objection | None:
    if match.caller is None and match.callee is None:
        what = "a whole trunk" if match.trunk is not None else "a whole network"
        return Objection("breadth", f"The match names neither a caller nor a callee: it would stop {what}.")
    return None


def _too_short(match: Match, min_prefix_digits: int) -> Objection | None:
    for field, pattern in (("caller", match.caller), ("callee", match.callee)):
        if pattern is None:
            continue
        kind, digits = read_pattern(pattern)
        least = len(country_code_of(digits)) + min_prefix_digits if kind == "prefix" else 0
        if len(digits) < least:
            return Objection(
                "breadth",
                f"The match's {field} {pattern} is too wide: {len(digits)} digits of at least {least}.",
            )
    return None


def _text_without_trunk(match: Match) -> Objection | None:
    for field, pattern in (("caller", match.caller), ("callee", match.callee)):
        if pattern is not None and match.trunk is None and read_pattern(pattern).kind == "text":
            return Objection(
                "text", f"The match's {field} {pattern!r} is no number and means something only on one trunk."
            )
    return None


def _protected(match: Match, action: Action, protected: ProtectedNumbers) -> Objection | None:
    number = protected.stopped_by(match, action)
    if number is None:
        return None
    named = " to ".join(party for party in (match.caller, match.callee) if party is not None)
    return Objection(
        "protected",
        f"A rule to {action} {named} would stop {number}: emergency and short service numbers are never "
        "stopped.",
    )
