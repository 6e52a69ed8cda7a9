"""Which records of `frames` were told of already."""

from __future__ import annotations

from bisect import bisect_left

KEPT = 1_024


class Folded:
    """Remembers records by partition and offset.

    A partition's records are told in order, again from its commit after a crash, and once more by a worker
    that was expelled and did not know it: those may come before its successor's of lower offsets. So the
    latest `KEPT` are known one by one, and what is older than all of them counts as told.
    """

    def __init__(self) -> None:
        self._latest: dict[int, list[int]] = {}
        """Offsets in rising order, by partition."""

    def add(self, partition: int, offset: int) -> bool:
        """Takes a record in; whether it is news."""
        latest = self._latest.setdefault(partition, [])
        at = bisect_left(latest, offset)
        if at < len(latest) and latest[at] == offset:
            return False
        if len(latest) >= KEPT:
            if at == 0:
                return False
            del latest[0]
            at -= 1
        latest.insert(at, offset)
        return True
