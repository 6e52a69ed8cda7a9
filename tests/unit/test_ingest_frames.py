"""Frames as bytes: what is written comes back, what is damaged or of another version is refused."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from config.settings import Settings
from detectors.calls import FRAME_SCHEMA
from detectors.plan import NumberingPlan
from streams.ingest.step import Ingest
from streams.wire.arrow import BatchError
from streams.wire.frames import FRAME_BYTES, decode_frame, encode_frame, encode_frames
from streams.wire.records import SourceRecord


@pytest.fixture(scope="module")
def batch() -> pa.RecordBatch:
    """All frames of 400 events on one partition, 200 rows or so."""
    settings = Settings()
    events = [
        {
            "id": f"e{n}",
            "type": "cdr",
            "time": 1_767_225_600_000 + n,
            "caller": f"+86138001{n:05}",
            "callee": "110",
        }
        | {"trunk": f"T{n % 9}"}
        for n in range(400)
    ]
    message = "\n".join(map(json.dumps, events)).encode()
    frames = Ingest(NumberingPlan.load(settings.numbering), settings)(
        [SourceRecord(message, "calls", 0, 0, None)]
    ).frames
    return max(frames.values(), key=lambda batch: int(batch.num_rows))


def stream(*batches: pa.RecordBatch, schema: pa.Schema | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema or batches[0].schema) as writer:
        for one in batches:
            writer.write_batch(one)
    return bytes(sink.getvalue())


def test_what_is_written_comes_back(batch: pa.RecordBatch) -> None:
    back = decode_frame(encode_frame(batch))
    assert back.equals(batch)
    assert back.schema.equals(FRAME_SCHEMA)
    assert back.schema.metadata == batch.schema.metadata
    assert set(back.schema.metadata) == {b"plan_version"}


def test_a_slice_is_written_without_the_rest(batch: pa.RecordBatch) -> None:
    part = batch.slice(10, 3)
    value = encode_frame(part)
    assert decode_frame(value).to_pylist() == part.to_pylist()
    assert len(value) < len(encode_frame(batch)) / 2


def test_a_frame_without_rows(batch: pa.RecordBatch) -> None:
    assert decode_frame(encode_frame(batch.slice(0, 0))).num_rows == 0


def test_a_short_frame_is_one_value(batch: pa.RecordBatch) -> None:
    assert len(encode_frame(batch)) < FRAME_BYTES
    assert encode_frames(batch) == [encode_frame(batch)]


def test_a_long_frame_is_several_values_in_order(batch: pa.RecordBatch) -> None:
    values = encode_frames(batch, max_bytes=16_384)
    assert len(values) > 2
    assert all(len(value) <= 16_384 for value in values)
    assert [row for value in values for row in decode_frame(value).to_pylist()] == batch.to_pylist()


def test_a_row_longer_than_a_value_is_an_error(batch: pa.RecordBatch) -> None:
    with pytest.raises(BatchError, match="expected at most 1000"):
        encode_frames(batch, max_bytes=1000)


@pytest.mark.parametrize("value", [b"", b"\x00", b"hello", b'{"id":"e1"}', b"\xff" * 4096])
def test_other_bytes_are_no_frame(value: bytes) -> None:
    with pytest.raises(BatchError, match="not a frame"):
        decode_frame(value)


def test_a_frame_that_breaks_off_is_no_frame(batch: pa.RecordBatch) -> None:
    value = encode_frame(batch)
    for end in range(0, len(value) - 16, max(1, len(value) // 50)):
        with pytest.raises(BatchError):
            decode_frame(value[:end])


def test_a_damaged_byte_is_an_error_or_a_whole_frame(batch: pa.RecordBatch) -> None:
    """Damage inside numbers and letters is Kafka's checksum to find; any other is found here."""
    value = encode_frame(batch)
    refused = 0
    for position in range(0, len(value), max(1, len(value) // 400)):
        damaged = bytearray(value)
        damaged[position] ^= 0xFF
        try:
            back = decode_frame(bytes(damaged))
        except BatchError:
            refused += 1
        else:
            assert back.schema.equals(FRAME_SCHEMA)
            back.to_pylist()
    assert refused > 20


def test_another_version_is_named(batch: pa.RecordBatch) -> None:
    table = pa.table(batch)
    with pytest.raises(BatchError, match="another version: roaming is no such column"):
        decode_frame(stream(*table.drop_columns(["roaming"]).to_batches()))
    wider = table.set_column(0, pa.field("role", pa.int64(), nullable=False), table["role"].cast(pa.int64()))
    with pytest.raises(BatchError, match=r"role is .*int64.*expected .*uint8"):
        decode_frame(stream(*wider.to_batches()))
    with pytest.raises(BatchError, match="unknown columns colour"):
        decode_frame(stream(*table.append_column("colour", table["trunk"]).to_batches()))
    with pytest.raises(BatchError, match="another order"):
        decode_frame(stream(*table.select(table.column_names[::-1]).to_batches()))


def test_a_null_is_an_error(batch: pa.RecordBatch) -> None:
    at = batch.schema.get_field_index("cause")
    columns = batch.columns
    columns[at] = pa.array([None] * batch.num_rows, pa.int16())
    with pytest.raises(BatchError, match="nulls in cause"):
        decode_frame(stream(pa.RecordBatch.from_arrays(columns, schema=batch.schema)))


def test_two_batches_are_no_frame(batch: pa.RecordBatch) -> None:
    with pytest.raises(BatchError, match="2 record batches"):
        decode_frame(stream(batch, batch))
    with pytest.raises(BatchError, match="0 record batches"):
        decode_frame(stream(schema=batch.schema))


def test_a_name_outside_its_dictionary_is_an_error(batch: pa.RecordBatch) -> None:
    at = batch.schema.get_field_index("trunk")
    columns = batch.columns
    codes = pa.array([99] * batch.num_rows, pa.int32())
    columns[at] = pa.DictionaryArray.from_arrays(codes, pa.array(["T1"]), safe=False)
    with pytest.raises(BatchError, match="damaged frame"):
        decode_frame(stream(pa.RecordBatch.from_arrays(columns, schema=batch.schema)))
