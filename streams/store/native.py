"""Arrow arrays as ClickHouse's Native format: one column after the other, as the server holds it.

Both stores take it. Lists of Python objects would cost the writing process ten times as much.
The format: https://clickhouse.com/docs/interfaces/formats/Native and, for ``LowCardinality``, the sources
of ``SerializationLowCardinality``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NUMBERS: dict[str, pa.DataType] = {
    "Int8": pa.int8(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Float64": pa.float64(),
    "DateTime": pa.uint32(),
}
_ENUM_ITEM = re.compile(r"'((?:[^'\\]|\\.)*)'\s*=\s*(-?\d+)")
_LOW_CARDINALITY_VERSION = 1
_HAS_ADDITIONAL_KEYS = 1 << 9
_NEEDS_DICTIONARY = 1 << 10
_UINT32_INDEX = 2


def block(
    names: Sequence[str], types: Sequence[str], columns: Sequence[Any], head: bytes = b""
) -> list[bytes]:
    """The pieces of one block. ``types`` are ClickHouse's; ``head`` goes before the data of each column.

    Raises TypeError for a type that is not supported and ValueError for a value that does not fit it.
    """
    pieces = [varint(len(columns)), varint(len(columns[0]))]
    for name, type_, column in zip(names, types, columns, strict=True):
        try:
            data = encoded(column, type_)
        except (pa.ArrowException, KeyError, ValueError) as error:
            raise ValueError(f"column {name} takes {type_}: {error}") from error
        pieces += [_string(name), _string(type_), head, *data]
    return pieces


def encoded(column: Any, type_: str) -> list[bytes]:
    """The pieces of ``column`` (a list, an Arrow array or a chunked one) as a column of ``type_``."""
    outer, inner = _split(type_)
    prefix = [np.int64(_LOW_CARDINALITY_VERSION).tobytes()] if outer == "LowCardinality" else []
    return prefix + _data(_array(column, arrow_type(type_)), outer, inner)


def arrow_type(type_: str) -> pa.DataType:
    """What a list becomes on its way to a column of ``type_``."""
    outer, inner = _split(type_)
    match outer:
        case "Array":
            return pa.list_(arrow_type(inner))
        case "Nullable" | "LowCardinality":
            return arrow_type(inner)
        case "String" | "Enum8":
            return pa.utf8()
    if outer not in _NUMBERS:
        raise TypeError(f"columns of {type_} are not supported")
    return _NUMBERS[outer]


def varint(number: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _data(array: pa.Array, outer: str, inner: str) -> list[bytes]:
    match outer:
        case "Nullable":
            nulls = array.is_null().cast(pa.uint8()).to_numpy().tobytes()
            return [nulls, *_data(array.fill_null(0), *_split(inner))]
        case "Array":
            ends = np.cumsum(pc.list_value_length(array).to_numpy(), dtype=np.uint64)
            return [ends.tobytes(), *_data(array.flatten(), *_split(inner))]
        case "String":
            return [_strings(array)]
        case "Enum8":
            return [_enum(array, inner)]
        case "LowCardinality":
            return _low_cardinality(array)
    return [array.cast(_NUMBERS[outer]).to_numpy().tobytes()]


def _array(column: Any, wanted: pa.DataType) -> pa.Array:
    array = pa.array(column, type=wanted) if isinstance(column, list) else column
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _strings(array: pa.Array) -> bytes:
    """Each string behind its length: Arrow joins the two arrays, and its buffer is the answer."""
    texts = array.cast(pa.utf8()).cast(pa.binary())
    if not len(texts):
        return b""
    lengths = pc.binary_length(texts).dictionary_encode()
    heads = pa.array([varint(length) for length in lengths.dictionary.to_pylist()], pa.binary())
    joined = pc.binary_join_element_wise(heads.take(lengths.indices), texts, b"")
    _, offsets, data = joined.buffers()
    first, last = np.frombuffer(offsets, np.int32)[[joined.offset, joined.offset + len(joined)]]
    return bytes(data[int(first) : int(last)])


def _enum(array: pa.Array, items: str) -> bytes:
    codes = {re.sub(r"\\(.)", r"\1", name): int(code) for name, code in _ENUM_ITEM.findall(items)}
    coded = _dictionary(array)
    unknown = [value for value in coded.dictionary.to_pylist() if value not in codes]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(map(repr, codes))}")
    lookup = np.array([codes[value] for value in coded.dictionary.to_pylist()], np.int8)
    named: bytes = lookup[coded.indices.to_numpy()].tobytes()
    return named


def _low_cardinality(array: pa.Array) -> list[bytes]:
    if not len(array):
        return []
    coded = _dictionary(array)
    return [
        np.uint64(_HAS_ADDITIONAL_KEYS | _NEEDS_DICTIONARY | _UINT32_INDEX).tobytes(),
        np.uint64(len(coded.dictionary)).tobytes(),
        _strings(coded.dictionary),
        np.uint64(len(coded)).tobytes(),
        coded.indices.to_numpy().astype(np.uint32).tobytes(),
    ]


def _dictionary(array: pa.Array) -> pa.DictionaryArray:
    """``array`` with the values that occur, each once, as its dictionary."""
    return (array.cast(pa.utf8()) if pa.types.is_dictionary(array.type) else array).dictionary_encode()


def _split(type_: str) -> tuple[str, str]:
    outer, _, inner = type_.partition("(")
    return outer, inner[:-1]


def _string(text: str) -> bytes:
    data = text.encode()
    return varint(len(data)) + data
