"""Every query of docs/sql.md on both ends of the supported range, on an afternoon of sample data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streams.store.ports import Store
from streams.store.schema import model
from streams.store.upgrade import apply_schema
from tests.stores import BASE, TRUNK, embedded, on_server, sample

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
QUESTIONS: dict[str, str] = dict(
    re.findall(r"^## (\d+)\..*?```sql\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
)
NOW = f"toDateTime({BASE // 1000}, 'UTC')"

Rows = list[dict[str, Any]]


def going_on(rows: Rows) -> bool:
    return [(row["severity"], row["detector"]) for row in rows] == [("critical", "flood"), ("high", "burst")]


def why_reported(rows: Rows) -> bool:
    return [(row["feature"], row["actual"]) for row in rows] == [("rate", 12.0), ("answer_ratio", 0.01)]


def where_from(rows: Rows) -> bool:
    (row,) = rows
    return (row["from_network"], row["trunk"], row["calls"], row["callees"]) == ("CM", TRUNK, 120, 120)


def worst_trunks(rows: Rows) -> bool:
    return [(row["trunk"], row["alerts"], row["calls_reported"], row["worst"]) for row in rows] == [
        (TRUNK, 2, 180, "critical"),
        ("SH-IC-02", 1, 60, "critical"),
    ]


def as_it_did(rows: Rows) -> bool:
    (row,) = rows
    figures = ("calls", "answer_seizure_percent", "mean_talk_s", "mean_ring_s", "short_percent")
    return [row[name] for name in figures] == [20, 50.0, 10.0, 6.0, 75.0]


def in_force(rows: Rows) -> bool:
    (row,) = rows
    return (row["caller"], row["mode"], row["calls_24h"]) == ("+8613800138000", "shadow", 120)


def why_blocked(rows: Rows) -> bool:
    return [(row["state"], row["version"]) for row in rows] == [("live", 1), ("live", 2)]


def flooded(rows: Rows) -> bool:
    (row,) = rows
    return [row[name] for name in ("callee", "attempts", "callers", "answered_calls")] == [
        "+861065529988",
        60,
        60,
        1,
    ]


def refused(rows: Rows) -> bool:
    (row,) = rows
    return (row["reason"], row["field"], row["events"]) == ("type", "caller", 2)


def who_changed(rows: Rows) -> bool:
    return [(row["what"], row["who"], row["outcome"]) for row in rows] == [
        ("approve", "li.wei", "pending"),
        ("revoke", "li.wei", "done"),
    ]


def campaigns_now(rows: Rows) -> bool:
    (row,) = rows
    return (row["status"], row["severity"], row["entry_trunk"], row["operator"], row["alert_count"]) == (
        "open",
        "critical",
        TRUNK,
        "CM",
        2,
    )


SENSIBLE: dict[str, Callable[[Rows], bool]] = {
    "1": going_on,
    "2": why_reported,
    "3": where_from,
    "4": worst_trunks,
    "5": as_it_did,
    "6": in_force,
    "7": why_blocked,
    "8": flooded,
    "9": refused,
    "10": who_changed,
    "11": campaigns_now,
}


@pytest.fixture(scope="module", params=["embedded", pytest.param("server", marks=pytest.mark.clickhouse)])
def afternoon(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "embedded":
        with embedded() as store:
            yield _filled(store)
    else:
        with on_server(request.getfixturevalue("clickhouse").url, "ringfence_questions") as store:
            yield _filled(store)


def _filled(store: Store) -> Store:
    apply_schema(store)
    for rows in sample():
        store.insert(rows)
    return store


@pytest.mark.parametrize("number", SENSIBLE)
def test_question_has_its_answer(afternoon: Store, number: str) -> None:
    rows = afternoon.query(QUESTIONS[number].replace("now()", NOW)).dicts()
    assert SENSIBLE[number](rows), rows


def test_every_sql_on_the_page_is_one_of_them() -> None:
    assert PAGE.count("```sql") == len(QUESTIONS) == len(SENSIBLE)
    assert set(QUESTIONS) == set(SENSIBLE)


def test_every_view_is_on_the_page() -> None:
    assert [view for view in model().views if f"`{view}`" not in PAGE] == []


@pytest.mark.parametrize("view", model().views)
def test_every_view_answers(afternoon: Store, view: str) -> None:
    assert afternoon.query(f"SELECT * FROM {view} LIMIT 1").dicts()


@pytest.mark.parametrize("time", ["2026-11-20 11:55:00", datetime(2026, 11, 20, 11, 55, tzinfo=UTC)])
def test_time_may_be_given_as_text(afternoon: Store, time: object) -> None:
    """Also on an old server, which cannot compare a text with just any sorting key."""
    for table, column, rows in (("calls", "time", 120), ("traffic", "minute", 2), ("rules", "not_before", 1)):
        sql = f"SELECT count() FROM {table} WHERE {column} >= %(time)s"
        assert afternoon.query(sql, {"time": time}).rows == [(rows,)]
