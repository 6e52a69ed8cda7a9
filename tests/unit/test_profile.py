"""`profile`: what a trunk's traffic must do to become an alert, and what it may do without."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from config.settings import ProfileSettings, Settings
from detectors.alert import Alert
from streams.profile.step import Profile
from streams.wire.records import Summary
from tests.profile_traffic import START, Change, Habit, Traffic

HABITS = {"CM-CU-01": Habit(40), "CM-CU-02": Habit(12, answered=0.45), "CM-CU-03": Habit(3, answered=0.6)}


def fed(summaries: Iterable[Summary], settings: Settings | None = None) -> list[Alert]:
    profile = Profile(settings or Settings())
    return [alert for summary in summaries for alert in profile(summary)]


def hour(*changes: Change, seed: int = 1) -> list[Summary]:
    return list(Traffic(HABITS, seed, list(changes)).summaries(range(START, START + 3000)))


def latest(alerts: list[Alert]) -> dict[str, Alert]:
    return {alert.alert_id: alert for alert in alerts}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ordinary_traffic_gives_no_alert(seed: int) -> None:
    assert fed(hour(seed=seed)) == []


def test_a_surge_of_short_unanswered_calls_alerts_within_seconds() -> None:
    at = START + 1800
    alerts = fed(hour(Change("CM-CU-02", at, 60, rate=60)))
    first = alerts[0]
    assert {alert.subject.value for alert in alerts} == {"CM-CU-02"}
    assert first.severity == "medium"
    assert first.kind == "outlier"
    assert first.last_seen < (at + 5) * 1000
    assert first.evidence[0].feature == "attempts_per_second"
    assert sum(e.weight for e in first.evidence) == pytest.approx(1, abs=1e-3)
    assert first.proposals == []


def test_the_versions_of_an_alert_grow() -> None:
    alerts = fed(hour(Change("CM-CU-02", START + 1800, 120, rate=60)))
    assert len(latest(alerts)) == 1
    assert [alert.version for alert in alerts] == list(range(1, len(alerts) + 1))
    assert sorted(alert.calls for alert in alerts) == [alert.calls for alert in alerts]
    assert alerts[-1].calls == pytest.approx(120 * 72, rel=0.05)


def test_off_profiles_nothing() -> None:
    settings = Settings(profile=ProfileSettings(mode="off"))
    assert fed(hour(Change("CM-CU-02", START + 1800, 60, rate=60)), settings) == []
