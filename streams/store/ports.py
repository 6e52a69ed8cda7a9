"""What a store is to the rest: rows in, rows out, and what its server can do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

import pyarrow as pa

from config.settings import StoreSettings
from streams.faults import Fault


class StoreError(Fault):
    """A statement that failed: the server could not be reached, or refused it."""


class StoreUnavailable(StoreError):
    """The server cannot be reached now; the same statement may work later."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table by column.

    ``data[i]`` holds the values of ``columns[i]``: a list, or an Arrow array where the rows came as one.
    Times are ms since the epoch in columns that end in ``_ms``; ``minute`` is in seconds.
    """

    table: str
    columns: list[str]
    data: list[Any]

    def __len__(self) -> int:
        return len(self.data[0]) if self.data else 0

    @property
    def nbytes(self) -> int:
        """What the rows take in memory, about."""
        return sum(_nbytes(column) for column in self.data)

    def part(self, start: int, stop: int) -> Rows:
        return Rows(self.table, self.columns, [column[start:stop] for column in self.data])


def joined(several: Sequence[Rows]) -> Rows:
    """Rows of one table, one after the other. All have the same columns."""
    first = several[0]
    if len(several) == 1:
        return first
    return Rows(
        first.table, first.columns, [_joined(parts) for parts in zip(*(r.data for r in several), strict=True)]
    )


@dataclass(frozen=True, slots=True)
class Result:
    """``rows`` hold str, int, float, list, None and, for times, datetime in UTC."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Store(Protocol):
    """A ClickHouse. Safe to use from several threads."""

    settings: StoreSettings

    @property
    def database(self) -> str: ...

    @property
    def capabilities(self) -> frozenset[str]:
        """Names under ``features`` in config/clickhouse/schema.yaml that the server has."""
        ...

    def insert(self, rows: Rows) -> None:
        """All of ``rows`` in one INSERT, acknowledged. Raises StoreError; the outcome is then unknown."""
        ...

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> Result:
        """Runs one statement. ``%(name)s`` in it becomes the literal of ``params["name"]``.

        Raises StoreError.
        """
        ...

    def execute(self, sql: str) -> None:
        """Runs one statement that answers nothing (DDL). Raises StoreError."""
        ...

    def create_database(self) -> None: ...

    def version(self) -> str: ...

    def close(self) -> None: ...


_PARAMETER = re.compile(r"%\((\w+)\)s")


def with_params(sql: str, params: Mapping[str, Any] | None) -> str:
    """``sql`` with every ``%(name)s`` replaced by a literal; other percent signs stay as they are.

    Raises KeyError for a name that ``params`` lacks and TypeError for a value that has no literal.
    """
    return _PARAMETER.sub(lambda found: literal((params or {})[found[1]]), sql)


def literal(value: Any) -> str:
    """``value`` as SQL: str, bool, int, float, date, datetime with a zone, None, or a list of these."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(int(value))
        case int() | float():
            return repr(value)
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'"
        case datetime():
            return f"toDateTime({int(value.astimezone(UTC).timestamp())}, 'UTC')"
        case date():
            return f"toDate('{value.isoformat()}')"
        case list() | tuple():
            return "(" + ", ".join(literal(item) for item in value) + ")"
    raise TypeError(f"no SQL literal for a {type(value).__name__}: {value!r}")


_OBJECT_BYTES = 60
"""A short str and its place in a list."""


def _nbytes(column: Any) -> int:
    if isinstance(column, list):
        return sum(_OBJECT_BYTES + _length(value) for value in column)
    return int(column.nbytes)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return _nbytes(value) if isinstance(value, list) else 0


def _joined(parts: tuple[Any, ...]) -> Any:
    if all(isinstance(part, list) for part in parts):
        return [value for part in parts for value in part]
    return pa.chunked_array([pa.array(part) if isinstance(part, list) else part for part in parts])
