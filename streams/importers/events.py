"""Files as the records that the input steps are given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streams.importers import ndjson
from streams.importers.files import FORMATS, ImportProblem, Progress, guess_format, open_binary
from streams.wire.records import SourceRecord


def open_events(
    path: Path | str,
    format: str | None = None,  # noqa: A002
    map: Path | str | None = None,  # noqa: A002
    progress: Progress | None = None,
) -> Iterator[SourceRecord]:
    """The call events of ``path`` in records of about a MiB, whatever the size of the file.

    ``topic`` is the file's name, ``partition`` 0, ``timestamp`` None, and ``offset`` the number from 0 of
    the record's first line (ndjson) or event (other formats): event i of the record is offset + i.
    Raises ImportProblem.
    """
    path = Path(path)
    chosen = format or guess_format(path)
    if chosen not in FORMATS:
        raise ImportProblem(f"format {chosen!r}: expected one of {', '.join(FORMATS)}")
    for offset, value in _pieces(path, chosen, progress):
        yield SourceRecord(value=value, topic=path.name, partition=0, offset=offset, timestamp=None)


def _pieces(path: Path, chosen: str, progress: Progress | None) -> Iterator[ndjson.Piece]:
    with open_binary(path, progress) as stream:
        yield from ndjson.lines(stream) if chosen == "ndjson" else ndjson.values(stream)
