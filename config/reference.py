"""What `config.settings` declares, read back: for the annotated file, the reference page, the error texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from config.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
_TYPES = {"string": "text", "boolean": "true or false", "integer": "an integer", "number": "a number"}
_LIMITS = {
    "exclusiveMinimum": "greater than",
    "minimum": "at least",
    "exclusiveMaximum": "less than",
    "maximum": "at most",
}


@dataclass(frozen=True)
class Entry:
    """One setting. ``schema`` is its JSON Schema."""

    name: str
    description: str
    default: Any
    schema: dict[str, Any]

    @property
    def section(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return "RINGFENCE_" + self.name.upper().replace(".", "__")


@cache
def entries() -> tuple[Entry, ...]:
    """Every setting, in the order of declaration."""
    return tuple(_entries(Settings, ""))


def _entries(model: type[BaseModel], prefix: str) -> Iterator[Entry]:
    schemas = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _entries(field.annotation, f"{prefix}{name}.")
        else:
            yield Entry(prefix + name, field.description or "", field.default, schemas[name])


def allowed(entry: Entry) -> str:
    """What a setting may be, in words."""
    schema = entry.schema
    if "enum" in schema:
        return "one of " + ", ".join(str(choice) for choice in schema["enum"])
    limits = [f"{words} {schema[key]}" for key, words in _LIMITS.items() if key in schema]
    return " ".join([_TYPES[schema["type"]], " and ".join(limits)]).strip()


def settings_yaml() -> str:
    """``config/ringfence.yaml``: every setting at its default, each with what it is and what it may be."""
    lines = [
        "# Every setting of Ringfence at its default. Made from config/settings.py by `make generate`.",
        "# Copy it to ringfence.yaml where you start ringfence and keep what you change; the environment",
        "# (RINGFENCE_KAFKA__BROKERS=…) and flags (--set kafka.brokers=…) go before it.",
    ]
    for section, group in _by_section():
        lines += ["", *_heading(section)]
        indent = "  " * len(section.split("."))
        for entry in group:
            lines += [
                f"{indent}# {entry.description} ({allowed(entry)})",
                f"{indent}{entry.name.rpartition('.')[2]}: {json.dumps(entry.default)}",
            ]
    return "\n".join(lines) + "\n"


def _heading(section: str) -> list[str]:
    """The section's key, under its parent's where it is the parent's first."""
    parents = section.split(".")
    inner = f"{'  ' * (len(parents) - 1)}{parents[-1]}:"
    siblings = [entry.section for entry in entries() if entry.section.startswith(f"{parents[0]}.")]
    first = len(parents) > 1 and siblings[0] == section
    return [f"{parents[0]}:", inner] if first else [inner]


def settings_markdown() -> str:
    """``docs/settings.md``: the reference page."""
    lines = [
        "# Settings",
        "",
        "Made from `config/settings.py` by `make generate`. A setting comes from, lowest first: its default,",
        "`ringfence.yaml` in the working directory (or `--config FILE`), the environment, a flag",
        "(`--set kafka.partitions=16`). `ringfence config show` prints what is in force and where each value",
        "came from; `ringfence config check` only says whether it is right.",
    ]
    for section, group in _by_section():
        lines += [
            "",
            f"## {section}",
            "",
            "| setting | default | allowed | what it is |",
            "| --- | --- | --- | --- |",
        ]
        for entry in group:
            names = f"`{entry.name}`<br>`{entry.variable}`"
            default = f"`{json.dumps(entry.default)}`"
            lines.append(f"| {names} | {default} | {allowed(entry)} | {entry.description} |")
    return "\n".join(lines) + "\n"


def generated() -> dict[Path, str]:
    """The files that are made from the settings, with what they must hold."""
    return {
        ROOT / "config" / "ringfence.yaml": settings_yaml(),
        ROOT / "docs" / "settings.md": settings_markdown(),
    }


def _by_section() -> Iterator[tuple[str, Iterator[Entry]]]:
    return groupby(entries(), key=lambda entry: entry.section)
