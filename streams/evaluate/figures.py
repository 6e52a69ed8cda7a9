"""Figures of judgements: as a whole, by kind of campaign, by kind and size, by detector.

Several judgements give one set of figures over all their campaigns and calls. docs/evaluate.md defines each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from math import ceil
from statistics import fmean, median
from typing import NamedTuple

import msgspec

from streams.evaluate.outcome import FOUND_FROM, CampaignOutcome, Judgement, RuleOutcome, at_least


class Delay(msgspec.Struct, frozen=True):
    """Over the campaigns where it came to that."""

    campaigns: int
    calls_median: float | None
    calls_p90: float | None
    seconds_median: float | None
    seconds_p90: float | None


class Figures(msgspec.Struct, frozen=True):
    """None stands where there is nothing to divide by."""

    kind: str
    """Empty: all."""
    size: str
    """Empty: all."""
    campaigns: int
    found: int
    found_share: float | None
    calls: int
    """Of the campaigns."""
    blocked: int
    blocked_share: float | None
    legitimate: int
    """Legitimate calls in all the traffic."""
    wrongly_blocked: int
    wrongly_blocked_per_million: float | None
    precision: float | None
    """Share of blocked calls that are malicious."""
    to_alert: Delay
    to_rule: Delay
    alerts_mean: float | None
    """Alerts a campaign, over campaigns that have one."""
    alerts_p90: float | None


class Stray(msgspec.Struct, frozen=True):
    """Alerts without a campaign."""

    alerts: int
    by_severity: dict[str, int]
    per_thousand_calls: float | None
    medium: int
    """Of at least medium severity."""
    medium_per_ten_thousand_calls: float | None


class DetectorFigures(msgspec.Struct, frozen=True):
    detector: str
    alerts: int
    stray: int
    stray_medium: int
    rules: int
    """Rules that blocked a call."""
    blocked: int
    wrongly_blocked: int
    precision: float | None


class Point(NamedTuple):
    """What would have been blocked by the rules whose alerts scored at least ``score``."""

    score: float
    blocked_share: float
    precision: float


class Evaluation(msgspec.Struct, frozen=True):
    runs: int
    calls: int
    wrongly_blocked_callers: int
    eased: int
    """Malicious calls that a rule throttles or labels and none blocks."""
    wrongly_eased: int
    overall: Figures
    kinds: list[Figures]
    sizes: list[Figures]
    """By size, over all kinds; empty where no campaign has a size."""
    kinds_and_sizes: list[Figures]
    stray: Stray
    detectors: list[DetectorFigures]
    curve: list[Point]
    """From the strictest score to none."""


def evaluation(judgements: Sequence[Judgement]) -> Evaluation:
    campaigns = [campaign for judgement in judgements for campaign in judgement.campaigns]
    rules = [rule for judgement in judgements for rule in judgement.rules]
    legitimate = sum(judgement.legitimate for judgement in judgements)
    both = {(campaign.kind, campaign.size) for campaign in campaigns if campaign.size}
    calls = sum(judgement.calls for judgement in judgements)

    def figures_of(groups: set[tuple[str, str]]) -> list[Figures]:
        ordered = sorted(groups, key=_by_kind_and_size)
        return [_figures(group, campaigns, rules, legitimate) for group in ordered]

    return Evaluation(
        runs=len(judgements),
        calls=calls,
        wrongly_blocked_callers=sum(judgement.wrongly_blocked_callers for judgement in judgements),
        eased=sum(judgement.eased for judgement in judgements),
        wrongly_eased=sum(judgement.wrongly_eased for judgement in judgements),
        overall=_figures(("", ""), campaigns, rules, legitimate),
        kinds=figures_of({(campaign.kind, "") for campaign in campaigns}),
        sizes=figures_of({("", size) for _, size in both}),
        kinds_and_sizes=figures_of(both),
        stray=_stray(judgements, calls),
        detectors=_detectors(judgements),
        curve=curve(rules, sum(campaign.calls for campaign in campaigns)),
    )


def curve(rules: Iterable[RuleOutcome], malicious: int) -> list[Point]:
    """Precision against the share of ``malicious`` calls blocked, for each score that rules have.

    A call counts with the rule that decided; another that would have taken its place is not looked for.
    """
    by_score: dict[float, list[int]] = {}
    for rule in rules:
        counts = by_score.setdefault(rule.score, [0, 0])
        counts[0] += rule.malicious
        counts[1] += rule.legitimate
    points, right, wrong = [], 0, 0
    for score in sorted(by_score, reverse=True):
        right += by_score[score][0]
        wrong += by_score[score][1]
        points.append(Point(score, _share(right, malicious) or 0.0, right / (right + wrong)))
    return points


def _figures(
    group: tuple[str, str],
    all_campaigns: Iterable[CampaignOutcome],
    all_rules: Iterable[RuleOutcome],
    legitimate: int,
) -> Figures:
    campaigns = [campaign for campaign in all_campaigns if _in(group, campaign)]
    calls = sum(campaign.calls for campaign in campaigns)
    blocked = sum(campaign.blocked for campaign in campaigns)
    wrongly = sum(rule.legitimate for rule in all_rules if _in(group, rule))
    found = sum(campaign.found for campaign in campaigns)
    alerts = [campaign.alerts for campaign in campaigns if campaign.alerts]
    return Figures(
        kind=group[0],
        size=group[1],
        campaigns=len(campaigns),
        found=found,
        found_share=_share(found, len(campaigns)),
        calls=calls,
        blocked=blocked,
        blocked_share=_share(blocked, calls),
        legitimate=legitimate,
        wrongly_blocked=wrongly,
        wrongly_blocked_per_million=_share(wrongly * 1_000_000, legitimate),
        precision=_share(blocked, blocked + wrongly),
        to_alert=_delay((each.calls_to_alert, each.seconds_to_alert) for each in campaigns),
        to_rule=_delay((each.calls_to_rule, each.seconds_to_rule) for each in campaigns),
        alerts_mean=fmean(alerts) if alerts else None,
        alerts_p90=p90(alerts),
    )


def _in(group: tuple[str, str], outcome: CampaignOutcome | RuleOutcome) -> bool:
    kind, size = group
    return kind in ("", outcome.kind) and size in ("", outcome.size)


def _delay(delays: Iterable[tuple[int | None, float | None]]) -> Delay:
    known = [(calls, seconds) for calls, seconds in delays if calls is not None and seconds is not None]
    calls, seconds = [each[0] for each in known], [each[1] for each in known]
    return Delay(
        campaigns=len(known),
        calls_median=median(calls) if known else None,
        calls_p90=p90(calls),
        seconds_median=median(seconds) if known else None,
        seconds_p90=p90(seconds),
    )


def _stray(judgements: Iterable[Judgement], calls: int) -> Stray:
    by_severity: Counter[str] = Counter()
    for detector in chain.from_iterable(judgement.detectors for judgement in judgements):
        by_severity.update(detector.stray)
    medium = _medium(by_severity)
    return Stray(
        alerts=by_severity.total(),
        by_severity=dict(sorted(by_severity.items())),
        per_thousand_calls=_share(by_severity.total() * 1_000, calls),
        medium=medium,
        medium_per_ten_thousand_calls=_share(medium * 10_000, calls),
    )


def _detectors(judgements: Sequence[Judgement]) -> list[DetectorFigures]:
    outcomes = [outcome for judgement in judgements for outcome in judgement.detectors]
    rules = [rule for judgement in judgements for rule in judgement.rules]
    names = sorted({outcome.detector for outcome in outcomes} | {rule.detector for rule in rules})
    figures = []
    for name in names:
        own = [outcome for outcome in outcomes if outcome.detector == name]
        issued = [rule for rule in rules if rule.detector == name]
        stray = sum((Counter(outcome.stray) for outcome in own), Counter[str]())
        blocked, wrongly = sum(r.malicious for r in issued), sum(r.legitimate for r in issued)
        figures.append(
            DetectorFigures(
                detector=name,
                alerts=sum(outcome.alerts for outcome in own),
                stray=stray.total(),
                stray_medium=_medium(stray),
                rules=len(issued),
                blocked=blocked,
                wrongly_blocked=wrongly,
                precision=_share(blocked, blocked + wrongly),
            )
        )
    return figures


def p90(values: Sequence[float]) -> float | None:
    """The smallest value that nine tenths of ``values`` do not exceed; None of none."""
    return sorted(values)[ceil(0.9 * len(values)) - 1] if values else None


def _medium(by_severity: Counter[str]) -> int:
    return sum(count for severity, count in by_severity.items() if at_least(severity, FOUND_FROM))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _by_kind_and_size(group: tuple[str, str]) -> tuple[str, int, str]:
    """Sizes that begin with a number rise by it, others come last."""
    kind, size = group
    number = size.split(" ", 1)[0].replace(",", "").replace("_", "")
    return kind, int(number) if number.isdecimal() else 1 << 62, size
