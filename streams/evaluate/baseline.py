"""Runs `FraudDetection` over calls and tells what it did as alerts and rule changes, so that
`streams.evaluate.judge` measures it as it measures Ringfence.

A rule stands in for the refusal of the next call: it is in force as long as one more call of the user
would be critical. A warning is an alert of medium severity, a critical one of high severity; one alert for
each user and stretch of counting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from config.settings import Settings
from detectors.alert import Alert, BlastRadius, Evidence, Match, Severity, Subject, Window, content_id
from detectors.calls import BLOCK, EventType, Role, Tristate, spell
from detectors.plan import NumberingPlan
from streams.evaluate.calls import Calls, CallTable
from streams.evaluate.figures import Figures
from streams.evaluate.fraud_detection import Finding, FraudDetection, Level, Profile, Stats
from streams.evaluate.judge import judge
from streams.evaluate.labels import Labels
from streams.evaluate.outcome import Judgement
from streams.ingest.step import Ingest
from streams.wire.records import Approval, BlockRule, RuleChange, SourceRecord

UserOf = Literal["number", "block"]
"""Who a user is: the calling number, or all numbers that share its digits but the last four."""

SEVERITY: dict[Level, Severity] = {"warning": "medium", "critical": "high"}
_COLUMNS = (
    "time",
    "type",
    "call_id",
    "caller",
    "callee",
    "caller_text",
    "callee_text",
    "answered",
    "ring_ms",
    "talk_ms",
)


class CallMoment(NamedTuple):
    """The set-up of a call, or its end."""

    at: int
    """ms since the epoch."""
    call_id: str
    caller: int
    """As in frames."""
    caller_text: str
    callee: str
    """As rules name it."""
    is_end: bool
    talk_ms: int
    """Of an end; 0 where the call was not answered."""


class Traffic(NamedTuple):
    """What a baseline is run over and judged by."""

    calls: Calls
    moments: list[CallMoment]
    """In order of time, ends before set-ups of the same millisecond; each call is set up once."""


class BaselineRun(NamedTuple):
    alerts: list[Alert]
    """Every version."""
    changes: list[RuleChange]


def traffic_of(records: Iterable[SourceRecord], settings: Settings, plan: NumberingPlan) -> Traffic:
    """``records`` as `ingest` reads them. A call that several probes saw is one, a ``cdr`` both moments."""
    ingest, calls = Ingest(plan, settings), CallTable()
    moments: list[CallMoment] = []
    for record in records:
        for step in ingest.steps([record]):
            for frame in step.frames.values():
                calls.add(frame)
                moments += _moments(frame)
    moments.sort(key=lambda moment: (moment.at, not moment.is_end, moment.call_id))
    return Traffic(calls.calls(), list(_once(moments)))


def run_baseline(
    moments: Iterable[CallMoment],
    profile: Profile,
    name: str = "opensips",
    user_of: UserOf = "number",
    time_zone: str = "Asia/Shanghai",
) -> BaselineRun:
    """What the ``profile`` would have told and refused; ``name`` is the alerts' and rules' ``detector``.

    Callers who withhold their number are nobody's user and are not checked.
    """
    detection, told = FraudDetection(profile, time_zone), _Told(name, user_of)
    for moment in moments:
        if moment.is_end:
            stats, finding = detection.ended(moment.call_id, moment.talk_ms)
        else:
            user = _user(moment, user_of)
            if not user:
                continue
            stats, finding = detection.call(moment.at, moment.call_id, user, moment.callee)
        if stats is not None:
            told.update(stats, finding, moment)
    return BaselineRun(told.alerts, told.changes)


def judge_baseline(traffic: Traffic, labels: Labels, run: BaselineRun, country: int = 86) -> Judgement:
    return judge(traffic.calls, labels, run.alerts, run.changes, country)


def best_balance(by_threshold: Mapping[int, Figures]) -> int:
    """The threshold with the highest harmonic mean of precision and malicious calls blocked; the highest of
    equals."""
    return max(by_threshold, key=lambda most: (_balance(by_threshold[most]), most))


def most_precise(by_threshold: Mapping[int, Figures], least_precision: float) -> int | None:
    """The threshold that blocks most malicious calls among those of at least this precision, if any does."""
    allowed = [most for most, figures in by_threshold.items() if (figures.precision or 0) >= least_precision]
    return max(allowed, key=lambda most: (by_threshold[most].blocked, most), default=None)


def _balance(figures: Figures) -> float:
    precision, share = figures.precision or 0.0, figures.blocked_share or 0.0
    return 2 * precision * share / (precision + share) if precision + share else 0.0


_Key = tuple[str, str, str]
"""User, called prefix, and whom the rule refuses."""


class _Told:
    """Alerts and rules as statistics change."""

    def __init__(self, name: str, user_of: UserOf) -> None:
        self.alerts: list[Alert] = []
        self.changes: list[RuleChange] = []
        self._name, self._user_of = name, user_of
        self._known: dict[str, set[tuple[Level, str]]] = {}
        self._first: dict[str, int] = {}
        self._live: dict[_Key, BlockRule] = {}
        self._sequence = 0

    def update(self, stats: Stats, finding: Finding | None, moment: CallMoment) -> None:
        at, user, prefix = moment.at, stats.user, stats.rule.prefix
        if finding is not None:
            self._alert(self._alert_id(stats), stats, finding, moment)
        anyone = f"{prefix}*" if prefix else None
        self._rule((user, prefix, "anyone"), anyone, stats, stats.refuses_until(at), at)
        until = stats.refuses_number_until(at)
        self._rule((user, prefix, "last number"), stats.last_number, stats, until, at)

    def _alert_id(self, stats: Stats) -> str:
        return content_id([self._name, stats.user, stats.rule.prefix, stats.interval])

    def _alert(self, alert_id: str, stats: Stats, finding: Finding, moment: CallMoment) -> None:
        """A version for each statistic and level reached."""
        known = self._known.setdefault(alert_id, set())
        if (finding.level, finding.parameter) in known:
            return
        known.add((finding.level, finding.parameter))
        first = self._first.setdefault(alert_id, moment.at)
        self.alerts.append(
            Alert(
                alert_id=alert_id,
                detector=self._name,
                kind=finding.parameter,
                severity=SEVERITY[finding.level],
                score=0.5 if finding.level == "warning" else 1.0,
                subject=Subject(self._user_of, stats.user),
                window=Window(first, moment.at + 1),
                first_seen=first,
                last_seen=moment.at,
                calls=stats.total_calls,
                evidence=[Evidence(finding.parameter, finding.value, finding.threshold, 1.0)],
                sample_call_ids=list(stats.calls),
                networks=[],
                trunks=[],
                message=_sentence(stats.user, finding),
                config_hash="",
                version=len(known),
            )
        )

    def _rule(self, key: _Key, callee: str | None, stats: Stats, until: int, at: int) -> None:
        """Makes the rule of ``key``, about calls to ``callee``, be in force until then; 0: not at all."""
        known = self._live.get(key)
        if known is not None and (not until or at >= known.expires_at or known.match.callee != callee):
            ended = min(at, known.expires_at)
            self.changes.append(RuleChange(known.rule_id, None, ended, "One more call would be let through."))
            del self._live[key]
            known = None
        if not until or (known is not None and known.expires_at == until):
            return
        self._sequence += 1
        rule = self._issued(Match(caller=stats.user, callee=callee), self._alert_id(stats), at, until)
        self._live[key] = rule
        self.changes.append(RuleChange(rule.rule_id, rule, at))

    def _issued(self, match: Match, alert_id: str, at: int, until: int) -> BlockRule:
        return BlockRule(
            rule_id=content_id([self._name, match.caller, match.callee]),
            version=self._sequence,
            sequence=self._sequence,
            mode="enforce",
            action="block",
            match=match,
            sip_code=403,
            sip_reason="Forbidden",
            q850_cause=21,
            reason="One more call would reach a critical threshold.",
            detector=self._name,
            severity="high",
            alert_ids=[alert_id],
            not_before=at,
            expires_at=until,
            renewals=0,
            approval=Approval("auto"),
            blast_radius=BlastRadius(0, 0, 0),
            issued_at=at,
            issuer=self._name,
        )


def _user(moment: CallMoment, user_of: UserOf) -> str:
    """As a rule's ``caller`` names it; a text has no neighbours."""
    if user_of == "block" and moment.caller >= BLOCK:
        return f"+{moment.caller // BLOCK}*"
    return spell(moment.caller, moment.caller_text)


