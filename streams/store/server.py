"""A ClickHouse server, over its native protocol."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import numpy as np
import pyarrow as pa
from clickhouse_driver import Client
from clickhouse_driver.errors import Error, ErrorCodes, NetworkError, ServerException, SocketTimeoutError

from config.settings import StoreSettings
from streams.store.ports import Result, Rows, StoreError, StoreUnavailable, with_params
from streams.store.schema import capabilities_of

TIMEOUTS = {"connect_timeout": "3", "send_receive_timeout": "30", "sync_request_timeout": "5"}
"""Seconds; what the URL says itself goes first."""

T = TypeVar("T")


class ServerStore:
    """Two connections, one that inserts and one that asks, so that neither waits for the other."""

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        parts = urlsplit(settings.url)
        if parts.scheme not in ("clickhouse", "clickhouses") or not parts.hostname:
            raise ValueError(
                f"store.url is {settings.url!r}; expected clickhouse://user:password@host:9000/database "
                "(clickhouses:// with TLS)"
            )
        self.database = parts.path.strip("/") or "default"
        self._where = f"{parts.hostname}:{parts.port or 9000}"
        self._url = _with_timeouts(settings.url)
        self._inserts = _Connection(self._url, self._where)
        self._queries = _Connection(self._url, self._where)

    @cached_property
    def capabilities(self) -> frozenset[str]:
        return capabilities_of(self.version())

    def version(self) -> str:
        return str(self.query("SELECT version()").rows[0][0])

    def insert(self, rows: Rows) -> None:
        columns = ", ".join(f"`{column}`" for column in rows.columns)
        data = [python_list(column) for column in rows.data]
        self._inserts.run(
            lambda client: client.execute(
                f"INSERT INTO `{self.database}`.`{rows.table}` ({columns}) VALUES",
                data,
                columnar=True,
                settings=self._insert_settings,
            )
        )

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> Result:
        statement = with_params(sql, params)
        answer = self._queries.run(lambda client: client.execute(statement, with_column_types=True))
        if not isinstance(answer, tuple):
            return Result([], [])
        rows, columns = answer
        return Result([name for name, _ in columns], rows)

    def execute(self, sql: str) -> None:
        self._queries.run(lambda client: client.execute(sql))

    def create_database(self) -> None:
        if self.database == "default":
            return
        parts = urlsplit(self._url)
        outside = _Connection(urlunsplit(parts._replace(path="/default")), self._where)
        try:
            outside.run(lambda client: client.execute(f"CREATE DATABASE IF NOT EXISTS `{self.database}`"))
        finally:
            outside.close()

    def close(self) -> None:
        self._inserts.close()
        self._queries.close()

    @cached_property
    def _insert_settings(self) -> dict[str, int]:
        """One broken clock must not block the whole table: rows may be of any number of days."""
        return {"max_partitions_per_insert_block": 0} if "partition_limit" in self.capabilities else {}


class _Connection:
    def __init__(self, url: str, where: str) -> None:
        self._client = Client.from_url(url)
        self._where = where
        self._lock = threading.Lock()

    def run(self, statement: Callable[[Client], T]) -> T:
        with self._lock:
            try:
                return statement(self._client)
            except ServerException as error:
                raise StoreError(_refusal(error)) from error
            except (NetworkError, SocketTimeoutError, EOFError, OSError) as error:
                raise StoreUnavailable(
                    f"ClickHouse at {self._where} does not answer ({_first_line(error)}); "
                    "check that it runs and that store.url is right"
                ) from error
            except Error as error:
                raise StoreError(f"ClickHouse at {self._where}: {_first_line(error)}") from error

    def close(self) -> None:
        with self._lock:
            self._client.disconnect()


def python_list(column: Any) -> list[Any]:
    """A fresh list of the values of ``column``: the driver changes what it is given."""
    if isinstance(column, list):
        return list(column)
    if isinstance(column, pa.ChunkedArray):
        return [value for chunk in column.chunks for value in python_list(chunk)]
    if pa.types.is_dictionary(column.type):
        values = np.array(column.dictionary.to_pylist() or [""], dtype=object)
        return list(values[column.indices.to_numpy()])
    if pa.types.is_integer(column.type) and column.null_count == 0:
        return list(column.to_numpy().tolist())
    return list(column.to_pylist())


def _with_timeouts(url: str) -> str:
    parts = urlsplit(url)
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return urlunsplit(parts._replace(query=urlencode(TIMEOUTS | given)))


def _refusal(error: ServerException) -> str:
    text = f"ClickHouse refused a statement (code {error.code}): {_first_line(error)}"
    match error.code:
        case ErrorCodes.UNKNOWN_TABLE | ErrorCodes.UNKNOWN_DATABASE | ErrorCodes.NO_SUCH_COLUMN_IN_TABLE:
            return f"{text}; run `ringfence schema apply`"
        case ErrorCodes.AUTHENTICATION_FAILED | ErrorCodes.WRONG_PASSWORD | ErrorCodes.UNKNOWN_USER:
            return f"{text}; check the user and the password in store.url"
    return text


def _first_line(error: BaseException) -> str:
    text = re.sub(r"^(Code: \d+\.?\s*)?(DB::Exception: )?", "", str(error)).split("Stack trace:")[0].strip()
    return (text.splitlines() or [type(error).__name__])[0][:500]
