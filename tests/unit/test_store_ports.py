from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from config.settings import StoreSettings
from streams.faults import Usage
from streams.store.opening import open_store
from streams.store.ports import Rows, joined, literal, with_params
from streams.store.schema import capabilities_of


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        (None, "NULL"),
        (True, "1"),
        (-5, "-5"),
        (0.25, "0.25"),
        ("it's", r"'it\'s'"),
        ("a\\b", r"'a\\b'"),
        ("\0", r"'\0'"),
        (date(2026, 11, 20), "toDate('2026-11-20')"),
        (datetime(2026, 11, 20, 12, tzinfo=UTC), "toDateTime(1795176000, 'UTC')"),
        (["a", 1], "('a', 1)"),
    ],
)
def test_literals(value: object, sql: str) -> None:
    assert literal(value) == sql


def test_what_has_no_literal() -> None:
    with pytest.raises(TypeError, match="no SQL literal for a dict"):
        literal({})


def test_params_leave_other_percent_signs_alone() -> None:
    assert with_params("x LIKE '86%' AND y = %(y)s", {"y": "%(y)s"}) == "x LIKE '86%' AND y = '%(y)s'"
    with pytest.raises(KeyError, match="z"):
        with_params("%(z)s", {"y": 1})


def test_rows_join_and_part() -> None:
    lists = Rows("t", ["a", "b"], [[1, 2], ["x", "y"]])
    arrays = Rows("t", ["a", "b"], [pa.array([3]), pa.array(["z"])])
    assert joined([lists, lists]).data == [[1, 2, 1, 2], ["x", "y", "x", "y"]]
    mixed = joined([lists, arrays])
    assert [column.to_pylist() for column in mixed.data] == [[1, 2, 3], ["x", "y", "z"]]
    assert len(mixed) == 3
    assert mixed.part(1, 3).data[1].to_pylist() == ["y", "z"]
    assert joined([lists]) is lists


def test_size_grows_with_what_is_in_the_rows() -> None:
    assert Rows("t", ["a"], [["x" * 10_000]]).nbytes >= 10_000
    assert Rows("t", ["a"], [[["x" * 10_000], []]]).nbytes >= 10_000
    assert Rows("t", ["a"], [pa.array([1] * 1_000, pa.int64())]).nbytes >= 8_000


def test_capabilities() -> None:
    assert capabilities_of("18.16.1") == frozenset()
    assert "ttl" in capabilities_of("20.3.1.5")
    assert "datetime64" not in capabilities_of("20.3.1.5")
    assert "replace_view" in capabilities_of("26.9.2.1")


@pytest.mark.parametrize("url", ["http://localhost:8123", "clickhouse://", "localhost"])
def test_url_that_is_none(url: str) -> None:
    with pytest.raises(Usage, match=r"store\.url is .*expected clickhouse://"):
        open_store(StoreSettings(url=url))


def test_password_is_not_in_the_error() -> None:
    with pytest.raises(Usage) as caught:
        open_store(StoreSettings(url="http://me:secret@host/db"))
    assert "secret" not in str(caught.value)
