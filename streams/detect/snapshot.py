"""The state of one partition as Arrow records, and back.

A snapshot is cut into parts: Arrow IPC streams of one batch each, whose rows are pieces of arrays (``path``
of the array in the state, ``start`` in bytes, ``data``), LZ4-compressed. Pieces without a bit set are left
out, so an empty table costs nothing. The last part has the open alerts as MessagePack under `ALERTS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.alert import content_id
from detectors.evidence import Kept
from detectors.fold import State
from streams.snapshots import SnapshotError
from streams.wire.arrow import BatchError, read_stream, write_stream

FORMAT = 1
"""Raised when the same arrays come to mean something else: what was written before is then passed over."""
ALERTS = "alerts"
PIECE_BYTES = 1 << 17
PART_BYTES = 1 << 20
"""Bytes of pieces in one part, before compression."""

PART_SCHEMA = pa.schema([("path", pa.utf8()), ("start", pa.int64()), ("data", pa.binary())])


class Memory(msgspec.Struct):
    """What a partition knows besides its arrays."""

    alerts: Kept
    trunks: dict[int, str]
    """Names of trunks by their hash."""


def layout_of(state: State) -> str:
    """Names the arrays of ``state``, their types and sizes: a snapshot fits states of its own layout."""
    return content_id(
        [FORMAT, [[path, repr(array.dtype.descr), array.shape] for path, array in arrays_of(state)]]
    )


def arrays_of(state: Any, path: str = "") -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Every array of a state with its path (``callers.rows``), without views of another's memory."""
    seen: list[npt.NDArray[Any]] = []
    for name in state._fields:
        value = getattr(state, name)
        if isinstance(value, tuple):
            yield from arrays_of(value, f"{path}{name}.")
        elif not any(np.shares_memory(value, other) for other in seen):
            seen.append(value)
            yield f"{path}{name}", value


class Copy(NamedTuple):
    """A state as it was at one moment."""

    pieces: list[tuple[str, int, memoryview]]
    """Path of the array, start in bytes, bytes."""
    memory: bytes


def copied(state: State, memory: Memory) -> Copy:
    """What a snapshot is made of; nothing of it refers to ``state`` any more."""
    pieces = [piece for path, array in arrays_of(state) for piece in _pieces(path, _bytes_of(array))]
    return Copy(pieces, msgspec.msgpack.encode(memory))


def pack(copy: Copy) -> list[bytes]:
    """The parts of a snapshot."""
    parts: list[bytes] = []
    pieces: list[tuple[str, int, memoryview | bytes]] = []
    size = 0
    for piece in copy.pieces:
        pieces.append(piece)
        size += len(piece[2])
        if size >= PART_BYTES:
            parts.append(_part(pieces))
            pieces, size = [], 0
    pieces.append((ALERTS, 0, copy.memory))
    return [*parts, _part(pieces)]


def unpack(parts: Iterable[bytes], state: State) -> Memory:
    """Writes a snapshot into ``state``, which must be a new one, and returns what belongs to it.

    Raises SnapshotError where a part cannot be read or does not fit; ``state`` is of no use then.
    """
    places = {path: _bytes_of(array) for path, array in arrays_of(state)}
    memory: Memory | None = None
    for part in parts:
        for path, start, data in _rows_of(part):
            if path == ALERTS:
                memory = _memory(data)
                continue
            place = places.get(path)
            if place is None or start < 0 or start + data.size > len(place):
                raise SnapshotError(f"{data.size} bytes at {start} of {path!r} have no place in this state")
            place[start : start + data.size] = np.frombuffer(data, np.uint8)
    if memory is None:
        raise SnapshotError("the snapshot has no part with its open alerts")
    return memory


def _pieces(path: str, whole: npt.NDArray[np.uint8]) -> Iterator[tuple[str, int, memoryview]]:
    """Copies of the pieces with a bit set, all in one array, which costs less to come by than many."""
    starts = [
        start for start in range(0, len(whole), PIECE_BYTES) if whole[start : start + PIECE_BYTES].max()
    ]
    if not starts:
        return
    copy = np.concatenate([whole[start : start + PIECE_BYTES] for start in starts]).data
    for place, start in enumerate(starts):
        yield path, start, copy[place * PIECE_BYTES : (place + 1) * PIECE_BYTES]


def _bytes_of(array: npt.NDArray[Any]) -> Any:
    """uint8, a view."""
    return array.reshape(-1).view(np.uint8)


def _part(pieces: list[tuple[str, int, memoryview | bytes]]) -> bytes:
    paths, starts, data = zip(*pieces, strict=True)
    columns = [pa.array(paths, pa.utf8()), pa.array(starts, pa.int64()), pa.array(data, pa.binary())]
    return write_stream(pa.record_batch(columns, schema=PART_SCHEMA), "lz4")


def _rows_of(part: bytes) -> Iterator[tuple[str, int, pa.Buffer]]:
    try:
        batch = read_stream(part, PART_SCHEMA, "part")
    except BatchError as error:
        raise SnapshotError(str(error)) from error
    columns = (batch.column(name).to_pylist() for name in ("path", "start"))
    for path, start, data in zip(*columns, batch.column("data"), strict=True):
        yield path, start, data.as_buffer()


def _memory(data: pa.Buffer) -> Memory:
    try:
        return msgspec.msgpack.decode(data, type=Memory)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the open alerts cannot be read: {error}") from error
