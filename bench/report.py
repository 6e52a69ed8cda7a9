"""Writes what a measurement found: one JSON file for programs, one table for people."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
COLUMNS = ("system", "version", "metric", "unit", "median", "low", "high")


def row_of(
    metric: str, unit: str, values: Sequence[float], digits: int | None = None, system: str = "ringfence"
) -> dict[str, Any]:
    """A row for `write_results`: median, least and most of ``values``, rounded to ``digits`` where given."""

    def shown(value: float) -> float:
        return value if digits is None else round(value, digits)

    return {
        "system": system,
        "version": version("ringfence"),
        "metric": metric,
        "unit": unit,
        "median": shown(median(values)),
        "low": shown(min(values)),
        "high": shown(max(values)),
    }


OVER_SEEDS = {"median": "over all of the seeds together", "low and high": "of single seeds"}
"""What `row_over_seeds` gives, as a parameter of the results."""


def row_over_seeds(metric: str, unit: str, together: float, single: Sequence[float]) -> dict[str, Any]:
    """A row for `write_results` of a figure over all seeds together, and of each alone."""
    return row_of(metric, unit, single, digits=6) | {"median": round(together, 6)}


def write_results(
    name: str,
    parameters: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    results: Path = RESULTS,
    lead: str = "",
) -> Path:
    """Writes ``results/NAME.json`` and ``NAME.md`` beside it; returns the path of the JSON.

    Each row has exactly ``system, version, metric, unit, median, low, high``, the last three numbers.
    ``lead`` is Markdown that stands above the rows. Raises ValueError for a row that has not.
    """
    for row in rows:
        if set(row) != set(COLUMNS):
            raise ValueError(f"a row has {sorted(row)}; expected exactly {sorted(COLUMNS)}")
    report = {
        "name": name,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "parameters": dict(parameters),
        "rows": [{column: row[column] for column in COLUMNS} for row in rows],
    }
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{name}.json"
    path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    path.with_suffix(".md").write_text(table(report, lead))
    return path


def table(report: Mapping[str, Any], lead: str = "") -> str:
    parameters = ", ".join(f"{key} {value}" for key, value in report["parameters"].items())
    machine_text = ", ".join(str(value) for value in report["machine"].values())
    lines = [
        f"# {report['name']}",
        "",
        f"{report['date']}, commit {report['commit']}. {machine_text}.",
        *([f"Parameters: {parameters}."] if parameters else []),
        "",
        *([lead, ""] if lead else []),
        "| system | version | metric | median | low | high | unit |",
        "| --- | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for row in report["rows"]:
        figures = " | ".join(figure(row[column]) for column in ("median", "low", "high"))
        lines.append(f"| {row['system']} | {row['version']} | {row['metric']} | {figures} | {row['unit']} |")
    return "\n".join(lines) + "\n"


def figure(value: float) -> str:
    """Three significant digits where there is a fraction, thousands apart; nearly 1 is not shown as 1."""
    if 0.99 < value < 1:
        return f"{value:.6g}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def commit() -> str:
    """The short hash of the tree that was measured, marked where it had changes."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    return {
        "cpu": _cpu(),
        "cores": f"{os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"Python {platform.python_version()}",
    }


def _cpu() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
