"""`ringfence explain`: why an alert is as it is, and what came of it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import msgspec
import orjson
import typer

from streams.cli.context import load
from streams.faults import Usage

if TYPE_CHECKING:
    from detectors.alert import Alert
    from detectors.campaigns import Campaign
    from streams.explain import Rules
    from streams.store.ports import Store

LEAST_DIGITS = 6
T = TypeVar("T")


class Known(NamedTuple):
    """What a place knows of an alert. ``rules`` None: it knows nothing of rules."""

    alert: Alert
    rules: Rules | None
    campaign: Campaign | None


def explain_command(
    alert_id: Annotated[
        str, typer.Argument(help="the alert's id, or how it begins (6 digits or more)", metavar="ALERT_ID")
    ],
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="directory that replay wrote (default: the store)", metavar="DIR"),
    ] = None,
    alerts: Annotated[Path | None, typer.Option(help="an alerts.ndjson alone", metavar="FILE")] = None,
    json: Annotated[bool, typer.Option("--json", help="one line of JSON")] = False,
) -> None:
    """Why an alert is as it is: what was measured, what is typical, who agrees, what rule came of it.

    The alert is looked up in what replay wrote (--from), in a file of alerts, else in the configured store.
    Modes, thresholds and the allow-list's file are those of the settings now in force.
    """
    settings = load()
    from streams.explain import explanation_of, in_words
    from streams.respond.allow import entries_from_file

    if from_ is not None and alerts is not None:
        raise Usage("--from and --alerts are both given", "give one of them")
    wanted = alert_id.strip().lower()
    if len(wanted) < LEAST_DIGITS or not set(wanted) <= set("0123456789abcdef"):
        raise Usage(
            f"{alert_id!r} is no alert's id", "give its 32 hex digits, or at least the first 6: alert_id"
        )
    if from_ is not None or alerts is not None:
        known = _in_files(wanted, from_, alerts)
    else:
        with _store(settings.store) as store:
            known = _in_store(wanted, store)
    try:
        allowed = entries_from_file(settings.respond.allow) if settings.respond.allow else []
    except (OSError, ValueError) as error:
        raise Usage(str(error), "correct the file of respond.allow, or the setting") from error
    told = explanation_of(known.alert, settings, known.rules, known.campaign, allowed)
    sys.stdout.write(orjson.dumps(msgspec.to_builtins(told)).decode() + "\n" if json else in_words(told))


def _in_files(wanted: str, directory: Path | None, file: Path | None) -> Known:
    from detectors.alert import Alert
    from detectors.campaigns import Campaign
    from streams.replay import ALERTS, CAMPAIGNS, RULES
    from streams.wire.records import decode

    place = file if file is not None else (directory or Path()) / ALERTS
    found: dict[str, bytes] = {}
    for line in _lines(place):
        alert_id = _read(place, line, lambda text: str(orjson.loads(text)["alert_id"]))
        if alert_id.startswith(wanted):
            found[alert_id] = line
    the_one = _only(wanted, list(found), str(place))
    alert = _read(place, found[the_one], lambda text: decode(text, Alert))
    if directory is None:
        return Known(alert, None, None)
    rules = directory / RULES
    campaigns = directory / CAMPAIGNS
    told = None
    for line in _lines(campaigns) if campaigns.is_file() else ():
        if the_one.encode() in line:
            campaign = _read(campaigns, line, lambda text: decode(text, Campaign))
            told = campaign if any(each.alert_id == the_one for each in campaign.alerts) else told
    return Known(alert, _rules_in(rules) if rules.is_file() else None, told)


def _rules_in(file: Path) -> Rules:
    from streams.replay import rule_change_of

    changes = (_read(file, line, rule_change_of) for line in _lines(file))
    return {change.rule_id: change for change in changes}


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as lines:
            yield from (line for line in lines if line.strip())
    except OSError as error:
        raise Usage(
            f"{file} cannot be read: {error.strerror}", "name what `ringfence replay … --out DIR` wrote"
        ) from error


def _read(file: Path, line: bytes, how: Callable[[bytes], T]) -> T:
    try:
        return how(line)
    except (ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise Usage(
            f"{file} has a line that is not a record of it: {error}", "name a replay's file"
        ) from error


def _only(wanted: str, found: list[str], where: str) -> str:
    if not found:
        raise Usage(
            f"there is no alert {wanted} in {where}",
            "take an alert_id of alerts.ndjson in a replay (--from DIR), or of alerts_current in the store",
        )
    if len(found) > 1:
        raise Usage(f"{len(found)} alerts in {where} begin with {wanted}", "give more of its digits")
    return found[0]


@contextlib.contextmanager
def _store(settings: Any) -> Iterator[Store]:
    from streams.store.opening import open_store

    if not settings.url and not settings.path:
        raise Usage(
            "no store is configured, so there is no alert to look up",
            "--from DIR for what replay wrote, or --set store.url=clickhouse://…",
        )
    with contextlib.closing(open_store(settings)) as store:
        yield store


def _in_store(wanted: str, store: Store) -> Known:
    from streams.store.reading import alert_of, campaign_with, ids_beginning_with, rules_of

    the_one = _only(wanted, ids_beginning_with(store, wanted), "the store")
    alert = alert_of(store, the_one)
    return Known(alert, rules_of(store, alert), campaign_with(store, the_one))
