"""What evaluations are held against: one list, for tables, reports and tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from streams.evaluate.figures import Evaluation


class Target(NamedTuple):
    name: str
    figure: Callable[[Evaluation], float | None]
    bound: Literal["at least", "at most"]
    value: float
    is_share: bool = False

    def met_by(self, evaluation: Evaluation) -> bool | None:
        """None where there is no such figure."""
        actual = self.figure(evaluation)
        if actual is None:
            return None
        return actual >= self.value if self.bound == "at least" else actual <= self.value

    def shown(self, value: float | None) -> str:
        if value is None:
            return "-"
        return percent(value) if self.is_share else number(value)


TARGETS = (
    Target("campaigns found", lambda e: e.overall.found_share, "at least", 0.95, is_share=True),
    Target("malicious calls blocked", lambda e: e.overall.blocked_share, "at least", 0.90, is_share=True),
    Target("precision of blocks", lambda e: e.overall.precision, "at least", 0.9999, is_share=True),
    Target(
        "calls from a campaign's first to its rule, median",
        lambda e: e.overall.to_rule.calls_median,
        "at most",
        15,
    ),
    Target("alerts a campaign, mean", lambda e: e.overall.alerts_mean, "at most", 3),
)

QUIET_TARGETS = (
    Target("legitimate callers blocked", lambda e: e.wrongly_blocked_callers, "at most", 0),
    Target(
        "alerts of medium severity and above, per ten thousand calls",
        lambda e: e.stray.medium_per_ten_thousand_calls,
        "at most",
        1,
    ),
)
"""For legitimate traffic alone."""


def number(value: float | None) -> str:
    """Three significant digits, and whole numbers whole."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def percent(share: float | None) -> str:
    """A share with as many digits as it needs: 99.995 % is not 100 %."""
    if share is None:
        return "-"
    for digits in (1, 2, 3, 4):
        text = f"{100 * share:.{digits}f}"
        if float(text) not in (0, 100) or share in (0, 1):
            break
    return f"{text} %"
