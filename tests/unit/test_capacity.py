"""The capacity page says what the formulas say, and the formula of memory is what the tables take."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.capacity import measured, needs, partition_bytes, table
from bench.detect import bytes_of
from config.settings import DetectSettings, Settings
from detectors.fold import new_state

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "capacity.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("numbers", [1 << 17, 1 << 19])
def test_memory_of_a_partition_is_what_its_tables_take(numbers: int) -> None:
    detect = DetectSettings(tracked_numbers=numbers)
    taken = bytes_of(new_state(Settings(detect=detect)))
    assert taken == pytest.approx(partition_bytes(detect), rel=0.02)


def test_the_page_has_the_table_that_follows_from_the_measurements() -> None:
    assert table([1_000, 10_000, 60_000, 600_000], Settings()) in PAGE


def test_ten_countries_need_ten_times_the_cores() -> None:
    one, ten = needs(60_000, Settings()), needs(600_000, Settings())
    assert ten.ingest_cores == pytest.approx(10 * one.ingest_cores)
    assert ten.workers <= 10 * one.workers
    assert ten.partitions >= 4 * one.partitions


def test_a_figure_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match=r"detect\.json has no 'speed'"):
        measured("detect", "speed")
