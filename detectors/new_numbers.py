"""What numbers that are new that day do over a trunk: each calls for the first time that day and was not
called.

Who uses up a number a call leaves no number, block or callee that stands out; only what most new numbers of
the trunk do. Two shares of their calls that are over tell it (those that the network lost or that found the
callee busy left out), and neither depends on the rate:

- *short*: answered for at most 6 s. Of the calls of people hardly any is, whatever the hour; of pumped
  traffic, and of calls that try out which numbers are picked up, nearly all are.
- *fruitless*: of the others, no talk of more than 20 s. With half of the people who call for the first time
  of a day somebody talks; with hardly any robot or seller who shows another number to each callee.

Each has Page's cumulative sum test (Page 1954): the log-likelihood of a larger share against the trunk's own
usual one, counted from where it was last nothing. Two larger shares are tried, since ordinary new numbers
dilute a campaign more on a busy trunk.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from detectors.sketches import BITS, LINEAR

FIRST_ENDS = 100.0
"""Calls that the share a trunk begins with counts for."""
REMEMBERED_ENDS = 4_000.0
"""Calls after which what a trunk learnt counts half."""
FAN_OUT = 0.5
"""Least share of distinct callees: many calls to one callee are votes."""
SAMPLES = 5
MOST_LEFT = 1.5
"""Times the threshold at which a sum stops, so that it is soon nothing after a campaign."""


class Share(NamedTuple):
    """Which share is tested."""

    least_usual: float
    """It is at least that on any trunk; also what a trunk begins with."""
    times: tuple[float, float]
    """The larger shares tried, as times the usual odds."""
    least_calls: int
    """Such calls that an alert must rest on."""


SHORT = Share(0.03, (4.5, 22.0), 6)
FRUITLESS = Share(0.5, (4.0, 12.0), 12)


class Found(NamedTuple):
    """Calls of a trunk by new numbers."""

    ends: int
    """Those that may be of the share."""
    calls: int
    """Those that are."""
    callees: int
    """64-bit linear-counting bitmap of theirs."""
    sample: str
    """``call_id`` of one of them, or empty."""


@dataclass(slots=True)
class Run:
    """One sum, and what was summed since it was last nothing."""

    odds: float = 0.0
    """Log-odds that the share is larger than usual."""
    first: int = 0
    """Start of its first seconds, seconds since the epoch."""
    ends: int = 0
    count: int = 0
    """Calls of the share."""
    callees: int = 0
    samples: deque[str] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    """``call_id`` of the latest of them, one for each time of adding."""
    told_ends: int = 0
    """Of ``ends`` those that were told of; likewise of ``count``."""
    told_count: int = 0

    def add(self, gain: float, most: float, start: int, found: Found) -> None:
        self.odds = min(self.odds + gain, most)
        if self.ends == 0:
            self.first = start
        self.ends += found.ends
        self.count += found.calls
        self.callees |= found.callees
        if found.sample:
            self.samples.append(found.sample)

    def news(self) -> tuple[int, int]:
        """Calls of the share, and ends, that were not told of."""
        count, ends = self.count - self.told_count, self.ends - self.told_ends
        self.told_count, self.told_ends = self.count, self.ends
        return count, ends

    def fans_out(self) -> bool:
        return float(LINEAR[self.callees.bit_count()]) >= FAN_OUT * min(self.count, BITS)


class ShareTest:
    """The test of one share on one trunk. ``threshold`` is the log-odds at which it is larger than usual."""

    def __init__(self, share: Share, threshold: float) -> None:
        self._share = share
        self._threshold = threshold
        self._ends = FIRST_ENDS
        self._count = share.least_usual * FIRST_ENDS
        self._runs = [Run() for _ in share.times]
        self._unlearnt_ends = self._unlearnt_count = 0

    @property
    def usual(self) -> float:
        """Below 1."""
        return max(self._count / self._ends, self._share.least_usual)

    def update(self, start: int, found: Found) -> None:
        """Takes in what was ``found`` in the seconds from ``start`` on."""
        usual = self.usual
        for place, times in enumerate(self._share.times):
            odds = times * usual / (1 - usual)
            larger = odds / (1 + odds)
            gain = found.calls * math.log(larger / usual)
            gain += (found.ends - found.calls) * math.log((1 - larger) / (1 - usual))
            self._runs[place].add(gain, MOST_LEFT * self._threshold, start, found)
            if self._runs[place].odds <= 0.0:
                self._runs[place] = Run()
        self._unlearnt_ends += found.ends
        self._unlearnt_count += found.calls
        if not any(run.odds for run in self._runs):
            self.learn()

    def learn(self) -> None:
        """What has been summed is usual."""
        if self._ends > REMEMBERED_ENDS:
            self._ends, self._count = self._ends / 2, self._count / 2
        self._ends += self._unlearnt_ends
        self._count = min(self._count + self._unlearnt_count, self._ends - 1)
        self._unlearnt_ends = self._unlearnt_count = 0
        self._runs = [Run() for _ in self._share.times]

    def exceeded(self) -> Run | None:
        """The sum that says most, where it says that the share is larger than usual."""
        run = max(self._runs, key=lambda run: run.odds)
        enough = run.odds >= self._threshold and run.count >= self._share.least_calls
        return run if enough and run.fans_out() else None
