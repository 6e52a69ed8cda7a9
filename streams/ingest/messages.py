"""Where the events of a message lie, also in a message that is damaged.

A message is one JSON object, an array of them, or one object a line. A message that opens with a line
holding nothing but ``{`` is one object, printed over several lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

RESYNCS = 100
"""Damaged places of one array after which the rest of it counts as one bad event: bounds the work that a
message made to be damaged can cause."""

BOM = b"\xef\xbb\xbf"
"""The byte order mark that some programs put before UTF-8; it is passed over."""

Span = tuple[int, int]

_START = re.compile(b"(?:" + BOM + rb")?[ \t\r\n]*")
_LINE = re.compile(rb"[^ \t\r\n](?:[^\n]*[^ \t\r\n])?")
_LONE_BRACE = re.compile(rb"\{[ \t\r]*(?:\n|$)")
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_NEXT_OBJECT = re.compile(r",[ \t\r\n]*\{")
_decoder = json.JSONDecoder(parse_int=str, parse_float=str)


def spans(message: bytes) -> Iterator[Span]:
    """Start and end of each event of ``message``, in order, found one at a time.

    Damage costs as few neighbours as can be: a bad line ends with its line, a bad element of an array
    ends before the next comma that is followed by an opening brace. Commas between elements may be
    missing or double. An array that breaks off between two elements ends with an empty span.
    """
    start = _START.match(message).end()  # type: ignore[union-attr]
    if message.startswith(b"[", start):
        yield from _elements(message, start + 1)
    elif _LONE_BRACE.match(message, start):
        yield start, len(message.rstrip(b" \t\r\n"))
    else:
        for line in _LINE.finditer(message, start):
            yield line.span()


def _elements(message: bytes, at: int) -> Iterator[Span]:
    text = message.decode("latin-1")  # one letter a byte, so that positions agree
    damages, whole = 0, True
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        if at == len(text):
            if whole:
                yield at, at
            return
        if text[at] == "]":
            yield from _after_array(message, at + 1)
            return
        try:
            end, whole = _decoder.raw_decode(text, at)[1], True
        except (ValueError, RecursionError):
            damages, whole = damages + 1, False
            end = _damage_end(text, at) if damages < RESYNCS else _content_end(text, at)
        yield at, end
        at = end


def _after_array(message: bytes, at: int) -> Iterator[Span]:
    start, end = _START.match(message, at).end(), len(message.rstrip(b" \t\r\n"))  # type: ignore[union-attr]
    if start < end:
        yield start, end


def _damage_end(text: str, at: int) -> int:
    following = _NEXT_OBJECT.search(text, at)
    return following.start() if following else _content_end(text, at)


def _content_end(text: str, at: int) -> int:
    """The end of the last element, before the closing bracket where there is one."""
    content = text.rstrip(" \t\r\n")
    return max(len(content) - content.endswith("]"), at + 1)
