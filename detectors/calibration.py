"""What detectors' scores are worth: their log-odds as held against labelled traffic.

``config/calibration.yaml`` has, for each detector, a few points from the log-odds that the detector states
to those that were observed; both rise. Between two points it is a straight line, beyond the first and the
last it is flat: nobody is surer than what was seen. A detector without points is believed.
``python -m bench.calibration --write`` makes the file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

Knots = tuple[tuple[float, ...], tuple[float, ...]]
"""Stated log-odds and those observed, both rising."""


@cache
def tables() -> Mapping[str, Knots]:
    """The points by detector. Raises ValueError where a detector's points do not rise."""
    text = resources.files("config").joinpath("calibration.yaml").read_text(encoding="utf-8")
    return {name: _rising(name, points) for name, points in (yaml.safe_load(text) or {}).items()}


def calibrated(detector: str, log_odds: float) -> float:
    """The log-odds for abuse that a finding of ``detector`` is worth which states ``log_odds``."""
    knots = tables().get(detector)
    if knots is None:
        return log_odds
    stated, observed = knots
    at = bisect_right(stated, log_odds)
    if at in (0, len(stated)):
        return observed[min(at, len(stated) - 1)]
    slope = (observed[at] - observed[at - 1]) / (stated[at] - stated[at - 1])
    return observed[at - 1] + slope * (log_odds - stated[at - 1])


def _rising(name: str, points: list[list[float]]) -> Knots:
    stated, observed = zip(*points, strict=True)
    if sorted(set(stated)) != list(stated) or sorted(observed) != list(observed):
        raise ValueError(f"config/calibration.yaml: the points of {name} do not rise: {points}")
    return stated, observed
