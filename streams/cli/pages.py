"""The reference parts of the detectors' pages, made from the features they declare and their settings.

A page (``docs/detectors/NAME.md``) is written by hand but for what stands between the two marks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from config.reference import ROOT, allowed, entries
from detectors.registry import DETECTORS, Registered

PAGES = ROOT / "docs" / "detectors"
END = "<!-- end -->"


def begin(name: str) -> str:
    """The mark before the generated part of a detector's page."""
    return f"<!-- generated: {name} -->"


def page_of(detector: Registered) -> Path:
    return PAGES / f"{detector.name}.md"


def detector_pages() -> dict[Path, str]:
    """Every detector's page with its generated part made anew. Raises ValueError where a mark is missing."""
    return {
        page_of(detector): _filled(page_of(detector), detector)
        for detector in DETECTORS
        if page_of(detector).exists()
    }


def _filled(page: Path, detector: Registered) -> str:
    text = page.read_text(encoding="utf-8")
    before, mark, rest = text.partition(begin(detector.name))
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{page}: expected the lines {begin(detector.name)} and {END}")
    return "\n".join([before + mark, "", *_reference(detector), "", end + after])


def _reference(detector: Registered) -> Iterator[str]:
    yield "| feature | unit | is | typical |"
    yield "| --- | --- | --- | --- |"
    for feature in detector.features:
        yield f"| `{feature.name}` | {feature.unit} | {feature.meaning} | {feature.typical:g} |"
    yield ""
    yield f"| setting `{detector.settings}.…` | default | allowed | what it is |"
    yield "| --- | --- | --- | --- |"
    for entry in entries():
        if entry.section == detector.settings:
            name = entry.name.rpartition(".")[2]
            yield f"| `{name}` | `{json.dumps(entry.default)}` | {allowed(entry)} | {entry.description} |"
