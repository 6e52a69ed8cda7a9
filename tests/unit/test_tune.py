"""Thresholds chosen from what they would have done."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import yaml

from config.settings import Settings
from streams.cli import exits, main
from streams.evaluate.tune import LEVELS, NEVER, Outcome, choose, tunable, with_levels


def outcomes(*pairs: tuple[int, int]) -> dict[float, Outcome]:
    """From the strictest level to the easiest."""
    return dict(zip(sorted(LEVELS, reverse=True), (Outcome(*pair) for pair in pairs), strict=False))


STRICT, NEXT, THIRD = sorted(LEVELS, reverse=True)[:3]


def test_what_costs_nothing_is_taken() -> None:
    assert choose({"burst": outcomes((10, 0), (20, 0), (30, 5))}, 0) == {"burst": NEXT}


def test_a_detector_that_always_costs_too_much_only_reports() -> None:
    assert choose({"burst": outcomes((10, 3), (20, 4))}, 2) == {"burst": NEVER}


def test_the_allowance_goes_where_it_buys_most() -> None:
    held = {"burst": outcomes((10, 0), (100, 3)), "flood": outcomes((10, 0), (20, 3))}
    assert choose(held, 3) == {"burst": NEXT, "flood": STRICT}
    assert choose(held, 6) == {"burst": NEXT, "flood": NEXT}


def test_an_easier_level_that_blocks_no_more_is_not_taken() -> None:
    assert choose({"burst": outcomes((10, 0), (10, 0), (10, 0))}, 9) == {"burst": STRICT}


def test_levels_become_settings_that_are_right() -> None:
    for level in LEVELS:
        tried = with_levels(Settings(), dict.fromkeys(tunable(Settings()), level))
        assert Settings.model_validate(tried.model_dump()) == tried
    assert with_levels(Settings(), {"burst": NEVER}).detectors.burst.mode == "report"


def test_tuning_recorded_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--minutes", "3", "--rate", "10", "--seed", "3", "--attacks", "burst,unallocated"]
    assert main.run(["simulate", *arguments, "--out", str(tmp_path)]) == exits.OK
    capsys.readouterr()
    calls, labels, out = (str(tmp_path / name) for name in ("calls.ndjson", "labels.csv", "tuned.yaml"))
    code = main.run(["tune", calls, "--labels", labels, "--detectors", "burst,flood", "--out", out, "--json"])
    found = orjson.loads(capsys.readouterr().out)
    assert code == 0
    assert found["holds"]
    assert [each["detector"] for each in found["detectors"]] == ["burst", "flood"]
    assert [each["odds"] for each in found["detectors"][0]["by_odds"]] == list(LEVELS)
    assert found["after"]["wrongly_blocked"] == 0
    assert found["after"]["blocked"] >= found["before"]["blocked"] - found["before"]["wrongly_blocked"]
    proposed = yaml.safe_load(Path(out).read_text())
    assert proposed is None or set(proposed["detectors"]) <= {"burst", "flood"}


def test_an_unknown_detector_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("call_id,campaign,kind\n")
    assert main.run(["tune", "calls.ndjson", "--labels", str(labels), "--detectors", "bursts"]) == 2
    assert "--detectors bursts: it has no odds or is off" in capsys.readouterr().err
