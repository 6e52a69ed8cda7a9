"""Campaigns taken back from the topic go on as those that wrote them, wherever `respond` was stopped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from config.settings import CampaignSettings
from detectors.alert import Alert
from detectors.campaigns import Campaign, Campaigns
from streams.wire.records import decode, encode
from tests.rules import T0
from tests.unit.test_campaigns import found

SETTINGS = CampaignSettings(quiet_ms=600_000, overlap_ms=300_000, keep_ms=1_200_000, most=4)
MOMENTS = [0, 1, 60_000, 300_000, 600_000, 1_200_000]
VALUES = ["+8613800138000", "+8613800139999", "+8613900138000", "+86138*", "+8617001234567", "+37120000000"]

alerts = st.builds(
    found,
    alert_id=st.sampled_from("abcdefgh"),
    value=st.sampled_from(VALUES),
    detector=st.sampled_from(["burst", "unallocated"]),
    trunk=st.sampled_from(["", "T", "U"]),
    network=st.sampled_from(["", "CM"]),
    at=st.just(0),
    calls=st.integers(0, 50),
    version=st.integers(1, 6),
    samples=st.lists(st.sampled_from(["c1", "c2", "c3"]), max_size=2, unique=True),
)
stories = st.lists(st.tuples(alerts, st.sampled_from(MOMENTS), st.sampled_from([0, 1, 60_000])), max_size=25)


class Log:
    """The compacted topic `campaigns` with its writer."""

    def __init__(self) -> None:
        self.campaigns = Campaigns(SETTINGS)
        self.topic: dict[str, bytes] = {}

    def take(self, alert: Alert, now: int) -> list[bytes | None]:
        written = []
        for change in self.campaigns.alert(alert, now):
            if change.campaign is None:
                del self.topic[change.campaign_id]
                written.append(None)
            else:
                self.topic[change.campaign_id] = encode(change.campaign)
                written.append(self.topic[change.campaign_id])
        return written

    def restart(self) -> None:
        self.campaigns = Campaigns(SETTINGS)
        for value in self.topic.values():
            self.campaigns.restore(decode(value, Campaign))


def at_times(story: list[tuple[Alert, int, int]]) -> list[tuple[Alert, int]]:
    now, timed = T0, []
    for alert, after, late in story:
        now += after
        shift = now - late - alert.last_seen
        timed.append(
            (
                found(
                    alert.alert_id,
                    alert.subject.value,
                    detector=alert.detector,
                    trunk=alert.trunks[0] if alert.trunks else "",
                    network=alert.entries[0].network if alert.entries else "",
                    at=alert.last_seen + shift - T0,
                    calls=alert.calls,
                    version=alert.version,
                    samples=alert.sample_call_ids,
                ),
                now,
            )
        )
    return timed


@given(stories, st.sets(st.integers(0, 25)))
@examples(max_examples=200, deadline=None)
def test_a_restart_anywhere_changes_nothing(story: list[tuple[Alert, int, int]], restarts: set[int]) -> None:
    steady, restarted = Log(), Log()
    for at, (alert, now) in enumerate(at_times(story)):
        if at in restarts:
            restarted.restart()
        assert restarted.take(alert, now) == steady.take(alert, now)
    assert restarted.topic == steady.topic


@given(stories, st.integers(0, 25))
@examples(max_examples=200, deadline=None)
def test_alerts_delivered_again_after_a_restart_change_nothing(
    story: list[tuple[Alert, int, int]], since: int
) -> None:
    """What came since the last commit comes again. Nothing of it was forgotten by then."""
    log = Log()
    timed = at_times(story)
    forgotten = [written for alert, now in timed for written in log.take(alert, now) if written is None]
    before = dict(log.topic)
    log.restart()
    if not forgotten:
        for alert, _ in timed[since:]:
            assert log.take(alert, timed[-1][1]) == []
        assert log.topic == before


@given(stories)
@examples(max_examples=200, deadline=None)
def test_every_alert_is_in_one_campaign(story: list[tuple[Alert, int, int]]) -> None:
    log = Log()
    for alert, now in at_times(story):
        log.take(alert, now)
        listed = [each.alert_id for held in log.campaigns.known.values() for each in held.alerts]
        assert len(listed) == len(set(listed))
        assert alert.alert_id in listed
        for held in log.campaigns.known.values():
            assert held.alert_count >= len(held.alerts)
            assert held.first_seen <= held.last_seen
        assert len(log.campaigns.known) <= SETTINGS.most
