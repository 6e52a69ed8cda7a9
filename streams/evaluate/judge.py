"""Judges a run: its calls played against its rules, its alerts held against the campaigns in its traffic.

Rules act by their ``match`` alone, each change of one `REACTION_MS` after it was made. docs/evaluate.md says
how each figure comes about, so that it can be recomputed from the files of a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.alert import SEVERITIES, Alert, Severity
from streams.evaluate.calls import Calls, Ints
from streams.evaluate.labels import LEGITIMATE, Labels
from streams.evaluate.outcome import (
    FOUND_FROM,
    CampaignOutcome,
    DetectorOutcome,
    Judgement,
    RuleOutcome,
    WrongBlock,
    at_least,
)
from streams.evaluate.play import Played, play
from streams.wire.records import RuleChange

MOST_WRONG = 100
"""Calls wrongly blocked that are told one by one; all of them are counted."""


class Told:
    """All versions of one alert in what they mean for a judgement."""

    def __init__(self, alert: Alert) -> None:
        self.severity: Severity = alert.severity
        self.score = alert.score
        self.found_at: int | None = None
        self.samples: dict[str, None] = {}
        self.detectors: set[str] = set()
        self.last = alert
        self.add(alert)

    @property
    def detector(self) -> str:
        """The one whose finding leads the last version."""
        return self.last.detector

    def add(self, version: Alert) -> None:
        self.severity = max(self.severity, version.severity, key=SEVERITIES.index)
        self.score = max(self.score, version.score)
        self.samples.update(dict.fromkeys(version.sample_call_ids))
        self.detectors.update((version.detector, *(finding.detector for finding in version.findings)))
        self.last = version
        if self.found_at is None and at_least(version.severity, FOUND_FROM):
            self.found_at = version.last_seen


class AlertLog:
    """The alerts of a run by id; grows with their number, not with their versions."""

    def __init__(self, alerts: Iterable[Alert] = ()) -> None:
        self.alerts: dict[str, Told] = {}
        self.add(alerts)

    def add(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            told = self.alerts.get(alert.alert_id)
            if told is None:
                self.alerts[alert.alert_id] = Told(alert)
            else:
                told.add(alert)


def judge(
    calls: Calls,
    labels: Labels,
    alerts: Iterable[Alert] | AlertLog,
    changes: Sequence[RuleChange],
    country: int = 86,
) -> Judgement:
    """``alerts`` (every version) and rule ``changes`` in the order they came, held against ``labels``."""
    log = alerts if isinstance(alerts, AlertLog) else AlertLog(alerts)
    return _Bench(calls, labels, log, play(calls, changes, country)).judgement()


class _Views(NamedTuple):
    """Calls, each once, in order of their first set-up."""

    first: Ints
    """Row of its first set-up."""
    of_row: Ints
    """The call of each set-up."""


class _Bench:
    def __init__(self, calls: Calls, labels: Labels, log: AlertLog, played: Played) -> None:
        self._calls, self._labels, self._log, self._played = calls, labels, log, played
        self._views = _views(calls)
        self._label_of_row = labels.of(calls.call)
        self._label = self._label_of_row[self._views.first]
        self._time = calls.time[self._views.first]
        self._block = _first_block(self._views, played)
        self._campaign_of = {id_: self._belongs_to(told) for id_, told in log.alerts.items()}

    def judgement(self) -> Judgement:
        blocked, legitimate = self._block >= 0, self._label == LEGITIMATE
        eased = self._played.eased[self._views.first] & ~blocked
        wrong = np.flatnonzero(blocked & legitimate)
        wrong_rows = self._block[wrong]
        return Judgement(
            calls=len(self._label),
            malicious=int((~legitimate).sum()),
            blocked=int((blocked & ~legitimate).sum()),
            wrongly_blocked=len(wrong),
            wrongly_blocked_callers=len(np.unique(self._calls.caller[wrong_rows])),
            eased=int((eased & ~legitimate).sum()),
            wrongly_eased=int((eased & legitimate).sum()),
            campaigns=self._campaigns(),
            rules=self._rules(),
            detectors=self._detectors(),
            wrong=[self._wrong(row) for row in wrong_rows[:MOST_WRONG].tolist()],
        )

    def _belongs_to(self, told: Told) -> int:
        """The campaign of an alert: whose calls are more than half of its samples. Without samples: the one
        with most set-ups in its window on its trunk, or between its networks."""
        if told.samples:
            votes = Counter(self._labels.of_ids(told.samples))
            campaign, count = min(votes.items(), key=lambda vote: (-vote[1], vote[0]))
            return campaign if 2 * count > len(told.samples) else LEGITIMATE
        active = self._label_of_row[self._rows_of(told.last)]
        active = active[active != LEGITIMATE]
        return int(np.bincount(active).argmax()) if len(active) else LEGITIMATE

    def _rows_of(self, alert: Alert) -> Ints:
        calls, window = self._calls, alert.window
        begin, end = np.searchsorted(calls.time, [window.start, window.end])
        span = slice(begin, end)
        if alert.subject.type == "network_pair":
            sender, _, receiver = alert.subject.value.partition(">")
            there = _named(calls, calls.from_network[span], [sender])
            there &= _named(calls, calls.to_network[span], [receiver])
        else:
            trunks = [alert.subject.value] if alert.subject.type == "trunk" else alert.trunks
            there = _named(calls, calls.trunk[span], trunks)
        rows: Ints = np.flatnonzero(there) + begin
        return rows

    def _campaigns(self) -> list[CampaignOutcome]:
        of: dict[int, list[Told]] = {}
        for id_, told in self._log.alerts.items():
            of.setdefault(self._campaign_of[id_], []).append(told)
        order = np.argsort(self._label, kind="stable")
        ends = np.searchsorted(self._label[order], np.arange(len(self._labels.campaigns) + 1))
        outcomes = [
            self._campaign(number, order[ends[number] : ends[number + 1]], of.get(number, []))
            for number in range(len(self._labels.campaigns))
            if ends[number] < ends[number + 1]
        ]
        return sorted(outcomes, key=lambda outcome: (outcome.first, outcome.campaign))

    def _campaign(self, number: int, calls: Ints, alerts: list[Told]) -> CampaignOutcome:
        times, blocks = self._time[calls], self._block[calls]
        blocked = blocks[blocks >= 0]
        found_at = min((told.found_at for told in alerts if told.found_at is not None), default=None)
        ruled_at = int(self._played.since[blocked[0]]) if len(blocked) else None
        labelled = self._labels.campaigns[number]
        return CampaignOutcome(
            campaign=labelled.campaign,
            kind=labelled.kind,
            size=labelled.size,
            first=int(times[0]),
            calls=len(times),
            blocked=len(blocked),
            alerts=len(alerts),
            severity=max((told.severity for told in alerts), key=SEVERITIES.index, default=None),
            detectors=sorted(set().union(*(told.detectors for told in alerts))),
            calls_to_alert=_calls_to(times, found_at),
            seconds_to_alert=_seconds_to(times, found_at),
            calls_to_rule=_calls_to(times, ruled_at),
            seconds_to_rule=_seconds_to(times, ruled_at),
        )

    def _rules(self) -> list[RuleOutcome]:
        blocked = np.flatnonzero(self._block >= 0)
        rule_of = self._played.rule[self._block[blocked]]
        counts: dict[int, Counter[int]] = {}
        for rule, label in zip(rule_of.tolist(), self._label[blocked].tolist(), strict=True):
            counts.setdefault(rule, Counter())[label] += 1
        return [self._rule(rule, counts[rule]) for rule in sorted(counts)]

    def _rule(self, number: int, blocked: Counter[int]) -> RuleOutcome:
        rule = self._played.rules[number]
        legitimate = blocked.pop(LEGITIMATE, 0)
        votes = blocked or Counter(
            campaign
            for campaign in (self._campaign_of.get(id_, LEGITIMATE) for id_ in rule.alert_ids)
            if campaign != LEGITIMATE
        )
        about = None
        if votes:
            about = self._labels.campaigns[min(votes, key=lambda campaign: (-votes[campaign], campaign))]
        alerts = [self._log.alerts[id_] for id_ in rule.alert_ids if id_ in self._log.alerts]
        return RuleOutcome(
            rule_id=rule.rule_id,
            detector=rule.detector,
            severity=rule.severity,
            score=max((told.score for told in alerts), default=0.0),
            kind=about.kind if about else "",
            size=about.size if about else "",
            malicious=blocked.total(),
            legitimate=legitimate,
        )

    def _detectors(self) -> list[DetectorOutcome]:
        alerts: Counter[str] = Counter()
        stray: dict[str, Counter[str]] = {}
        for id_, told in self._log.alerts.items():
            alerts[told.detector] += 1
            if self._campaign_of[id_] == LEGITIMATE:
                stray.setdefault(told.detector, Counter())[told.severity] += 1
        return [
            DetectorOutcome(name, alerts[name], dict(sorted(stray.get(name, Counter()).items())))
            for name in sorted(alerts)
        ]

    def _wrong(self, row: int) -> WrongBlock:
        calls = self._calls
        rule = self._played.rules[self._played.rule[row]]
        caller, callee = calls.spelled([int(calls.caller[row]), int(calls.callee[row])])
        return WrongBlock(
            time=int(calls.time[row]),
            caller=caller,
            callee=callee,
            trunk=calls.names[calls.trunk[row]],
            rule_id=rule.rule_id,
            detector=rule.detector,
            reason=rule.reason,
        )


def _views(calls: Calls) -> _Views:
    _, first, of_row = np.unique(calls.call, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return _Views(first[order], place[of_row])


def _first_block(views: _Views, played: Played) -> Ints:
    """For each call the row of the first of its set-ups that a rule blocks, -1 where none is."""
    first = np.full(len(views.first), -1, np.int64)
    blocked = np.flatnonzero(played.rule >= 0)[::-1]
    first[views.of_row[blocked]] = blocked
    return first


def _named(calls: Calls, column: npt.NDArray[np.int32], names: Iterable[str]) -> npt.NDArray[np.bool_]:
    wanted = set(names)
    return np.isin(column, [index for index, name in enumerate(calls.names) if name in wanted])


def _calls_to(times: Ints, at: int | None) -> int | None:
    return None if at is None else int(np.searchsorted(times, at, side="right"))


def _seconds_to(times: Ints, at: int | None) -> float | None:
    return None if at is None else max(0, at - int(times[0])) / 1000
