"""The plots of a report, each as SVG text that needs nothing else. Equal outcomes give equal bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from streams.evaluate.figures import Evaluation, Figures
from streams.evaluate.outcome import CampaignOutcome

INK, RIGHT, WRONG = "#1f2933", "#2a6f97", "#c1440e"
_ROW_INCHES = 0.32
_TARGET_CALLS, _TARGET_PRECISION = 15, 0.9999


def style_in(ink: str) -> dict[str, object]:
    """matplotlib's rc parameters of a figure that is drawn in one ink; the same data gives the same SVG."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "ringfence",
        "font.family": "sans-serif",
        "font.size": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
    } | dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), ink)


def delays(campaigns: Sequence[CampaignOutcome], until: Literal["alert", "rule"]) -> str:
    """Calls and seconds from a campaign's first call until its first alert or rule, by kind."""
    kinds = sorted({each.kind for each in campaigns})

    def draw(figure: Figure) -> None:
        for axes, unit in zip(figure.subplots(1, 2), ("calls", "seconds"), strict=True):
            name = f"{unit}_to_{until}"
            _boxes(axes, kinds, [[getattr(c, name) for c in campaigns if c.kind == kind] for kind in kinds])
            axes.set_xlabel(f"{unit} to the {until}")
            if name == "calls_to_rule":
                axes.axvline(_TARGET_CALLS, color=WRONG, linewidth=0.8, linestyle="--")

    return _svg(draw, 9.0, 1.0 + _ROW_INCHES * len(kinds))


def precision(evaluation: Evaluation) -> str:
    """Share of blocked calls that are malicious against the share of malicious calls blocked."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        curve = evaluation.curve
        axes.plot(
            [p.blocked_share for p in curve],
            [p.precision for p in curve],
            color=RIGHT,
            drawstyle="steps-post",
            marker=".",
            label="all kinds, by score of the rules' alerts",
        )
        for figures in evaluation.kinds:
            if figures.precision is not None and figures.blocked_share is not None:
                axes.plot(figures.blocked_share, figures.precision, "o", color=INK, markersize=3)
                axes.annotate(
                    figures.kind,
                    (figures.blocked_share, figures.precision),
                    xytext=(0, -4),
                    textcoords="offset points",
                    fontsize=7,
                    rotation=90,
                    ha="center",
                    va="top",
                )
        lowest = [each.precision for each in evaluation.kinds if each.precision is not None]
        _precision_axes(axes, [*lowest, *(point.precision for point in curve)])
        if curve:
            axes.legend(frameon=False, loc="lower left")

    return _svg(draw, 7.0, 4.0)


def blocked(evaluation: Evaluation) -> str:
    """Share of malicious calls blocked, by kind and, where campaigns have one, by size."""
    kinds = [each.kind for each in evaluation.kinds]
    groups = evaluation.kinds_and_sizes or evaluation.kinds
    sizes = [each.size for each in evaluation.sizes] or [""]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        grid = np.full((len(kinds), len(sizes)), np.nan)
        for each in groups:
            if each.blocked_share is not None:
                grid[kinds.index(each.kind), sizes.index(each.size)] = each.blocked_share
        axes.imshow(grid, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row, column in np.argwhere(~np.isnan(grid)).tolist():
            share = grid[row, column]
            shade = "white" if share > 0.6 else INK
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=shade, fontsize=8)
        axes.set_yticks(range(len(kinds)), kinds)
        axes.set_xticks(range(len(sizes)), [size or "all sizes" for size in sizes])
        axes.tick_params(length=0)

    return _svg(draw, 2.5 + 1.1 * len(sizes), 0.8 + _ROW_INCHES * len(kinds))


def alerts(campaigns: Sequence[CampaignOutcome]) -> str:
    """Alerts that one campaign gave rise to, by kind."""
    kinds = sorted({each.kind for each in campaigns})

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _boxes(axes, kinds, [[c.alerts for c in campaigns if c.kind == kind] for kind in kinds])
        axes.set_xlabel("alerts a campaign")

    return _svg(draw, 7.0, 1.0 + _ROW_INCHES * len(kinds))


def shares(evaluations: dict[str, Sequence[Figures]]) -> str:
    """Each run of the named halves as a point: precision against blocked share."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for (name, runs), mark in zip(evaluations.items(), "o^sD", strict=False):
            known = [run for run in runs if run.precision is not None and run.blocked_share is not None]
            blocked, precise = (
                [run.blocked_share or 0.0 for run in known],
                [run.precision or 0.0 for run in known],
            )
            axes.plot(blocked, precise, mark, markersize=4, alpha=0.6, label=name)
        _precision_axes(axes, [run.precision for some in evaluations.values() for run in some])
        axes.legend(frameon=False, loc="lower left")

    return _svg(draw, 7.0, 4.0)


def _precision_axes(axes: Axes, precisions: Iterable[float | None]) -> None:
    lowest = min((each for each in precisions if each is not None), default=1.0)
    room = max(1 - lowest, 4 * (1 - _TARGET_PRECISION))
    axes.set_ylim(1 - 1.3 * room, 1 + 0.1 * room)
    axes.set_xlim(-0.02, 1.05)
    axes.axhline(_TARGET_PRECISION, color=WRONG, linewidth=0.8, linestyle="--")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_xlabel("malicious calls blocked (share)")
    axes.set_ylabel("blocked calls that are malicious (share)")


def _boxes(axes: Axes, names: Sequence[str], values: Sequence[Sequence[float | None]]) -> None:
    known = [[value for value in some if value is not None] for some in values]
    axes.boxplot(
        known,
        orientation="horizontal",
        whis=(10, 90),
        widths=0.6,
        medianprops={"color": WRONG},
        flierprops={"marker": ".", "markersize": 3},
    )
    axes.set_yticks(range(1, len(names) + 1), names)
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=10)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlim(left=0)


def _svg(draw: Callable[[Figure], None], width: float, height: float) -> str:
    with matplotlib.rc_context(style_in(INK)):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()[out.getvalue().index("<svg") :]
