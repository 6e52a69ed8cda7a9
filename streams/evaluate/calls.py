"""The set-ups of calls as columns: all that is needed to play them against rules, some 45 bytes each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from config.settings import Settings
from detectors.calls import EventType, Gateway, Role, spell
from detectors.plan import NumberingPlan
from streams.ingest.step import Ingest
from streams.wire.records import SourceRecord

Ints = npt.NDArray[np.int64]

_EVENTS_AT_ONCE = 4_096
_NUMBERS = ("time", "call", "caller", "callee", "gateway")
_NAMES = ("trunk", "from_network", "to_network")
_TYPES: dict[str, npt.DTypeLike] = {
    "time": np.int64,
    "call": np.uint64,
    "caller": np.int64,
    "callee": np.int64,
    "gateway": np.uint8,
}


class Calls(NamedTuple):
    """Set-ups in order of time; columns of one length.

    A call seen by several probes has several set-ups. What is refused by `ingest` is not in it, nor is a
    call of which only the end was seen: a switch could not have decided about it.
    """

    time: Ints
    """ms since the epoch, of the seizure."""
    call: npt.NDArray[np.uint64]
    """`detectors.calls.text_hash` of the ``call_id``."""
    caller: Ints
    callee: Ints
    """Numbers as in frames, negative for texts."""
    gateway: npt.NDArray[np.uint8]
    trunk: npt.NDArray[np.int32]
    from_network: npt.NDArray[np.int32]
    to_network: npt.NDArray[np.int32]
    """Index into ``names``."""
    names: list[str]
    texts: Mapping[int, str]
    """What negative numbers stand for."""

    def spelled(self, numbers: Iterable[int]) -> list[str]:
        """Callers or callees as rules name them."""
        return [spell(number, self.texts.get(number, "")) for number in numbers]


class CallTable:
    """Gathers `Calls` from the frames that `ingest` makes."""

    def __init__(self) -> None:
        self._parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in (*_NUMBERS, *_NAMES)}
        self._names: dict[str, int] = {}
        self._texts: dict[int, str] = {}

    def add(self, frame: pa.RecordBatch) -> None:
        """Takes in a record batch in FRAME_SCHEMA: its set-ups as seen from the caller's end."""
        callers = pc.equal(frame.column("role"), int(Role.CALLER))
        set_up = frame.filter(pc.and_(callers, pc.not_equal(frame.column("type"), int(EventType.END))))
        for name in _NUMBERS:
            self._parts[name].append(set_up.column(name).to_numpy())
        for name in _NAMES:
            self._parts[name].append(self._indices(set_up.column(name)))
        for side in ("caller", "callee"):
            self._learn(set_up.column(side).to_numpy(), set_up.column(f"{side}_text"))

    def calls(self) -> Calls:
        columns = {name: _joined(parts, _TYPES.get(name, np.int32)) for name, parts in self._parts.items()}
        order = np.lexsort((columns["call"], columns["time"]))
        return Calls(
            **{name: column[order] for name, column in columns.items()},
            names=list(self._names),
            texts=self._texts,
        )

    def _indices(self, column: pa.DictionaryArray) -> npt.NDArray[np.int32]:
        known = [self._names.setdefault(name, len(self._names)) for name in column.dictionary.to_pylist()]
        indices: npt.NDArray[np.int32] = np.array(known, np.int32)[column.indices.to_numpy()]
        return indices

    def _learn(self, numbers: Ints, texts: pa.StringArray) -> None:
        for row in np.flatnonzero(numbers < 0).tolist():
            self._texts[int(numbers[row])] = texts[row].as_py()


def calls_of(events: Iterable[Mapping[str, Any]], settings: Settings, plan: NumberingPlan) -> Calls:
    """The calls in ``events``, dicts as on the topic `calls`, read as `ingest` reads them."""
    return calls_in(records_of(events), settings, plan)


def calls_in(records: Iterable[SourceRecord], settings: Settings, plan: NumberingPlan) -> Calls:
    """The calls in ``records`` of the topic `calls`, read as `ingest` reads them."""
    ingest, table = Ingest(plan, settings), CallTable()
    for record in records:
        for frame in ingest([record]).frames.values():
            table.add(frame)
    return table.calls()


def records_of(events: Iterable[Mapping[str, Any]]) -> Iterator[SourceRecord]:
    """``events`` as records of many lines each."""
    coming, offset = iter(events), 0
    while some := [_line(event) for event in islice(coming, _EVENTS_AT_ONCE)]:
        yield SourceRecord(b"".join(some), topic="calls", partition=0, offset=offset, timestamp=None)
        offset += len(some)


def _line(event: Mapping[str, Any]) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def gateway_name(code: int) -> str:
    return "international" if code == Gateway.INTERNATIONAL else "national"


def _joined(parts: list[npt.NDArray[Any]], type_: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, type_), *parts]).astype(type_, copy=False)
