"""`ringfence replay`: recorded calls through the whole pipeline, without a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from streams.cli.context import load, override, write_json, write_summary
from streams.cli.progress import progress_bar
from streams.faults import Usage
from streams.wire.records import SourceRecord


def replay_command(
    files: Annotated[
        list[Path], typer.Argument(help=".ndjson .csv .pcap, plain, .gz or .zst", metavar="FILE…")
    ],
    out: Annotated[Path, typer.Option(help="directory for what comes out", metavar="DIR")],
    mode: Annotated[str | None, typer.Option(help="report shadow enforce: as respond.mode")] = None,
    format: Annotated[str | None, typer.Option(help="instead of the file's ending")] = None,  # noqa: A002
    map: Annotated[Path | None, typer.Option(help="column map of a .csv")] = None,  # noqa: A002
    lists: Annotated[
        Path | None, typer.Option(help="entries of lists, one a line, known before the first call")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="the summary as JSON")] = False,
) -> None:
    """Run recorded calls through the same code as the service, with event time as the clock.

    Writes alerts.ndjson, campaigns.ndjson, block-rules.ndjson, rejected.ndjson and summary.json into DIR.
    """
    if mode is not None:
        override("respond.mode", mode)
    settings = load()
    from detectors.plan import NumberingPlan
    from streams.importers.lists import read_lists
    from streams.replay import replay

    plan = NumberingPlan.load(settings.numbering)
    entries = read_lists(lists) if lists is not None else ()
    with progress_bar() as progress:
        summary = replay(recorded(files, format, map, progress), out, settings, plan, entries)
    if json:
        write_json(summary)
    else:
        _show(summary, out)


def recorded(
    files: list[Path],
    format: str | None,  # noqa: A002
    map: Path | None,  # noqa: A002
    progress: Progress,
) -> Iterator[SourceRecord]:
    """The call events of ``files``, one file after another. Raises Usage at once where one is not there."""
    for file in files:
        if not file.is_file():
            raise Usage(f"{file} is not a file", "name a file of recorded calls")
    return _records(files, format, map, progress)


def _records(
    files: list[Path],
    format: str | None,  # noqa: A002
    map: Path | None,  # noqa: A002
    progress: Progress,
) -> Iterator[SourceRecord]:
    from streams.importers.events import open_events

    for file in files:
        shown = partial(progress.update, progress.add_task(file.name, total=1.0))

        def read(share: float, shown: Callable[..., None] = shown) -> None:
            shown(completed=share)

        yield from open_events(file, format, map, read)


def _show(summary: dict[str, Any], out: Path) -> None:
    write_summary(summary)
    typer.echo(f"written to {out}")
