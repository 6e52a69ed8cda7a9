"""Which calls belong to which campaign. Every other call is legitimate."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.calls import text_hash
from streams.faults import Usage
from streams.importers.files import open_binary

COLUMNS = ("call_id", "campaign", "kind")
LEGITIMATE = -1


class Labelled(NamedTuple):
    """What is known of a campaign before its calls are looked at."""

    campaign: str
    kind: str
    size: str = ""
    """How big it is, in words of whoever made it (``13 calls``, ``slow``); may be empty."""


class Labels:
    """The campaigns, and the calls of each by the hash of their ``call_id``."""

    def __init__(self) -> None:
        self.campaigns: list[Labelled] = []
        self._numbers: dict[str, int] = {}
        self._calls: dict[int, int] = {}

    def __len__(self) -> int:
        """Calls that belong to a campaign."""
        return len(self._calls)

    def add(self, call_id: str, campaign: str, kind: str, size: str = "") -> None:
        """A call of ``campaign``; empty: a legitimate one. Raises ValueError for a contradiction."""
        if not campaign:
            if kind:
                raise ValueError(f"kind is {kind!r} where campaign is empty; expected both or none")
            return
        if not kind:
            raise ValueError(f"kind of campaign {campaign!r} is empty; expected a name such as burst")
        number = self._numbers.get(campaign)
        if number is None:
            number = self._numbers[campaign] = len(self.campaigns)
            self.campaigns.append(Labelled(campaign, kind, size))
        known = self.campaigns[number]
        if (known.kind, known.size) != (kind, size):
            raise ValueError(
                f"campaign {campaign!r} is of kind {kind!r} {size}, before it was {known.kind!r}"
            )
        if self._calls.setdefault(text_hash(call_id), number) != number:
            raise ValueError(f"call_id {call_id!r} is in campaign {campaign!r} and in another")

    def of(self, calls: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """For each hash of a ``call_id`` the index of its campaign, LEGITIMATE where it has none."""
        if not self._calls:
            return np.full(len(calls), LEGITIMATE, np.int32)
        hashes = np.fromiter(self._calls.keys(), np.uint64, len(self._calls))
        numbers = np.fromiter(self._calls.values(), np.int32, len(self._calls))
        order = np.argsort(hashes)
        hashes, numbers = hashes[order], numbers[order]
        at = np.minimum(np.searchsorted(hashes, calls), len(hashes) - 1)
        return np.where(hashes[at] == calls, numbers[at], LEGITIMATE).astype(np.int32)

    def of_ids(self, call_ids: Iterable[str]) -> list[int]:
        return [self._calls.get(text_hash(call_id), LEGITIMATE) for call_id in call_ids]


def read_labels(path: Path) -> Labels:
    """The labels in a CSV file with the columns ``call_id,campaign,kind``, in any order, among others.

    A column ``size`` is taken too. Raises Usage that names the file, the line and the field.
    """
    labels = Labels()
    with open_binary(path) as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
        rows = csv.reader(text)
        try:
            places = _places(path, next(rows, []))
            for call_id, campaign, kind, size in _cells(rows, places):
                labels.add(call_id, campaign, kind, size)
        except (ValueError, csv.Error) as error:
            raise Usage(f"{path}, line {rows.line_num}: {error}", "correct the line") from error
    return labels


def _places(path: Path, header: list[str]) -> list[int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise Usage(
            f"{path}, line 1: the column {missing[0]} is missing; expected the header {','.join(COLUMNS)}",
            "give labels as `ringfence simulate --out` writes them",
        )
    names = [*COLUMNS, *(["size"] if "size" in header else [])]
    return [header.index(name) for name in names]


def _cells(rows: Iterator[list[str]], places: list[int]) -> Iterator[list[str]]:
    width = max(places)
    for row in rows:
        if not row:
            continue
        if len(row) <= width:
            raise ValueError(f"{len(row)} cells; expected at least {width + 1}")
        cells = [row[place] for place in places]
        if not cells[0]:
            raise ValueError("call_id is empty; expected the call_id of a call event")
        yield cells if len(cells) == 4 else [*cells, ""]
