"""`ingest` on generated damage: it never raises, loses nothing and treats every form of a message alike."""

from __future__ import annotations

import base64
import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from config.settings import IngestSettings, KafkaSettings, Settings
from detectors.plan import NumberingPlan
from streams.ingest.judge import NO_LATEST, Refusal, depth, judge
from streams.ingest.messages import spans
from streams.ingest.step import Ingest, Ingested
from streams.wire.frames import decode_frame, encode_frame
from streams.wire.records import SourceRecord

examples = settings(max_examples=60, deadline=None)
SCHEMA = Path(__file__).resolve().parents[2] / "config/schemas/call-event.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))
GOOD: dict[str, Any] = {
    "id": "e1",
    "type": "end",
    "time": 1_767_225_600_000,
    "caller": "+8613800138000",
    "callee": "01088886666",
    "trunk": "T-1",
    "cause": 16,
    "answered": True,
}
FIELDS = sorted(json.loads(SCHEMA.read_text())["properties"])


@cache
def ingest(partitions: int = 1) -> Ingest:
    settings = Settings(
        kafka=KafkaSettings(partitions=partitions), ingest=IngestSettings(max_message_bytes=4_000)
    )
    return Ingest(NumberingPlan.load(settings.numbering), settings)


def record(value: bytes, offset: int = 0) -> SourceRecord:
    return SourceRecord(value, "calls", 0, offset, 1_767_225_600_000)


def accepted(ingested: Ingested) -> list[str]:
    return [name for batch in ingested.frames.values() for name in batch.column("id").to_pylist()[::2]]


