"""Twenty simulated minutes through `ringfence replay`, with kernels still to be compiled and without."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from bench.report import row_of, write_results

MINUTES = 20
WARM_RUNS = 3

row = partial(row_of, digits=1)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        _ringfence({}, "simulate", "--minutes", str(MINUTES), "--out", str(directory / "traffic"))
        cold, _ = _replay(directory)
        warm = [_replay(directory) for _ in range(WARM_RUNS)]
    seconds = [each for each, _ in warm]
    rates = [summary["events_per_second"] for _, summary in warm]
    events = warm[0][1]["events"]
    rows = [
        row("whole command, kernels compiled by it", "s", [cold]),
        row("whole command, kernels compiled before", "s", seconds),
        row("in the pipeline", "events/s", rates),
    ]
    print(write_results("replay", {"minutes": MINUTES, "events": events, "warm_runs": WARM_RUNS}, rows))


def _replay(directory: Path) -> tuple[float, dict[str, Any]]:
    calls, out = directory / "traffic" / "calls.ndjson", directory / "found"
    started = time.perf_counter()
    own_cache = {"RINGFENCE_CACHE_DIR": str(directory / "cache")}
    _ringfence(own_cache, "replay", str(calls), "--out", str(out), "--mode", "enforce")
    return time.perf_counter() - started, orjson.loads((out / "summary.json").read_bytes())


def _ringfence(environment: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "streams.cli", *arguments]
    subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
