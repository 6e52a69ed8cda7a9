"""Trails of `sweep` and `wangiri` again in plain Python: what their kernels are held to."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Any

from detectors import wangiri
from detectors.plain import Counts
from detectors.shape import HIGH, MEDIUM, NOTHING

FORGET_MS = 6 * 3_600_000


class Suspect:
    """What trails and ringers have in common. ``touched`` ms."""

    def __init__(self, touched: int) -> None:
        self.touched = touched
        self.tails: deque[int] = deque(maxlen=16)
        self.odds = 0.0
        self.written = 0
        self.clear()

    def clear(self) -> None:
        """Forget the run, not the callees."""
        self.began = 0
        self.parts: dict[int, int] = {}
        self.talks: Counter[int] = Counter()
        self.crowd = 0
        self.lasts: list[int] = []
        self.trunks: list[int] = []

    def take_part(self, number: int, trunk: int) -> None:
        self.lasts.append(number % 10_000)
        self.trunks.append(trunk)
        if number in self.parts or len(self.parts) < 16:
            self.parts[number] = self.parts.get(number, 0) + 1
        else:
            self.crowd += 1

    def talked_with(self, number: int) -> None:
        if number in self.parts:
            self.talks[number] += 1

    @property
    def parties(self) -> int:
        return len(self.parts) + (self.crowd > 0)

    @property
    def span(self) -> float:
        return float(min(self.lasts) * 10_000 + max(self.lasts))


class Trail(Suspect):
    """What `detectors.sweep.TRAIL` holds."""

    def clear(self) -> None:
        super().clear()
        self.runs: list[list[int]] = []
        self.oldest = 0
        self.run = self.up = self.calls = self.over = self.ends = self.talked = self.invalid = 0

    def follow(self, tail: int, known: bool, time: int, p: Any) -> bool:
        if known or tail in self.tails:
            inside = self._inside(tail)
            self.calls += inside
            return inside
        order = sorted(range(len(self.tails)), key=lambda k: (abs(self.tails[k] - tail), self._slot(k)))
        nearest = self.tails[order[0]] if order else None
        self._remember(tail)
        if nearest is None or abs(nearest - tail) > p.step:
            self.odds = max(self.odds + p.is_far, 0.0)
            if self.odds == 0:
                self.clear()
            return False
        if self.odds == 0:
            self.began, self.run, self.calls = time, 1, 1
        weight = p.is_close if abs(nearest - tail) <= p.close else p.is_near
        self.odds = min(self.odds + weight, 12.0)
        self.run += 1
        self.calls += 1
        self.up += tail > nearest
        for run in self.runs:
            if run[0] - p.step <= tail <= run[1] + p.step:
                run[:] = [min(run[0], tail), max(run[1], tail)]
                return True
        new = sorted((nearest, tail))
        if len(self.runs) < 4:
            self.runs.append(new)
        else:
            self.runs[self.oldest % 4] = new
        self.oldest += 1
        return True

    def _slot(self, k: int) -> int:
        """Place of the k-th oldest callee in the kernel's ring: of two equally near it takes the first."""
        return (self.written - len(self.tails) + k) % 16

    def _remember(self, tail: int) -> None:
        self.tails.append(tail)
        self.written += 1

    def seed(self, *tails: int) -> None:
        for tail in tails:
            if tail:
                self._remember(tail)

    def _inside(self, tail: int) -> bool:
        return any(low <= tail <= high for low, high in self.runs)

    def conclude(self, tail: int, failed: bool, talked: bool, invalid: bool) -> bool:
        if self.odds == 0 or not self._inside(tail):
            return False
        self.over += 1
        if not failed:
            self.ends += 1
            self.talked += talked
            self.invalid += invalid
        return True

    def look(self, counts: Counts, habit_talk: float, p: Any) -> tuple[int, list[float]]:
        """What ``detectors.sweep.look`` decides, and its features."""
        if self.run < p.least_run:
            return NOTHING, []
        young = counts.window((a.time for a in counts.attempts), 10_000, 2)
        young -= counts.window((o.time for o in counts.outcomes), 10_000, 2)
        pending = max(self.calls - self.over - max(young, 0), 0)
        outcome = (self.ends - self.talked) * p.unwanted + (self.talked + pending) * p.talked
        misdialled = self.invalid * p.invalid + (self.ends - self.invalid) * p.valid
        misdialled = sorted((0.0, misdialled, 5.0))[1]
        if outcome + misdialled < math.log(2):
            return NOTHING, []
        others = max(counts.talks(10_800_000, 8) - self.talked, 0)
        habit = -min(others * habit_talk, 5.0)
        odds = self.odds + outcome + misdialled + habit
        if odds < p.suspicious:
            return NOTHING, []
        steps = self.run - 1
        features = [self.run, self.odds, sum(high - low for low, high in self.runs) / steps, self.up / steps]
        features += [max(counts.newest - self.began, 0) / 60_000, self.ends, self.talked, self.invalid]
        features += [pending, outcome, misdialled, habit, self.run, counts.calls(10_800_000, 8)]
        features += [0.0, 0.0, 0.0, others, 0.0]
        enough = p.second if features[2] <= 1.5 else p.second_loose
        certain = odds >= p.threshold and outcome + misdialled >= enough
        return (HIGH if self.ends >= p.min_ends and certain else MEDIUM), features

    def look_block(self, counts: Counts, p: Any) -> tuple[int, list[float]]:
        """What ``detectors.sweep.look_block`` decides, and its features."""
        if self.parties < p.block_numbers:
            return NOTHING, []
        level, features = self.look(counts, 0.0, p)
        if level != NOTHING:
            features[14:17] = [self.parties, counts.numbers(), self.calls / max(counts.calls(600_000, 6), 1)]
            features[17] += counts.window(counts.talks_to, 86_400_000, 2)
            features[18] = self.span
        return level, features


