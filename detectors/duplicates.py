"""What has already been counted: events that arrive twice, calls that several probes see.

Three memories of fixed size, each a set-associative table that forgets first in, first out within a bucket:

- *events*, by event id: a redelivered event counts once.
- *calls*, by call id and the two numbers: one call counts one attempt and one outcome, whichever of its
  events and probes tell it first. A ``cdr`` after its ``attempt`` brings only the outcome, after its ``end``
  only the attempt. Since the far end chooses its call ids, an attempt more than `REUSED_MS` after the one
  that was counted under the same id is another call.
- *pairs*, by the two numbers: one call seen by two networks under two call ids. The same two numbers within
  `SAME_CALL_MS` on another sending network is the same call; on the same network it is a redial.

Both rows of an event may be on one partition, so every key has the role in it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.kernels import inlined, mix, mix2, pasted, prefetch
from detectors.subjects import power_of_two, zeros

SAME_CALL_MS = 2_000
REUSED_MS = 10_000

_EVENT_WAYS, _CALL_WAYS, _PAIR_WAYS = 8, 4, 2
_ATTEMPT, _OUTCOME = np.uint64(1), np.uint64(2)
_FLAGS = np.uint64(3)
_NOT_FLAGS = np.uint64(0xFFFFFFFFFFFFFFFC)

CALL = np.dtype([("key", np.uint64), ("time", np.int64)])
"""``key``: hash without its two low bits, which say what was counted; ``time`` of the attempt, else of the
outcome, ms."""
PAIR = np.dtype([("key", np.uint64), ("time", np.int64), ("network", np.uint64), ("spare", np.uint64)])


class Counted(NamedTuple):
    """The three memories: uint64 (n,), `CALL` (n,), `PAIR` (max(n / 16, 1 024),)."""

    events: npt.NDArray[np.uint64]
    calls: npt.NDArray[Any]
    pairs: npt.NDArray[Any]


def new_counted(remembered: int) -> Counted:
    """Memories for ``remembered`` events and as many calls, rounded up to a power of two."""
    n = power_of_two(remembered)
    return Counted(zeros(n, np.uint64), zeros(n, CALL), zeros(max(n // 16, 1_024), PAIR))


@inlined
def _event_key(event: Any, role: Any) -> Any:
    key = mix2(event, role)
    return key if key != 0 else np.uint64(1)


@inlined
def _event_base(events: Any, key: Any) -> Any:
    return np.int64(key & np.uint64(events.size // _EVENT_WAYS - 1)) * _EVENT_WAYS


@inlined
def _call_base(calls: Any, key: Any) -> Any:
    return np.int64((key >> np.uint64(2)) & np.uint64(calls.size // _CALL_WAYS - 1)) * _CALL_WAYS


@inlined
def _pair_base(pairs: Any, key: Any) -> Any:
    return np.int64(key & np.uint64(pairs.size // _PAIR_WAYS - 1)) * _PAIR_WAYS


@pasted
def fetch_counted(counted: Any, event: Any, call: Any, caller: Any, callee: Any, role: Any) -> None:
    """Asks for what the three memories hold of an event: some rows before it is needed."""
    prefetch(counted.events, _event_base(counted.events, _event_key(event, role)), np.int64(0))
    prefetch(counted.calls, _call_base(counted.calls, call_key(call, caller, callee, role)), np.int64(0))
    for outcome in range(2):
        key = pair_key(caller, callee, role, np.int64(outcome))
        prefetch(counted.pairs, _pair_base(counted.pairs, key), np.int64(0))


@inlined
def seen_event(events: Any, event: Any, role: Any) -> Any:
    """Whether this event of this role was seen; remembers it."""
    key = _event_key(event, role)
    base = _event_base(events, key)
    for k in range(base, base + _EVENT_WAYS):
        if events[k] == key:
            return True
    for k in range(base + _EVENT_WAYS - 1, base, -1):
        events[k] = events[k - 1]
    events[base] = key
    return False


@inlined
def count_call(calls: Any, key: Any, time: Any, attempt: Any, outcome: Any) -> Any:
    """What of an event is news of its call: bit 0 the attempt, bit 1 the outcome; remembers it.

    ``key`` is the uint64 hash of call, numbers and role; ``attempt`` and ``outcome`` say what it tells.
    """
    base = _call_base(calls, key)
    told = (_ATTEMPT if attempt else np.uint64(0)) | (_OUTCOME if outcome else np.uint64(0))
    key &= _NOT_FLAGS
    for k in range(base, base + _CALL_WAYS):
        entry = calls[k]
        flags = entry.key & _FLAGS
        if (entry.key & _NOT_FLAGS) != key or flags == 0:
            continue
        if attempt and time > entry.time + REUSED_MS:
            entry.key = key | told
            entry.time = time
            return told
        if attempt and (flags & _ATTEMPT) != 0 and time < entry.time - REUSED_MS:
            return told
        if attempt and (flags & _ATTEMPT) == 0:
            entry.time = time
        entry.key = key | flags | told
        return told & ~flags
    for k in range(base + _CALL_WAYS - 1, base, -1):
        calls[k].key = calls[k - 1].key
        calls[k].time = calls[k - 1].time
    calls[base].key = key | told
    calls[base].time = time
    return told


@inlined
def seen_elsewhere(pairs: Any, key: Any, time: Any, network: Any) -> Any:
    """Whether the same two numbers were just seen on another network; else remembers where they were.

    ``key`` is the uint64 hash of numbers, role and class; ``network`` the hash of the sending network.
    """
    base = _pair_base(pairs, key)
    for k in range(base, base + _PAIR_WAYS):
        entry = pairs[k]
        if entry.key == key:
            if entry.network != network and abs(time - entry.time) <= SAME_CALL_MS:
                return True
            if time >= entry.time:
                entry.time = time
                entry.network = network
            return False
    older, newer = pairs[base + 1], pairs[base]
    older.key = newer.key
    older.time = newer.time
    older.network = newer.network
    newer.key = key
    newer.time = time
    newer.network = network
    return False


@inlined
def pair_key(caller: Any, callee: Any, role: Any, outcome: Any) -> Any:
    """Key of two numbers (int64), the role, and whether it is an attempt (0) or an outcome (1)."""
    key = mix(mix2(caller, callee) ^ np.uint64(2 * role + outcome))
    return key if key != 0 else np.uint64(1)


@inlined
def call_key(call: Any, caller: Any, callee: Any, role: Any) -> Any:
    """Key of a call (uint64) between two numbers (int64), in a role."""
    return mix(call ^ mix2(caller, callee) ^ np.uint64(role))
