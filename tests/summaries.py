"""Summaries made of rows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from streams.wire.summaries import BITMAP_BYTES, TRAFFIC_SCHEMA, Summary, SummaryRow


def summary_of(
    partition: int, offset: int, newest: int, rows: Sequence[SummaryRow], **counts: int
) -> Summary:
    """What `detect` tells with ``rows``; ``counts`` are duplicates, late and evicted rows."""
    told = [msgspec.structs.asdict(row) | {"callees": row.callees.to_bytes(BITMAP_BYTES)} for row in rows]
    return Summary(partition, offset, newest, pa.RecordBatch.from_pylist(told, TRAFFIC_SCHEMA), **counts)
