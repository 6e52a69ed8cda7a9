"""Signals: what a detector's kernel says, and how often one subject may say it.

A detector looks at every row; a subject under attack satisfies it on thousands of them. Python sees only its
first five calls, then every call whose count is a power of two, then one a second of event time, and at once
any rise of the level. The calls in between are counted and told with the next signal. A subject that was
quiet for ten minutes starts anew.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.kernels import inlined, mix2
from detectors.subjects import zeros

QUIET_MS = 600_000
"""After this much event time without a signal, the next one must prove everything anew."""
EVERY_MS = 1_000

FEATURES = 20

SIGNAL = np.dtype(
    [
        ("row", np.int64),
        ("key", np.int64),
        ("trunk", np.uint64),
        ("time", np.int64),
        ("calls", np.int64),
        ("pattern", np.int32),
        ("level", np.int32),
        ("contacts", np.int32),
        ("opened", np.int32),
        ("features", np.float64, (FEATURES,)),
    ]
)
"""``row`` of the batch; ``key`` of the subject's row; ``trunk`` that most of a block's calls came over, or 0;
``time`` of the event, ms; ``calls`` since the last signal of this subject; ``contacts`` index into
`Output.contacts` or -1; ``opened`` 1 for its first."""

CONTACT = np.dtype(
    [
        ("caller", np.int64),
        ("call", np.uint64),
        ("trunk", np.uint64),
        ("time", np.int64),
        ("outcome", np.uint8),
        ("stranger", np.uint8),
    ],
    align=True,
)
"""One attempt on a watched callee. ``outcome`` is one of the constants below."""
PENDING, UNWANTED, TALKED, FAILED, BUSY, BRIEF, GIVEN_UP = range(7)
"""``BRIEF`` was answered and is no talk, ``GIVEN_UP`` by the caller after a ring (`candidates.gave_up_soon`),
``UNWANTED`` otherwise not answered."""

CONTACTS = 128
"""Attempts kept of one watched callee."""

_SPOKEN = np.dtype(
    [
        ("key", np.uint64),
        ("last", np.int64),
        ("told", np.int64),
        ("count", np.int64),
        ("untold", np.int32),
        ("level", np.int32),
    ]
)
_WAYS = 4


class Output(NamedTuple):
    """Where a kernel writes: ``signals`` `SIGNAL` (n,), ``contacts`` `CONTACT` (m, CONTACTS), ``candidates``
    ``detectors.candidates.CANDIDATE`` (k,), ``used`` int64 (3,): how many of each are written; ``counted``
    uint8, one a row: bit 0 its attempt counted, bit 1 its outcome; ``sums`` int64 (3,): duplicates, late
    rows, newest event time."""

    signals: npt.NDArray[Any]
    contacts: npt.NDArray[Any]
    candidates: npt.NDArray[Any]
    used: npt.NDArray[np.int64]
    counted: npt.NDArray[np.uint8]
    sums: npt.NDArray[np.int64]


def new_spoken(subjects: int) -> npt.NDArray[Any]:
    """Memory of who signalled lately, for ``subjects`` (a power of two) of them at a time."""
    return zeros(subjects, _SPOKEN)


@inlined
def _entry(spoken: Any, key: Any) -> Any:
    """Index of ``key``, or of the least recent of its bucket."""
    base: Any = np.int64(key & np.uint64(spoken.size // _WAYS - 1)) * _WAYS
    oldest = base
    for k in range(base, base + _WAYS):
        if spoken[k].key == key:
            return k
        if spoken[k].last < spoken[oldest].last:
            oldest = k
    return oldest


@inlined
def speak(
    out: Any,
    spoken: Any,
    pattern: Any,
    key: Any,
    about: Any,
    row: Any,
    time: Any,
    attempt: Any,
    calls: Any,
    level: Any,
) -> Any:
    """Tell the signal whose features stand in the next free slot of ``out``, unless its subject is muted.

    ``key`` names the subject whose telling is rationed, ``about`` the one the signal is about; ``attempt`` is
    1 where the row is a new call; ``calls`` are those the subject made up to the first signal. Returns 1
    where told.
    """
    hashed = mix2(key, pattern)
    entry = spoken[_entry(spoken, hashed)]
    opened = entry.key != hashed or time - entry.last > QUIET_MS
    if opened:
        entry.key = hashed
        entry.last = time
        entry.told = time
        entry.count = 1
        entry.untold = np.int32(0)
        entry.level = np.int32(level)
        told = calls
    else:
        entry.last = max(entry.last, time)
        entry.count += attempt
        entry.untold = np.int32(entry.untold + attempt)
        few = entry.count <= 5 or (entry.count & (entry.count - 1)) == 0
        due = time - entry.told >= EVERY_MS
        if not (due or level > entry.level or (attempt == 1 and few)):
            return 0
        told = np.int64(entry.untold)
        entry.untold = np.int32(0)
        entry.told = max(entry.told, time)
        entry.level = np.int32(max(np.int64(entry.level), level))
    signal = out.signals[out.used[0]]
    signal.row = row
    signal.key = about
    signal.trunk = np.uint64(0)
    signal.time = time
    signal.calls = told
    signal.pattern = np.int32(pattern)
    signal.level = np.int32(level)
    signal.contacts = np.int32(-1)
    signal.opened = np.int32(1 if opened else 0)
    out.used[0] += 1
    return 1
