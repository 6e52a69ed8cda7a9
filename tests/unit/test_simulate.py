"""The simulated traffic: the same from the same seed, cleanly labelled, and like real traffic."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import xxhash

from streams.simulate import Scenario, SimulatedEvent, traffic

SMALL = Scenario(seed=11, minutes=6, calls_per_second=60)


@pytest.fixture(scope="module")
def events() -> list[SimulatedEvent]:
    return list(traffic(SMALL))


@pytest.fixture(scope="module")
def calls(events: list[SimulatedEvent]) -> dict[str, SimulatedEvent]:
    """How each call ended, by call_id; the first probe's view."""
    ended: dict[str, SimulatedEvent] = {}
    for e in events:
        if e.event["type"] != "attempt":
            ended.setdefault(e.event["call_id"], e)
    return ended


def digest(events: list[SimulatedEvent]) -> str:
    return xxhash.xxh3_64_hexdigest(repr(events).encode())


_PRINT_DIGEST = """
import xxhash
from streams.simulate import Scenario, traffic
print(xxhash.xxh3_64_hexdigest(repr(list(traffic(Scenario(seed=5, minutes=1, calls_per_second=30)))).encode()))
"""


def test_a_seed_fixes_the_traffic_in_every_process() -> None:
    here = digest(list(traffic(Scenario(seed=5, minutes=1, calls_per_second=30))))
    for hash_seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", _PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert out.stdout.strip() == here
    assert digest(list(traffic(Scenario(seed=6, minutes=1, calls_per_second=30)))) != here


def test_events_come_in_time_order_but_for_the_few_that_are_late(events: list[SimulatedEvent]) -> None:
    times = np.array([e.event["time"] for e in events])
    behind = np.maximum.accumulate(times) - times
    assert behind.max() <= SMALL.disorder_ms + 700
    assert 0 < (behind > 0).mean() < 3 * SMALL.disordered


def test_legitimate_traffic_is_the_same_with_and_without_attacks() -> None:
    def legitimate(attacks: Any) -> set[tuple[int, str, str]]:
        scenario = Scenario(seed=3, minutes=2, calls_per_second=30, attacks=attacks)
        return {
            (e.event["time"], e.event["caller"], e.event["callee"])
            for e in traffic(scenario)
            if not e.campaign and e.event["type"] != "end"
        }

    without, with_attacks = legitimate("none"), legitimate("all")
    assert len(without) > 500
    assert without <= with_attacks, "attacks add calls back to the attackers, and change nothing else"
