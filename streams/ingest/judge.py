"""One call event judged: accepted, or refused with the field, the value and what was expected."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streams.ingest.reasons import Reason
from streams.wire.calls import CallEvent

MAX_DEPTH = 64
"""Objects and arrays inside one another that an event may have in fields that we do not know."""
SHOWN = 100
"""Letters of a wrong value that a refusal repeats; the original bytes hold all of it."""
NO_LATEST = 2**63 - 1
"""``latest`` of `judge` where the record has no timestamp to compare with."""


class Refusal(NamedTuple):
    reason: Reason
    field: str
    """The wrong field; empty where it is the event as a whole."""
    value: str
    """The wrong value as JSON, shortened; for damaged JSON what stands around the damage."""
    expected: str
    message: str


def judge(raw: bytes, latest: int) -> CallEvent | Refusal:
    """The event whose JSON is ``raw``, or why it is refused. No event's time may be after ``latest``, ms."""
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and depth(raw) > MAX_DEPTH:
        return _too_deep()
    try:
        event = _decode(raw)
    except RecursionError:
        return _too_deep()
    except ValueError as error:
        return _damage(raw) or _invalid(raw, str(error))
    escaped = b"\\" in raw  # JSON has control characters in no other way
    return (escaped and _control_character(event)) or _ahead(event, latest) or event


def depth(raw: bytes) -> int:
    """How deep objects and arrays stand inside one another, brackets in strings not counted."""
    letters = np.frombuffer(_STRING.sub(b"", raw), dtype=np.uint8)
    opens = ((letters == ord("{")) | (letters == ord("["))).astype(np.int8)
    closes = ((letters == ord("}")) | (letters == ord("]"))).astype(np.int8)
    return int(np.cumsum(opens - closes, dtype=np.int32).max(initial=0))


def shorten(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _properties() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each field, without the null that an optional field may be."""
    declared = msgspec.json.schema(CallEvent)["$defs"]["CallEvent"]["properties"]
    return {name: part["anyOf"][0] if "anyOf" in part else part for name, part in declared.items()}


def _describe(field: str, part: dict[str, Any]) -> str:
    if field == "time":
        return "an integer: ms since the epoch, from the year 2000 to 2100"
    if "enum" in part:
        return "one of " + ", ".join(part["enum"])
    match part["type"]:
        case "string" if "minLength" in part:
            return f"a string of {part['minLength']} to {part['maxLength']} letters"
        case "string":
            return f"a string of at most {part['maxLength']} letters"
        case "integer":
            return f"an integer from {part['minimum']} to {part['maximum']}"
        case _:
            return "true or false"


_decode = msgspec.json.Decoder(CallEvent).decode
_parse = msgspec.json.Decoder(msgspec.Raw).decode
_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_PROPERTIES = _properties()
_EXPECTED = {field: _describe(field, part) for field, part in _PROPERTIES.items()}
_TEXTS = tuple(field for field, part in _PROPERTIES.items() if part.get("type") == "string")

_CONTROL = re.compile(r"[\x00-\x1f]")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_AT_FIELD = re.compile(r"(.*) - at `\$\.(\w+)`", re.DOTALL)
_POSITION = re.compile(r"\(byte (\d+)\)$")


def _too_deep() -> Refusal:
    expected = f"at most {MAX_DEPTH} levels"
    return Refusal(
        Reason.NESTED_TOO_DEEP, "", "", expected, f"The event is nested too deep; expected {expected}."
    )


def _damage(raw: bytes) -> Refusal | None:
    """What keeps ``raw`` from being JSON in UTF-8, if anything does."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        message = f"Byte {error.start} of the event is not UTF-8: {error.reason}."
        return Refusal(Reason.NOT_UTF8, "", _around(raw, error.start), "text in UTF-8", message)
    try:
        _parse(raw)
    except ValueError as error:
        position = _POSITION.search(str(error))
        shown = _around(raw, int(position[1]) if position else len(raw))
        message = f"The event is not JSON: {str(error).removeprefix('JSON is malformed: ')}."
        return Refusal(Reason.MALFORMED_JSON, "", shown, "one JSON object", message)
    return None


def _around(raw: bytes, position: int) -> str:
    return raw[max(position - SHOWN // 2, 0) : position + SHOWN // 2].decode("utf-8", "replace")


def _invalid(raw: bytes, problem: str) -> Refusal:
    """What msgspec found wrong with well-formed JSON."""
    if missing := _MISSING.match(problem):
        field = missing[1]
        message = f"The required field {field} is missing; expected {_EXPECTED[field]}."
        return Refusal(Reason.MISSING_FIELD, field, "", _EXPECTED[field], message)
    at_field = _AT_FIELD.match(problem)
    if at_field is None:
        shown = shorten(raw.decode())
        message = f"The event is {shown}; expected one JSON object."
        return Refusal(Reason.NOT_AN_OBJECT, "", shown, "one JSON object", message)
    problem, field = at_field.groups()
    value = shorten(bytes(_fields_of(raw)[field]).decode())
    hint = ", which looks like seconds" if field == "time" and _looks_like_seconds(value) else ""
    message = f"{field} is {value}{hint}; expected {_EXPECTED[field]}."
    return Refusal(_reason_of(field, problem), field, value, _EXPECTED[field], message)


def _reason_of(field: str, problem: str) -> Reason:
    if "`, got `" in problem:
        return Reason.WRONG_TYPE
    if problem.startswith("Invalid enum value"):
        return Reason.UNKNOWN_VALUE
    if problem.startswith("Expected `str` of length >="):
        return Reason.EMPTY_FIELD
    if problem.startswith("Expected `str` of length <="):
        return Reason.TOO_LONG
    return Reason.TIME_OUT_OF_RANGE if field == "time" else Reason.OUT_OF_RANGE


def _looks_like_seconds(value: str) -> bool:
    return value.isdecimal() and len(value) == 10


def _control_character(event: CallEvent) -> Refusal | None:
    for field in _TEXTS:
        text = getattr(event, field)
        if text and _CONTROL.search(text):
            shown = shorten(msgspec.json.encode(text).decode())
            expected = "no control characters (U+0000 to U+001F)"
            message = f"{field} is {shown}; expected {expected}."
            return Refusal(Reason.CONTROL_CHARACTER, field, shown, expected, message)
    return None


def _ahead(event: CallEvent, latest: int) -> Refusal | None:
    if event.time <= latest:
        return None
    expected = f"at most {latest}"
    message = (
        f"time is {event.time}, {event.time - latest} ms later than an event in this record may be; "
        f"expected {expected}."
    )
    return Refusal(Reason.TIME_AHEAD, "time", str(event.time), expected, message)
