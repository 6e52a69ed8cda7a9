"""Why an alert is as it is, and what came of it: in a form for programs, and in words.

Pure: what is known of the alert's rules and campaign is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from config.settings import Settings
from detectors.alert import SEVERITIES, Alert, Entry, Evidence, Match, Proposal, Severity, Statement, Subject
from detectors.campaigns import Campaign
from detectors.fusion import independent
from detectors.registry import feature_of
from streams.respond.allow import AllowList
from streams.respond.guards import objection_to
from streams.respond.measures import measure_for
from streams.respond.modes import proposal_mode
from streams.respond.register import Register
from streams.switches.protected import protected_numbers
from streams.switches.validation import rule_id_of
from streams.wire.records import ISSUED, Action, BlockRule, ListEntry, RuleChange

WORDS = ((0.4, "decided it"), (0.2, "weighed much"), (0.05, "weighed somewhat"), (1e-9, "weighed little"))
"""From which share of the decision on a feature is said to have done what."""
NOTHING = "did not speak for abuse"


class Weighed(msgspec.Struct, frozen=True):
    """A feature of the alert's evidence with what it means."""

    feature: str
    meaning: str
    unit: str
    actual: float
    typical: float
    weight: float
    words: str


class Agreeing(msgspec.Struct, frozen=True):
    """What one detector says. ``independent``: its evidence adds to the leading detector's."""

    detector: str
    kind: str
    severity: Severity
    score: float
    message: str
    withheld: int
    leads: bool
    independent: bool


class Outcome(msgspec.Struct, frozen=True):
    """What came of one proposal. ``rule`` is None where there is no rule, ``why`` says why then."""

    match: Match
    detector: str
    relies_on: str
    rule_id: str
    state: str
    """``in force``, ``shadow``, ``report``, ``pending``, ``revoked``, ``ended``, ``none``, ``unknown``."""
    why: str


class InCampaign(msgspec.Struct, frozen=True):
    campaign_id: str
    status: str
    alert_count: int
    story: str
    related: list[str]


class Explanation(msgspec.Struct, frozen=True):
    """Everything there is to say of an alert."""

    alert_id: str
    version: int
    subject: Subject
    severity: Severity
    score: float
    detector: str
    kind: str
    message: str
    first_seen: int
    last_seen: int
    calls: int
    entries: list[Entry]
    networks: list[str]
    trunks: list[str]
    evidence: list[Weighed]
    findings: list[Agreeing]
    rules: list[Outcome]
    no_rule: list[str]
    """Why nothing was proposed, where nothing was."""
    campaign: InCampaign | None
    sample_call_ids: list[str]


Rules = Mapping[str, RuleChange]
"""By id, the last that was heard of each."""


def explanation_of(
    alert: Alert,
    settings: Settings,
    rules: Rules | None,
    campaign: Campaign | None,
    allowed: Sequence[ListEntry] = (),
) -> Explanation:
    """``rules`` None: nothing is known of rules. ``allowed``: entries of the allow-list that are known."""
    return Explanation(
        alert_id=alert.alert_id,
        version=alert.version,
        subject=alert.subject,
        severity=alert.severity,
        score=alert.score,
        detector=alert.detector,
        kind=alert.kind,
        message=alert.message,
        first_seen=alert.first_seen,
        last_seen=alert.last_seen,
        calls=alert.calls,
        entries=sorted(alert.entries, key=lambda entry: (-entry.calls, entry.trunk, entry.network)),
        networks=alert.networks,
        trunks=alert.trunks,
        evidence=[_weighed(alert.detector, item) for item in alert.evidence],
        findings=[_agreeing(alert.detector, said, at == 0) for at, said in enumerate(alert.findings)],
        rules=[_outcome(alert, proposal, settings, rules, allowed) for proposal in alert.proposals],
        no_rule=list(_why_nothing_was_proposed(alert)),
        campaign=None if campaign is None else _in_campaign(campaign),
        sample_call_ids=alert.sample_call_ids,
    )


def _weighed(detector: str, item: Evidence) -> Weighed:
    known = feature_of(detector, item.feature)
    words = next((words for share, words in WORDS if item.weight >= share), NOTHING)
    meaning = known.meaning if known else ""
    unit = known.unit if known else ""
    return Weighed(item.feature, meaning, unit, item.actual, item.typical, item.weight, words)


def _agreeing(lead: str, said: Statement, leads: bool) -> Agreeing:
    return Agreeing(
        said.detector,
        said.kind,
        said.severity,
        said.score,
        said.message,
        said.withheld,
        leads,
        independent(lead, said.detector),
    )


def _in_campaign(campaign: Campaign) -> InCampaign:
    return InCampaign(
        campaign.campaign_id, campaign.status, campaign.alert_count, campaign.story, campaign.related
    )


def _why_nothing_was_proposed(alert: Alert) -> Iterator[str]:
    if alert.proposals:
        return
    for said in alert.findings:
        if said.withheld:
            rules = "a rule" if said.withheld == 1 else f"{said.withheld} rules"
            yield f"{said.detector} withholds {rules} until independent evidence agrees with it"
    if SEVERITIES.index(alert.severity) < SEVERITIES.index("high"):
        yield f"its severity is {alert.severity}, and rules are proposed from high on"
    else:
        yield "no detector found a match narrow enough to propose"


def _outcome(
    alert: Alert, proposal: Proposal, settings: Settings, rules: Rules | None, allowed: Sequence[ListEntry]
) -> Outcome:
    detector = proposal.detector or alert.detector
    known = None if rules is None else _known(proposal.match, rules)
    rule_id = rule_id_of(proposal.match, _action(proposal, settings)) if known is None else known.rule_id
    if rules is None:
        state, why = "unknown", "rules were not looked at"
    elif known is None:
        state, why = "none", _why_none(alert, proposal, detector, settings, allowed)
    elif known.rule is None:
        state, why = "ended", known.why
    else:
        state, why = _state_of(known.rule), known.rule.reason
    return Outcome(proposal.match, detector, proposal.relies_on, rule_id, state, why)


