"""The suite of `ringfence evaluate --suite` cut down to what a test run can bear: a minute for all of it."""

from __future__ import annotations

from itertools import product

from streams.simulate import KINDS, AttackSpec, Scenario

SEEDS = (1, 2)
SIZES = ((27, 2.0), (100, 4.0), (400, 6.0))
"""Calls of a campaign, and minutes it takes for them."""
MINUTES = 30.0
FIRST = 4.0
"""Minutes of ordinary traffic before the first campaign."""


def attacked(seed: int) -> Scenario:
    """Every kind of campaign at every size, one beginning after the other."""
    room = MINUTES - FIRST - max(minutes for _, minutes in SIZES)
    groups = list(product(SIZES, KINDS))
    specs = [
        AttackSpec(
            kind,
            1,
            calls=calls,
            minutes=minutes,
            at=FIRST + room * place / len(groups),
            size=f"{calls} calls",
        )
        for place, ((calls, minutes), kind) in enumerate(groups)
    ]
    return Scenario(seed=seed, minutes=MINUTES, calls_per_second=30, attacks=specs)


def quiet(seed: int) -> Scenario:
    """Every legitimate kind of caller and nobody else."""
    return Scenario(seed=seed, minutes=60, calls_per_second=30, attacks="none")
