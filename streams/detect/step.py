"""The step of `detect`: one record of `frames` in, alerts and the record's traffic out.

State is a fold over the records of one partition; nothing here reads a clock. Cutting the same rows into
other records changes the summaries' borders, never the alerts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from config.settings import Settings
from detectors import sums
from detectors.alert import Alert, content_id
from detectors.burst import Burst
from detectors.candidates import FEATURES, features_of
from detectors.clone import Clone
from detectors.evidence import Alerts
from detectors.flood import Flood
from detectors.fold import Columns, columns_of, fold, new_output, new_state, parameters_of, renewed
from detectors.foreign_gateway import ForeignGateway
from detectors.lists import ListBook
from detectors.misrouted import Misrouted
from detectors.neighbour import Neighbour
from detectors.policy import Policy
from detectors.registry import by_pattern, features_by_pattern
from detectors.rotation import Rotation
from detectors.shape import Detector, Signal
from detectors.signals import Output
from detectors.subjects import used
from detectors.sweep import Sweep
from detectors.unallocated import Plan, Unallocated
from detectors.wangiri import Wangiri
from streams.detect.rows import Rows
from streams.detect.snapshot import Memory, copied, layout_of, pack, unpack
from streams.wire.arrow import texts_of
from streams.wire.candidates import CANDIDATE_SCHEMA, Candidates
from streams.wire.records import ListEntry
from streams.wire.summaries import BITMAP_BYTES, NAMES, TRAFFIC_SCHEMA, Summary

KNOWN_TRUNKS = 65_536
"""Trunk names a partition remembers by their hash."""

_NAMES = {
    pattern: [feature.name for feature in features] for pattern, features in features_by_pattern().items()
}


_OF_SIGNALS = ("row", "key", "trunk", "time", "calls", "pattern", "level", "contacts", "opened")
_OF_CANDIDATES = ("row", "key", "time", "block")


class Detected(NamedTuple):
    """``alerts`` and ``candidates`` in the order of their rows; None where a record gives rise to nothing."""

    alerts: list[Alert]
    summary: Summary | None
    candidates: Candidates | None = None


def _speaking(settings: Settings, plan: Plan, trunks: Mapping[int, str]) -> list[Detector]:
    """Every detector of `detect`, to put its signals into words. ``trunks`` names them by hash."""
    own = settings.detectors
    return [
        Burst(own.burst),
        Rotation(own.rotation, trunks),
        Unallocated(own.unallocated, plan),
        Flood(own.flood, trunks),
        Sweep(own.sweep, trunks),
        Wangiri(own.wangiri, trunks),
        Clone(),
        Policy(own.policy),
        Misrouted(),
        ForeignGateway(),
        Neighbour(),
    ]


class Detect:
    """One partition of `frames`. ``lists`` are a worker's, shared by its partitions."""

    def __init__(self, partition: int, settings: Settings, plan: Plan, lists: ListBook | None = None) -> None:
        self._partition = partition
        self._lists = new_lists(settings) if lists is None else lists
        self._plan = plan
        self._parameters = parameters_of(settings)
        self._trunks: dict[int, str] = {}
        self._alerts = Alerts(
            by_pattern(_speaking(settings, plan, self._trunks)),
            config_hash(settings),
            settings.detect.open_alerts,
            settings.evidence,
        )
        self._output = new_output()
        self.state = new_state(settings)

    def __call__(self, batch: pa.RecordBatch, offset: int) -> Detected:
        """Folds one record in. Raises ValueError where ``batch`` is not in FRAME_SCHEMA."""
        columns = columns_of(batch)
        if batch.num_rows == 0:
            return Detected([], None)
        evicted = self._evicted()
        output = renewed(self._output, batch.num_rows)
        rows = Rows(batch)
        alerts: list[Alert] = []
        candidates: list[pa.RecordBatch] = []
        for found, told in self._fold(batch, columns, rows, output):
            alerts += found
            if output.used[2]:
                candidates.append(_candidates_of(batch, output, told))
        summary = self._summary(batch, columns, output, offset, self._evicted() - evicted)
        return Detected(alerts, summary, self._told(candidates, offset))

    def rebuild(self, batch: pa.RecordBatch) -> None:
        """Folds in a record that was told of before: the same state, and nothing comes of it.

        Raises ValueError where ``batch`` is not in FRAME_SCHEMA.
        """
        columns = columns_of(batch)
        if batch.num_rows:
            output = renewed(self._output, batch.num_rows)
            deque(self._fold(batch, columns, Rows(batch), output, silent=True), maxlen=0)

    def _fold(
        self, batch: pa.RecordBatch, columns: Columns, rows: Rows, output: Output, silent: bool = False
    ) -> Iterator[tuple[list[Alert], list[int]]]:
        """The alerts of all rows, and for each candidate at which level they told of it by then, as often as
        ``output`` is to be emptied; what else is in it goes then. ``silent``: no candidate is told of."""
        self._learn_trunks(batch, columns)
        plan_version = (batch.schema.metadata or {}).get(b"plan_version", b"").decode() or self._plan.version
        row = 0
        while row < batch.num_rows:
            row = fold(columns, row, self.state, self._parameters, self._lists.tables, output)
            if silent:
                output.used[2] = 0
            yield self._alerts_of(rows, output, plan_version)
            output.used[:] = 0

    def listed(self, entry_id: str, entry: ListEntry | None) -> None:
        """An entry of `lists` came, changed or (None) went; it counts from the next record on.

        Raises ValueError that names the field, its value and what was expected.
        """
        self._lists.put(entry_id, entry)

    def snapshot(self) -> Callable[[], list[bytes]]:
        """All that is remembered now; the parts of the snapshot are made when they are called for."""
        return partial(pack, copied(self.state, Memory(self._alerts.kept(), self._trunks)))

    def restore(self, parts: Iterable[bytes]) -> None:
        """Goes on from a snapshot; for one that has folded nothing yet.

        Raises SnapshotError where a part is damaged or does not fit; this one is of no use then.
        """
        memory = unpack(parts, self.state)
        self._trunks.update(memory.trunks)
        self._alerts.restore(memory.alerts)

    @property
    def layout(self) -> str:
        """Which snapshots fit."""
        return layout_of(self.state)

    def subjects(self) -> dict[str, int]:
        """Subjects held, by table. Counts them: not for every record."""
        state = self.state
        return {
            "callers": used(state.callers),
            "blocks": used(state.blocks),
            "callees": used(state.callees),
        }

    def _learn_trunks(self, batch: pa.RecordBatch, columns: Columns) -> None:
        for hashed, name in zip(
            columns.trunks.tolist(), batch.column("trunk").dictionary.to_pylist(), strict=True
        ):
            if hashed not in self._trunks and len(self._trunks) < KNOWN_TRUNKS:
                self._trunks[hashed] = name

    def _evicted(self) -> int:
        state = self.state
        return sum(int(table.evicted[0]) for table in (state.callers, state.blocks, state.callees))

    def _alerts_of(self, rows: Rows, output: Output, plan_version: str) -> tuple[list[Alert], list[int]]:
        alerts: list[Alert] = []
        levels: list[int] = []
        candidates = deque(zip(*_lists(output.candidates[: output.used[2]], _OF_CANDIDATES), strict=True))
        signals = output.signals[: output.used[0]]
        told = zip(*_lists(signals, _OF_SIGNALS), strict=True)
        for place, (row, key, trunk, time, calls, pattern, level, contacts, opened) in enumerate(told):
            while candidates and candidates[0][0] < row:
                levels.append(self._level_of(*candidates.popleft()[1:]))
            if not opened and self._alerts.absorb(pattern, key, time, calls, level):
                continue
            signal = Signal(
                row=row,
                key=key,
                trunk=trunk,
                time=time,
                calls=calls,
                pattern=pattern,
                level=level,
                opened=bool(opened),
                features=dict(zip(_NAMES[pattern], signals["features"][place].tolist(), strict=False)),
                contacts=output.contacts[contacts] if contacts >= 0 else None,
            )
            alert = self._alerts.take(signal, rows[row], plan_version)
            if alert is not None:
                alerts.append(alert)
        return alerts, levels + [self._level_of(*each[1:]) for each in candidates]

    def _level_of(self, key: int, time: int, block: int) -> int:
        """At which level alerts tell of a candidate; 0 for a text, which is a subject on each trunk."""
        if key < 0:
            return 0
        return self._alerts.told_of_block(key, time) if block else self._alerts.told_of_number(key, time)

    def _told(self, candidates: list[pa.RecordBatch], offset: int) -> Candidates | None:
        return Candidates(self._partition, offset, pa.concat_batches(candidates)) if candidates else None

    def _summary(
        self, batch: pa.RecordBatch, columns: Columns, output: Output, offset: int, evicted: int
    ) -> Summary:
        names = [batch.column(name) for name in NAMES]
        of_row = [getattr(columns, name) for name in NAMES]
        room = sums.new_sums(batch.num_rows)
        groups = sums.group_sums(columns, output.counted, room)
        first, totals, callees = room.first[:groups], room.sums[:groups], room.callees[:groups]
        new_row = room.new_row[:groups]
        seconds = columns.time[first] // 1_000
        ranks = [_ranks(name.dictionary)[index[first]] for name, index in zip(names, of_row, strict=True)]
        order = np.lexsort((*reversed(ranks), seconds))
        bitmaps = np.ascontiguousarray(callees[order, ::-1]).astype(">u8").tobytes()
        traffic = [
            seconds[order],
            *(
                pa.DictionaryArray.from_arrays(index[first[order]], name.dictionary)
                for name, index in zip(names, of_row, strict=True)
            ),
            *totals[order].T,
            pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(BITMAP_BYTES), groups, [None, pa.py_buffer(bitmaps)]
            ),
            *room.new_callees[:groups][order].T,
            *(_call_ids(batch, rows) for rows in new_row[order].T),
        ]
        return Summary(
            partition=self._partition,
            offset=offset,
            newest=int(columns.time.max()),
            traffic=pa.record_batch(traffic, schema=TRAFFIC_SCHEMA),
            duplicates=int(output.sums[0]),
            late=int(output.sums[1]),
            evicted=evicted,
        )


