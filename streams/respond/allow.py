"""The allow-list: callers, prefixes of callers and trunks that no rule may stop."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterator
from pathlib import Path

import msgspec
import yaml

from detectors.alert import Match, content_id
from streams.switches.patterns import Pattern, read_pattern
from streams.wire.records import ListEntry

_SEPARATORS = re.compile(r"[\s().\-]")
_NUMBER = re.compile(r"\+?[0-9]{2,24}", re.ASCII)
_PREFIX = re.compile(r"\+?[0-9]{1,24}\*?", re.ASCII)


class AllowList:
    """Allow entries by what they protect. A look-up costs a few dictionary probes, however long the list.

    ``country`` is the home country's calling code, for entries written as national numbers.
    """

    def __init__(self, country: int) -> None:
        self.entries: dict[str, ListEntry] = {}
        self._country = str(country)
        self._trunks = _Keyed()
        self._texts = _Keyed()
        self._numbers = _Keyed()
        self._prefixes = _Keyed()

    def put(self, entry: ListEntry) -> None:
        """Add or replace an entry. Raises ``ValueError`` that says what is wrong with its value."""
        forms = self._forms(entry)
        self.remove(entry.entry_id)
        self.entries[entry.entry_id] = entry
        for keyed, key in forms:
            keyed.add(key, entry)

    def remove(self, entry_id: str) -> ListEntry | None:
        """Take an entry out; the entry, or None where there was none."""
        entry = self.entries.pop(entry_id, None)
        if entry is not None:
            for keyed, key in self._forms(entry):
                keyed.discard(key, entry_id)
        return entry

    def prune(self, now: int) -> None:
        """Forget what has expired."""
        for entry_id in [key for key, entry in self.entries.items() if not _active(entry, now)]:
            self.remove(entry_id)

    def protecting(self, match: Match, now: int) -> ListEntry | None:
        """An entry that a rule with this match would break, the first by id; None if there is none.

        - A rule that names callers breaks an entry of a number or a prefix if one call could be both.
        - A rule that names a trunk breaks the entry of that trunk.
        - A rule that names neither stops everybody who calls one callee, and breaks every entry.
        """
        return min(
            (entry for entry in self._broken(match) if _active(entry, now)),
            key=lambda entry: entry.entry_id,
            default=None,
        )

    def _broken(self, match: Match) -> Iterator[ListEntry]:
        if match.trunk is not None:
            yield from self._trunks.at(match.trunk)
        if match.caller is not None:
            yield from self._callers(read_pattern(match.caller))
        elif match.trunk is None:
            yield from self.entries.values()

    def _callers(self, pattern: Pattern) -> Iterator[ListEntry]:
        kind, value = pattern
        if kind == "text":
            yield from self._texts.at(value)
            return
        for length in range(1, len(value) + 1):
            yield from self._prefixes.at(value[:length])
        if kind == "number":
            yield from self._numbers.at(value)
        else:
            yield from self._numbers.beginning_with(value)
            yield from self._prefixes.beginning_with(value)

    def _forms(self, entry: ListEntry) -> list[tuple[_Keyed, str]]:
        if entry.type == "trunk":
            if not entry.value.strip():
                raise ValueError("value is empty, the name of a trunk was expected")
            return [(self._trunks, entry.value)]
        bare = _SEPARATORS.sub("", entry.value)
        e164 = e164_forms(entry.value, self._country)
        if entry.type == "prefix":
            if not _PREFIX.fullmatch(bare):
                raise ValueError(
                    f"value {entry.value!r} is not a prefix, digits such as +8613800* were expected"
                )
            return [(self._prefixes, digits) for digits in e164]
        if _NUMBER.fullmatch(bare):
            numbers = [(self._numbers, digits) for digits in e164]
            return [*numbers, (self._texts, entry.value)]
        if bare.startswith("+") or not entry.value.strip():
            raise ValueError(f"value {entry.value!r} is not a number such as +8613800138000")
        return [(self._texts, entry.value)]


def e164_forms(value: str, country: str) -> list[str]:
    """Digits of every number, or prefix of numbers, that an entry's value may stand for: protecting one too
    many is the lesser mistake. ``country`` is the home country's calling code."""
    digits = _SEPARATORS.sub("", value).removesuffix("*")
    if digits.startswith("+"):
        return [digits[1:]]
    if digits.startswith("00"):
        return [digits[2:]]
    forms = [country + digits.removeprefix("0")]
    if digits.startswith(country):
        forms.append(digits)
    return forms


class _Keyed:
    """Entries by a key, with the keys in order for questions about prefixes."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, ListEntry]] = {}
        self._ordered: list[str] = []

    def add(self, key: str, entry: ListEntry) -> None:
        if key not in self._entries:
            self._entries[key] = {}
            insort(self._ordered, key)
        self._entries[key][entry.entry_id] = entry

    def discard(self, key: str, entry_id: str) -> None:
        entries = self._entries[key]
        entries.pop(entry_id, None)
        if not entries:
            del self._entries[key]
            del self._ordered[bisect_left(self._ordered, key)]

    def at(self, key: str) -> Iterator[ListEntry]:
        yield from self._entries.get(key, {}).values()

    def beginning_with(self, prefix: str) -> Iterator[ListEntry]:
        for at in range(bisect_left(self._ordered, prefix), len(self._ordered)):
            key = self._ordered[at]
            if not key.startswith(prefix):
                return
            yield from self._entries[key].values()


def _active(entry: ListEntry, now: int) -> bool:
    return entry.expires_at is None or now < entry.expires_at


def allow_entry_id(type_: str, value: str) -> str:
    """The id of an allow entry that a command makes: the same entry twice is one entry."""
    return content_id(["allow", type_, value])


class _FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    value: str
    owner: str = ""
    reason: str = ""
    expires_at: int | None = None


def entries_from_file(path: str) -> list[ListEntry]:
    """The entries of a YAML list of ``type, value, owner, reason, expires_at``.

    Raises ``OSError``, or ``ValueError`` that names the file and the place in it.
    """
    try:
        listed = msgspec.convert(yaml.safe_load(Path(path).read_text("utf-8")) or [], list[_FileEntry])
        return [
            msgspec.convert(
                {
                    "entry_id": allow_entry_id(entry.type, entry.value),
                    "list": "allow",
                    **msgspec.structs.asdict(entry),
                },
                ListEntry,
            )
            for entry in listed
        ]
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ValueError(f"the allow-list {path} cannot be read: {error}") from error
