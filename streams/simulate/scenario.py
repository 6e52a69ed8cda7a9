"""What is to be simulated, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import xxhash

KINDS = (
    "burst",
    "sweep",
    "wangiri",
    "rotation",
    "flood",
    "unallocated",
    "misrouted",
    "foreign_gateway",
    "neighbour",
    "clone",
    "policy",
    "behaviour",
    "profile",
)
"""Kinds of attack, named after the detector that each is meant for."""

AWKWARD = (
    "courier",
    "call_centre",
    "notifier",
    "company",
    "sorted_dialler",
    "old_list",
    "privacy_number",
    "ringing_courier",
    "flasher",
    "heavy_ported",
    "forwarding",
    "hosted_abroad",
    "roamer",
    "visitor",
    "company_to_company",
    "calls_back",
    "moved",
    "family",
    "school",
    "ticket_sale",
    "hotline",
    "celebrant",
)
"""Sorts of legitimate callers that may look like attackers; ``Scenario.dominant`` names one of them."""

MONDAY_MORNING = 1_772_416_800_000
"""2026-03-02 10:00 in Shanghai: the start where none is given, so that a seed alone fixes a scenario."""

MINUTE = 60_000


@dataclass(frozen=True)
class AttackSpec:
    """One kind of attack in a scenario."""

    kind: str
    campaigns: int = 0
    """How many; 0: three in twenty minutes, at least one."""
    intensity: float = 1.0
    """Factor on the calls per second of each campaign, where ``calls`` does not say how many."""
    calls: int = 0
    """Calls of each campaign, exactly; 0: as its kind's pace and ``intensity`` have it."""
    minutes: float = 0.0
    """How long each campaign lasts; 0: as usual for its kind."""
    at: float | None = None
    """Minute of the scenario in which each campaign begins; None: drawn."""
    size: str = ""
    """What a report calls campaigns of this size."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"attack kind {self.kind!r}: expected one of {', '.join(KINDS)}")
        if self.campaigns < 0:
            raise ValueError(f"campaigns of {self.kind} {self.campaigns}: expected 0 or more")
        if not 0 < self.intensity <= 100:
            raise ValueError(f"intensity of {self.kind} {self.intensity}: expected above 0, at most 100")
        if self.calls < 0:
            raise ValueError(f"calls of {self.kind} {self.calls}: expected 0 or more")
        if self.minutes < 0:
            raise ValueError(f"minutes of {self.kind} {self.minutes}: expected 0 or more")
        if self.at is not None and self.at < 0:
            raise ValueError(f"at of {self.kind} {self.at}: expected a minute, 0 or more")


@dataclass(frozen=True)
class Scenario:
    """Traffic to simulate. Equal scenarios give equal traffic, on any machine and in any process.

    ``calls_per_second`` are the legitimate calls of the busiest hour of a day; the attacks come on top.
    Shares are of events (``duplicates``, ``disordered``) or of calls (``cdr``, ``seen_twice``).
    """

    seed: int = 1
    start_ms: int = MONDAY_MORNING
    minutes: float = 20.0
    calls_per_second: float = 180.0
    attacks: list[AttackSpec] | Literal["all", "none"] = "all"
    dominant: str = ""
    """One of AWKWARD that makes about four calls in ten; empty: the usual mix."""
    cdr: float = 0.1
    seen_twice: float = 0.04
    duplicates: float = 0.001
    disordered: float = 0.01
    disorder_ms: int = 2_000

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= 60 * 24 * 366:
            raise ValueError(f"minutes {self.minutes}: expected above 0, at most a year")
        if not 0 < self.calls_per_second <= 10_000:
            raise ValueError(f"calls_per_second {self.calls_per_second}: expected above 0, at most 10000")
        if isinstance(self.attacks, str) and self.attacks not in ("all", "none"):
            raise ValueError(f"attacks {self.attacks!r}: expected 'all', 'none' or a list of AttackSpec")
        if self.dominant and self.dominant not in AWKWARD:
            raise ValueError(f"dominant {self.dominant!r}: expected one of {', '.join(AWKWARD)}")
        for name in ("cdr", "seen_twice", "duplicates", "disordered"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name)}: expected a share, 0 to 1")
        if self.disorder_ms < 0:
            raise ValueError(f"disorder_ms {self.disorder_ms}: expected 0 or more")

    @property
    def end_ms(self) -> int:
        """When the last call begins; calls in progress end later."""
        return self.start_ms + round(self.minutes * MINUTE)

    def attack_specs(self) -> list[AttackSpec]:
        if self.attacks == "all":
            return [AttackSpec(kind) for kind in KINDS]
        return [] if self.attacks == "none" else list(self.attacks)

    def random(self, *names: str | int) -> np.random.Generator:
        """An own stream of random numbers for each purpose, so that none disturbs another."""
        name = "/".join(map(str, (self.seed, *names)))
        return np.random.Generator(np.random.PCG64(xxhash.xxh3_128_intdigest(name.encode())))


class SimulatedEvent(NamedTuple):
    event: dict[str, Any]
    """A call event as the topic `calls` carries it."""
    campaign: str
    """Id of the campaign it belongs to; empty: a legitimate call."""
    kind: str
    """Kind of that campaign; empty: a legitimate call."""


@dataclass(frozen=True)
class Campaign:
    """One attack: who calls whom, over which trunks, when. Numbers as a person reads them (``+86…``)."""

    campaign: str
    kind: str
    first_ms: int
    last_ms: int
    calls: int
    size: str
    """As ``AttackSpec.size`` has it."""
    subjects: list[str]
    """What a detector should name: the callers, their block (``+861380013*``), the callee or the trunk."""
    callers: list[str]
    callees: list[str]
    """The first 20 of them."""
    trunks: list[str]
