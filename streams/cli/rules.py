"""`ringfence rules`: what a switch sees. The live rules, then every change as it comes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.context import load
from streams.cli.screen import COLOURS, spelled
from streams.faults import Usage
from streams.switches.reader import Change, RuleReader
from streams.switches.rulebook import RuleBook, in_force
from streams.wire.records import BlockRule, encode

WIDTH_OF_FILES = 160
"""Columns of a table that goes into a file or a pipe."""
VERBS = {"added": "issued", "updated": "changed", "removed": "ended"}
STATE_COLOURS = {"in force": "green", "shadow": "yellow", "report": "cyan"}


def rules_command(
    once: Annotated[bool, typer.Option("--once", help="list the live rules and end")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="a line of JSON for each rule and each change")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="how long the broker may take to answer")
    ] = 30.0,
) -> None:
    """What a switch sees: the live rules, followed as they change.

    Reads the whole of block-rules, without a consumer group, and follows it until Ctrl-C. With --json a rule
    is the record itself, and the end of one is a line with rule_id, tombstone, at and why. Records that are
    no rules are logged.
    """
    settings = load()
    if not settings.kafka.brokers:
        raise Usage(
            "kafka.brokers is empty, so there are no rules to follow",
            "--set kafka.brokers=HOST:PORT, or the same in ringfence.yaml",
        )
    show: Show = Lines() if json else Screen()
    with RuleReader(RuleBook(settings.numbering.home_country), settings.kafka) as reader:
        reader.load(wait)
        show.live(sorted(reader.book.rules.values(), key=lambda rule: (rule.sequence, rule.rule_id)))
        if once:
            return
        for change in reader.follow():
            if change.applied.outcome in VERBS:
                show.change(change)


class Show:
    """How rules are shown."""

    def live(self, rules: Iterable[BlockRule]) -> None:
        raise NotImplementedError

    def change(self, change: Change) -> None:
        raise NotImplementedError


class Lines(Show):
    """For programs: what the topic holds, a record a line."""

    def live(self, rules: Iterable[BlockRule]) -> None:
        for rule in rules:
            self._write(encode(rule))

    def change(self, change: Change) -> None:
        rule = change.applied.rule
        if rule is not None:
            self._write(encode(rule))
        else:
            ended = {"rule_id": change.applied.rule_id, "tombstone": True, "at": change.at, "why": change.why}
            self._write(orjson.dumps(ended))

    def _write(self, line: bytes) -> None:
        sys.stdout.write(line.decode() + "\n")
        sys.stdout.flush()


class Screen(Show):
    """For people."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False)
        if not self._console.is_terminal:
            self._console.width = WIDTH_OF_FILES

    def live(self, rules: Iterable[BlockRule]) -> None:
        table = Table(box=None, header_style="dim", pad_edge=False)
        table.add_column("rule", no_wrap=True)
        table.add_column("state", no_wrap=True)
        table.add_column("stops", overflow="fold")
        table.add_column("answer", no_wrap=True)
        table.add_column("until", no_wrap=True)
        table.add_column("why", overflow="fold")
        now = time.time_ns() // 1_000_000
        for rule in rules:
            table.add_row(
                rule.rule_id[:12],
                _state(rule, now),
                spelled(rule.match),
                f"SIP {rule.sip_code}",
                _clock(rule.expires_at),
                _reason(rule),
            )
        self._console.print(table if table.row_count else Text("no rules", "dim"))

    def change(self, change: Change) -> None:
        rule = change.applied.rule
        line = Text.assemble(
            (_clock(change.at), "dim"),
            f"  {VERBS[change.applied.outcome]:<7}  {change.applied.rule_id[:12]}  ",
        )
        if rule is not None:
            line.append_text(_state(rule, time.time_ns() // 1_000_000))
            line.append(f"  {rule.action} {spelled(rule.match)} until {_clock(rule.expires_at)}: ")
            line.append_text(_reason(rule))
        elif change.why:
            line.append(change.why, "dim")
        self._console.print(line, soft_wrap=True)


def _state(rule: BlockRule, now: int) -> Text:
    """What a rule does now, in a word or two."""
    state = _word(rule, now)
    return Text(state, STATE_COLOURS.get(state, "dim"))


def _word(rule: BlockRule, now: int) -> str:
    if rule.approval.state not in ("auto", "approved"):
        return rule.approval.state
    if rule.mode != "enforce":
        return rule.mode
    if in_force(rule, now):
        return "in force"
    return "over" if now >= rule.expires_at else "to come"


def _reason(rule: BlockRule) -> Text:
    return Text(f"{rule.detector} {rule.severity}: {rule.reason}", COLOURS[rule.severity])


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%m-%d %H:%M:%SZ")
