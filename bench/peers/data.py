"""The files that all systems read: simulated calls, cut to size, and the alerts by definition."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from zlib import crc32

import orjson

from bench.peers.job import Alert, calls_in, closing_line, read_alerts, reference, write_alerts

CHUNK_EVENTS = 50_000


def simulated(directory: Path, rate: int, minutes: float, seed: int) -> Path:
    """Calls by `ringfence simulate`, legitimate ones and all kinds of attack."""
    out = directory / f"{rate}-{minutes:g}-{seed}"
    calls = out / "calls.ndjson"
    if not (out / "campaigns.json").exists():
        options = {"--rate": rate, "--minutes": minutes, "--seed": seed, "--out": out}
        given = [str(part) for option in options.items() for part in option]
        command = [sys.executable, "-m", "streams.cli", "simulate", *given]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return calls


class Cut:
    """The first ``events`` lines of a file in every form that a system wants, each with its closing call."""

    def __init__(self, calls: Path, events: int) -> None:
        self._directory = calls.parent / f"first-{events}"
        if not (self._directory / "done").exists():
            self._directory.mkdir(exist_ok=True)
            self.events = self._write(calls, events)
            write_alerts(self._directory / "alerts.ndjson", reference(calls_in(self.parts(1))))
            (self._directory / "done").write_text(f"{self.events}\n")
        self.events = int((self._directory / "done").read_text())
        self.alerts: set[Alert] = set(read_alerts(self._directory / "alerts.ndjson"))

    def parts(self, workers: int) -> list[Path]:
        """One file a worker, split by caller as a topic is."""
        return [self._directory / str(workers) / f"part-{part}.ndjson" for part in range(workers)]

    @property
    def chunks(self) -> Path:
        """A directory of files of `CHUNK_EVENTS` lines, one after another in time."""
        return self._directory / "chunks"

    def _write(self, calls: Path, events: int) -> int:
        for name in ("1", "2", "chunks"):
            (self._directory / name).mkdir(exist_ok=True)
        with calls.open("rb") as file:
            lines = list(islice(file, events))
        decoded = list(map(orjson.loads, lines))
        closing = closing_line(max(event["time"] for event in decoded))
        part_of = [crc32(event["caller"].encode()) % 2 for event in decoded]
        self.parts(1)[0].write_bytes(b"".join(lines) + closing)
        for part, path in enumerate(self.parts(2)):
            own = (line for line, of in zip(lines, part_of, strict=True) if of == part)
            path.write_bytes(b"".join(own) + closing)
        for number, chunk in enumerate(in_chunks([*lines, closing])):
            (self.chunks / f"{number:04}.ndjson").write_bytes(b"".join(chunk))
        return len(lines)


def in_chunks(lines: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(lines), CHUNK_EVENTS):
        yield lines[start : start + CHUNK_EVENTS]
