"""Settings from all four places, each value with where it came from.

Lowest first: the defaults of `config.settings`, ``ringfence.yaml``, the environment (``RINGFENCE_…``),
command-line flags. A wrong value names itself, what it is, where it came from and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.constructor import SafeConstructor

from config.reference import Entry, allowed, entries
from config.settings import Settings

FILE = "ringfence.yaml"
PREFIX = "RINGFENCE_"
DEFAULT = "default"

_PASSWORD = re.compile(r"(?<=://)([^:/@]*):.*@")
_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP)|$)")
"""What Kubernetes itself puts into the environment for a service called ringfence."""


class SettingsError(Exception):
    """One or more wrong settings; ``problems`` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Given:
    """A value as it was given, and where: ``ringfence.yaml line 3``, ``RINGFENCE_KAFKA__BROKERS``, a flag."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Loaded:
    settings: Settings
    origins: Mapping[str, str]
    """For each setting (``kafka.brokers``) where its value came from; ``default`` where nobody gave one."""


def as_environment(values: Mapping[str, str]) -> dict[str, str]:
    """``values`` by setting (``kafka.brokers``) as variables of the environment that say the same."""
    return {PREFIX + name.upper().replace(".", "__"): value for name, value in values.items()}


def load_settings(path: Path | str | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The effective settings; see `load`."""
    return load(path, overrides).settings


def load(path: Path | str | None = None, overrides: Mapping[str, Any] | None = None) -> Loaded:
    """The effective settings with the origin of each value.

    ``path`` None reads ``ringfence.yaml`` of the working directory where there is one. ``overrides`` are
    flags: ``{"kafka.brokers": "kafka:9092"}``. Raises SettingsError.
    """
    given = {**_from_file(path), **_from_environment(os.environ), **_from_flags(overrides or {})}
    unknown = [_unknown(name, each) for name, each in given.items() if name not in _known()]
    if unknown:
        raise SettingsError(unknown)
    settings = _validate(given)
    origins = {name: given[name].origin if name in given else DEFAULT for name in _known()}
    return Loaded(settings, origins)


def suspects(environment: Mapping[str, str]) -> list[str]:
    """Variables that look as if they were meant as settings but are not, each with what was meant."""
    meant = {entry.variable.replace("__", "_"): entry.variable for entry in entries()}
    return [
        f"{variable} is not read: did you mean {meant[variable]}?"
        for variable in sorted(environment)
        if variable in meant and not _KUBERNETES.search(variable)
    ]


def shown(value: Any) -> str:
    """A value as it may be shown: without the password of an address."""
    return _PASSWORD.sub(r"\1:***@", str(value))


def _known() -> dict[str, Entry]:
    return {entry.name: entry for entry in entries()}


def _from_file(path: Path | str | None) -> dict[str, Given]:
    file = Path(path) if path is not None else Path(FILE)
    if path is None and not file.exists():
        return {}
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{file} cannot be read: {error}; expected a YAML file of settings"]) from error
    except yaml.YAMLError as error:
        raise SettingsError([f"{file} is not YAML: {error}"]) from error
    if root is None:
        return {}
    return dict(_leaves(root, "", str(file)))


def _leaves(node: yaml.Node, name: str, file: str) -> Iterator[tuple[str, Given]]:
    origin = f"{file} line {node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        value = _constructed(node, origin)
        if name:
            yield name, Given(value, origin)
        elif value is not None:
            raise SettingsError([f"{file} holds {value!r}; expected sections with settings, such as kafka:"])
        return
    seen: set[str] = set()
    for key, value in node.value:
        part = f"{name}.{key.value}" if name else str(key.value)
        if part in seen:
            raise SettingsError([f"{part} is given twice ({file} line {key.start_mark.line + 1}); keep one"])
        seen.add(part)
        if part in _sections() and _empty(value):
            continue
        yield from _leaves(value, part, file)


def _constructed(node: yaml.Node, origin: str) -> Any:
    try:
        return SafeConstructor().construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError([f"{origin} is not a value of YAML: {error}"]) from error


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _sections() -> set[str]:
    return {
        ".".join(parts[:depth])
        for parts in (name.split(".") for name in _known())
        for depth in range(1, len(parts))
    }


def _from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    return {
        variable.removeprefix(PREFIX).lower().replace("__", "."): Given(
            value, f"{variable} in the environment"
        )
        for variable, value in sorted(environment.items())
        if variable.startswith(PREFIX) and "__" in variable
    }


def _from_flags(overrides: Mapping[str, Any]) -> dict[str, Given]:
    return {name: Given(value, "the command line") for name, value in overrides.items()}


def _unknown(name: str, given: Given) -> str:
    if name in _sections():
        return (
            f"{name} = {shown(given.value)} ({given.origin}): this is a section; give its settings one by one"
        )
    near = difflib.get_close_matches(name, list(_known()), n=1)
    hint = f"did you mean {near[0]}?" if near else "`ringfence config reference` lists all settings"
    return f"{name} = {shown(given.value)} ({given.origin}): there is no such setting; {hint}"


def _validate(given: Mapping[str, Given]) -> Settings:
    nested: dict[str, Any] = {}
    for name, each in given.items():
        *sections, setting = name.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[setting] = each.value
    try:
        return Settings(**nested)
    except ValidationError as error:
        raise SettingsError([_problem(details, given) for details in error.errors()]) from error


def _problem(details: Mapping[str, Any], given: Mapping[str, Given]) -> str:
    name = ".".join(str(part) for part in details["loc"])
    if name not in given:
        return f"{name}: {details['msg']}"
    each = given[name]
    expected = details["msg"] if details["type"] == "value_error" else f"expected {allowed(_known()[name])}"
    return f"{name} = {shown(each.value)!r} ({each.origin}): {expected}"
