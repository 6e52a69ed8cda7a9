"""`profile`: outliers and drift of each trunk's traffic, learnt online with river.

One `TrunkModel` watches all trunks. A trunk's seconds are pooled until they hold enough attempts to
speak of ratios; the pool becomes a vector of five features relative to the trunk's own moving baseline,
scored by one forest of half-space trees that all trunks share, against a threshold learnt from recent
scores. ADWIN watches the level of three of the features. `docs/detectors/profile.md` has the reasons.

Everything is in event time and nothing depends on chance, the clock or the order of a mapping: the
same seconds give the same alerts.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from river.anomaly import HalfSpaceTrees
from river.drift import ADWIN
from river.stats import RollingQuantile

from config.settings import ProfileSettings
from detectors.alert import SEVERITIES, Alert, Evidence, Severity, Subject, Window, content_id

WINDOW_SECONDS = 600
"""Alerts of one trunk inside one aligned window of this length are one growing alert."""

BITMAP_BITS = 256
SATURATED_ZEROS = 4
"""Below this many empty bits (about 1 065 callees) linear counting is off by more than a tenth."""

SCALE_DEVIATIONS = 6.0
"""A feature this many deviations above its baseline is 1 for the forest, as many below is 0."""

FURTHEST = "furthest_deviation"

NAMED_NETWORKS = 16
PUBLISH_SECONDS = 30
"""A growing alert has a new version at most this often, unless its kind or severity changes."""

DRIFT_CLOCK = 8
"""ADWIN looks for a change every so many pools."""
DRIFT_POOLS = 30
"""A changed level is known after so many pools."""

SEED = 608


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    name: str
    log: bool
    """Compared as a ratio (natural logarithm) rather than as a difference."""
    floor: float
    """Least deviation, so that a very steady trunk does not make a trifle look large."""
    noise: float
    """Sampling deviation of one observation; that of a pool is this over the root of its count."""


ATTEMPTS = Feature("attempts_per_second", True, 0.10, 1.0)
ANSWERED = Feature("answer_seizure_ratio", False, 0.03, 0.5)
RING = Feature("mean_ring_ms", True, 0.10, 0.7)
TALK = Feature("mean_talk_ms", True, 0.15, 1.4)
CALLEES = Feature("callees_per_attempt", True, 0.05, 0.3)
FEATURES = (ATTEMPTS, ANSWERED, RING, TALK, CALLEES)
DRIFT_FEATURES = (ANSWERED, RING, TALK)
"""Not the attempts: they have their daily course, and a step in them is an outlier."""
ORDER = {feature.name: place for place, feature in enumerate(FEATURES)}


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.1f} s"


PHRASES: dict[str, Callable[[float, float], str]] = {
    ATTEMPTS.name: lambda a, t: f"{a / t:.1f} x its usual attempts ({a:.1f} a second, usual {t:.1f})",
    ANSWERED.name: lambda a, t: f"an answer-seizure ratio of {a:.0%} (usual {t:.0%})",
    RING.name: lambda a, t: f"a mean ring time of {_seconds(a)} (usual {_seconds(t)})",
    TALK.name: lambda a, t: f"a mean talk time of {_seconds(a)} (usual {_seconds(t)})",
    CALLEES.name: lambda a, t: f"{a:.2f} distinct callees per attempt (usual {t:.2f})",
}


@dataclass(slots=True)
class Sums:
    """Traffic of one trunk, summed; the fields are those of a summary row."""

    attempts: int = 0
    ends: int = 0
    answered: int = 0
    ring_ms: int = 0
    rings: int = 0
    talk_ms: int = 0
    callees: int = 0
    """256-bit linear-counting bitmap."""
    networks: frozenset[str] = frozenset()

    def add(self, other: Sums) -> None:
        self.attempts += other.attempts
        self.ends += other.ends
        self.answered += other.answered
        self.ring_ms += other.ring_ms
        self.rings += other.rings
        self.talk_ms += other.talk_ms
        self.callees |= other.callees
        self.networks |= other.networks


@dataclass(slots=True)
class Value:
    """One feature of one pool, in its own unit, and the count it was taken over."""

    natural: float
    count: int

    def level(self, feature: Feature) -> float:
        return math.log(self.natural) if feature.log else self.natural


def distinct(bitmap: int) -> float | None:
    """Callees in a linear-counting bitmap [Whang 1990: -m ln(empty / m)]; None where it is saturated."""
    empty = BITMAP_BITS - bitmap.bit_count()
    return None if empty < SATURATED_ZEROS else BITMAP_BITS * math.log(BITMAP_BITS / empty)


def values(sums: Sums, seconds: int, least: int) -> dict[Feature, Value]:
    """The features of ``sums`` over ``seconds``; a mean over fewer than ``least`` calls is left out.

    Half an attempt is added to the rate and one ms to the times, so that their logarithms exist.
    """
    found = {ATTEMPTS: Value((sums.attempts + 0.5) / seconds, max(sums.attempts, 1))}
    if sums.ends >= least:
        found[ANSWERED] = Value(sums.answered / sums.ends, sums.ends)
    if sums.rings >= least:
        found[RING] = Value(sums.ring_ms / sums.rings + 1, sums.rings)
    if sums.answered >= least:
        found[TALK] = Value(sums.talk_ms / sums.answered + 1, sums.answered)
    callees = distinct(sums.callees)
    if sums.attempts >= least and callees:
        found[CALLEES] = Value(callees / sums.attempts, sums.attempts)
    return found


@dataclass(slots=True)
class Baseline:
    """Exponentially weighted mean and variance of one feature's level."""

    mean: float = 0.0
    variance: float = 0.0
    learnt: int = 0

    def deviation(self, feature: Feature, count: int) -> float:
        return math.sqrt(max(self.variance, feature.floor**2 + feature.noise**2 / count))

    def learn(self, level: float, weight: float) -> None:
        self.learnt += 1
        weight = max(weight, 1 / self.learnt)
        step = level - self.mean
        self.mean += weight * step
        self.variance = (1 - weight) * (self.variance + weight * step * step)


