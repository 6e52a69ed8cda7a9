"""Everything that is compiled or loaded once, before traffic flows: one call goes through the steps."""

from __future__ import annotations

from collections.abc import Sequence

from config.settings import Settings
from detectors import lists
from detectors.plan import NumberingPlan
from streams.wire.records import SourceRecord

_CALL = (
    b'{"id": "warm", "type": "attempt", "time": 1767225600000,'
    b' "caller": "+8613800138000", "callee": "+8613900139000"}'
)


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
