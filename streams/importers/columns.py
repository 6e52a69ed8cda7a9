"""The map file: which column of a table of calls becomes which field of a call event, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml
from msgspec import inspect
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from streams.importers.files import ImportProblem
from streams.wire.calls import CallEvent

Unit = Literal["ms", "s", "us", "min"]
_MS = {"ms": 1.0, "s": 1_000.0, "us": 0.001, "min": 60_000.0}
_EPOCHS = {"epoch_s": 1_000.0, "epoch_ms": 1.0, "epoch_us": 0.001}
_SLOT = re.compile(r"\{value(?::0>(\d{1,2}))?\}")

FIELDS = {field.encode_name: field for field in msgspec.structs.fields(CallEvent)}


class RowProblem(Exception):
    """A cell that cannot become what the map says."""

    def __init__(self, field: str, column: str, value: str, expected: str) -> None:
        super().__init__(f'column "{column}" is {value!r}; expected {expected} for {field}')
        self.value = value


class FieldMap(BaseModel):
    """How one field is made from a row: from a column, or always the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str | None = Field(None, description="name of the column")
    constant: str | int | bool | None = Field(None, description="the value for every call; no column then")
    template: str = Field("", description="text with {value}, or {value:0>4}: padded with zeros to 4 digits")
    format: str = Field(
        "", description="of a time: epoch_s, epoch_ms, epoch_us, iso, or as strptime takes it"
    )
    zone: str = Field("UTC", description="time zone of times that name none, such as Asia/Shanghai")
    unit: Unit = Field("ms", description="of a length of time")
    least: int | None = Field(None, description="of a number: smaller ones become this (after the unit)")
    values: dict[str, str | int | bool] = Field({}, description="what each text in the column stands for")
    default: str | int | bool | None = Field(
        None, description="where the cell is empty; else the field is left out"
    )

    @model_validator(mode="after")
    def _either_column_or_constant(self) -> FieldMap:
        if (self.column is None) == (self.constant is None):
            raise ValueError("expected either column or constant")
        return self

    @field_validator("template")
    @classmethod
    def _known_slots(cls, template: str) -> str:
        if "{" in _SLOT.sub("", template) or (template and not _SLOT.search(template)):
            raise ValueError("expected text with {value} or {value:0>4} in it, and no other braces")
        return template

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("expected a time zone such as UTC or Asia/Shanghai") from error
        return zone


class ColumnMap(BaseModel):
    """A map file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: dict[str, FieldMap] = Field(description="fields of the call event")
    columns: list[str] = Field([], description="names of the columns, where the file has no header line")
    delimiter: str = Field(",", min_length=1, max_length=1, description="what parts the columns")
    encoding: str = Field("utf-8-sig", description="of the text")
    recognise: list[str] = Field([], description="columns by which a file is known where no map is given")

    @field_validator("fields")
    @classmethod
    def _fields_of_a_call_event(cls, fields: dict[str, FieldMap]) -> dict[str, FieldMap]:
        for name in fields:
            if name not in FIELDS:
                raise ValueError(f"there is no field {name!r}; expected one of {', '.join(FIELDS)}")
        for name in ("type", "time", "caller", "callee"):
            if name not in fields:
                raise ValueError(f"the field {name!r} is missing: a call event needs it")
        if not fields["time"].format and fields["time"].constant is None:
            raise ValueError("time needs a format: epoch_s, epoch_ms, epoch_us, iso, or as strptime takes it")
        return fields

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError as error:
            raise ValueError("expected an encoding that Python knows, such as utf-8 or gb18030") from error
        return encoding


def read_map(path: Path) -> ColumnMap:
    """The map file at ``path``. Raises ImportProblem."""
    try:
        return parse_map(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ImportProblem(f"{path}: {error}") from error


def parse_map(text: str, name: str) -> ColumnMap:
    """A map from the YAML of a map file. Raises ImportProblem that names the entry and what was expected."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ImportProblem(f"{name}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ImportProblem(f"{name}: expected a map of columns with the entry 'fields'")
    try:
        return ColumnMap.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the map"
        raise ImportProblem(f"{name}: {where}: {first['msg'].removeprefix('Value error, ')}") from error


