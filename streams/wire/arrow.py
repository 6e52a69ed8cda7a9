"""Record batches as values of Kafka records: one Arrow IPC stream with one batch each.

A stream describes itself, so ClickHouse, Flink or Spark read it as it is.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class BatchError(ValueError):
    """Bytes that are not the record batch that was expected."""


def write_stream(batch: pa.RecordBatch, compression: str | None = None) -> bytes:
    """``batch``, of any schema, as one Arrow IPC stream; ``compression`` ``lz4``, ``zstd`` or None."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def read_stream(value: bytes, schema: pa.Schema, what: str, added: Collection[str] = ()) -> pa.RecordBatch:
    """The record batch of ``value``, checked: ``schema`` but for its metadata, no nulls, offsets and names
    within bounds. Where all columns ``added`` by a later release are missing they are zeros and empty texts.

    Raises ``BatchError`` that says why it is no ``what``.
    """
    try:
        with pa.ipc.open_stream(value) as reader:
            is_earlier = bool(added) and not set(added) & set(reader.schema.names)
            _check_schema(reader.schema, _without(schema, added) if is_earlier else schema, what)
            batches = list(reader)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise BatchError(f"not a {what}: {len(value)} bytes that Arrow cannot read ({error})") from error
    if len(batches) != 1:
        raise BatchError(f"not a {what}: {len(batches)} record batches; expected 1")
    _check_batch(batches[0], what)
    return _completed(batches[0], schema) if is_earlier else batches[0]


def _without(schema: pa.Schema, names: Collection[str]) -> pa.Schema:
    return pa.schema([field for field in schema if field.name not in names])


def _completed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """``batch`` with the columns of ``schema`` that it lacks, of zeros and empty texts."""
    columns = [
        batch.column(field.name)
        if field.name in batch.schema.names
        else pa.array(["" if pa.types.is_string(field.type) else 0] * batch.num_rows, field.type)
        for field in schema
    ]
    return pa.record_batch(columns, schema=schema.with_metadata(batch.schema.metadata))


def header_number(batch: pa.RecordBatch, name: str, what: str) -> int:
    """The integer ``name`` among the metadata of the schema. Raises ``BatchError`` where it is none."""
    text = (batch.schema.metadata or {}).get(name.encode(), b"").decode(errors="replace")
    try:
        return int(text)
    except ValueError:
        raise BatchError(f"a damaged {what}: {name} is {text!r}; expected an integer") from None


def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of ``batches`` (at least one) in one, under the metadata of the first."""
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()[0]


def texts_of(column: pa.DictionaryArray, rows: npt.NDArray[np.int64] | slice = slice(None)) -> list[str]:
    """The texts of ``rows`` of a dictionary column."""
    names = column.dictionary.to_pylist()
    return [names[index] for index in column.indices.to_numpy()[rows].tolist()]


def _check_schema(found: pa.Schema, schema: pa.Schema, what: str) -> None:
    if found.equals(schema):
        return
    for field in schema:
        at = found.get_field_index(field.name)
        there = f"{found.field(at)}" if at >= 0 else "no such column"
        if at < 0 or not found.field(at).equals(field):
            raise BatchError(f"a {what} of another version: {field.name} is {there}; expected {field}")
    unknown = ", ".join(name for name in found.names if name not in schema.names)
    odd = f"unknown columns {unknown}" if unknown else "columns in another order"
    raise BatchError(f"a {what} of another version: {odd}; expected {len(schema)} columns")


def _check_batch(batch: pa.RecordBatch, what: str) -> None:
    try:
        batch.validate(full=True)
    except pa.ArrowException as error:
        raise BatchError(f"a damaged {what}: {error}") from error
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count:
            raise BatchError(f"a damaged {what}: {column.null_count} nulls in {name}; expected none")
