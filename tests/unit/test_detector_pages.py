"""The detectors' pages: each there, its reference part as the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.registry import DETECTORS, Registered
from streams.cli.pages import begin, detector_pages, page_of


@pytest.mark.parametrize("page", list(detector_pages()), ids=lambda page: page.stem)
def test_a_page_is_up_to_date(page: Path) -> None:
    assert page.read_text() == detector_pages()[page], "run `make generate`"


PAGES = [detector for detector in DETECTORS if page_of(detector).exists()]


@pytest.mark.parametrize("detector", PAGES, ids=lambda detector: detector.name)
def test_a_page_names_every_feature(detector: Registered) -> None:
    text = page_of(detector).read_text()
    assert begin(detector.name) in text
    for feature in detector.features:
        assert f"| `{feature.name}` |" in text
