"""`profile`: outliers and drift of the traffic of trunks and pairs of networks, learnt online with river.

One `TrafficModel` watches all of them. A subject's seconds are pooled until they hold enough attempts to
speak of ratios; the pool becomes a vector of seven features relative to the subject's own moving
baseline, scored by one forest of half-space trees that all share, against a threshold learnt from recent
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
from detectors.alert import SEVERITIES, Alert, Evidence, Severity, Subject, SubjectType, Window, content_id
from detectors.new_numbers import FRUITLESS, SAMPLES, SHORT, Found, ShareTest
from detectors.seasons import Seasons
from detectors.shape import score_of
from detectors.traffic import (
    ANSWERED,
    ATTEMPTS,
    CALLEES,
    FAILED,
    FEATURES,
    NEW_FRUITLESS,
    NEW_SHORT,
    RING,
    TALK,
    UNWANTED,
    Feature,
    Key,
    Sums,
    Value,
    values,
)

WINDOW_SECONDS = 600
"""Aligned windows of this length without a quiet one between them are one growing alert of their subject."""

SCALE_DEVIATIONS = 6.0
"""A feature this many deviations above its baseline is 1 for the forest, as many below is 0."""

FURTHEST = "furthest_deviation"

NAMED = 16
"""Networks and trunks that an alert names."""
PUBLISH_SECONDS = 30
"""A growing alert has a new version at most this often, unless its kind or severity changes."""

PAIR_PATIENCE = 4
"""Times as many outlying pools as a trunk's make an alert of a pair of networks."""

DRIFT_CLOCK = 8
"""ADWIN looks for a change every so many pools."""
DRIFT_POOLS = 30
"""A changed level is known after so many pools."""

SEED = 608


TOLD = (*FEATURES, NEW_SHORT, NEW_FRUITLESS)
"""What an alert may list."""
DRIFT_FEATURES = (ANSWERED, RING, TALK)
"""Not the attempts: they have their daily course, and a step in them is an outlier."""
WORSE = {ANSWERED: -1, TALK: -1, CALLEES: -1, UNWANTED: 1}
"""Features, and where each goes in an attack."""
ORDER = {feature.name: place for place, feature in enumerate(TOLD)}


ADVICE = {
    "outlier": "look at who calls over it and ask the sending network what changed",
    "drift": "look at who calls over it and ask the sending network what changed",
    "attack": "look at who calls over it and ask the sending network to stop them",
    "pumping": "look at the sampled calls and ask the sending network who sells this traffic",
    "single_use": "look at the sampled calls and ask the sending network who uses up a number a call",
    "outage": "the network loses calls, so look for a fault before an attack",
}


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.1f} s"


