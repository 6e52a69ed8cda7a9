"""What every command shares: where its settings come from, and how it writes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from config.loading import Loaded
from config.loading import load as load_from
from config.settings import Settings
from streams.faults import Usage


@dataclass
class Given:
    """The flags that go before every other place settings come from; `streams.cli.main` fills them in."""

    config: str | None = None
    overrides: dict[str, str] = field(default_factory=dict)


given = Given()


def load(config: str | None = None) -> Settings:
    """The effective settings, with logging set up as they say. Raises SettingsError."""
    from streams import logs

    settings = load_with_origins(config).settings
    logs.configure(settings.service)
    return settings


def override(name: str, value: str) -> None:
    """An option of a command that stands for a setting, before every other place."""
    given.overrides[name] = value


def load_with_origins(config: str | None = None) -> Loaded:
    return load_from(config or given.config, given.overrides)


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """``["kafka.partitions=16"]`` as a mapping. Raises Usage for what is not NAME=VALUE."""
    overrides = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Usage(f"--set {pair}: expected NAME=VALUE", "for example --set kafka.partitions=16")
        overrides[name.strip()] = value
    return overrides


def write_json(record: Any) -> None:
    """One line of JSON on standard output."""
    sys.stdout.write(orjson.dumps(record, default=str).decode() + "\n")


def write_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]], empty: str = "") -> None:
    """Rows as text in columns on standard output, as wide as they are; ``empty`` where there is none."""
    cells = [[str(row[column]) for column in columns] for row in rows]
    if not cells:
        if empty:
            sys.stdout.write(empty + "\n")
        return
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    for line in [[column.upper() for column in columns], *cells]:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def write_summary(summary: Mapping[str, Any]) -> None:
    """What a command counted, a line each, on standard output."""
    rows = [{"what": name.replace("_", " "), "count": _counted(value)} for name, value in summary.items()]
    write_table(["what", "count"], rows)


def _counted(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "0"
    return str(value)


def tell(text: str) -> None:
    """Progress and remarks, on standard error."""
    sys.stderr.write(text + "\n")
