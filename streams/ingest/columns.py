"""Accepted call events to frames: columns, both numbers normalised, rows by partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from detectors.calls import (
    FRAME_SCHEMA,
    UNKNOWN,
    EventType,
    Gateway,
    ReleasedBy,
    Tristate,
    partition_of,
)
from detectors.numbering import Normaliser
from detectors.plan import NumberingPlan
from streams.wire.arrow import joined
from streams.wire.calls import CallEvent

Frames = dict[int, pa.RecordBatch]
Column = tuple[Any, ...]

_FIELDS = CallEvent.__struct_fields__


def _plain(codes: Mapping[Any, int]) -> dict[Any, int]:
    """With plain integers: a member of an enumeration takes twice as long to become a byte."""
    return {name: int(code) for name, code in codes.items()}


_TYPE = _plain({"attempt": EventType.ATTEMPT, "end": EventType.END, "cdr": EventType.CDR})
_GATEWAY = _plain(
    {None: Gateway.NATIONAL, "national": Gateway.NATIONAL, "international": Gateway.INTERNATIONAL}
)
_RELEASED_BY = _plain(
    {
        None: ReleasedBy.UNKNOWN,
        "caller": ReleasedBy.CALLER,
        "callee": ReleasedBy.CALLEE,
        "network": ReleasedBy.NETWORK,
    }
)
_TRISTATE = _plain({None: Tristate.UNKNOWN, False: Tristate.FALSE, True: Tristate.TRUE})
_NAMES = ("from_network", "to_network", "trunk", "probe", "attest", "verstat")
_NUMBERS = {
    "ring_ms": pa.int32(),
    "talk_ms": pa.int32(),
    "cause": pa.int16(),
    "sip_code": pa.int16(),
    "presentation": pa.int8(),
    "screening": pa.int8(),
}


class Framer:
    """Makes frames of call events for one numbering plan and one number of partitions."""

    def __init__(self, normaliser: Normaliser, plan: NumberingPlan, partitions: int) -> None:
        self._normaliser = normaliser
        self._operators = pa.array(plan.operators, pa.utf8())
        self._partitions = partitions
        self._schema = FRAME_SCHEMA.with_metadata({"plan_version": plan.version})

    def frames(self, events: Sequence[CallEvent]) -> Frames:
        """Partition to its rows in FRAME_SCHEMA: the caller's row of an event, then the callee's, events in
        the order given. Partitions without rows are left out."""
        if not events:
            return {}
        columns = self._columns(events)
        keys = np.column_stack((columns["caller"], columns["callee"])).ravel()
        partitions = partition_of(keys, self._partitions).astype(np.min_scalar_type(self._partitions - 1))
        rows = np.argsort(partitions, kind="stable")
        counts = np.bincount(partitions, minlength=self._partitions)
        batch = self._rows(columns, rows)
        ends = np.cumsum(counts)
        return {
            int(partition): batch.slice(int(ends[partition] - counts[partition]), int(counts[partition]))
            for partition in np.flatnonzero(counts)
        }

    def _rows(self, columns: dict[str, Any], rows: npt.NDArray[np.int64]) -> pa.RecordBatch:
        """Row 2 i is event i from its caller's end, row 2 i + 1 from its callee's."""
        events = rows >> 1
        at = pa.array(events)
        taken = [
            columns[name][events] if isinstance(columns[name], np.ndarray) else columns[name].take(at)
            for name in FRAME_SCHEMA.names[1:]
        ]
        roles = (rows & 1).astype(np.uint8)  # Role.CALLER is 0, Role.CALLEE is 1
        return pa.RecordBatch.from_arrays([pa.array(part) for part in (roles, *taken)], schema=self._schema)

    def _columns(self, events: Sequence[CallEvent]) -> dict[str, Any]:
        """The columns of a frame but ``role``, one value an event: numpy where fixed in width, else Arrow."""
        given: dict[str, Column] = dict(
            zip(_FIELDS, zip(*map(msgspec.structs.astuple, events), strict=True), strict=True)
        )
        ids = given["id"]
        call_ids = tuple([call_id or id_ for id_, call_id in zip(ids, given["call_id"], strict=True)])
        normalised = self._normaliser.numbers
        caller = normalised(given["caller"], given["caller_noa"], given["presentation"])
        callee = normalised(given["callee"], given["callee_noa"], (None,) * len(ids))
        columns = {
            "type": _coded(given["type"], _TYPE),
            "time": np.array(given["time"], np.int64),
            "event": _hashes(ids),
            "call": _hashes(call_ids),
            "id": pa.array(ids, pa.utf8()),
            "call_id": pa.array(call_ids, pa.utf8()),
            "caller": caller.number,
            "callee": callee.number,
            "caller_text": pa.array(caller.text, pa.utf8()),
            "callee_text": pa.array(callee.text, pa.utf8()),
            "caller_status": caller.status,
            "callee_status": callee.status,
            "caller_kind": caller.kind,
            "callee_kind": callee.kind,
            "caller_operator": self._named(caller.operator),
            "callee_tail": callee.tail,
            "gateway": _coded(given["gateway"], _GATEWAY),
            "answered": _coded(given["answered"], _TRISTATE),
            "released_by": _coded(given["released_by"], _RELEASED_BY),
            "roaming": _coded(given["roaming"], _TRISTATE),
            "redirecting": self._redirecting(given["redirecting"]),
        }
        columns |= {name: _names(given[name]) for name in _NAMES}
        columns |= {name: _numbers(given[name], type_) for name, type_ in _NUMBERS.items()}
        return columns

    def _redirecting(self, texts: Column) -> npt.NDArray[np.int64]:
        """Redirecting numbers normalised, 0 where there is none."""
        numbers = np.zeros(len(texts), np.int64)
        given = [row for row, text in enumerate(texts) if text]
        if given:
            nothing = (None,) * len(given)
            numbers[given] = self._normaliser.numbers([texts[row] for row in given], nothing, nothing).number
        return numbers

    def _named(self, operators: npt.NDArray[np.int32]) -> pa.DictionaryArray:
        """Operator names with only those in the dictionary that occur: it travels with every frame."""
        used, codes = np.unique(operators, return_inverse=True)
        return pa.DictionaryArray.from_arrays(
            codes.astype(np.int32), self._operators.take(pa.array(used, pa.int32()))
        )


def join(parts: Sequence[Frames]) -> Frames:
    """The frames of several steps in one, in order."""
    batches: dict[int, list[pa.RecordBatch]] = {}
    for part in parts:
        for partition, batch in part.items():
            batches.setdefault(partition, []).append(batch)
    return {partition: joined(batches[partition]) for partition in sorted(batches)}


def _coded(values: Column, codes: Mapping[Any, int]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes(map(codes.__getitem__, values)), np.uint8)


def _numbers(values: Column, type_: pa.DataType) -> npt.NDArray[Any]:
    """Integers, ``UNKNOWN`` where not given."""
    numbers: npt.NDArray[Any] = pa.array(values, type_).fill_null(UNKNOWN).to_numpy()
    return numbers


def _names(values: Column) -> pa.DictionaryArray:
    """Names as a dictionary column, the empty string where not given."""
    return pa.array(values, pa.utf8()).fill_null("").dictionary_encode()


def _hashes(texts: Column) -> npt.NDArray[np.uint64]:
    """`detectors.calls.text_hash` of each."""
    return np.fromiter(map(xxh3_64_intdigest, map(str.encode, texts)), np.uint64, len(texts))
