"""`ringfence evaluate --suite` and `--week`: simulated traffic of many seeds judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from streams.cli.context import tell, write_json
from streams.cli.progress import progress_bar
from streams.evaluate.figures import Evaluation, evaluation
from streams.evaluate.suite import Halves, JudgedSeed, Part, halves, judged_seeds, read_seeds
from streams.evaluate.targets import QUIET_TARGETS, TARGETS, Target

if TYPE_CHECKING:
    from rich.console import Console

    from config.settings import Settings

SEEDS: dict[Part, str] = {"suite": "1-50", "week": "1-3"}
OUT = Path("build/suite")


def evaluate_suite(
    part: Part,
    seeds: str | None,
    tune_seeds: str,
    jobs: int,
    out: Path,
    settings: Settings,
) -> dict[str, Evaluation]:
    """Runs the seeds and writes what they gave into ``out``; the evaluations by name."""
    chosen = read_seeds(seeds or SEEDS[part])
    split = halves(chosen, tune_seeds) if part == "suite" else Halves([], chosen)
    judged = _judged(part, chosen, settings, out, jobs)
    found = _evaluations(part, judged, split)
    _write(part, found, judged, split, out)
    return found


def show_suite(part: Part, found: dict[str, Evaluation], as_json: bool, console: Console) -> None:
    if as_json:
        write_json(msgspec.to_builtins(found))
        return
    from streams.evaluate.tables import tables

    console.print(tables(found, targets_of(part)))


def targets_of(part: Part) -> Sequence[Target]:
    return TARGETS if part == "suite" else QUIET_TARGETS


def _judged(part: Part, seeds: list[int], settings: Settings, out: Path, jobs: int) -> list[JudgedSeed]:
    with progress_bar() as progress:
        task = progress.add_task("seeds", total=len(seeds))

        def told(judged: JudgedSeed) -> None:
            progress.advance(task)
            if progress.disable:
                took = sum(scenario.seconds for scenario in judged.scenarios)
                tell(f"seed {judged.seed} judged, {took:.0f} s")

        return judged_seeds(part, seeds, settings, out, jobs, told)


def _evaluations(part: Part, judged: list[JudgedSeed], split: Halves) -> dict[str, Evaluation]:
    """The half that reports comes last."""
    if part == "week":
        return {"weeks": _together(judged)}
    named = {"tuning seeds": split.tuning, "reporting seeds": split.reporting}
    return {
        name: _together([each for each in judged if each.seed in seeds])
        for name, seeds in named.items()
        if seeds
    }


def _together(judged: list[JudgedSeed]) -> Evaluation:
    return evaluation([judgement for each in judged for judgement in each.judgements])


def _write(
    part: Part, found: dict[str, Evaluation], judged: list[JudgedSeed], split: Halves, out: Path
) -> None:
    from streams.evaluate.report import report

    seeds: list[dict[str, Any]] = [
        {"seed": each.seed, "evaluation": msgspec.to_builtins(each.evaluation())} for each in judged
    ]
    figures = {"evaluations": msgspec.to_builtins(found), "seeds": seeds}
    (out / f"{part}.json").write_bytes(
        orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    shown = [each for each in judged if each.seed in (split.reporting or split.tuning)]
    judgements = [judgement for each in shown for judgement in each.judgements]
    page = report(
        found,
        [campaign for judgement in judgements for campaign in judgement.campaigns],
        targets_of(part),
        [wrong for judgement in judgements for wrong in judgement.wrong][:100],
        {
            name: [each.evaluation().overall for each in judged if each.seed in seeds]
            for name, seeds in zip(("tuning seeds", "reporting seeds"), split, strict=True)
            if seeds
        },
    )
    (out / f"{part}.html").write_text(page, encoding="utf-8")
