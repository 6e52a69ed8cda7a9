"""`ringfence tune`: thresholds from recorded traffic, and what they would have done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.context import load, override, tell, write_json
from streams.cli.evaluate import console, judged
from streams.faults import Usage

if TYPE_CHECKING:
    from rich.table import Table

    from config.settings import Settings
    from streams.evaluate.figures import Evaluation
    from streams.evaluate.tune import Choice, Level, Tuning


def tune_command(
    files: Annotated[
        list[Path], typer.Argument(help=".ndjson .csv .pcap, plain, .gz or .zst", metavar="FILE…")
    ],
    labels: Annotated[Path, typer.Option(help="call_id,campaign,kind of the calls", metavar="CSV")],
    max_false_blocks: Annotated[
        int, typer.Option(help="legitimate calls of these files that rules may block", min=0)
    ] = 0,
    detectors: Annotated[str, typer.Option(help="only these, comma-separated")] = "",
    lists: Annotated[
        Path | None, typer.Option(help="entries of lists, one a line, known before the first call")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="settings file to write the proposal to", metavar="FILE")
    ] = None,
    format: Annotated[str | None, typer.Option(help="instead of the file's ending")] = None,  # noqa: A002
    map: Annotated[Path | None, typer.Option(help="column map of a .csv")] = None,  # noqa: A002
    json: Annotated[bool, typer.Option("--json", help="the proposal as JSON")] = False,
) -> None:
    """Propose odds for the detectors from labelled calls, before anything is enforced.

    The calls are replayed at several odds, which takes about ten times as long as one replay.
    """
    override("respond.mode", "enforce")
    settings = load()
    from streams.evaluate.figures import evaluation
    from streams.evaluate.labels import read_labels
    from streams.evaluate.tune import tunable, tune

    names = _named(detectors, tunable(settings))
    known = read_labels(labels)

    def run(tried: Settings) -> Evaluation:
        return evaluation([judged(files, known, lists, None, format, map, tried)])

    tuning = tune(settings, names, max_false_blocks, run, tell)
    if out is not None:
        out.write_text(settings_of(tuning), encoding="utf-8")
        tell(f"written to {out}")
    if json:
        write_json(_plain(tuning))
    else:
        console().print(_table(tuning), _summary(tuning))
    if not tuning.holds:
        raise typer.Exit(1)


def _named(detectors: str, can: list[str]) -> list[str]:
    names = [name.strip() for name in detectors.split(",") if name.strip()] or can
    for name in names:
        if name not in can:
            raise Usage(f"--detectors {name}: it has no odds or is off", f"name some of {', '.join(can)}")
    return names


def settings_of(tuning: Tuning) -> str:
    """The proposal as a settings file that holds only what changes."""
    changed = [choice for choice in tuning.choices if choice.changed]
    if not changed:
        return "# Nothing to change.\n"
    lines = ["detectors:"]
    for choice in changed:
        lines += [f"  {choice.detector}:", f"    {_setting(choice.proposed)}"]
    return "\n".join(lines) + "\n"


def _setting(level: Level) -> str:
    return "mode: report" if level is None else f"odds: {level}"


def _said(level: Level) -> str:
    return "reports only" if level is None else f"{level:,.0f}"


def _table(tuning: Tuning) -> Table:
    from rich.table import Table

    levels = sorted({level for choice in tuning.choices for level in choice.by_level})
    table = Table("detector", "odds now", "proposed", box=None, padding=(0, 2, 0, 0))
    for level in levels:
        table.add_column(f"at {level:,.0f}", justify="right")
    for choice in tuning.choices:
        table.add_row(choice.detector, _said(choice.now), _said(choice.proposed), *_outcomes(choice, levels))
    table.caption = "at each odds: malicious calls blocked / legitimate calls blocked"
    return table


def _outcomes(choice: Choice, levels: list[float]) -> list[str]:
    return [f"{choice.by_level[level].blocked:,} / {choice.by_level[level].wrongly:,}" for level in levels]


def _summary(tuning: Tuning) -> str:
    lines = ["", "                 blocked of malicious    legitimate blocked    campaigns found"]
    for name, found in (("as it is", tuning.before), ("as proposed", tuning.after)):
        overall = found.overall
        share = f"{overall.blocked:,} of {overall.calls:,}"
        lines.append(
            f"{name:<14} {share:>22} {overall.wrongly_blocked:>21,} "
            f"{f'{overall.found} of {overall.campaigns}':>18}"
        )
    if not tuning.holds:
        lines.append(
            f"More than the {tuning.allowed} legitimate calls allowed are blocked by detectors without odds: "
            "look at them with `ringfence evaluate`."
        )
    return "\n".join(lines)


def _plain(tuning: Tuning) -> dict[str, object]:
    import msgspec

    return {
        "allowed": tuning.allowed,
        "holds": tuning.holds,
        "detectors": [
            {
                "detector": choice.detector,
                "now": choice.now,
                "proposed": choice.proposed,
                "by_odds": [
                    {"odds": level, "blocked": outcome.blocked, "wrongly_blocked": outcome.wrongly}
                    for level, outcome in sorted(choice.by_level.items())
                ],
            }
            for choice in tuning.choices
        ],
        "before": msgspec.to_builtins(tuning.before.overall),
        "after": msgspec.to_builtins(tuning.after.overall),
    }