PHRASES: dict[str, Callable[[float, float], str]] = {
    ATTEMPTS.name: lambda a, t: f"{a / t:.1f} x its usual attempts ({a:.1f} a second, usual {t:.1f})",
    ANSWERED.name: lambda a, t: f"an answer-seizure ratio of {a:.0%} (usual {t:.0%})",
    RING.name: lambda a, t: f"a mean ring time of {_seconds(a)} (usual {_seconds(t)})",
    TALK.name: lambda a, t: f"a mean talk time of {_seconds(a)} (usual {_seconds(t)})",
    CALLEES.name: lambda a, t: f"{a:.2f} distinct callees per attempt (usual {t:.2f})",
    FAILED.name: lambda a, t: f"{a:.0%} of its calls lost by the network (usual {t:.0%})",
    UNWANTED.name: lambda a, t: f"{a:.0%} refused, given up after a ring or to no number (usual {t:.0%})",
    NEW_SHORT.name: lambda a, t: (
        f"{a:.0%} of the calls by numbers new that day answered and over within 6 s (usual {t:.0%})"
    ),
    NEW_FRUITLESS.name: lambda a, t: (
        f"no talk in {a:.0%} of the calls by numbers new that day (usual {t:.0%})"
    ),
}


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
    trunks: frozenset[str]
    observed: dict[Feature, tuple[float, float]]
    """Feature to weighted sum and weight of its values."""
    moved: dict[Feature, float]
    """Feature to deviations it moved, summed over the pools in which it was notable."""
    drifted: dict[Feature, tuple[float, float]]
    """Feature to its level before and after, in its own unit."""
    samples: list[str] = field(default_factory=list)
    story: str = ""
    """The feature of new numbers that it is about; alerts of different stories stay apart."""

    def absorb(self, later: Episode) -> None:
        self.end = later.end
        self.calls += later.calls
        self.score = max(self.score, later.score)
        self.severity = max(self.severity, later.severity, key=SEVERITIES.index)
        self.networks = frozenset(sorted(self.networks | later.networks)[:NAMED])
        self.trunks = frozenset(sorted(self.trunks | later.trunks)[:NAMED])
        for feature, (total, weight) in later.observed.items():
            have, had = self.observed.get(feature, (0.0, 0.0))
            self.observed[feature] = (have + total, had + weight)
        for feature, off in later.moved.items():
            self.moved[feature] = self.moved.get(feature, 0.0) + off
        self.drifted.update(later.drifted)
        self.samples = list(dict.fromkeys([*self.samples, *later.samples]))[-SAMPLES:]

    def kind(self) -> str:
        """What it is, by what moved: calls that the network loses are an outage, whatever else follows from
        it; more attempts of which more come to nothing are an attack; calls that new numbers end at once are
        pumped."""
        if not self.moved:
            return "drift"
        if NEW_SHORT in self.moved:
            return "pumping"
        if self.moved.get(FAILED, 0.0) > 0:
            return "outage"
        if NEW_FRUITLESS in self.moved:
            return "single_use"
        worse = any(self.moved.get(feature, 0.0) * sign > 0 for feature, sign in WORSE.items())
        return "attack" if worse and self.moved.get(ATTEMPTS, 0.0) > 0 else "outlier"


@dataclass(slots=True)
class OpenAlert:
    window: int
    """Its start, seconds since the epoch."""
    episode: Episode
    typical: dict[Feature, float]
    """The baseline when it opened, in the feature's own unit; of what was learnt later, the later one."""
    version: int = 0
    published: int = 0
    """Event time of the last version, seconds since the epoch."""
    shown: tuple[str, Severity] = ("", "info")


@dataclass(slots=True)
class Watched:
    """One subject."""

    new_numbers: dict[Feature, ShareTest]
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
    alerts: dict[str, OpenAlert] = field(default_factory=dict)
    """The latest of each story."""

    def relent(self, strikes: int) -> None:
        """Takes ``strikes`` back, and with the last one the suspicion."""
        self.strikes = max(0, self.strikes - strikes)
        if self.strikes == 0:
            self.suspect, self.held_since = None, None


