"""The job as ClickHouse SQL, by chdb, in process: a batch over the whole file, no stream."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import orjson
from chdb.session import Session

from bench.peers.command import Asked, run_peer
from bench.peers.job import SLIDE_MS, THRESHOLD, WINDOW_MS, Alert

JOB = f"""
SELECT caller, start, count() AS calls, uniqExact(callee) AS callees
FROM file('{{path}}', JSONEachRow, 'type String, time Int64, caller String, callee String')
ARRAY JOIN arrayMap(
    n -> intDiv(time, {SLIDE_MS}) * {SLIDE_MS} - n * {SLIDE_MS}, range({WINDOW_MS // SLIDE_MS})
) AS start
WHERE type != 'end' AND caller != ''
GROUP BY caller, start
HAVING calls >= {THRESHOLD}
SETTINGS max_threads = {{workers}}, input_format_skip_unknown_fields = 1,
    output_format_json_quote_64bit_integers = 0
"""


def job(asked: Asked, parts: Sequence[Path]) -> list[Alert]:
    session = Session()
    try:
        found = session.query(
            JOB.format(path=parts[0].resolve(), workers=asked.workers), "JSONCompactEachRow"
        )
        return [tuple(orjson.loads(line)) for line in found.bytes().splitlines()]
    finally:
        session.close()


if __name__ == "__main__":
    run_peer(job, version("chdb"))
