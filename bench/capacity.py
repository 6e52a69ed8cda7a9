"""What a number of calls a second needs, from what `bench/results` measured: the table of docs/capacity.md.

    python -m bench.capacity [--attempts 1000,10000,60000,600000]

It measures nothing. `docs/capacity.md` explains the formulas; a test holds its table to these.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import NamedTuple

import orjson

from bench.report import RESULTS
from config.settings import DetectSettings, Settings
from detectors.subjects import power_of_two
from detectors.windows import BLOCK_ROW, CALLEE, CALLER

EVENTS_A_CALL = 2
"""An attempt and an end."""
ROWS_AN_EVENT = 2
"""As seen from the caller's block and from the callee's."""
USE = 0.5
"""Share of a core that is planned for: the rest is for catching up and for a worker that is gone."""
ROWS_A_PARTITION = 250_000
"""Rows a second that one partition is planned for: one thread folds it, and its neighbours may be hot."""
BYTES_AN_EVENT = 335
"""Of JSON on `calls`, as in the benchmark of `ingest`; Kafka's own framing is a few more a record."""
BYTES_A_CALLER, BYTES_A_CALLEE, BYTES_A_BLOCK = (row.itemsize + 8 for row in (CALLER, CALLEE, BLOCK_ROW))
BYTES_A_REMEMBERED_EVENT = 26
OTHER_MB = 20
"""Of a partition: lists of suspects, trails, shares."""


class Needs(NamedTuple):
    attempts: int
    partitions: int
    ingest_cores: float
    detect_cores: float
    store_cores: float
    workers: int
    partition_mb: float
    calls_tb_a_day: float
    frames_tb_a_day: float
    clickhouse_gb_a_day: float


def measured(name: str, metric: str, system: str = "", results: Path = RESULTS) -> float:
    """The median that ``bench/results/NAME.json`` has for ``metric``, of ``system`` where given.

    Raises KeyError.
    """
    report = orjson.loads((results / f"{name}.json").read_bytes())
    for row in report["rows"]:
        if row["metric"] == metric and system in ("", row["system"]):
            return float(row["median"])
    raise KeyError(f"{name}.json has no {metric!r}")


def partition_bytes(detect: DetectSettings) -> int:
    """Memory of the tables of one partition, which does not grow."""
    return (
        (BYTES_A_CALLER + BYTES_A_CALLEE) * power_of_two(detect.tracked_numbers)
        + BYTES_A_BLOCK * power_of_two(detect.tracked_blocks)
        + BYTES_A_REMEMBERED_EVENT * power_of_two(detect.remembered_events)
        + OTHER_MB * 1_000_000
    )


def needs(attempts: int, settings: Settings) -> Needs:
    """For ``attempts`` calls a second at the peak; volumes of a day at a third of it, as a day's mean is."""
    events = EVENTS_A_CALL * attempts
    rows = ROWS_AN_EVENT * events
    ingest = events / measured("ingest", "step: lines, 500 a message")
    detect = rows * (1e-9 * measured("detect", "time of a row, 1 000 000 numbers"))
    detect += rows * 1e-6 * measured("ingest", "decode_frame, checked")
    server = "ClickHouse server"
    store = events / measured("store", "frames to rows of calls", server)
    store += events * 1e-6 * measured("store", "processor time of this process per call inserted", server)
    partitions = max(8, 1 << math.ceil(math.log2(max(1.0, 2 * rows / ROWS_A_PARTITION))))
    a_day = events / 3 * 86_400
    return Needs(
        attempts,
        partitions,
        ingest,
        detect,
        store,
        max(1, math.ceil((ingest + detect + store) / USE)),
        partition_bytes(settings.detect) / 1e6,
        a_day * BYTES_AN_EVENT / 1e12,
        a_day * ROWS_AN_EVENT * measured("ingest", "bytes, none") / 1e12,
        a_day * measured("store", "disk of a call", server) / 1e9,
    )


def table(attempts: list[int], settings: Settings) -> str:
    lines = [
        "| attempts/s | partitions | cores: ingest | detect | store | workers of one core | "
        "`calls` TB/day | `frames` TB/day | ClickHouse GB/day |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [_line(needs(rate, settings)) for rate in attempts]
    return "\n".join(lines)


def _line(each: Needs) -> str:
    cells = (
        f"{each.attempts:,}",
        f"{each.partitions}",
        f"{each.ingest_cores:.2f}",
        f"{each.detect_cores:.2f}",
        f"{each.store_cores:.2f}",
        f"{each.workers}",
        f"{each.calls_tb_a_day:.2f}",
        f"{each.frames_tb_a_day:.2f}",
        f"{each.clickhouse_gb_a_day:,.0f}",
    )
    return f"| {' | '.join(cells)} |".replace(",", " ")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--attempts", default="1000,10000,60000,600000")
    asked = parser.parse_args()
    sys.stdout.write(table([int(each) for each in asked.attempts.split(",")], Settings()) + "\n")


if __name__ == "__main__":
    main()
