"""What one record of `frames` added to the traffic: the value of a record of `summaries`."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pyarrow as pa

from streams.wire.arrow import header_number, read_stream, texts_of, write_stream

COUNTS = (
    "attempts",
    "ends",
    "answered",
    "short",
    "ring_ms",
    "rings",
    "talk_ms",
    "failed",
    "busy",
    "invalid",
    "refused",
    "one_ring",
    "new_ends",
    "new_short",
    "new_fruitless",
)
"""In the order of ``detectors.sums``."""
NAMES = ("trunk", "from_network", "to_network")
BITMAP_BYTES = 32

NEW_FOUND = ("short", "fruitless")
"""In the order of ``detectors.sums``."""

_NAME = pa.dictionary(pa.int32(), pa.utf8())
TRAFFIC_SCHEMA = pa.schema(
    [
        ("second", pa.int64()),
        *((name, _NAME) for name in NAMES),
        *((name, pa.int64()) for name in COUNTS),
        ("callees", pa.binary(BITMAP_BYTES)),
        *((f"new_{which}_callees", pa.uint64()) for which in NEW_FOUND),
        *((f"new_{which}_call", pa.utf8()) for which in NEW_FOUND),
    ]
)
"""Sums over one second of event time on one trunk between one pair of networks.

``second`` since the epoch; ``short`` answered calls of at most 6 s; ``ring_ms`` over the ``rings`` ends that
gave a ring time; ``talk_ms`` over answered ends; ``failed`` to ``one_ring`` unanswered ends by cause: lost by
the network, callee busy, number does not exist, refused, given up by the caller after at most 4 s of ringing;
``callees`` a 256-bit linear-counting bitmap of callees, big-endian; ``new_ends`` ends, neither
lost nor busy, of calls by numbers that called for the first time that day and were not called, ``new_short``
those answered for at most 6 s and ``new_fruitless`` the others without a talk of more than 20 s; of these two
``…_callees`` is a bitmap of 64 bits, and ``…_call`` the ``call_id`` with the least `text_hash`.
"""

_OF_NEW = TRAFFIC_SCHEMA.names[-2 * len(NEW_FOUND) :]
ADDED = (*COUNTS[-3:], *_OF_NEW)
"""Columns that summaries of earlier releases lack."""


class SummaryRow(msgspec.Struct, frozen=True):
    """One row of TRAFFIC_SCHEMA; ``callees`` as an integer of 256 bits."""

    second: int
    trunk: str
    from_network: str
    to_network: str
    attempts: int
    ends: int
    answered: int
    short: int
    ring_ms: int
    rings: int
    talk_ms: int
    failed: int = 0
    busy: int = 0
    invalid: int = 0
    refused: int = 0
    one_ring: int = 0
    new_ends: int = 0
    new_short: int = 0
    new_fruitless: int = 0
    callees: int = 0
    new_short_callees: int = 0
    new_fruitless_callees: int = 0
    new_short_call: str = ""
    new_fruitless_call: str = ""


class Summary(NamedTuple):
    """(``partition``, ``offset``) of the record of `frames` is its id; ``traffic`` is in TRAFFIC_SCHEMA."""

    partition: int
    offset: int
    newest: int
    """Latest event time in the record, ms."""
    traffic: pa.RecordBatch
    duplicates: int = 0
    late: int = 0
    evicted: int = 0

    @property
    def attempts(self) -> int:
        return int(self.traffic.column("attempts").to_numpy().sum())

    def rows(self) -> list[SummaryRow]:
        names = [texts_of(self.traffic.column(name)) for name in NAMES]
        counts = [self.traffic.column(name).to_numpy().tolist() for name in COUNTS]
        callees = [int.from_bytes(bits) for bits in self.traffic.column("callees").to_pylist()]
        seconds = self.traffic.column("second").to_numpy().tolist()
        new = [self.traffic.column(name).to_pylist() for name in _OF_NEW]
        return [SummaryRow(*row) for row in zip(seconds, *names, *counts, callees, *new, strict=True)]


_HEADER = tuple(name for name in Summary._fields if name != "traffic")


def encode_summary(summary: Summary) -> bytes:
    header = {name: str(getattr(summary, name)) for name in _HEADER}
    return write_stream(summary.traffic.replace_schema_metadata(header))


def decode_summary(value: bytes) -> Summary:
    """Raises ``BatchError`` that says what is wrong."""
    traffic = read_stream(value, TRAFFIC_SCHEMA, "summary", ADDED)
    return Summary(traffic=traffic, **{name: header_number(traffic, name, "summary") for name in _HEADER})
