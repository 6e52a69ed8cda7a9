"""Why a call event is refused. docs/call-events.md explains each; a test holds the two together."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    MESSAGE_TOO_LARGE = "message_too_large"
    TOO_MANY_EVENTS = "too_many_events"
    EMPTY_MESSAGE = "empty_message"
    NOT_UTF8 = "not_utf8"
    MALFORMED_JSON = "malformed_json"
    NESTED_TOO_DEEP = "nested_too_deep"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_VALUE = "unknown_value"
    OUT_OF_RANGE = "out_of_range"
    EMPTY_FIELD = "empty_field"
    TOO_LONG = "too_long"
    CONTROL_CHARACTER = "control_character"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    TIME_AHEAD = "time_ahead"
