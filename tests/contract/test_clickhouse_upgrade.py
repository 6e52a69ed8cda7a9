"""Every earlier schema becomes this one with its rows in it, whoever dies or does the same meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from streams.store.lock import TABLE, schema_lock
from streams.store.opening import open_store
from streams.store.ports import Rows, Store, StoreError
from streams.store.schema import Model, ddl, model
from streams.store.step import rows_of_alert
from streams.store.upgrade import apply_schema, check_schema
from streams.store.writer import Writer
from tests.contract.test_sql_questions import NOW, QUESTIONS
from tests.servers import clickhouse_server
from tests.stores import an_alert, embedded, on_server, sample

SCHEMAS = Path(__file__).with_name("schemas")
NEWEST = f"{model().version}"
EARLIER = sorted(path.stem for path in SCHEMAS.glob("*.yaml") if path.stem != NEWEST)
ON_BOTH = ["embedded", pytest.param("server", marks=pytest.mark.clickhouse)]
SORTED_OTHERWISE = "2"
"""Of the earlier schemas: `alerts` has rows in it that this release would find twice."""


@pytest.fixture(params=ON_BOTH)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "embedded":
        with embedded() as store:
            yield store
    else:
        with on_server(request.getfixturevalue("clickhouse").url, "ringfence_upgrade") as store:
            yield store


def schema(name: str) -> Model:
    return msgspec.convert(yaml.safe_load((SCHEMAS / f"{name}.yaml").read_text()), Model)


def as_left_by(name: str, store: Store) -> None:
    """The database as an earlier release left it, with rows in every table."""
    of = schema(name)
    store.create_database()
    for statement in ddl(store.database, store.capabilities, store.settings, of):
        store.execute(statement)
    store.execute(
        f"INSERT INTO `{store.database}`.schema_version (version, applied_ms, server, digest) "
        f"SELECT {of.version}, 1, version(), 'as it was'"
    )
    for rows in [*sample(), rows_of_alert(an_alert(version=1, detector="rotation"))]:
        if rows.table in of.tables:
            store.insert(known(rows, of))


def known(rows: Rows, of: Model) -> Rows:
    """What of ``rows`` a release with the schema ``of`` would have written."""
    columns = of.tables[rows.table].columns
    kept = [pair for pair in zip(rows.columns, rows.data, strict=True) if pair[0] in columns]
    return Rows(rows.table, [name for name, _ in kept], [data for _, data in kept])


def counts(store: Store) -> dict[str, int]:
    return {view: int(store.query(f"SELECT count() FROM {view}").rows[0][0]) for view in model().views}


def test_the_schema_of_every_release_is_kept() -> None:
    """Whoever changes the schema raises its version and leaves a copy for the tests of later releases."""
    kept = (SCHEMAS / f"{NEWEST}.yaml").read_text()
    assert kept == (SCHEMAS.parents[2] / "config" / "clickhouse" / "schema.yaml").read_text()
    assert {schema(name).version for name in EARLIER} == set(range(1, model().version))


@pytest.mark.parametrize("name", EARLIER)
def test_rows_of_an_earlier_release_are_there_and_can_be_asked(name: str, store: Store) -> None:
    as_left_by(name, store)
    assert any(problem.mends for problem in check_schema(store))
    apply_schema(store)
    assert check_schema(store) == []
    assert apply_schema(store) == []
    alerts = store.query("SELECT alert_id, version, calls FROM alerts_current ORDER BY alert_id").rows
    assert alerts == [("a" * 32, 2, 120), ("b" * 32, 1, 60)]
    found = counts(store)
    assert (found["rules_history"], found["rejected_events"], found["calls_once"]) == (4, 2, 181)
    assert (found["traffic_per_minute"], found["audit"]) == (2, 2)
    for sql in QUESTIONS.values():
        store.query(sql.replace("now()", NOW))
    for rows in sample():
        store.insert(rows)
    again = counts(store)
    assert {view: again[view] for view in found if view != "campaigns_current"} == {
        view: count for view, count in found.items() if view != "campaigns_current"
    }


class Dies(Exception):
    """The process ends here."""


class Mortal:
    """A store whose process dies at its ``last`` change of the database, before or after it was made."""

    def __init__(self, store: Store, last: int, after: bool) -> None:
        self._store = store
        self._left = last
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def execute(self, sql: str) -> None:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._after):
            raise Dies
        self._store.execute(sql)
        if self._left == 0:
            raise Dies


@pytest.mark.parametrize("after", [False, True])
def test_a_process_that_dies_at_any_step_loses_nothing(after: bool, store: Store) -> None:
    """Another of the old release goes on writing where it finds its table."""
    as_left_by(SORTED_OTHERWISE, store)
    written, deaths = {"a" * 32, "b" * 32}, 0
    while True:
        deaths += 1
        late = an_alert(alert_id=f"{deaths:032}")
        try:
            store.insert(known(rows_of_alert(late), schema(SORTED_OTHERWISE)))
            written.add(late.alert_id)
        except StoreError:
            assert "alerts" not in tables(store), "only a table that is away for a moment refuses rows"
        try:
            apply_schema(Mortal(store, deaths, after))
        except Dies:
            store.execute(f"DROP TABLE IF EXISTS `{store.database}`.{TABLE}")
        else:
            break
    assert deaths > 5
    assert check_schema(store) == []
    found = store.query("SELECT alert_id FROM alerts_current").rows
    assert {alert_id for (alert_id,) in found} == written
    assert not [name for name in tables(store) if name.endswith(("_sorted", "_before", TABLE))]


def tables(store: Store) -> set[str]:
    rows = store.query("SELECT name FROM system.tables WHERE database = %(d)s", {"d": store.database}).rows
    return {name for (name,) in rows}


def test_between_two_renames(store: Store) -> None:
    """Servers without atomic renames can be killed between the two."""
    as_left_by(SORTED_OTHERWISE, store)
    database = f"`{store.database}`"
    store.execute(f"CREATE TABLE {database}.alerts_sorted AS {database}.alerts")
    store.execute(f"RENAME TABLE {database}.alerts TO {database}.alerts_before")
    apply_schema(store)
    apply_schema(store)
    assert check_schema(store) == []
    assert counts(store)["alerts_current"] == 2


def test_many_workers_start_at_once(store: Store) -> None:
    as_left_by(SORTED_OTHERWISE, store)
    begin = threading.Barrier(6)
    writers = [Writer(store, store.settings, prepare=together(begin), pause=0.01) for _ in range(6)]
    for number, writer in enumerate(writers):
        assert writer.put(rows_of_alert(an_alert(alert_id=f"{number:032}")))
    assert [writer.close(timeout=120) for writer in writers] == [True] * 6
    assert check_schema(store) == []
    assert counts(store)["alerts_current"] == 2 + 6
    assert store.query("SELECT max(version) FROM schema_version").rows == [(model().version,)]


def together(begin: threading.Barrier) -> Any:
    """Brings the schema up to date, the first try at the same moment as the others."""
    tries = iter(range(10_000))

    def prepare(store: Store) -> None:
        if next(tries) == 0:
            begin.wait()
        apply_schema(store)

    return prepare


def test_an_older_release_leaves_alone_what_a_newer_one_has_begun(store: Store) -> None:
    as_left_by("1", store)
    with pytest.raises(Dies):
        apply_schema(Mortal(store, 5, after=True))
    store.execute(f"DROP TABLE IF EXISTS `{store.database}`.{TABLE}")
    assert apply_schema(store, schema("1c")) == []
    apply_schema(store)
    assert check_schema(store) == []


def test_upgrade_statements_run_although_an_upgrade_was_interrupted(store: Store) -> None:
    as_left_by("2", store)
    statement = "ALTER TABLE {database}.traffic COMMENT COLUMN trunk 'ingress'"
    of = msgspec.structs.replace(model(), upgrades={model().version: [statement]})
    with pytest.raises(Dies):
        apply_schema(Mortal(store, 4, after=True), of)
    store.execute(f"DROP TABLE IF EXISTS `{store.database}`.{TABLE}")
    assert statement.format(database=f"`{store.database}`") in apply_schema(store, of)


def test_who_does_not_hold_the_lock_waits(store: Store) -> None:
    as_left_by("2", store)
    with (
        schema_lock(store),
        pytest.raises(StoreError, match="another process is changing the schema; wait a minute"),
    ):
        apply_schema(store)
    apply_schema(store)
    assert check_schema(store) == []


def test_a_lock_whose_holder_has_died_is_broken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    as_left_by("2", store)
    with schema_lock(store) as robbed:
        monkeypatch.setattr("streams.store.lock.STALE_S", 0)
        apply_schema(store)
        assert check_schema(store) == []
        with pytest.raises(StoreError, match="another process has taken over"):
            robbed.execute("DROP TABLE alerts")
    assert counts(store)["alerts_current"] == 2


@pytest.mark.clickhouse
def test_a_lock_is_kept_while_its_holder_has_a_statement_run(
    clickhouse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.store.lock.STALE_S", 0)
    with (
        on_server(clickhouse.url, "ringfence_locked") as other,
        contextlib.closing(open_store(other.settings)) as holder,
    ):
        other.create_database()
        with schema_lock(holder) as lock:
            slow = threading.Thread(target=lock.execute, args=("SELECT sleep(3) FROM system.one",))
            slow.start()
            wait_for_statement(other, "sleep(3)")
            with (
                pytest.raises(StoreError, match="another process is changing the schema"),
                schema_lock(other),
            ):
                pytest.fail("the lock was taken from a holder that works")
            slow.join()


@pytest.mark.clickhouse
def test_a_lock_that_its_own_process_could_not_give_back_is_taken_at_once() -> None:
    with clickhouse_server() as server, on_server(server.url, "ringfence_left") as store:
        store.create_database()
        with schema_lock(store):
            server.kill()
        server.start()
        with schema_lock(store) as lock:
            lock.execute("SELECT 1")


def wait_for_statement(store: Store, part: str) -> None:
    sql = (
        "SELECT count() FROM system.processes WHERE position(query, %(part)s) > 0"
        " AND position(query, 'system.processes') = 0"
    )
    while not store.query(sql, {"part": part}).rows[0][0]:
        threading.Event().wait(0.01)