def _known(match: Match, rules: Rules) -> RuleChange | None:
    """The newest change of a rule about this match, whatever the rule does."""
    ids = [rule_id_of(match, action) for action in ISSUED]
    return max((rules[id_] for id_ in ids if id_ in rules), key=lambda change: change.at, default=None)


def _action(proposal: Proposal, settings: Settings) -> Action:
    """What a rule would do; the register of enterprise numbers is not known here."""
    register = Register(protected_numbers(settings.numbering.home_country))
    return measure_for(proposal, register.serves(proposal.match.caller, 0), settings.respond).action


def _state_of(rule: BlockRule) -> str:
    if rule.approval.state in ("pending", "rejected", "revoked"):
        return rule.approval.state
    return "in force" if rule.mode == "enforce" else rule.mode


def _why_none(
    alert: Alert, proposal: Proposal, detector: str, settings: Settings, allowed: Sequence[ListEntry]
) -> str:
    limits = settings.respond
    if SEVERITIES.index(alert.severity) < SEVERITIES.index(limits.min_severity):
        return f"severity {alert.severity} is below respond.min_severity, {limits.min_severity}"
    if proposal_mode(settings, detector, proposal.relies_on) is None:
        return f"the mode of {detector} or of what it relies on is off"
    protected = protected_numbers(settings.numbering.home_country)
    action = _action(proposal, settings)
    objection = objection_to(proposal.match, action, protected, limits.min_prefix_digits)
    if objection is not None:
        return objection.message
    entries = AllowList(settings.numbering.home_country)
    for entry in allowed:
        entries.put(entry)
    guard = entries.protecting(proposal.match, alert.last_seen)
    if guard is not None:
        return f"the allow-list protects {guard.type} {guard.value}, {guard.owner}: {guard.reason}"
    return (
        "respond refused it or has not seen it: its log says why (allow-list, too many rules, a revocation)"
    )


def in_words(told: Explanation) -> str:
    """The explanation as text of some lines."""
    return "\n".join(_lines(told)) + "\n"


def _lines(told: Explanation) -> Iterator[str]:
    named = "network pair" if told.subject.type == "network_pair" else told.subject.type
    yield f"{named} {told.subject.value}: {told.severity}, score {told.score:.4g}"
    yield f"alert {told.alert_id}, version {told.version}, led by {told.detector} ({_spaced(told.kind)})"
    yield ""
    yield told.message
    yield f"{told.calls} calls from {_moment(told.first_seen)} to {_moment(told.last_seen)} UTC."
    ways = [f"trunk {each.trunk or 'unknown'} from {each.network or 'unknown'}" for each in told.entries]
    if ways:
        yield f"They came in over {', '.join(ways)}."
    elif told.trunks:
        yield f"Trunks: {', '.join(told.trunks)}."
    yield from _section("why", [_of_feature(item) for item in told.evidence if item.weight > 0])
    yield from _section("what spoke against it", list(_against(told)))
    yield from _section("who agrees", [_of_finding(each) for each in told.findings])
    yield from _section("what came of it", list(_of_rules(told)))
    if told.campaign is not None:
        yield from _section("campaign", list(_of_campaign(told.campaign)))
    yield from _section("sample calls", told.sample_call_ids)


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in lines)


def _of_feature(item: Weighed) -> str:
    meaning = f" ({item.meaning})" if item.meaning else ""
    unit = f" {item.unit}" if item.unit else ""
    return (
        f"{item.feature} {_figure(item.actual)}{unit}, typical {_figure(item.typical)}: "
        f"{item.words}, {item.weight:.0%}{meaning}"
    )


def _against(told: Explanation) -> Iterator[str]:
    for item in told.evidence:
        if item.weight <= 0:
            meaning = f" ({item.meaning})" if item.meaning else ""
            unit = f" {item.unit}" if item.unit else ""
            yield (
                f"{item.feature} {_figure(item.actual)}{unit}, typical {_figure(item.typical)}: "
                f"{NOTHING}{meaning}"
            )
    for each in told.findings:
        if each.score < 0.5:
            yield f"{each.detector} by itself holds abuse for less likely than not: {each.score:.0%}"


def _of_finding(each: Agreeing) -> str:
    role = "leads" if each.leads else "independent of it" if each.independent else "not independent of it"
    withheld = f", withholds {each.withheld}" if each.withheld else ""
    return f"{each.detector}, {each.severity}, {each.score:.4g}, {role}{withheld}: {each.message}"


def _of_rules(told: Explanation) -> Iterator[str]:
    for reason in told.no_rule:
        yield f"no rule: {reason}"
    for each in told.rules:
        by = f"{each.detector}, which relies on {each.relies_on}" if each.relies_on else each.detector
        what = "no rule" if each.state == "none" else f"rule {each.rule_id}, {each.state}"
        yield f"{_of_match(each.match)}, proposed by {by}: {what}: {each.why}"


def _of_campaign(campaign: InCampaign) -> Iterator[str]:
    alerts = "the only alert" if campaign.alert_count == 1 else f"one of {campaign.alert_count} alerts"
    yield f"{alerts} of campaign {campaign.campaign_id}, {campaign.status}"
    yield campaign.story
    if campaign.related:
        yield f"related: {', '.join(campaign.related)}"


def _of_match(match: Match) -> str:
    parts = {
        "caller": match.caller,
        "callee": match.callee,
        "trunk": match.trunk,
        "network": match.network,
        "gateway": match.gateway,
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
