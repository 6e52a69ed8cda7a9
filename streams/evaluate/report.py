"""An evaluation as one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from streams.evaluate.figures import Evaluation, Figures
from streams.evaluate.outcome import CampaignOutcome, WrongBlock
from streams.evaluate.tables import DETECTOR, FIGURES, LEGEND, cells, detector_cells
from streams.evaluate.targets import TARGETS, Target, number

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 66rem; margin: 2rem auto }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e4e7eb; white-space: nowrap }
th:first-child, td:first-child { text-align: left } td.words { text-align: left; white-space: normal }
tr.all td { font-weight: 600 } .missed { color: #c1440e; font-weight: 600 } .met { color: #2a6f97 }
figure { margin: 1rem 0 } figcaption { color: #52606d } svg { max-width: 100%; height: auto }
"""


def report(
    evaluations: Mapping[str, Evaluation],
    campaigns: Sequence[CampaignOutcome],
    targets: Sequence[Target] = TARGETS,
    wrong: Sequence[WrongBlock] = (),
    runs: Mapping[str, Sequence[Figures]] | None = None,
) -> str:
    """The page. ``evaluations`` stand side by side by name; plots are of the last, ``campaigns`` those of it.

    ``runs`` are the figures of single runs, drawn as points where they are given.
    """
    last = list(evaluations.values())[-1]
    parts = [
        "<h1>Ringfence: evaluation</h1>",
        f"<p>{_sentence(last)}</p>",
        "<h2>Against the targets</h2>",
        _targets(evaluations, targets),
    ]
    if campaigns:
        parts += _about_campaigns(last, campaigns, runs or {})
    if last.detectors:
        rows = [(each.detector, detector_cells(each)) for each in last.detectors]
        parts += ["<h2>By detector</h2>", _table("detector", DETECTOR, rows)]
    if wrong:
        parts += ["<h2>Legitimate calls that were blocked</h2>", _wrong(wrong)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Ringfence: evaluation</title>'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _sentence(evaluation: Evaluation) -> str:
    overall, stray = evaluation.overall, evaluation.stray
    return (
        f"{evaluation.calls:,} calls in {evaluation.runs} run{'s' if evaluation.runs != 1 else ''},"
        f" {overall.calls:,} of them in {overall.campaigns:,} campaigns. {overall.wrongly_blocked:,}"
        f" legitimate calls of {evaluation.wrongly_blocked_callers:,} callers were blocked."
        f" Rules throttle or label {evaluation.eased:,} malicious calls and"
        f" {evaluation.wrongly_eased:,} legitimate ones."
        f" {stray.alerts:,} alerts belong to no campaign, {number(stray.per_thousand_calls)} a thousand"
        f" calls; {stray.medium:,} of them are of medium severity or above:"
        f" {number(stray.medium_per_ten_thousand_calls)} per ten thousand calls."
    )


def _about_campaigns(
    evaluation: Evaluation, campaigns: Sequence[CampaignOutcome], runs: Mapping[str, Sequence[Figures]]
) -> list[str]:
    from streams.evaluate import plots

    kinds = [(each.kind, cells(each)) for each in evaluation.kinds]
    parts = [
        "<h2>By kind of campaign</h2>",
        _table("kind", FIGURES, [*kinds, ("all", cells(evaluation.overall))], last_is_all=True),
        f"<p>{escape(LEGEND)}</p>",
        _figure(plots.delays(campaigns, "alert"), "From a campaign's first call to its first alert of medium "
                "severity or above. Boxes: quartiles; whiskers: a tenth and nine tenths."),
        _figure(plots.delays(campaigns, "rule"), "From a campaign's first call to its first rule. "
                "Dashed: the target for the median."),
        _figure(plots.precision(evaluation), "Precision of blocks against the share of malicious calls "
                "blocked: rules by the score of their alerts, from the strictest on, and each kind. Dashed: "
                "the target."),
    ]  # fmt: skip
    if runs:
        parts.append(_figure(plots.shares(dict(runs)), "The same for each run."))
    parts += [
        _figure(plots.blocked(evaluation), "Malicious calls blocked, per cent."),
        _figure(plots.alerts(campaigns), "Alerts a campaign."),
    ]
    if evaluation.sizes:
        sizes = [(each.size, cells(each)) for each in evaluation.sizes]
        both = [(f"{each.kind} {each.size}", cells(each)) for each in evaluation.kinds_and_sizes]
        parts += ["<h2>By size</h2>", _table("size", FIGURES, sizes)]
        parts += ["<h2>By kind and size</h2>", _table("kind and size", FIGURES, both)]
    return parts


def _targets(evaluations: Mapping[str, Evaluation], targets: Sequence[Target]) -> str:
    heads = [name or "measured" for name in evaluations]
    rows = []
    for target in targets:
        judged = "".join(_judged(target, evaluation) for evaluation in evaluations.values())
        bound = f"{target.bound} {target.shown(target.value)}"
        rows.append(f"<tr><td>{escape(target.name)}</td>{judged}<td>{escape(bound)}</td></tr>")
    head = "".join(f"<th>{escape(each)}</th>" for each in ["", *heads, "target"])
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _judged(target: Target, evaluation: Evaluation) -> str:
    state = {True: "met", False: "missed", None: ""}[target.met_by(evaluation)]
    return f'<td class="{state}">{escape(target.shown(target.figure(evaluation)))} {state}</td>'


def _table(
    heading: str, columns: Sequence[str], rows: Sequence[tuple[str, list[str]]], last_is_all: bool = False
) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in [heading, *columns])
    lines = [
        f"<tr{' class=all' if last_is_all and index == len(rows) - 1 else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in [name, *row])
        + "</tr>"
        for index, (name, row) in enumerate(rows)
    ]
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _wrong(wrong: Iterable[WrongBlock]) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.caller)}</td><td>{escape(each.callee)}</td><td>{escape(each.trunk)}</td>"
        f"<td>{each.time}</td><td>{escape(each.detector)}</td><td class=words>{escape(each.reason)}</td></tr>"
        for each in wrong
    )
    head = "".join(f"<th>{each}</th>" for each in ("caller", "callee", "trunk", "time", "detector", "reason"))
    return f"<table><tr>{head}</tr>{rows}</table>"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
