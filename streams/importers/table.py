"""Tables of calls (CSV) as call events, by a map of their columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import xxhash

from streams.importers.columns import ColumnMap, Reader, RowProblem, field_readers, known_maps, recognised
from streams.importers.files import ImportProblem
from streams.wire.calls import CallEvent, encode

Refused = Callable[[str], None]
"""Told of each row that makes no call event: line, column, value and what was expected."""


class Timed(NamedTuple):
    time: int
    line: bytes
    """The event as one line of JSON, without its end."""


def events(
    stream: BinaryIO, path: Path, columns: ColumnMap | None, refused: Refused | None
) -> Iterator[Timed]:
    """The call events of a table, in its own order.

    A row that makes none goes to ``refused``; without that it is passed on as it is, for `ingest` to refuse
    with its field and value. Raises ImportProblem where the table as a whole does not fit the map.
    """
    text = io.TextIOWrapper(
        stream, columns.encoding if columns else "utf-8-sig", errors="replace", newline=""
    )
    rows = _rows(csv.reader(text, delimiter=columns.delimiter if columns else ","), path, refused)
    header = columns.columns if columns else []
    if not header:
        _, header = next(rows, (1, []))
        if not header:
            raise ImportProblem(f"{path}: empty; expected a header line with the names of the columns")
    columns = columns or _recognised(path, header)
    readers = field_readers(columns, header, str(path))
    time = 0
    for number, row in rows:
        event, problem = _event(number, row, len(header), readers)
        if problem is None:
            try:
                made = msgspec.convert(event, CallEvent)
                time = made.time
                yield Timed(time, encode(made))
                continue
            except msgspec.ValidationError as error:
                problem = str(error).replace(" - at `$.", " in the field `")
        if refused is not None:
            refused(f"{path}, line {number}: {problem}")
        else:
            yield Timed(time, msgspec.json.encode(event))


def _recognised(path: Path, header: list[str]) -> ColumnMap:
    known = recognised(header)
    if known is None:
        shipped = "; ".join(", ".join(m.recognise) for m in known_maps())
        raise ImportProblem(
            f"{path}: no map is known for the columns {', '.join(map(repr, header))} (known: {shipped})",
            "write a map of the columns (docs/importing.md) and give it with --map",
        )
    return known


def _rows(
    reader: Iterator[list[str]], path: Path, refused: Refused | None
) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the number of the line each ends on, from 1."""
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number: int = reader.line_num  # type: ignore[attr-defined]
            if refused is None:
                raise ImportProblem(f"{path}, line {number}: {error}") from error
            refused(f"{path}, line {number}: {error}")
            continue
        if row:
            yield reader.line_num, row  # type: ignore[attr-defined]


def _event(
    number: int, row: list[str], width: int, readers: dict[str, Reader]
) -> tuple[dict[str, Any], str | None]:
    """The event of a row, and what is wrong with it; what could not be converted is in it as it stands."""
    event: dict[str, Any] = {"id": f"{number}-{xxhash.xxh3_64_hexdigest(repr(row).encode())}"}
    if len(row) != width:
        return event | {"row": row}, f"{len(row)} cells; expected {width}, as in the header"
    problem = None
    for field, read in readers.items():
        try:
            value = read(row)
        except RowProblem as wrong:
            value, problem = wrong.value, problem or str(wrong)
        if value is not None:
            event[field] = value
    return event, problem
