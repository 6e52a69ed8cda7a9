"""Rows of a frame as calls, one at a time. What rows share is decoded once a frame, when first asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from detectors.shape import Call


class Rows:
    """The calls of ``batch`` (FRAME_SCHEMA) by row."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._cells: list[Callable[[int], Any]] = []

    def __getitem__(self, row: int) -> Call:
        if not self._cells:
            self._cells = [_cells(self._batch.column(name)) for name in Call._fields]
        return Call(*[cell(row) for cell in self._cells])


def _cells(column: pa.Array) -> Callable[[int], Any]:
    """Gives the Python value of a row."""
    if pa.types.is_dictionary(column.type):
        names, index = column.dictionary.to_pylist(), column.indices.to_numpy().item
        return lambda row: names[index(row)]
    if pa.types.is_string(column.type):
        return lambda row: column[row].as_py()
    value: Callable[[int], Any] = column.to_numpy().item
    return value
