"""Which detectors there are: their patterns, their settings, and what their features mean.

`detect` reads a signal's features by it, ``explain`` and the generated pages put them into words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from detectors import (
    behaviour,
    burst,
    clone,
    flood,
    neighbour,
    policy,
    reputation,
    rotation,
    sweep,
    unallocated,
    wangiri,
    wrong_place,
)
from detectors.shape import (
    BEHAVIOUR,
    BEHAVIOUR_BLOCK,
    BURST_NUMBER,
    CLONE,
    FLOOD,
    FOREIGN_GATEWAY,
    FOREIGN_GATEWAY_BLOCK,
    MISROUTED,
    NEIGHBOUR,
    POLICY,
    PREFIX_PROBE,
    REPUTATION,
    ROTATION,
    SWEEP,
    SWEEP_BLOCK,
    UNALLOCATED,
    WANGIRI,
    WANGIRI_BLOCK,
    Detector,
    Feature,
)

Features = tuple[Feature, ...]


class Registered(NamedTuple):
    """A detector. ``patterns``: its signals' patterns, each with its features in the order of the slot;
    ``evidence``: what its alerts list beside them, computed from them."""

    name: str
    patterns: Mapping[int, Features]
    evidence: Features = ()

    @property
    def settings(self) -> str:
        """The section of the settings with its mode and thresholds."""
        return f"detectors.{self.name}"

    @property
    def features(self) -> Iterator[Feature]:
        """Each feature once."""
        known: dict[str, Feature] = {}
        for features in (*self.patterns.values(), self.evidence):
            known |= {feature.name: feature for feature in features if feature.name not in known}
        yield from known.values()


DETECTORS: tuple[Registered, ...] = (
    Registered("burst", {BURST_NUMBER: burst.FEATURES, PREFIX_PROBE: burst.PROBE_FEATURES}, burst.EVIDENCE),
    Registered("rotation", {ROTATION: rotation.FEATURES}, rotation.EVIDENCE),
    Registered("unallocated", {UNALLOCATED: unallocated.FEATURES}, unallocated.EVIDENCE),
    Registered("flood", {FLOOD: flood.FEATURES}, flood.EVIDENCE),
    Registered("clone", {CLONE: clone.FEATURES}, clone.EVIDENCE),
    Registered("policy", {POLICY: policy.FEATURES}, policy.EVIDENCE),
    Registered("misrouted", {MISROUTED: wrong_place.FEATURES}),
    Registered(
        "foreign_gateway",
        {FOREIGN_GATEWAY: wrong_place.FEATURES, FOREIGN_GATEWAY_BLOCK: wrong_place.FEATURES},
    ),
    Registered("neighbour", {NEIGHBOUR: neighbour.FEATURES}),
    Registered(
        "behaviour",
        {BEHAVIOUR: behaviour.FEATURES, BEHAVIOUR_BLOCK: behaviour.FEATURES},
        behaviour.EVIDENCE,
    ),
    Registered("reputation", {REPUTATION: reputation.FEATURES}, reputation.EVIDENCE),
    Registered("sweep", {SWEEP: sweep.FEATURES, SWEEP_BLOCK: sweep.FEATURES}, sweep.EVIDENCE),
    Registered("wangiri", {WANGIRI: wangiri.FEATURES, WANGIRI_BLOCK: wangiri.FEATURES}, wangiri.EVIDENCE),
)


def registered(name: str) -> Registered | None:
    """The detector of that name; None where there is none."""
    return next((detector for detector in DETECTORS if detector.name == name), None)


def features_by_pattern() -> dict[int, Features]:
    """The features of each pattern's signals, in the order of their slot."""
    return {pattern: features for detector in DETECTORS for pattern, features in detector.patterns.items()}


def by_pattern(detectors: Iterable[Detector]) -> dict[int, Detector]:
    """Each detector under every pattern of its signals."""
    named = {detector.name: detector for detector in detectors}
    return {
        pattern: named[known.name] for known in DETECTORS if known.name in named for pattern in known.patterns
    }


def feature_of(detector: str, name: str) -> Feature | None:
    """What ``name`` in the evidence of this detector's alerts means; None where that is not written down.

    ``name`` may be ``other.feature``, a feature of a detector that agrees.
    """
    other, dot, bare = name.rpartition(".")
    known = registered(other if dot else detector)
    return None if known is None else next((f for f in known.features if f.name == bare), None)