def _sentence(user: str, finding: Finding) -> str:
    name = finding.parameter.replace("_", " ")
    return f"{user}: {name} {finding.value}, {finding.level} from {finding.threshold}."


def _moments(frame: pa.RecordBatch) -> Iterator[CallMoment]:
    """Of the calls in a record batch in FRAME_SCHEMA, as seen from the caller's end."""
    callers = frame.filter(pc.equal(frame.column("role"), int(Role.CALLER)))
    for row in callers.select(_COLUMNS).to_pylist():
        set_up = CallMoment(
            row["time"],
            row["call_id"],
            row["caller"],
            row["caller_text"],
            spell(row["callee"], row["callee_text"]),
            is_end=False,
            talk_ms=0,
        )
        talk_ms = max(row["talk_ms"], 0) if row["answered"] == Tristate.TRUE else 0
        if row["type"] != EventType.END:
            yield set_up
        if row["type"] != EventType.ATTEMPT:
            lasted = max(row["ring_ms"], 0) + talk_ms if row["type"] == EventType.CDR else 0
            yield set_up._replace(at=set_up.at + lasted, is_end=True, talk_ms=talk_ms)


def _once(moments: Iterable[CallMoment]) -> Iterator[CallMoment]:
    """Each call's first set-up, and its ends after that."""
    set_up: set[str] = set()
    for moment in moments:
        if moment.is_end or moment.call_id not in set_up:
            yield moment
        if not moment.is_end:
            set_up.add(moment.call_id)
