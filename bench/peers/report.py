"""What the runs found as `bench/results/peers.json`, the table beside it, and the same in docs/peers.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.peers.systems import System
from bench.report import ROOT, figure, write_results

OURS = "ringfence kernels"
PAGE = ROOT / "docs" / "peers.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
HEAD = """\
| system | version | workers | events | events/s | events/s of a core | memory, MiB | ours is | of a core |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


@dataclass
class Run:
    """One timed run."""

    seconds: float
    cpu_seconds: float
    memory: float
    """Most that the process and those below it held at once, MiB."""


@dataclass
class Record:
    """What is known of one system."""

    system: System
    events: int = 0
    version: str = ""
    problem: str = ""
    runs: list[Run | None] = field(default_factory=list)
    """One a round; None where it gave no time."""

    @property
    def label(self) -> str:
        return f"{self.system.name}, {self.system.workers} worker{'s' * (self.system.workers > 1)}"

    def rates(self) -> list[float]:
        """Events a second of the wall clock, of each run."""
        return [self.events / run.seconds for run in self.runs if run]

    def rates_of_a_core(self) -> list[float]:
        """Events a second of processor time, of each run."""
        return [self.events / run.cpu_seconds for run in self.runs if run]

    def memory(self) -> list[float]:
        return [run.memory for run in self.runs if run]


def ratios(ours: Record | None, record: Record) -> tuple[list[float], list[float]]:
    """How many times ours is as fast, by the wall clock and by the processor, in each round of both."""
    if ours is None:
        return [], []
    both = [(one, other) for one, other in zip(ours.runs, record.runs, strict=False) if one and other]
    scale = ours.events / record.events if record.events else 0.0
    return (
        [scale * other.seconds / one.seconds for one, other in both],
        [scale * other.cpu_seconds / one.cpu_seconds for one, other in both],
    )


def report(records: Sequence[Record], parameters: Mapping[str, Any]) -> Path:
    """Writes the results and the page; returns the path of the results."""
    ours = {each.system.workers: each for each in records if each.system.name == OURS and each.runs}
    rows = [row for record in records for row in rows_of(ours.get(record.system.workers), record)]
    lead = table(records, ours)
    path = write_results("peers", parameters, rows, lead=lead)
    put_into_page(lead)
    return path


def rows_of(ours: Record | None, record: Record) -> list[dict[str, Any]]:
    wall, core = ratios(ours, record)
    figures = {
        ("events a second", "events/s"): record.rates(),
        ("events a second of a core", "events/s"): record.rates_of_a_core(),
        ("most memory", "MiB"): record.memory(),
        ("ours is so many times as fast", "times"): wall,
        ("ours is so many times as fast, of a core", "times"): core,
    }
    return [
        {
            "system": record.label,
            "version": record.version,
            "metric": metric,
            "unit": unit,
            "median": statistics.median(values),
            "low": min(values),
            "high": max(values),
        }
        for (metric, unit), values in figures.items()
        if values
    ]


def table(records: Sequence[Record], ours: Mapping[int, Record]) -> str:
    streaming = [each for each in records if each.system.streaming]
    batch = [each for each in records if not each.system.streaming]
    lines = [HEAD, *(line_of(each, ours.get(each.system.workers)) for each in streaming if each.runs)]
    if any(each.runs for each in batch):
        lines += ["\nNot streaming, the whole input as one batch:\n\n", HEAD]
        lines += [line_of(each, ours.get(each.system.workers)) for each in batch if each.runs]
    failed = [each for each in records if each.problem]
    if failed:
        lines.append("\nWithout a time, or with fewer runs:\n\n")
        lines += [f"- {each.label}: {each.problem}.\n" for each in failed]
    return "".join(lines).rstrip()


def line_of(record: Record, ours: Record | None) -> str:
    wall, core = ratios(ours, record)
    cells = [
        record.system.name,
        record.version,
        str(record.system.workers),
        f"{record.events:,}",
        spread(record.rates()),
        spread(record.rates_of_a_core()),
        figure(statistics.median(record.memory() or [0])),
        f"{spread(wall)} ×" if wall else "",
        f"{spread(core)} ×" if core else "",
    ]
    return f"| {' | '.join(cells)} |\n"


def spread(values: Sequence[float]) -> str:
    """The median, with the lowest and highest where there are several."""
    if not values:
        return ""
    middle = figure(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({figure(min(values))} to {figure(max(values))})"


def put_into_page(lead: str) -> None:
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{lead}\n\n{END}{after}")
