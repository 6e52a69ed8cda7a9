"""`ringfence config`: the settings."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from config.loading import Loaded, shown, suspects
from config.reference import allowed, entries, generated, settings_markdown, settings_yaml
from streams.cli.context import load_with_origins, tell, write_json, write_table
from streams.cli.pages import detector_pages
from streams.faults import Usage

app = typer.Typer(help="Settings.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="as JSON")]


@app.command()
def show(json: Json = False) -> None:
    """Print what is in force and where it came from."""
    loaded = load_with_origins()
    rows = [
        {"name": entry.name, "value": value_of(loaded, entry.name), "origin": loaded.origins[entry.name]}
        for entry in entries()
    ]
    if json:
        write_json(rows)
    else:
        write_table(["name", "value", "origin"], rows)


@app.command()
def check() -> None:
    """Say whether the settings are right.

    Exit code 2, and a sentence for each that is not.
    """
    loaded = load_with_origins()
    for suspect in suspects(os.environ):
        tell(f"ringfence: {suspect}")
    changed = sum(origin != "default" for origin in loaded.origins.values())
    typer.echo(f"the settings are right: {changed} given, {len(loaded.origins) - changed} at their defaults")


@app.command()
def reference(
    yaml: Annotated[
        bool, typer.Option("--yaml", help="as an annotated ringfence.yaml to start from")
    ] = False,
    json: Json = False,
    write: Annotated[bool, typer.Option("--write", help="write the files of the source tree anew")] = False,
) -> None:
    """Print every setting there is.

    Its name, its default, what is allowed, what it is for.
    """
    if write:
        write_generated()
    elif json:
        write_json(
            [
                {
                    "name": entry.name,
                    "variable": entry.variable,
                    "default": entry.default,
                    "allowed": allowed(entry),
                    "description": entry.description,
                }
                for entry in entries()
            ]
        )
    else:
        typer.echo(settings_yaml() if yaml else settings_markdown(), nl=False)


def value_of(loaded: Loaded, name: str) -> object:
    """The value in force, without passwords."""
    value: object = loaded.settings
    for part in name.split("."):
        value = getattr(value, part)
    return shown(value) if isinstance(value, str) else value


def write_generated() -> None:
    for path, text in (generated() | detector_pages()).items():
        if not path.parent.is_dir():
            raise Usage(f"there is no {path.parent} to write to", "run this in a checkout of the source")
        path.write_text(text, encoding="utf-8")
        tell(f"wrote {path}")
