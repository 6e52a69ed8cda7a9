from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from streams.warming import YOUNG_OBJECTS, spare_what_is_loaded


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_what_is_loaded_is_spared_and_later_cycles_are_still_found() -> None:
    gc.disable()
    loaded = [[] for _ in range(1_000)]  # type: ignore[var-annotated]
    spare_what_is_loaded()
    assert gc.get_freeze_count() > len(loaded)
    assert gc.isenabled()
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
