"""What carriers use today: the counters and thresholds of OpenSIPS's module fraud_detection, in plain Python.

For every (user, called prefix): calls a minute over a gliding 60 s in whole seconds, total calls, concurrent
calls, calls in a row to one number, and the duration of each call. A statistic that has reached its threshold
is a warning or critical. Counts start over at local midnight and where another rule comes to match. Written
from the module's behaviour (its fraud_detection.c, frd_events.c and README); docs/detection.md says what was
left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

WINDOW_S = 60
_MINUTE = 60_000
_SECOND = 1_000

Level = Literal["warning", "critical"]


class Limits(NamedTuple):
    """Thresholds of one level, reached when a statistic is not less; 0: none."""

    cpm: int = 0
    """Calls a minute."""
    total_calls: int = 0
    """Since the interval or the day began."""
    concurrent_calls: int = 0
    sequential_calls: int = 0
    """Calls in a row to one number."""
    call_duration: int = 0
    """Seconds of talk."""


class FraudRule(NamedTuple):
    """Thresholds for calls to ``prefix`` at some hours of some days, local time."""

    critical: Limits
    warning: Limits = Limits()
    prefix: str = ""
    """How called numbers begin, such as ``+8610``; empty: any number, texts too."""
    days: Sequence[int] = range(7)
    """Monday is 0."""
    start: int = 0
    """Minute of the day, inclusive."""
    end: int = 24 * 60
    """Minute of the day, exclusive."""


Profile = tuple[FraudRule, ...]

_WORKDAYS, _WEEKEND = range(5), range(5, 7)

TUTORIAL: Profile = (
    FraudRule(Limits(5, 35, 5, 20, 13_200), Limits(3, 16, 3, 6, 7_200), "", _WORKDAYS, 9 * 60, 17 * 60),
    FraudRule(Limits(5, 35, 5, 26, 16_000), Limits(3, 21, 3, 8, 9_600), "", _WORKDAYS, 17 * 60),
    FraudRule(Limits(4, 20, 4, 15, 9_600), Limits(3, 10, 3, 5, 4_800), "", _WORKDAYS, 0, 9 * 60),
    FraudRule(Limits(5, 40, 5, 30, 17_400), Limits(3, 24, 3, 12, 11_400), "", _WEEKEND),
)
"""The example profile of the module's own tutorial (opensips.org, Using the Fraud Detection module); its
columns default to 0, none. The tutorial's prefix is 99, a dear destination; here it is every destination."""

OPERATOR: Profile = (FraudRule(Limits(6, 30, 30, 5_000, 3_600)),)
"""As an operator told it on the list (OpenSIPS users, 11 November 2016), there for calls to 810."""


def rate_threshold(most: int) -> Profile:
    """Nothing but: more than ``most`` calls a minute."""
    return (FraudRule(Limits(cpm=most + 1)),)


class Finding(NamedTuple):
    """A statistic that has reached a threshold."""

    level: Level
    parameter: str
    value: int
    threshold: int


@dataclass(slots=True)
class Stats:
    """Of one user and one called prefix."""

    user: str
    rule: FraudRule
    ends_at: int = 0
    """When its counts start over, ms."""
    interval: int = 0
    """Rises as they do; calls of an earlier one are not taken off when they end."""
    seconds: deque[int] = field(default_factory=deque)
    """Of the calls of the last minute, oldest first."""
    total_calls: int = 0
    concurrent_calls: int = 0
    sequential_calls: int = 0
    last_number: str = ""
    calls: deque[str] = field(default_factory=lambda: deque(maxlen=5))
    """Ids of the latest."""

    def start_over(self, rule: FraudRule, ends_at: int) -> None:
        self.rule, self.ends_at = rule, ends_at
        self.interval += 1
        self.seconds.clear()
        self.total_calls = self.concurrent_calls = self.sequential_calls = 0

    def count(self, at: int, call: str, number: str) -> None:
        second = at // _SECOND
        while self.seconds and self.seconds[0] <= second - WINDOW_S:
            self.seconds.popleft()
        self.seconds.append(second)
        self.total_calls += 1
        self.concurrent_calls += 1
        self.sequential_calls = self.sequential_calls + 1 if number == self.last_number else 1
        self.last_number = number
        self.calls.append(call)

    def reached(self) -> Finding | None:
        """The first critical threshold reached, else the first warning."""
        actual = (len(self.seconds), self.total_calls, self.concurrent_calls, self.sequential_calls)
        levels: tuple[tuple[Level, Limits], ...] = (
            ("critical", self.rule.critical),
            ("warning", self.rule.warning),
        )
        for level, limits in levels:
            for name, value, limit in zip(Limits._fields, actual, limits, strict=False):
                if limit and value >= limit:
                    return Finding(level, name, value, limit)
        return None

    def refuses_until(self, at: int) -> int:
        """Until when one more call to any number would be critical, ms; 0: it would not be at ``at``."""
        limits = self.rule.critical
        if at >= self.ends_at:
            return 0
        counts = ((self.total_calls, limits.total_calls), (self.concurrent_calls, limits.concurrent_calls))
        if any(limit and value + 1 >= limit for value, limit in counts):
            return self.ends_at
        needed = limits.cpm - 1
        if limits.cpm and len(self.seconds) >= needed:
            lapses = (self.seconds[-needed] + WINDOW_S) * _SECOND if needed else self.ends_at
            return min(lapses, self.ends_at) if lapses > at else 0
        return 0

    def refuses_number_until(self, at: int) -> int:
        """The same for one more call to ``last_number``, by the calls in a row to it."""
        limit = self.rule.critical.sequential_calls
        return self.ends_at if limit and at < self.ends_at and self.sequential_calls + 1 >= limit else 0


