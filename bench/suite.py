"""The scenario suite (docs/evaluate.md) as a measurement: what is found, blocked and blocked wrongly.

    python -m bench.suite [--seeds 1-50] [--weeks 1-3] [--jobs 2] [--out build/suite]

Fifty seeds take about twenty minutes of one core. What was judged by the same code before is read back.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import OVER_SEEDS, row_over_seeds, write_results
from config.loading import load_settings
from streams.cli.suite import OUT, SEEDS
from streams.evaluate.figures import Evaluation, Figures, evaluation
from streams.evaluate.suite import JudgedSeed, halves, judged_seeds, read_seeds
from streams.evaluate.targets import QUIET_TARGETS, TARGETS, Target

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default=SEEDS["suite"])
    parser.add_argument("--weeks", default=SEEDS["week"], help="empty: none")
    parser.add_argument("--tune-seeds", default="odd")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    settings = load_settings(overrides={"respond.mode": "enforce"})
    seeds = read_seeds(given.seeds)
    judged = judged_seeds("suite", seeds, settings, given.out, given.jobs)
    rows: list[Row] = []
    for half, chosen in zip(("tuning", "reporting"), halves(seeds, given.tune_seeds), strict=True):
        if not chosen:
            continue
        of_half = _seeds([each for each in judged if each.seed in chosen])
        rows += [*_targets(f"{half} seeds", of_half, TARGETS), *_kinds(f"{half} seeds", of_half)]
    if given.weeks:
        weeks = judged_seeds("week", read_seeds(given.weeks), settings, given.out, given.jobs)
        rows += _targets("weeks without attacks", _seeds(weeks), QUIET_TARGETS)
    parameters = {
        "seeds": given.seeds,
        "tuned on": given.tune_seeds,
        "weeks": given.weeks or "none",
    }
    print(write_results("suite", parameters | OVER_SEEDS, rows))


class _Seeds(NamedTuple):
    whole: Evaluation
    single: list[Evaluation]


def _seeds(judged: Sequence[JudgedSeed]) -> _Seeds:
    whole = evaluation([judgement for each in judged for judgement in each.judgements])
    return _Seeds(whole, [each.evaluation() for each in judged])


def _targets(name: str, seeds: _Seeds, targets: Sequence[Target]) -> Iterator[Row]:
    for target in targets:
        unit = f"{'share, ' if target.is_share else ''}{target.bound} {target.value:g}"
        yield from _row(f"{name}: {target.name}", unit, seeds, target.figure)


def _kinds(name: str, seeds: _Seeds) -> Iterator[Row]:
    for kind in [each.kind for each in seeds.whole.kinds]:
        yield from _row(f"{name}: {kind}: found", "share", seeds, lambda e, k=kind: _of(e, k).found_share)
        yield from _row(
            f"{name}: {kind}: calls blocked", "share", seeds, lambda e, k=kind: _of(e, k).blocked_share
        )


def _of(evaluation: Evaluation, kind: str) -> Figures:
    return next(each for each in evaluation.kinds if each.kind == kind)


def _row(
    metric: str, unit: str, seeds: _Seeds, figure: Callable[[Evaluation], float | None]
) -> Iterator[Row]:
    """One row; none where there is no such figure."""
    together = figure(seeds.whole)
    single = [value for each in seeds.single if (value := figure(each)) is not None]
    if together is not None:
        yield row_over_seeds(metric, unit, together, single)


if __name__ == "__main__":
    main()
