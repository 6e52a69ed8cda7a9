"""A ClickHouse server, over its native protocol."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit, urlunsplit

from clickhouse_driver import Client, defines
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.errors import Error, ErrorCodes, NetworkError, ServerException, SocketTimeoutError
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str

from config.settings import StoreSettings
from streams.faults import Usage
from streams.store.native import block
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
            raise Usage(
                f"store.url is {_without_password(parts)!r}",
                "expected clickhouse://user:password@host:9000/database, or clickhouses:// with TLS",
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
        self._inserts.run(
            lambda client: client.execute(
                f"INSERT INTO `{self.database}`.`{rows.table}` ({columns}) VALUES",
                rows.data,
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


class ColumnClient(Client):  # type: ignore[misc]
    """The driver's client, but what is inserted goes out as encoded columns instead of item by item."""

    def send_data(
        self, sample_block: Any, data: Any, types_check: bool = False, columnar: bool = False
    ) -> int:
        if not columnar:
            return int(super().send_data(sample_block, data, types_check, columnar))
        names, types = zip(*sample_block.columns_with_types, strict=True)
        revision = self.connection.server_info.used_revision
        marked = revision >= defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION
        pieces = block(names, types, data, head=b"\0" if marked else b"")
        write_varint(ClientPacketTypes.DATA, self.connection.fout)
        write_binary_str("", self.connection.fout)
        out = self.connection.block_out
        BlockInfo().write(out.fout)
        for piece in pieces:
            out.fout.write(piece)
        out.finalize()
        self.receive_profile_events()
        self.connection.send_data(ColumnOrientedBlock())
        self.receive_profile_events()
        return len(data[0])


class _Connection:
    def __init__(self, url: str, where: str) -> None:
        self._client = ColumnClient.from_url(url)
        self._where = where
        self._lock = threading.Lock()

    def run(self, statement: Callable[[Client], T]) -> T:
        with self._lock:
            try:
                return statement(self._client)
            except ServerException as error:
                raise _refusal(error) from error
            except (NetworkError, SocketTimeoutError, EOFError, OSError) as error:
                raise StoreUnavailable(
                    f"ClickHouse at {self._where} does not answer ({_first_line(error)})",
                    "check that it runs and that store.url is right",
                ) from error
            except (Error, TypeError, ValueError) as error:
                raise StoreError(f"ClickHouse at {self._where}: {_first_line(error)}") from error

    def close(self) -> None:
        with self._lock:
            self._client.disconnect()


def _with_timeouts(url: str) -> str:
    parts = urlsplit(url)
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return urlunsplit(parts._replace(query=urlencode(TIMEOUTS | given)))


def _refusal(error: ServerException) -> StoreError:
    text = f"ClickHouse refused a statement (code {error.code}): {_first_line(error)}"
    match error.code:
        case ErrorCodes.UNKNOWN_TABLE | ErrorCodes.UNKNOWN_DATABASE | ErrorCodes.NO_SUCH_COLUMN_IN_TABLE:
            return StoreError(text, "run `ringfence schema apply`")
        case 516 | ErrorCodes.WRONG_PASSWORD | ErrorCodes.UNKNOWN_USER:  # 516: AUTHENTICATION_FAILED
            return StoreError(text, "check the user and the password in store.url")
    return StoreError(text)


def _without_password(parts: SplitResult) -> str:
    netloc = parts.netloc.replace(f":{parts.password}@", ":***@") if parts.password else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc))


def _first_line(error: BaseException) -> str:
    text = re.sub(r"^(Code: \d+\.?\s*)?(DB::Exception: )?", "", str(error)).split("Stack trace:")[0].strip()
    return (text.splitlines() or [type(error).__name__])[0][:500]
