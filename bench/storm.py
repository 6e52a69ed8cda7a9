"""Storms with many seeds on real Kafka and ClickHouse: whether any changed anything, and what they cost.

``python -m bench.storm --seeds 1-5`` adds to the reports in ``--reports`` (one file a storm) and makes the
results of all that are there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from bench.report import write_results
from streams.chaos.schedule import MEANING
from streams.chaos.storm import Plan, Storm
from tests.servers import clickhouse_server, kafka_server

SESSION_MS = 6_000
PARTITIONS = 4


def main() -> int:
    asked = _arguments()
    asked.reports.mkdir(parents=True, exist_ok=True)
    for seed in _seeds(asked.seeds):
        plan = Plan(seed, asked.minutes, asked.workers, asked.lanes or (1 if seed % 2 else PARTITIONS))
        print(f"== {plan}", file=sys.stderr, flush=True)
        report = _blown(plan, asked.reports)
        name = f"storm-{seed}-{plan.workers}-{plan.lanes}.json"
        (asked.reports / name).write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    storms = [orjson.loads(path.read_bytes()) for path in sorted(asked.reports.glob("storm-*.json"))]
    _written(storms)
    return 0 if all(storm["holds"] for storm in storms) else 1


def _seeds(text: str) -> range:
    """``3``, ``3-7``, or nothing: then the results are only made anew."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1) if text else range(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seeds", default="1-3", help="one, the first and the last of several, or empty: none"
    )
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--lanes", type=int, default=0, help="0: one for odd seeds, four for even ones")
    parser.add_argument("--reports", type=Path, default=Path(tempfile.gettempdir()) / "ringfence-storms")
    return parser.parse_args()


def _blown(plan: Plan, reports: Path) -> dict[str, Any]:
    name = f"storm_{plan.seed}_{plan.lanes}"
    logs = reports / f"logs-{plan.seed}-{time.time_ns() // 1_000_000_000}"
    logs.mkdir()
    with kafka_server() as kafka, clickhouse_server() as clickhouse:
        given = {
            "kafka.brokers": kafka.brokers,
            "kafka.topic_prefix": f"{name}.",
            "kafka.partitions": str(PARTITIONS),
            "kafka.session_timeout_ms": str(SESSION_MS),
            "store.url": clickhouse.url.rsplit("/", 1)[0] + f"/{name}",
        }
        report = Storm(plan, given, logs, _told(), kafka, clickhouse, clickhouse).run()
    print(report.verdict, file=sys.stderr, flush=True)
    return report.as_json()


def _told() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda line: print(f"[{time.monotonic() - began:6.1f}] {line}", file=sys.stderr, flush=True)


def _written(storms: list[Mapping[str, Any]]) -> None:
    struck = Counter(blow["kind"] for storm in storms for blow in storm["blows"])
    lead = "\n".join(
        [
            "| seed | minutes | workers | lanes | blows | calls sent | alert versions | rules | differs |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
            *(_line(storm) for storm in sorted(storms, key=lambda each: (each["seed"], each["lanes"]))),
            "",
            "| blow | what it is | struck |",
            "| --- | --- | ---: |",
            *(f"| `{kind}` | {meaning} | {struck[kind]} |" for kind, meaning in MEANING.items()),
        ]
    )
    rows = [
        _row("storms that changed something", "storms", [sum(not storm["holds"] for storm in storms)]),
        _row("blows a storm", "blows", (len(storm["blows"]) for storm in storms)),
        _row("rows of frames written again", "%", map(_again, storms)),
        _row("from the call that gave an alert to its rule, at most", "s", map(_latest_rule, storms)),
        _row("worked off after the last call", "s", (storm["drained_s"] for storm in storms)),
        _row(
            "workers that ended by themselves", "workers", (storm["ended_by_themselves"] for storm in storms)
        ),
    ]
    parameters = {"storms": len(storms), "session time-out ms": SESSION_MS, "partitions": PARTITIONS}
    print(write_results("storm", parameters, rows, lead=lead))


def _line(storm: Mapping[str, Any]) -> str:
    differs = ", ".join(check["name"] for check in storm["checks"] if check["differences"]) or "nothing"
    rules = next(check["count"] for check in storm["checks"] if check["name"].startswith("rule ids"))
    cells = [
        storm["seed"],
        f"{storm['minutes']:g}",
        storm["workers"],
        storm["lanes"],
        len(storm["blows"]),
        storm["sent"],
        storm["figures"]["alert versions"],
        rules,
        differs,
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _again(storm: Mapping[str, Any]) -> float:
    figures = storm["figures"]
    return float(100 * figures["of them written again after a failure"] / figures["rows of frames"])


def _latest_rule(storm: Mapping[str, Any]) -> float:
    return float(storm["figures"]["ms from the call that gave an alert to its rule, at most"] / 1000)


def _row(metric: str, unit: str, values: Iterable[float]) -> dict[str, Any]:
    seen = list(values)
    return {
        "system": "ringfence",
        "version": version("ringfence"),
        "metric": metric,
        "unit": unit,
        "median": median(seen),
        "low": min(seen),
        "high": max(seen),
    }


if __name__ == "__main__":
    sys.exit(main())
