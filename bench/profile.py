"""What `profile` costs and finds: vectors a second, bytes a trunk, surges found, false alerts over days.

    python -m bench.profile [--days N] [--seeds N]

Traffic is that of the tests (`tests/profile_traffic.py`): Poisson calls on trunks of 20, 6 and 1.5 attempts a
second at the busiest hour, a daily course from 5 % to 100 %, and a rate that wanders by 20 % beyond chance.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing import get_context
from typing import Any

from bench.cold_start import resident_bytes
from bench.detect import NoPlan, suite_frames
from bench.report import write_results
from config.settings import Settings
from detectors.alert import Alert
from streams.detect.step import Detect
from streams.profile.models import Models
from streams.profile.step import Profile, epoch_seconds
from streams.wire.candidates import decode_candidates, encode_candidates
from streams.wire.summaries import Summary
from tests.profile_traffic import START, Change, Habit, Traffic, by_hour

HABITS = {
    "busy": Habit(20, answered=0.5, diurnal=True, wobble=0.2),
    "middling": Habit(6, answered=0.4, diurnal=True, wobble=0.2),
    "small": Habit(1.5, answered=0.6, diurnal=True, wobble=0.2),
}
FACTORS = (3, 5, 10)
"""Attempts during a surge, as a multiple of the usual rate."""
SURGE_SECONDS = 120
EVERY = 3_600
"""One surge an hour on each trunk in turn, from the second epoch on."""


@dataclass
class Outcome:
    calls: int = 0
    false: list[Alert] = field(default_factory=list)
    surges: dict[int, list[float | None]] = field(default_factory=dict)
    """By factor: seconds from the start of each surge to its first alert, None where there was none."""


def planned(days: float) -> dict[Change, int]:
    """Surges and their factor, in waking hours."""
    surges = {}
    cases = [(trunk, factor) for factor in FACTORS for trunk in HABITS]
    place = 0
    for at in range(START + 3 * EVERY, START + int(days * 86_400) - EVERY, EVERY):
        if by_hour(at) < 0.2:
            continue
        trunk, factor = cases[place % len(cases)]
        usual = HABITS[trunk].rate * by_hour(at)
        surges[Change(trunk, at + 300, SURGE_SECONDS, rate=(factor - 1) * usual)] = factor
        place += 1
    return surges


def judged(seed: int, days: float, surges: dict[Change, int]) -> Outcome:
    outcome = Outcome(surges={factor: [] for factor in surges.values()})
    profile, first, alerts = Profile(Settings()), {}, {}
    seconds = range(START, START + int(days * 86_400))
    for summary in Traffic(HABITS, seed, list(surges)).summaries(seconds):
        outcome.calls += summary.attempts
        for alert in profile(summary):
            alerts[alert.alert_id] = alert
            first.setdefault(alert.alert_id, summary.newest / 1000)
    explained = set()
    for surge, factor in surges.items():
        during = [a for a in alerts.values() if overlaps(a, surge)]
        explained |= {a.alert_id for a in during}
        outcome.surges[factor].append(min((first[a.alert_id] - surge.start for a in during), default=None))
    outcome.false = [alert for name, alert in alerts.items() if name not in explained]
    return outcome


def overlaps(alert: Alert, surge: Change) -> bool:
    """Whether ``alert`` is of ``surge``; its last calls end up to a minute after it."""
    in_time = surge.start * 1000 - 60_000 <= alert.last_seen
    return (
        alert.subject.value == surge.trunk
        and in_time
        and alert.first_seen < (surge.start + surge.seconds + 60) * 1000
    )


def summaries_of(trunks: int, seconds: int) -> Iterator[Summary]:
    """Of trunks of 40 attempts a second, so that each row is a vector, beginning as an epoch ends.

    From the second second on two models are alive, as in a service that has run for an epoch.
    """
    epoch = epoch_seconds(Settings().profile)
    start = (START // epoch + 1) * epoch - 1
    habits = {f"T{number}": Habit(40) for number in range(trunks)}
    return Traffic(habits, 1).summaries(range(start, start + seconds))


def vectors_a_second() -> float:
    """Rows folded, judged and learnt in a second of processor time."""
    summaries = list(summaries_of(10, 600))
    profile = Profile(Settings())
    started = time.process_time()
    for summary in summaries:
        profile(summary)
    return sum(summary.traffic.num_rows for summary in summaries) / (time.process_time() - started)


def candidates_a_second() -> float:
    """Busy callers and blocks that `behaviour` and `reputation` judge in a second of processor time."""
    detect, models = Detect(0, Settings(), NoPlan()), Models(Settings())
    told = [detect(frame, offset).candidates for offset, frame in enumerate(suite_frames(20_000))]
    values = [encode_candidates(candidates) for candidates in told if candidates is not None]
    started = time.process_time()
    for value in values:
        models.told(decode_candidates(value))
    return models.candidates / (time.process_time() - started)


def bytes_a_trunk(trunks: int) -> float:
    """What one more trunk that has filled its windows costs, in both models together."""
    few, many = 20, 20 + trunks
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return (
            pool.submit(resident_after, many).result() - pool.submit(resident_after, few).result()
        ) / trunks


def resident_after(trunks: int) -> int:
    profile = Profile(Settings())
    for summary in summaries_of(trunks, 300):
        profile(summary)
    gc.collect()
    return resident_bytes(os.getpid())


def spread(values: Iterable[float]) -> tuple[float, float, float]:
    found = sorted(values)
    return statistics.median(found), found[0], found[-1]


def row(metric: str, unit: str, values: Iterable[float]) -> dict[str, Any]:
    median, low, high = spread(values)
    return {
        "system": "profile",
        "version": f"river {version('river')}",
        "metric": metric,
        "unit": unit,
        "median": round(median, 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--days", type=float, default=1.0)
    options.add_argument("--seeds", type=int, default=3)
    chosen = options.parse_args()
    seeds = range(1, chosen.seeds + 1)
    rows = [
        row("vectors", "vectors/s", [vectors_a_second() for _ in range(3)]),
        row("candidates", "candidates/s", [candidates_a_second() for _ in range(3)]),
        row("memory of a trunk", "bytes", [bytes_a_trunk(200)]),
    ]
    quiet = [judged(seed, chosen.days, {}) for seed in seeds]
    rows.append(row("calls of ordinary traffic", "calls", [o.calls for o in quiet]))
    for severity in ("low", "medium"):
        false = [sum(a.severity == severity for a in o.false) / o.calls * 10_000 for o in quiet]
        rows.append(row(f"false {severity} alerts", "alerts per 10 000 calls", false))
    surges = planned(chosen.days)
    attacked = [judged(seed + 100, chosen.days, surges) for seed in seeds]
    for factor in FACTORS:
        runs = [o.surges.get(factor, []) for o in attacked]
        delays = [delay for run in runs for delay in run if delay is not None]
        found = [sum(d is not None for d in run) / len(run) for run in runs if run]
        if found:
            rows.append(row(f"surges to {factor} x found", "share", found))
        if delays:
            rows.append(row(f"seconds to the alert of a surge to {factor} x", "s", delays))
    parameters = {"days": chosen.days, "seeds": list(seeds), "surges": len(surges), "trunks": sorted(HABITS)}
    path = write_results("profile", parameters, rows)
    for found_row in rows:
        print(f"{found_row['metric']:45} {found_row['median']:>12} {found_row['unit']}")
    print(path)


if __name__ == "__main__":
    main()
