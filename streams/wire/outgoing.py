"""A record on its way to a topic."""

from __future__ import annotations

from typing import NamedTuple


class Outgoing(NamedTuple):
    topic: str
    key: bytes | None
    value: bytes | None
    """None is a tombstone."""
    partition: int | None = None
    """None: chosen by the key."""
    headers: tuple[tuple[str, bytes], ...] = ()
