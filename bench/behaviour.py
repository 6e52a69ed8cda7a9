"""Which unsupervised model tells abusers from their peers: several, prequentially, on labelled candidates.

    python -m bench.behaviour [--seeds N]

Every model scores a candidate, then learns it. What is judged are the callers that `behaviour` compares
at all (enough outcomes, fan-out); campaigns of kinds that are no caller's behaviour are left out.
"""

from __future__ import annotations

import argparse
import math
import time
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
from river import anomaly, stats

from bench.candidates import Labelled, area_under_curve, labelled, precision_recall
from bench.report import write_results
from config.settings import BehaviourSettings, Settings
from detectors.behaviour import NAMES, SHARES, Behaviour
from detectors.reputation import vector_from
from streams.simulate.suite import suite_scenarios
from streams.wire.candidates import Candidate

OTHER_KINDS = ("clone", "flood", "profile")
"""Not told by how one caller behaves, or not a caller's own calls."""
WARM_UP = 250
"""Candidates of a scenario that are learnt before any is judged: river's windows are as long."""
WINDOW = 1_024
SEED = 608
SIGN = {share.name: share.sign for share in SHARES}
RANGES = {"ring_seconds": (0, 5), "talk_seconds": (0, 6), "calls_hour": (0, 8), "calls_day": (0, 9)} | {
    "spread_1m": (0, 3), "spread_10m": (0, 4), "active_slots": (0, 8), "age": (0, 13)
}  # fmt: skip


class Model(Protocol):
    def score(self, x: dict[str, float], candidate: Candidate) -> float:
        """The score of a vector, which is then learnt."""


class Single:
    def __init__(self, name: str, sign: int) -> None:
        self._name, self._sign = name, sign

    def score(self, x: dict[str, float], candidate: Candidate) -> float:
        return self._sign * x[self._name]


class River:
    """One of river's detectors over these coordinates; ``transform`` makes its input of the raw ones."""

    def __init__(self, model: Any, names: Sequence[str], transform: Ranks | None = None) -> None:
        self._model, self._names, self._transform = model, names, transform

    def score(self, x: dict[str, float], candidate: Candidate) -> float:
        chosen = {name: x[name] for name in self._names}
        given = self._transform(chosen) if self._transform else chosen
        score = float(self._model.score_one(given))
        self._model.learn_one(given)
        return score if math.isfinite(score) else 0.0


class Ranks:
    """Each coordinate as its rank among the last `WINDOW`."""

    def __init__(self, names: Sequence[str], centred: bool = False) -> None:
        self._order = {name: deque[float](maxlen=WINDOW) for name in names}
        self._sorted: dict[str, list[float]] = {name: [] for name in names}
        self._shift = 0.5 if centred else 0.0

    def __call__(self, x: dict[str, float]) -> dict[str, float]:
        found = {name: self._rank(name, value) - self._shift for name, value in x.items()}
        for name, value in x.items():
            self._learn(name, value)
        return found

    def _rank(self, name: str, value: float) -> float:
        known = self._sorted[name]
        return ((bisect_left(known, value) + bisect_right(known, value)) / 2 + 0.5) / (len(known) + 1)

    def _learn(self, name: str, value: float) -> None:
        order, known = self._order[name], self._sorted[name]
        if len(order) == WINDOW:
            del known[bisect_left(known, order[0])]
        order.append(value)
        insort(known, value)


class Tails:
    """Sum of -ln of the tail probabilities; ``signed``: of the abusive tail, else of the nearer one."""

    def __init__(self, names: Sequence[str], signed: bool) -> None:
        self._ranks, self._names, self._signed = Ranks(names), names, signed

    def score(self, x: dict[str, float], candidate: Candidate) -> float:
        score = 0.0
        for name, rank in self._ranks({name: x[name] for name in self._names}).items():
            sign = SIGN.get(name, 0) if self._signed else 0
            score -= math.log({1: 1 - rank, -1: rank, 0: 2 * min(rank, 1 - rank)}[sign])
        return score


class Robust:
    """Squared distance from the running medians in units of the running interquartile ranges."""

    def __init__(self, names: Sequence[str]) -> None:
        self._of = {
            name: (stats.RollingQuantile(0.5, WINDOW), stats.RollingIQR(WINDOW, 0.25, 0.75)) for name in names
        }

    def score(self, x: dict[str, float], candidate: Candidate) -> float:
        score = 0.0
        for name, (median, spread) in self._of.items():
            middle, width = median.get(), spread.get()
            if middle is not None and width:
                score += min(((x[name] - middle) / (width + 0.02)) ** 2, 25.0)
            median.update(x[name])
            spread.update(x[name])
        return score


class PerKind:
    """A model of its own for each kind of number."""

    def __init__(self, make: Callable[[], Model]) -> None:
        self._make = make
        self._models: dict[int, Model] = {}

    def score(self, x: dict[str, float], candidate: Candidate) -> float:
        if candidate.kind not in self._models:
            self._models[candidate.kind] = self._make()
        return self._models[candidate.kind].score(x, candidate)


