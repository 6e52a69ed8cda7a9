"""ClickHouse inside this process (chdb): the store where no server is configured.

A process has one engine on one directory, and a directory belongs to one process.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from config.settings import StoreSettings
from streams.store.ports import Result, Rows, StoreError, with_params
from streams.store.schema import capabilities_of, types_of

_OUTPUT = "JSONCompactEachRowWithNamesAndTypes"
_ANSWER = "date_time_output_format = 'iso', output_format_json_quote_denormals = 1"


class EmbeddedStore:
    """Two connections to one engine: an insert that is under way takes a connection for itself."""

    database = "default"

    def __init__(self, settings: StoreSettings) -> None:
        from chdb.state.sqlitelike import Connection

        self.settings = settings
        self._temporary = None if settings.path else tempfile.mkdtemp(prefix="ringfence-store-")
        directory = Path(settings.path or str(self._temporary)).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        try:
            self._queries = Connection(f"file:{directory}")
            self._inserts = Connection(f"file:{directory}")
        except RuntimeError as error:
            raise StoreError(
                f"the embedded store in {directory} cannot be opened ({_first_line(error)}); "
                "is another process using it? One process has it at a time: give each its own store.path"
            ) from error
        self._query_lock = threading.Lock()
        self._insert_lock = threading.Lock()
        for connection in (self._queries, self._inserts):
            connection.query(f"SET {_ANSWER.replace(', ', ', ')}, max_partitions_per_insert_block = 0")

    @cached_property
    def capabilities(self) -> frozenset[str]:
        return capabilities_of(self.version())

    def version(self) -> str:
        return str(self.query("SELECT version()").rows[0][0])

    def insert(self, rows: Rows) -> None:
        table = arrow_table(rows)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        columns = ", ".join(f"`{column}`" for column in rows.columns)
        with self._insert_lock:
            try:
                with self._inserts.send_insert(
                    f"INSERT INTO `{self.database}`.`{rows.table}` ({columns})", "ArrowStream"
                ) as stream:
                    stream.append(sink.getvalue().to_pybytes())
                    stream.finish()
            except RuntimeError as error:
                raise StoreError(_refusal(error)) from error

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> Result:
        return _result(self._run(with_params(sql, params)))

    def execute(self, sql: str) -> None:
        self._run(sql)

    def create_database(self) -> None:
        """The engine comes with its database."""

    def close(self) -> None:
        with self._insert_lock, self._query_lock:
            self._inserts.close()
            self._queries.close()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _run(self, sql: str) -> bytes:
        from chdb import ChdbError

        with self._query_lock:
            try:
                return bytes(self._queries.query(sql, _OUTPUT).bytes())
            except (ChdbError, RuntimeError) as error:
                raise StoreError(_refusal(error)) from error


def arrow_table(rows: Rows) -> pa.Table:
    """``rows`` with the Arrow types that their columns take. Raises pa.ArrowInvalid for a wrong value."""
    types = types_of(rows.table)
    arrays = [
        pa.array(column, type=_arrow_type(types[name])) if isinstance(column, list) else column
        for name, column in zip(rows.columns, rows.data, strict=True)
    ]
    return pa.Table.from_arrays(arrays, names=rows.columns)


_ARROW: dict[str, pa.DataType] = {
    "String": pa.utf8(),
    "Int8": pa.int8(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Float64": pa.float64(),
}


def _arrow_type(type_: str) -> pa.DataType:
    outer, _, inner = type_.partition("(")
    match outer:
        case "Array":
            return pa.list_(_arrow_type(inner[:-1]))
        case "Nullable":
            return _arrow_type(inner[:-1])
        case "Enum8":
            return pa.utf8()
        case "DateTime":
            return pa.uint32()
    return _ARROW[outer]


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


def _refusal(error: Exception) -> str:
    text = f"the embedded store refused a statement: {_first_line(error)}"
    if "UNKNOWN_TABLE" in str(error) or "NO_SUCH_COLUMN" in str(error):
        return f"{text}; run `ringfence schema apply`"
    return text


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]
