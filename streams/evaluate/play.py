"""Set-ups of calls played against rules as they came and went, as a switch would have met them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.alert import Match
from streams.evaluate.calls import Calls, Ints, gateway_name
from streams.switches.patterns import read_pattern
from streams.switches.rulebook import RuleBook, acts
from streams.wire.records import BlockRule, RuleChange

REACTION_MS = 1_000
"""From the moment a rule changes until switches act on it."""

STOPS = ("block", "divert")
"""Actions that keep a call from its callee. `throttle` and `label` are not counted as a block."""


class Played(NamedTuple):
    """What the rules said of each set-up; columns as long as `Calls`."""

    rule: npt.NDArray[np.int32]
    """Index into ``rules`` of the one that stops it, -1 where none does."""
    since: Ints
    """When that rule was issued (came into force), ms; 0 where none stops it."""
    rules: list[BlockRule]
    """Rules that stopped a call, each in its version of the first time."""
    eased: npt.NDArray[np.bool_]
    """Whether it is one of a caller that a rule throttles or labels."""


def play(calls: Calls, changes: Sequence[RuleChange], country: int) -> Played:
    """Decides about every set-up with the rules that act at its time, by `RuleBook`.

    A change acts on set-ups from ``at`` + REACTION_MS on; rules that end by their own ``expires_at`` do so
    at that time. ``changes`` of one time count in the order they are given.
    """
    count = len(calls.time)
    played = Played(np.full(count, -1, np.int32), np.zeros(count, np.int64), [], np.zeros(count, np.bool_))
    rows = np.flatnonzero(_within_reach(calls, [change.rule.match for change in changes if change.rule]))
    waiting = iter(sorted(changes, key=lambda change: change.at))
    pending = next(waiting, None)
    book = RuleBook(country)
    since: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for row, time, caller, callee, trunk, network, gateway in _told(calls, rows):
        while pending is not None and pending.at + REACTION_MS <= time:
            _take(book, since, pending)
            pending = next(waiting, None)
        decision = book.decide(caller, callee, trunk, network, gateway, time)
        if decision is None:
            continue
        if decision.action not in STOPS:
            played.eased[row] = True
            continue
        if decision.rule_id not in numbers:
            numbers[decision.rule_id] = len(played.rules)
            played.rules.append(decision.rule)
        played.rule[row] = numbers[decision.rule_id]
        played.since[row] = since[decision.rule_id]
    return played


def _take(book: RuleBook, since: dict[str, int], change: RuleChange) -> None:
    if change.rule is None:
        book.remove(change.rule_id)
    else:
        book.add(change.rule)
    if change.rule is not None and acts(change.rule):
        since.setdefault(change.rule_id, change.at)
    else:
        since.pop(change.rule_id, None)


def _told(calls: Calls, rows: Ints) -> Iterable[tuple[int, int, str, str, str, str, str]]:
    names = calls.names
    return zip(
        rows.tolist(),
        calls.time[rows].tolist(),
        calls.spelled(calls.caller[rows].tolist()),
        calls.spelled(calls.callee[rows].tolist()),
        [names[index] for index in calls.trunk[rows].tolist()],
        [names[index] for index in calls.from_network[rows].tolist()],
        [gateway_name(code) for code in calls.gateway[rows].tolist()],
        strict=True,
    )


def _within_reach(calls: Calls, matches: Iterable[Match]) -> npt.NDArray[np.bool_]:
    """Set-ups that some rule could be about: they agree with the part of it that says most. Few are, and
    only for those the rules need be asked."""
    callers, callees, trunks = _Patterns(), _Patterns(), set()
    for match in matches:
        if match.caller is not None:
            callers.add(match.caller)
        elif match.callee is not None:
            callees.add(match.callee)
        else:
            trunks.add(match.trunk)
    named = [index for index, name in enumerate(calls.names) if name in trunks]
    reached = np.isin(calls.trunk, named)
    for column, patterns in ((calls.caller, callers), (calls.callee, callees)):
        if patterns:
            numbers, of_row = np.unique(column, return_inverse=True)
            known = np.array([patterns.name(text) for text in calls.spelled(numbers.tolist())], np.bool_)
            reached |= known[of_row] if len(known) else False
    return reached


class _Patterns:
    """Callers or callees that rules name, to be asked for many texts."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._prefixes: dict[int, set[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._whole or self._prefixes)

    def add(self, pattern: str) -> None:
        if read_pattern(pattern).kind == "prefix":
            self._prefixes.setdefault(len(pattern) - 1, set()).add(pattern[:-1])
        else:
            self._whole.add(pattern)

    def name(self, text: str) -> bool:
        return text in self._whole or any(text[:size] in known for size, known in self._prefixes.items())
