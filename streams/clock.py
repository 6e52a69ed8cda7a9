"""The event clock: what time it is in the traffic, for decisions that must also happen in silence."""

from __future__ import annotations

from collections.abc import Callable


class EventClock:
    """Event time that goes on when events stop.

    ``now()`` is the newest event time observed plus the time since it was observed, in ms, so a rule
    expires although traffic has ended, and recorded traffic runs on its own clock. It never goes back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._newest: int | None = None
        self._observed = 0.0

    def observe(self, event_ms: int) -> None:
        now = self.now()
        if now is None or event_ms > now:
            self._newest = event_ms
            self._observed = self._monotonic()

    def now(self) -> int | None:
        """Event time in ms; None until an event was observed."""
        if self._newest is None:
            return None
        return self._newest + int((self._monotonic() - self._observed) * 1000)