@dataclass(slots=True)
class DriftWatch:
    """A feature's level of late against the one it has long had."""

    recent: ADWIN
    usual: Baseline = field(default_factory=Baseline)
    changed: bool = False
    """ADWIN found a change and has not seen enough of the new level since."""

    def update(self, level: float, weight: float) -> float | None:
        """The new level where ADWIN had found a change and the new level is now known, else None.

        river's ADWIN starts with an empty window after a detection, so its mean is then that of the new
        level alone; at the moment of the detection it still holds mostly the old one.
        """
        self.recent.update(level)
        self.usual.learn(level, weight)
        self.changed |= self.recent.drift_detected
        if not self.changed or self.recent.drift_detected or self.recent.width < DRIFT_POOLS:
            return None
        self.changed = False
        return float(self.recent.estimation)


@dataclass(slots=True)
class Episode:
    """The anomalous pools of one trunk so far."""

    first: int
    """Start of its first pool, seconds since the epoch."""
    end: int
    """End of its last pool, exclusive."""
    calls: int
    score: float
    severity: Severity
    networks: frozenset[str]
    observed: dict[Feature, tuple[float, float]]
    """Feature to weighted sum and weight of its values."""
    moved: dict[Feature, float]
    """Feature to deviations it moved, summed over the pools in which it was notable."""
    drifted: dict[Feature, tuple[float, float]]
    """Feature to its level before and after, in its own unit."""

    def absorb(self, later: Episode) -> None:
        self.end = later.end
        self.calls += later.calls
        self.score = max(self.score, later.score)
        self.severity = max(self.severity, later.severity, key=SEVERITIES.index)
        self.networks = frozenset(sorted(self.networks | later.networks)[:NAMED_NETWORKS])
        for feature, (total, weight) in later.observed.items():
            have, had = self.observed.get(feature, (0.0, 0.0))
            self.observed[feature] = (have + total, had + weight)
        for feature, off in later.moved.items():
            self.moved[feature] = self.moved.get(feature, 0.0) + off
        self.drifted.update(later.drifted)

    def kind(self) -> str:
        return "outlier" if self.moved else "drift"


@dataclass(slots=True)
class OpenAlert:
    window: int
    """Its start, seconds since the epoch."""
    episode: Episode
    typical: dict[Feature, float]
    """The baseline when it opened, in the feature's own unit."""
    version: int = 0
    published: int = 0
    """Event time of the last version, seconds since the epoch."""
    shown: tuple[str, Severity] = ("", "info")


