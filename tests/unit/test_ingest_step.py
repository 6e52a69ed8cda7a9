"""The step of `ingest` on messages in order and on every kind of damage."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import msgspec
import numpy as np
import pytest

from config.settings import IngestSettings, KafkaSettings, Settings
from detectors.calls import (
    FRAME_SCHEMA,
    EventType,
    Gateway,
    NumberStatus,
    ReleasedBy,
    Role,
    Tristate,
    partition_of,
    text_hash,
    text_number,
)
from detectors.plan import NumberingPlan
from streams.ingest.messages import RESYNCS
from streams.ingest.step import STEP_EVENTS, Ingest, Ingested
from streams.wire.frames import encode_frame
from streams.wire.records import SourceRecord

NOW = 1_767_225_600_000
GOOD: dict[str, Any] = {
    "id": "e1",
    "type": "attempt",
    "time": NOW,
    "caller": "+8613800138000",
    "callee": "01088886666",
}


@pytest.fixture(scope="module")
def plan() -> NumberingPlan:
    return NumberingPlan.load(Settings().numbering)


@pytest.fixture(scope="module")
def ingest(plan: NumberingPlan) -> Ingest:
    return Ingest(plan, Settings())


def event(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}, separators=(",", ":")).encode()


def record(value: bytes | None, timestamp: int | None = NOW, offset: int = 7) -> SourceRecord:
    return SourceRecord(value, "calls", 3, offset, timestamp)  # type: ignore[arg-type]


def ids(ingested: Ingested) -> list[str]:
    """Ids of the events accepted, in order of arrival where they are on one partition."""
    rows = [row for batch in ingested.frames.values() for row in batch.select(["role", "id"]).to_pylist()]
    return sorted(row["id"] for row in rows if row["role"] == Role.CALLER)


def only_rejection(ingested: Ingested) -> tuple[str, str]:
    assert ingested.events == 0
    assert ingested.frames == {}
    (rejection,) = ingested.rejected
    return rejection.reason, rejection.field


def rows_of(ingested: Ingested) -> list[dict[str, Any]]:
    return [row for batch in ingested.frames.values() for row in batch.to_pylist()]


class TestFrames:
    def test_a_full_event_becomes_a_row_for_each_end(self, ingest: Ingest) -> None:
        full = event(
            id="probe-1/77",
            call_id="c77",
            type="cdr",
            caller_noa=4,
            callee_noa=3,
            presentation=0,
            screening=3,
            redirecting="+862088889999",
            from_network="CM",
            to_network="CT",
            trunk="TG-1",
            gateway="international",
            probe="p1",
            answered=True,
            ring_ms=5400,
            talk_ms=33_000,
            cause=16,
            sip_code=200,
            released_by="callee",
            attest="B",
            verstat="TN-Validation-Passed",
            roaming=False,
        )
        ingested = ingest([record(full)])
        rows = {row["role"]: row for row in rows_of(ingested)}
        assert ingested.events == 1
        assert ingested.rejected == []
        assert set(rows) == {Role.CALLER, Role.CALLEE}
        expected: dict[str, Any] = {
            "type": EventType.CDR,
            "time": NOW,
            "event": text_hash("probe-1/77"),
            "call": text_hash("c77"),
            "id": "probe-1/77",
            "call_id": "c77",
            "caller": 8613800138000,
            "callee": 861088886666,
            "caller_text": "",
            "callee_text": "",
            "caller_status": NumberStatus.ALLOCATED,
            "caller_operator": "CM",
            "callee_tail": 88_886_666,
            "from_network": "CM",
            "to_network": "CT",
            "trunk": "TG-1",
            "probe": "p1",
            "gateway": Gateway.INTERNATIONAL,
            "answered": Tristate.TRUE,
            "ring_ms": 5400,
            "talk_ms": 33_000,
            "cause": 16,
            "sip_code": 200,
            "released_by": ReleasedBy.CALLEE,
            "roaming": Tristate.FALSE,
            "presentation": 0,
            "screening": 3,
            "attest": "B",
            "verstat": "TN-Validation-Passed",
            "redirecting": 862088889999,
        }
        for row in rows.values():
            assert {name: row[name] for name in expected} == expected

    def test_what_is_not_given_is_marked(self, ingest: Ingest) -> None:
        row = rows_of(ingest([record(event(caller="", type="end"))]))[0]
        assert row["call_id"] == "e1"
        assert row["call"] == row["event"] == text_hash("e1")
        assert row["caller"] == text_number("")
        assert row["caller_status"] == NumberStatus.HIDDEN
        assert {row[name] for name in ("from_network", "to_network", "trunk", "probe", "attest")} == {""}
        assert {row[name] for name in ("ring_ms", "talk_ms", "cause", "sip_code", "screening")} == {-1}
        assert (row["answered"], row["roaming"]) == (Tristate.UNKNOWN, Tristate.UNKNOWN)
        assert (row["gateway"], row["released_by"]) == (Gateway.NATIONAL, ReleasedBy.UNKNOWN)
        assert row["redirecting"] == 0

    def test_the_schema_is_that_of_a_frame_and_names_the_plan(
        self, ingest: Ingest, plan: NumberingPlan
    ) -> None:
        for batch in ingest([record(event())]).frames.values():
            assert batch.schema.equals(FRAME_SCHEMA)
            assert batch.schema.metadata == {b"plan_version": plan.version.encode()}
            batch.validate(full=True)

    def test_rows_lie_on_the_partition_of_their_end_in_order_of_arrival(self, ingest: Ingest) -> None:
        messages = [
            event(id=f"e{n:03}", caller=f"+8613{n:03}138000", callee=f"+8613{n * 7 % 1000:03}220000")
            for n in range(300)
        ]
        ingested = ingest([record(message) for message in messages])
        assert ingested.events == 300
        assert len(ingested.frames) == Settings().kafka.partitions
        for partition, batch in ingested.frames.items():
            rows = batch.to_pylist()
            ends = np.array([row["callee" if row["role"] else "caller"] for row in rows])
            assert set(partition_of(ends, Settings().kafka.partitions)) == {partition}
            order = [(row["id"], row["role"]) for row in rows]
            assert order == sorted(order)
        assert sum(batch.num_rows for batch in ingested.frames.values()) == 600

    def test_one_partition_interleaves_both_ends(self, plan: NumberingPlan) -> None:
        ingest = Ingest(plan, Settings(kafka=KafkaSettings(partitions=1)))
        (batch,) = ingest([record(event(id="b")), record(event(id="a"))]).frames.values()
        assert batch.column("id").to_pylist() == ["b", "b", "a", "a"]
        assert batch.column("role").to_pylist() == [0, 1, 0, 1]

    def test_text_callers_keep_their_text(self, ingest: Ingest) -> None:
        row = rows_of(ingest([record(event(caller="alice.中"))]))[0]
        assert (row["caller"], row["caller_text"]) == (text_number("alice.中"), "alice.中")
        assert row["caller_status"] == NumberStatus.TEXT


class TestMessages:
    """The forms of a message, and that each gives the same frames."""

    MESSAGES = tuple(event(id=f"e{n}", trunk=f"T{n % 3}") for n in range(9))

    @pytest.mark.parametrize(
        "message",
        [
            b"\n".join(MESSAGES),
            b"\r\n".join(MESSAGES) + b"\r\n\n  \n",
            b"[" + b",".join(MESSAGES) + b"]",
            b" [ " + b" ,\n ".join(MESSAGES) + b" ]\n",
            b"\xef\xbb\xbf" + b"\n".join(MESSAGES),
            b"\xef\xbb\xbf[" + b",".join(MESSAGES) + b"]",
        ],
        ids=["lines", "crlf", "array", "spaced array", "bom lines", "bom array"],
    )
    def test_every_form_gives_the_same(self, ingest: Ingest, message: bytes) -> None:
        single = ingest([record(one) for one in self.MESSAGES])
        assert single.events == 9
        together = ingest([record(message)])
        assert together.rejected == []
        assert together.frames == single.frames

    def test_printed_over_several_lines(self, ingest: Ingest) -> None:
        printed = json.dumps(GOOD, indent=2).encode()
        assert ids(ingest([record(printed)])) == ["e1"]
        assert ids(ingest([record(b"[" + printed + b",\n" + printed.replace(b"e1", b"e2") + b"]")])) == [
            "e1",
            "e2",
        ]

    def test_nothing_to_do(self, ingest: Ingest) -> None:
        assert ingest([]) == Ingested({}, [], 0)
        assert ingest([record(b"[]"), record(b" [ ] ")]) == Ingested({}, [], 0)

    @pytest.mark.parametrize("field", ["call_id", "caller_noa", "gateway", "answered", "cause", "verstat"])
    def test_null_is_not_given(self, ingest: Ingest, field: str) -> None:
        assert ingest([record(event(**{field: None}))]).frames == ingest([record(event())]).frames

    def test_empty_call_id_is_not_given(self, ingest: Ingest) -> None:
        assert ingest([record(event(call_id=""))]).frames == ingest([record(event())]).frames

    @pytest.mark.parametrize(
        "unknown",
        [
            {"x": 1},
            {"x": {"deep": [{"a": [1, 2]}, "}{"]}},
            {"x": "\n\x00 control characters"},
            {"x": "[{"},
            {"x": 10**400},
            {"x": 10**-(400)},
        ],
    )
    def test_unknown_fields_are_ignored(self, ingest: Ingest, unknown: dict[str, Any]) -> None:
        plain, more = event(), event(**unknown)
        expected = ingest([record(plain)]).frames
        assert ingest([record(more)]).frames == expected
        twice = ingest([record(plain), record(plain)]).frames
        assert ingest([record(more + b"\n" + more)]).frames == twice
        assert ingest([record(b"[" + more + b"," + more + b"]")]).frames == twice

    def test_escaped_text_is_the_same_text(self, ingest: Ingest) -> None:
        escaped = event(trunk="北京-1")
        plain = json.dumps({**GOOD, "trunk": "北京-1"}, ensure_ascii=False).encode()
        assert b"\\u" in escaped
        assert ingest([record(escaped)]).frames == ingest([record(plain)]).frames

    def test_of_duplicate_keys_the_last_counts(self, ingest: Ingest) -> None:
        twice = event(id="first")[:-1] + b',"id":"last"}'
        assert ids(ingest([record(twice)])) == ["last"]
        assert ids(ingest([record(b"[" + twice + b"]")])) == ["last"]

    def test_two_messages_never_run_together(self, ingest: Ingest) -> None:
        one, two = event(id="a"), event(id="b")
        ingested = ingest([record(one + b"," + two), record(b'{"x":1'), record(b"}" + two), record(two)])
        assert ids(ingested) == ["b"]
        assert [rejection.reason for rejection in ingested.rejected] == ["malformed_json"] * 3

    def test_a_message_far_longer_than_what_is_decoded_whole(
        self, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        messages = [event(id=f"e{n}") for n in range(50)]
        expected = ingest([record(one) for one in messages]).frames
        monkeypatch.setattr(ingest, "_whole_bytes", 200)
        assert ingest([record(b"\n".join(messages))]).frames == expected
        assert ingest([record(b"[" + b",".join(messages) + b"]")]).frames == expected


REFUSED: list[tuple[str, bytes | None, str, str]] = [
    ("empty", b"", "empty_message", ""),
    ("null", None, "empty_message", ""),
    ("blank", b" \r\n\t ", "empty_message", ""),
    ("only a byte order mark", b"\xef\xbb\xbf", "empty_message", ""),
    ("not UTF-8", event(trunk="T-9").replace(b"T-9", b"T-\xff"), "not_utf8", ""),
    ("GB18030", '{"trunk":"北京"}'.encode("gb18030"), "not_utf8", ""),
    ("UTF-16", event().decode().encode("utf-16"), "not_utf8", ""),
    ("surrogate in UTF-8", event(trunk="T-9").replace(b"T-9", b"\xed\xa0\x80"), "not_utf8", ""),
    ("truncated", event()[:-20], "malformed_json", ""),
    ("truncated in a number", event(time=NOW)[: event().index(b"176") + 4], "malformed_json", ""),
    ("not JSON", b"hello", "malformed_json", ""),
    ("NaN", event().replace(str(NOW).encode(), b"NaN"), "malformed_json", ""),
    ("Infinity", event(ring_ms=7).replace(b":7", b":Infinity"), "malformed_json", ""),
    ("leading zero", event(ring_ms=7).replace(b":7", b":07"), "malformed_json", ""),
    ("NUL byte", event(trunk="T-9").replace(b"T-9", b"T\x00"), "malformed_json", ""),
    ("NUL after", event() + b"\x00", "malformed_json", ""),
    ("lone surrogate", event(trunk="T-9").replace(b"T-9", b"\\ud800"), "malformed_json", ""),
    ("low surrogate", event(trunk="T-9").replace(b"T-9", b"\\udc00"), "malformed_json", ""),
    ("single quotes", b"{'id':'e1'}", "malformed_json", ""),
    ("two on a line", event() + event(), "malformed_json", ""),
    ("array not closed", b"[", "malformed_json", ""),
    ("nesting", event(x="NEST").replace(b'"NEST"', b"[" * 1000 + b"]" * 1000), "nested_too_deep", ""),
    ("nesting bare", b"[" * 1000 + b"]" * 1000, "nested_too_deep", ""),
    ("nesting open", b'{"x":' * 100_000, "nested_too_deep", ""),
    ("nesting 65", event(x="NEST").replace(b'"NEST"', b"[" * 64 + b"]" * 64), "nested_too_deep", ""),
    ("number", b"17", "not_an_object", ""),
    ("text", b'"x"', "not_an_object", ""),
    ("null literal", b"null", "not_an_object", ""),
    ("array in array", b"[[]]", "not_an_object", ""),
    ("no id", event().replace(b'"id"', b'"ID"'), "missing_field", "id"),
    ("no callee", b'{"id":"a","type":"cdr","time":1767225600000,"caller":""}', "missing_field", "callee"),
    ("empty object", b"{}", "missing_field", "id"),
    ("number for a string", event(caller=8613800138000), "wrong_type", "caller"),
    ("string for a number", event(time=str(NOW)), "wrong_type", "time"),
    ("fraction", event(time=NOW + 0.5), "wrong_type", "time"),
    ("null for a required", event(caller=None), "wrong_type", "caller"),
    ("object for a string", event(trunk={"name": "T"}), "wrong_type", "trunk"),
    ("number for a boolean", event(answered=1), "wrong_type", "answered"),
    ("boolean for a number", event(cause=True), "wrong_type", "cause"),
    ("unknown type", event(type="INVITE"), "unknown_value", "type"),
    ("unknown gateway", event(gateway="domestic"), "unknown_value", "gateway"),
    ("unknown releaser", event(released_by="us"), "unknown_value", "released_by"),
    ("unknown attestation", event(attest="D"), "unknown_value", "attest"),
    ("empty attestation", event(attest=""), "unknown_value", "attest"),
    ("noa", event(caller_noa=128), "out_of_range", "caller_noa"),
    ("callee noa", event(callee_noa=-1), "out_of_range", "callee_noa"),
    ("presentation", event(presentation=4), "out_of_range", "presentation"),
    ("screening", event(screening=4), "out_of_range", "screening"),
    ("cause", event(cause=128), "out_of_range", "cause"),
    ("sip low", event(sip_code=99), "out_of_range", "sip_code"),
    ("sip high", event(sip_code=700), "out_of_range", "sip_code"),
    ("ring", event(ring_ms=-1), "out_of_range", "ring_ms"),
    ("talk", event(talk_ms=2**31), "out_of_range", "talk_ms"),
    ("beyond 64 bits", event(cause=10**30), "out_of_range", "cause"),
    ("empty id", event(id=""), "empty_field", "id"),
    ("empty callee", event(callee=""), "empty_field", "callee"),
    ("long id", event(id="x" * 129), "too_long", "id"),
    ("long caller", event(caller="a" * 10_000), "too_long", "caller"),
    ("long callee", event(callee="1" * 65), "too_long", "callee"),
    ("long trunk", event(trunk="T" * 65), "too_long", "trunk"),
    ("NUL escape", event(caller="a\x00b"), "control_character", "caller"),
    ("newline", event(trunk="T\n1"), "control_character", "trunk"),
    ("escape", event(id="\x1b[2J"), "control_character", "id"),
    ("negative time", event(time=-1), "time_out_of_range", "time"),
    ("time in seconds", event(time=NOW // 1000), "time_out_of_range", "time"),
    ("time beyond 64 bits", event(time=10**30), "time_out_of_range", "time"),
    ("far future", event(time=NOW + 86_400_000), "time_ahead", "time"),
    ("just ahead", event(time=NOW + 60_001), "time_ahead", "time"),
]


def refused_events(*but: str) -> list[Any]:
    """The cases of REFUSED that are one event on one line, without those named."""
    return [
        pytest.param(message, reason, field, id=name)
        for name, message, reason, field in REFUSED
        if message and b"\n" not in message and reason != "empty_message" and name not in but
    ]


class TestRefusals:
    @pytest.mark.parametrize(("name", "message", "reason", "field"), REFUSED, ids=[r[0] for r in REFUSED])
    def test_reason_and_field(
        self, ingest: Ingest, name: str, message: bytes | None, reason: str, field: str
    ) -> None:
        ingested = ingest([record(message)])
        assert only_rejection(ingested) == (reason, field)
        rejection = ingested.rejected[0]
        assert (rejection.topic, rejection.partition, rejection.offset, rejection.index) == ("calls", 3, 7, 0)
        assert rejection.message.endswith(".")
        assert len(rejection.message) < 500
        if field:
            assert field in rejection.message
            assert rejection.expected
        if rejection.value and field:
            assert rejection.value in rejection.message

    @pytest.mark.parametrize(("name", "message", "reason", "field"), REFUSED, ids=[r[0] for r in REFUSED])
    def test_good_neighbours_in_other_messages_go_on(
        self, ingest: Ingest, name: str, message: bytes | None, reason: str, field: str
    ) -> None:
        ingested = ingest([record(event(id="before")), record(message), record(event(id="after"))])
        assert ids(ingested) == ["after", "before"]
        assert [rejection.reason for rejection in ingested.rejected] == [reason]

    @pytest.mark.parametrize(("message", "reason", "field"), refused_events())
    def test_good_neighbours_in_other_lines_go_on(
        self, ingest: Ingest, message: bytes, reason: str, field: str
    ) -> None:
        ingested = ingest([record(event(id="before") + b"\n" + message + b"\n" + event(id="after"))])
        assert ids(ingested) == ["after", "before"]
        (rejection,) = ingested.rejected
        assert (rejection.reason, rejection.index) == (reason, 1)
        assert base64.b64decode(rejection.original) == message[: Settings().ingest.keep_original_bytes]
        assert rejection.original_bytes == len(message)

    @pytest.mark.parametrize(
        ("message", "reason", "field"),
        refused_events("array not closed", "two on a line", "NUL after", "nesting open"),
    )
    def test_good_neighbours_in_an_array_go_on(
        self, ingest: Ingest, message: bytes, reason: str, field: str
    ) -> None:
        array = b"[" + event(id="before") + b"," + message + b" , " + event(id="after") + b"]"
        ingested = ingest([record(array)])
        assert ids(ingested) == ["after", "before"]
        (rejection,) = ingested.rejected
        assert (rejection.reason, rejection.field, rejection.index) == (reason, field, 1)
        assert base64.b64decode(rejection.original).rstrip() == message

    def test_an_array_that_breaks_off(self, ingest: Ingest) -> None:
        whole = b"[" + event(id="a") + b"," + event(id="b") + b"]"
        broken = ingest([record(whole[:-9])])
        assert ids(broken) == ["a"]
        assert [(r.reason, r.index) for r in broken.rejected] == [("malformed_json", 1)]
        between = ingest([record(whole[:-1])])
        assert ids(between) == ["a", "b"]
        assert [(r.reason, r.index, r.original) for r in between.rejected] == [("malformed_json", 2, "")]

    def test_what_follows_an_array(self, ingest: Ingest) -> None:
        ingested = ingest([record(b"[" + event(id="a") + b"] trailing")])
        assert ids(ingested) == ["a"]
        assert [base64.b64decode(r.original) for r in ingested.rejected] == [b"trailing"]

    def test_damage_after_damage_is_bounded(self, ingest: Ingest) -> None:
        ingested = ingest([record(b"[" + b"{x}," * 5000 + event() + b"]")])
        assert ingested.events == 0
        assert len(ingested.rejected) == RESYNCS
        assert ingested.rejected[-1].original_bytes > 4900 * 4

    def test_a_printed_event_that_breaks_off_is_one_rejection(self, ingest: Ingest) -> None:
        printed = json.dumps(GOOD, indent=2).encode()[:-3]
        assert only_rejection(ingest([record(printed)])) == ("malformed_json", "")

    def test_time_may_be_ahead_of_its_record_by_the_setting(self, ingest: Ingest) -> None:
        assert ingest([record(event(time=NOW + 60_000))]).events == 1
        lines = event(time=NOW + 60_000) + b"\n" + event(time=NOW + 60_001)
        ingested = ingest([record(lines)])
        assert (ingested.events, [r.index for r in ingested.rejected]) == (1, [1])

    def test_without_a_record_timestamp_nothing_is_ahead(self, ingest: Ingest) -> None:
        assert ingest([record(event(time=NOW + 10**11), timestamp=None)]).events == 1

    def test_seconds_are_recognised(self, ingest: Ingest) -> None:
        (rejection,) = ingest([record(event(time=NOW // 1000))]).rejected
        assert "looks like seconds" in rejection.message

    def test_a_long_value_is_shortened_and_a_long_original_cut(self, plan: NumberingPlan) -> None:
        ingest = Ingest(plan, Settings(ingest=IngestSettings(keep_original_bytes=50)))
        message = event(caller="a" * 10_000)
        (rejection,) = ingest([record(message)]).rejected
        assert len(rejection.value) == 101
        assert base64.b64decode(rejection.original) == message[:50]
        assert (rejection.original_bytes, rejection.truncated) == (len(message), True)


class TestLimits:
    def test_a_message_too_large_is_refused_unread(self, plan: NumberingPlan) -> None:
        ingest = Ingest(plan, Settings(ingest=IngestSettings(max_message_bytes=200)))
        lines = b"\n".join([event()] * 3)
        ingested = ingest([record(lines), record(event(id="small"))])
        assert ids(ingested) == ["small"]
        assert [(r.reason, r.original_bytes) for r in ingested.rejected] == [
            ("message_too_large", len(lines))
        ]

    @pytest.mark.parametrize("form", ["lines", "array"])
    def test_events_beyond_the_limit_are_one_rejection(self, plan: NumberingPlan, form: str) -> None:
        ingest = Ingest(plan, Settings(ingest=IngestSettings(max_events_per_message=5)))
        events = [event(id=f"e{n}") for n in range(8)]
        message = b"\n".join(events) if form == "lines" else b"[" + b",".join(events) + b"]"
        ingested = ingest([record(message)])
        assert ids(ingested) == ["e0", "e1", "e2", "e3", "e4"]
        (rejection,) = ingested.rejected
        assert (rejection.reason, rejection.index) == ("too_many_events", 5)
        assert base64.b64decode(rejection.original) == message[message.index(events[5]) :]

    def test_ten_megabytes_in_one_event(self, ingest: Ingest) -> None:
        ingested = ingest([record(event(caller="a" * 10_000_000)), record(event(x="a" * 10_000_000))])
        assert ingested.events == 1
        assert [(r.reason, r.field) for r in ingested.rejected] == [("too_long", "caller")]
        assert sum(map(sys.getsizeof, msgspec.structs.astuple(ingested.rejected[0]))) < 200_000

    @pytest.mark.parametrize("form", ["lines", "array"])
    def test_a_hundred_thousand_events_in_one_message(self, ingest: Ingest, form: str) -> None:
        events = [b'{"id":"%d",' % n + event()[11:] for n in range(100_000)]
        message = b"\n".join(events) if form == "lines" else b"[" + b",".join(events) + b"]"
        held: list[int] = []
        for ingested in ingest.steps([record(message)]):
            assert ingested.rejected == []
            held.append(ingested.events)
        assert sum(held) == 100_000
        assert max(held) == STEP_EVENTS

    def test_rejections_fill_steps_too(self, ingest: Ingest) -> None:
        held = [len(ingested.rejected) for ingested in ingest.steps([record(b"{}\n" * 10_000)])]
        assert held == [STEP_EVENTS, STEP_EVENTS, 10_000 - 2 * STEP_EVENTS]

    def test_one_call_joins_the_steps(self, ingest: Ingest) -> None:
        records = [record(event(id=f"e{n:05}", trunk=f"T{n}")) for n in range(6_000)]
        assert len(list(ingest.steps(records))) == 2
        ingested = ingest(records)
        assert ids(ingested) == [f"e{n:05}" for n in range(6_000)]
        for batch in ingested.frames.values():
            order = [(row["id"], row["role"]) for row in batch.select(["id", "role"]).to_pylist()]
            assert order == sorted(order)
            for row in batch.slice(0, 20).to_pylist():
                assert row["trunk"] == f"T{int(row['id'][1:])}"

    def test_the_same_bytes_give_the_same_frames(self, plan: NumberingPlan) -> None:
        records = [record(event(id=f"e{n}", trunk=f"T{n % 7}")) for n in range(500)]
        first, second = Ingest(plan, Settings())(records), Ingest(plan, Settings())(records)
        assert [encode_frame(batch) for batch in first.frames.values()] == [
            encode_frame(batch) for batch in second.frames.values()
        ]
