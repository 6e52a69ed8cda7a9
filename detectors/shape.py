"""The one shape of a detector.

A detector is a module with

1. a ``…Parameters`` NamedTuple of numbers, made from its section of the settings by ``parameters_of``;
2. ``look`` (one a pattern), a kernel: the rows of its subject in, a level out, its features written into the
   slot it is given. It never allocates, never loops beyond a row, and decides from the features alone;
3. ``look_reference``, the same in plain Python over the counts of `Counts`, written apart from the kernel;
4. ``FEATURES``, its features in the order of the slot, with unit and meaning;
5. a class with ``describe(signal, call)``: the signal to a `Finding` with evidence, sentence and proposals.

``detectors.fold`` calls every ``look``, ``streams.detect.step`` lists every detector and its features by
pattern. A new detector is its module, its settings, a pattern below, and a line in each of these two; its
parity test goes to ``tests/parity``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt

from detectors.alert import BlastRadius, Evidence, Match, Proposal, Severity, SubjectType
from detectors.calls import spell

NOTHING, INFO, LOW, MEDIUM, HIGH, CRITICAL = range(6)
"""Levels of a signal; above `NOTHING` the severities in rising order."""
SEVERITY: tuple[Severity, ...] = ("info", "info", "low", "medium", "high", "critical")

BURST_NUMBER, ROTATION, PREFIX_PROBE, UNALLOCATED, FLOOD = range(5)
SWEEP, SWEEP_BLOCK, WANGIRI, WANGIRI_BLOCK = range(5, 9)
MISROUTED, FOREIGN_GATEWAY, FOREIGN_GATEWAY_BLOCK, NEIGHBOUR = 9, 10, 11, 12
CLONE, POLICY = 13, 14
BEHAVIOUR, BEHAVIOUR_BLOCK, REPUTATION = 15, 16, 17
"""Patterns: what a signal is about."""


class Feature(NamedTuple):
    name: str
    unit: str
    meaning: str
    typical: float


class Signal(NamedTuple):
    """One record of ``detectors.signals.SIGNAL`` as Python sees it."""

    row: int
    key: int
    trunk: int
    time: int
    calls: int
    pattern: int
    level: int
    opened: bool
    features: dict[str, float]
    contacts: npt.NDArray[Any] | None
    """``detectors.signals.CONTACT`` of a watched callee, oldest first."""


class Call(NamedTuple):
    """The row that raised a signal."""

    call_id: str
    caller: int
    callee: int
    caller_text: str
    callee_text: str
    trunk: str
    from_network: str
    to_network: str
    caller_status: int
    callee_tail: int
    caller_kind: int
    caller_operator: str
    gateway: int
    roaming: int
    redirecting: int

    @property
    def caller_spelled(self) -> str:
        return spell(self.caller, self.caller_text)

    @property
    def callee_spelled(self) -> str:
        return spell(self.callee, self.callee_text)

    @property
    def caller_match(self) -> Match:
        """The narrowest match of the caller. A text means something only with its trunk. A number that comes
        from another network than its range's may be copied: its owner goes on calling from there."""
        if self.caller < 0:
            return Match(caller=self.caller_text, trunk=self.trunk)
        away = self.caller_operator not in ("", self.from_network)
        return Match(caller=f"+{self.caller}", network=(self.from_network or None) if away else None)


class Finding(NamedTuple):
    """What one signal amounts to."""

    subject_type: SubjectType
    subject_value: str
    kind: str
    level: int
    score: float
    evidence: list[Evidence]
    message: str
    proposals: list[Proposal]
    """Those of a finding below `HIGH` count once independent evidence about the same subject agrees with it
    (``detectors.evidence``)."""
    plan_version: str = ""
    apart: str = ""
    """What else tells this subject from another of the same value: the trunk of a text caller."""
    only_on: str = ""
    """The network that rules about this subject must name, whoever proposes them: on others its calls are its
    own."""


class Detector(Protocol):
    name: str

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        """What ``signal``, raised by ``call``, amounts to; None where it comes to nothing."""


def weighed(parts: list[tuple[str, float, float, float]]) -> list[Evidence]:
    """Evidence from (feature, actual, typical, strength): weights are the shares of the strengths."""
    whole = sum(max(strength, 0.0) for *_, strength in parts)
    if whole == 0:
        return [
            Evidence(name, round(actual, 4), typical, round(1 / len(parts), 4))
            for name, actual, typical, _ in parts
        ]
    return [
        Evidence(name, round(actual, 4), typical, round(max(strength, 0.0) / whole, 4))
        for name, actual, typical, strength in parts
    ]


def score_of(log_odds: float) -> float:
    """The probability of log-odds, to four digits."""
    return round(1 / (1 + math.exp(-min(max(log_odds, -30.0), 30.0))), 4)


def proposal(match: Match, calls: float, callers: float, callees: float) -> Proposal:
    return Proposal(match, BlastRadius(round(calls), round(callers), round(callees)))


def narrowest_prefix(low: int, high: int) -> int:
    """The longest prefix that ``low`` and ``high`` (of one length) share."""
    while low != high:
        low, high = low // 10, high // 10
    return low
