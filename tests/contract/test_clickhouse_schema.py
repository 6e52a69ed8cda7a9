"""The schema on the oldest server there is to support and on the newest, embedded: the same tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from config.settings import StoreSettings
from streams.store.opening import open_store
from streams.store.ports import Rows, Store, StoreError, StoreUnavailable
from streams.store.schema import Column, capabilities_of, ddl, model, prune
from streams.store.step import (
    rows_of_alert,
    rows_of_calls,
    rows_of_campaign,
    rows_of_rejection,
    rows_of_rule_change,
    rows_of_summary,
)
from streams.store.upgrade import apply_schema, check_schema
from streams.store.writer import Writer
from streams.wire.records import RuleChange
from tests.servers import ClickHouseServer, clickhouse_server
from tests.stores import (
    BASE,
    CALLER,
    TRUNK,
    a_rejection,
    a_rule,
    a_summary,
    an_alert,
    calls_frame,
    campaigns_of,
    embedded,
    on_server,
    sample,
)

DAY = 86_400_000
ON_BOTH = ["embedded", pytest.param("server", marks=pytest.mark.clickhouse)]


@pytest.fixture(params=ON_BOTH)
def empty(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "embedded":
        with embedded() as store:
            yield store
    else:
        with on_server(request.getfixturevalue("clickhouse").url, "ringfence_schema") as store:
            yield store


@pytest.fixture
def store(empty: Store) -> Store:
    apply_schema(empty)
    return empty


def count(store: Store, table: str) -> int:
    return int(store.query(f"SELECT count() FROM {table}").rows[0][0])


def test_everything_is_made_once(empty: Store) -> None:
    made = apply_schema(empty)
    assert len(made) == len(model().tables) + len(model().views) + 1
    assert apply_schema(empty) == []
    assert check_schema(empty) == []
    assert empty.query("SELECT max(version) FROM schema_version").rows == [(model().version,)]


def test_newer_features_only_where_the_server_has_them(store: Store) -> None:
    made = dict(
        store.query(
            "SELECT name, create_table_query FROM system.tables WHERE database = %(d)s", {"d": store.database}
        ).rows
    )
    new = "ttl" in store.capabilities
    for word in ("TTL", "CODEC", "LowCardinality", "DateTime64", "bloom_filter"):
        assert (word in made["calls"] + made["alerts"]) is new


def test_ddl_of_an_old_server_has_nothing_new() -> None:
    old = "\n".join(ddl("d", capabilities_of("18.16.1"), StoreSettings()))
    for word in ("TTL", "CODEC", "LowCardinality", "DateTime64", "INDEX ", "OR REPLACE"):
        assert word not in old


def test_what_is_written_twice_counts_once(store: Store) -> None:
    views = {
        "alerts": "alerts_current",
        "rules": "rules_history",
        "rejected": "rejected_events",
        "traffic": "traffic_per_minute",
        "calls": "calls_once",
        "commands": "audit",
    }
    for _ in range(3):
        for rows in sample():
            store.insert(rows)
    once = {view: count(store, view) for view in views.values()}
    assert once == {
        "alerts_current": 2,
        "rules_history": 4,
        "rejected_events": 2,
        "traffic_per_minute": 2,
        "calls_once": 181,
        "audit": 2,
    }
    assert store.query("SELECT sum(attempts), sum(talk_ms) FROM traffic_per_minute").rows == [(30, 120_000)]
    for table, view in views.items():
        store.execute(f"OPTIMIZE TABLE {table} FINAL")
        assert count(store, view) == once[view]
    assert count(store, "calls") == 181


def test_an_alert_comes_back_as_it_went_in(store: Store) -> None:
    alert = an_alert(message="näïve 'quotes' \\ and\nlines \0 and 中文")
    store.insert(rows_of_alert(alert))
    row = store.query("SELECT * FROM alerts_current").dicts()[0]
    assert row["message"] == alert.message
    assert (row["severity"], row["score"], row["calls"]) == ("high", 0.93, 120)
    assert row["evidence.feature"] == ["rate", "answer_ratio"]
    assert row["evidence.actual"] == [12.0, 0.01]
    assert (row["networks"], row["sample_call_ids"]) == (["CM"], ["c-1", "c-2"])
    assert row["last_seen_ms"] == alert.last_seen
    assert int(row["last_seen"].timestamp()) == alert.last_seen // 1000


def test_newest_version_of_an_alert_is_current_in_whatever_order_they_come(store: Store) -> None:
    """Also where another detector has come to lead it."""
    for version, detector in ((2, "burst"), (3, "sweep"), (1, "burst")):
        store.insert(rows_of_alert(an_alert(version=version, calls=version * 10, detector=detector)))
    assert store.query("SELECT version, calls, detector FROM alerts_current").rows == [(3, 30, "sweep")]
    said = "SELECT findings.detector, findings.withheld, entries.network FROM alerts_current"
    assert store.query(said).rows == [(["burst"], [1], ["CM"])]
    assert count(store, "alerts") == 3


def test_newest_version_of_a_campaign_is_current_in_whatever_order_they_come(store: Store) -> None:
    other = an_alert(alert_id="b" * 32, first_seen=BASE - 700_000, calls=80)
    versions = [rows_of_campaign(each) for each in campaigns_of(an_alert(), other)]
    for rows in reversed(versions):
        store.insert(rows)
    sql = "SELECT version, status, calls, alerts.alert_id, entry_trunk, operator FROM campaigns_current"
    (row,) = store.query(sql).rows
    assert row == (2, "open", 200, ["a" * 32, "b" * 32], TRUNK, "CM")


def test_rules_come_and_go(store: Store) -> None:
    rule = a_rule()
    store.insert(rows_of_rule_change(RuleChange(rule.rule_id, rule, BASE), 1))
    store.insert(rows_of_rule_change(RuleChange(rule.rule_id, a_rule(version=2), BASE + 1), 2))
    assert store.query("SELECT version FROM rules_live").rows == [(2,)]
    store.insert(rows_of_rule_change(RuleChange(rule.rule_id, None, BASE + 2, "expired"), 3))
    assert store.query("SELECT version FROM rules_live").rows == []
    again = a_rule(version=1, not_before=BASE + 2)
    store.insert(rows_of_rule_change(RuleChange(rule.rule_id, again, BASE + 2), 4))
    assert store.query("SELECT not_before_ms FROM rules_live").rows == [(BASE + 2,)]
    history = store.query("SELECT state, version, cps FROM rules_history ORDER BY offset").rows
    assert history == [("live", 1, None), ("live", 2, None), ("ended", 0, None), ("live", 1, None)]


def test_calls_come_back_as_they_went_in(store: Store) -> None:
    frame = calls_frame(2_000, seed=5)
    store.insert(rows_of_calls(frame))
    kept = {row["id"]: row for row in store.query("SELECT * FROM calls").dicts()}
    sent = [row for row in frame.to_pylist() if row["role"] == 0]
    assert len(kept) == len(sent) == 1_000
    for row in sent:
        found = kept[row["id"]]
        assert found["caller"] == f"+{row['caller']}"
        assert found["time_ms"] == row["time"]
        assert found["trunk"] == row["trunk"]
        assert found["type"] == ("attempt", "end", "cdr")[row["type"]]
        assert found["ring_ms"] == (None if row["ring_ms"] == -1 else row["ring_ms"])
        assert found["answered"] == (None if row["answered"] == 2 else row["answered"])


def test_extreme_times_and_texts_do_not_stop_the_store(store: Store) -> None:
    times = [0, -1, -(2**62), 2**62, 2**40 * 1_000, BASE]
    for i, time in enumerate(times):
        store.insert(rows_of_rejection(a_rejection(offset=i, value="\0" * 70_000), time))
        store.insert(Rows("calls", ["time_ms", "id"], [[time], [f"t{i}"]]))
    assert store.query("SELECT offset FROM rejected WHERE at_ms = %(t)s", {"t": BASE}).rows == [(5,)]
    assert store.query("SELECT length(value) FROM rejected WHERE offset = 5").rows == [(70_000,)]


def test_rows_of_many_days_go_in_at_once(store: Store) -> None:
    days = 150
    times = [BASE - i * DAY for i in range(days)]
    store.insert(Rows("calls", ["time_ms", "id"], [times, [str(i) for i in range(days)]]))
    assert count(store, "calls") == days


def test_new_columns_are_added_and_what_was_there_stays(store: Store) -> None:
    store.insert(rows_of_summary(a_summary()))
    newer = with_next_version()
    ran = apply_schema(store, newer)
    assert "ADD COLUMN `refused` Int64" in ran[0]
    assert "DROP PARTITION" not in " ".join(ran)
    assert ran[1] == f"ALTER TABLE `{store.database}`.traffic COMMENT COLUMN trunk 'ingress'"
    assert apply_schema(store, newer) == []
    assert check_schema(store, newer) == []
    assert store.query("SELECT sum(attempts), sum(refused) FROM traffic").rows == [(30, 0)]
    assert store.query("SELECT sum(refused_calls) FROM refused_per_trunk").rows == [(0,)]


def test_a_newer_schema_is_left_alone(store: Store) -> None:
    apply_schema(store, with_next_version())
    assert apply_schema(store) == []
    assert check_schema(store) == []
    store.insert(rows_of_summary(a_summary()))
    assert count(store, "refused_per_trunk") == 2


def with_next_version() -> Any:
    old = model()
    traffic = old.tables["traffic"]
    columns = {**traffic.columns, "refused": Column("Int64")}
    return msgspec.structs.replace(
        old,
        version=old.version + 1,
        tables={**old.tables, "traffic": msgspec.structs.replace(traffic, columns=columns)},
        views={
            **old.views,
            "refused_per_trunk": (
                "SELECT trunk, sum(refused) AS refused_calls FROM {database}.traffic FINAL GROUP BY trunk"
            ),
        },
        upgrades={old.version + 1: ["ALTER TABLE {database}.traffic COMMENT COLUMN trunk 'ingress'"]},
    )


def test_check_finds_what_is_missing_and_what_is_wrong(store: Store) -> None:
    store.execute(f"DROP TABLE {store.database}.audit")
    store.execute(f"ALTER TABLE {store.database}.traffic DROP COLUMN short")
    store.execute(f"ALTER TABLE {store.database}.traffic ADD COLUMN short String")
    store.execute(f"DROP TABLE {store.database}.rejected")
    problems = {problem.what: problem.mends for problem in check_schema(store)}
    assert problems["traffic.short is String, expected Int64"] is False
    assert any("audit" in what and mends for what, mends in problems.items())
    assert any("CREATE TABLE IF NOT EXISTS" in what and "rejected" in what for what in problems)
    apply_schema(store)
    assert [problem.mends for problem in check_schema(store)] == [False]


def test_insert_into_a_table_that_is_not_there_says_what_to_do(empty: Store) -> None:
    empty.create_database()
    with pytest.raises(StoreError, match="run `ringfence schema apply`"):
        empty.insert(rows_of_summary(a_summary()))


def test_wrong_sql_is_an_error_that_can_be_read(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        store.query("SELECT nothing_of_this FROM alerts")
    assert "nothing_of_this" in str(caught.value)
    assert "Stack trace" not in str(caught.value)
    assert len(str(caught.value)) < 800
    assert store.query("SELECT 1").rows == [(1,)]


def test_value_that_does_not_fit_is_an_error_and_the_next_goes_in(store: Store) -> None:
    with pytest.raises(StoreError, match="severity"):
        store.insert(rows_of_alert(an_alert(severity="grave")))
    store.insert(rows_of_alert(an_alert()))
    assert count(store, "alerts") == 1


def test_params_are_literals_on_the_server_too(store: Store) -> None:
    text = "it's \\ 100% %(x)s\nnew \t\0 line"
    assert store.query("SELECT %(t)s AS t, %(n)s AS n", {"t": text, "n": -5}).rows == [(text, -5)]
    assert store.query("SELECT 1 WHERE 'b' IN %(l)s AND 'a%%' LIKE 'a%'", {"l": ["a", "b"]}).rows == [(1,)]


def test_retention_that_changed_is_applied_where_the_server_keeps_it() -> None:
    with embedded() as store:
        apply_schema(store)
        store.settings = StoreSettings(days=5_000, calls_days=10_000)
        changed = [statement for statement in apply_schema(store) if "TTL" in statement]
        assert changed
        assert all("toIntervalDay(5000)" in statement for statement in changed)
        assert apply_schema(store) == []


def test_rows_past_their_days_are_gone_by_themselves_on_a_new_server() -> None:
    with embedded(calls_days=1) as store:
        apply_schema(store)
        store.insert(Rows("calls", ["time_ms", "id"], [[BASE - 10_000 * DAY], ["old"]]))
        store.execute("OPTIMIZE TABLE calls FINAL")
        assert count(store, "calls") == 0
        assert prune(store, BASE) == []


def test_rows_past_their_days_are_dropped_on_an_old_server(clickhouse: ClickHouseServer) -> None:
    with on_server(clickhouse.url, "ringfence_prune", calls_days=7, days=40) as store:
        if "ttl" in store_capabilities(clickhouse):
            pytest.skip("this server drops rows by itself")
        apply_schema(store)
        ages = [0, 6, 8, 30, 100]
        store.insert(
            Rows("calls", ["time_ms", "id"], [[BASE - age * DAY for age in ages], list(map(str, ages))])
        )
        for age in ages:
            store.insert(rows_of_rejection(a_rejection(offset=age), BASE - age * DAY))
        assert len(prune(store, BASE)) == 4
        assert store.query("SELECT id FROM calls ORDER BY time_ms DESC").rows == [("0",), ("6",)]
        assert store.query("SELECT offset FROM rejected ORDER BY offset").rows == [(0,), (6,), (8,), (30,)]
        assert prune(store, BASE) == []


def store_capabilities(clickhouse: ClickHouseServer) -> frozenset[str]:
    with on_server(clickhouse.url, "default_probe") as store:
        store.create_database()
        return store.capabilities


@pytest.mark.clickhouse
def test_server_that_stops_is_killed_and_comes_back_loses_and_doubles_nothing() -> None:
    """Calls are written the whole time; the server goes away three times, once in the middle of an insert."""
    with clickhouse_server() as server:
        settings = StoreSettings(
            url=f"{server.url}?connect_timeout=1", batch_rows=2_000, flush_ms=5, queue_bytes=4_000_000
        )
        store = open_store(settings)
        with Writer(store, settings, pause=0.02) as writer:
            expected = 0
            for round_, harm in enumerate((server.stop, server.kill, server.kill)):
                for k in range(6):
                    frame = calls_frame(4_000, seed=round_ * 100 + k)
                    assert writer.put(rows_of_calls(frame))
                    expected += 2_000
                harm()
                while writer.put(rows_of_calls(calls_frame(8_000, seed=1_000 + expected)), timeout=0.2):
                    expected += 4_000
                assert writer.stats.queued_bytes <= settings.queue_bytes
                assert not writer.flush(0.2)
                assert not writer.healthy
                server.start()
            assert writer.flush(120), writer.last_error
            assert writer.healthy
        assert count(store, "calls_once") == expected
        assert store.query("SELECT uniqExact(id) FROM calls").rows == [(expected,)]
        store.close()


@pytest.mark.clickhouse
def test_service_may_start_before_its_server() -> None:
    with clickhouse_server() as server:
        server.stop()
        settings = StoreSettings(url=f"{server.url}?connect_timeout=1", flush_ms=5)
        store = open_store(settings)
        with pytest.raises(StoreUnavailable, match=r"does not answer .*check that it runs"):
            store.query("SELECT 1")
        with Writer(store, settings, pause=0.02) as writer:
            assert writer.put(rows_of_alert(an_alert()))
            assert not writer.flush(0.1)
            server.start()
            assert writer.flush(60)
        assert count(store, "alerts_current") == 1
        store.close()


def test_embedded_directory_belongs_to_one_process(tmp_path: Any) -> None:
    with embedded(path=str(tmp_path / "store")) as store:
        apply_schema(store)
        second = subprocess.run(
            [sys.executable, "-c", _OPEN, str(tmp_path / "store")], capture_output=True, text=True, timeout=60
        )
        assert "one process has it at a time" in second.stderr
        assert second.returncode == 1


def test_embedded_store_keeps_its_rows_and_a_process_with_it_ends(tmp_path: Any) -> None:
    path = str(tmp_path / "store")
    first = subprocess.run([sys.executable, "-c", _WRITE, path], capture_output=True, text=True, timeout=60)
    assert (first.returncode, first.stderr) == (0, "")
    with embedded(path=path) as store:
        assert apply_schema(store) == []
        assert store.query("SELECT subject FROM alerts_current").rows == [(f"+{CALLER}",)]


_OPEN = """
import sys
from config.settings import StoreSettings
from streams.faults import Fault
from streams.store.opening import open_store
try:
    open_store(StoreSettings(path=sys.argv[1])).query("SELECT 1")
except Fault as fault:
    sys.exit(str(fault))
"""
_WRITE = """
import sys
from config.settings import StoreSettings
from streams.store.opening import open_store
from streams.store.step import rows_of_alert
from streams.store.upgrade import apply_schema, check_schema
from streams.store.writer import Writer
from tests.stores import LONG, an_alert
settings = StoreSettings(path=sys.argv[1], **LONG)
writer = Writer(open_store(settings), settings)
writer.put(rows_of_alert(an_alert()))
assert writer.flush(60)
"""
