"""`ringfence topics`: made and checked by hand, never by accident."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from streams.cli import exits
from streams.cli.context import load, tell, write_json, write_table
from streams.topics import Difference, check_topics, ensure_topics, topic_specs

app = typer.Typer(help="Kafka topics.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="as JSON")]


@app.command()
def create(json: Json = False) -> None:
    """Create what is missing, correct what differs.

    Another number of partitions or replicas cannot be corrected and is refused, before anything is changed.
    """
    settings = load()
    done = ensure_topics(settings)
    created = [each.topic for each in done if each.what == "missing"]
    changed = [each for each in done if each.what != "missing"]
    if json:
        write_json({"created": created, "changed": [asdict(each) for each in changed]})
        return
    for name in created:
        typer.echo(f"created {name}")
    for each in changed:
        typer.echo(f"set {each.what} of {each.topic} to {each.wanted} (was {each.actual})")
    if not done:
        typer.echo(f"all {len(topic_specs(settings))} topics are as the settings say")


@app.command()
def check(json: Json = False) -> None:
    """Compare the topics with the settings.

    Changes nothing; exit code 1 where they differ.
    """
    settings = load()
    differences = check_topics(settings)
    if json:
        write_json([asdict(each) for each in differences])
    else:
        _tell_differences(differences)
    if differences:
        raise typer.Exit(exits.NO)
    if not json:
        typer.echo(f"all {len(topic_specs(settings))} topics are as the settings say")


@app.command("list")
def list_(json: Json = False) -> None:
    """Print the topics the settings ask for."""
    rows = [
        {
            "topic": spec.name,
            "partitions": spec.partitions,
            "replication": spec.replication,
            "config": spec.config
            if json
            else " ".join(f"{key}={value}" for key, value in spec.config.items()),
        }
        for spec in topic_specs(load())
    ]
    if json:
        write_json(rows)
    else:
        write_table(["topic", "partitions", "replication", "config"], rows)


def _tell_differences(differences: list[Difference]) -> None:
    for each in differences:
        typer.echo(str(each))
    for advice in dict.fromkeys(each.do_next for each in differences):
        tell(f"what to do: {advice}")
