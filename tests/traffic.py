"""Small traffic for the tests of `detect`: call events as dictionaries, and frames made of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from detectors.calls import FRAME_SCHEMA, TAIL, EventType, NumberStatus, text_hash, text_number

START = 1_788_230_400_000
"""2026-09-01 00:00 UTC, ms."""
Row = dict[str, Any]

_DEFAULTS: Row = {
    "caller_text": "",
    "callee_text": "",
    "caller_status": NumberStatus.ALLOCATED,
    "callee_status": NumberStatus.ALLOCATED,
    "caller_kind": 1,
    "callee_kind": 1,
    "caller_operator": "CM",
    "from_network": "CM",
    "to_network": "CU",
    "trunk": "CM-CU-1",
    "probe": "",
    "gateway": 0,
    "answered": 2,
    "ring_ms": -1,
    "talk_ms": -1,
    "cause": -1,
    "sip_code": -1,
    "released_by": 0,
    "roaming": 2,
    "presentation": -1,
    "screening": -1,
    "attest": "",
    "verstat": "",
    "redirecting": 0,
}


def event(
    kind: EventType, time: int, caller: int | str, callee: int | str, call_id: str, **other: Any
) -> Row:
    """One call event; a caller or callee given as text is one that could not be normalised."""
    row = dict(_DEFAULTS, type=int(kind), time=time, call_id=call_id, id=f"{call_id}/{int(kind)}")
    for side, value in (("caller", caller), ("callee", callee)):
        row[side] = value if isinstance(value, int) else text_number(value)
        if isinstance(value, str):
            row[f"{side}_text"] = value
            row[f"{side}_status"] = NumberStatus.TEXT
    digits = "".join(c for c in str(callee) if c.isdigit())
    row["callee_tail"] = int(digits or 0) % TAIL
    return row | other


def cdr(
    time: int, caller: int | str, callee: int | str, call_id: str, talk_ms: int | None, **other: Any
) -> Row:
    """A call told at once; ``talk_ms`` None is unanswered."""
    given = {"ring_ms": 5_000, "cause": 19 if talk_ms is None else 16}
    given |= {"answered": 0} if talk_ms is None else {"answered": 1, "talk_ms": talk_ms}
    return event(EventType.CDR, time, caller, callee, call_id, **(given | other))


def call(
    time: int, caller: int | str, callee: int | str, call_id: str, talk_ms: int | None, **other: Any
) -> list[Row]:
    """An attempt and its end; ``talk_ms`` None is unanswered."""
    ended = cdr(time, caller, callee, call_id, talk_ms, **other)
    released = time + max(ended["ring_ms"], 0) + (talk_ms or 0)
    shared = {k: other[k] for k in other if k not in ("ring_ms", "cause", "sip_code", "released_by")}
    return [
        event(EventType.ATTEMPT, time, caller, callee, call_id, **shared),
        ended | {"type": int(EventType.END), "time": released, "id": f"{call_id}/1"},
    ]


def both_roles(events: Iterable[Row]) -> Iterator[Row]:
    """Each event as its caller's row and its callee's row, one after the other."""
    for row in events:
        yield row | {"role": 0}
        yield row | {"role": 1}


def in_time(*streams: Iterable[Row]) -> list[Row]:
    """Events of several sources in the order of their times."""
    return sorted((row for stream in streams for row in stream), key=lambda row: (row["time"], row["id"]))


def frame(rows: Iterable[Row], plan_version: str = "plan-1") -> pa.RecordBatch:
    """Rows (with a role) as a frame."""
    filled = [
        row | {"event": text_hash(row["id"]), "call": text_hash(row["call_id"]), "role": row["role"]}
        for row in rows
    ]
    schema = FRAME_SCHEMA.with_metadata({"plan_version": plan_version})
    return pa.RecordBatch.from_pylist(filled, schema=schema)


def frame_of(events: Iterable[Row]) -> pa.RecordBatch:
    return frame(both_roles(events))


def dialler(
    caller: int | str,
    calls: int,
    every_ms: int,
    talk: list[int | None],
    *,
    start: int = START,
    seed: int = 0,
    first_callee: int = 8613900000000,
    name: str = "",
    **other: Any,
) -> list[Row]:
    """``calls`` calls of one caller to numbers drawn at random, with talk times drawn from ``talk``."""
    draw = random.Random(f"{seed}/{caller}")
    rows: list[Row] = []
    for n in range(calls):
        callee = first_callee + draw.randrange(90_000_000)
        call_id = f"{name or caller}-{seed}-{n}"
        rows += call(start + n * every_ms, caller, callee, call_id, draw.choice(talk), **other)
    return in_time(rows)


class FakePlan:
    """A plan in which everything that starts with one of the given prefixes is unallocated."""

    version = "plan-1"

    def __init__(self, *prefixes: int) -> None:
        self._prefixes = [str(prefix) for prefix in prefixes]

    def widest_unallocated_prefix(self, number: int, at_least: int) -> int | None:
        text = str(number)
        for prefix in self._prefixes:
            digits = max(len(prefix), at_least)
            if text.startswith(prefix) and digits <= len(text):
                return int(text[:digits])
        return None


_CAUSES = (16, 17, 19, 21, 1, 34, 41, 27, -1)


def mixed_events(seed: int, calls: int, *, spread_ms: int = 400, numbers: int = 12) -> list[Row]:
    """Every sort of call at once, from few numbers to few, so that every detector has something to say.

    Attempts, ends and records; several probes, redelivered events, late ones, clock jumps; texts, withheld,
    service and impossible callers; calls that never end.
    """
    draw = random.Random(seed)
    base = 86_138_0000_0000 + draw.randrange(1_000) * 10_000
    people = [base + draw.randrange(3) * 10_000 + draw.randrange(10_000) for _ in range(numbers)]
    callers: list[int | str] = [*people, "200", "pbx-7", ""]
    rows: list[Row] = []
    time = START + draw.randrange(86_400_000)
    favourite = draw.choice(people)
    hot = draw.choice(people)
    for n in range(calls):
        time += draw.choice((0, 1, 7, spread_ms, spread_ms * 3))
        if draw.random() < 0.004:
            time += draw.choice((60_000, 700_000, 4_000_000, 90_000_000))
        at = time - draw.choice((0,) * 12 + (3_000, 70_000, 650_000, 8_000_000))
        caller = hot if draw.random() < 0.3 else draw.choice(callers)
        callee: int | str = draw.choice((*people, 8613911110000 + n, 8613911110000 + n, favourite, favourite))
        if caller == "200" and draw.random() < 0.8:
            callee = draw.choice(("011", "9011", "00", "1010333011", "1010222011")) + "972599501806"
        status = NumberStatus.ALLOCATED
        if isinstance(caller, str):
            status = NumberStatus.TEXT if caller else NumberStatus.HIDDEN
        elif caller % 5 == 0:
            status = draw.choice((NumberStatus.UNALLOCATED, NumberStatus.TOO_LONG))
        elif caller % 17 == 0:
            status = NumberStatus.SHORT_SERVICE
        network = draw.choice(("CM", "CT"))
        given: Row = {
            "caller_status": status,
            "from_network": network,
            "trunk": "scan" if caller == "200" else f"{network}-{draw.randrange(3)}",
            "ring_ms": draw.choice((-1, 0, 2_000, 9_000, 31_000)),
            "cause": draw.choice(_CAUSES),
            "sip_code": draw.choice((-1, 486, 404, 503)),
        }
        talk = draw.choice((None, None, None, None, 0, 2_000, 12_000, 45_000, 300_000))
        call_id = f"{seed}-{n if draw.random() < 0.97 else n - 1}"
        if draw.random() < 0.4:
            told = [cdr(at, caller, callee, call_id, talk, **given)]
        else:
            told = call(at, caller, callee, call_id, talk, **given)
            if draw.random() < 0.2:
                told = told[:1]
        if draw.random() < 0.1:
            told += [row | {"id": f"{row['id']}/again", "from_network": "CU", "probe": "2"} for row in told]
            if draw.random() < 0.5:
                told[-1] |= {
                    "call_id": f"{call_id}-elsewhere",
                    "time": told[-1]["time"] + draw.choice((900, 2_500)),
                }
        if draw.random() < 0.1:
            told.append(dict(draw.choice(told)))
        rows += told
    if draw.random() < 0.5:
        rows.sort(key=lambda row: row["time"])
    return rows
