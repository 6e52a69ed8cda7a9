"""A frame as the value of a Kafka record: one Arrow IPC stream with one record batch.

The stream describes itself, so ClickHouse, Flink or Spark read it as it is. Its buffers are not compressed:
lz4 takes off half of the bytes and zstd 70 %, but writing then costs ten to twenty times as much
(bench/ingest.py), and Kafka compresses whole batches of records where that is wanted.
"""

from __future__ import annotations

import pyarrow as pa

from detectors.calls import FRAME_SCHEMA

FRAME_BYTES = 4 * 1024 * 1024
"""Longest value of a record: half of what `streams.topics` lets into `frames`."""


class FrameError(ValueError):
    """Bytes that are no frame, or one of another version of the schema."""


def encode_frame(batch: pa.RecordBatch) -> bytes:
    """``batch`` (FRAME_SCHEMA) as one value, however long."""
    return ipc_stream(batch)


def ipc_stream(batch: pa.RecordBatch, compression: str | None = None) -> bytes:
    """``batch``, of any schema, as one Arrow IPC stream; ``compression`` ``lz4``, ``zstd`` or None."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def encode_frames(batch: pa.RecordBatch, max_bytes: int = FRAME_BYTES) -> list[bytes]:
    """``batch`` as values of at most ``max_bytes`` each: halved as often as it takes, order kept.

    Raises ``FrameError`` where a single row is longer, which no row that `ingest` makes can be unless
    ``max_bytes`` is below 16 KiB.
    """
    value = encode_frame(batch)
    if len(value) <= max_bytes:
        return [value]
    if batch.num_rows == 1:
        raise FrameError(f"a row of a frame has {len(value)} bytes; expected at most {max_bytes}")
    half = batch.num_rows // 2
    return encode_frames(batch.slice(0, half), max_bytes) + encode_frames(batch.slice(half), max_bytes)


def decode_frame(value: bytes) -> pa.RecordBatch:
    """The record batch of ``value``, checked: FRAME_SCHEMA, no nulls, text and names within bounds.

    Raises ``FrameError`` that says what is wrong.
    """
    try:
        with pa.ipc.open_stream(value) as reader:
            _check_schema(reader.schema)
            batches = list(reader)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise FrameError(f"not a frame: {len(value)} bytes that Arrow cannot read ({error})") from error
    if len(batches) != 1:
        raise FrameError(f"not a frame: {len(batches)} record batches; expected 1")
    _check_batch(batches[0])
    return batches[0]


def _check_schema(schema: pa.Schema) -> None:
    if schema.equals(FRAME_SCHEMA):
        return
    for field in FRAME_SCHEMA:
        at = schema.get_field_index(field.name)
        found = f"{schema.field(at)}" if at >= 0 else "no such column"
        if at < 0 or not schema.field(at).equals(field):
            raise FrameError(f"a frame of another version: {field.name} is {found}; expected {field}")
    unknown = ", ".join(name for name in schema.names if name not in FRAME_SCHEMA.names)
    found = f"unknown columns {unknown}" if unknown else "columns in another order"
    raise FrameError(f"a frame of another version: {found}; expected {len(FRAME_SCHEMA)} columns")


def _check_batch(batch: pa.RecordBatch) -> None:
    try:
        batch.validate(full=True)
    except pa.ArrowException as error:
        raise FrameError(f"a damaged frame: {error}") from error
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count:
            raise FrameError(f"a damaged frame: {column.null_count} nulls in {name}; expected none")
