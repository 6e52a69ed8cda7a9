"""The detectors' pages: each there, its reference part as the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.registry import DETECTORS
from streams.cli.pages import begin, detector_pages, page_of


@pytest.mark.parametrize("page", list(detector_pages()), ids=lambda page: page.stem)
def test_a_page_is_up_to_date(page: Path) -> None:
    assert page.read_text() == detector_pages()[page], "run `make generate`"


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
def test_a_page_names_every_feature_and_setting(detector: object) -> None:
    registered = next(d for d in DETECTORS if d is detector)
    text = page_of(registered).read_text()
    assert begin(registered.name) in text
    for feature in registered.features:
        assert f"| `{feature.name}` |" in text
