"""Hour-of-week levels: learnt, forgotten, and used so that what happens every week is no outlier."""

from __future__ import annotations

import math

import pytest

from config.settings import ProfileSettings, Settings
from detectors.alert import Alert
from detectors.seasons import HOUR_SECONDS, HOURS, HourLevels, Seasons, week_and_hour
from streams.profile.step import Profile
from streams.wire.records import decode, encode
from tests.profile_traffic import START, Change, Habit, Traffic
from tests.summaries import summary_of

KEY = ("trunk", "T")
FLOOR = {"x": 0.1}
WEEK = HOURS * HOUR_SECONDS


def weeks_of(*values: float) -> Seasons:
    seasons = Seasons(10)
    for week, value in enumerate(values):
        assert seasons.learn(KEY, START + week * WEEK, {"x": value}, FLOOR) is not None
    return seasons


def mean(seasons: Seasons, week: int) -> float:
    return seasons.levels(KEY, START + week * WEEK)["x"].mean


def test_a_level_is_of_its_hour_of_the_week() -> None:
    seasons = weeks_of(5.0)
    assert mean(seasons, 1) == 5.0
    assert seasons.levels(KEY, START + WEEK + HOUR_SECONDS) == {}
    assert seasons.levels(("network_pair", "T"), START + WEEK) == {}


def test_an_hour_is_judged_without_itself() -> None:
    seasons = weeks_of(5.0, 9.0)
    assert mean(seasons, 1) == 5.0
    assert mean(seasons, 2) == 7.0


def test_an_hour_teaches_once() -> None:
    seasons = weeks_of(5.0, 9.0)
    assert seasons.learn(KEY, START + WEEK, {"x": 1.0}, FLOOR) is None
    assert seasons.learn(KEY, START, {"x": 1.0}, FLOOR) is None
    assert mean(seasons, 2) == 7.0


def test_old_weeks_are_forgotten() -> None:
    seasons = weeks_of(5.0, 5.0, *[6.0] * 30)
    assert mean(seasons, 32) == pytest.approx(6.0, abs=0.01)


def test_one_wild_week_hardly_moves_a_level() -> None:
    seasons = weeks_of(5.0, 5.0, 5.0, 5.0, 50.0)
    assert mean(seasons, 5) == pytest.approx(5.0 + 0.25 * 3 * 0.1)


def test_records_bring_everything_back() -> None:
    seasons, rebuilt = Seasons(10), Seasons(10)
    kept: dict[str, HourLevels] = {}
    for week in range(6):
        for hour in (0, 5):
            record = seasons.learn(KEY, START + week * WEEK + hour * HOUR_SECONDS, {"x": float(week)}, FLOOR)
            assert record is not None
            kept[record.key] = decode(encode(record), HourLevels)
    for record in kept.values():
        rebuilt.restore(record)
    for second in (START + 5 * WEEK, START + 6 * WEEK, START + 6 * WEEK + 5 * HOUR_SECONDS):
        assert rebuilt.levels(KEY, second) == seasons.levels(KEY, second)


def test_subjects_are_bounded() -> None:
    seasons = Seasons(3)
    for n in range(10):
        seasons.learn(("trunk", str(n)), START, {"x": 1.0}, FLOOR)
    assert len(seasons) == 3


def test_the_first_hour_of_1970() -> None:
    assert week_and_hour(0) == (0, 0)
    assert week_and_hour(WEEK - 1) == (0, HOURS - 1)


AT = START + 1_300
SALE = Change("T", AT, 200, rate=60, answered=0.55, ring_ms=14_000, talk_ms=90_000, callees=10_000_000)
"""Every week at this hour attempts are six times as many, and otherwise as ever."""


def seasoned(weeks: int, rate: float) -> list[Alert]:
    """Alerts on an hour with the sale, by a profile that has known it for so many weeks at this rate."""
    profile = Profile(Settings(profile=ProfileSettings(hold_seconds=3_000)))
    for week in range(weeks):
        _, hour = week_and_hour(START)
        record = HourLevels("trunk", "T", hour, week_and_hour(START)[0] - weeks + week, {}, {})
        levels = Seasons(1)
        for past in range(week + 1):
            learnt = levels.learn(
                KEY,
                START - (weeks - past) * WEEK,
                {"attempts_per_second": math.log(rate), "answer_seizure_ratio": 0.55},
                {"attempts_per_second": 0.1, "answer_seizure_ratio": 0.03},
            )
            record = learnt or record
        profile.restore(record)
    stream = Traffic({"T": Habit(12)}, 2, [SALE]).summaries(range(START, START + 1_600))
    return [alert for summary in stream for alert in profile(summary)]


def test_what_happens_every_week_is_no_outlier_once_it_is_known() -> None:
    assert seasoned(0, 72.0)
    assert seasoned(2, 72.0), "two weeks are not enough"
    assert seasoned(4, 72.0) == []


def test_a_rise_that_is_not_of_the_hour_is_told() -> None:
    assert seasoned(4, 12.0)


def test_an_hour_that_is_over_is_told_once_and_rebuilt_alike() -> None:
    settings = Settings()
    stream = list(Traffic({"T": Habit(12)}, 5).summaries(range(START, START + 2 * HOUR_SECONDS + 60, 4)))
    whole = Profile(settings)
    told: list[HourLevels] = []
    for summary in stream:
        whole(summary)
        told += whole.hours_over
        whole.hours_over.clear()
    hours = [(record.subject_type, record.hour) for record in told]
    assert hours == sorted(set(hours), key=lambda found: (found[1], found[0])), "each once, pair and trunk"
    rebuilt = Profile(settings)
    for record in told:
        rebuilt.restore(record)
    for summary in stream:
        rebuilt(summary)
    assert rebuilt.hours_over == []
    levels = told[-1].levels
    assert math.exp(levels["attempts_per_second"].mean) == pytest.approx(3, rel=0.1), "a second in four"


def test_an_empty_summary_ends_no_hour() -> None:
    profile = Profile(Settings())
    profile(summary_of(0, 0, START * 1000, []))
    assert profile.hours_over == []
