"""After the service has warmed up no kernel is compiled, whatever calls come."""

from __future__ import annotations

from itertools import islice

import orjson
import pytest
from numba.core import event

from config.settings import KafkaSettings, Settings
from detectors.kernels import KERNELS
from detectors.plan import NumberingPlan
from streams.pipeline import Pipeline
from streams.simulate import Simulation
from streams.simulate.suite import suite_scenarios
from streams.warming import warm
from streams.wire.records import ListEntry, SourceRecord

BASE = 1_767_225_600_000
ODD = {"id": "odd", "type": "attempt", "time": BASE, "callee": "+8613900139000"}


SERVICE = [each for each in KERNELS if each.py_func.__module__.startswith("detectors.")]
"""Not those of measurements and of other tests."""


@pytest.fixture(scope="module")
def warmed() -> Settings:
    settings = Settings(kafka=KafkaSettings(partitions=2))
    warm(settings, NumberingPlan.load(settings.numbering))
    return settings


def test_every_kernel_is_ready_after_warming_up(warmed: Settings) -> None:
    assert len(SERVICE) >= 7
    for kernel in SERVICE:
        assert len(kernel.signatures) == 1, f"{kernel.py_func.__name__} is not compiled by warm()"


def test_no_call_makes_a_kernel_compile(warmed: Settings) -> None:
    """Simulated campaigns of every kind, odd numbers, empty and single frames, lists that grow."""
    pipeline = Pipeline(warmed, NumberingPlan.load(warmed.numbering))
    with event.install_recorder("numba:compile") as compiled:
        traffic = (each.event for each in Simulation(suite_scenarios(1)[0].scenario).traffic())
        alerts = 0
        while events := list(islice(traffic, 20_000)):
            alerts += len(pipeline.feed([record(events)]).alerts)
        for caller in ("", "anonymous", "12345", "+" + "9" * 20, "110", "+8613800138000"):
            odd = {
                "id": caller,
                "type": "attempt",
                "time": BASE,
                "caller": caller,
                "callee": "+8613900139000",
            }
            pipeline.feed([record([odd])])
        for number in range(3_000):
            pipeline.listed(str(number), refusal(number), BASE)
        pipeline.listed("1", None, BASE)
    assert alerts > 0
    assert [kernel.py_func.__name__ for kernel in SERVICE if len(kernel.signatures) != 1] == []
    assert len(compiled.buffer) == 0


def record(events: list[dict[str, object]]) -> SourceRecord:
    return SourceRecord(orjson.dumps(events), "calls", 0, 0, None)


def refusal(number: int) -> ListEntry:
    return ListEntry(str(number), "refusal", "number", f"+86139{number:08}", "subscriber", "asked for it")
