"""What busy callers and blocks did in the last day: the value of a record of `candidates`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import pyarrow as pa

from detectors.candidates import FEATURES
from streams.wire.arrow import header_number, read_stream, write_stream

NAMES = tuple(feature.name for feature in FEATURES)

CANDIDATE_SCHEMA = pa.schema(
    [
        ("id", pa.uint64()),
        ("time", pa.int64()),
        ("block", pa.uint8()),
        ("number", pa.int64()),
        ("text", pa.utf8()),
        ("kind", pa.uint8()),
        ("operator", pa.utf8()),
        ("call_id", pa.utf8()),
        ("trunk", pa.utf8()),
        ("from_network", pa.utf8()),
        ("to_network", pa.utf8()),
        ("told", pa.uint8()),
        ("features", pa.list_(pa.float64(), len(FEATURES))),
    ]
)
"""``id`` hash of subject, trunk, ``time`` (of the event, ms) and counts; ``number`` of the caller, or where
``block`` is 1 the block's digits; 0 where the caller is ``text``; ``kind`` of the caller
(``detectors.calls.NumberKind``) and ``operator`` of its range; ``call_id``, trunk and networks of the call it
was counted at; ``told``: level (``detectors.shape``) at which an alert of `detect` tells of it by then;
``features`` in the order of ``detectors.candidates.FEATURES``."""


class Candidate(msgspec.Struct, frozen=True):
    """One row of CANDIDATE_SCHEMA; from ``kind`` on its columns, in their order."""

    candidate_id: str
    partition: int
    offset: int
    """Of the record of `frames` that gave rise to it."""
    time: int
    subject_type: Literal["number", "block"]
    subject: str
    """``+8613800138000``, ``+861380013*``, or the text as signalled."""
    features: dict[str, float]
    kind: int
    operator: str
    call_id: str
    trunk: str
    from_network: str
    to_network: str
    told: int


class Candidates(NamedTuple):
    """(``partition``, ``offset``) of the record of `frames` is its id; ``columns`` is in CANDIDATE_SCHEMA."""

    partition: int
    offset: int
    columns: pa.RecordBatch

    def ids(self) -> list[str]:
        return [f"{self.partition}-{id_:016x}" for id_ in self.columns.column("id").to_numpy().tolist()]

    def rows(self) -> list[Candidate]:
        """In the order in which they were told."""
        plain = zip(
            *(_values(self.columns.column(name)) for name in CANDIDATE_SCHEMA.names[1:-1]), strict=True
        )
        features = self.columns.column("features").flatten().to_numpy().reshape(-1, len(NAMES)).tolist()
        return [
            Candidate(
                id_,
                self.partition,
                self.offset,
                time,
                "block" if block else "number",
                f"+{number}*" if block else f"+{number}" if number else text,
                dict(zip(NAMES, values, strict=True)),
                *columns,
            )
            for id_, (time, block, number, text, *columns), values in zip(
                self.ids(), plain, features, strict=True
            )
        ]


def _values(column: pa.Array) -> Sequence[object]:
    values: Sequence[object] = (
        column.to_pylist() if pa.types.is_string(column.type) else column.to_numpy().tolist()
    )
    return values


def encode_candidates(candidates: Candidates) -> bytes:
    header = {"partition": str(candidates.partition), "offset": str(candidates.offset)}
    return write_stream(candidates.columns.replace_schema_metadata(header))


def decode_candidates(value: bytes) -> Candidates:
    """Raises ``BatchError`` that says what is wrong."""
    what = "record of candidates"
    columns = read_stream(value, CANDIDATE_SCHEMA, what)
    partition, offset = (header_number(columns, name, what) for name in ("partition", "offset"))
    return Candidates(partition, offset, columns)
