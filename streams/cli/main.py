"""The command `ringfence`. Each command's module is loaded when it is used, so that help is quick."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup

from config.loading import SettingsError
from streams.cli import context, exits
from streams.faults import Fault


class Mounted(NamedTuple):
    """A command: ``attribute`` of ``streams.cli.module`` is its function, or a typer app of several."""

    name: str
    module: str
    attribute: str
    help: str


COMMANDS = (
    Mounted("demo", "demo", "demo_command", "The whole product here, with attacks in its traffic."),
    Mounted("run", "run", "run_command", "The service: all roles, or those named."),
    Mounted("replay", "replay", "replay_command", "Recorded calls through the same code, without a broker."),
    Mounted("evaluate", "evaluate", "evaluate_command", "Replayed and judged against labels."),
    Mounted("explain", "explain", "explain_command", "Why an alert is as it is, and what came of it."),
    Mounted("tune", "tune", "tune_command", "Thresholds from recorded calls, tried before they are used."),
    Mounted("simulate", "simulate", "simulate_command", "Labelled traffic, to files or to Kafka."),
    Mounted("import", "import_", "import_command", "Recorded calls of other formats as call events."),
    Mounted("config", "config", "app", "Settings: what is in force, whether it is right."),
    Mounted("topics", "topics", "app", "Kafka topics: create them, check them."),
    Mounted("schema", "schema", "app", "ClickHouse tables: print, apply, check them."),
    Mounted("rules", "rules", "rules_command", "What a switch sees: the live rules, followed."),
    Mounted("doctor", "doctor", "doctor_command", "What is reachable, what is wrong, what to do."),
    Mounted("chaos", "chaos", "chaos_command", "A storm of failures over a test cluster, and a verdict."),
    Mounted("warm", "warm", "warm_command", "Compile what is compiled once, for quick starts."),
)

_EPILOG = "Data goes to standard output, everything else to standard error. Exit codes: docs/commands.md."


class Commands(TyperGroup):
    """Lists commands without loading them, and loads the one that is used."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for mounted in COMMANDS:
            self.add_command(TyperCommand(mounted.name, help=mounted.help))

    def resolve_command(self, context_: Any, args: list[str]) -> Any:
        name, listed, rest = super().resolve_command(context_, args)
        return name, listed and loaded(str(name)), rest

    def invoke(self, context_: Any) -> Any:
        try:
            return super().invoke(context_)
        except BrokenPipeError:
            _forget_output()
            raise typer.Exit(exits.OK) from None


def loaded(name: str) -> Any:
    """The command itself, with the options that every command has."""
    mounted = next(each for each in COMMANDS if each.name == name)
    found = getattr(importlib.import_module(f"streams.cli.{mounted.module}"), mounted.attribute)
    holder = _plain()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
        command = cast(TyperGroup, typer.main.get_command(holder)).commands[name]
    else:
        holder.command(name)(found)
        command = typer.main.get_command(holder)
    _share(command)
    return command


def _plain() -> typer.Typer:
    """An app whose help and errors are plain text, whatever reads them."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _share(command: Any) -> None:
    """Adds ``--config`` and ``--set`` to a command, or to each of a group's, that has not its own."""
    for inner in getattr(command, "commands", {}).values():
        _share(inner)
    taken = {option for parameter in command.params for option in parameter.opts}
    for parameter in typer.main.get_command(_shared).params:
        if not taken.intersection(parameter.opts):
            parameter.expose_value = False
            command.params.append(parameter)


def _take_config(value: str | None) -> None:
    if value is not None:
        context.given.config = value


def _take_overrides(values: list[str] | None) -> None:
    context.given.overrides.update(context.parse_overrides(values or []))


_shared = _plain()


@_shared.command()
def _shared_options(
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="settings file (default: ringfence.yaml here, if there)",
            callback=_take_config,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="a setting, before every other place",
            callback=_take_overrides,
        ),
    ] = None,
) -> None:
    """Holds the options that `_share` copies."""


app = typer.Typer(
    cls=Commands,
    add_completion=True,
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ringfence {version('ringfence')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Watches the calls between telephone networks and fences off the numbers that attack them."""


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; its exit code."""
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
    return code


def _run(arguments: Sequence[str]) -> int:
    context.given = context.Given()
    command = typer.main.get_command(app)
    _share(command)
    try:
        command(list(arguments), prog_name="ringfence")
    except SystemExit as ended:
        return _status(ended)
    except SettingsError as error:
        return _complain("\n".join(error.problems), "", exits.USAGE)
    except Fault as fault:
        return _complain(fault.message, fault.do_next, exits.code_of(fault))
    except Exception:
        traceback.print_exc()
        return _complain("this is a fault of ringfence itself", "report it with the lines above", exits.BUG)
    return exits.OK


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def _status(ended: SystemExit) -> int:
    return ended.code if isinstance(ended.code, int) else exits.OK


def _complain(what: str, do_next: str, code: int) -> int:
    context.tell(f"ringfence: {what}" + (f"\nwhat to do: {do_next}" if do_next else ""))
    return code


def _forget_output() -> None:
    """Nobody reads standard output any more, as behind `| head`: what is still buffered must not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