texts = st.text(st.characters(codec="utf-8"), max_size=12)
words = st.sampled_from(
    ["attempt", "end", "cdr", "national", "caller", "A", "", "CM", "+8613800138000", "x" * 65, "x" * 129]
)
integers = st.sampled_from(
    [0, 1, 3, 4, 16, 99, 100, 127, 128, 699, 700, 2**31 - 1, 2**31, 2**64, -1, 1_767_225_600_000]
)
values = st.one_of(
    st.none(), st.booleans(), integers, st.integers(), words, texts, st.lists(integers, max_size=3)
)
unknown = st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=6)
events = st.builds(
    lambda changes, more, missing: {
        key: value for key, value in {**GOOD, **more, **changes}.items() if key not in missing
    },
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=3),
    st.dictionaries(texts, unknown, max_size=2),
    st.sets(st.sampled_from(FIELDS), max_size=1),
)
written = st.builds(
    lambda event, ascii_: json.dumps(event, ensure_ascii=ascii_).encode(), events, st.booleans()
)
good = st.builds(lambda name: json.dumps({**GOOD, "id": name}).encode(), st.uuids().map(str))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good event with bytes changed, taken out or put in; on one line."""
    data = bytearray(draw(written))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "insert", "delete", "cut"])):
            case "change" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "insert":
                data[at:at] = draw(
                    st.sampled_from(
                        [b"{", b"}", b"[", b"]", b'"', b",", b"\\", b"\\u0000", b"\xff", b"\x00", b"1e9"]
                    )
                )
            case "delete":
                del data[at : at + draw(st.integers(1, 8))]
            case _:
                del data[at:]
    return bytes(data).replace(b"\n", b" ").replace(b"\r", b" ")


pieces = st.one_of(good, written, damaged())


@examples
@given(st.lists(pieces, min_size=1, max_size=6))
def test_messages_of_one_event_are_accepted_or_refused_one_by_one(messages: list[bytes]) -> None:
    messages = [message for message in messages if not message.lstrip().startswith(b"[")]
    ingested = ingest()([record(message, offset) for offset, message in enumerate(messages)])
    assert ingested.events + len(ingested.rejected) == len(messages)
    assert len(accepted(ingested)) == ingested.events
    for rejection in ingested.rejected:
        assert base64.b64decode(rejection.original).strip() == messages[rejection.offset].strip()


@examples
@given(st.lists(pieces, min_size=1, max_size=6))
def test_lines_give_what_single_messages_give(messages: list[bytes]) -> None:
    lines = [message for message in messages if message.strip(b" \t")]
    if not lines or lines[0].lstrip()[:1] in (b"[", b"") or lines[0].strip(b" \t") == b"{":
        lines.insert(0, json.dumps(GOOD).encode())
    message = b"\n".join(lines)
    if len(message) > 4_000:
        return
    expected = [judge(line.strip(b" \t"), NO_LATEST) for line in lines]
    ingested = ingest()([record(message)])
    assert accepted(ingested) == [event.id for event in expected if not isinstance(event, Refusal)]
    refused = {index: event for index, event in enumerate(expected) if isinstance(event, Refusal)}
    assert {rejection.index: rejection.reason for rejection in ingested.rejected} == {
        index: event.reason for index, event in refused.items()
    }


@examples
@given(st.lists(written, min_size=1, max_size=6))
def test_an_array_gives_what_single_messages_give(messages: list[bytes]) -> None:
    array = b"[" + b",".join(messages) + b"]"
    if len(array) > 4_000:
        return
    apart = ingest()([record(message) for message in messages])
    together = ingest()([record(array)])
    assert together.frames == apart.frames
    assert [(r.reason, r.field, r.original) for r in together.rejected] == [
        (r.reason, r.field, r.original) for r in apart.rejected
    ]


@examples
@given(st.lists(good, max_size=3), damaged(), st.lists(good, max_size=3))
def test_damage_in_an_array_leaves_what_stands_before_it(
    before: list[bytes], bad: bytes, after: list[bytes]
) -> None:
    ingested = ingest()([record(b"[" + b",".join([*before, bad, *after]) + b"]")])
    names = [json.loads(event)["id"] for event in before]
    assert accepted(ingested)[: len(names)] == names


@examples
@given(st.lists(good, max_size=3), written, st.lists(good, max_size=3), st.integers(1, 40))
def test_an_array_that_breaks_off_keeps_its_whole_events(
    before: list[bytes], last: bytes, after: list[bytes], cut: int
) -> None:
    array = b"[" + b",".join([*before, last, *after]) + b"]"
    ingested = ingest()([record(array[:-cut])])
    names = [json.loads(event)["id"] for event in before[:-1]]
    assert accepted(ingested)[: len(names)] == names
    assert ingested.rejected


@examples
@given(st.binary(max_size=300), st.sampled_from([b"", b"[", b"{", b"\xef\xbb\xbf", b"{\n"]))
def test_any_bytes_are_refused_or_hold_nothing(junk: bytes, start: bytes) -> None:
    ingested = ingest(8)([record(start + junk)])
    assert ingested.events == 0


@examples
@given(st.one_of(damaged(), st.binary(max_size=200)), st.sampled_from([b"%s", b"[%s]", b"[%s,%s", b"%s\n%s"]))
def test_spans_are_in_order_and_leave_out_only_what_separates(piece: bytes, form: bytes) -> None:
    message = form.replace(b"%s", piece)
    found = list(spans(message))
    assert all(start <= end for start, end in found)
    assert all(one[1] <= other[0] for one, other in pairwise(found))
    left_out = bytearray(message)
    for start, end in reversed(found):
        del left_out[start:end]
    assert left_out.strip(b" \t\r\n,[]\xef\xbb\xbf") == b""


@examples
@given(st.lists(pieces, max_size=6), st.integers(1, 5))
def test_the_same_bytes_always_give_the_same(messages: list[bytes], partitions: int) -> None:
    records = [record(message, offset) for offset, message in enumerate(messages)]
    first, second = ingest(partitions)(records), ingest(partitions)(records)
    assert first == second
    for batch in first.frames.values():
        assert decode_frame(encode_frame(batch)).equals(batch)


@examples
@given(events)
def test_the_schema_and_the_code_agree(event: dict[str, Any]) -> None:
    """But for control characters, which no schema here speaks of."""
    judged = judge(json.dumps(event).encode(), NO_LATEST)
    if isinstance(judged, Refusal) and judged.reason == "control_character":
        return
    assert VALIDATOR.is_valid(event) == (not isinstance(judged, Refusal))


@examples
@given(unknown)
def test_depth_is_that_of_the_value(value: Any) -> None:
    def deep(part: Any) -> int:
        if not isinstance(part, dict | list):
            return 0
        inner = part.values() if isinstance(part, dict) else part
        return 1 + max(map(deep, inner), default=0)

    assert depth(json.dumps(value, ensure_ascii=False).encode()) == deep(value)