@dataclass(slots=True)
class Trunk:
    since: int
    """Start of its first pool, seconds since the epoch."""
    start: int
    """Start of the open pool."""
    pool: Sums = field(default_factory=Sums)
    pools: int = 0
    baselines: dict[Feature, Baseline] = field(default_factory=lambda: {f: Baseline() for f in FEATURES})
    drift: dict[Feature, DriftWatch] = field(default_factory=dict)
    suspect: Episode | None = None
    strikes: int = 0
    held_since: int | None = None
    alert: OpenAlert | None = None

    def relent(self, strikes: int) -> None:
        """Takes ``strikes`` back, and with the last one the suspicion."""
        self.strikes = max(0, self.strikes - strikes)
        if self.strikes == 0:
            self.suspect, self.held_since = None, None


class TrunkModel:
    """Learns and judges the traffic of all trunks, a second of event time after the other."""

    def __init__(self, settings: ProfileSettings) -> None:
        self._settings = settings
        self._config_hash = content_id(settings.model_dump())[:16]
        self._forest = HalfSpaceTrees(
            n_trees=settings.trees,
            height=settings.tree_height,
            window_size=settings.forest_vectors,
            seed=SEED,
        )
        self._threshold = RollingQuantile(q=settings.quantile, window_size=settings.threshold_vectors)
        self._scored = 0
        self._trunks: OrderedDict[str, Trunk] = OrderedDict()
        self._due: dict[str, int] = {}
        self.vectors = 0
        self.evicted = 0

    def __len__(self) -> int:
        """Trunks tracked."""
        return len(self._trunks)

    def judge(self, second: int, traffic: Mapping[str, Sums]) -> list[Alert]:
        """Folds in one second of every trunk's traffic. Seconds must rise from call to call."""
        alerts = self.advance(second)
        for name in sorted(traffic):
            trunk = self._touch(name, second, alerts)
            self._end_overdue_pool(name, trunk, second, alerts)
            trunk.pool.add(traffic[name])
            if trunk.pool.attempts >= self._settings.min_attempts:
                self._end_pool(name, trunk, second + 1, alerts)
        return alerts

    def advance(self, second: int) -> list[Alert]:
        """What is due for publication at ``second`` although nothing new happened."""
        due = sorted((at, name) for name, at in self._due.items() if at <= second)
        return [self._publish(name, at) for at, name in due]

    def close(self) -> list[Alert]:
        """What has grown since it was last published."""
        return [self._publish(name, at) for at, name in sorted((at, n) for n, at in self._due.items())]

    def _touch(self, name: str, second: int, alerts: list[Alert]) -> Trunk:
        trunk = self._trunks.get(name)
        if trunk is None:
            if len(self._trunks) >= self._settings.tracked_trunks:
                self._evict(second, alerts)
            trunk = self._trunks[name] = Trunk(since=second, start=second)
            delta = self._settings.drift_delta
            trunk.drift = {f: DriftWatch(ADWIN(delta=delta, clock=DRIFT_CLOCK)) for f in DRIFT_FEATURES}
        self._trunks.move_to_end(name)
        return trunk

    def _evict(self, second: int, alerts: list[Alert]) -> None:
        name = next(iter(self._trunks))
        if name in self._due:
            alerts.append(self._publish(name, second))
        del self._trunks[name]
        self.evicted += 1

    def _end_overdue_pool(self, name: str, trunk: Trunk, second: int, alerts: list[Alert]) -> None:
        """Ends a pool that ran out before ``second``; the silence after it is not learnt."""
        longest = self._settings.pool_seconds
        if second - trunk.start >= longest:
            if trunk.pool == Sums():
                trunk.relent(trunk.strikes)
            else:
                self._end_pool(name, trunk, trunk.start + longest, alerts)
            trunk.start = second

    def _end_pool(self, name: str, trunk: Trunk, end: int, alerts: list[Alert]) -> None:
        sums, start = trunk.pool, trunk.start
        trunk.pool, trunk.start = Sums(), end
        trunk.pools += 1
        found = values(sums, end - start, self._settings.min_calls)
        vector, moved = self._relate(trunk, found)
        score = float(self._forest.score_one(vector))
        mature = trunk.pools > self._settings.grace_pools and end - trunk.since > self._settings.grace_seconds
        full = sums.attempts >= self._settings.min_attempts
        notable = self._notable(trunk, found, moved) if mature and full and self._exceeds(score) else {}
        learning = not notable or self._held_too_long(trunk, end)
        drifted = self._watch_drift(trunk, found, mature, end - start) if learning else {}

        if notable or drifted:
            episode = Episode(
                first=start,
                end=end,
                calls=sums.attempts,
                score=score,
                severity="medium" if ATTEMPTS in notable and len(notable) > 1 else "low",
                networks=frozenset(sorted(sums.networks)[:NAMED_NETWORKS]),
                observed=_weighted(found, end - start),
                moved=notable,
                drifted=drifted,
            )
            self._suspect(name, trunk, episode, alerts)
        if not notable:
            trunk.relent(1)
        if learning:
            self._learn(trunk, found, vector, score, end - start)

    def _relate(
        self, trunk: Trunk, found: dict[Feature, Value]
    ) -> tuple[dict[str, float], dict[Feature, float]]:
        """The forest's vector, each in [0, 1], and how many deviations each feature is off its baseline.

        A feature that is unknown, or has no baseline yet, is 0.5: typical. The largest deviation is a
        coordinate of its own, because half-space trees hardly see a point that is far out in one only.
        """
        vector, moved = {}, {}
        for feature in FEATURES:
            value, baseline = found.get(feature), trunk.baselines[feature]
            off = 0.0
            if value is not None and baseline.learnt:
                off = (value.level(feature) - baseline.mean) / baseline.deviation(feature, value.count)
                off = min(max(off, -SCALE_DEVIATIONS), SCALE_DEVIATIONS)
                moved[feature] = off
            vector[feature.name] = 0.5 + off / (2 * SCALE_DEVIATIONS)
        vector[FURTHEST] = max(map(abs, moved.values()), default=0.0) / SCALE_DEVIATIONS
        return vector, moved

    def _notable(
        self, trunk: Trunk, found: dict[Feature, Value], moved: dict[Feature, float]
    ) -> dict[Feature, float]:
        """The features that moved far beyond noise and far enough to matter.

        Fewer attempts than usual are never notable: late summaries look the same.
        """
        return {
            feature: off
            for feature, off in moved.items()
            if abs(off) >= self._settings.notable_deviations
            and self._matters(feature, found[feature].level(feature) - trunk.baselines[feature].mean)
            and not (feature is ATTEMPTS and off < 0)
        }

    def _matters(self, feature: Feature, change: float) -> bool:
        least = math.log(self._settings.notable_ratio) if feature.log else self._settings.notable_change
        return abs(change) >= least

    def _exceeds(self, score: float) -> bool:
        learnt = self._threshold.get()
        return self._scored >= self._settings.forest_vectors and learnt is not None and score > learnt

    def _suspect(self, name: str, trunk: Trunk, episode: Episode, alerts: list[Alert]) -> None:
        """An outlier must last ``confirm_pools`` pools to become an alert, a drift is one at once."""
        if trunk.suspect is None:
            trunk.suspect = episode
        else:
            trunk.suspect.absorb(episode)
        trunk.strikes = min(trunk.strikes + 1, self._settings.confirm_pools)
        if trunk.held_since is None:
            trunk.held_since = episode.first
        if trunk.strikes >= self._settings.confirm_pools or episode.drifted:
            confirmed, trunk.suspect = trunk.suspect, None
            self._grow(name, trunk, confirmed, alerts)

    def _grow(self, name: str, trunk: Trunk, episode: Episode, alerts: list[Alert]) -> None:
        window = (episode.end - 1) // WINDOW_SECONDS * WINDOW_SECONDS
        if trunk.alert is None or trunk.alert.window != window:
            if name in self._due:
                alerts.append(self._publish(name, episode.end))
            trunk.alert = OpenAlert(window, episode, _typical(trunk))
        else:
            trunk.alert.episode.absorb(episode)
        grown = trunk.alert.episode
        if trunk.alert.shown != (grown.kind(), grown.severity):
            alerts.append(self._publish(name, episode.end))
        else:
            self._due.setdefault(name, trunk.alert.published + PUBLISH_SECONDS)

    def _publish(self, name: str, at: int) -> Alert:
        self._due.pop(name, None)
        alert = self._trunks[name].alert
        assert alert is not None, "only a trunk with an alert is due"
        alert.version += 1
        alert.published = at
        alert.shown = (alert.episode.kind(), alert.episode.severity)
        return _written(name, alert, self._config_hash)

    def _held_too_long(self, trunk: Trunk, end: int) -> bool:
        return trunk.held_since is not None and end - trunk.held_since > self._settings.hold_seconds

    def _learn(
        self, trunk: Trunk, found: dict[Feature, Value], vector: dict[str, float], score: float, seconds: int
    ) -> None:
        weight = 1 - 0.5 ** (seconds / self._settings.half_life_seconds)
        for feature, value in found.items():
            trunk.baselines[feature].learn(value.level(feature), weight)
        if trunk.pools > self._settings.grace_pools:
            self._forest.learn_one(vector)
            self.vectors += 1
            if score > 0:
                self._threshold.update(score)
                self._scored += 1

    def _watch_drift(
        self, trunk: Trunk, found: dict[Feature, Value], mature: bool, seconds: int
    ) -> dict[Feature, tuple[float, float]]:
        """Features whose level ADWIN finds changed, by enough to matter: before and after, natural units."""
        drifted = {}
        weight = 1 - 0.5 ** (seconds / self._settings.drift_half_life_seconds)
        for feature, watch in trunk.drift.items():
            value = found.get(feature)
            if value is None:
                continue
            after = watch.update(value.level(feature), weight)
            before = watch.usual.mean
            if after is not None and mature and self._matters(feature, after - before):
                drifted[feature] = (_natural(feature, before), _natural(feature, after))
                watch.usual.mean = after
        return drifted


