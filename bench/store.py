"""How many rows a second the store takes: calls and traffic, embedded and, where there is one, on a server.

`python -m bench.store [--server]` writes bench/results/store.json.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.report import write_results
from config.settings import StoreSettings
from streams.store.opening import open_store
from streams.store.ports import Rows, Store
from streams.store.step import rows_of_calls, rows_of_summary
from streams.store.upgrade import apply_schema
from streams.store.writer import Writer
from streams.wire.summaries import Summary, SummaryRow
from tests.servers import clickhouse_server
from tests.stores import BASE, LONG, calls_frame
from tests.summaries import summary_of

EVENTS = 50_000
"""Call events of one batch: a frame has each twice."""
REPEATS = 7


def main() -> None:
    rows = []
    with contextlib.closing(open_store(StoreSettings(**LONG))) as store:
        rows += measured(store, "embedded ClickHouse (chdb)")
    if "--server" in sys.argv:
        with clickhouse_server() as server, server_store(server.url) as store:
            rows += measured(store, "ClickHouse server")
    print(write_results("store", {"events": EVENTS, "repeats": REPEATS}, rows).with_suffix(".md").read_text())


@contextlib.contextmanager
def server_store(url: str) -> Iterator[Store]:
    with contextlib.closing(open_store(StoreSettings(url=url, **LONG))) as store:
        yield store


def measured(store: Store, system: str) -> list[dict[str, Any]]:
    apply_schema(store)
    frames = [calls_frame(EVENTS * 2, seed) for seed in range(REPEATS + 1)]
    version = store.version()

    def row(metric: str, unit: str, figures: list[float]) -> dict[str, Any]:
        return {
            "system": system,
            "version": version,
            "metric": metric,
            "unit": unit,
            "median": statistics.median(figures),
            "low": min(figures),
            "high": max(figures),
        }

    steps, batches = rates(lambda k: rows_of_calls(frames[k]), EVENTS)
    inserts, _ = rates(lambda k: store.insert(batches[k]), EVENTS)
    processor = [cost(lambda k=k: store.insert(batches[k])) / EVENTS * 1e6 for k in range(REPEATS)]
    summaries = [rows_of_summary(a_summary(k)) for k in range(REPEATS + 1)]
    traffic, _ = rates(lambda k: store.insert(summaries[k]), len(summaries[0]))
    return [
        row("frames to rows of calls", "rows/s", steps),
        row("insert of calls", "rows/s", inserts),
        row("processor time of this process per call inserted", "us", processor),
        row("insert of traffic", "rows/s", traffic),
        row("calls through the writer", "rows/s", [through_writer(store, batches)]),
        row("disk of a call", "bytes", [bytes_of_a_call(store)]),
    ]


def bytes_of_a_call(store: Store) -> float:
    """Compressed, once parts are merged: what the table holds then is each call once."""
    store.execute(f"OPTIMIZE TABLE {store.database}.calls FINAL")
    parts = f"database = '{store.database}' AND table = 'calls' AND active"
    taken = store.query(f"SELECT sum(data_compressed_bytes), sum(rows) FROM system.parts WHERE {parts}")
    ((size, rows),) = taken.rows
    return float(size) / float(rows)


def rates(act: Callable[[int], Any], size: int) -> tuple[list[float], list[Any]]:
    """Rows a second of each repeat but the first, and what every repeat answered."""
    figures, answers = [], []
    for k in range(REPEATS + 1):
        started = time.perf_counter()
        answers.append(act(k))
        figures.append(size / (time.perf_counter() - started))
    return figures[1:], answers


def cost(act: Callable[[], Any]) -> float:
    started = time.process_time()
    act()
    return time.process_time() - started


def through_writer(store: Store, batches: list[Rows]) -> float:
    """Rows a second of small puts, as the runner makes them, until all is acknowledged."""
    puts = [batch.part(i, i + 1_000) for batch in batches for i in range(0, EVENTS, 1_000)]
    with Writer(store, StoreSettings(**LONG)) as writer:
        started = time.perf_counter()
        for rows in puts:
            writer.put(rows)
        if not writer.flush(300):
            raise RuntimeError(writer.last_error)
        return len(puts) * 1_000 / (time.perf_counter() - started)


def a_summary(offset: int) -> Summary:
    rows = [
        SummaryRow(BASE // 1000 + i % 60, f"T-{i}", "CM", "CU", 10, 8, 4, 1, 9_000, 4, 80_000, 0)
        for i in range(EVENTS)
    ]
    return summary_of(0, offset, BASE, rows)


if __name__ == "__main__":
    main()
