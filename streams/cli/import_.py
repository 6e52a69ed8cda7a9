"""`ringfence import`: recorded calls to call events on standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from streams.cli import exits
from streams.cli.context import tell
from streams.cli.progress import progress_bar
from streams.importers import open_events

SHOWN = 20
"""Rows that are refused are told one by one up to here, and counted after."""


def import_command(
    file: Annotated[
        Path, typer.Argument(help=".csv .pcap .ndjson .json, plain, .gz or .zst", metavar="FILE")
    ],
    format: Annotated[str | None, typer.Option(help="csv, pcap, ndjson or json")] = None,  # noqa: A002
    map: Annotated[Path | None, typer.Option(help="column map of a .csv (docs/importing.md)")] = None,  # noqa: A002
) -> None:
    """Turn recorded calls into call events, one a line, in order of time, on standard output.

    Rows that cannot be turned are told on standard error; the others go on, and the exit code is 1.
    """
    refused = _Refused()
    events = 0
    with progress_bar() as progress:
        task = progress.add_task(file.name, total=1.0)
        read = open_events(
            file, format, map, progress=lambda share: progress.update(task, completed=share), refused=refused
        )
        for record in read:
            sys.stdout.buffer.write(record.value)
            events += record.value.count(b"\n")
            if not record.value.endswith(b"\n"):
                sys.stdout.buffer.write(b"\n")
                events += 1
    sys.stdout.buffer.flush()
    tell(f"{events} call events" + (f", {refused.count} rows refused" if refused.count else ""))
    if refused.count:
        raise typer.Exit(exits.NO)


class _Refused:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, problem: str) -> None:
        self.count += 1
        if self.count <= SHOWN:
            tell(problem)
        elif self.count == SHOWN + 1:
            tell("… more rows are refused; they are only counted from here on")
