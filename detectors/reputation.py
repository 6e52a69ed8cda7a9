"""`reputation`: what people said of callers like this one, learnt online.

The vector is that of `behaviour`, and how busy and how regular the subject is. It is kept when the candidate
comes, with what the model then made of it, and is learnt from when a label comes, an analyst's verdict or the
complaints of several people: hours later, or never. What nobody labels is never learnt.

The model is a logistic regression over standardised coordinates (``river.linear_model``), trained by
stochastic gradient descent. Of the models tried it is the best with few
labels; the table is in docs/detection.md.

It says nothing before it has earned it: enough subjects of either sort were labelled, and of the labelled
subjects that it had named before their labels came, so many were malicious that the lower bound of its
precision (Wilson 1927, 95 %) reaches the configured one. Even then a rule needs the day's log-odds of
`behaviour` on its side.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from config.settings import ReputationSettings
from detectors.alert import Evidence
from detectors.behaviour import NAMES, SHARES, Features, vector_of
from detectors.shape import HIGH, MEDIUM, NOTHING, Call, Feature, Finding, Signal, proposal, weighed
from detectors.windows import HOUR

VECTORS_A_SUBJECT = 4
"""The newest so many of a subject are kept."""
MOST_COMPLAINTS = 64
"""People who complained of one subject that are remembered."""
CONFIDENCE = 1.645
"""Standard deviations of a one-sided bound at 95 %."""

Vector = dict[str, float]


class Lesson(NamedTuple):
    """One labelled vector. ``predicted`` was made before the label came; -1 where there was no model yet."""

    subject: str
    malicious: bool
    vector: Vector
    predicted: float


def vector_from(f: Features) -> Vector:
    """The coordinates by name: the shares of `behaviour`, rates, regularity and age."""
    shares = dict(zip(NAMES, vector_of(f).tolist(), strict=True))
    shares["talk_seconds"] = math.log(shares["talk_seconds"])
    rings = (f["ring_ms"] / 1_000 + 4 * 10.0) / (f["rings"] + 4)
    return {
        **shares,
        "answered": (f["answered"] + 2.0) / (f["ends"] + 4.0),
        "busy": (f["busy"] + 0.3) / (f["ends"] + 4.0),
        "ring_seconds": math.log(rings),
        "hundreds": (min(f["hundreds"], f["callees"]) + 3.6) / (f["callees"] + 4.0),
        "calls_hour": math.log1p(f["calls_hour"]),
        "calls_day": math.log1p(f["calls_day"]),
        "spread_1m": math.log1p(f["spread_1m"]),
        "spread_10m": math.log1p(f["spread_10m"]),
        "active_slots": f["active_slots"],
        "age": math.log1p(f["age_s"]),
    }


def new_model() -> Any:
    """river is loaded with the first model: it takes longer than all else, and `detect` needs only the names
    of features here."""
    from river import compose, linear_model, optim, preprocessing

    return compose.Pipeline(
        preprocessing.StandardScaler(),
        linear_model.LogisticRegression(optimizer=optim.AdaGrad(0.1), l2=1e-4),
    )


class Kept(NamedTuple):
    time: int
    id: str
    vector: Vector
    predicted: float


@dataclass
class _Proof:
    """How the model did on labelled subjects that it had judged before."""

    outcomes: deque[tuple[float, bool]]
    labels: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def precision(self, threshold: float) -> float:
        """Lower bound of the precision at ``threshold``; 0 where nothing was named."""
        named = [malicious for predicted, malicious in self.outcomes if predicted >= threshold]
        return lower_bound(sum(named), len(named))


def lower_bound(hits: int, trials: int) -> float:
    """Wilson's lower bound of a share."""
    if trials == 0:
        return 0.0
    z2, share = CONFIDENCE**2, hits / trials
    spread = CONFIDENCE * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return (share + z2 / (2 * trials) - spread) / (1 + z2 / trials)


class Opinion(NamedTuple):
    level: int
    probability: float
    precision: float
    strengths: Vector
    """What each coordinate adds to the log-odds."""


