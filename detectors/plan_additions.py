"""Additions to the numbering plan from a CSV: the shipped ones of a country, then an operator's own.

Columns, in any order: ``prefix`` (digits, country code first), ``lengths`` (digits of the whole number
with its country code: ``13``, ``12-13``, ``11 13``), ``kind``, ``operator``, ``province``, ``status``.
Lines that start with ``#`` are comments. What each status does is in docs/numbers.md.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from detectors.calls import NumberKind

COLUMNS = ("prefix", "lengths", "kind", "operator", "province", "status")
STATUSES = ("allocated", "unallocated", "service", "emergency")
KINDS = {kind.name.lower(): kind for kind in NumberKind if kind is not NumberKind.UNKNOWN}
MAX_DIGITS = 15
"""Digits of an E.164 number, country code included (ITU-T E.164, section 6)."""


class PlanError(ValueError):
    """An addition that cannot be used; the message names file, line, field, value and what is allowed."""


@dataclass(frozen=True)
class Addition:
    prefix: str
    lengths: tuple[int, ...]
    """Empty: whatever length the plan has."""
    kind: NumberKind
    operator: str
    province: str
    status: str


def read_additions(path: Path) -> list[Addition]:
    """The additions of a CSV file in UTF-8, in order. Raises ``PlanError``."""
    return [_addition(row, f"{path}, line {n}") for n, row in _rows(contents(path).splitlines(), str(path))]


def contents(path: Path) -> str:
    """The text of a CSV file. Raises ``PlanError`` where it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8") from error


def _rows(lines: list[str], path: str) -> Iterator[tuple[int, dict[str, str]]]:
    header: list[str] | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        values = [value.strip() for value in next(csv.reader([line]))]
        if header is None:
            header = _header(values, f"{path}, line {number}")
        elif len(values) != len(header):
            raise PlanError(
                f"{path}, line {number}: {len(values)} fields, expected {len(header)} ({','.join(header)})"
            )
        else:
            yield number, dict(zip(header, values, strict=True))
    if header is None:
        raise PlanError(f"{path}: is empty, expected the header {','.join(COLUMNS)}")


def _header(values: list[str], where: str) -> list[str]:
    if sorted(values) != sorted(COLUMNS):
        raise PlanError(f"{where}: header {','.join(values)!r}, expected the columns {','.join(COLUMNS)}")
    return values


def _addition(row: dict[str, str], where: str) -> Addition:
    status = row["status"].lower()
    if status not in STATUSES:
        raise _wrong(where, "status", row["status"], " or ".join(STATUSES))
    prefix = row["prefix"].removeprefix("+")
    if not (prefix.isascii() and prefix.isdecimal() and len(prefix) <= MAX_DIGITS and prefix[0] != "0"):
        raise _wrong(where, "prefix", row["prefix"], "1 to 15 digits, country code first")
    lengths = _lengths(row["lengths"], len(prefix), where)
    if status in ("service", "emergency") and not lengths:
        raise _wrong(where, "lengths", "", f"the digits of the whole number, needed for status {status}")
    kind = row["kind"].lower()
    if kind not in KINDS and not (kind == "" and (status == "unallocated" or not lengths)):
        raise _wrong(where, "kind", row["kind"], " or ".join(KINDS))
    return Addition(
        prefix, lengths, KINDS.get(kind, NumberKind.UNKNOWN), row["operator"], row["province"], status
    )


def _lengths(text: str, least: int, where: str) -> tuple[int, ...]:
    lengths: list[int] = []
    for part in text.replace(";", " ").split():
        low, _, high = part.partition("-")
        if not (low.isdecimal() and (high or low).isdecimal()):
            raise _wrong(where, "lengths", text, "lengths such as 13, 12-13 or '11 13'")
        lengths.extend(range(int(low), min(int(high or low), 99) + 1))
    if (text and not lengths) or any(not least <= length <= MAX_DIGITS for length in lengths):
        raise _wrong(where, "lengths", text, f"from {least} (the prefix) to {MAX_DIGITS} digits, low to high")
    return tuple(sorted(set(lengths)))


def _wrong(where: str, field: str, value: str, expected: str) -> PlanError:
    return PlanError(f"{where}: {field} {value!r}, expected {expected}")