def _natural(feature: Feature, level: float) -> float:
    return math.exp(level) if feature.log else level


def _typical(trunk: Trunk) -> dict[Feature, float]:
    return {f: _natural(f, b.mean) for f, b in trunk.baselines.items() if b.learnt}


def _weighted(found: dict[Feature, Value], seconds: int) -> dict[Feature, tuple[float, float]]:
    weights = {f: float(seconds if f is ATTEMPTS else v.count) for f, v in found.items()}
    return {f: (v.natural * weights[f], weights[f]) for f, v in found.items()}


def _evidence(alert: OpenAlert) -> list[Evidence]:
    """The notable features, the weightiest first; a drift counts as one deviation."""
    episode = alert.episode
    weights = {
        f: episode.moved.get(f, 0.0) or 1.0 for f in FEATURES if f in episode.moved or f in episode.drifted
    }
    total = sum(abs(w) for w in weights.values())
    listed = []
    for feature in sorted(weights, key=lambda f: (-abs(weights[f]), f.name)):
        if feature in episode.moved:
            observed, weight = episode.observed[feature]
            typical, actual = alert.typical[feature], observed / weight
        else:
            typical, actual = episode.drifted[feature]
        share = abs(weights[feature]) / total
        listed.append(Evidence(feature.name, round(actual, 4), round(typical, 4), round(share, 4)))
    return listed


