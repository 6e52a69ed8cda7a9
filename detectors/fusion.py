"""How several detectors' findings about one subject add up.

Each finding has log-odds for abuse, from its score and what such scores were worth on labelled traffic
(``detectors.calibration``). Log-odds of independent evidence add; of dependent evidence the strongest counts.
Whether two detectors are independent is written down, not estimated: they belong to families by what they
look at, and `INDEPENDENT` lists the pairs of families that neither look at the same thing nor are fooled by
the same honest caller.

- ``identity``: whether the calling number can be whose it says (plan, route, place), not what it does.
- ``volume``: how many calls, to how many, at what rate, with what outcome.
- ``order``: in which order callees are dialled, how callers take turns.
- ``ringing``: how long it rings and who gives up.
- ``consent``: what the callee and the law have said about such calls.
- ``likeness``: learnt from the ratios that ``volume``, ``order`` and ``ringing`` are made of.
- ``traffic``: what a whole trunk carries.

``volume`` and ``order`` are not independent: a call-out system of a school works down a list. Nor are
``volume`` and ``ringing``: number verification by a missed call rings briefly, often and honestly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from detectors.alert import Evidence, Proposal
from detectors.shape import HIGH, MEDIUM
from detectors.signals import QUIET_MS

FAMILIES: Mapping[str, str] = {
    "unallocated": "identity",
    "misrouted": "identity",
    "foreign_gateway": "identity",
    "clone": "identity",
    "neighbour": "identity",
    "burst": "volume",
    "flood": "volume",
    "sweep": "order",
    "rotation": "order",
    "wangiri": "ringing",
    "policy": "consent",
    "behaviour": "likeness",
    "reputation": "likeness",
    "profile": "traffic",
}

INDEPENDENT: frozenset[frozenset[str]] = frozenset(
    frozenset(pair)
    for pair in (
        ("identity", "volume"),
        ("identity", "order"),
        ("identity", "ringing"),
        ("identity", "consent"),
        ("identity", "likeness"),
        ("order", "ringing"),
        ("consent", "volume"),
        ("consent", "order"),
        ("consent", "ringing"),
        ("consent", "likeness"),
    )
)

MOST_LOG_ODDS = 12.0
"""No finding is surer than this; its score is then 0.999994."""
LEAST_STRENGTH = 0.5
"""Log-odds that a finding weighs at least, so that its features stay in sight."""
MOST_EVIDENCE = 16
"""Features an alert lists."""


class Part(msgspec.Struct):
    """What one pattern says of a subject: its newest finding that is no weaker one of another kind."""

    pattern: int
    """The pattern, or its complement where a number of the block is meant and not the block itself."""
    detector: str
    kind: str
    level: int
    """The highest it gave."""
    log_odds: float
    evidence: list[Evidence]
    message: str
    withheld: list[Proposal] = []
    calls: int = 0
    last_seen: int = 0
    described_at: int = 0

    @property
    def of_member(self) -> bool:
        return self.pattern < 0

    @property
    def rank(self) -> tuple[int, bool, int]:
        return -self.level, self.of_member, max(self.pattern, ~self.pattern)


class Agreement(NamedTuple):
    """``level`` of the subject; ``released``: patterns whose withheld proposals count, and the detector that
    agrees with each."""

    level: int = 0
    released: Mapping[int, str] = {}


def family_of(detector: str) -> str:
    """A detector that belongs to no family is one of its own, independent of none."""
    return FAMILIES.get(detector, detector)


def independent(one: str, other: str) -> bool:
    """Whether these two detectors' evidence adds up."""
    return frozenset((family_of(one), family_of(other))) in INDEPENDENT


def log_odds_of(score: float) -> float:
    """The log-odds of a probability, at most `MOST_LOG_ODDS` either way."""
    share = min(max(score, 1e-9), 1 - 1e-9)
    return min(max(math.log(share / (1 - share)), -MOST_LOG_ODDS), MOST_LOG_ODDS)


def ranked(parts: Iterable[Part]) -> list[Part]:
    """The strongest first: by level, then what is about the subject itself, then the order of patterns."""
    return sorted(parts, key=lambda part: part.rank)


def combined_odds(parts: Sequence[Part]) -> float:
    """Log-odds of all that is said: of the leading finding and of what is independent of it, for abuse."""
    chosen: list[Part] = []
    for part in ranked(parts):
        if not chosen or (part.log_odds > 0 and all(_add_up(part, other) for other in chosen)):
            chosen.append(part)
    return min(sum(part.log_odds for part in chosen), MOST_LOG_ODDS)


def agreement(parts: Sequence[Part], time: int, least_odds: float) -> Agreement:
    """Severity of a subject at ``time`` from findings about it alone.

    It is the highest that any gives; one more where two that are independent both give it, neither older than
    ten minutes, and their log-odds together reach ``least_odds``; only medium and high rise so. In such a
    pair of at least medium findings each releases what the other withholds.
    """
    level = max((part.level for part in parts), default=0)
    if len(parts) == 1:
        return Agreement(level)
    strong = [part for part in ranked(parts) if part.level >= MEDIUM and time - part.last_seen <= QUIET_MS]
    released: dict[int, str] = {}
    raised = level
    for part in strong:
        for other in strong:
            if not _add_up(part, other) or part.log_odds + other.log_odds < least_odds:
                continue
            released.setdefault(part.pattern, other.detector)
            if part.level == other.level == level and MEDIUM <= level <= HIGH:
                raised = level + 1
    return Agreement(raised, released if raised >= HIGH else {})


def merged_evidence(parts: Sequence[Part]) -> list[Evidence]:
    """The features of all findings, the leading one's under their own names, others' as ``detector.feature``.

    A finding's features share what it weighs among them; all weights add up to 1. At most `MOST_EVIDENCE`
    features: the leading finding's, then the weightiest.
    """
    parts = ranked(parts)
    if len(parts) == 1:
        return parts[0].evidence[:MOST_EVIDENCE]
    strengths = [max(part.log_odds, LEAST_STRENGTH) for part in parts]
    whole = sum(strengths)
    listed = [
        msgspec.structs.replace(item, weight=item.weight * strength / whole)
        for part, strength in zip(parts[:1], strengths, strict=False)
        for item in part.evidence
    ]
    others = [
        msgspec.structs.replace(
            item, feature=f"{part.detector}.{item.feature}", weight=item.weight * strength / whole
        )
        for part, strength in zip(parts[1:], strengths[1:], strict=True)
        for item in part.evidence
    ]
    others.sort(key=lambda item: (-item.weight, item.feature))
    kept = (listed + others)[:MOST_EVIDENCE]
    total = sum(item.weight for item in kept) or 1.0
    return [msgspec.structs.replace(item, weight=round(item.weight / total, 4)) for item in kept]


def _add_up(one: Part, other: Part) -> bool:
    """A number's findings and its block's own, or those of two numbers, are not about the same subject."""
    return not one.of_member and not other.of_member and independent(one.detector, other.detector)
