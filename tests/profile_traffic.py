"""Trunk traffic by the second, as summaries, for the tests and the benchmark of `profile`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streams.wire.summaries import Summary, SummaryRow
from tests.summaries import summary_of

START = 1_750_000_800
"""A whole hour, seconds since the epoch."""


@dataclass(frozen=True)
class Habit:
    """How the calls of a trunk usually are."""

    rate: float
    """Attempts a second at the busiest hour."""
    answered: float = 0.55
    ring_ms: float = 14_000
    talk_ms: float = 90_000
    diurnal: bool = False
    wobble: float = 0.0
    """Deviation of the slow wandering of the rate's logarithm, beyond chance; a fifth of it in the ratio."""


@dataclass(frozen=True)
class Change:
    """What is different on one trunk for a while; attempts of its own come on top."""

    trunk: str
    start: int
    seconds: int
    rate: float = 0.0
    """Attempts a second that are added."""
    answered: float = 0.02
    ring_ms: float = 2_000
    talk_ms: float = 3_000
    callees: int = 10_000
    usual_answered: float | None = None
    """The trunk's own answer-seizure ratio from ``start`` on, for good."""


def by_hour(second: int) -> float:
    """Share of the busiest hour's traffic: 5 % before dawn, two humps by day, as residential traffic has."""
    hour = second % 86_400 / 3600
    return 0.05 + 0.95 * max(
        math.exp(-(((hour - 10.5) / 2.5) ** 2)), 0.9 * math.exp(-(((hour - 19) / 3.0) ** 2))
    )


@dataclass
class Traffic:
    habits: dict[str, Habit]
    seed: int
    changes: list[Change] = field(default_factory=list)
    from_network: str = "CM"
    to_network: str = "CU"

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._wandered: dict[str, tuple[float, float]] = dict.fromkeys(self.habits, (0.0, 0.0))

    def rows(self, second: int) -> list[SummaryRow]:
        found = []
        for trunk, habit in self.habits.items():
            row = self._row(second, trunk, habit)
            if row.attempts or row.ends:
                found.append(row)
        return found

    def summaries(self, seconds: range, lag: int = 0) -> Iterator[Summary]:
        """One summary a second on partition 0, offset = second."""
        for second in seconds:
            yield summary_of(0, second, (second + lag) * 1000 + 999, self.rows(second))

    def _row(self, second: int, trunk: str, habit: Habit) -> SummaryRow:
        rate, ratio = self._wander(trunk, habit)
        usual = self._answered(second, trunk, habit) + ratio
        rate *= habit.rate * (by_hour(second) if habit.diurnal else 1.0)
        parts = [(rate, min(max(usual, 0.01), 0.99), habit.ring_ms, habit.talk_ms, 10_000_000)]
        parts += [
            (change.rate, change.answered, change.ring_ms, change.talk_ms, change.callees)
            for change in self.changes
            if change.trunk == trunk and change.start <= second < change.start + change.seconds
        ]
        sums = np.zeros(6, dtype=np.int64)
        bitmap = 0
        for part in parts:
            added, bits = self._calls(*part)
            sums += added
            bitmap |= bits
        attempts, ends, done, ring_ms, talk_ms, short = (int(n) for n in sums)
        return SummaryRow(
            second=second,
            trunk=trunk,
            from_network=self.from_network,
            to_network=self.to_network,
            attempts=attempts,
            ends=ends,
            answered=done,
            short=short,
            ring_ms=ring_ms,
            rings=ends,
            talk_ms=talk_ms,
            callees=bitmap,
        )

    def _wander(self, trunk: str, habit: Habit) -> tuple[float, float]:
        """Factor of the rate and shift of the ratio: two first-order walks that forget in five minutes."""
        keep = math.exp(-1 / 300)
        steps = self._random.normal(0, math.sqrt(1 - keep * keep), 2)
        rate, ratio = (
            keep * was + float(step) for was, step in zip(self._wandered[trunk], steps, strict=True)
        )
        self._wandered[trunk] = (rate, ratio)
        return math.exp(habit.wobble * rate), habit.wobble / 5 * ratio

    def _answered(self, second: int, trunk: str, habit: Habit) -> float:
        for change in self.changes:
            if change.trunk == trunk and change.usual_answered is not None and second >= change.start:
                return change.usual_answered
        return habit.answered

    def _calls(
        self, rate: float, ratio: float, ring: float, talk: float, callees: int
    ) -> tuple[npt.NDArray[np.int64], int]:
        """Sums (attempts, ends, answered, ring_ms, talk_ms, short) and bitmap of one second's calls."""
        draw = self._random
        attempts, ends = (int(n) for n in draw.poisson(rate, 2))
        answered = int(draw.binomial(ends, ratio))
        ring_ms = int(draw.gamma(2, ring / 2, ends).sum())
        talks = draw.lognormal(math.log(talk) - 0.845, 1.3, answered)
        called = draw.integers(0, callees, attempts)
        bits = sum(1 << int(bit) for bit in set((called * 2_654_435_761 % 2**32 >> 24).tolist()))
        sums = np.array(
            [attempts, ends, answered, ring_ms, int(talks.sum()), int((talks <= 6_000).sum())], dtype=np.int64
        )
        return sums, bits
