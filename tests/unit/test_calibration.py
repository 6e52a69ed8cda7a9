"""Scores and what they were worth: the table in force, and how it is fitted."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench.calibration import LEAST_FINDINGS, MOST_GROUPS, Observed, error_of, fit, points_of, written
from detectors import calibration
from detectors.fusion import FAMILIES, log_odds_of


def test_the_table_in_force_rises_and_names_detectors() -> None:
    assert set(calibration.tables()) <= set(FAMILIES)
    for stated, observed in calibration.tables().values():
        assert list(stated) == sorted(set(stated))
        assert list(observed) == sorted(observed)


def test_between_points_a_line_and_beyond_them_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "tables", lambda: {"burst": ((-1.0, 1.0, 3.0), (0.0, 1.0, 2.0))})
    assert [calibration.calibrated("burst", x) for x in (-9, -1, 0, 2, 3, 9)] == [0, 0, 0.5, 1.5, 2, 2]
    assert calibration.calibrated("nobody", 7.5) == 7.5


def test_points_that_do_not_rise_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "safe_load", lambda _: {"burst": [[0, 1], [1, 0]]})
    with pytest.raises(ValueError, match="the points of burst do not rise"):
        calibration.tables.__wrapped__()


findings = st.lists(st.builds(Observed, st.floats(0, 1), st.booleans()), min_size=1, max_size=300)


@given(findings)
def test_what_is_fitted_can_be_used(observed: list[Observed]) -> None:
    points = points_of(observed)
    assert 1 <= len(points) <= MOST_GROUPS
    if fit({"burst": observed}):
        assert len(observed) >= LEAST_FINDINGS
        calibration._rising("burst", yaml.safe_load(written({"burst": points}))["burst"])


def test_the_fit_finds_what_scores_are_worth() -> None:
    """Stated 0.6 and 0.9, true in half and in all of a thousand."""
    observed = [Observed(0.6, n % 2 == 0) for n in range(1_000)] + [Observed(0.9, True)] * 1_000
    (low, even), (high, sure) = points_of(observed)
    assert (low, high) == (round(log_odds_of(0.6), 2), round(log_odds_of(0.9), 2))
    assert even == 0
    assert sure == round(math.log(1_001), 2)


def test_a_fit_that_falls_is_pooled() -> None:
    observed = [Observed(0.6, True)] * 100 + [Observed(0.9, False)] * 100
    ((_, level),) = points_of(observed)
    assert level == 0


def test_few_findings_are_believed() -> None:
    assert fit({"burst": [Observed(0.9, True)] * (LEAST_FINDINGS - 1)}) == {}
    assert yaml.safe_load(written({})) == {}


def test_the_error_of_scores() -> None:
    assert error_of([Observed(0.75, n % 4 != 0) for n in range(100)]) == pytest.approx((0.1875, 0))
    assert error_of([Observed(0.75, True)] * 10)[1] == pytest.approx(0.25)
