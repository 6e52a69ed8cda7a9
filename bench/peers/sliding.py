"""Sliding windows of a caller's calls and distinct callees, exact, as numba kernels.

A pane is 5 s of event time; a window is twelve of them. A caller's row has a ring of 16 panes, as the rings
of ``detectors.windows``, chosen by the call's own time. Callees are kept once each call, in a ring of the
last minute, linked from a caller's newest call to the one before. So distinct callees are only counted for
callers that reach the threshold, when their window closes, and counted exactly.

A window closes when a call is `DELAY_MS` past its end; a call whose last window has closed is counted as
late, and left out. Numbers stand as 64-bit hashes of their text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.peers.job import DELAY_MS, SLIDE_MS, THRESHOLD, WINDOW_MS
from detectors.kernels import inlined, kernel, mix

PANES = WINDOW_MS // SLIDE_MS
RING = 16
TEXT = 128
"""Longest caller in bytes: twice the 64 letters that a call event may have at most."""

ROW = np.dtype(
    [
        ("key", np.uint64),
        ("newest", np.int64),
        ("last_call", np.int64),
        ("total", np.int32),
        ("hot", np.uint8),
        ("letters", np.uint8),
        ("text", np.uint8, (TEXT,)),
        ("panes", np.uint32, (RING,)),
    ],
    align=True,
)
"""One caller. ``key`` 0 where free; ``newest`` number of its newest pane; ``last_call`` number of its last
call; ``total`` calls in the ring, those of panes not yet cleared included; ``hot`` whether it is listed."""

CALL = np.dtype([("callee", np.uint64), ("before", np.int64), ("pane", np.int64)], align=True)
"""A call: hash of the callee, number of the caller's call before (-1: none), number of its pane."""

ALERT = np.dtype(
    [
        ("start", np.int64),
        ("calls", np.int64),
        ("callees", np.int64),
        ("letters", np.uint8),
        ("text", np.uint8, (TEXT,)),
    ],
    align=True,
)

NEWEST, CLOSED, CALLS, USED, HOT, LATE, STAMP = range(7)
"""Places in ``numbers``: newest time seen; number of the first window not closed; calls taken; rows used; hot
callers; late calls; stamp of the last count of distinct callees."""


class State(NamedTuple):
    rows: npt.NDArray[Any]
    """`ROW`, open addressing, a power of two."""
    calls: npt.NDArray[Any]
    """`CALL`, a ring, a power of two."""
    first: npt.NDArray[np.int64]
    """(RING,): number of calls taken before the pane was first seen."""
    hot: npt.NDArray[np.int64]
    """Indices of rows that may have reached the threshold."""
    seen: npt.NDArray[np.uint64]
    """(2, n): a set of callees, and the stamp that says whether its place is in use."""
    numbers: npt.NDArray[np.int64]


class Columns(NamedTuple):
    """Calls: time in ms, and where the caller and the callee stand in ``letters``."""

    letters: npt.NDArray[np.uint8]
    time: npt.NDArray[np.int64]
    caller: npt.NDArray[np.int64]
    caller_end: npt.NDArray[np.int64]
    callee: npt.NDArray[np.int64]
    callee_end: npt.NDArray[np.int64]


def new_state(callers: int, calls: int) -> State:
    """Empty, for ``callers`` rows and the last ``calls`` calls, both powers of two."""
    numbers = np.zeros(7, np.int64)
    numbers[NEWEST] = numbers[CLOSED] = -(1 << 60)
    return State(
        np.zeros(callers, ROW),
        np.zeros(calls, CALL),
        np.zeros(RING, np.int64),
        np.zeros(callers, np.int64),
        np.zeros((2, 2 * calls), np.uint64),
        numbers,
    )


@inlined
def text_hash(letters: Any, start: Any, end: Any) -> Any:
    """uint64 of a text, not 0: eight letters at a time through `mix`."""
    state = np.uint64(end - start)
    word = np.uint64(0)
    for k in range(start, end):
        word = (word << np.uint64(8)) | np.uint64(letters[k])
        if (k - start) & 7 == 7:
            state = mix(state ^ word)
            word = np.uint64(0)
    return mix(state ^ word) | np.uint64(1)


@inlined
def row_of(state: Any, key: Any, columns: Any, at: Any, pane: Any) -> Any:
    """Index of the caller's row, claimed where there is none."""
    rows, numbers = state.rows, state.numbers
    mask = np.uint64(rows.size - 1)
    index = (key >> np.uint64(1)) & mask
    while rows[index].key != key:
        if rows[index].key == 0:
            row = rows[index]
            row.key = key
            row.newest = pane
            row.last_call = -1
            start = columns.caller[at]
            row.letters = np.uint8(min(columns.caller_end[at] - start, TEXT))
            for k in range(row.letters):
                row.text[k] = columns.letters[start + k]
            numbers[USED] += 1
            break
        index = (index + np.uint64(1)) & mask
    return np.int64(index)


@inlined
def advance(row: Any, pane: Any) -> None:
    """Move the head of the ring to ``pane`` where that is newer; what it passes is forgotten."""
    if pane <= row.newest:
        return
    for passed in range(max(row.newest + 1, pane - RING + 1), pane + 1):
        slot = passed & (RING - 1)
        row.total -= np.int32(row.panes[slot])
        row.panes[slot] = np.uint32(0)
    row.newest = pane