def _written(name: str, alert: OpenAlert, config_hash: str) -> Alert:
    episode = alert.episode
    window = Window(alert.window * 1000, (alert.window + WINDOW_SECONDS) * 1000)
    evidence = _evidence(alert)
    return Alert(
        alert_id=content_id(["profile", "trunk", name, window.start, config_hash]),
        detector="profile",
        kind=episode.kind(),
        severity=episode.severity,
        score=round(episode.score, 4),
        subject=Subject("trunk", name),
        window=window,
        first_seen=episode.first * 1000,
        last_seen=episode.end * 1000 - 1,
        calls=episode.calls,
        evidence=evidence,
        sample_call_ids=[],
        networks=sorted(episode.networks),
        trunks=[name],
        message=sentence(name, episode.kind(), evidence),
        config_hash=config_hash,
        version=alert.version,
    )


def sentence(trunk: str, kind: str, evidence: list[Evidence]) -> str:
    """What happened on ``trunk`` and what to do about it, in one sentence."""
    told = [PHRASES[e.feature](e.actual, e.typical) for e in sorted(evidence, key=lambda e: ORDER[e.feature])]
    verb = "now has" if kind == "drift" else "has"
    return (
        f"Trunk {trunk} {verb} {' and '.join(told)}: "
        "look at who calls over it and ask the sending network what changed."
    )
