"""A small table of suspects: set-associative, of a fixed size, the least worth keeping leaves first.

A detector keeps bulky state for few subjects: ``keys`` int64 (n,), 0 where free, and ``worth`` int64 (n,),
which it sets at every touch (event time in ms, more for those that matter more), beside its own rows.
``detectors.subjects.index_of`` finds a key in it.
"""

from __future__ import annotations

from typing import Any

from detectors.kernels import inlined
from detectors.subjects import WAYS, bucket_of


@inlined
def room_for(keys: Any, worth: Any, key: Any) -> Any:
    """Index where ``key``, which is not in the table, may be put: a free one, else that of least worth."""
    base: Any = bucket_of(keys, key)
    least = base
    for k in range(base, base + WAYS):
        if keys[k] == 0:
            return k
        if worth[k] < worth[least]:
            least = k
    return least
