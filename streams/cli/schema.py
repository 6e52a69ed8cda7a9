"""`ringfence schema`: the tables in ClickHouse."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from streams.cli.context import load, tell, write_json, write_table
from streams.cli.exits import NO, Usage
from streams.store.opening import open_store
from streams.store.ports import Store
from streams.store.schema import capabilities_of, ddl, model
from streams.store.upgrade import apply_schema, check_schema

NEWEST = "999"

app = typer.Typer(no_args_is_help=True, help="The tables in ClickHouse: print, apply, check.")

Config = Annotated[str | None, typer.Option(help="settings file (default: ringfence.yaml, if there)")]
Json = Annotated[bool, typer.Option("--json", help="one line of JSON")]


@app.command("print")
def print_command(
    version: Annotated[
        str, typer.Option("--for", help="ClickHouse version, such as 18.16 (default: the newest)")
    ] = NEWEST,
    database: Annotated[str, typer.Option(help="the database they go to")] = "default",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print the statements that make the tables and views, for review or to be run by hand."""
    if not version[:1].isdigit():
        raise Usage(f"--for {version}: expected a ClickHouse version", "for example --for 18.16")
    statements = ddl(database, capabilities_of(version), load(config).store)
    if as_json:
        write_json({"version": model().version, "statements": statements})
    else:
        sys.stdout.write("".join(f"{statement};\n\n" for statement in statements))


@app.command("apply")
def apply_command(config: Config = None, as_json: Json = False) -> None:
    """Bring the tables up to date. It only adds, and may be run at any time and again."""
    with _configured(config) as store:
        ran = apply_schema(store)
        if as_json:
            write_json({"version": model().version, "server": store.version(), "statements": ran})
        else:
            tell(f"ClickHouse {store.version()}: {f'{len(ran)} statements run' if ran else 'nothing to do'}")


@app.command("check")
def check_command(config: Config = None, as_json: Json = False) -> None:
    """Compare the tables with what this release expects. Ends with 1 where they differ."""
    with _configured(config) as store:
        problems = check_schema(store)
        rows = [
            {"problem": problem.what, "mended by": "ringfence schema apply" if problem.mends else "hand"}
            for problem in problems
        ]
        if as_json:
            write_json({"version": model().version, "server": store.version(), "problems": rows})
        else:
            write_table(
                ["problem", "mended by"], rows, empty=f"ClickHouse {store.version()}: as it should be"
            )
    if problems:
        raise typer.Exit(NO)


@contextlib.contextmanager
def _configured(config: str | None) -> Iterator[Store]:
    settings = load(config).store
    if not settings.url and not settings.path:
        raise Usage("no ClickHouse is configured", "set store.url, or store.path for the embedded one")
    with contextlib.closing(open_store(settings)) as store:
        yield store
