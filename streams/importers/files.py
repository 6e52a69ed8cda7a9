"""Recorded calls as bytes: plain, gzip or zstd, with the share that has been read."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from streams.faults import Usage

Progress = Callable[[float], None]
"""Told the share of the file that has been read, 0 to 1."""

_COMPRESSED = (".gz", ".zst", ".zstd")
_FORMATS = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".pcap": "pcap",
    ".pcapng": "pcap",
    ".cap": "pcap",
}
FORMATS = ("ndjson", "json", "csv", "pcap")


class ImportProblem(Usage):
    """A file that cannot be read as call events; says which, where and what was expected."""


def guess_format(path: Path) -> str:
    """One of FORMATS, by the suffixes of the name. Raises ImportProblem."""
    suffixes = [s.lower() for s in path.suffixes]
    while suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix not in _FORMATS:
        raise ImportProblem(
            f"{path}: the name tells no format; expected {', '.join(_FORMATS)}, plain, .gz or .zst",
            f"name the format: --format {'|'.join(FORMATS)}",
        )
    return _FORMATS[suffix]


class _Tracked(io.RawIOBase):
    """Reads a file and tells how far it has come."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress) -> None:
        self._file, self._size, self._progress = file, size, progress
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._read += len(data)
        self._progress(min(1.0, self._read / self._size) if self._size else 1.0)
        return len(data)


class _Zstd(io.RawIOBase):
    """The content of zstd frames. zstandard's own reader takes a file that is cut short for a whole one."""

    PIECE = 4_096
    """Bytes decompressed at once: what they can become, even of a file made to burst, fits in memory."""

    def __init__(self, packed: io.BufferedReader) -> None:
        self._packed = packed
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._content = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._content:
            piece = self._frame.unused_data if self._frame.eof else b""
            piece = piece or self._packed.read(self.PIECE)
            if self._frame.eof and piece:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            if not piece:
                if not self._frame.eof:
                    raise EOFError("it ends within a frame")
                return 0
            self._content = memoryview(self._frame.decompress(piece))
        size = min(len(buffer), len(self._content))
        buffer[:size] = self._content[:size]
        self._content = self._content[size:]
        return size


@contextmanager
def open_binary(path: Path, progress: Progress | None = None) -> Iterator[io.BufferedReader]:
    """The decompressed content of ``path``. What compression it has is seen from its first bytes."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            start = file.read(4)
            file.seek(0)
            raw: Any = io.BufferedReader(_Tracked(file, size, progress or _ignore), 1 << 18)
            if start[:2] == b"\x1f\x8b":
                raw = gzip.GzipFile(fileobj=raw)
            elif start == b"\x28\xb5\x2f\xfd":
                raw = _Zstd(raw)
            yield io.BufferedReader(raw, 1 << 18)
    except (gzip.BadGzipFile, zstandard.ZstdError, EOFError) as error:
        raise ImportProblem(f"{path}: the compressed data is damaged or cut short ({error})") from error
    except OSError as error:
        raise ImportProblem(f"{path}: {error.strerror or error}", "name a file that can be read") from error


def _ignore(_: float) -> None:
    return
