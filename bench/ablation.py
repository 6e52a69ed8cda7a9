"""What each detector is worth: the suite with one of them off at a time, and with what carriers use today.

    python -m bench.ablation [--seeds 2,4,6] [--tune-seeds 1,3] [--jobs 2]

A scenario is simulated once and every variant runs over it. The rate threshold's figure is chosen on the
tuning seeds; everything reported is of the others. Three seeds take about ten minutes of two cores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import RESULTS, write_results
from config.loading import load_settings
from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.evaluate.baseline import (
    UserOf,
    best_balance,
    judge_baseline,
    most_precise,
    run_baseline,
    traffic_of,
)
from streams.evaluate.figures import Evaluation, evaluation
from streams.evaluate.fraud_detection import OPERATOR, TUTORIAL, Profile, rate_threshold
from streams.evaluate.outcome import Judgement
from streams.evaluate.run import judge_recorded, recorded
from streams.evaluate.suite import read_seeds, warm_up
from streams.evaluate.targets import TARGETS, number, percent
from streams.simulate.suite import suite_scenarios

SEEDS, TUNE_SEEDS = "2,4,6", "1,3"
RATES = (3, 5, 8, 10, 15, 20, 30, 45, 60, 90, 120)
"""Calls a minute that are tried as the one threshold."""
PRECISE = 0.9999
OUTSIDE_DETECTORS = ("behaviour", "reputation", "profile")
"""Detectors whose settings are, or may be, sections of their own."""

ALL_ON = "all detectors"
Row = dict[str, Any]


class Baseline(NamedTuple):
    detector: str
    profile: Profile
    user_of: UserOf = "number"


def _rate(most: int) -> str:
    return f"rate {most}"


RATE_THRESHOLDS = {_rate(most): Baseline("rate", rate_threshold(most)) for most in RATES}
OPENSIPS = {
    "OpenSIPS fraud_detection, the tutorial's profile": Baseline("opensips", TUTORIAL),
    "OpenSIPS fraud_detection, the tutorial's profile, by calling prefix": Baseline(
        "opensips", TUTORIAL, "block"
    ),
    "OpenSIPS fraud_detection, an operator's profile": Baseline("opensips", OPERATOR),
}


class Column(NamedTuple):
    metric: str
    unit: str
    figure: Callable[[Evaluation], float | None]
    shown: Callable[[float | None], str] = number


COLUMNS = (
    Column("campaigns found", "share", lambda e: e.overall.found_share, percent),
    Column("malicious calls blocked", "share", lambda e: e.overall.blocked_share, percent),
    Column("precision of blocks", "share", lambda e: e.overall.precision, percent),
    Column(
        "legitimate calls blocked", "per million of them", lambda e: e.overall.wrongly_blocked_per_million
    ),
    Column("calls to rule", "median", lambda e: e.overall.to_rule.calls_median),
    Column("alerts a campaign", "mean", lambda e: e.overall.alerts_mean),
    Column(
        "alerts without a campaign",
        "medium and above per 10,000 calls",
        lambda e: e.stray.medium_per_ten_thousand_calls,
    ),
)

BySeed = dict[int, list[Judgement]]
"""Of one variant, its scenarios by seed."""
Work = Callable[[], tuple[int, dict[str, Judgement]]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default=SEEDS)
    parser.add_argument("--tune-seeds", default=TUNE_SEEDS)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    settings = load_settings(overrides={"respond.mode": "enforce"})
    seeds, tuning = read_seeds(given.seeds), read_seeds(given.tune_seeds, "--tune-seeds")
    if both := sorted({*seeds} & {*tuning}):
        parser.error(f"seed {both[0]} is in --seeds and in --tune-seeds; expected different ones")
    warm_up(settings)
    tuned = _gathered(_work(tuning, {}, RATE_THRESHOLDS), given.jobs)
    ours, theirs = variants(settings), chosen_rates(tuned, tuning) | OPENSIPS
    found = _gathered(_work(seeds, ours, theirs), given.jobs)
    parameters = {"seeds": given.seeds, "rate threshold chosen on seeds": given.tune_seeds}
    print(write({name: found[name] for name in (*ours, *theirs)}, parameters))


def write(found: Mapping[str, BySeed], parameters: Mapping[str, Any], results: Path = RESULTS) -> Path:
    """Both tables, in the order of ``found``; the path of the JSON."""
    rows = [row for name, by_seed in found.items() for row in _rows(name, by_seed)]
    whole = {name: evaluation(_of(by_seed, sorted(by_seed))) for name, by_seed in found.items()}
    meaning = {"median": "over all of the seeds together", "low and high": "of single seeds"}
    return write_results("ablation", {**parameters, **meaning}, rows, results, lead=wide_table(whole))


def variants(settings: Settings) -> dict[str, Settings]:
    """``settings`` as they are, and with each detector that is on turned off."""
    found = {ALL_ON: settings}
    for name in type(settings.detectors).model_fields:
        section = getattr(settings.detectors, name)
        if section.mode != "off":
            detectors = settings.detectors.model_copy(
                update={name: section.model_copy(update={"mode": "off"})}
            )
            found[f"without {name}"] = settings.model_copy(update={"detectors": detectors})
    for name in OUTSIDE_DETECTORS:
        section = getattr(settings, name, None)
        if section is not None and section.mode != "off":
            found[f"without {name}"] = settings.model_copy(
                update={name: section.model_copy(update={"mode": "off"})}
            )
    return found


def chosen_rates(found: Mapping[str, BySeed], tuning: Sequence[int]) -> dict[str, Baseline]:
    """The rate thresholds that do best on the tuning seeds."""
    tuned = {most: evaluation(_of(found[_rate(most)], tuning)).overall for most in RATES}
    chosen = {"best balance": best_balance(tuned)}
    precise = most_precise(tuned, PRECISE)
    if precise is not None:
        chosen[f"precision of {percent(PRECISE)}"] = precise
    return {
        f"nothing but a threshold of {most} calls a minute, {why}": RATE_THRESHOLDS[_rate(most)]
        for why, most in chosen.items()
    }


def judged(
    seed: int, index: int, variants: Mapping[str, Settings], baselines: Mapping[str, Baseline]
) -> tuple[int, dict[str, Judgement]]:
    """One scenario of a seed, by each of them. Holds the scenario's traffic in memory."""
    settings = load_settings()
    plan = NumberingPlan.load(settings.numbering)
    kept = recorded(suite_scenarios(seed)[index].scenario).kept()
    found = {name: judge_recorded(kept, variant, plan) for name, variant in variants.items()}
    traffic = traffic_of(kept.records, settings, plan)
    zone = settings.detectors.policy.time_zone
    for name, (detector, profile, user_of) in baselines.items():
        run = run_baseline(traffic.moments, profile, detector, user_of, zone)
        found[name] = judge_baseline(traffic, kept.labels, run, settings.numbering.home_country)
    return seed, found


