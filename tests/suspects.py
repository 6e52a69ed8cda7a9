"""Sweeps and one-ring campaigns, as call events."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.traffic import START, Row, call, in_time

FIRST = 8615912340000
"""Callee that a sweep begins with."""


def sweeping(
    callers: Sequence[int],
    calls: int,
    every_ms: int,
    *,
    start: int = START,
    seed: int = 0,
    step: int = 1,
    shuffle: float = 0,
    runs: int = 1,
    talk: float = 0.04,
    invalid: float = 0.3,
    **other: object,
) -> list[Row]:
    """Callees ``step`` at most apart, in ``runs`` interleaved, each caller drawn at random."""
    draw = random.Random(seed)
    callees = [FIRST + 3_000_000 * run for run in range(runs)]
    order = []
    for n in range(calls):
        callees[n % runs] += draw.randint(1, step)
        order.append(callees[n % runs])
    places = [n + draw.uniform(0, shuffle) for n in range(calls)]
    order = [order[n] for n in sorted(range(calls), key=places.__getitem__)]
    rows: list[Row] = []
    for n, callee in enumerate(order):
        at, caller, name = start + n * every_ms, draw.choice(callers), f"sweep-{seed}-{n}"
        given = {"ring_ms": draw.randrange(4_000, 25_000), "cause": 19, "released_by": 3, **other}
        if draw.random() < invalid:
            given |= {"ring_ms": 0, "cause": 1}
        talks = draw.random() < talk and given["cause"] == 19
        rows += call(at, caller, callee, name, draw.randrange(30_000, 90_000) if talks else None, **given)
    return in_time(rows)


def ringing(
    callers: Sequence[int],
    calls: int,
    every_ms: int,
    *,
    start: int = START,
    seed: int = 0,
    share: float = 0.8,
    answered: float = 0.02,
    released_by: int = 1,
    ring_ms: Sequence[int] = range(500, 3_500),
    callees: Sequence[int] = (),
    **other: object,
) -> list[Row]:
    """``share`` of the calls are given up after one of ``ring_ms``; ``answered`` of them talk for long."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for n in range(calls):
        callee = draw.choice(callees) if callees else 8615800000000 + draw.randrange(90_000_000)
        at, caller, name = start + n * every_ms, draw.choice(callers), f"ring-{seed}-{n}"
        u = draw.random()
        if u < share:
            given = {"ring_ms": draw.choice(ring_ms), "cause": 16, "released_by": released_by}
            rows += call(at, caller, callee, name, None, **(given | other))
        elif u < share + answered:
            rows += call(at, caller, callee, name, 60_000, **other)
        else:
            cause = draw.choice((1, 17, 20))
            rows += call(at, caller, callee, name, None, **({"ring_ms": 0, "cause": cause} | other))
    return in_time(rows)
