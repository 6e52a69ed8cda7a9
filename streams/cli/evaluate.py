"""`ringfence evaluate`: recorded calls replayed, and what came of it held against labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streams.cli.context import load, override, tell, write_json
from streams.cli.progress import progress_bar
from streams.cli.replay import recorded
from streams.faults import Usage

if TYPE_CHECKING:
    from rich.console import Console

    from config.settings import Settings
    from streams.evaluate.figures import Evaluation
    from streams.evaluate.labels import Labels
    from streams.evaluate.outcome import Judgement

EVALUATION = "evaluation.json"
REPORT = "report.html"


def evaluate_command(
    files: Annotated[
        list[Path] | None, typer.Argument(help=".ndjson .csv .pcap, plain, .gz or .zst", metavar="FILE…")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="call_id,campaign,kind of the calls", metavar="CSV")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="entries of lists, one a line, known before the first call")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="directory for figures, report, alerts and rules", metavar="DIR")
    ] = None,
    mode: Annotated[str, typer.Option(help="as respond.mode; only enforced rules block")] = "enforce",
    format: Annotated[str | None, typer.Option(help="instead of the file's ending")] = None,  # noqa: A002
    map: Annotated[Path | None, typer.Option(help="column map of a .csv")] = None,  # noqa: A002
    suite: Annotated[bool, typer.Option("--suite", help="simulated scenarios instead of files")] = False,
    week: Annotated[bool, typer.Option("--week", help="simulated weeks without attacks instead")] = False,
    seeds: Annotated[str | None, typer.Option(help="of suite (1-50) or week (1-3)")] = None,
    tune_seeds: Annotated[str, typer.Option(help="odd, even, or seeds: the half to tune on")] = "odd",
    jobs: Annotated[int, typer.Option(help="seeds at a time", min=1)] = 2,
    json: Annotated[bool, typer.Option("--json", help="the figures as JSON")] = False,
) -> None:
    """Replay recorded calls and judge what was found and blocked against labels.

    DIR gets evaluation.json, report.html, and what replay writes; of a suite its seeds (build/suite if no
    DIR is given). docs/evaluate.md defines every figure.
    """
    override("respond.mode", mode)
    if suite or week:
        if files or labels or lists:
            raise Usage("--suite and --week bring their own calls", "leave out files, --labels and --lists")
        from streams.cli.suite import OUT, evaluate_suite, show_suite

        part: Literal["suite", "week"] = "week" if week else "suite"
        show_suite(part, evaluate_suite(part, seeds, tune_seeds, jobs, out or OUT, load()), json, console())
        return
    if not files or labels is None:
        raise Usage(
            "there is nothing to judge", "name files of recorded calls and --labels CSV, or give --suite"
        )
    settings = load()
    from streams.evaluate.figures import evaluation
    from streams.evaluate.labels import read_labels

    known = read_labels(labels)
    judgement = judged(files, known, lists, out, format, map, settings)
    if len(known) and not judgement.malicious:
        raise Usage(
            f"none of the {len(known)} calls that {labels} gives to campaigns is in the recorded calls",
            "give the labels of these calls; call_id must be the same in both",
        )
    found = evaluation([judgement])
    if out is not None:
        _write(judgement, found, out)
    if json:
        write_json(_plain(found, judgement))
    else:
        from streams.evaluate.tables import show

        show(found, console())
        if out is not None:
            tell(f"written to {out}")


def judged(
    files: list[Path],
    labels: Labels,
    lists: Path | None,
    out: Path | None,
    format: str | None,  # noqa: A002
    map: Path | None,  # noqa: A002
    settings: Settings,
) -> Judgement:
    """Replays recorded calls, into ``out`` where it is given, and holds them against ``labels``."""
    from detectors.plan import NumberingPlan
    from streams.evaluate.run import Watch
    from streams.importers.lists import read_lists
    from streams.replay import replay

    watch = Watch()
    with progress_bar() as progress:
        replay(
            recorded(files, format, map, progress),
            out,
            settings,
            NumberingPlan.load(settings.numbering),
            read_lists(lists) if lists is not None else (),
            watch,
        )
    return watch.judgement(labels, settings.numbering.home_country)


def _write(judgement: Judgement, found: Evaluation, out: Path) -> None:
    import orjson

    from streams.evaluate.report import report

    figures = orjson.dumps(_plain(found, judgement), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    (out / EVALUATION).write_bytes(figures)
    (out / REPORT).write_text(
        report({"": found}, judgement.campaigns, wrong=judgement.wrong), encoding="utf-8"
    )


def _plain(found: Evaluation, judgement: Judgement) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(found)
    return plain | {"judgement": msgspec.to_builtins(judgement)}


def console() -> Console:
    """Standard output as wide as the terminal is, or as it needs to be where it is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)
