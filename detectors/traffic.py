"""The traffic of a trunk or a pair of networks over some seconds: its sums, and the features made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from detectors.alert import SubjectType
from detectors.calls import text_hash
from detectors.new_numbers import Found

Key = tuple[SubjectType, str]
"""Type and value of a subject: a trunk, or a pair of networks as ``CM>CU``."""

BITMAP_BITS = 256
SATURATED_ZEROS = 4
"""Below this many empty bits (about 1 065 callees) linear counting is off by more than a tenth."""


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    name: str
    log: bool
    """Compared as a ratio (natural logarithm) rather than as a difference."""
    floor: float
    """Least deviation, so that a very steady trunk does not make a trifle look large."""
    noise: float
    """Sampling deviation of one observation; that of a pool is this over the root of its count."""


ATTEMPTS = Feature("attempts_per_second", True, 0.10, 1.0)
ANSWERED = Feature("answer_seizure_ratio", False, 0.03, 0.5)
RING = Feature("mean_ring_ms", True, 0.10, 0.7)
TALK = Feature("mean_talk_ms", True, 0.15, 1.4)
CALLEES = Feature("callees_per_attempt", True, 0.05, 0.3)
FAILED = Feature("failed_share", False, 0.03, 0.3)
UNWANTED = Feature("unwanted_share", False, 0.03, 0.4)
NEW_SHORT = Feature("new_short_share", False, 0.03, 0.3)
NEW_FRUITLESS = Feature("new_fruitless_share", False, 0.03, 0.5)
FEATURES = (ATTEMPTS, ANSWERED, RING, TALK, CALLEES, FAILED, UNWANTED)
FLOORS = {feature.name: feature.floor for feature in FEATURES}


@dataclass(slots=True)
class Sums:
    """Traffic of one subject, summed; the fields are those of a summary row."""

    attempts: int = 0
    ends: int = 0
    answered: int = 0
    ring_ms: int = 0
    rings: int = 0
    talk_ms: int = 0
    callees: int = 0
    """256-bit linear-counting bitmap."""
    networks: frozenset[str] = frozenset()
    trunks: frozenset[str] = frozenset()
    failed: int = 0
    busy: int = 0
    invalid: int = 0
    refused: int = 0
    one_ring: int = 0
    new_ends: int = 0
    new_short: int = 0
    new_fruitless: int = 0
    new_short_callees: int = 0
    """64-bit linear-counting bitmap; likewise of the fruitless ones."""
    new_fruitless_callees: int = 0
    new_short_call: str = ""
    """``call_id`` of the one of ``new_short`` with the least `text_hash`; likewise of the fruitless ones."""
    new_fruitless_call: str = ""

    def add(self, other: Sums) -> None:
        self.attempts += other.attempts
        self.ends += other.ends
        self.answered += other.answered
        self.ring_ms += other.ring_ms
        self.rings += other.rings
        self.talk_ms += other.talk_ms
        self.callees |= other.callees
        self.networks |= other.networks
        self.trunks |= other.trunks
        self.failed += other.failed
        self.busy += other.busy
        self.invalid += other.invalid
        self.refused += other.refused
        self.one_ring += other.one_ring
        self.new_ends += other.new_ends
        self.new_short += other.new_short
        self.new_fruitless += other.new_fruitless
        self.new_short_callees |= other.new_short_callees
        self.new_fruitless_callees |= other.new_fruitless_callees
        self.new_short_call = _lesser(self.new_short_call, other.new_short_call)
        self.new_fruitless_call = _lesser(self.new_fruitless_call, other.new_fruitless_call)

    def found(self) -> dict[Feature, Found]:
        """What new numbers did."""
        return {
            NEW_SHORT: Found(self.new_ends, self.new_short, self.new_short_callees, self.new_short_call),
            NEW_FRUITLESS: Found(
                self.new_ends - self.new_short,
                self.new_fruitless,
                self.new_fruitless_callees,
                self.new_fruitless_call,
            ),
        }


def _lesser(*call_ids: str) -> str:
    return min(filter(None, call_ids), key=text_hash, default="")


@dataclass(slots=True)
class Value:
    """One feature of one pool, in its own unit, and the count it was taken over."""

    natural: float
    count: int

    def level(self, feature: Feature) -> float:
        return math.log(self.natural) if feature.log else self.natural


def distinct(bitmap: int) -> float | None:
    """Callees in a linear-counting bitmap [Whang 1990: -m ln(empty / m)]; None where it is saturated."""
    empty = BITMAP_BITS - bitmap.bit_count()
    return None if empty < SATURATED_ZEROS else BITMAP_BITS * math.log(BITMAP_BITS / empty)


def values(sums: Sums, seconds: int, least: int) -> dict[Feature, Value]:
    """The features of ``sums`` over ``seconds``; a mean over fewer than ``least`` calls is left out.

    Half an attempt is added to the rate and one ms to the times, so that their logarithms exist.
    """
    found = {ATTEMPTS: Value((sums.attempts + 0.5) / seconds, max(sums.attempts, 1))}
    if sums.ends >= least:
        found[ANSWERED] = Value(sums.answered / sums.ends, sums.ends)
        found[FAILED] = Value(sums.failed / sums.ends, sums.ends)
        unwanted = sums.invalid + sums.refused + sums.one_ring
        found[UNWANTED] = Value(unwanted / sums.ends, sums.ends)
    if sums.rings >= least:
        found[RING] = Value(sums.ring_ms / sums.rings + 1, sums.rings)
    if sums.answered >= least:
        found[TALK] = Value(sums.talk_ms / sums.answered + 1, sums.answered)
    callees = distinct(sums.callees)
    if sums.attempts >= least and callees:
        found[CALLEES] = Value(callees / sums.attempts, sums.attempts)
    return found