class _Dialog(NamedTuple):
    stats: Stats
    rule: FraudRule
    interval: int


class _LocalMinute(NamedTuple):
    weekday: int
    minute: int
    midnight: datetime


class FraudDetection:
    """``check_fraud`` for each set-up, and what the end of a dialog does. Times in ms and in order.

    A call that is critical is refused: its dialog ends at once. A call without an end counts as concurrent
    until the counts start over.
    """

    def __init__(self, profile: Profile, time_zone: str = "Asia/Shanghai") -> None:
        self._profile = sorted(profile, key=lambda rule: -len(rule.prefix))
        self._zone = ZoneInfo(time_zone)
        self._stats: dict[tuple[str, str], Stats] = {}
        self._dialogs: dict[str, _Dialog] = {}
        self._minute = -1
        self._local = _LocalMinute(0, 0, datetime.fromtimestamp(0, self._zone))

    def call(self, at: int, call: str, user: str, number: str) -> tuple[Stats | None, Finding | None]:
        """The statistics counted in, None where no rule matches; and what they have reached.

        ``call`` is the call's id, ``user`` any name of who calls, ``number`` the called one as rules name it.
        """
        local = self._local_minute(at)
        rule = self._matching(local, number)
        if rule is None:
            return None, None
        stats = self._stats.get((user, rule.prefix))
        if stats is None:
            stats = self._stats[(user, rule.prefix)] = Stats(user, rule)
        if stats.rule is not rule or at >= stats.ends_at:
            stats.start_over(rule, _ms(local.midnight + timedelta(minutes=rule.end)))
        stats.count(at, call, number)
        finding = stats.reached()
        if finding is not None and finding.level == "critical":
            stats.concurrent_calls -= 1
        else:
            self._dialogs[call] = _Dialog(stats, rule, stats.interval)
        return stats, finding

    def ended(self, call: str, talk_ms: int) -> tuple[Stats | None, Finding | None]:
        """The statistics of a call that was let through, None of another; and what its duration, 0 where it
        was not answered, has reached."""
        dialog = self._dialogs.pop(call, None)
        if dialog is None:
            return None, None
        stats = dialog.stats
        if dialog.interval == stats.interval:
            stats.concurrent_calls -= 1
        return stats, _long(talk_ms // _SECOND, dialog.rule)

    def _matching(self, local: _LocalMinute, number: str) -> FraudRule | None:
        """The rule of the longest prefix among those of this hour and day."""
        for rule in self._profile:
            timely = rule.start <= local.minute < rule.end and local.weekday in rule.days
            if timely and number.startswith(rule.prefix):
                return rule
        return None

    def _local_minute(self, at: int) -> _LocalMinute:
        minute = at // _MINUTE
        if minute != self._minute:
            self._minute = minute
            local = datetime.fromtimestamp(at / _SECOND, self._zone)
            midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
            self._local = _LocalMinute(local.weekday(), 60 * local.hour + local.minute, midnight)
        return self._local


def _long(seconds: int, rule: FraudRule) -> Finding | None:
    name = "call_duration"
    if rule.critical.call_duration and seconds >= rule.critical.call_duration:
        return Finding("critical", name, seconds, rule.critical.call_duration)
    if rule.warning.call_duration and seconds >= rule.warning.call_duration:
        return Finding("warning", name, seconds, rule.warning.call_duration)
    return None


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * _SECOND)
