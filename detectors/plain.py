"""Windows and sketches again in plain Python: what one subject's kernels are held to.

`Counts` keeps every event and adds up slots when asked, instead of keeping slots.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

_M64 = (1 << 64) - 1


def mix(value: int) -> int:
    """splitmix64."""
    z = (value + 0x9E3779B97F4A7C15) & _M64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _M64
    return z ^ (z >> 31)


def mix2(first: int, second: int) -> int:
    return mix(mix(first & _M64) ^ (second & _M64))


def estimate(values: Iterable[int]) -> float:
    """Linear counting with 64 bits."""
    bits = len({mix(value & _M64) >> 58 for value in values})
    return 64 * math.log(64) if bits == 64 else 64 * math.log(64 / (64 - bits))


def bit64(value: int) -> int:
    """The place that stands for ``value`` in a bitmap of 64 bits."""
    return mix(value & _M64) >> 58


def circle(value: int) -> int:
    z = mix(value & _M64)
    return 1 << (z & 63) | 1 << (z >> 6 & 63)


class Attempt(NamedTuple):
    time: int
    counterpart: int


class Outcome(NamedTuple):
    time: int
    """Of the attempt."""
    answered: bool
    talked: bool


class Counts:
    """Everything that happened to one subject."""

    def __init__(self) -> None:
        self.newest = -(1 << 62)
        self._heard = 0
        self.attempts: list[Attempt] = []
        self.outcomes: list[Outcome] = []
        self.failures: list[int] = []
        self.marked: list[int] = []
        self.shorts: list[int] = []
        """When calls were attempted that were answered for at most 6 s."""
        self.known: list[Attempt] = []
        self.callers: list[Attempt] = []
        """Of a block: its numbers that called."""
        self._right: list[Attempt] = []
        self.talks_to: list[int] = []
        """Of a block: when its numbers were called and talked."""
        self.suspects: list[int] = []
        """Of a block: its numbers that called and that nobody talks with."""
        self.newcomers: list[int] = []
        """Of a block: when numbers that were not heard of before called."""
        self.ordinary: list[tuple[int, int]] = []
        """Of a block: when somebody talked with which number."""
        self.trunks: list[int] = []
        self.probe: tuple[int, int, set[int]] | None = None
        self.rings: list[int] = []
        """One-ring calls, each twice; once where that is not sure."""
        self.tails: list[int] = []
        """Last nine digits of recent callees, newest first: one of a caller, three of a block."""

    @property
    def first_seen(self) -> int:
        """Seconds since the epoch."""
        return min(self._heard, *(a.time for a in self.attempts), self._heard) // 1_000

    def advance(self, time: int) -> None:
        self._heard = self._heard or time
        self.newest = max(self.newest, time)

    def window(self, times: Iterable[int], slot_ms: int, slots: int, skip: int = 0) -> int:
        """Events in the last ``slots`` slots of ``slot_ms``, without the ``skip`` newest."""
        head = self.newest // slot_ms
        per_slot = Counter(time // slot_ms for time in times)
        return sum(min(n, 65_535) for slot, n in per_slot.items() if skip <= head - slot < slots)

    def slots(self, slot_ms: int, slots: int) -> list[int]:
        """Attempts in each of the last ``slots`` slots of ``slot_ms``."""
        head = self.newest // slot_ms
        per_slot = Counter(a.time // slot_ms for a in self.attempts)
        return [per_slot[head - k] for k in range(slots)]

    def calls(self, slot_ms: int, slots: int) -> int:
        return self.window((a.time for a in self.attempts), slot_ms, slots)

    def talks(self, slot_ms: int, slots: int) -> int:
        return self.window((o.time for o in self.outcomes if o.talked), slot_ms, slots)

    def ends(self) -> int:
        return self.window((o.time for o in self.outcomes), 60_000, 10)

    def answered(self) -> int:
        return self.window((o.time for o in self.outcomes if o.answered), 60_000, 10)

    def recent(self, events: Iterable[int]) -> int:
        """Of the last 10 to 20 minutes."""
        return self.window(events, 600_000, 2)

    def counterparts(self) -> float:
        head = self.newest // 120_000
        return estimate(a.counterpart for a in self.attempts if head - a.time // 120_000 < 5)

    def numbers(self) -> float:
        head = self.newest // 3_600_000
        return estimate(a.counterpart for a in self.callers if head - a.time // 3_600_000 < 2)

    def called_lately(self, number: int, time: int) -> bool:
        """Whether ``number`` may be among those who called within ten minutes, as 64 bits a slot tell it."""
        head, bit = self.newest // 120_000, bit64(number)
        return any(
            head - attempt.time // 120_000 < 5
            and abs(time // 120_000 - attempt.time // 120_000) < 5
            and bit64(attempt.counterpart) == bit
            for attempt in self.attempts
        )

    def number_bits(self) -> int:
        """Bits that the block's numbers of the last two hours set."""
        head = self.newest // 3_600_000
        return len({mix(a.counterpart) >> 58 for a in self.callers if head - a.time // 3_600_000 < 2})

    def note_right(self, time: int, number: int) -> None:
        if self.newest // 86_400_000 - time // 86_400_000 < 2:
            self._right.append(Attempt(time, number))

    def right(self) -> float:
        """Numbers of the block that came the right way, today or yesterday."""
        head = self.newest // 86_400_000
        return estimate(a.counterpart for a in self._right if head - a.time // 86_400_000 < 2)

    def knows(self, number: int) -> bool:
        bits = circle(number)
        return any(known & bits == bits for known in self._circles().values())

    def circle(self) -> int:
        """The bits of everybody in the circle."""
        bits = 0
        for known in self._circles().values():
            bits |= known
        return bits

    def _circles(self) -> dict[int, int]:
        head = self.newest // 86_400_000
        days: dict[int, int] = defaultdict(int)
        for day, other in ((a.time // 86_400_000, a.counterpart) for a in self.known):
            if head - day < 2:
                days[day] |= circle(other)
        return days

    def circle_of(self, number: int, day: int) -> tuple[int, int]:
        """The bits of ``number`` in a circle, and the circle of ``day`` as far as it is kept."""
        return circle(number), self._circles()[day]

    def matured(self, times: Iterable[int], young: int) -> int:
        kept = list(times)
        return self.window(kept, 60_000, 10) - self.window(kept, 10_000, young)
