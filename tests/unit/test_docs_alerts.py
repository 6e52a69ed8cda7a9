"""docs/alerts.md says what the code says about families and independence."""

from __future__ import annotations

import re
from pathlib import Path

from detectors.fusion import FAMILIES, INDEPENDENT

PAGE = (Path(__file__).resolve().parents[2] / "docs/alerts.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that begins with this row."""
    table = PAGE[PAGE.index(heading) :].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_every_detector_is_in_its_family() -> None:
    listed = {
        detector: family
        for family, detectors, _ in rows("| family |")[2:]
        for detector in re.findall(r"`(\w+)`", detectors)
    }
    assert listed == FAMILIES


def test_the_table_of_independence_is_the_one_in_force() -> None:
    heading, _, *lines = rows("| | identity |")
    listed = {
        frozenset((line[0], other))
        for line in lines
        for other, cell in zip(heading[1:], line[1:], strict=True)
        if cell == "yes"
    }
    assert listed == INDEPENDENT
    assert [line[0] for line in lines] == heading[1:] == list(dict.fromkeys(FAMILIES.values()))
