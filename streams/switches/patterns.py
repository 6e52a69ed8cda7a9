"""How ``caller`` and ``callee`` of a rule's match are read: a number, a prefix of numbers, or a text."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

PatternKind = Literal["number", "prefix", "text"]

_NUMERIC = re.compile(r"\+([1-9][0-9]*)(\*?)", re.ASCII)


class Pattern(NamedTuple):
    kind: PatternKind
    value: str
    """Of a number or a prefix the digits without plus sign and star; of a text the text."""


def read_pattern(text: str) -> Pattern:
    """``+8613800138000`` is a number, ``+86138001*`` a prefix, anything else a text as signalled."""
    numeric = _NUMERIC.fullmatch(text)
    if numeric is None:
        return Pattern("text", text)
    digits, star = numeric.groups()
    return Pattern("prefix" if star else "number", digits)


def pattern_matches(pattern: str, value: str) -> bool:
    """Whether a caller or callee, E.164 with its plus sign or text as signalled, is one the pattern names."""
    return value.startswith(pattern[:-1]) if read_pattern(pattern).kind == "prefix" else value == pattern


def country_code_of(digits: str) -> str:
    """The country code that E.164 ``digits`` begin with; their first three where none is assigned."""
    for length in (1, 2, 3):
        if int(digits[:length]) in COUNTRY_CODE_TO_REGION_CODE:
            return digits[:length]
    return digits[:3]
