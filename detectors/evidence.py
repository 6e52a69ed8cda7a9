"""Signals to alerts: one alert a subject, which grows while the attack lasts.

The first signal of a subject opens an alert; its window starts at the ten minutes of that event. Later
signals add their calls, raise its severity, collect samples, networks, trunks and proposals. A new version is
emitted when the severity rises, when its calls have doubled, when a proposal came to it (at most every five
seconds), and when a minute of event time has passed since the last: so often, and no oftener, can a rule be
renewed. Ten minutes without a signal close it: the next signal opens another.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from detectors.alert import SEVERITIES, Alert, Proposal, Subject, Window, content_id
from detectors.shape import SEVERITY, Call, Detector, Finding, Signal
from detectors.signals import QUIET_MS

ALIGN_MS = 600_000
RENEW_MS = 60_000
PROPOSE_MS = 5_000
DESCRIBE_MS = 5_000
"""A signal that changes nothing else is described anew, with its proposals, so often."""
MOST_PROPOSALS = 16
MOST_SAMPLES = 5
MOST_NAMES = 8
"""Networks and trunks kept of one alert."""


class _Open(msgspec.Struct):
    """An alert as it grows, and what was last told of it."""

    alert: Alert
    level: int
    told_at: int
    told_calls: int
    described_at: int
    untold_proposals: bool = False

    @property
    def is_sampled(self) -> bool:
        return len(self.alert.sample_call_ids) >= MOST_SAMPLES


class Alerts:
    """The open alerts of one partition, at most ``most`` of them."""

    def __init__(self, detectors: Mapping[int, Detector], config_hash: str, most: int) -> None:
        """``detectors`` by the pattern of the signals that each describes."""
        self._detectors = detectors
        self._config_hash = config_hash
        self._most = most
        self._open: OrderedDict[tuple[str, ...], _Open] = OrderedDict()
        self._of_signal: dict[tuple[int, int], tuple[tuple[str, ...], _Open]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def absorb(self, pattern: int, key: int, time: int, calls: int, level: int) -> bool:
        """Takes in a signal that only adds calls to an alert, for which nothing need be described.

        False where there is more to it: it would open an alert, or a version may be due.
        """
        subject, held = self._of_signal.get((pattern, key), (None, None))
        if subject is None or held is None or self._open.get(subject) is not held or not held.is_sampled:
            return False
        alert = held.alert
        if time - held.described_at >= DESCRIBE_MS or time - held.told_at >= RENEW_MS:
            return False
        if level > held.level or alert.calls + calls >= 2 * held.told_calls:
            return False
        if not 0 <= time - alert.last_seen <= QUIET_MS:
            return False
        held.alert = msgspec.structs.replace(
            alert, calls=alert.calls + calls, last_seen=time, window=_window(alert.window.start, time)
        )
        self._open.move_to_end(subject)
        return True

    def take(self, signal: Signal, call: Call, plan_version: str) -> Alert | None:
        """Takes in one signal and the row that raised it; the new version of its alert where one is due."""
        detector = self._detectors[signal.pattern]
        finding = detector.describe(signal, call)
        if finding is None:
            return None
        key = (detector.name, finding.subject_type, finding.subject_value, finding.apart)
        held = self._open.get(key)
        if held is None or signal.time - held.alert.last_seen > QUIET_MS:
            held = self._opened(detector.name, signal, finding, call, plan_version)
            due = True
        else:
            due = self._grown(held, signal, finding, call)
        self._open[key] = held
        self._open.move_to_end(key)
        if len(self._open) > self._most:
            self._open.popitem(last=False)
        if len(self._of_signal) >= 2 * self._most:
            self._of_signal.clear()
        self._of_signal[signal.pattern, signal.key] = (key, held)
        held.described_at = signal.time
        if not due:
            return None
        held.alert = msgspec.structs.replace(held.alert, version=held.alert.version + 1)
        held.told_at, held.told_calls, held.untold_proposals = signal.time, held.alert.calls, False
        return held.alert

    def _opened(
        self, detector: str, signal: Signal, finding: Finding, call: Call, plan_version: str
    ) -> _Open:
        start = signal.time // ALIGN_MS * ALIGN_MS
        identity = [detector, finding.subject_type, finding.subject_value, start, self._config_hash]
        alert = Alert(
            alert_id=content_id([*identity, finding.apart] if finding.apart else identity),
            detector=detector,
            kind=finding.kind,
            severity=SEVERITY[finding.level],
            score=finding.score,
            subject=Subject(finding.subject_type, finding.subject_value),
            window=_window(start, signal.time),
            first_seen=signal.time,
            last_seen=signal.time,
            calls=max(signal.calls, 1),
            evidence=finding.evidence,
            sample_call_ids=[call.call_id],
            networks=_with([], [call.from_network, call.to_network], MOST_NAMES),
            trunks=_with([], [call.trunk], MOST_NAMES),
            message=finding.message,
            config_hash=self._config_hash,
            version=0,
            plan_version=plan_version if finding.plan_version else "",
            proposals=finding.proposals[:MOST_PROPOSALS],
        )
        return _Open(alert, finding.level, signal.time, 0, signal.time)

    def _grown(self, held: _Open, signal: Signal, finding: Finding, call: Call) -> bool:
        """Grows the alert by one signal; whether a new version is due."""
        alert = held.alert
        rises = SEVERITIES.index(SEVERITY[finding.level]) > SEVERITIES.index(alert.severity)
        proposals = _merged(alert.proposals, finding.proposals)
        held.untold_proposals |= len(proposals) > len(alert.proposals)
        last_seen = max(alert.last_seen, signal.time)
        growth: dict[str, Any] = {
            "severity": max(alert.severity, SEVERITY[finding.level], key=SEVERITIES.index),
            "first_seen": min(alert.first_seen, signal.time),
            "last_seen": last_seen,
            "window": _window(alert.window.start, last_seen),
            "calls": alert.calls + (1 if signal.opened else signal.calls),
            "sample_call_ids": _with(alert.sample_call_ids, [call.call_id], MOST_SAMPLES),
            "networks": _with(alert.networks, [call.from_network, call.to_network], MOST_NAMES),
            "trunks": _with(alert.trunks, [call.trunk], MOST_NAMES),
            "proposals": proposals,
        }
        if finding.level >= held.level or finding.kind == alert.kind:
            growth |= {
                "kind": finding.kind,
                "score": finding.score,
                "evidence": finding.evidence,
                "message": finding.message,
            }
            held.level = max(held.level, finding.level)
        held.alert = alert = msgspec.structs.replace(alert, **growth)
        since = signal.time - held.told_at
        return (
            rises
            or alert.calls >= 2 * held.told_calls
            or since >= RENEW_MS
            or (held.untold_proposals and since >= PROPOSE_MS)
        )


def _window(start: int, last_seen: int) -> Window:
    return Window(start, last_seen // ALIGN_MS * ALIGN_MS + ALIGN_MS)


def _with(held: list[str], more: list[str], most: int) -> list[str]:
    """``held`` and what of ``more`` is new and not empty, at most ``most``; ``held`` itself is left alone."""
    result = held[:]
    for name in more:
        if name and name not in result and len(result) < most:
            result.append(name)
    return result


def _merged(held: list[Proposal], more: list[Proposal]) -> list[Proposal]:
    """Both, by match: what is proposed again has its newer blast radius."""
    by_match = {proposal.match: proposal for proposal in held}
    for proposal in more:
        if proposal.match in by_match or len(by_match) < MOST_PROPOSALS:
            by_match[proposal.match] = proposal
    return list(by_match.values())
