"""The scenario suite: many seeds simulated, run and judged, in processes of their own.

A seed that was judged before by the same code under the same settings is read back, not run again.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from config.settings import Settings
from detectors.alert import content_id
from streams.evaluate.figures import Evaluation, evaluation
from streams.evaluate.outcome import Judgement
from streams.faults import Usage
from streams.simulate.suite import NamedScenario, suite_scenarios, week_scenario

Part = Literal["suite", "week"]
"""Campaigns of every kind and size, or a week of legitimate traffic alone."""

_PACKAGES = ("config", "detectors", "streams")
_SHOWN_ONLY = (
    "streams/cli/",
    "streams/evaluate/figures.py",
    "streams/evaluate/plots.py",
    "streams/evaluate/report.py",
    "streams/evaluate/tables.py",
    "streams/evaluate/targets.py",
)
"""What changes nothing about a judgement."""
_LIBRARIES = ("numpy", "river", "phonenumbers", "phone")
_HIGHEST_SEED = 1_000_000


class JudgedScenario(msgspec.Struct, frozen=True):
    name: str
    seconds: float
    judgement: Judgement


class JudgedSeed(msgspec.Struct, frozen=True):
    seed: int
    key: str
    """Of the code and the settings it was judged under."""
    scenarios: list[JudgedScenario]

    @property
    def judgements(self) -> list[Judgement]:
        return [scenario.judgement for scenario in self.scenarios]

    def evaluation(self) -> Evaluation:
        return evaluation(self.judgements)


class Halves(NamedTuple):
    """Seeds that thresholds may be tuned on, and seeds that only report."""

    tuning: list[int]
    reporting: list[int]


def scenarios(part: Part, seed: int) -> list[NamedScenario]:
    return suite_scenarios(seed) if part == "suite" else [NamedScenario("week", week_scenario(seed))]


def judged_seeds(
    part: Part,
    seeds: Sequence[int],
    settings: Settings,
    out: Path,
    jobs: int,
    told: Callable[[JudgedSeed], None] = lambda _: None,
) -> list[JudgedSeed]:
    """Every seed judged, in the order of ``seeds``, ``jobs`` at a time; each is kept in ``out`` when done.

    ``told`` hears of each as it is ready. Raises ``OSError`` where ``out`` cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    key = key_of(part, settings)
    ready: dict[int, JudgedSeed] = {}
    for seed in seeds:
        kept = _kept(_file(out, part, seed), key)
        if kept is not None:
            ready[seed] = kept
            told(kept)
    missing = [seed for seed in seeds if seed not in ready]
    for judged in _run(part, missing, key, settings, jobs):
        _keep(_file(out, part, judged.seed), judged)
        ready[judged.seed] = judged
        told(judged)
    return [ready[seed] for seed in seeds]


def judge_seed(part: Part, seed: int, key: str, settings: Settings) -> JudgedSeed:
    """One seed's scenarios, one after another, in this process."""
    from detectors.plan import NumberingPlan
    from streams.evaluate.run import judge_scenario

    plan = NumberingPlan.load(settings.numbering)
    judged = []
    for name, scenario in scenarios(part, seed):
        started = time.perf_counter()
        judgement = judge_scenario(scenario, settings, plan)
        judged.append(JudgedScenario(name, round(time.perf_counter() - started, 1), judgement))
    return JudgedSeed(seed, key, judged)


def key_of(part: Part, settings: Settings) -> str:
    """What a judgement depends on besides its seed: sources, libraries and settings."""
    return content_id([part, _code(), settings.model_dump(mode="json")])


def halves(seeds: Iterable[int], tune: str) -> Halves:
    """``seeds`` in two: ``tune`` is ``odd``, ``even`` or a list of seeds. Raises Usage."""
    if tune in ("odd", "even"):
        chosen = {seed for seed in seeds if seed % 2 == (tune == "odd")}
    else:
        chosen = set(read_seeds(tune, "--tune-seeds"))
    return Halves([s for s in seeds if s in chosen], [s for s in seeds if s not in chosen])


def read_seeds(text: str, option: str = "--seeds") -> list[int]:
    """``1-3,7`` as 1, 2, 3 and 7. Raises Usage."""
    seeds: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) < _HIGHEST_SEED):
            raise Usage(f"{option} {text}: {part.strip()!r} is no seed", "give seeds such as 1-50 or 1,3,5-9")
        seeds.update(range(int(first), int(last) + 1))
    return sorted(seeds)


def warm_up(settings: Settings) -> None:
    """Compiles what is compiled before there are processes that would each do it."""
    from detectors.fold import warm
    from detectors.plan import NumberingPlan

    NumberingPlan.load(settings.numbering)
    warm()


def _run(part: Part, seeds: Sequence[int], key: str, settings: Settings, jobs: int) -> Iterator[JudgedSeed]:
    if not seeds:
        return
    warm_up(settings)
    pool = ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=get_context("spawn"))
    try:
        running = [pool.submit(judge_seed, part, seed, key, settings) for seed in seeds]
        for done in as_completed(running):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _file(out: Path, part: Part, seed: int) -> Path:
    return out / f"{part}-{seed:03d}.json"


def _kept(path: Path, key: str) -> JudgedSeed | None:
    if not path.exists():
        return None
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=JudgedSeed)
    except msgspec.MsgspecError:
        return None
    return kept if kept.key == key else None


def _keep(path: Path, judged: JudgedSeed) -> None:
    """Whole or not at all: a run that is stopped leaves no half of a file."""
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(msgspec.json.encode(judged))
    unfinished.replace(path)


@cache
def _code() -> str:
    digest = hashlib.sha256(sys.version.encode())
    digest.update(" ".join(f"{name} {version(name)}" for name in _LIBRARIES).encode())
    root = Path(__file__).resolve().parents[2]
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            inside = path.relative_to(root).as_posix()
            if path.suffix in (".py", ".yaml", ".csv") and not inside.startswith(_SHOWN_ONLY):
                digest.update(inside.encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
