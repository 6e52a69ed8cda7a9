"""`ringfence simulate`: labelled traffic to files or to Kafka."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streams.cli.context import load, tell, write_json
from streams.cli.progress import progress_bar
from streams.faults import Usage
from streams.simulate.files import Compression, write_files
from streams.simulate.publish import Clock, publish
from streams.simulate.scenario import MONDAY_MORNING, AttackSpec, Scenario, SimulatedEvent
from streams.simulate.traffic import Simulation


def simulate_command(
    out: Annotated[
        Path | None, typer.Option(help="directory for calls, labels and campaigns", metavar="DIR")
    ] = None,
    brokers: Annotated[
        str, typer.Option(help="host:port of Kafka: send to the topic calls as time passes")
    ] = "",
    minutes: Annotated[float, typer.Option(help="how long the traffic lasts")] = 20.0,
    rate: Annotated[float, typer.Option(help="legitimate calls a second")] = 180.0,
    seed: Annotated[int, typer.Option(help="the same seed gives the same traffic")] = 1,
    attacks: Annotated[
        str, typer.Option(help="all, none, or kinds such as burst,flood:2 (with intensity 2)")
    ] = "all",
    start: Annotated[int | None, typer.Option(help="time of the first call, ms (Kafka: now)")] = None,
    events: Annotated[int | None, typer.Option(help="stop after this many events", min=1)] = None,
    compress: Annotated[Compression, typer.Option(help="none, gz or zst")] = "none",
    json: Annotated[bool, typer.Option("--json", help="the summary as JSON")] = False,
) -> None:
    """Write labelled traffic: ordinary calls, and attacks of every kind.

    DIR gets calls.ndjson, labels.csv (call_id,campaign,kind), campaigns.json, directory.json, lists.ndjson.
    """
    if out is None and not brokers:
        raise Usage("nowhere to write to", "give --out DIR, --brokers HOST:PORT, or both")
    if start is None:
        start = Clock().now() if brokers else MONDAY_MORNING
    try:
        scenario = Scenario(
            seed=seed, start_ms=start, minutes=minutes, calls_per_second=rate, attacks=parse_attacks(attacks)
        )
    except ValueError as error:
        raise Usage(str(error)) from error
    summary = _simulate(scenario, out, brokers, events, compress)
    if json:
        write_json(summary)
    else:
        tell(_sentence(summary))


def parse_attacks(text: str) -> list[AttackSpec] | Literal["all", "none"]:
    """``all``, ``none``, or a list of kinds, each with its intensity after a colon where it is not 1."""
    if text == "all":
        return "all"
    if text == "none":
        return "none"
    return [_attack(part.strip()) for part in text.split(",")]


def _attack(text: str) -> AttackSpec:
    kind, colon, intensity = text.partition(":")
    try:
        factor = float(intensity) if colon else 1.0
    except ValueError:
        raise ValueError(
            f"--attacks {text}: intensity {intensity!r}: expected a number such as 0.5"
        ) from None
    try:
        return AttackSpec(kind, intensity=factor)
    except ValueError as error:
        raise ValueError(f"--attacks {text}: {error}") from error


def _simulate(
    scenario: Scenario, out: Path | None, brokers: str, limit: int | None, compression: Compression
) -> dict[str, Any]:
    simulation = Simulation(scenario)
    counted = _Counted(itertools.islice(simulation.traffic(), limit))
    stream: Iterable[SimulatedEvent] = counted
    with progress_bar() as progress:
        task = progress.add_task("simulating", total=scenario.end_ms - scenario.start_ms)

        def told(time: int) -> None:
            progress.update(task, completed=time - scenario.start_ms)

        if out is not None:
            stream = write_files(simulation, stream, out, compression, told)
        if brokers:
            publish(stream, brokers, f"{load().kafka.topic_prefix}calls")
        else:
            deque(stream, maxlen=0)
    return {
        "events": counted.events,
        "attack_events": counted.attacks,
        "campaigns": len(simulation.campaigns()),
        "start": scenario.start_ms,
        "minutes": scenario.minutes,
        "seed": scenario.seed,
        "out": str(out) if out else None,
        "brokers": brokers or None,
    }


class _Counted:
    def __init__(self, events: Iterable[SimulatedEvent]) -> None:
        self._events = events
        self.events = self.attacks = 0

    def __iter__(self) -> Iterator[SimulatedEvent]:
        for simulated in self._events:
            self.events += 1
            self.attacks += bool(simulated.campaign)
            yield simulated


def _sentence(summary: dict[str, Any]) -> str:
    where = " and ".join(
        filter(None, (summary["out"], summary["brokers"] and f"Kafka at {summary['brokers']}"))
    )
    return (
        f"{summary['events']} events, of which {summary['attack_events']} belong"
        f" to {summary['campaigns']} campaigns, written to {where}"
    )