class Reputation:
    """Keeps vectors, learns lessons, judges candidates."""

    name = "reputation"

    def __init__(self, settings: ReputationSettings) -> None:
        self._settings = settings
        self._model = new_model()
        self._kept: OrderedDict[str, list[Kept]] = OrderedDict()
        self._complaints: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._proof = _Proof(deque(maxlen=settings.proofs))

    @property
    def labels(self) -> dict[bool, int]:
        """Lessons learnt, by whether they were malicious."""
        return dict(self._proof.labels)

    @property
    def waiting(self) -> int:
        """Subjects whose vectors wait for a label."""
        return len(self._kept)

    def judge(self, candidate: str, key: str, time: int, f: Features, odds: float) -> Opinion:
        """Keeps the vector of a candidate and says what the model makes of it; ``odds`` of `behaviour`."""
        vector = vector_from(f)
        taught = all(self._proof.labels.values())
        probability = float(self._model.predict_proba_one(vector).get(True, 0.5)) if taught else -1.0
        self._keep(key, Kept(time, candidate, vector, probability))
        level, precision = self._level(probability, odds)
        return Opinion(level, probability, precision, self._strengths(vector) if level else {})

    def _keep(self, key: str, kept: Kept) -> None:
        oldest = kept.time - self._settings.label_hours * HOUR
        before = [each for each in self._kept.get(key, []) if each.time >= oldest]
        self._kept[key] = [*before, kept][-VECTORS_A_SUBJECT:]
        self._kept.move_to_end(key)
        if len(self._kept) > self._settings.kept_vectors:
            self._kept.popitem(last=False)

    def _level(self, probability: float, odds: float) -> tuple[int, float]:
        s = self._settings
        if probability < s.threshold or min(self._proof.labels.values()) < s.least_labels:
            return NOTHING, 0.0
        precision = self._proof.precision(s.threshold)
        if precision >= s.precision and odds > 0.0:
            return HIGH, precision
        return (MEDIUM if precision >= s.suspect_precision else NOTHING), precision

    def _strengths(self, vector: Vector) -> Vector:
        scaler, regression = self._model.steps.values()
        scaled = scaler.transform_one(vector)
        return {name: float(regression.weights.get(name, 0.0)) * scaled[name] for name in vector}

    def complain(self, key: str, who: str, time: int) -> bool:
        """Notes that ``who`` complained of ``key`` at ``time`` (ms); whether that makes it malicious now."""
        people = self._complaints.setdefault(key, {})
        oldest = time - self._settings.label_hours * HOUR
        before = {one for one, at in people.items() if at >= oldest}
        people[who] = time
        while len(people) > MOST_COMPLAINTS:
            del people[next(iter(people))]
        self._complaints.move_to_end(key)
        if len(self._complaints) > self._settings.kept_vectors:
            self._complaints.popitem(last=False)
        return who not in before and len(before) + 1 == self._settings.complaints

    def lessons(self, key: str, malicious: bool, time: int) -> list[Lesson]:
        """What a label given at ``time`` (ms) teaches: the vectors kept of ``key``."""
        oldest = time - self._settings.label_hours * HOUR
        return [
            Lesson(key, malicious, kept.vector, kept.predicted)
            for kept in self._kept.get(key, [])
            if kept.time >= oldest
        ]

    def learn(self, lessons: Iterable[Lesson]) -> None:
        """Learns the lessons of one label, which count once for what is proven of the model."""
        named: Lesson | None = None
        for lesson in lessons:
            named = lesson
            self._model.learn_one(lesson.vector, lesson.malicious)
        if named is not None:
            self._proof.labels[named.malicious] += 1
            if named.predicted >= 0.0:
                self._proof.outcomes.append((named.predicted, named.malicious))

    def describe(self, signal: Signal, call: Call) -> Finding:
        f = signal.features
        is_block = signal.key >= 0 and f["numbers"] > 1
        value = f"+{signal.key}*" if is_block else call.caller_spelled
        proposals = []
        if signal.level >= HIGH and not is_block:
            proposals = [proposal(call.caller_match, f["calls_day"], 1, f["callees"])]
        return Finding(
            subject_type="block" if is_block else "number",
            subject_value=value,
            kind="bad_reputation",
            level=signal.level,
            score=round(min(f["probability"], f["precision"]), 4),
            evidence=_evidence(f),
            message=(
                f"{value} behaves as numbers do that people found malicious: probability "
                f"{f['probability']:.1%}, learnt from {f['labels']:.0f} verdicts and complaints, of which it "
                f"named at least {f['precision']:.1%} rightly; {f['attempts']:.0f} calls to "
                f"{f['callees']:.0f} numbers in the last day, last over trunk {call.trunk or 'unknown'}, "
                f"from {call.from_network or 'unknown'}."
            ),
            proposals=proposals,
            apart="" if is_block or call.caller >= 0 else call.trunk,
        )


FEATURES = (
    Feature("probability", "share", "that the subject is malicious, as the model sees it", 0.05),
    Feature("precision", "share", "lower bound of the model's precision at the threshold", 1),
    Feature("labels", "labels", "that the model has learnt from", 0),
)
EVIDENCE = tuple(
    Feature(share.name, "s" if share.name == "talk_seconds" else "share", share.meaning, share.usual)
    for share in SHARES
)


def _evidence(f: Features) -> list[Evidence]:
    shares = vector_of(f).tolist()
    return weighed(
        [
            (share.name, value, share.usual, f[f"strength.{share.name}"])
            for share, value in zip(SHARES, shares, strict=True)
        ]
    )
