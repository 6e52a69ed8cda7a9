from __future__ import annotations

import pyarrow as pa
import pytest

from streams.store.native import block, encoded, varint


def together(column: object, type_: str) -> bytes:
    return b"".join(encoded(column, type_))


@pytest.mark.parametrize(
    ("number", "data"), [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001")]
)
def test_varint(number: int, data: str) -> None:
    assert varint(number).hex() == data


def test_strings_carry_their_length() -> None:
    assert (
        together(["a", "", "é", "x" * 200], "String")
        == b"\1a" + b"\0" + b"\2\xc3\xa9" + b"\xc8\1" + b"x" * 200
    )
    assert together(["skipped", "a", "bc"][1:], "String") == b"\1a\2bc"
    assert together(pa.array(["skipped", "a", "bc"])[1:], "String") == b"\1a\2bc"
    assert together(pa.array(["a", "b", "a"]).dictionary_encode(), "String") == b"\1a\1b\1a"
    assert together([], "String") == b""


def test_numbers_are_little_endian() -> None:
    assert together([1, -1], "Int16").hex() == "0100ffff"
    assert together([1], "DateTime").hex() == "01000000"
    assert together([0.5], "Float64").hex() == "000000000000e03f"


def test_null_map_goes_before_the_values() -> None:
    assert together([None, 7], "Nullable(Int8)").hex() == "0100" + "0007"
    assert together(pa.array([1, None], pa.int32()), "Nullable(Int16)").hex() == "0001" + "01000000"


def test_arrays_are_offsets_and_what_is_in_them() -> None:
    ends = (1).to_bytes(8, "little") + (1).to_bytes(8, "little") + (3).to_bytes(8, "little")
    assert together([["a"], [], ["b", "c"]], "Array(String)") == ends + b"\1a\1b\1c"


def test_enums_go_by_name() -> None:
    type_ = r"Enum8('' = 0, 'it\'s' = -3, 'high' = 4)"
    assert together(["high", "", "it's"], type_).hex() == "0400fd"
    assert together(pa.array(["high", "high"]).dictionary_encode(), type_).hex() == "0404"


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"column severity takes Enum8.*'grave' is none of 'low', 'high'"):
        block(["severity"], ["Enum8('low' = 1, 'high' = 2)"], [["grave"]])
    with pytest.raises(ValueError, match="column n takes Int8"):
        block(["n"], ["Int8"], [[300]])
    with pytest.raises(TypeError, match="UUID"):
        block(["n"], ["UUID"], [["x"]])


def test_chunks_are_one_column() -> None:
    assert together(pa.chunked_array([pa.array([1]), pa.array([2])]), "UInt8").hex() == "0102"


def test_block_names_its_columns() -> None:
    assert (
        b"".join(block(["n"], ["UInt8"], [[7]], head=b"\0")) == b"\1\1" + b"\1n" + b"\5UInt8" + b"\0" + b"\7"
    )
