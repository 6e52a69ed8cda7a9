"""An evaluation as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table

from streams.evaluate.figures import Delay, DetectorFigures, Evaluation, Figures
from streams.evaluate.targets import TARGETS, Target, number, percent

FIGURES = (
    "campaigns", "found", "calls", "blocked", "wrongly", "precision", "to alert", "to rule", "seconds",
    "alerts",
)  # fmt: skip
LEGEND = (
    "wrongly: legitimate calls blocked by rules about the kind. to alert, to rule: calls of a campaign until "
    "then, median (p90); seconds: to the rule. alerts: a campaign, mean (p90)."
)


def show(evaluation: Evaluation, console: Console) -> None:
    """Writes the tables to ``console``."""
    console.print(tables({"": evaluation}, TARGETS))


def tables(evaluations: dict[str, Evaluation], targets: Sequence[Target]) -> RenderableType:
    """Targets side by side for the named ``evaluations``, then kinds, sizes and detectors of the last."""
    last = list(evaluations.values())[-1]
    parts: list[RenderableType] = [_targets(evaluations, targets), _stray(last)]
    if last.kinds:
        parts += ["", _kinds([*last.kinds, last.overall], "kind"), LEGEND]
    if last.sizes:
        parts += ["", _kinds(last.sizes, "size"), "", _grid(last)]
    if last.detectors:
        parts += ["", _detectors(last.detectors)]
    return Group(*parts)


def _targets(evaluations: dict[str, Evaluation], targets: Sequence[Target]) -> Table:
    table = _table("", *(name or "measured" for name in evaluations), "target", left=1)
    for target in targets:
        cells = [_judged(target, evaluation) for evaluation in evaluations.values()]
        table.add_row(target.name, *cells, f"{target.bound} {target.shown(target.value)}")
    return table


def _judged(target: Target, evaluation: Evaluation) -> str:
    shown = target.shown(target.figure(evaluation))
    return f"[red]{shown} (missed)[/red]" if target.met_by(evaluation) is False else shown


def _stray(evaluation: Evaluation) -> str:
    stray = evaluation.stray
    listed = ", ".join(f"{count} {severity}" for severity, count in stray.by_severity.items())
    return (
        f"{evaluation.calls} calls; {evaluation.overall.wrongly_blocked} legitimate ones blocked"
        f" ({number(evaluation.overall.wrongly_blocked_per_million)} a million), of"
        f" {evaluation.wrongly_blocked_callers} callers. Throttled or labelled: {evaluation.eased} malicious"
        f" calls and {evaluation.wrongly_eased} legitimate ones. Alerts without a campaign: {stray.alerts}"
        f"{f' ({listed})' if listed else ''}, {number(stray.per_thousand_calls)} a thousand calls."
    )


def _kinds(figures: Iterable[Figures], heading: str) -> Table:
    table = _table(heading, *FIGURES, left=1)
    for each in figures:
        name = " ".join(filter(None, (each.kind, each.size))) or "all"
        table.add_row(name, *cells(each))
    return table


def _grid(evaluation: Evaluation) -> Table:
    """Campaigns found and calls blocked, by kind and size."""
    sizes = [each.size for each in evaluation.sizes]
    by_group = {(each.kind, each.size): each for each in evaluation.kinds_and_sizes}
    table = _table("found, blocked", *sizes, left=1)
    for kind in evaluation.kinds:
        groups = [by_group.get((kind.kind, size)) for size in sizes]
        table.add_row(kind.kind, *(_found_and_blocked(each) for each in groups))
    return table


def _found_and_blocked(figures: Figures | None) -> str:
    if figures is None:
        return "-"
    return f"{100 * (figures.found_share or 0):.0f} %, {100 * (figures.blocked_share or 0):3.0f} %"


def cells(figures: Figures) -> list[str]:
    """One row, in the order of FIGURES."""
    return [
        str(figures.campaigns),
        percent(figures.found_share),
        str(figures.calls),
        percent(figures.blocked_share),
        str(figures.wrongly_blocked),
        percent(figures.precision),
        _calls(figures.to_alert),
        _calls(figures.to_rule),
        _pair(figures.to_rule.seconds_median, figures.to_rule.seconds_p90),
        _pair(figures.alerts_mean, figures.alerts_p90),
    ]


DETECTOR = ("alerts", "stray", "stray medium", "rules", "blocked", "wrongly", "precision")


def _detectors(figures: Iterable[DetectorFigures]) -> Table:
    table = _table("detector", *DETECTOR, left=1)
    for each in figures:
        table.add_row(each.detector, *detector_cells(each))
    return table


def detector_cells(figures: DetectorFigures) -> list[str]:
    """One row, in the order of DETECTOR."""
    counts = (figures.alerts, figures.stray, figures.stray_medium, figures.rules, figures.blocked)
    return [*map(str, counts), str(figures.wrongly_blocked), percent(figures.precision)]


def _calls(delay: Delay) -> str:
    return _pair(delay.calls_median, delay.calls_p90)


def _pair(middle: float | None, high: float | None) -> str:
    return "-" if middle is None else f"{number(middle)} ({number(high)})"


def _table(*columns: str, left: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=True)
    return table
