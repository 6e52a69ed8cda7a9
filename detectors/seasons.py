"""What a trunk or a pair of networks usually carries at this hour of the week, week by week.

Each feature of a subject has a level for each of the 168 hours of a week (UTC): mean and variance of that
hour's own value over the weeks. The newest week weighs at least `NEWEST`, so old ones are forgotten by the
quarter. A week moves a known level by at most `FURTHEST` of its deviations: an attack that lasts an hour is
remembered a little and not believed.

A level is a compact record, told when its hour is over. It also holds what it was a week before: events of
the hour itself are judged by that, so that whoever starts from the records and replays the last hours judges
them as one who never stopped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import msgspec

Key = tuple[str, str]
"""Type and value of a subject."""

HOUR_SECONDS = 3_600
HOURS = 168
NEWEST = 0.25
FURTHEST = 3.0
SURE_WEEKS = 3
"""From so many on a new value is held within `FURTHEST` deviations."""


class Level(msgspec.Struct, frozen=True):
    mean: float
    variance: float
    weeks: int


class HourLevels(msgspec.Struct, frozen=True):
    """One hour of the week of one subject. The contract of `baselines` (config/schemas/baseline.json)."""

    subject_type: str
    subject: str
    hour: int
    """0 to 167; 0 is the hour that the epoch of 1970 began with, a Thursday's first."""
    week: int
    """The newest week that is in ``levels``, counted from there."""
    levels: dict[str, Level]
    before: dict[str, Level]
    """The same without that week."""

    @property
    def key(self) -> str:
        """What names the record on a compacted topic."""
        return f"{self.subject_type}|{self.subject}|{self.hour}"


def week_and_hour(second: int) -> tuple[int, int]:
    """Week since the epoch, and hour in it, of ``second``."""
    return divmod(second // HOUR_SECONDS, HOURS)


class Seasons:
    """The levels of at most ``most`` subjects; the one longest without a new level goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[Key, dict[int, HourLevels]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def restore(self, record: HourLevels) -> None:
        """Takes back a record of the compacted topic."""
        self._hours((record.subject_type, record.subject))[record.hour] = record

    def levels(self, key: Key, second: int) -> Mapping[str, Level]:
        """What is usual for a subject at ``second``, without that hour itself."""
        week, hour = week_and_hour(second)
        record = self._known.get(key, {}).get(hour)
        if record is None:
            return {}
        return record.levels if record.week < week else record.before

    def learn(
        self, key: Key, second: int, values: Mapping[str, float], floors: Mapping[str, float]
    ) -> HourLevels | None:
        """Learns the hour that began at ``second``; the new record, or None where that week is known.

        ``floors``: least deviation of each feature.
        """
        week, hour = week_and_hour(second)
        hours = self._hours(key)
        known = hours.get(hour)
        if known is not None and known.week >= week:
            return None
        before = {} if known is None else known.levels
        learnt = {name: _moved(before.get(name), value, floors[name]) for name, value in values.items()}
        record = HourLevels(key[0], key[1], hour, week, {**before, **learnt}, before)
        hours[hour] = record
        return record

    def _hours(self, key: Key) -> dict[int, HourLevels]:
        hours = self._known.setdefault(key, {})
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return hours


def _moved(level: Level | None, value: float, floor: float) -> Level:
    if level is None:
        return Level(value, 0.0, 1)
    weight = max(NEWEST, 1 / (level.weeks + 1))
    step = value - level.mean
    if level.weeks >= SURE_WEEKS:
        most = FURTHEST * max(level.variance**0.5, floor)
        step = min(max(step, -most), most)
    variance = (1 - weight) * (level.variance + weight * step * step)
    return Level(level.mean + weight * step, variance, level.weeks + 1)
