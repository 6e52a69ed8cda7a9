"""Where caller, callee and time of call events stand in lines of JSON, found by a numba kernel.

It reads lines that are plainly one flat object: no escape, no blank, no object or array inside. At any other
line it stops, and that line is decoded by msgspec. It finds four fields and steps over the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bench.peers.sliding import Columns
from detectors.kernels import inlined, kernel, popcount

_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE, _NEWLINE, _BACKSLASH = (np.uint8(ord(c)) for c in '":,{}\n\\')
_ZERO, _NINE, _BLANK = np.uint8(ord("0")), np.uint8(ord("9")), np.uint8(ord(" "))
_ONE, _ALL = np.uint64(1), np.uint64((1 << 64) - 1)
_LOWEST, _HIGHEST = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _BACKSLASHES, _BLANKS = (np.uint64(ord(c) * 0x0101010101010101) for c in '"\\ ')


def _word(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(text.encode(), "little"))


_TYPE, _TIME, _CALLER, _CALLEE, _END = map(_word, ("type", "time", "caller", "callee", "end"))


@intrinsic
def eight(_: Any, letters: Any, at: Any) -> Any:
    """The eight bytes from ``at`` on as one uint64, the first lowest. They must be there."""

    def generate(compiler: Any, builder: Any, __: Any, values: Any) -> Any:
        array = compiler.make_array(letters)(compiler, builder, values[0])
        place = builder.gep(array.data, [values[1]])
        loaded = builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()))
        loaded.align = 1
        return loaded

    return types.uint64(letters, at), generate


@inlined
def marked(word: Any, wanted: Any) -> Any:
    """uint64 whose lowest set bit is in the first byte of ``word`` equal to that of ``wanted`` (eight times
    the same); 0 where none is."""
    differs = word ^ wanted
    return (differs - _LOWEST) & ~differs & _HIGHEST


@inlined
def text_end(letters: Any, at: Any, end: Any) -> Any:
    """Place of the quote that ends the text which begins at ``at``; -1 where an escape comes first."""
    while at + 8 <= end:
        found = eight(letters, at)
        quote = marked(found, _QUOTES)
        escape = marked(found, _BACKSLASHES) | ((found - _BLANKS) & ~found & _HIGHEST)
        if quote | escape:
            if escape and (quote == 0 or (escape & (~escape + _ONE)) < (quote & (~quote + _ONE))):
                return -1
            return at + (popcount((quote & (~quote + _ONE)) - _ONE) >> 3)
        at += 8
    while at < end:
        letter = letters[at]
        if letter == _QUOTE:
            return at
        if letter == _BACKSLASH or letter < _BLANK:
            return -1
        at += 1
    return -1


@inlined
def word(letters: Any, start: Any, end: Any, limit: Any) -> Any:
    """Up to eight letters as one uint64, the first lowest; 0 where there are more."""
    length = end - start
    if length > 8 or length == 0:
        return np.uint64(0)
    if start + 8 <= limit:
        return eight(letters, start) & (_ALL >> np.uint64(64 - 8 * length))
    packed = np.uint64(0)
    for k in range(length):
        packed |= np.uint64(letters[start + k]) << np.uint64(8 * k)
    return packed


@inlined
def bare_end(letters: Any, at: Any, end: Any) -> Any:
    """Place after a number, true, false or null that begins at ``at``; -1 where it is something else."""
    first = letters[at]
    if first == _OPEN or first == np.uint8(ord("[")):
        return -1
    while at < end:
        letter = letters[at]
        if letter == _COMMA or letter == _CLOSE:  # noqa: SIM109
            return at
        if letter <= _BLANK or letter == _QUOTE:
            return -1
        at += 1
    return -1


@inlined
def natural(letters: Any, start: Any, end: Any) -> Any:
    """The digits as an integer; -1 where there is anything else, or too many of them."""
    if end - start > 18 or end == start:
        return -1
    value = np.int64(0)
    for k in range(start, end):
        if letters[k] < _ZERO or letters[k] > _NINE:
            return -1
        value = 10 * value + np.int64(letters[k] - _ZERO)
    return value


@kernel
def scan(letters: Any, start: int, end: int, columns: Columns) -> tuple[int, int]:
    """Calls of the whole lines between ``start`` and ``end`` into ``columns`` (from 0 on).

    Returns the place where it stopped, always the begin of a line (``end``, or a line that is not plain, or
    the next one where the columns are full), and the number of calls.
    """
    at, n = start, 0
    while at < end and n < columns.time.size:
        line = at
        kind, found = np.uint64(0), 0
        if letters[at] != _OPEN:
            return line, n
        while True:
            at += 1
            if at >= end or letters[at] != _QUOTE:
                return line, n
            key_start = at + 1
            key_end = text_end(letters, key_start, end)
            if key_end < 0 or key_end + 2 >= end or letters[key_end + 1] != _COLON:
                return line, n
            key = word(letters, key_start, key_end, end)
            at = key_end + 2
            if letters[at] == _QUOTE:
                value = at + 1
                value_end = text_end(letters, value, end)
                if value_end < 0 or key == _TIME:
                    return line, n
                at = value_end + 1
                if key == _TYPE:
                    kind = word(letters, value, value_end, end)
                    found |= 1
                elif key == _CALLER:
                    columns.caller[n] = value
                    columns.caller_end[n] = value_end
                    found |= 2
                elif key == _CALLEE:
                    columns.callee[n] = value
                    columns.callee_end[n] = value_end
                    found |= 4
            else:
                value = at
                at = bare_end(letters, at, end)
                if at < 0:
                    return line, n
                if key == _TIME:
                    columns.time[n] = natural(letters, value, at)
                    found |= 8
                    if columns.time[n] < 0:
                        return line, n
                elif key == _TYPE or key == _CALLER or key == _CALLEE:  # noqa: SIM109
                    return line, n
            if at >= end:
                return line, n
            if letters[at] == _CLOSE:
                break
            if letters[at] != _COMMA:
                return line, n
        at += 1
        if found != 15 or (at < end and letters[at] != _NEWLINE):
            return line, n
        at += 1
        if kind != _END and columns.caller_end[n] > columns.caller[n]:
            n += 1
    return min(at, end), n