def wide_table(whole: Mapping[str, Evaluation]) -> str:
    """One line for each of ``whole``; the targets come last."""
    heads = [f"{column.metric}{_head_unit(column.unit)}" for column in COLUMNS]
    lines = [f"| | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
    for name, each in whole.items():
        cells = [column.shown(column.figure(each)) for column in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    targets = ", ".join(f"{t.name} {t.bound} {t.shown(t.value)}" for t in TARGETS)
    return "\n".join([*lines, "", f"Targets: {targets}."])


def _head_unit(unit: str) -> str:
    return "" if unit == "share" else f", {unit}"


def _gathered(work: Sequence[Work], jobs: int) -> dict[str, BySeed]:
    """By variant and seed what ``work`` found, ``jobs`` at a time, each in a process of its own."""
    found: dict[str, BySeed] = {}
    with ProcessPoolExecutor(min(jobs, len(work)), mp_context=get_context("spawn")) as pool:
        running = [pool.submit(each) for each in work]
        for number_done, done in enumerate(as_completed(running), 1):
            seed, judgements = done.result()
            for name, judgement in judgements.items():
                found.setdefault(name, {}).setdefault(seed, []).append(judgement)
            print(f"{number_done} of {len(work)} scenarios judged", file=sys.stderr, flush=True)
    return found


def _work(
    seeds: Sequence[int], ours: Mapping[str, Settings], baselines: Mapping[str, Baseline]
) -> list[Work]:
    """One piece for each scenario."""
    return [
        partial(judged, seed, index, ours, baselines)
        for seed in seeds
        for index in range(len(suite_scenarios(seed)))
    ]


def _of(by_seed: BySeed, seeds: Sequence[int]) -> list[Judgement]:
    return [judgement for seed in seeds for judgement in by_seed[seed]]


def _rows(name: str, by_seed: BySeed) -> Iterator[Row]:
    """None where there is no such figure."""
    whole = evaluation(_of(by_seed, sorted(by_seed)))
    single = [evaluation(judgements) for judgements in by_seed.values()]
    for column in COLUMNS:
        together = column.figure(whole)
        values = [value for each in single if (value := column.figure(each)) is not None]
        if together is not None:
            yield {
                "system": name,
                "version": version("ringfence"),
                "metric": column.metric,
                "unit": column.unit,
                "median": round(together, 6),
                "low": round(min(values), 6),
                "high": round(max(values), 6),
            }


if __name__ == "__main__":
    main()
