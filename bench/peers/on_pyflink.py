"""The job on Flink by PyFlink's Table API: a hopping window in SQL over JSON files, in streaming mode.

Settings as Flink's page on performance tuning of streaming aggregation advises: window table-valued functions
(which share panes between windows), and object reuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from pyflink.table import EnvironmentSettings, TableEnvironment

from bench.peers.command import Asked, run_peer
from bench.peers.job import DELAY_MS, SLIDE_MS, THRESHOLD, WINDOW_MS, Alert

SOURCE = f"""
CREATE TEMPORARY TABLE calls (
    type STRING, `time` BIGINT, caller STRING, callee STRING,
    made AS TO_TIMESTAMP_LTZ(`time`, 3),
    WATERMARK FOR made AS made - INTERVAL '{DELAY_MS // 1000}' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{path}}', 'format' = 'json')
"""
JOB = f"""
SELECT caller, window_start, COUNT(*) AS calls, COUNT(DISTINCT callee) AS callees
FROM HOP(
    TABLE calls, DESCRIPTOR(made),
    INTERVAL '{SLIDE_MS // 1000}' SECOND, INTERVAL '{WINDOW_MS // 1000}' SECOND
)
WHERE type <> 'end' AND caller <> ''
GROUP BY caller, window_start, window_end
HAVING COUNT(*) >= {THRESHOLD}
"""


def environment(workers: int) -> TableEnvironment:
    flink = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    settings = {
        "parallelism.default": str(workers),
        "pipeline.object-reuse": "true",
        "table.local-time-zone": "UTC",
        "taskmanager.memory.managed.size": "256m",
        "jobmanager.memory.heap.size": "512m",
    }
    for key, value in settings.items():
        flink.get_config().set(key, value)
    return flink


def job(asked: Asked, parts: Sequence[Path]) -> list[Alert]:
    flink = environment(asked.workers)
    path = parts[0] if len(parts) == 1 else parts[0].parent
    flink.execute_sql(SOURCE.format(path=path.resolve().as_uri()))
    alerts = []
    with flink.execute_sql(JOB).collect() as rows:
        for caller, start, calls, callees in rows:
            alerts.append((caller, round(start.timestamp() * 1000), calls, callees))
    return alerts


if __name__ == "__main__":
    run_peer(job, version("apache-flink"))