@cache
def known_maps() -> tuple[ColumnMap, ...]:
    """The maps that come with the product."""
    files = sorted((resources.files("config") / "maps").iterdir(), key=lambda f: f.name)
    return tuple(parse_map(f.read_text("utf-8"), f.name) for f in files if f.name.endswith(".map.yaml"))


def recognised(header: Sequence[str]) -> ColumnMap | None:
    """The known map whose columns are all in ``header``."""
    return next((m for m in known_maps() if m.recognise and set(m.recognise) <= set(header)), None)


Row = Sequence[str]
Reader = Callable[[Row], Any]
"""A field's value from a row; None: not given. Raises RowProblem."""


def field_readers(columns: ColumnMap, header: Sequence[str], name: str) -> dict[str, Reader]:
    """How each field is read from a row under ``header``. Raises ImportProblem where a column is missing."""
    readers: dict[str, Reader] = {}
    for field, how in columns.fields.items():
        if how.column is None:
            readers[field] = _always(how.constant)
        elif how.column in header:
            readers[field] = _from_cell(field, how, how.column, header.index(how.column))
        else:
            raise ImportProblem(
                f'{name}: there is no column "{how.column}", which the map needs for {field};'
                f" the columns are {', '.join(repr(h) for h in header)}"
            )
    return readers


def _always(value: Any) -> Reader:
    return lambda _row: value


def _from_cell(field: str, how: FieldMap, column: str, index: int) -> Reader:
    convert = _converter(field, how)

    def read(row: Row) -> Any:
        cell = row[index].strip()
        if not cell:
            return how.default
        if how.values:
            if cell in how.values:
                return how.values[cell]
            if how.default is not None:
                return how.default
            raise RowProblem(field, column, cell, "one of " + ", ".join(map(repr, how.values)))
        try:
            return convert(cell)
        except (ValueError, OverflowError):
            raise RowProblem(field, column, cell, _expected(field, how)) from None

    return read


def _converter(field: str, how: FieldMap) -> Callable[[str], Any]:
    if field == "time":
        return _time_converter(how)
    kind = _kind_of(field)
    if kind is bool:
        return _boolean
    if kind is int:
        return _number_converter(how, _MS[how.unit] if field.endswith("_ms") else 1.0)
    if how.template:
        return _templated(how.template)
    return str


def _kind_of(field: str) -> type:
    declared = inspect.type_info(FIELDS[field].type)
    parts = declared.types if isinstance(declared, inspect.UnionType) else (declared,)
    if any(isinstance(p, inspect.BoolType) for p in parts):
        return bool
    return int if any(isinstance(p, inspect.IntType) for p in parts) else str


def _number_converter(how: FieldMap, factor: float) -> Callable[[str], int]:
    least = how.least
    if least is None:
        return lambda cell: round(float(cell) * factor)
    return lambda cell: max(least, round(float(cell) * factor))


def _templated(template: str) -> Callable[[str], str]:
    def fill(value: str) -> str:
        return _SLOT.sub(lambda slot: value.zfill(int(slot[1] or 0)), template)

    return fill


def _boolean(cell: str) -> bool:
    lowered = cell.lower()
    if lowered in ("true", "yes", "y", "1", "t"):
        return True
    if lowered in ("false", "no", "n", "0", "f"):
        return False
    raise ValueError(cell)


def _time_converter(how: FieldMap) -> Callable[[str], int]:
    if how.format in _EPOCHS:
        factor = _EPOCHS[how.format]
        return lambda cell: round(float(cell) * factor)
    zone = ZoneInfo(how.zone)
    parse = (
        datetime.fromisoformat if how.format == "iso" else lambda cell: datetime.strptime(cell, how.format)
    )

    def convert(cell: str) -> int:
        at = parse(cell)
        return round((at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC).timestamp() * 1_000)

    return convert


def _expected(field: str, how: FieldMap) -> str:
    if field == "time":
        return f"a time as {how.format}"
    kind = _kind_of(field)
    if kind is bool:
        return "true or false (yes, no, 1, 0)"
    return f"a number ({how.unit})" if field.endswith("_ms") else "a number"
