"""Which supervised model learns best from few, late labels: several, prequentially, on labelled candidates.

    python -m bench.reputation [--seeds N] [--delay VECTORS] [--labelled SHARE]

By river's ``iter_progressive_val_score`` a model predicts a vector when it comes, and learns it ``delay``
vectors later. Only a share of the subjects is ever labelled; the others are judged and never learnt.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from river import (
    base,
    compose,
    evaluate,
    forest,
    linear_model,
    metrics,
    naive_bayes,
    optim,
    preprocessing,
    tree,
)

from bench.behaviour import METRICS, gathered, row
from bench.candidates import Labelled, area_under_curve, precision_recall
from bench.report import write_results
from detectors.calls import text_hash
from detectors.reputation import new_model, vector_from

SEED = 608
WARM_UP = 250


def models() -> dict[str, Callable[[], Any]]:
    return {
        "reputation (logistic regression)": new_model,
        "logistic regression, plain SGD": lambda: compose.Pipeline(
            preprocessing.StandardScaler(), linear_model.LogisticRegression(optimizer=optim.SGD(0.05))
        ),
        "naive Bayes": naive_bayes.GaussianNB,
        "Hoeffding adaptive tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, seed=SEED),
        "adaptive random forest": lambda: forest.ARFClassifier(n_models=10, seed=SEED),
    }


def is_labelled(subject: str, share: float) -> bool:
    """Whether people ever say something of ``subject``: the same subjects for every model."""
    return text_hash(subject) % 10_000 < 10_000 * share


class Learner(base.Classifier):  # type: ignore[misc]
    """Learns only those vectors whose subjects are labelled; river hands all of them over."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict_proba_one(self, x: dict[str, float]) -> dict[bool, float]:
        found: dict[bool, float] = self.model.predict_proba_one(_without_mark(x))
        return found or {True: 0.5, False: 0.5}

    def learn_one(self, x: dict[str, float], y: bool) -> None:
        if x[_MARK]:
            self.model.learn_one(_without_mark(x), y)


_MARK = "labelled"


def _without_mark(x: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in x.items() if name != _MARK}


def stream(found: Sequence[Labelled], share: float) -> Iterator[tuple[dict[str, float], bool]]:
    for each in found:
        mark = float(is_labelled(each.candidate.subject, share))
        yield vector_from(each.candidate.features) | {_MARK: mark}, bool(each.kind)


def judged(
    scenarios: Sequence[Sequence[Labelled]], make: Callable[[], Any], delay: int, share: float
) -> tuple[float, ...]:
    """Area under the curve, average precision, recall at 99.9 % precision, microseconds; unlabelled only."""
    truth: list[bool] = []
    scores: list[float] = []
    spent, vectors = 0.0, 0
    for found in scenarios:
        unlabelled = [not is_labelled(each.candidate.subject, share) for each in found]
        asked: list[float] = []
        started = time.process_time()
        steps = evaluate.iter_progressive_val_score(
            stream(found, share), Learner(make()), metrics.ROCAUC(), delay=delay, yield_predictions=True
        )
        asked += [_probability(step["Prediction"]) for step in steps]
        spent += time.process_time() - started
        vectors += len(found)
        for n, (each, counts, score) in enumerate(zip(found, unlabelled, asked, strict=True)):
            if n >= WARM_UP and counts:
                truth.append(bool(each.kind))
                scores.append(score)
    average, recall = precision_recall(truth, scores, 0.999)
    return area_under_curve(truth, scores), average, recall, spent / vectors * 1e6


def _probability(predicted: dict[bool, float]) -> float:
    probability = predicted.get(True, 0.0)
    return probability if math.isfinite(probability) else 0.5


def report(delay: int, share: float, scenarios: dict[str, list[list[Labelled]]]) -> list[dict[str, Any]]:
    """Rows of every model over ``scenarios`` by name, each metric's median over them, low and high."""
    rows = []
    for title, make in models().items():
        figures = [judged(each, make, delay, share) for each in scenarios.values()]
        print(f"{title:36}", *(f"{value:9.3f}" for value in np.median(figures, axis=0)), flush=True)
        for (metric, unit), values in zip(METRICS, zip(*figures, strict=True), strict=True):
            rows.append(row(title, metric, unit, values))
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--delay", type=int, default=1_000)
    options.add_argument("--labelled", type=float, default=0.05)
    chosen = options.parse_args()
    seeds = range(1, chosen.seeds + 1)
    rows = report(chosen.delay, chosen.labelled, gathered(seeds))
    parameters = {"seeds": list(seeds), "delay": chosen.delay, "labelled share": chosen.labelled}
    print(write_results("reputation", parameters, rows))


if __name__ == "__main__":
    main()