class TrafficModel:
    """Learns and judges the traffic of all subjects, a second of event time after the other."""

    def __init__(self, settings: ProfileSettings, seasons: Seasons) -> None:
        self._settings = settings
        self._seasons = seasons
        self._config_hash = content_id(settings.model_dump())[:16]
        self._forest = HalfSpaceTrees(
            n_trees=settings.trees,
            height=settings.tree_height,
            window_size=settings.forest_vectors,
            seed=SEED,
        )
        self._threshold = RollingQuantile(q=settings.quantile, window_size=settings.threshold_vectors)
        self._scored = 0
        self._watched: dict[SubjectType, OrderedDict[Key, Watched]] = {
            "trunk": OrderedDict(),
            "network_pair": OrderedDict(),
        }
        self._due: dict[tuple[Key, str], int] = {}
        """When the alert of a subject and a story has its next version."""
        self.vectors = 0
        self.evicted = 0

    def __len__(self) -> int:
        """Trunks tracked."""
        return len(self._watched["trunk"])

    def judge(self, second: int, traffic: Mapping[Key, Sums]) -> list[Alert]:
        """Folds in one second of every trunk's traffic. Seconds must rise from call to call."""
        alerts = self.advance(second)
        for key in sorted(traffic):
            watched = self._touch(key, second, alerts)
            self._end_overdue_pool(key, watched, second, alerts)
            watched.pool.add(traffic[key])
            if watched.pool.attempts >= self._settings.min_attempts:
                self._end_pool(key, watched, second + 1, alerts)
        return alerts

    def advance(self, second: int) -> list[Alert]:
        """What is due for publication at ``second`` although nothing new happened."""
        due = sorted((at, told) for told, at in self._due.items() if at <= second)
        return [self._publish(*told, at) for at, told in due]

    def close(self) -> list[Alert]:
        """What has grown since it was last published."""
        return [self._publish(*told, at) for at, told in sorted((at, n) for n, at in self._due.items())]

    def _touch(self, key: Key, second: int, alerts: list[Alert]) -> Watched:
        held = self._watched[key[0]]
        watched = held.get(key)
        if watched is None:
            if len(held) >= self._settings.tracked_trunks:
                self._evict(held, second, alerts)
            threshold = math.log(self._settings.new_numbers_odds)
            tests = {NEW_SHORT: ShareTest(SHORT, threshold), NEW_FRUITLESS: ShareTest(FRUITLESS, threshold)}
            watched = held[key] = Watched(new_numbers=tests, since=second, start=second)
            delta = self._settings.drift_delta
            if key[0] == "trunk":
                watched.drift = {f: DriftWatch(ADWIN(delta=delta, clock=DRIFT_CLOCK)) for f in DRIFT_FEATURES}
        held.move_to_end(key)
        return watched

    def _evict(self, held: OrderedDict[Key, Watched], second: int, alerts: list[Alert]) -> None:
        key = next(iter(held))
        alerts += [
            self._publish(key, story, second) for story in held[key].alerts if (key, story) in self._due
        ]
        del held[key]
        self.evicted += 1

    def _end_overdue_pool(self, key: Key, watched: Watched, second: int, alerts: list[Alert]) -> None:
        """Ends a pool that ran out before ``second``; the silence after it is not learnt."""
        longest = self._settings.pool_seconds
        if second - watched.start >= longest:
            if watched.pool == Sums():
                watched.relent(watched.strikes)
            else:
                self._end_pool(key, watched, watched.start + longest, alerts)
            watched.start = second

    def _end_pool(self, key: Key, watched: Watched, end: int, alerts: list[Alert]) -> None:
        sums, start = watched.pool, watched.start
        watched.pool, watched.start = Sums(), end
        watched.pools += 1
        found = values(sums, end - start, self._settings.min_calls)
        vector, moved = self._relate(watched, found)
        score = float(self._forest.score_one(vector))
        mature = self._is_mature(watched, end)
        full = sums.attempts >= self._settings.min_attempts and (key[0] == "trunk" or len(sums.trunks) > 1)
        notable = (
            self._notable(key, watched, start, found, moved)
            if mature and full and self._exceeds(score)
            else {}
        )
        learning = not notable or self._held_too_long(watched, end)
        drifted = self._watch_drift(watched, found, mature, end - start) if learning else {}

        if notable or drifted:
            episode = Episode(
                first=start,
                end=end,
                calls=sums.attempts,
                score=score,
                severity="medium" if _is_attack_like(notable) else "low",
                networks=frozenset(sorted(sums.networks)[:NAMED]),
                trunks=frozenset(sorted(sums.trunks)[:NAMED]),
                observed=_weighted(found, end - start),
                moved=notable,
                drifted=drifted,
            )
            self._suspect(key, watched, episode, alerts)
        if key[0] == "trunk":
            told = bool(notable or drifted)
            for feature, found_new in sums.found().items():
                self._watch_new_numbers(
                    key, watched, feature, found_new, sums, start, end, mature, told, alerts
                )
        if not notable:
            watched.relent(1)
        if learning:
            self._learn(watched, found, vector, score, end - start)

    def _watch_new_numbers(
        self,
        key: Key,
        watched: Watched,
        feature: Feature,
        found: Found,
        sums: Sums,
        start: int,
        end: int,
        mature: bool,
        told: bool,
        alerts: list[Alert],
    ) -> None:
        """An alert where the share of new numbers' calls that ``feature`` is grows (`detectors.new_numbers`).
        ``told``: all attempts of this pool are counted already."""
        test = watched.new_numbers[feature]
        test.update(start, found)
        if not mature:
            test.learn()
        run, usual = test.exceeded(), test.usual
        if found.calls == 0 or run is None:
            return
        noise = math.sqrt(usual * (1 - usual) * run.ends)
        count, ends = run.news()
        episode = Episode(
            first=run.first,
            end=end,
            calls=0 if told else count,
            score=score_of(run.odds),
            severity="medium",
            networks=frozenset(sorted(sums.networks)[:NAMED]),
            trunks=frozenset(sums.trunks),
            observed={feature: (float(count), float(ends))},
            moved={feature: min((run.count - usual * run.ends) / noise, SCALE_DEVIATIONS)},
            drifted={},
            samples=list(run.samples),
            story=feature.name,
        )
        self._grow(key, watched, episode, alerts)

    def _relate(
        self, watched: Watched, found: dict[Feature, Value]
    ) -> tuple[dict[str, float], dict[Feature, float]]:
        """The forest's vector, each in [0, 1], and how many deviations each feature is off its baseline.

        A feature that is unknown, or has no baseline yet, is 0.5: typical. The largest deviation is a
        coordinate of its own, because half-space trees hardly see a point that is far out in one only.
        """
        vector, moved = {}, {}
        for feature in FEATURES:
            value, baseline = found.get(feature), watched.baselines[feature]
            off = 0.0
            if value is not None and baseline.learnt:
                off = (value.level(feature) - baseline.mean) / baseline.deviation(feature, value.count)
                off = min(max(off, -SCALE_DEVIATIONS), SCALE_DEVIATIONS)
                moved[feature] = off
            vector[feature.name] = 0.5 + off / (2 * SCALE_DEVIATIONS)
        vector[FURTHEST] = max(map(abs, moved.values()), default=0.0) / SCALE_DEVIATIONS
        return vector, moved

    def _notable(
        self,
        key: Key,
        watched: Watched,
        start: int,
        found: dict[Feature, Value],
        moved: dict[Feature, float],
    ) -> dict[Feature, float]:
        """The features that moved far beyond noise and far enough to matter; less far where several move
        together as in an attack.

        Fewer attempts than usual are never notable: late summaries look the same. Nor is what the subject
        does every week at this hour.
        """
        least = min(self._settings.attack_deviations, self._settings.notable_deviations)
        together = {
            feature: off
            for feature, off in moved.items()
            if abs(off) >= least
            and self._matters(feature, found[feature].level(feature) - watched.baselines[feature].mean)
            and not (feature is ATTEMPTS and off < 0)
            and not self._seasonal(key, watched, start, feature, found[feature], off)
        }
        if _is_attack_like(together):
            return together
        return {f: off for f, off in together.items() if abs(off) >= self._settings.notable_deviations}

    def _seasonal(
        self, key: Key, watched: Watched, start: int, feature: Feature, value: Value, off: float
    ) -> bool:
        """Whether enough weeks tell that the value is usual for the subject at this hour of the week."""
        usual = self._seasons.levels(key, start).get(feature.name)
        if usual is None or usual.weeks < self._settings.season_weeks:
            return False
        within = watched.baselines[feature].deviation(feature, value.count)
        apart = value.level(feature) - usual.mean
        if apart * off <= 0:
            return True
        far = abs(apart) / math.sqrt(within**2 + usual.variance) >= self._settings.notable_deviations
        return not (far and self._matters(feature, apart))

    def _matters(self, feature: Feature, change: float) -> bool:
        least = math.log(self._settings.notable_ratio) if feature.log else self._settings.notable_change
        return abs(change) >= least

    def _exceeds(self, score: float) -> bool:
        learnt = self._threshold.get()
        return self._scored >= self._settings.forest_vectors and learnt is not None and score > learnt

    def _suspect(self, key: Key, watched: Watched, episode: Episode, alerts: list[Alert]) -> None:
        """An outlier must last ``confirm_pools`` pools to become an alert, a drift is one at once."""
        if watched.suspect is None:
            watched.suspect = episode
        else:
            watched.suspect.absorb(episode)
        watched.strikes = min(watched.strikes + 1, self._needed(key))
        if watched.held_since is None:
            watched.held_since = episode.first
        if watched.strikes >= self._needed(key) or episode.drifted:
            confirmed, watched.suspect = watched.suspect, None
            self._grow(key, watched, confirmed, alerts)

    def _needed(self, key: Key) -> int:
        """Outlying pools that make an alert. A pair waits, for one of its trunks may explain it."""
        return self._settings.confirm_pools * (1 if key[0] == "trunk" else PAIR_PATIENCE)

    def _is_mature(self, watched: Watched, end: int) -> bool:
        s = self._settings
        return watched.pools > s.grace_pools and end - watched.since > s.grace_seconds

    def _explained(self, episode: Episode) -> bool:
        """Whether a trunk that carried the episode is new, under suspicion itself, or has an alert of now."""
        for name in episode.trunks:
            trunk = self._watched["trunk"].get(("trunk", name))
            if trunk is None:
                continue
            if trunk.suspect is not None or trunk.held_since is not None:
                return True
            if episode.end - trunk.since <= self._settings.grace_seconds:
                return True
            if any(episode.end - alert.episode.end <= WINDOW_SECONDS for alert in trunk.alerts.values()):
                return True
        return False

    def _grow(self, key: Key, watched: Watched, episode: Episode, alerts: list[Alert]) -> None:
        if key[0] == "network_pair" and self._explained(episode):
            return
        window, story = _window_of(episode.end), episode.story
        alert = watched.alerts.get(story)
        if alert is None or not _goes_on(alert.episode, episode):
            if (key, story) in self._due:
                alerts.append(self._publish(key, story, episode.end))
            alert = watched.alerts[story] = OpenAlert(window, episode, _typical(watched))
        else:
            alert.episode.absorb(episode)
            alert.typical = _typical(watched) | alert.typical
        if alert.shown != (alert.episode.kind(), alert.episode.severity):
            alerts.append(self._publish(key, story, episode.end))
        else:
            self._due.setdefault((key, story), alert.published + PUBLISH_SECONDS)

    def _publish(self, key: Key, story: str, at: int) -> Alert:
        self._due.pop((key, story), None)
        alert = self._watched[key[0]][key].alerts[story]
        alert.version += 1
        alert.published = at
        alert.shown = (alert.episode.kind(), alert.episode.severity)
        return _written(key, alert, self._config_hash)

    def _held_too_long(self, watched: Watched, end: int) -> bool:
        return watched.held_since is not None and end - watched.held_since > self._settings.hold_seconds

    def _learn(
        self,
        watched: Watched,
        found: dict[Feature, Value],
        vector: dict[str, float],
        score: float,
        seconds: int,
    ) -> None:
        weight = 1 - 0.5 ** (seconds / self._settings.half_life_seconds)
        for feature, value in found.items():
            watched.baselines[feature].learn(value.level(feature), weight)
        if watched.pools > self._settings.grace_pools:
            self._forest.learn_one(vector)
            self.vectors += 1
            if score > 0:
                self._threshold.update(score)
                self._scored += 1

    def _watch_drift(
        self, watched: Watched, found: dict[Feature, Value], mature: bool, seconds: int
    ) -> dict[Feature, tuple[float, float]]:
        """Features whose level ADWIN finds changed, by enough to matter: before and after, natural units."""
        drifted = {}
        weight = 1 - 0.5 ** (seconds / self._settings.drift_half_life_seconds)
        for feature, watch in watched.drift.items():
            value = found.get(feature)
            if value is None:
                continue
            after = watch.update(value.level(feature), weight)
            before = watch.usual.mean
            if after is not None and mature and self._matters(feature, after - before):
                drifted[feature] = (_natural(feature, before), _natural(feature, after))
                watch.usual.mean = after
        return drifted