class Ours:
    """`detectors.behaviour` itself; ``odds``: its log-odds instead of its score."""

    def __init__(self, odds: bool) -> None:
        self._behaviour, self._odds = Behaviour(BehaviourSettings()), odds

    def score(self, x: dict[str, float], candidate: Candidate) -> float:
        verdict = self._behaviour.judge(
            candidate.candidate_id, "number", candidate.subject, candidate.time, candidate.features
        )
        if verdict is None:
            return 0.0
        return verdict.odds.sum if self._odds else verdict.score


def forest(names: Sequence[str], limits: bool = True) -> Any:
    ranges = {name: RANGES[name] for name in names if name in RANGES} if limits else None
    return anomaly.HalfSpaceTrees(n_trees=25, height=8, window_size=WARM_UP, seed=SEED, limits=ranges)


def models() -> dict[str, Callable[[], Model]]:
    shares, everything = NAMES, tuple(vector_from(_ZEROS))
    return {
        "unique-callee share alone": lambda: Single("unique_callees", 1),
        "outgoing share alone": lambda: Single("outgoing", 1),
        "talked share alone": lambda: Single("talked", -1),
        "half-space trees, everything": lambda: River(forest(everything), everything),
        "half-space trees, shares": lambda: River(forest(shares), shares),
        "half-space trees, ranks": lambda: River(forest(shares, limits=False), shares, Ranks(shares)),
        "half-space trees, shares, per kind": lambda: PerKind(lambda: River(forest(shares), shares)),
        "LODA, ranks": lambda: River(anomaly.LODA(), shares, Ranks(shares, centred=True)),
        "one-class SVM, ranks": lambda: River(
            anomaly.OneClassSVM(nu=0.1), shares, Ranks(shares, centred=True)
        ),
        "robust distance, everything": lambda: Robust(everything),
        "tail sum, two-sided, everything": lambda: Tails(everything, signed=False),
        "tail sum, signed, shares": lambda: Tails(shares, signed=True),
        "tail sum, signed, per kind": lambda: PerKind(lambda: Tails(shares, signed=True)),
        "behaviour's score": lambda: Ours(odds=False),
        "behaviour's log-odds": lambda: Ours(odds=True),
    }


class _Zeros(dict[str, float]):
    def __missing__(self, name: str) -> float:
        return 0.0


_ZEROS = _Zeros()


def compared(found: Iterable[Labelled], settings: BehaviourSettings) -> list[Labelled]:
    """The callers that `behaviour` compares at all."""
    return [
        each
        for each in found
        if each.candidate.subject_type == "number"
        and each.kind not in OTHER_KINDS
        and each.candidate.features["ends"] >= settings.min_ends
        and each.candidate.features["callees"] >= settings.fan_out * each.candidate.features["attempts"]
    ]


def judged(scenarios: Sequence[Sequence[Labelled]], make: Callable[[], Model]) -> tuple[float, ...]:
    """Area under the curve, average precision, recall at a precision of 99.9 %, microseconds a vector."""
    labels: list[bool] = []
    scores: list[float] = []
    spent, vectors = 0.0, 0
    for scenario in scenarios:
        model = make()
        for n, each in enumerate(scenario):
            x = vector_from(each.candidate.features)
            started = time.process_time()
            score = model.score(x, each.candidate)
            spent += time.process_time() - started
            vectors += 1
            if n >= WARM_UP:
                labels.append(bool(each.kind))
                scores.append(score)
    average, recall = precision_recall(labels, scores, 0.999)
    return area_under_curve(labels, scores), average, recall, spent / vectors * 1e6


METRICS = (
    ("area under the curve", "share"),
    ("average precision", "share"),
    ("recall at 99.9 % precision", "share"),
    ("time of a vector", "us"),
)


def row(title: str, metric: str, unit: str, values: Sequence[float]) -> dict[str, Any]:
    return {
        "system": title,
        "version": f"river {version('river')}",
        "metric": metric,
        "unit": unit,
        "median": round(float(np.median(values)), 4),
        "low": round(min(values), 4),
        "high": round(max(values), 4),
    }


def report(scenarios: dict[str, list[list[Labelled]]]) -> list[dict[str, Any]]:
    """Rows of every model over ``scenarios`` by name, each metric's median over them, low and high."""
    rows = []
    for title, make in models().items():
        figures = [judged(each, make) for each in scenarios.values()]
        print(f"{title:36}", *(f"{value:9.3f}" for value in np.median(figures, axis=0)), flush=True)
        for (metric, unit), values in zip(METRICS, zip(*figures, strict=True), strict=True):
            rows.append(row(title, metric, unit, values))
    return rows


def gathered(seeds: Iterable[int]) -> dict[str, list[list[Labelled]]]:
    """Labelled candidates by the name of the scenario, one list a seed."""
    settings = Settings()
    found: dict[str, list[list[Labelled]]] = {}
    for seed in seeds:
        for name, scenario in suite_scenarios(seed):
            found.setdefault(name, []).append(
                compared(labelled(scenario, settings), settings.detectors.behaviour)
            )
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=2)
    seeds = range(1, options.parse_args().seeds + 1)
    scenarios = gathered(seeds)
    rows = report(scenarios)
    vectors = sum(len(each) for found in scenarios.values() for each in found)
    print(write_results("behaviour", {"seeds": list(seeds), "vectors": vectors}, rows))


if __name__ == "__main__":
    main()
