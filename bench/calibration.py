"""Whether an alert's score is the share of such alerts that are about abuse.

    python -m bench.calibration [--write] [--seeds 1-6] [--weeks ""] [--jobs 2]

Runs the scenario suite (docs/evaluate.md). With ``--write`` it first fits config/calibration.yaml on the
odd seeds; then, either way, it holds the scores of the even ones against the labels and writes
bench/results/reliability.md. An alert is about abuse where at least half of its sample calls belong to a
campaign.

What is fitted: for each detector the points from the log-odds that its findings state to those observed, by
isotonic regression (pool adjacent violators) over at most five groups of at least thirty findings, each with
one more finding for abuse and one more against (Laplace), so that few findings are never certain.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from itertools import repeat
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import orjson

from bench.report import RESULTS, ROOT, commit, machine
from config.loading import load_settings
from detectors import calibration
from detectors.alert import Alert
from detectors.fusion import log_odds_of
from detectors.plan import NumberingPlan
from detectors.shape import score_of
from streams.evaluate.calls import records_of
from streams.evaluate.suite import read_seeds
from streams.pipeline import Pipeline
from streams.replay import learn
from streams.simulate import Scenario, Simulation
from streams.simulate.suite import suite_scenarios, week_scenario

TABLE = ROOT / "config" / "calibration.yaml"
MOST_GROUPS = 5
LEAST_FINDINGS = 30
"""In a group; a detector with fewer is believed."""
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)

Knots = list[list[float]]


class Observed(NamedTuple):
    """A probability that was stated, and whether it was abuse."""

    score: float
    abuse: bool


class Seen(NamedTuple):
    """``alerts``: the last score of each alert; ``findings``: of each detector in it, by detector."""

    alerts: list[Observed]
    findings: dict[str, list[Observed]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="fit config/calibration.yaml first")
    parser.add_argument("--seeds", default="1-6")
    parser.add_argument("--weeks", default="", help="weeks without attacks, too")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    seeds = read_seeds(given.seeds)
    weeks = read_seeds(given.weeks) if given.weeks else []
    odd, even = ([seed for seed in seeds if seed % 2 == rest] for rest in (1, 0))
    with ProcessPoolExecutor(given.jobs) as pool:
        if given.write:
            fitted = fit(together(pool.map(seen, odd, repeat({}))).findings)
            TABLE.write_text(written(fitted), encoding="utf-8")
        tables = {name: _points(knots) for name, knots in calibration.tables().items()}
        stated = together(pool.map(seen, even, repeat({})))
        corrected = together(
            [*pool.map(seen, even, repeat(tables)), *pool.map(seen, weeks, repeat(tables), repeat(True))]
        )
    print(report(stated, corrected, tables, {"fitted on": "odd", "held against": even, "weeks": weeks}))


def seen(seed: int, tables: Mapping[str, Knots], week: bool = False) -> Seen:
    """What the alerts of one seed state, under these points, and what is true of them."""
    settings = load_settings(overrides={"respond.mode": "enforce"})
    plan = NumberingPlan.load(settings.numbering)
    scenarios = [week_scenario(seed)] if week else [each.scenario for each in suite_scenarios(seed)]
    knots = {name: _columns(points) for name, points in tables.items()}
    with patch.object(calibration, "tables", lambda: knots):
        return together(_seen(Pipeline(settings, plan), scenario) for scenario in scenarios)


def _seen(pipeline: Pipeline, scenario: Scenario) -> Seen:
    simulation = Simulation(scenario)
    learn(pipeline, simulation.lists())
    abusive: set[str] = set()
    last: dict[str, Alert] = {}

    def events() -> Iterator[dict[str, Any]]:
        for event, campaign, _ in simulation.traffic():
            if campaign:
                abusive.add(event["call_id"])
            yield event

    for record in records_of(events()):
        last |= {alert.alert_id: alert for alert in pipeline.feed([record]).alerts}
    alerts, findings = [], defaultdict(list)
    for alert in last.values():
        calls = alert.sample_call_ids
        if not calls:
            continue
        abuse = 2 * sum(call in abusive for call in calls) >= len(calls)
        alerts.append(Observed(alert.score, abuse))
        for finding in alert.findings:
            findings[finding.detector].append(Observed(finding.score, abuse))
    return Seen(alerts, dict(findings))


def together(several: Iterable[Seen]) -> Seen:
    alerts: list[Observed] = []
    findings: dict[str, list[Observed]] = defaultdict(list)
    for each in several:
        alerts += each.alerts
        for name, observed in each.findings.items():
            findings[name] += observed
    return Seen(alerts, dict(sorted(findings.items())))


def fit(findings: Mapping[str, Sequence[Observed]]) -> dict[str, Knots]:
    """Points by detector, of those with enough findings."""
    return {name: points_of(seen) for name, seen in findings.items() if len(seen) >= LEAST_FINDINGS}


def points_of(observed: Sequence[Observed]) -> Knots:
    """Stated and observed log-odds of at most `MOST_GROUPS` groups, both rising."""
    ordered = sorted((log_odds_of(each.score), each.abuse) for each in observed)
    groups: list[_Group] = []
    size = max(LEAST_FINDINGS, math.ceil(len(ordered) / MOST_GROUPS))
    for stated, abuse in ordered:
        same = groups and (len(groups[-1].stated) < size or groups[-1].stated[-1] == stated)
        if not same:
            groups.append(_Group([], []))
        groups[-1].stated.append(stated)
        groups[-1].abuse.append(abuse)
    if len(groups) > 1 and len(groups[-1].stated) < LEAST_FINDINGS:
        groups[-2:] = [groups[-2].with_(groups[-1])]
    at = 0
    while at + 1 < len(groups):
        low, high = groups[at], groups[at + 1]
        if low.observed >= high.observed or round(low.mean, 2) == round(high.mean, 2):
            groups[at : at + 2] = [low.with_(high)]
            at = max(at - 1, 0)
        else:
            at += 1
    return [[round(group.mean, 2), round(group.observed, 2)] for group in groups]


class _Group(NamedTuple):
    stated: list[float]
    abuse: list[bool]

    @property
    def mean(self) -> float:
        return float(np.mean(self.stated))

    @property
    def observed(self) -> float:
        of_abuse = sum(self.abuse)
        return math.log((of_abuse + 1) / (len(self.abuse) - of_abuse + 1))

    def with_(self, other: _Group) -> _Group:
        return _Group(self.stated + other.stated, self.abuse + other.abuse)


def written(tables: Mapping[str, Knots]) -> str:
    """config/calibration.yaml."""
    lines = [
        "# What detectors' scores are worth: log-odds as a finding states them, and as observed.",
        "# Made by `python -m bench.calibration --write`; how well it holds: bench/results/reliability.md.",
    ]
    lines += [f"{name}: {orjson.dumps(points).decode()}" for name, points in sorted(tables.items())]
    return "\n".join(lines if tables else [*lines, "{}"]) + "\n"


def error_of(observed: Sequence[Observed]) -> tuple[float, float]:
    """Brier score, and the mean distance of the score from the share of abuse over the bins."""
    if not observed:
        return 0.0, 0.0
    brier = sum((each.score - each.abuse) ** 2 for each in observed) / len(observed)
    off = sum(abs(_mean_score(part) - _share(part)) * len(part) for part in _binned(observed).values())
    return brier, off / len(observed)


def _binned(observed: Sequence[Observed]) -> dict[int, list[Observed]]:
    parts: dict[int, list[Observed]] = defaultdict(list)
    for each in observed:
        parts[min(int(np.searchsorted(BINS, each.score, "right")), len(BINS) - 1) - 1].append(each)
    return dict(sorted(parts.items()))


def _mean_score(part: Sequence[Observed]) -> float:
    return sum(each.score for each in part) / len(part)


def _share(part: Sequence[Observed]) -> float:
    return sum(each.abuse for each in part) / len(part)


def report(stated: Seen, corrected: Seen, tables: Mapping[str, Knots], parameters: Mapping[str, Any]) -> str:
    """Writes bench/results/reliability.json and .md; the path of the latter."""
    bins = [
        {
            "from": BINS[at],
            "to": BINS[at + 1],
            "alerts": len(part),
            "mean_score": round(_mean_score(part), 4),
            "share_of_abuse": round(_share(part), 4),
        }
        for at, part in _binned(corrected.alerts).items()
    ]
    figures = {
        "as stated": error_of(stated.alerts),
        "calibrated": error_of(corrected.alerts),
    }
    head = {"date": datetime.now(UTC).date().isoformat(), "commit": commit(), "machine": machine()}
    everything = {**head, "parameters": parameters, "bins": bins, "errors": figures, "points": tables}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "reliability.json").write_bytes(orjson.dumps(everything, option=orjson.OPT_INDENT_2) + b"\n")
    page = RESULTS / "reliability.md"
    page.write_text("\n".join(_page(everything)) + "\n", encoding="utf-8")
    return str(page)


def _page(told: Mapping[str, Any]) -> Iterator[str]:
    seeds = ", ".join(map(str, told["parameters"]["held against"]))
    yield "# reliability"
    yield ""
    yield f"{told['date']}, commit {told['commit']}. Last scores of the alerts of suite seeds {seeds},"
    yield "against their labels; the points were fitted on other seeds. The suite has far more abuse than a"
    yield "network has: there the same score means less. Its order holds."
    yield ""
    yield "| score | alerts | mean score | share of abuse |"
    yield "| --- | ---: | ---: | ---: |"
    for each in told["bins"]:
        yield (
            f"| {each['from']:g} to {each['to']:g} | {each['alerts']} | {each['mean_score']:.3f} "
            f"| {each['share_of_abuse']:.3f} |"
        )
    yield ""
    yield "| scores | Brier score | mean distance from the share of abuse |"
    yield "| --- | ---: | ---: |"
    for name, (brier, off) in told["errors"].items():
        yield f"| {name} | {brier:.4f} | {off:.4f} |"
    yield ""
    yield "| detector | stated, and observed: log-odds (score) |"
    yield "| --- | --- |"
    for name, points in told["points"].items():
        shown = ", ".join(f"{x:g} → {y:g} ({score_of(y):.3f})" for x, y in points)
        yield f"| `{name}` | {shown} |"


def _points(knots: calibration.Knots) -> Knots:
    return [[stated, observed] for stated, observed in zip(*knots, strict=True)]


def _columns(points: Knots) -> calibration.Knots:
    stated, observed = zip(*points, strict=True)
    return stated, observed


if __name__ == "__main__":
    main()
