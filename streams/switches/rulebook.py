"""What a switch keeps: the rules now known, and whether one of them is about the call at hand."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from typing import Literal, NamedTuple

import msgspec

from detectors.alert import Match
from streams.switches.patterns import read_pattern
from streams.switches.protected import ProtectedNumbers, protected_numbers
from streams.switches.validation import read_rule
from streams.wire.records import Action, BlockRule, Mode

MAX_RULES = 1_000_000
"""Rules one book keeps; records of further rules are refused."""

MODES: tuple[Mode, ...] = ("report", "shadow", "enforce")
"""From the weakest to the strongest."""

STRONGEST_FIRST: tuple[Action, ...] = ("block", "divert", "throttle", "label")

Outcome = Literal["added", "updated", "removed", "unchanged", "stale", "refused"]


class Applied(NamedTuple):
    """What became of one record of `block-rules`."""

    outcome: Outcome
    rule_id: str
    rule: BlockRule | None = None
    """The rule as it is now known; None where it ended, or none is known."""
    message: str = ""
    """Why a record was refused or passed over."""


class Decision(NamedTuple):
    """What to do with a call, and the words for it."""

    rule_id: str
    action: Action
    sip_code: int
    sip_reason: str
    q850_cause: int
    reason: str
    rule: BlockRule


class Shape(NamedTuple):
    """Which parts a match has. ``caller``/``callee``: 0 absent, -1 whole, n a prefix of n digits."""

    caller: int
    callee: int
    trunk: bool
    network: bool
    gateway: bool

    def key(self, match: Match) -> tuple[str | None, ...]:
        """What a call must agree with, taken from a match of this shape."""
        return (
            _prefix_or_whole(match.caller),
            _prefix_or_whole(match.callee),
            match.trunk,
            match.network,
            match.gateway,
        )


class RuleBook:
    """The live rules by shape of match: a decision costs one look-up a shape, however many rules there are.

    Rules come from ``apply`` in the order of the topic. ``country`` is the home country's calling code:
    calls from and to its emergency numbers are never decided against.
    """

    def __init__(self, country: int = 86, max_rules: int = MAX_RULES) -> None:
        self.rules: dict[str, BlockRule] = {}
        self.counts: Counter[Outcome] = Counter()
        self._country = country
        self._max_rules = max_rules
        self._protected: ProtectedNumbers = protected_numbers(country)
        self._shapes: list[Shape] = []
        self._index: dict[Shape, dict[tuple[str | None, ...], list[BlockRule]]] = {}

    def emptied(self) -> RuleBook:
        """A new book without rules, otherwise like this one."""
        return RuleBook(self._country, self._max_rules)

    def apply(self, key: bytes | str | None, value: bytes | None) -> Applied:
        """Take one record of `block-rules` in. A bad one is refused and changes nothing."""
        applied = self._apply(key, value)
        self.counts[applied.outcome] += 1
        return applied

    def add(self, rule: BlockRule) -> Applied:
        """Take in a rule that is known to be good: one that this process issued itself."""
        known = self.rules.get(rule.rule_id)
        if known is not None and rule.sequence <= known.sequence:
            same = rule == known
            return Applied(
                "unchanged" if same else "stale",
                rule.rule_id,
                known,
                "" if same else f"sequence {rule.sequence} is not after {known.sequence}",
            )
        if known is None and len(self.rules) >= self._max_rules:
            return Applied("refused", rule.rule_id, None, f"more than {self._max_rules} rules")
        if known is not None:
            self._drop(known)
        self._put(rule)
        return Applied("added" if known is None else "updated", rule.rule_id, rule)

    def remove(self, rule_id: str) -> Applied:
        """A rule ended (its tombstone)."""
        known = self.rules.get(rule_id)
        if known is None:
            return Applied("unchanged", rule_id)
        self._drop(known)
        return Applied("removed", rule_id)

    def decide(
        self,
        caller: str,
        callee: str,
        trunk: str,
        network: str,
        gateway: str,
        now: int,
        least: Mode = "enforce",
    ) -> Decision | None:
        """What the rules say of a call at set-up; None: let it through.

        ``caller`` and ``callee`` are E.164 with the plus sign, or the text as signalled; ``network`` the
        sending one; ``now`` ms since the epoch. ``least="shadow"`` counts shadow rules in: what would have
        been stopped. Of several rules the strongest action decides, then the one that names most.
        """
        if self._protected.is_emergency(callee) or self._protected.is_emergency(caller):
            return None
        best: BlockRule | None = None
        for shape in self._shapes:
            key = (
                _part(caller, shape.caller),
                _part(callee, shape.callee),
                trunk if shape.trunk else None,
                network if shape.network else None,
                gateway if shape.gateway else None,
            )
            for rule in self._index[shape].get(key, ()):
                if in_force(rule, now, least) and (best is None or _rank(rule) < _rank(best)):
                    best = rule
        return None if best is None else _decision(best)

    def in_force(self, now: int, least: Mode = "enforce") -> list[BlockRule]:
        """Rules that act at ``now``, by id."""
        return [rule for _, rule in sorted(self.rules.items()) if in_force(rule, now, least)]

    def _apply(self, key: bytes | str | None, value: bytes | None) -> Applied:
        rule_id = key.decode("utf-8", "replace") if isinstance(key, bytes) else key or ""
        if value is None:
            return self.remove(rule_id)
        try:
            rule = read_rule(rule_id, value, self._protected)
        except (msgspec.MsgspecError, ValueError) as error:
            return Applied("refused", rule_id, self.rules.get(rule_id), str(error))
        return self.add(rule)

    def _put(self, rule: BlockRule) -> None:
        shape = shape_of(rule.match)
        if shape not in self._index:
            self._index[shape] = {}
            insort(self._shapes, shape)
        self._index[shape].setdefault(shape.key(rule.match), []).append(rule)
        self.rules[rule.rule_id] = rule

    def _drop(self, rule: BlockRule) -> None:
        shape = shape_of(rule.match)
        keyed = self._index[shape]
        key = shape.key(rule.match)
        keyed[key].remove(rule)
        if not keyed[key]:
            del keyed[key]
        if not keyed:
            del self._index[shape]
            self._shapes.remove(shape)
        del self.rules[rule.rule_id]


def in_force(rule: BlockRule, now: int, least: Mode = "enforce") -> bool:
    """Whether a rule acts at ``now``: its mode, its approval and its time all say so."""
    return acts(rule, least) and rule.not_before <= now < rule.expires_at


def acts(rule: BlockRule, least: Mode = "enforce") -> bool:
    """Whether a rule acts while its time lasts: its mode and its approval say so."""
    return MODES.index(rule.mode) >= MODES.index(least) and rule.approval.state in ("auto", "approved")


def shape_of(match: Match) -> Shape:
    return Shape(
        _extent(match.caller),
        _extent(match.callee),
        match.trunk is not None,
        match.network is not None,
        match.gateway is not None,
    )


def _extent(pattern: str | None) -> int:
    if pattern is None:
        return 0
    kind, value = read_pattern(pattern)
    return len(value) if kind == "prefix" else -1


def _prefix_or_whole(pattern: str | None) -> str | None:
    if pattern is None:
        return None
    return pattern[:-1] if read_pattern(pattern).kind == "prefix" else pattern


def _part(party: str, extent: int) -> str | None:
    """The part of a caller or callee that a match of this extent speaks of, its plus sign included."""
    if extent == 0:
        return None
    return party if extent < 0 else party[: extent + 1]


def _rank(rule: BlockRule) -> tuple[int, int, str]:
    match = rule.match
    named = sum(len(part) for part in (match.caller, match.callee, match.trunk, match.network) if part)
    return STRONGEST_FIRST.index(rule.action), -named, rule.rule_id


def _decision(rule: BlockRule) -> Decision:
    return Decision(
        rule.rule_id,
        rule.action,
        rule.sip_code,
        rule.sip_reason,
        rule.q850_cause,
        rule.reason,
        rule,
    )
