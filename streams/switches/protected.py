"""Numbers that no rule may stop: emergency, short service and enterprise numbers of the home country.

They are data (``config/allow.yaml``). `respond` refuses a rule that would stop one, and a switch never
applies a rule to a call from or to an emergency number, whatever the rule says. A single enterprise number
may be stopped as a caller: whether a company has it, lists tell (`streams.respond.register`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata
from phonenumbers.shortnumberinfo import is_emergency_number

from detectors.alert import Match
from streams.switches.patterns import read_pattern
from streams.wire.records import Action

_SEPARATORS = re.compile(r"[\s().\-]")

Range = tuple[str, int, int]
"""First digits, least and most digits of the whole number, country code included."""


class ProtectedNumbers:
    """Emergency numbers, exact, and ranges of service and of enterprise numbers, each with its country code
    in front."""

    def __init__(
        self,
        country: str,
        emergency: Iterable[str],
        service: Iterable[Range] = (),
        enterprise: Iterable[Range] = (),
    ) -> None:
        self.country = country
        self.emergency = tuple(sorted(emergency))
        self.service = tuple(sorted(service))
        self.enterprise = tuple(sorted(enterprise))
        self._ranges = (*self.service, *self.enterprise)
        self._spoken = frozenset(text for digits in self.emergency for text in self._as_dialled(digits))

    def _as_dialled(self, digits: str) -> tuple[str, ...]:
        """The ways a number reaches a switch: E.164, national, national with the trunk prefix."""
        national = digits[len(self.country) :]
        return (f"+{digits}", national, f"0{national}")

    def is_emergency(self, party: str) -> bool:
        """Whether a caller or callee, E.164 or text as signalled, is an emergency number."""
        return party in self._spoken

    def is_service(self, pattern: str) -> bool:
        """Whether a rule's ``caller`` is one short service number and no emergency number."""
        kind, digits = read_pattern(pattern)
        is_number = kind == "number" and not self.is_emergency(pattern)
        return is_number and _range_of(digits, self.service) is not None

    def is_enterprise(self, pattern: str) -> bool:
        """Whether a rule's ``caller`` is one enterprise number."""
        kind, digits = read_pattern(pattern)
        return kind == "number" and _range_of(digits, self.enterprise) is not None

    def begins_enterprises(self, digits: str) -> bool:
        """Whether a number, or the prefix of several, is of enterprise numbers; country code included."""
        return any(digits.startswith(first) for first, _, _ in self.enterprise)

    def named_by(self, pattern: str) -> str | None:
        """A protected number or range that a rule's ``caller`` or ``callee`` could stop; None if none."""
        kind, value = read_pattern(pattern)
        if kind == "prefix":
            return self._within_prefix(value)
        digits = value if kind == "number" else self._digits_of_text(value)
        return None if digits is None else self._of_number(digits)

    def stopped_by(self, match: Match, action: Action) -> str | None:
        """A protected number or range that a rule with this match would stop; None if none. As a caller a
        single service number may be slowed down or labelled, a single enterprise number may be stopped."""
        caller = None if self._may_be_stopped(match.caller, action) else match.caller
        named = (self.named_by(party) for party in (caller, match.callee) if party is not None)
        return next((number for number in named if number is not None), None)

    def _may_be_stopped(self, caller: str | None, action: Action) -> bool:
        if caller is None or self.is_enterprise(caller):
            return True
        return action in ("throttle", "label") and self.is_service(caller)

    def _digits_of_text(self, text: str) -> str | None:
        digits = _SEPARATORS.sub("", text)
        if not (digits.isascii() and digits.isdigit()):
            return None
        return self.country + digits.removeprefix("0")

    def _of_number(self, digits: str) -> str | None:
        if f"+{digits}" in self._spoken:
            return f"+{digits}"
        return _range_of(digits, self._ranges)

    def _within_prefix(self, prefix: str) -> str | None:
        at = bisect_left(self.emergency, prefix)
        if at < len(self.emergency) and self.emergency[at].startswith(prefix):
            return f"+{self.emergency[at]}"
        for first, _, most in self._ranges:
            if first.startswith(prefix) or (prefix.startswith(first) and len(prefix) <= most):
                return f"+{first}*"
        return None


def _range_of(digits: str, ranges: Iterable[Range]) -> str | None:
    for first, least, most in ranges:
        if digits.startswith(first) and least <= len(digits) <= most:
            return f"+{first}*"
    return None


@cache
def protected_numbers(country: int) -> ProtectedNumbers:
    """Those of the country with this calling code, from ``config/allow.yaml`` or else from phonenumbers."""
    code = str(country)
    shipped: dict[str, Any] = yaml.safe_load(files("config").joinpath("allow.yaml").read_text("utf-8"))
    if code not in shipped:
        return ProtectedNumbers(code, (code + number for number in _known_emergency_numbers(country)))
    listed = shipped[code]
    areas = ["", *(str(area) for low, high in listed["area_codes"] for area in range(low, high + 1))]
    emergency = (code + area + entry["number"] for area in areas for entry in listed["emergency"])
    return ProtectedNumbers(
        code, emergency, _ranges(code, listed["service"]), _ranges(code, listed.get("enterprise", ()))
    )


def _ranges(code: str, listed: Iterable[dict[str, Any]]) -> Iterator[Range]:
    for entry in listed:
        least, most = entry["lengths"]
        yield code + entry["prefix"], len(code) + least, len(code) + most


def _known_emergency_numbers(country: int) -> list[str]:
    found: set[str] = set()
    for region in COUNTRY_CODE_TO_REGION_CODE.get(country, ()):
        metadata = PhoneMetadata.short_metadata_for_region(region)
        if metadata is None or metadata.emergency is None:
            continue
        for length in metadata.emergency.possible_length or ():
            found.update(
                str(number)
                for number in range(10 ** (length - 1), 10**length)
                if is_emergency_number(str(number), region)
            )
    return sorted(found)
