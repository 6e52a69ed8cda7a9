from __future__ import annotations

import pyarrow as pa
import pytest

from detectors.alert import Match
from detectors.calls import EventType, Gateway, NumberStatus, Role, Tristate, text_number
from streams.store.ports import Rows
from streams.store.schema import model
from streams.store.step import (
    rows_of_alert,
    rows_of_calls,
    rows_of_command,
    rows_of_outcome,
    rows_of_rejection,
    rows_of_rule_change,
    rows_of_summary,
)
from streams.wire.records import RuleChange
from tests.stores import (
    BASE,
    CALLER,
    TRUNK,
    a_command,
    a_rejection,
    a_rule,
    a_summary,
    an_alert,
    an_outcome,
    calls_frame,
    frame,
    sample,
)


def cells(rows: Rows, i: int = 0) -> dict[str, object]:
    return {
        name: column[i].as_py() if isinstance(column, pa.Array) else column[i]
        for name, column in zip(rows.columns, rows.data, strict=True)
    }


@pytest.mark.parametrize("rows", sample(), ids=lambda rows: rows.table)
def test_every_column_that_the_server_does_not_compute_is_given(rows: Rows) -> None:
    table = model().tables[rows.table]
    assert set(rows.columns) == {name for name, column in table.columns.items() if not column.source}
    assert {len(column) for column in rows.data} == {len(rows)}


@pytest.mark.parametrize(
    "table", [table for table in model().tables.values() if table.partition], ids=lambda table: table.order[0]
)
def test_a_double_row_replaces_itself_whatever_else_changed(table: object) -> None:
    """What a table is sorted by is what identifies a row, computed times included."""
    identity = {
        "alerts": {"subject_type", "subject", "alert_id"},
        "campaigns": {"campaign_id"},
        "rules": {"rule_id", "not_before_ms", "version", "state"},
        "rejected": {"topic", "partition", "offset", "index"},
        "traffic": {"minute", "trunk", "from_network", "to_network", "partition", "offset"},
        "calls": {"caller", "time_ms", "id", "type"},
        "commands": {"command_id"},
        "outcomes": {"command_id"},
    }
    name = next(name for name, other in model().tables.items() if other is table)
    assert set(model().tables[name].order) == identity[name]
    newer = set(model().tables[name].order_on(frozenset(model().features)))
    assert newer - {"toStartOfHour(time)"} == identity[name]


def test_alert() -> None:
    row = cells(rows_of_alert(an_alert()))
    assert row["subject_type"] == "number"
    assert row["window_start_ms"] == BASE - 600_000
    assert row["last_seen_ms"] == BASE - 1_877
    assert row["evidence.feature"] == ["rate", "answer_ratio"]
    assert row["evidence.weight"] == [0.6, 0.4]
    assert row["proposals"] == (
        '[{"match":{"caller":"+8613800138000"},"blast_radius":{"calls_24h":120,"callers":1,"callees":119}}]'
    )


def test_rule_and_its_end() -> None:
    rule = a_rule(match=Match(callee="+8610*", trunk=TRUNK, gateway="international"), cps=2.5)
    row = cells(rows_of_rule_change(RuleChange(rule.rule_id, rule, BASE), 5))
    assert (row["state"], row["caller"], row["callee"], row["trunk"]) == ("live", "", "+8610*", TRUNK)
    assert (row["gateway"], row["cps"], row["offset"], row["at_ms"]) == ("international", 2.5, 5, BASE)
    assert row["not_before_ms"] == rule.not_before
    end = cells(rows_of_rule_change(RuleChange(rule.rule_id, None, BASE, "expired"), 6))
    assert (end["state"], end["why"], end["version"], end["not_before_ms"]) == ("ended", "expired", 0, BASE)
    assert end.keys() == row.keys()


def test_rejection() -> None:
    row = cells(rows_of_rejection(a_rejection(truncated=True), BASE))
    assert (row["topic"], row["partition"], row["offset"], row["index"]) == ("calls", 3, 41, 2)
    assert (row["at_ms"], row["truncated"], row["original"]) == (BASE, 1, "eyJpZCI6MX0=")


def test_seconds_of_a_summary_add_up_by_minute() -> None:
    rows = rows_of_summary(a_summary())
    assert len(rows) == 2
    first, second = cells(rows, 0), cells(rows, 1)
    assert first["minute"] == (BASE // 1000 - 60) // 60 * 60
    assert (first["trunk"], first["attempts"], first["talk_ms"]) == (TRUNK, 20, 80_000)
    assert (second["trunk"], second["attempts"], second["offset"]) == ("SH-IC-02", 10, 77)


def test_summary_without_rows_is_no_row() -> None:
    assert len(rows_of_summary(a_summary(rows=[]))) == 0


def test_call_is_taken_once_from_its_callers_side() -> None:
    both = frame([{"id": "x", "role": int(Role.CALLEE)}, {"id": "x", "role": int(Role.CALLER)}])
    assert cells(rows_of_calls(both))["id"] == "x"
    assert len(rows_of_calls(both)) == 1
    assert len(rows_of_calls(calls_frame(1_000, seed=1))) == 500


def test_call_with_everything_and_with_nothing() -> None:
    extension = text_number("200")
    rows = rows_of_calls(
        frame(
            [
                {
                    "type": int(EventType.CDR),
                    "time": BASE,
                    "id": "1",
                    "caller": CALLER,
                    "callee": extension,
                    "callee_text": "200",
                    "callee_status": int(NumberStatus.TEXT),
                    "gateway": int(Gateway.INTERNATIONAL),
                    "answered": int(Tristate.TRUE),
                    "ring_ms": 0,
                    "talk_ms": 1_500,
                    "cause": 16,
                    "redirecting": 8610,
                    "trunk": TRUNK,
                },
                {"id": "2", "caller": extension, "caller_text": ""},
            ]
        )
    )
    full, bare = cells(rows, 0), cells(rows, 1)
    assert (full["caller"], full["callee"], full["redirecting"]) == ("+8613800138000", "200", "+8610")
    assert (full["type"], full["gateway"], full["callee_status"]) == ("cdr", "international", "text")
    assert (full["answered"], full["ring_ms"], full["talk_ms"], full["cause"]) == (1, 0, 1_500, 16)
    assert full["trunk"] == TRUNK
    assert (bare["caller"], bare["redirecting"]) == ("", "")
    absent = ("answered", "ring_ms", "talk_ms", "cause", "sip_code", "roaming", "presentation", "screening")
    assert [bare[name] for name in absent] == [None] * len(absent)


def test_no_calls() -> None:
    assert len(rows_of_calls(frame([{"role": int(Role.CALLEE)}]))) == 0


def test_command_and_what_became_of_it() -> None:
    row = cells(rows_of_command(a_command()))
    assert (row["who"], row["what"], row["details"]) == ("li.wei", "revoke", '{"ticket":"4711"}')
    outcome = cells(rows_of_outcome(an_outcome(ok=False, message="there is no such rule")))
    assert (outcome["command_id"], outcome["outcome"]) == (row["command_id"], "refused")
