"""The job on Spark structured streaming: JSON files, a watermark, sliding `window`s, append mode.

Exact distinct counts are refused on streams, so callees are collected to a set, which is exact too.
``variant=approx`` counts them by ``approx_count_distinct`` instead, as Spark's own message advises.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from bench.peers.command import Asked, run_peer
from bench.peers.job import DELAY_MS, SLIDE_MS, THRESHOLD, WINDOW_MS, Alert

SCHEMA = "type STRING, time BIGINT, caller STRING, callee STRING"


@cache
def session(workers: int) -> SparkSession:
    """Shuffle partitions as many as cores, the console's progress bar off; the rest are defaults."""
    return (
        SparkSession.builder.master(f"local[{workers}]")
        .config("spark.sql.shuffle.partitions", workers)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )


def alerts_of(events: DataFrame, approximate: bool) -> DataFrame:
    callees = f.approx_count_distinct("callee") if approximate else f.size(f.collect_set("callee"))
    return (
        events.where("type != 'end' AND caller != ''")
        .select("caller", "callee", f.timestamp_millis("time").alias("at"))
        .withWatermark("at", f"{DELAY_MS} milliseconds")
        .groupBy("caller", f.window("at", f"{WINDOW_MS} milliseconds", f"{SLIDE_MS} milliseconds"))
        .agg(f.count("*").alias("calls"), callees.alias("callees"))
        .where(f"calls >= {THRESHOLD}")
        .select("caller", f.unix_millis("window.start").alias("start"), "calls", "callees")
    )


def job(asked: Asked, parts: Sequence[Path]) -> list[Alert]:
    spark = session(asked.workers)
    alerts: list[Alert] = []

    def keep(batch: DataFrame, _: int) -> None:
        alerts.extend((row.caller, row.start, row.calls, row.callees) for row in batch.collect())

    with tempfile.TemporaryDirectory() as checkpoint:
        events = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(str(parts[0]))
        query = (
            alerts_of(events, asked.variant == "approx")
            .writeStream.outputMode("append")
            .foreachBatch(keep)
            .option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
    return alerts


if __name__ == "__main__":
    run_peer(job, version("pyspark"))
