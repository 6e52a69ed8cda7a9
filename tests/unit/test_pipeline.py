"""However recorded calls are cut into messages, the same comes of them."""

from __future__ import annotations

from itertools import islice

import orjson
import pytest

from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.pipeline import Pipeline
from streams.simulate.scenario import AttackSpec, Scenario
from streams.simulate.traffic import Simulation
from streams.wire.records import SourceRecord, encode

ATTACK = AttackSpec("profile", 1, calls=600, minutes=2, at=11)
SCENARIO = Scenario(seed=5, minutes=14, calls_per_second=30, attacks=[ATTACK])


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return [orjson.dumps(event) + b"\n" for event, _, _ in Simulation(SCENARIO).traffic()]


def _alerts(lines: list[bytes], at_once: int) -> set[bytes]:
    """Alerts of trunks and network pairs, every version."""
    pipeline = Pipeline(Settings(), NumberingPlan.load(Settings().numbering))
    coming, found, offset = iter(lines), set[bytes](), 0
    while some := list(islice(coming, at_once)):
        happened = pipeline.feed([SourceRecord(b"".join(some), "calls", 0, offset, None)])
        found |= {encode(alert) for alert in happened.alerts if alert.detector == "profile"}
        offset += 1
    return found


def test_trunks_are_judged_alike_however_much_traffic_a_message_holds(lines: list[bytes]) -> None:
    """A message of 4 096 calls spans more seconds here than a second is left open for what is late."""
    large = _alerts(lines, 4_096)
    assert large
    assert _alerts(lines, 331) == large
