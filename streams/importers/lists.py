"""Entries of lists from a file: one `ListEntry` in JSON a line, as on the topic `lists`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from streams.importers.files import ImportProblem, open_binary
from streams.wire.records import ListEntry

_AT_FIELD = re.compile(r"(.*) - at `\$\.(\w+)`", re.DOTALL)


def read_lists(path: Path) -> Iterator[ListEntry]:
    """The entries of ``path``, plain, .gz or .zst. Raises ImportProblem: the line and the field."""
    decode = msgspec.json.Decoder(ListEntry).decode
    with open_binary(path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                yield decode(line)
            except (msgspec.MsgspecError, ValueError) as error:
                raise ImportProblem(
                    f"{path}, line {number}: {_said(str(error))}",
                    "expected one entry a line as in config/schemas/list-entry.json",
                ) from error


def _said(problem: str) -> str:
    at_field = _AT_FIELD.match(problem)
    return f"{at_field[2]}: {at_field[1]}" if at_field else problem
