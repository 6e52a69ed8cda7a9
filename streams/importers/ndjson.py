"""Call events in JSON: one a line, or the elements of an array of any length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

CHUNK_BYTES = 1 << 20
"""Whole lines of about this length make one record."""
LONGEST_LINE = 1 << 25
"""What of a longer line is kept: more than any message may have, so that it is refused as too long."""

Piece = tuple[int, bytes]
"""Number of its first line (or element), from 0, and the bytes."""


def lines(stream: BinaryIO) -> Iterator[Piece]:
    """Whole lines of ``stream`` in pieces of about CHUNK_BYTES."""
    first, rest = 0, b""
    while block := stream.read(CHUNK_BYTES):
        cut = block.rfind(b"\n") + 1
        if not cut:
            rest += block
            if len(rest) > LONGEST_LINE:
                yield first, rest[:LONGEST_LINE]
                rest = _rest_of_line(stream)
                first += 1
            continue
        piece, rest = rest + block[:cut], block[cut:]
        yield first, piece
        first += piece.count(b"\n")
    if rest:
        yield first, rest


def _rest_of_line(stream: BinaryIO) -> bytes:
    """Skips to the end of the line; what follows it in the last block read."""
    while block := stream.read(CHUNK_BYTES):
        _, newline, rest = block.partition(b"\n")
        if newline:
            return rest
    return b""


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?P<closed>")?|[\[\]{}]', re.DOTALL)
_BETWEEN = b" \t\r\n,"


def values(stream: BinaryIO) -> Iterator[Piece]:
    """Events of a JSON text that may be laid out over lines, as lines of one event each.

    An outer array is taken apart. What is no object is passed on as it stands, for `ingest` to refuse.
    """
    splitter = _Splitter()
    first, waiting, size = 0, list[bytes](), 0
    while True:
        block = stream.read(CHUNK_BYTES)
        for value in splitter.feed(block) if block else splitter.finish():
            waiting.append(value)
            size += len(value)
        if waiting and (size >= CHUNK_BYTES or not block):
            yield first, b"\n".join(waiting) + b"\n"
            first, waiting, size = first + len(waiting), [], 0
        if not block:
            return


class _Splitter:
    """Finds the objects of a JSON text piece by piece; a newline in one becomes a space."""

    def __init__(self) -> None:
        self._text = b""
        self._scanned = 0
        self._depth = 0

    def feed(self, block: bytes) -> Iterator[bytes]:
        self._text += block
        start, at = 0, self._scanned
        while token := _TOKEN.search(self._text, at):
            mark = token.group()
            if mark[:1] == b'"' and not token["closed"]:
                break
            at = token.end()
            if mark in (b"[", b"{"):
                if (
                    self._depth == 0
                    and mark == b"["
                    and not self._text[start : token.start()].strip(_BETWEEN)
                ):
                    start = at
                else:
                    self._depth += 1
            elif mark in (b"]", b"}"):
                if (
                    self._depth == 0
                    and mark == b"]"
                    and not self._text[start : token.start()].strip(_BETWEEN)
                ):
                    start = at
                elif self._depth <= 1:
                    self._depth = 0
                    yield _one_line(self._text[start:at])
                    start = at
                else:
                    self._depth -= 1
        else:
            at = len(self._text)
        self._text, self._scanned = self._text[start:], at - start
        if len(self._text) > LONGEST_LINE:
            yield from self.finish()

    def finish(self) -> Iterator[bytes]:
        """What is left over: text that is no object."""
        rest = _one_line(self._text)
        self._text, self._scanned, self._depth = b"", 0, 0
        if rest:
            yield rest


def _one_line(text: bytes) -> bytes:
    return text.strip(_BETWEEN).replace(b"\n", b" ").replace(b"\r", b" ")
