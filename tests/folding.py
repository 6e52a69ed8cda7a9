"""The kernels and their plain-Python reference over the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from config.settings import DetectorsSettings, DetectSettings, Settings
from detectors.calls import text_hash
from detectors.fold import State, columns_of, fold, new_output, new_state, parameters_of
from detectors.lists import Lists, no_lists
from detectors.plain_lists import PlainLists
from detectors.reference import Reference, Said
from streams.detect.snapshot import arrays_of
from tests.traffic import Row, frame

SMALL = DetectSettings(
    tracked_numbers=4_096,
    tracked_blocks=1_024,
    remembered_events=16_384,
    watched_callees=256,
    open_alerts=500,
)


ROOMY = SMALL.model_copy(update={"remembered_events": 1 << 20})
"""So much room that nothing is forgotten: for holding the kernels to the reference, which forgets nothing."""


def settings_with(detectors: DetectorsSettings | None = None, detect: DetectSettings = ROOMY) -> Settings:
    return Settings(detect=detect, detectors=detectors or DetectorsSettings())


def with_hashes(rows: Iterable[Row]) -> list[Row]:
    return [
        row
        | {
            "event": text_hash(row["id"]),
            "call": text_hash(row["call_id"]),
            "trunk_hash": text_hash(row["trunk"]),
        }
        for row in rows
    ]


def state_bytes(state: State) -> bytes:
    """Every array of a state, to the last byte."""
    return b"".join(path.encode() + array.tobytes() for path, array in arrays_of(state))


def by_kernel(
    rows: Sequence[Row],
    settings: Settings,
    cuts: Sequence[int] = (),
    lists: Lists | None = None,
) -> tuple[list[Said], State, list[int]]:
    """What the kernel says of ``rows`` (with roles) cut before the given indices; its state; duplicates and
    late rows."""
    state, parameters = new_state(settings), parameters_of(settings)
    lists = no_lists() if lists is None else lists
    said: list[Said] = []
    sums = [0, 0]
    edges = [0, *sorted(set(cuts) - {0, len(rows)}), len(rows)]
    for begin, end in pairwise(edges):
        columns, output = columns_of(frame(rows[begin:end])), new_output(end - begin)
        at = 0
        while at < end - begin:
            at = fold(columns, at, state, parameters, lists, output)
            said += [_said(record, begin) for record in output.signals[: output.used[0]]]
            output.used[:] = 0
        sums[0] += int(output.sums[0])
        sums[1] += int(output.sums[1])
    return said, state, sums


def _said(record: Any, begin: int) -> Said:
    return Said(
        begin + int(record["row"]),
        int(record["pattern"]),
        int(record["key"]),
        int(record["level"]),
        int(record["calls"]),
        record["features"].tolist(),
    )


def by_reference(
    rows: Iterable[Row], settings: Settings, lists: PlainLists | None = None
) -> tuple[list[Said], Reference]:
    reference = Reference(parameters_of(settings), lists)
    said = [said for index, row in enumerate(with_hashes(rows)) for said in reference.see(index, row)]
    return said, reference
