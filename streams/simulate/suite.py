"""The scenarios that detection is judged by: every kind of attack at every size, and a week without any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from streams.simulate.scenario import AWKWARD, KINDS, MINUTE, MONDAY_MORNING, AttackSpec, Scenario

WARM_UP_MINUTES = 4.0
"""No campaign begins before ordinary traffic has run so long."""
_MIXED_MINUTES = 60.0
_AWKWARD_MINUTES = 22.0
_IN_AWKWARD = 9
"""Campaigns inside each of the shorter scenarios."""
_EVENING = (21.45, 22.0)
"""When one of them begins: late enough that advertising has become a nuisance by itself."""
_DAY = 24 * 60 * MINUTE
_EVENING_SORTS = [s for s in AWKWARD if s not in ("call_centre", "notifier", "sorted_dialler", "old_list")]
"""Those who still call then."""


@dataclass(frozen=True)
class Size:
    """How large campaigns are; each draws its own figures between the two of each pair."""

    name: str
    calls: tuple[int, int]
    interval: tuple[float, float]
    """Mean seconds from a call to the next one."""


SIZES = (
    Size("13 calls", (13, 13), (3.0, 45.0)),
    Size("27 calls", (27, 27), (1.5, 25.0)),
    Size("100 calls", (100, 100), (0.3, 6.0)),
    Size("400 calls", (400, 400), (0.12, 1.5)),
    Size("1500 calls", (1500, 1500), (0.07, 0.5)),
    Size("slow", (13, 150), (0.0, 0.0)),
)
"""13 calls is the mean campaign seen at one observer, 27 calls its 95th percentile. Slow ones last hours."""

_SLOWEST_PACE = {"behaviour": 0.9, "clone": 0.4, "policy": 0.3}
"""Kinds that never hurry: at least so many seconds from a call to the next one."""
_SLOW_HOURS = (2.0, 6.0)


class NamedScenario(NamedTuple):
    name: str
    scenario: Scenario


def suite_scenarios(seed: int) -> list[NamedScenario]:
    """Scenarios that together hold every kind of attack at every size once.

    A mixed hour, two shorter scenarios in which an awkward sort of legitimate caller dominates, the second of
    them in the evening, and hours of thin traffic with the slow campaigns. The same seed gives the same
    scenarios, another one other habits and sorts. About half a million events.
    """
    random = np.random.default_rng([seed, 4])
    specs = [_spec(random, kind, size) for size in SIZES if size.name != "slow" for kind in KINDS]
    evening, day, rest = _shared_out(random, specs)
    mixed = Scenario(
        seed=_seed(seed, 0),
        start_ms=_start(random, 9, 16),
        minutes=_MIXED_MINUTES,
        calls_per_second=round(float(random.uniform(34, 44)), 1),
        attacks=_spread(random, rest, _MIXED_MINUTES),
    )
    sort, other = AWKWARD[seed % len(AWKWARD)], _EVENING_SORTS[(seed + 5) % len(_EVENING_SORTS)]
    return [
        NamedScenario("mixed", mixed),
        NamedScenario(sort, _awkward(random, seed, 1, sort, day, (9.0, 17.0))),
        NamedScenario(f"{other}, evening", _awkward(random, seed, 2, other, evening, _EVENING)),
        NamedScenario("slow", _slow(random, seed)),
    ]


def _shared_out(
    random: np.random.Generator, specs: list[AttackSpec]
) -> tuple[list[AttackSpec], list[AttackSpec], list[AttackSpec]]:
    """Campaigns for the evening, which has one of policy, for the day, and for the mixed hour."""
    order = random.permutation(len(specs)).tolist()
    short = [i for i in order if specs[i].minutes < _AWKWARD_MINUTES / 2]
    policy = next(i for i in short if specs[i].kind == "policy")
    short.remove(policy)
    evening, day = [policy, *short[: _IN_AWKWARD - 1]], short[_IN_AWKWARD - 1 : 2 * _IN_AWKWARD - 1]
    taken = {*evening, *day}
    rest = [i for i in order if i not in taken]
    return [specs[i] for i in evening], [specs[i] for i in day], [specs[i] for i in rest]


def _awkward(
    random: np.random.Generator,
    seed: int,
    index: int,
    sort: str,
    specs: list[AttackSpec],
    hours: tuple[float, float],
) -> Scenario:
    return Scenario(
        seed=_seed(seed, index),
        start_ms=_start(random, *hours),
        minutes=_AWKWARD_MINUTES,
        calls_per_second=round(float(random.uniform(18, 30)), 1),
        attacks=_spread(random, specs, _AWKWARD_MINUTES),
        dominant=sort,
    )


def week_scenario(seed: int) -> Scenario:
    """A week of legitimate traffic, about a million calls."""
    return Scenario(
        seed=_seed(seed, 9), start_ms=MONDAY_MORNING, minutes=7 * 24 * 60, calls_per_second=3, attacks="none"
    )


def _slow(random: np.random.Generator, seed: int) -> Scenario:
    hours = float(random.uniform(_SLOW_HOURS[0] + 1.5, _SLOW_HOURS[1] + 0.5))
    specs = [
        AttackSpec(
            kind,
            1,
            calls=int(random.integers(13, 151)),
            minutes=60 * float(random.uniform(_SLOW_HOURS[0], min(_SLOW_HOURS[1], hours - 0.5))),
            size="slow",
        )
        for kind in KINDS
    ]
    return Scenario(
        seed=_seed(seed, 3),
        start_ms=_start(random, 8.5, 13),
        minutes=60 * hours,
        calls_per_second=round(float(random.uniform(1.3, 2.0)), 2),
        attacks=_spread(random, specs, 60 * hours),
    )


def _spec(random: np.random.Generator, kind: str, size: Size) -> AttackSpec:
    low, high = size.interval
    low = max(low, _SLOWEST_PACE.get(kind, 0.0))
    interval = float(np.exp(random.uniform(np.log(low), np.log(max(high, 1.5 * low)))))
    calls = size.calls[0]
    return AttackSpec(kind, 1, calls=calls, minutes=calls * interval / 60, size=size.name)


def _spread(random: np.random.Generator, specs: list[AttackSpec], minutes: float) -> list[AttackSpec]:
    """The same, one beginning after the other over the whole scenario."""
    room = minutes - WARM_UP_MINUTES - 1
    spread = []
    for slot, i in enumerate(random.permutation(len(specs)).tolist()):
        spec = specs[i]
        at = (slot + float(random.random())) / len(specs) * room
        at = WARM_UP_MINUTES + min(at, max(0.0, room - spec.minutes))
        spread.append(AttackSpec(spec.kind, 1, calls=spec.calls, minutes=spec.minutes, at=at, size=spec.size))
    return spread


def _start(random: np.random.Generator, earliest: float, latest: float) -> int:
    """A local hour between the two, on a day of some week; ``MONDAY_MORNING`` is at ten."""
    day, hour = int(random.integers(0, 28)), float(random.uniform(earliest, latest))
    return MONDAY_MORNING + day * _DAY + round((hour - 10) * 60) * MINUTE


def _seed(seed: int, index: int) -> int:
    return 1_000 + seed * 10 + index
