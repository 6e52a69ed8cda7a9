"""Files as the records that the input steps are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from streams.importers import capture, ndjson, table
from streams.importers.columns import read_map
from streams.importers.files import FORMATS, ImportProblem, Progress, guess_format, open_binary
from streams.importers.order import by_time
from streams.importers.table import Refused, Timed
from streams.wire.records import SourceRecord


def open_events(
    path: Path | str,
    format: str | None = None,  # noqa: A002
    map: Path | str | None = None,  # noqa: A002
    progress: Progress | None = None,
    refused: Refused | None = None,
) -> Iterator[SourceRecord]:
    """The call events of ``path`` as lines of JSON, in records of about a MiB whatever the size of the file.

    ``format`` is one of FORMATS, by default told from the name; ``map`` the column map of a table, by
    default the known one for its columns. Tables come sorted by time.

    ``topic`` is the file's name, ``partition`` 0, ``timestamp`` None, and ``offset`` the number from 0 of
    the record's first line (ndjson) or event (other formats), so that event i of it is offset + i. The id
    of an event from a table begins with its line there.

    A row of a table that makes no event is told to ``refused``; without that it is passed on as it is,
    so that `ingest` refuses it with its field and value. Raises ImportProblem.
    """
    path = Path(path)
    chosen = format or guess_format(path)
    if chosen not in FORMATS:
        raise ImportProblem(f"format {chosen!r}: expected one of {', '.join(FORMATS)}")
    if map is not None and chosen != "csv":
        raise ImportProblem(f"{path}: a column map is for tables; this is read as {chosen}")
    for offset, value in _pieces(path, chosen, map, progress, refused):
        yield SourceRecord(value=value, topic=path.name, partition=0, offset=offset, timestamp=None)


def _pieces(
    path: Path, chosen: str, columns: Path | str | None, progress: Progress | None, refused: Refused | None
) -> Iterator[ndjson.Piece]:
    known = read_map(Path(columns)) if columns is not None else None
    with open_binary(path, progress) as stream:
        if chosen == "csv":
            yield from _lines(by_time(table.events(stream, path, known, refused)))
        elif chosen == "pcap":
            yield from _lines(capture.events(stream, path))
        else:
            yield from ndjson.lines(stream) if chosen == "ndjson" else ndjson.values(stream)


def _lines(events: Iterable[Timed]) -> Iterator[ndjson.Piece]:
    first, waiting, size = 0, list[bytes](), 0
    for event in events:
        waiting.append(event.line)
        size += len(event.line) + 1
        if size >= ndjson.CHUNK_BYTES:
            yield first, b"\n".join(waiting) + b"\n"
            first, waiting, size = first + len(waiting), [], 0
    if waiting:
        yield first, b"\n".join(waiting) + b"\n"
