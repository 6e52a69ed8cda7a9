"""The step of `detect`: one record of `frames` in, alerts and the record's traffic out.

State is a fold over the records of one partition; nothing here reads a clock. Cutting the same rows into
other records changes the summaries' borders, never the alerts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import pyarrow as pa

from config.settings import Settings
from detectors import sums
from detectors.alert import Alert, content_id
from detectors.burst import Burst
from detectors.candidates import FEATURES
from detectors.clone import Clone
from detectors.evidence import Alerts
from detectors.flood import Flood
from detectors.fold import Columns, aligned, columns_of, fold, new_output, new_state, parameters_of
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
from streams.detect.snapshot import Memory, layout_of, pack, unpack
from streams.wire.records import Candidate, ListEntry, Summary, SummaryRow

KNOWN_TRUNKS = 65_536
"""Trunk names a partition remembers by their hash."""

_NAMES = {
    pattern: [feature.name for feature in features] for pattern, features in features_by_pattern().items()
}
_MEASURED = [feature.name for feature in FEATURES]


class Detected(NamedTuple):
    """``alerts`` and ``candidates`` in the order of their rows; ``summary`` None where a record has none."""

    alerts: list[Alert]
    summary: Summary | None
    candidates: Sequence[Candidate] = ()


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
        self.state = new_state(settings)

    def __call__(self, batch: pa.RecordBatch, offset: int) -> Detected:
        """Folds one record in. Raises ValueError where ``batch`` is not in FRAME_SCHEMA."""
        columns = columns_of(batch)
        if batch.num_rows == 0:
            return Detected([], None)
        evicted = self._evicted()
        output = new_output(batch.num_rows)
        rows = Rows(batch)
        alerts: list[Alert] = []
        candidates: list[Candidate] = []
        for found in self._fold(batch, columns, rows, output):
            alerts += found
            candidates += self._candidates_of(rows, output, offset)
        summary = self._summary(batch, columns, output, offset, self._evicted() - evicted)
        return Detected(alerts, summary, candidates)

    def rebuild(self, batch: pa.RecordBatch) -> None:
        """Folds in a record that was told of before: the same state, and nothing comes of it.

        Raises ValueError where ``batch`` is not in FRAME_SCHEMA.
        """
        columns = columns_of(batch)
        if batch.num_rows:
            deque(self._fold(batch, columns, Rows(batch), new_output(batch.num_rows)), maxlen=0)

    def _fold(
        self, batch: pa.RecordBatch, columns: Columns, rows: Rows, output: Output
    ) -> Iterator[list[Alert]]:
        """The alerts of all rows, as often as ``output`` is to be emptied; what else is in it goes then."""
        self._learn_trunks(batch, columns)
        plan_version = (batch.schema.metadata or {}).get(b"plan_version", b"").decode() or self._plan.version
        row = 0
        while row < batch.num_rows:
            row = fold(columns, row, self.state, self._parameters, self._lists.tables, output)
            yield self._alerts_of(rows, output, plan_version)
            output.used[:] = 0

    def listed(self, entry_id: str, entry: ListEntry | None) -> None:
        """An entry of `lists` came, changed or (None) went; it counts from the next record on.

        Raises ValueError that names the field, its value and what was expected.
        """
        self._lists.put(entry_id, entry)

    def snapshot(self) -> list[bytes]:
        """All that is remembered, as parts of a snapshot (``streams.detect.snapshot``)."""
        return pack(self.state, Memory(self._alerts.kept(), self._trunks))

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

    def _alerts_of(self, rows: Rows, output: Output, plan_version: str) -> list[Alert]:
        alerts = []
        for told in output.signals[: output.used[0]].tolist():
            row, key, trunk, time, calls, pattern, level, contacts, opened, features = told
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
                features=dict(zip(_NAMES[pattern], features.tolist(), strict=False)),
                contacts=output.contacts[contacts] if contacts >= 0 else None,
            )
            alert = self._alerts.take(signal, rows[row], plan_version)
            if alert is not None:
                alerts.append(alert)
        return alerts

    def _candidates_of(self, rows: Rows, output: Output, offset: int) -> list[Candidate]:
        found = []
        for row, key, time, is_block, *features in output.candidates[: output.used[2]].tolist():
            call = rows[row]
            subject_type: Literal["number", "block"] = "block" if is_block else "number"
            subject = f"+{key}*" if is_block else call.caller_spelled
            named = {name: round(value, 4) for name, value in zip(_MEASURED, features, strict=True)}
            counts = [named["attempts"], named["ends"]]
            found.append(
                Candidate(
                    candidate_id=content_id([self._partition, subject, call.trunk, time, counts]),
                    partition=self._partition,
                    offset=offset,
                    time=time,
                    subject_type=subject_type,
                    subject=subject,
                    kind=call.caller_kind,
                    features=named,
                    call_id=call.call_id,
                    trunk=call.trunk,
                    from_network=call.from_network,
                    to_network=call.to_network,
                )
            )
        return found

    def _summary(
        self, batch: pa.RecordBatch, columns: Columns, output: Output, offset: int, evicted: int
    ) -> Summary:
        to_network = batch.column("to_network")
        indices = aligned(to_network.indices.to_numpy(zero_copy_only=True))
        room = sums.new_sums(batch.num_rows)
        groups = sums.group_sums(columns, indices, output.counted, room)
        first, counts, callees = room.first[:groups], room.sums[:groups], room.callees[:groups]
        trunks = batch.column("trunk").dictionary.to_pylist()
        senders = batch.column("from_network").dictionary.to_pylist()
        receivers = to_network.dictionary.to_pylist()
        rows = [
            SummaryRow(
                int(columns.time[row]) // 1_000,
                trunks[columns.trunk[row]],
                senders[columns.from_network[row]],
                receivers[indices[row]],
                attempts=totals[sums.ATTEMPTS],
                ends=totals[sums.ENDS],
                answered=totals[sums.ANSWERED],
                short=totals[sums.SHORT],
                ring_ms=totals[sums.RING_MS],
                rings=totals[sums.RINGS],
                talk_ms=totals[sums.TALK_MS],
                callees="".join(f"{word:016x}" for word in words[::-1]),
                failed=totals[sums.FAILED],
                busy=totals[sums.BUSY],
                invalid=totals[sums.INVALID],
                refused=totals[sums.REFUSED],
                one_ring=totals[sums.ONE_RING],
            )
            for row, totals, words in zip(first.tolist(), counts.tolist(), callees.tolist(), strict=True)
        ]
        rows.sort(key=lambda r: (r.second, r.trunk, r.from_network, r.to_network))
        return Summary(
            partition=self._partition,
            offset=offset,
            newest=int(columns.time.max()),
            rows=rows,
            duplicates=int(output.sums[0]),
            late=int(output.sums[1]),
            evicted=evicted,
        )


def new_lists(settings: Settings) -> ListBook:
    """Lists without entries."""
    return ListBook(settings.numbering.home_country, settings.detect.listed_numbers)


def config_hash(settings: Settings) -> str:
    """16 hex digits that name the settings of detectors and evidence."""
    return content_id(
        [section.model_dump(mode="json") for section in (settings.detectors, settings.evidence)]
    )[:16]
