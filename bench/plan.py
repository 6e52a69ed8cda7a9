"""Measures the numbering plan and the normaliser: `python -m bench.plan` writes results/plan.json."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import phonenumbers

from bench.report import write_results
from config.settings import NumberingSettings
from detectors.numbering import Normaliser
from detectors.plan import NumberingPlan, plan_lookup
from detectors.plan_build import compile_plan, read_segments

NUMBERS = 1_000_000
TEXTS = 100_000
REPEATS = 7


def seconds(work: Callable[[], Any], repeats: int = REPEATS) -> list[float]:
    """Of each repeat, after one that does not count."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def row(system: str, metric: str, unit: str, values: list[float]) -> dict[str, Any]:
    return {
        "system": system,
        "version": version("ringfence" if system == "ringfence" else system),
        "metric": metric,
        "unit": unit,
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
    }


def rate(system: str, metric: str, count: int, taken: list[float]) -> dict[str, Any]:
    return row(system, metric, "per second", [count / t for t in taken])


def mobiles(random: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
    segments = read_segments().numbers.astype(np.int64)
    return 86 * 10**11 + random.choice(segments, NUMBERS) * 10_000 + random.integers(0, 10_000, NUMBERS)


def load_times() -> list[dict[str, Any]]:
    compiling = seconds(lambda: compile_plan(86, None), 5)
    with tempfile.TemporaryDirectory() as directory, patch.dict("os.environ", RINGFENCE_CACHE_DIR=directory):
        loading = seconds(lambda: NumberingPlan.load(NumberingSettings()))
        size = sum(path.stat().st_size for path in Path(directory).iterdir())
    return [
        row("ringfence", "compile the plan", "s", compiling),
        row("ringfence", "load the plan from its cache", "s", loading),
        row("ringfence", "cache file", "bytes", [size]),
    ]


def main() -> None:
    plan = NumberingPlan.load(NumberingSettings())
    random = np.random.default_rng(1)
    china = mobiles(random)
    anywhere = random.integers(10**9, 10**13, NUMBERS)
    columns = plan.lookup(china)
    rows = load_times()
    rows.append(row("ringfence", "plan in memory", "bytes", [sum(table.nbytes for table in plan.tables)]))
    for name, numbers in (("mobiles of +86", china), ("random numbers", anywhere)):
        taken = seconds(lambda numbers=numbers: plan_lookup(plan.tables, numbers, *columns))  # type: ignore[misc]
        rows.append(rate("ringfence", f"look-ups of {name}, kernel", NUMBERS, taken))
    few = [
        phonenumbers.PhoneNumber(country_code=86, national_number=n % 10**11) for n in china[:5_000].tolist()
    ]
    taken = seconds(lambda: [phonenumbers.is_valid_number(number) for number in few])
    rows.append(rate("phonenumbers", "look-ups of mobiles of +86, is_valid_number", len(few), taken))

    normaliser = Normaliser(86, plan)
    nothing: list[int | None] = [None] * TEXTS
    some = china[:TEXTS].tolist()
    forms = {
        "+86…": [f"+{n}" for n in some],
        "0086…": [f"00{n}" for n in some],
        "national": [f"{n % 10**11}" for n in some],
        "extensions": [f"{n % 10_000}" for n in some],
        "SIP URIs": [f"sip:+{n}@192.0.2.1" for n in some],
        "letters": [f"user{n % 10_000}" for n in some],
    }
    for name, texts in forms.items():
        taken = seconds(lambda texts=texts: normaliser.numbers(texts, nothing, nothing))  # type: ignore[misc]
        rows.append(rate("ringfence", f"normalise {name}", TEXTS, taken))
    texts = forms["+86…"][:2_000]
    taken = seconds(lambda: [phonenumbers.parse(text) for text in texts])
    rows.append(rate("phonenumbers", "normalise +86…, parse", len(texts), taken))
    path = write_results("plan", {"numbers": NUMBERS, "texts": TEXTS, "repeats": REPEATS}, rows)
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
