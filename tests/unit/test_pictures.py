"""The pictures of the detectors' pages: drawn from the code, small, there where a page refers to one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bench import pictures
from bench.scene import Call, Scene

SMALL_BYTES = 60_000
REFERENCE = re.compile(r"!\[[^\]]+\]\(([\w.]+)\)")
PAGES_WITH_PICTURE = [
    page for page in sorted(pictures.PAGES.glob("*.md")) if REFERENCE.search(page.read_text())
]


@pytest.mark.parametrize("page", PAGES_WITH_PICTURE, ids=lambda page: page.stem)
def test_the_picture_of_a_page_is_there_and_small(page: Path) -> None:
    assert page.stem in pictures.PICTURES
    for name in REFERENCE.findall(page.read_text()):
        drawn = (page.parent / name).read_text()
        assert name == f"{page.stem}.svg"
        assert drawn.count("<text") > 4
        assert len(drawn.encode()) < SMALL_BYTES


def some_calls(campaign: str, caller: int, count: int) -> list[Call]:
    return [
        Call(
            time=60_000 + n * 3_000,
            caller=caller,
            callee=8613911110000 + n,
            status=0,
            trunk="T-1",
            network="CM",
            operator="CM",
            abroad=False,
            roaming=False,
            campaign=campaign,
            ended=True,
            ring_ms=1_000 if campaign else 20_000,
        )
        for n in range(count)
    ]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = some_calls("x-1", 8617012345678, 30) + some_calls("", 862151060000, 25)
    shown = Scene(calls, begin=60_000, alert=90_000, rule=None, refusers=frozenset())
    monkeypatch.setattr(pictures, "scene", lambda detector, scenario: shown)


@pytest.mark.usefixtures("seen")
def test_a_picture_shows_the_calls_and_the_moments() -> None:
    figure = Figure()
    pictures.wangiri(figure)
    [axes] = figure.axes
    lines = {str(line.get_label()): line for line in axes.lines}
    assert set(lines) == {"other callers", "the campaign", "alert"}
    assert lines["the campaign"].get_ydata() == pytest.approx([1.0] * 30)
    assert lines["other callers"].get_ydata() == pytest.approx([20.0] * 25)
    assert lines["alert"].get_xdata() == [0.5, 0.5]
    assert axes.get_xlabel() == pictures.MINUTES


@pytest.mark.usefixtures("seen")
def test_a_picture_is_the_same_each_time_and_names_its_axes() -> None:
    drawn = pictures.svg("burst")
    assert drawn == pictures.svg("burst")
    for text in ("attempts of the caller so far", "not answered", "the robot", "alert"):
        assert text in drawn
    assert "<dc:date>" not in drawn


def test_what_a_pair_of_numbers_shares() -> None:
    assert pictures.shared_digits(8613812345678, 8613812999999) == 5
    assert pictures.shared_digits(8613812345678, 8613812345678) == 8
    assert pictures.shared_digits(8613812345678, 8621612345678) == 0


def test_a_series_is_thinned_evenly() -> None:
    axes = Figure().subplots()
    pictures.dots(axes, range(1_000), range(1_000), "red", "many")
    [line] = axes.lines
    assert len(line.get_xdata()) == pictures.DOTS  # type: ignore[arg-type]
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (0, 999)  # type: ignore[index]
