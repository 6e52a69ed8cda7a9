"""Pumped traffic of a trunk: many numbers, each heard of for the first time that day, make calls that are
answered and over within 6 s.

Who sells minutes, or tests which numbers are picked up, uses up a number a call, so no number, block or
callee stands out; only what most new numbers of the trunk do. Of the calls of a person who calls for the
first time of a day hardly any is that short, whatever the hour: so the test is on *shares among new numbers*
and needs no rate.

It is Page's cumulative sum test (Page 1954): the log-likelihood of a larger share of short calls against the
trunk's own usual share, counted from where it was last nothing. Two larger shares are tried, since ordinary
new numbers dilute a campaign more on a busy trunk.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

TIMES, LARGE = 4.0, 0.4
"""The shares tried: so many times the usual one, and at least this one."""
LEAST_USUAL = 0.03
"""Share of short calls that is usual for any trunk; also what a trunk begins with."""
FIRST_ENDS = 100.0
"""Calls that the share a trunk begins with counts for."""
REMEMBERED_ENDS = 4_000.0
"""Calls after which what a trunk learnt counts half."""
LEAST_CALLS = 6
"""Short calls that an alert must rest on."""
FAN_OUT = 0.5
"""Least share of distinct callees: short calls to one callee are votes."""
BITMAP_BITS = 64
SAMPLES = 5
MOST_LEFT = 1.5
"""Times the threshold at which the sum stops, so that it is soon nothing after a campaign."""


class NewCalls(NamedTuple):
    """Ended calls by numbers that are new that day, of one trunk."""

    ends: int
    short: int
    """Those answered for at most 6 s."""
    callees: int
    """64-bit bitmap of theirs."""
    sample: str
    """``call_id`` of one of them, or empty."""


@dataclass(slots=True)
class Run:
    """One sum, and what was summed since it was last nothing."""

    odds: float = 0.0
    """Log-odds that the calls are pumped."""
    first: int = 0
    """Start of its first seconds, seconds since the epoch."""
    ends: int = 0
    short: int = 0
    callees: int = 0
    """64-bit linear-counting bitmap of those of short calls."""
    samples: deque[str] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    """``call_id`` of the latest of the short calls, one for each time of adding."""
    told_ends: int = 0
    """Of ``ends`` those that were told of; likewise of ``short``."""
    told_short: int = 0

    def add(self, gain: float, most: float, start: int, new: NewCalls) -> None:
        self.odds = min(self.odds + gain, most)
        if self.ends == 0:
            self.first = start
        self.ends += new.ends
        self.short += new.short
        self.callees |= new.callees
        if new.sample:
            self.samples.append(new.sample)

    def news(self) -> tuple[int, int]:
        """Short calls and ends that were not told of."""
        short, ends = self.short - self.told_short, self.ends - self.told_ends
        self.told_short, self.told_ends = self.short, self.ends
        return short, ends

    def fans_out(self) -> bool:
        empty = BITMAP_BITS - self.callees.bit_count()
        distinct = BITMAP_BITS * math.log(BITMAP_BITS / max(empty, 1))
        return distinct >= FAN_OUT * min(self.short, BITMAP_BITS)


@dataclass(slots=True)
class Pumping:
    """The test on one trunk. ``threshold`` is the log-odds at which traffic is pumped."""

    threshold: float
    ends: float = FIRST_ENDS
    short: float = LEAST_USUAL * FIRST_ENDS
    runs: list[Run] = field(default_factory=lambda: [Run(), Run()])
    """For a share of `TIMES` the usual one, and for one of at least `LARGE`."""
    unlearnt_ends: int = 0
    """While a sum is not nothing; likewise ``unlearnt_short``."""
    unlearnt_short: int = 0

    @property
    def usual(self) -> float:
        return max(self.short / self.ends, LEAST_USUAL)

    def update(self, start: int, new: NewCalls) -> None:
        """Takes in the seconds from ``start`` on."""
        usual = self.usual
        for place, share in enumerate((TIMES * usual, max(LARGE, TIMES * usual))):
            larger = min(share, (1 + usual) / 2)
            long = new.ends - new.short
            gain = new.short * math.log(larger / usual) + long * math.log((1 - larger) / (1 - usual))
            self.runs[place].add(gain, MOST_LEFT * self.threshold, start, new)
            if self.runs[place].odds <= 0.0:
                self.runs[place] = Run()
        self.unlearnt_ends += new.ends
        self.unlearnt_short += new.short
        if not any(run.odds for run in self.runs):
            self.learn()

    def learn(self) -> None:
        """What has been summed is usual."""
        if self.ends > REMEMBERED_ENDS:
            self.ends, self.short = self.ends / 2, self.short / 2
        self.ends += self.unlearnt_ends
        self.short += self.unlearnt_short
        self.unlearnt_ends = self.unlearnt_short = 0
        self.runs = [Run(), Run()]

    def pumped(self) -> Run | None:
        """The sum that says most, where it says that the trunk is pumped."""
        run = max(self.runs, key=lambda run: run.odds)
        is_pumped = run.odds >= self.threshold and run.short >= LEAST_CALLS and run.fans_out()
        return run if is_pumped else None
