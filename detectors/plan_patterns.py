"""Regular expressions of numbering plans (the subset phonenumbers' metadata uses) as state machines.

Understood: digits, ``\\d``, ``[0-9]`` classes, ``(?:…|…)`` groups, ``?``, ``{n}`` and ``{n,m}``. Anything
else raises ``PatternError``, so that metadata of a new shape is noticed when the plan is compiled.
"""

from __future__ import annotations

from functools import cache

State = int
States = frozenset[State]
ANY_DIGIT = (1 << 10) - 1


class PatternError(ValueError):
    """A pattern that is not of the understood subset."""


class Machine:
    """Several patterns in one nondeterministic automaton over digits.

    ``add`` returns the state where a pattern starts; it was matched in full where ``accepting`` names it.
    """

    def __init__(self) -> None:
        self._empty: list[list[State]] = []
        self._moves: list[tuple[int, State] | None] = []
        self._accepts: dict[State, int] = {}
        self._closure = cache(self._close)

    def add(self, pattern: str, name: int, *, prefix: bool = False) -> State:
        """Add ``pattern`` under ``name``; with ``prefix`` any digits may follow a match."""
        start, end = _Parser(self, pattern).parse()
        accept = self.state()
        self.link(end, accept)
        self._accepts[accept] = name
        if prefix:
            self._moves[accept] = (ANY_DIGIT, accept)
        return start

    def state(self) -> State:
        self._empty.append([])
        self._moves.append(None)
        return len(self._empty) - 1

    def link(self, source: State, target: State) -> None:
        self._empty[source].append(target)

    def move(self, source: State, digits: int, target: State) -> None:
        self._moves[source] = (digits, target)

    def start(self, states: list[State]) -> States:
        return frozenset().union(*map(self._closure, states))

    def step(self, states: States) -> list[States]:
        """The states after each of the ten digits."""
        after: list[set[State]] = [set() for _ in range(10)]
        for state in states:
            move = self._moves[state]
            if move is not None:
                digits, target = move
                closure = self._closure(target)
                for digit in range(10):
                    if digits >> digit & 1:
                        after[digit] |= closure
        return [frozenset(reached) for reached in after]

    def accepting(self, states: States) -> set[int]:
        return {self._accepts[state] for state in states if state in self._accepts}

    def _close(self, state: State) -> States:
        """The states that matter (a move or an acceptance) reachable from ``state`` without a digit."""
        seen = {state}
        queue = [state]
        for reached in queue:
            for target in self._empty[reached]:
                if target not in seen:
                    seen.add(target)
                    queue.append(target)
        return frozenset(s for s in seen if self._moves[s] is not None or s in self._accepts)


class _Parser:
    def __init__(self, machine: Machine, pattern: str) -> None:
        self.machine = machine
        self.pattern = pattern
        self.at = 0

    def parse(self) -> tuple[State, State]:
        ends = self._alternatives()
        if self.at != len(self.pattern):
            raise self._error("the end or '|'")
        return ends

    def _alternatives(self) -> tuple[State, State]:
        start, end = self.machine.state(), self.machine.state()
        while True:
            first, last = self._sequence()
            self.machine.link(start, first)
            self.machine.link(last, end)
            if not self._skip("|"):
                return start, end

    def _sequence(self) -> tuple[State, State]:
        start = end = self.machine.state()
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            end = self._repeated(end)
        return start, end

    def _repeated(self, start: State) -> State:
        """An atom with its quantifier, appended at ``start``; parsed again for each repetition."""
        begin = self.at
        end = self._atom(start)
        after_atom = self.at
        least, most = self._quantifier()
        after = self.at
        optional_from = [start] if least == 0 else []
        for count in range(1, most):
            if count >= least:
                optional_from.append(end)
            self.at = begin
            end = self._atom(end)
            assert self.at == after_atom
        for state in optional_from:
            self.machine.link(state, end)
        self.at = after
        return end

    def _quantifier(self) -> tuple[int, int]:
        if self._skip("?"):
            return 0, 1
        if not self._skip("{"):
            return 1, 1
        close = self.pattern.find("}", self.at)
        least, _, most = self.pattern[self.at : close].partition(",")
        if close < 0 or not least.isdecimal() or not (most or least).isdecimal():
            raise self._error("{n} or {n,m}")
        self.at = close + 1
        low, high = int(least), int(most or least)
        if not 0 <= low <= high or high == 0:
            raise self._error("a repetition of at least one")
        return low, high

    def _atom(self, start: State) -> State:
        if self._skip("(?:"):
            first, last = self._alternatives()
            if not self._skip(")"):
                raise self._error("')'")
            self.machine.link(start, first)
            return last
        digits = self._digits()
        source, target = self.machine.state(), self.machine.state()
        self.machine.link(start, source)
        self.machine.move(source, digits, target)
        return target

    def _digits(self) -> int:
        if self._skip("\\d"):
            return ANY_DIGIT
        if not self._skip("["):
            return 1 << self._digit()
        digits = 0
        while not self._skip("]"):
            low = high = self._digit()
            if self._skip("-"):
                high = self._digit()
            digits |= (2 << high) - (1 << low)
        return digits

    def _digit(self) -> int:
        char = self.pattern[self.at : self.at + 1]
        if not (char.isascii() and char.isdecimal()):
            raise self._error("a digit")
        self.at += 1
        return int(char)

    def _skip(self, text: str) -> bool:
        if not self.pattern.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def _error(self, expected: str) -> PatternError:
        return PatternError(f"pattern {self.pattern!r}, at {self.at}: expected {expected}")
