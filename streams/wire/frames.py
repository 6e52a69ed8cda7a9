"""A frame as the value of a Kafka record.

Its buffers are not compressed: lz4 takes off half of the bytes and zstd 70 %, but writing then costs ten to
twenty times as much (bench/ingest.py), and Kafka compresses whole batches of records where that is wanted.
"""

from __future__ import annotations

import pyarrow as pa

from detectors.calls import FRAME_SCHEMA
from streams.wire.arrow import BatchError, read_stream, write_stream

FRAME_BYTES = 4 * 1024 * 1024
"""Longest value of a record: half of what `streams.topics` lets into `frames`."""


def encode_frame(batch: pa.RecordBatch) -> bytes:
    """``batch`` (FRAME_SCHEMA) as one value, however long."""
    return write_stream(batch)


def encode_frames(batch: pa.RecordBatch, max_bytes: int = FRAME_BYTES) -> list[bytes]:
    """``batch`` as values of at most ``max_bytes`` each: halved as often as it takes, order kept.

    Raises ``BatchError`` where a single row is longer, which no row that `ingest` makes can be unless
    ``max_bytes`` is below 16 KiB.
    """
    value = encode_frame(batch)
    if len(value) <= max_bytes:
        return [value]
    if batch.num_rows == 1:
        raise BatchError(f"a row of a frame has {len(value)} bytes; expected at most {max_bytes}")
    half = batch.num_rows // 2
    return encode_frames(batch.slice(0, half), max_bytes) + encode_frames(batch.slice(half), max_bytes)


def decode_frame(value: bytes) -> pa.RecordBatch:
    """The record batch of ``value`` in FRAME_SCHEMA. Raises ``BatchError`` that says what is wrong."""
    return read_stream(value, FRAME_SCHEMA, "frame")
