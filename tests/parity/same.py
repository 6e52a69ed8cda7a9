"""Comparing what two implementations said."""

from __future__ import annotations

import pytest

from detectors.reference import Said


def assert_said_the_same(kernel: list[Said], reference: list[Said]) -> None:
    assert [s[:5] for s in kernel] == [s[:5] for s in reference]
    for ours, theirs in zip(kernel, reference, strict=True):
        assert ours.features[: len(theirs.features)] == pytest.approx(theirs.features), ours
