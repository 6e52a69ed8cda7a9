"""Simulated traffic in files: the calls, their labels, the campaigns, who is who, and the lists."""

from __future__ import annotations

import csv
import gzip
import io
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import orjson
import zstandard

from streams.simulate.scenario import SimulatedEvent
from streams.simulate.traffic import Simulation

Compression = Literal["none", "gz", "zst"]

_REMEMBERED_CALLS = 100_000
"""Calls that have their label are remembered so long: a second probe's view adds no second line."""
_LINES_AT_ONCE = 1_000


class Labels:
    """Writes ``call_id,campaign,kind`` once for each call; the latter two are empty for legitimate ones."""

    def __init__(self, file: io.TextIOBase) -> None:
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(["call_id", "campaign", "kind"])
        self._written: OrderedDict[str, None] = OrderedDict()

    def add(self, simulated: SimulatedEvent) -> None:
        call_id = simulated.event["call_id"]
        if simulated.event["type"] == "end" or call_id in self._written:
            return
        self._rows.writerow([call_id, simulated.campaign, simulated.kind])
        self._written[call_id] = None
        if len(self._written) > _REMEMBERED_CALLS:
            self._written.popitem(last=False)


def write_files(
    simulation: Simulation,
    events: Iterable[SimulatedEvent],
    out: Path,
    compression: Compression = "none",
    told: Callable[[int], None] = lambda _time: None,
) -> Iterator[SimulatedEvent]:
    """Writes ``events`` while they pass, and what belongs to them. Finished when the iterator is.

    Files in ``out``: ``calls.ndjson`` (with ``.gz`` or ``.zst`` where compressed), ``labels.csv``,
    ``campaigns.json``, ``directory.json``, ``lists.ndjson``. ``told`` hears the time that is reached.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_background(simulation, out)
    suffix = "" if compression == "none" else f".{compression}"
    with (
        _opened(out / f"calls.ndjson{suffix}", compression) as calls,
        (out / "labels.csv").open("w", newline="", encoding="utf-8") as file,
    ):
        labels = Labels(file)
        lines: list[bytes] = []
        for simulated in events:
            labels.add(simulated)
            lines.append(orjson.dumps(simulated.event, option=orjson.OPT_APPEND_NEWLINE))
            if len(lines) == _LINES_AT_ONCE:
                calls.write(b"".join(lines))
                lines.clear()
                told(simulated.event["time"])
            yield simulated
        calls.write(b"".join(lines))


def write_background(simulation: Simulation, out: Path) -> None:
    """``campaigns.json``, ``directory.json`` and ``lists.ndjson``: what is known before the first call."""
    _write_json(out / "campaigns.json", [asdict(campaign) for campaign in simulation.campaigns()])
    _write_json(out / "directory.json", simulation.directory())
    encoder = msgspec.json.Encoder()
    with (out / "lists.ndjson").open("wb") as file:
        file.writelines(encoder.encode(entry) + b"\n" for entry in simulation.lists())


def _write_json(path: Path, content: Any) -> None:
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


@contextmanager
def _opened(path: Path, compression: Compression) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        if compression == "gz":
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=3, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        elif compression == "zst":
            with zstandard.ZstdCompressor(level=3).stream_writer(file) as stream:
                yield stream
        else:
            yield file
