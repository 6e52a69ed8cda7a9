"""What goes out to a server, read back by the driver's own reader: for the oldest server and the newest."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_driver import defines
from clickhouse_driver.bufferedreader import BufferedSocketReader
from clickhouse_driver.bufferedwriter import BufferedSocketWriter
from clickhouse_driver.connection import ServerInfo
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.reader import read_binary_str
from clickhouse_driver.streams.native import BlockInputStream, BlockOutputStream
from clickhouse_driver.varint import read_varint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.store.ports import Rows
from streams.store.schema import model, types_of
from streams.store.server import ColumnClient
from tests.stores import sample

OLD, NEW = 54_412, defines.CLIENT_REVISION
NOTHING, EVERYTHING = frozenset[str](), frozenset(model().features)


class Block:
    """A block with the columns that a server announces."""

    def __init__(self, columns_with_types: list[tuple[str, str]]) -> None:
        self.columns_with_types = columns_with_types


def through_the_wire(
    names: list[str], types: list[str], columns: list[Any], revision: int
) -> list[list[Any]]:
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(60)
        there.settimeout(60)
        client = ColumnClient("nowhere")
        connection = client.connection
        client.receive_profile_events = lambda: None
        connection.server_info = connection.context.server_info = ServerInfo(
            "x", 1, 1, 1, revision, "UTC", "x", revision
        )
        connection.fout = BufferedSocketWriter(here, 1 << 16)
        connection.block_out = BlockOutputStream(connection.fout, connection.context)
        announced = Block(list(zip(names, types, strict=True)))
        sender = threading.Thread(
            target=client.send_data, args=(announced, columns), kwargs={"columnar": True}
        )
        sender.start()
        reader = BufferedSocketReader(there, 1 << 16)
        block = packet(reader, connection.context)
        end = packet(reader, connection.context)
        sender.join()
        assert end.num_columns == end.num_rows == 0
        assert block.columns_with_types == list(zip(names, types, strict=True))
        return [list(column) for column in block.get_columns()]


def packet(reader: Any, context: Any) -> Any:
    assert read_varint(reader) == ClientPacketTypes.DATA
    assert read_binary_str(reader) == ""
    return BlockInputStream(reader, context).read()


def plain(column: Any) -> list[Any]:
    values = column.to_pylist() if isinstance(column, pa.Array) else list(column)
    return [tuple(value) if isinstance(value, list) else value for value in values]


@pytest.mark.parametrize(("revision", "features"), [(OLD, NOTHING), (NEW, EVERYTHING)], ids=["old", "new"])
@pytest.mark.parametrize("rows", sample(), ids=lambda rows: rows.table)
def test_every_table(rows: Rows, revision: int, features: frozenset[str]) -> None:
    types = [types_of(rows.table, features)[name] for name in rows.columns]
    arrived = through_the_wire(rows.columns, types, rows.data, revision)
    for name, type_, sent, got in zip(rows.columns, types, rows.data, arrived, strict=True):
        if type_.startswith("DateTime"):
            got = [int(value.timestamp()) for value in got]
        assert [tuple(value) if isinstance(value, list) else value for value in got] == plain(sent), name


TEXTS = st.lists(
    st.text(max_size=300) | st.sampled_from(["", "x" * 127, "x" * 128, "y" * 20_000]), min_size=1
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=TEXTS, revision=st.sampled_from([OLD, NEW]))
def test_any_text(texts: list[str], revision: int) -> None:
    names, types = ["a", "b", "c"], ["String", "LowCardinality(String)", "Array(String)"]
    lists = [texts[:i] for i in range(len(texts))]
    plain_, low, nested = through_the_wire(names, types, [texts, texts, lists], revision)
    assert plain_ == texts
    assert low == texts
    assert [list(value) for value in nested] == lists


@settings(max_examples=40, deadline=None)
@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1))
def test_any_number_or_none(numbers: list[int | None]) -> None:
    assert through_the_wire(["n"], ["Nullable(Int64)"], [numbers], NEW) == [numbers]
