"""Alerts to campaigns: what joins, what stays apart, and what a campaign says."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from config.settings import CampaignSettings
from detectors.alert import Alert, BlastRadius, Entry, Match, Proposal, Statement, Subject, SubjectType
from detectors.campaigns import MOST_ALERTS, MOST_NAMES, Campaign, Campaigns, Change
from tests.rules import T0
from tests.rules import alert as an_alert

MINUTE = 60_000
QUIET = CampaignSettings().quiet_ms


def found(
    alert_id: str,
    value: str = "+8613800138000",
    *matches: Match,
    type_: SubjectType = "number",
    detector: str = "burst",
    kind: str = "burst",
    trunk: str = "",
    network: str = "",
    at: int = 0,
    calls: int = 40,
    **changes: Any,
) -> Alert:
    """An alert whose calls were in the minute before T0 + ``at``."""
    return replace(
        an_alert(alert_id=alert_id, detector=detector, kind=kind, last_seen=T0 + at),
        subject=Subject(type_, value),
        first_seen=T0 + at - MINUTE,
        calls=calls,
        sample_call_ids=changes.pop("samples", []),
        trunks=[trunk] if trunk else [],
        entries=[Entry(trunk, network, calls)] if network else [],
        proposals=[Proposal(match, BlastRadius(1, 1, 1)) for match in matches],
        **changes,
    )


class Desk:
    """Campaigns, and what became of them."""

    def __init__(self, **settings: Any) -> None:
        self.campaigns = Campaigns(CampaignSettings(**settings))

    def see(self, *alerts: Alert) -> list[Campaign]:
        """What is known after these alerts, in the order of their opening."""
        for alert in alerts:
            self.campaigns.alert(alert, alert.last_seen)
        return self.known

    @property
    def known(self) -> list[Campaign]:
        return list(self.campaigns.known.values())


def ids(campaigns: list[Campaign]) -> list[list[str]]:
    return [[each.alert_id for each in campaign.alerts] for campaign in campaigns]


class TestWhatJoins:
    def test_numbers_of_one_block(self) -> None:
        (one,) = Desk().see(found("a"), found("b", "+8613800138999", at=MINUTE))
        assert ids([one]) == [["a", "b"]]
        assert one.blocks == ["861380013"]

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_a_number_and_a_prefix_that_holds_it(self, order: tuple[int, int]) -> None:
        alerts = (
            found("range", "+8617001*", type_="block", detector="unallocated"),
            found("number", "+8617001234567"),
        )
        assert len(Desk().see(*(alerts[at] for at in order))) == 1

    def test_a_flood_and_those_whom_its_rules_would_stop(self) -> None:
        flood = found(
            "f",
            "+8613900000001",
            Match(caller="+861380013*", callee="+8613900000001"),
            type_="callee",
            detector="flood",
        )
        (one,) = Desk().see(flood, found("b", "+8613800138000"))
        assert one.calls == 40, "both tell of the same calls"

    def test_one_callee(self) -> None:
        flood = found("f", "+8613900000001", type_="callee", detector="flood")
        other = found("w", "+37120000000", Match(caller="+37120000000", callee="+8613900000001"))
        assert len(Desk().see(flood, other)) == 1

    def test_one_sample_call(self) -> None:
        one = found("a", samples=["c1", "c2"])
        other = found("b", "+8613900000001", type_="callee", samples=["c2"])
        assert len(Desk().see(one, other)) == 1

    def test_numbers_that_cannot_be_there_over_one_trunk(self) -> None:
        spoofed = [
            found(f"a{n}", f"+86170{n}1234567", detector="unallocated", kind="ghost", trunk="T")
            for n in range(4)
        ]
        assert len(Desk().see(*spoofed)) == 1

    def test_numbers_of_one_segment_over_one_trunk(self) -> None:
        one, other = found("a", "+37120000000", trunk="T"), found("b", "+37120999999", trunk="T")
        assert len(Desk().see(one, other)) == 1

    def test_an_alert_about_the_only_entry_trunk(self) -> None:
        trunk = found("p", "T", type_="trunk", detector="profile", kind="drift")
        assert len(Desk().see(found("a", trunk="T"), trunk)) == 1

    def test_an_alert_that_grows_stays_where_it_is(self) -> None:
        desk = Desk()
        desk.see(found("a"), found("b", "+8613900001111"))
        grown = found("b", "+8613900001111", Match(caller="+8613800138111"), version=2, at=1)
        assert ids(desk.see(replace(grown, version=2))) == [["a"], ["b"]]
        assert desk.known[1].related == [desk.known[0].campaign_id]


class TestWhatStaysApart:
    def test_two_bursts_over_one_big_trunk(self) -> None:
        one, other = found("a", "+8613800138000", trunk="T"), found("b", "+8613900138000", trunk="T")
        assert len(Desk().see(one, other)) == 2

    def test_two_kinds_of_impossible_numbers_over_one_trunk(self) -> None:
        one = found("a", "+8617001234567", detector="unallocated", kind="ghost", trunk="T")
        other = found("b", "+8613800138000", detector="misrouted", kind="misrouted", trunk="T")
        assert len(Desk().see(one, other)) == 2

    def test_the_same_trunk_an_hour_later(self) -> None:
        desk = Desk(quiet_ms=4 * 60 * MINUTE)
        one = found("a", "+8617001234567", detector="unallocated", trunk="T")
        other = found("b", "+8617101234567", detector="unallocated", trunk="T", at=60 * MINUTE)
        assert len(desk.see(one, other)) == 2

    def test_a_trunk_that_two_campaigns_came_in_on(self) -> None:
        trunk = found("p", "T", type_="trunk", detector="profile", kind="drift")
        assert len(Desk().see(found("a", trunk="T"), found("b", "+8615900138000", trunk="T"), trunk)) == 3

    def test_the_same_block_after_it_closed(self) -> None:
        desk = Desk()
        assert [each.status for each in desk.see(found("a"), found("b", at=QUIET + 1))] == ["closed", "open"]

    def test_texts_and_short_numbers(self) -> None:
        assert len(Desk().see(found("a", "anonymous"), found("b", "anonymous"), found("c", "+1001"))) == 3

    def test_a_chain_does_not_merge_campaigns(self) -> None:
        desk = Desk()
        bridge = found("c", "+8613800138001", samples=["c9"])
        desk.see(found("a"), found("b", "+8613900000001", type_="callee", samples=["c9"]), bridge)
        assert ids(desk.known) == [["a"], ["b", "c"]]
        assert desk.known[1].related == [desk.known[0].campaign_id]


class TestWhatItSays:
    def test_its_story(self) -> None:
        (one,) = Desk().see(
            found("a", trunk="GZ-IC-01", network="CM", calls=100),
            found(
                "b",
                "+8613800138999",
                trunk="SH-IC-02",
                network="CT",
                at=5 * MINUTE,
                calls=40,
                severity="critical",
            ),
        )
        assert (one.entry_trunk, one.operator, one.calls, one.severity) == ("GZ-IC-01", "CM", 140, "critical")
        assert one.story == (
            "burst: numbers +8613800138000 and +8613800138999, about 140 calls from 2025-06-15 15:05 to "
            "2025-06-15 15:11 UTC, most over trunk GZ-IC-01 from CM; 2 alerts by burst, critical."
        )

    def test_every_detector_that_agrees_is_named(self) -> None:
        said = [Statement(name, f"{name}_kind", "high", 0.9, "") for name in ("burst", "clone")]
        (one,) = Desk().see(found("a", findings=said))
        assert (one.detectors, one.kinds) == (["burst", "clone"], ["burst_kind", "clone_kind"])

    def test_a_version_seen_before_changes_nothing(self) -> None:
        desk = Desk()
        desk.see(found("a", version=3))
        assert desk.campaigns.alert(found("a", version=3), T0) == []
        assert desk.campaigns.alert(found("a", version=2), T0) == []
        ((_, again),) = desk.campaigns.alert(found("a", version=4, calls=90), T0)
        assert again is not None
        assert (again.version, again.calls, again.alert_count) == (2, 90, 1)

    def test_it_closes_after_silence_and_is_forgotten_a_day_later(self) -> None:
        desk = Desk()
        desk.see(found("a"))
        (one,) = desk.known
        assert desk.campaigns.advance(T0 + QUIET - 1) == []
        ((_, closed),) = desk.campaigns.advance(T0 + QUIET)
        assert closed is not None
        assert (closed.status, closed.version) == ("closed", 2)
        assert closed.story.endswith("high; it is over.")
        assert desk.campaigns.advance(T0 + 86_400_000) == [Change(one.campaign_id, None)]
        assert desk.known == []

    def test_it_opens_again_when_its_alert_grows(self) -> None:
        desk = Desk()
        desk.see(found("a"))
        desk.campaigns.advance(T0 + QUIET)
        (one,) = desk.see(found("a", version=2, at=QUIET))
        assert (one.status, one.version) == ("open", 3)
        assert len(desk.see(found("b", at=QUIET))) == 1

    def test_everything_in_it_is_bounded(self) -> None:
        desk = Desk()
        many = MOST_ALERTS + 50
        for n in range(many):
            desk.see(found(f"a{n}", f"+86138001{n:05d}", at=n, samples=[f"c{n}"], calls=10))
        (one,) = desk.known[:1]
        assert one.alert_count == many
        assert one.calls == 10 * many
        assert len(one.alerts) == MOST_ALERTS
        assert max(map(len, (one.subjects, one.blocks, one.sample_call_ids))) == MOST_NAMES

    def test_campaigns_are_bounded_and_the_longest_silent_goes(self) -> None:
        desk = Desk(most=3)
        alerts = [found(f"a{n}", f"+8613{n}00000000", at=n) for n in range(5)]
        changes = [change for each in alerts for change in desk.campaigns.alert(each, each.last_seen)]
        assert ids(desk.known) == [["a2"], ["a3"], ["a4"]]
        assert sum(change.campaign is None for change in changes) == 2