def _is_attack_like(moved: Mapping[Feature, float]) -> bool:
    """More attempts and something else besides; or calls that are picked up at once and soon over, as pumped
    ones are. Not where the network loses calls: people who try again are no attack."""
    if moved.get(FAILED, 0.0) > 0:
        return False
    pumped = moved.get(RING, 0.0) < 0 and moved.get(TALK, 0.0) < 0
    return pumped or (ATTEMPTS in moved and len(moved) > 1)


def _goes_on(before: Episode, episode: Episode) -> bool:
    """Whether an episode belongs to the alert that was before: no window between them was quiet, or the sum
    of new numbers has not been nothing since."""
    apart = _window_of(episode.end) - _window_of(before.end)
    return apart <= WINDOW_SECONDS or (episode.story != "" and episode.first <= before.end)


def _window_of(end: int) -> int:
    """Start of the aligned window in which what ended at ``end`` (exclusive) was, seconds since the epoch."""
    return (end - 1) // WINDOW_SECONDS * WINDOW_SECONDS


def _natural(feature: Feature, level: float) -> float:
    return math.exp(level) if feature.log else level


def _typical(watched: Watched) -> dict[Feature, float]:
    learnt = {f: _natural(f, b.mean) for f, b in watched.baselines.items() if b.learnt}
    return learnt | {feature: test.usual for feature, test in watched.new_numbers.items()}