class Ringer(Suspect):
    """What `detectors.wangiri.RINGER` holds."""

    def clear(self) -> None:
        super().clear()
        self.tails.clear()
        self.rings = self.callees = self.answered = self.other = 0

    def hear(self, tail: int, ring: int, answered: bool, known: bool, time: int, p: Any) -> None:
        """``ring`` 2, 1 where nobody says who released, or 0."""
        if self.odds == 0:
            if not ring:
                return
            self.began = time
        if ring and not known and tail not in self.tails:
            self.tails.append(tail)
            self.callees += 1
            weight = p.ring * ring / 2
        else:
            weight = p.answered if answered else p.other
        self.rings += ring > 0
        self.answered += answered
        self.other += not ring and not answered
        self.odds = min(max(self.odds + weight, 0.0), 15.0)
        if self.odds == 0:
            self.clear()

    def look(self, counts: Counts, habit_talk: float, p: Any) -> tuple[int, list[float]]:
        """What ``detectors.wangiri.look`` decides, and its features."""
        if self.callees < max(p.callees, p.fan_out * self.rings) or self.odds < p.suspicious:
            return NOTHING, []
        begun = counts.calls(60_000, 10) - counts.calls(2_000, 3)
        if begun - counts.ends() - counts.recent(counts.failures) > self.rings:
            return NOTHING, []
        pending = counts.matured((a.time for a in counts.attempts), 3)
        pending -= counts.matured((o.time for o in counts.outcomes), 3) + counts.recent(counts.failures)
        pending = max(pending, 0)
        others = max(counts.talks(10_800_000, 8) - self.answered, 0)
        habit = -min(others * habit_talk, 5.0)
        recent = counts.recent(counts.rings) / 2
        fast = recent >= p.fast_rings
        odds = self.odds + pending * p.answered + habit
        if odds < (p.suspicious if fast else p.threshold):
            return NOTHING, []
        features = [self.rings, self.callees, self.answered, self.other, recent]
        features += [max(counts.newest - self.began, 0) / 60_000, pending, self.odds, pending * p.answered]
        features += [habit, counts.calls(10_800_000, 8), 0.0, 0.0, 0.0, others, 0.0]
        return (HIGH if odds >= (p.threshold if fast else p.slow_threshold) else MEDIUM), features

    def look_block(self, counts: Counts, p: Any) -> tuple[int, list[float]]:
        """What ``detectors.wangiri.look_block`` decides, and its features."""
        if self.parties < p.block_numbers:
            return NOTHING, []
        level, features = self.look(counts, 0.0, p)
        called = counts.window(counts.talks_to, 86_400_000, 2)
        if level != NOTHING and called >= max(p.friends * features[0], 2):
            return NOTHING, []
        if level != NOTHING:
            features[11:14] = [self.parties, counts.numbers(), self.rings / max(counts.calls(600_000, 6), 1)]
            features[14] += called
            few = min(wangiri.RINGS_EACH * self.parties, wangiri.MANY_RINGS)
            level = min(level, MEDIUM) if features[0] < few else level
            features[15] = self.span
        return level, features


def is_familiar(counts: Counts, number: int, days: range) -> bool:
    """Whether one of these days' circles has few enough bits to tell, and has ``number``'s."""
    return any(
        number_bits & word == number_bits and word.bit_count() <= 32
        for number_bits, word in (counts.circle_of(number, day) for day in days)
    )