def _lists(found: npt.NDArray[Any], names: Sequence[str]) -> list[list[int]]:
    """Those columns of ``found`` as lists: a whole row would be converted with its features, used or not."""
    return [found[name].tolist() for name in names]


def _candidates_of(batch: pa.RecordBatch, output: Output, told: Sequence[int]) -> pa.RecordBatch:
    """What is in ``output`` about rows of ``batch``, in CANDIDATE_SCHEMA; ``told`` of each."""
    found = output.candidates[: output.used[2]]
    rows = found["row"].copy()
    seen = pa.array(rows)
    numbers = found["key"].copy()
    numbers[numbers < 0] = 0
    columns = [
        *(found["id"].copy(), found["time"].copy(), found["block"].astype(np.uint8), numbers),
        batch.column("caller_text").take(seen),
        batch.column("caller_kind").to_numpy()[rows],
        pa.array(texts_of(batch.column("caller_operator"), rows), pa.utf8()),
        batch.column("call_id").take(seen),
        *(pa.array(texts_of(batch.column(name), rows), pa.utf8()) for name in NAMES),
        pa.array(told, pa.uint8()),
        pa.FixedSizeListArray.from_arrays(features_of(found).reshape(-1), len(FEATURES)),
    ]
    return pa.record_batch(columns, schema=CANDIDATE_SCHEMA)


def _call_ids(batch: pa.RecordBatch, rows: npt.NDArray[np.int64]) -> pa.Array:
    """The ``call_id`` of each of ``rows``, empty where that is -1."""
    return batch.column("call_id").take(pa.array(rows, mask=rows < 0)).fill_null("")


def _ranks(names: pa.Array) -> npt.NDArray[np.int64]:
    """The place of each name among all of them in alphabetical order."""
    return np.argsort(np.argsort(np.array(names.to_pylist(), object), kind="stable"), kind="stable")


def new_lists(settings: Settings) -> ListBook:
    """Lists without entries."""
    return ListBook(settings.numbering.home_country, settings.detect.listed_numbers)


def config_hash(settings: Settings) -> str:
    """16 hex digits that name the settings of detectors and evidence."""
    return content_id(
        [section.model_dump(mode="json") for section in (settings.detectors, settings.evidence)]
    )[:16]
