"""Everything that is compiled or loaded once, before traffic flows: one call goes through the steps."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from config.settings import Settings
from detectors import lists
from detectors.plan import NumberingPlan
from streams.wire.records import SourceRecord

_CALL = (
    b'{"id": "warm", "type": "attempt", "time": 1767225600000,'
    b' "caller": "+8613800138000", "callee": "+8613900139000"}'
)

YOUNG_OBJECTS = 50_000
"""Containers made and not yet freed before Python looks for cycles among them. A poll makes some ten thousand
(rows of calls) and frees them all: with Python's 700, looking took a quarter of the time of `ingest`."""


def warm(settings: Settings, plan: NumberingPlan, roles: Sequence[str] = ("ingest", "detect")) -> None:
    """Compiles what ``roles`` run, or loads it from the cache. Nothing is compiled after it."""
    if "ingest" in roles:
        from streams.ingest.step import Ingest

        for _ in Ingest(plan, settings).steps([SourceRecord(_CALL, "calls", 0, 0, None)]):
            pass
    if "detect" in roles:
        from detectors import fold

        lists.warm()
        fold.warm()


def spare_what_is_loaded() -> None:
    """Python's search for cycles passes over all that is loaded by now, and comes less often.

    A full one, through the modules of all roles, stopped everything for 0.15 s. While they are loaded there
    is none (`streams.cli.run`): it finds hardly any, and took a tenth of the start.
    """
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