@inlined
def calls_between(row: Any, first: Any, last: Any) -> Any:
    """Calls of the panes ``first`` to ``last`` as far as the ring holds them, int64."""
    count = np.int64(0)
    for pane in range(max(first, row.newest - RING + 1), min(last, row.newest) + 1):
        count += np.int64(row.panes[pane & (RING - 1)])
    return count


@inlined
def distinct(state: Any, row: Any, window: Any) -> Any:
    """Distinct callees of a caller in the window whose first pane is ``window``."""
    calls, seen, numbers = state.calls, state.seen, state.numbers
    numbers[STAMP] += 1
    stamp = np.uint64(numbers[STAMP])
    mask = np.uint64(seen.shape[1] - 1)
    oldest = state.first[window & (RING - 1)]
    count, number = 0, row.last_call
    while number >= oldest:
        call = calls[number & (calls.size - 1)]
        if window <= call.pane < window + PANES:
            place = mix(call.callee) & mask
            while seen[1, place] == stamp and seen[0, place] != call.callee:
                place = (place + np.uint64(1)) & mask
            if seen[1, place] != stamp:
                seen[0, place] = call.callee
                seen[1, place] = stamp
                count += 1
        number = call.before
    return count


@inlined
def close(state: Any, alerts: Any, n: Any, window: Any) -> Any:
    """Close the window whose first pane is ``window``; returns ``n`` and its alerts. There must be room."""
    rows, hot, numbers = state.rows, state.hot, state.numbers
    kept = 0
    for k in range(numbers[HOT]):
        row = rows[hot[k]]
        calls = calls_between(row, window, window + PANES - 1)
        if calls >= THRESHOLD:
            alert = alerts[n]
            alert.start = window * SLIDE_MS
            alert.calls = calls
            alert.callees = distinct(state, row, window)
            alert.letters = row.letters
            for letter in range(row.letters):
                alert.text[letter] = row.text[letter]
            n += 1
        if calls_between(row, window + 1, row.newest) >= THRESHOLD:
            hot[kept] = hot[k]
            kept += 1
        else:
            row.hot = np.uint8(0)
    numbers[HOT] = kept
    return n


@inlined
def open_panes(state: Any, old: Any, new: Any) -> None:
    """Note where the panes after ``old`` up to ``new`` begin among the calls."""
    for pane in range(max(old + 1, new - RING + 1), new + 1):
        state.first[pane & (RING - 1)] = state.numbers[CALLS]


@kernel
def fold(state: State, columns: Columns, start: int, end: int, alerts: Any) -> tuple[int, int]:
    """Take the calls ``start`` to ``end``; returns the first not taken and the number of ``alerts`` made.

    Ends early where ``alerts`` may become full, or half of the rows are used.
    """
    numbers, calls, n = state.numbers, state.calls, 0
    for at in range(start, end):
        if 2 * numbers[USED] >= state.rows.size:
            return at, n
        time = columns.time[at]
        pane = time // SLIDE_MS
        if time > numbers[NEWEST]:
            due = (time - DELAY_MS) // SLIDE_MS - PANES
            while numbers[CLOSED] <= due:
                if numbers[HOT] == 0:
                    numbers[CLOSED] = due + 1
                    break
                if n + numbers[HOT] > alerts.size:
                    return at, n
                n = close(state, alerts, n, numbers[CLOSED])
                numbers[CLOSED] += 1
            open_panes(state, numbers[NEWEST] // SLIDE_MS, pane)
            numbers[NEWEST] = time
        if pane < numbers[CLOSED]:
            numbers[LATE] += 1
            continue
        key = text_hash(columns.letters, columns.caller[at], columns.caller_end[at])
        index = row_of(state, key, columns, at, pane)
        row = state.rows[index]
        advance(row, pane)
        row.panes[pane & (RING - 1)] += np.uint32(1)
        row.total += np.int32(1)
        call = calls[numbers[CALLS] & (calls.size - 1)]
        call.callee = text_hash(columns.letters, columns.callee[at], columns.callee_end[at])
        call.before = row.last_call
        call.pane = pane
        row.last_call = numbers[CALLS]
        numbers[CALLS] += 1
        if row.total >= THRESHOLD and row.hot == 0:
            row.hot = np.uint8(1)
            state.hot[numbers[HOT]] = index
            numbers[HOT] += 1
    return end, n


@kernel
def move(old: State, new: State) -> None:
    """Move to ``new``, whose arrays are empty and as long or longer, what windows not yet closed need."""
    numbers = new.numbers
    for k in range(old.numbers.size):
        numbers[k] = old.numbers[k]
    for k in range(RING):
        new.first[k] = old.first[k]
    mask, used, hot = np.uint64(new.rows.size - 1), 0, 0
    for k in range(old.rows.size):
        row = old.rows[k]
        if row.key == 0 or row.newest < numbers[CLOSED]:
            continue
        index = (row.key >> np.uint64(1)) & mask
        while new.rows[index].key != 0:
            index = (index + np.uint64(1)) & mask
        new.rows[index] = row
        used += 1
        if row.hot == 1:
            new.hot[hot] = np.int64(index)
            hot += 1
    numbers[USED], numbers[HOT] = used, hot
    for number in range(max(0, numbers[CALLS] - old.calls.size), numbers[CALLS]):
        new.calls[number & (new.calls.size - 1)] = old.calls[number & (old.calls.size - 1)]
