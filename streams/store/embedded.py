"""ClickHouse inside this process (chdb): the store where no server is configured.

A process has one engine on one directory, and a directory belongs to one process.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from chdb import ChdbError
from chdb.state.sqlitelike import Connection

from config.settings import StoreSettings
from streams.store.native import block
from streams.store.ports import Result, Rows, StoreError, with_params
from streams.store.schema import capabilities_of, types_of

_OUTPUT = "JSONCompactEachRowWithNamesAndTypes"
_SETTINGS = (
    "SET date_time_output_format = 'iso', output_format_json_quote_denormals = 1, "
    "max_partitions_per_insert_block = 0"
)
"""Times in UTC; and one broken clock must not block the whole table: rows may be of any number of days."""


class EmbeddedStore:
    """Two connections to one engine: an insert that is under way takes a connection for itself.

    Who forgets to close it has it closed at exit: a process whose engine is still open then hangs or crashes.
    """

    database = "default"

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self._temporary = None if settings.path else tempfile.mkdtemp(prefix="ringfence-store-")
        directory = Path(settings.path or str(self._temporary)).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        try:
            self._queries = Connection(f"file:{directory}")
            self._inserts = Connection(f"file:{directory}")
        except RuntimeError as error:
            raise StoreError(
                f"the embedded store in {directory} cannot be opened ({_first_line(error)})",
                "one process has it at a time: give each its own store.path",
            ) from error
        self._query_lock = threading.Lock()
        self._insert_lock = threading.Lock()
        for connection in (self._queries, self._inserts):
            connection.query(_SETTINGS)
        self._open = True
        atexit.register(self.close)

    @cached_property
    def capabilities(self) -> frozenset[str]:
        return capabilities_of(self.version())

    def version(self) -> str:
        return str(self.query("SELECT version()").rows[0][0])

    def insert(self, rows: Rows) -> None:
        data = self._block(rows)
        columns = ", ".join(f"`{column}`" for column in rows.columns)
        with self._insert_lock:
            self._need_open()
            try:
                with self._inserts.send_insert(
                    f"INSERT INTO `{self.database}`.`{rows.table}` ({columns})", "Native"
                ) as stream:
                    stream.append(data)
                    stream.finish()
            except (ChdbError, RuntimeError) as error:
                raise _refusal(error) from error

    def _block(self, rows: Rows) -> bytes:
        types = types_of(rows.table, self.capabilities)
        try:
            return b"".join(block(rows.columns, [types[column] for column in rows.columns], rows.data))
        except (TypeError, ValueError) as error:
            raise StoreError(f"rows of {rows.table} cannot be written: {error}") from error

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> Result:
        return _result(self._run(with_params(sql, params)))

    def execute(self, sql: str) -> None:
        self._run(sql)

    def create_database(self) -> None:
        """The engine comes with its database."""

    def close(self) -> None:
        with self._insert_lock, self._query_lock:
            if not self._open:
                return
            self._open = False
            self._inserts.close()
            self._queries.close()
        atexit.unregister(self.close)
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _need_open(self) -> None:
        if not self._open:
            raise StoreError("the embedded store is closed")

    def _run(self, sql: str) -> bytes:
        with self._query_lock:
            self._need_open()
            try:
                return bytes(self._queries.query(sql, _OUTPUT).bytes())
            except (ChdbError, RuntimeError) as error:
                raise _refusal(error) from error


def _result(answer: bytes) -> Result:
    lines = answer.splitlines()
    if len(lines) < 2:
        return Result([], [])
    columns = orjson.loads(lines[0])
    readers = [_reader(type_) for type_ in orjson.loads(lines[1])]
    rows = [
        tuple(
            value if reader is None or value is None else reader(value)
            for reader, value in zip(readers, orjson.loads(line), strict=True)
        )
        for line in lines[2:]
    ]
    return Result(columns, rows)


def _reader(type_: str) -> Callable[[Any], Any] | None:
    """What makes a value of ``type_`` from its JSON; None where the JSON is the value."""
    outer, _, inner = type_.partition("(")
    match outer:
        case "Nullable" | "LowCardinality":
            return _reader(inner[:-1])
        case "Array":
            item = _reader(inner[:-1])
            return None if item is None else lambda values: [item(value) for value in values]
        case "DateTime" | "DateTime64":
            return lambda text: datetime.fromisoformat(text).astimezone(UTC)
        case "Date" | "Date32":
            return date.fromisoformat
        case "Float32" | "Float64":
            return float
        case "Tuple":
            return tuple
    return None


def _refusal(error: Exception) -> StoreError:
    text = f"the embedded store refused a statement: {_first_line(error)}"
    if "UNKNOWN_TABLE" in str(error) or "NO_SUCH_COLUMN" in str(error):
        return StoreError(text, "run `ringfence schema apply`")
    return StoreError(text)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]