def _weighted(found: dict[Feature, Value], seconds: int) -> dict[Feature, tuple[float, float]]:
    weights = {f: float(seconds if f is ATTEMPTS else v.count) for f, v in found.items()}
    return {f: (v.natural * weights[f], weights[f]) for f, v in found.items()}


def _evidence(alert: OpenAlert) -> list[Evidence]:
    """The notable features, the weightiest first; a drift counts as one deviation."""
    episode = alert.episode
    weights = {
        f: episode.moved.get(f, 0.0) or 1.0 for f in TOLD if f in episode.moved or f in episode.drifted
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


def _written(key: Key, alert: OpenAlert, config_hash: str) -> Alert:
    episode = alert.episode
    window = Window(alert.window * 1000, (_window_of(episode.end) + WINDOW_SECONDS) * 1000)
    evidence = _evidence(alert)
    return Alert(
        alert_id=content_id(["profile", *key, *filter(None, [episode.story]), window.start, config_hash]),
        detector="profile",
        kind=episode.kind(),
        severity=episode.severity,
        score=round(episode.score, 4),
        subject=Subject(key[0], key[1]),
        window=window,
        first_seen=episode.first * 1000,
        last_seen=episode.end * 1000 - 1,
        calls=episode.calls,
        evidence=evidence,
        sample_call_ids=episode.samples,
        networks=sorted(episode.networks),
        trunks=sorted(episode.trunks),
        message=sentence(key, episode.kind(), evidence),
        config_hash=config_hash,
        version=alert.version,
    )


def sentence(key: Key, kind: str, evidence: list[Evidence]) -> str:
    """What happened on the subject and what to do about it, in one sentence."""
    told = [PHRASES[e.feature](e.actual, e.typical) for e in sorted(evidence, key=lambda e: ORDER[e.feature])]
    verb = "now has" if kind == "drift" else "has"
    what = f"Trunk {key[1]}" if key[0] == "trunk" else f"Traffic {key[1]}"
    return f"{what} {verb} {' and '.join(told)}: {ADVICE[kind]}."
