"""`policy`: who called whom against a list or the hours, and what is proposed."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from config.settings import DetectorsSettings, PolicySettings
from detectors.alert import Alert, Match
from detectors.policy import clock_of, local_minute
from streams.detect.step import Detect
from streams.wire.records import ListEntry
from tests.folding import SMALL, settings_with
from tests.kernel import called
from tests.traffic import START, FakePlan, Row, call, dialler, frame_of, in_time

HOUR = 3_600_000
NOON = START // (24 * HOUR) * (24 * HOUR) + 4 * HOUR
"""12:00 in Shanghai."""
CALLER, OFFICE = 8613812345678, 864008201234
PEOPLE = [8613900000000 + n * 10_007 for n in range(400)]

_local_minute = called(local_minute)


def entry(kind: str, value: str, **fields: Any) -> ListEntry:
    type_ = "prefix" if value.endswith("*") else "number"
    return ListEntry("", kind, type_, value, **{"owner": "desk", "reason": "asked", **fields})  # type: ignore[arg-type]


def refusals(people: list[int]) -> list[ListEntry]:
    return [entry("refusal", f"+{person}") for person in people]


def alerts(rows: list[Row], *entries: ListEntry, **policy: Any) -> list[Alert]:
    detect = Detect(0, settings_with(DetectorsSettings(policy=PolicySettings(**policy)), SMALL), FakePlan())
    for number, each in enumerate(entries):
        detect.listed(str(number), each)
    found = detect(frame_of(rows), 0).alerts
    return [alert for alert in found if alert.detector == "policy"]


def calls(
    caller: int, callees: list[int], start: int = NOON, every_ms: int = 20_000, **other: Any
) -> list[Row]:
    return in_time(
        *(
            call(
                start + n * every_ms, caller, callee, f"{caller}-{start}-{n}", (None, 30_000)[n % 2], **other
            )
            for n, callee in enumerate(callees)
        )
    )


OFFICE_SELLS = entry("company", "+86400820*", owner="Sunshine", category="marketing")


class TestAgainstAList:
    def test_who_was_refused_by_name_is_stopped_for_this_callee_from_the_first_call(self) -> None:
        refused = entry("refusal", f"+{PEOPLE[0]}", caller=f"+{CALLER}")
        [alert] = alerts(calls(CALLER, PEOPLE[:2]), refused)
        assert (alert.kind, alert.severity) == ("refused", "high")
        [proposed] = alert.proposals
        assert proposed.match == Match(caller=f"+{CALLER}", callee=f"+{PEOPLE[0]}")
        assert "refused this caller" in alert.message

    def test_nobody_of_this_company_again(self) -> None:
        refused = entry("refusal", f"+{PEOPLE[0]}", caller="sunshine")
        company = entry("company", "+86400820*", owner="Sunshine", category="service")
        assert [alert.kind for alert in alerts(calls(OFFICE, PEOPLE[:1]), refused, company)] == ["refused"]
        assert not alerts(calls(CALLER, PEOPLE[:1]), refused, company)

    def test_marketing_to_who_refuses_it_is_stopped_pair_by_pair(self) -> None:
        found = alerts(calls(OFFICE, PEOPLE[:6]), OFFICE_SELLS, *refusals(PEOPLE[:3]))
        matches = {proposed.match for alert in found for proposed in alert.proposals}
        assert matches == {Match(caller=f"+{OFFICE}", callee=f"+{person}") for person in PEOPLE[:3]}
        assert {alert.kind for alert in found} == {"refuses_marketing"}

    @pytest.mark.parametrize(("others", "whole"), [(0, True), (45, True), (60, False)])
    def test_who_goes_on_against_refusals_is_stopped_unless_they_are_few_of_its_calls(
        self, others: int, whole: bool
    ) -> None:
        people = [*PEOPLE[:others], *PEOPLE[100:106]]
        found = alerts(calls(OFFICE, people, every_ms=60_000), OFFICE_SELLS, *refusals(PEOPLE[100:106]))
        matches = {proposed.match for alert in found for proposed in alert.proposals}
        assert (Match(caller=f"+{OFFICE}") in matches) == whole

    @pytest.mark.parametrize(("others", "whole"), [(0, True), (8, True), (30, False)])
    def test_a_company_goes_on_with_all_its_numbers(self, others: int, whole: bool) -> None:
        """Each of its four numbers calls two of those who refuse, and ``others`` people."""
        numbers = [OFFICE + n for n in range(4)]
        rows = [
            calls(number, [*PEOPLE[:others], *PEOPLE[100 + 2 * n : 102 + 2 * n]], NOON + n, every_ms=60_000)
            for n, number in enumerate(numbers)
        ]
        found = alerts(in_time(*rows), OFFICE_SELLS, *refusals(PEOPLE[100:108]))
        stopped = {
            proposed.match.caller
            for alert in found
            for proposed in alert.proposals
            if not proposed.match.callee
        }
        assert stopped <= {f"+{number}" for number in numbers}
        assert bool(stopped) == whole
        if whole:
            assert any("its company broke" in alert.message for alert in found)

    def test_another_company_is_not_to_blame(self) -> None:
        moon = entry("company", f"+{OFFICE + 1}", owner="Moon", category="marketing")
        rows = [calls(OFFICE, PEOPLE[:4], NOON), calls(OFFICE + 1, PEOPLE[4:8], NOON + 1)]
        found = alerts(in_time(*rows), OFFICE_SELLS, moon, *refusals(PEOPLE[:8]))
        assert all(proposed.match.callee for alert in found for proposed in alert.proposals)

    def test_a_consent_excuses_it(self) -> None:
        consent = entry("consent", f"+{PEOPLE[0]}", caller="Sunshine")
        assert not alerts(calls(OFFICE, PEOPLE[:1]), OFFICE_SELLS, *refusals(PEOPLE[:1]), consent)

    def test_a_notification_is_no_marketing(self) -> None:
        company = entry("company", "+86400820*", owner="Sunshine", category="notification")
        assert not alerts(calls(OFFICE, PEOPLE), company, *refusals(PEOPLE))

    def test_a_call_back_is_no_breach(self) -> None:
        refused = entry("refusal", f"+{PEOPLE[0]}", caller=f"+{CALLER}")
        asked = call(NOON - 60_000, PEOPLE[0], CALLER, "asked", None)
        assert not alerts(in_time(asked, calls(CALLER, PEOPLE[:1])), refused)

    def test_what_needs_consent_and_has_none(self) -> None:
        company = entry("company", "+86400820*", owner="Sunshine", category="collection")
        assert not alerts(calls(OFFICE, PEOPLE[:1]), company)
        [alert] = alerts(calls(OFFICE, PEOPLE[:1]), company, consent_for="marketing, collection")
        assert (alert.kind, len(alert.proposals)) == ("no_consent", 1)


class TestHours:
    @pytest.mark.parametrize(
        ("category", "hour", "speaks"),
        [("marketing", 8, True), ("marketing", 9, False), ("marketing", 20, True), ("collection", 8, False),
         ("collection", 21, True), ("notification", 3, False), ("service", 3, False), ("", 3, False)],
    )  # fmt: skip
    def test_each_category_has_its_own(self, category: str, hour: int, speaks: bool) -> None:
        company = entry("company", "+86400820*", owner="Sunshine", category=category)
        found = alerts(calls(OFFICE, PEOPLE[:1], NOON + (hour - 12) * HOUR), company)
        assert [alert.kind for alert in found] == ["outside_hours"] * speaks

    def test_a_rule_needs_several_callees(self) -> None:
        night = NOON + 11 * HOUR
        assert {a.severity for a in alerts(calls(OFFICE, PEOPLE[:2], night), OFFICE_SELLS)} == {"medium"}
        found = alerts(calls(OFFICE, PEOPLE[:3], night), OFFICE_SELLS)[-1]
        assert found.severity == "high"
        assert found.proposals[0].match == Match(caller=f"+{OFFICE}", callee=f"+{PEOPLE[2]}")
        assert "23:00 local time" in found.message

    def test_who_goes_on_at_night_is_stopped(self) -> None:
        night = NOON + 11 * HOUR
        found = alerts(calls(OFFICE, PEOPLE[:8], night), OFFICE_SELLS)
        assert Match(caller=f"+{OFFICE}") in {proposed.match for proposed in found[-1].proposals}
        collectors = entry("company", "+86400820*", owner="Sunshine", category="collection")
        found = alerts(calls(OFFICE, PEOPLE[:8], night), collectors)
        assert all(proposed.match.callee for alert in found for proposed in alert.proposals), "pair by pair"

    def test_any_hour_where_the_setting_is_empty(self) -> None:
        assert not alerts(calls(OFFICE, PEOPLE[:5], NOON + 11 * HOUR), OFFICE_SELLS, marketing_hours="")

    def test_clocks_change(self) -> None:
        clock = clock_of("Europe/Berlin")
        for moment, local in (
            ("2026-03-29T00:59", 119),
            ("2026-03-29T01:01", 181),
            ("2026-12-01T12:00", 780),
        ):
            at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
            assert _local_minute(clock, round(at.timestamp() * 1_000)) == local
        assert all(earlier < later for (earlier, _), (later, _) in pairwise(clock.tolist()))


class TestAim:
    def test_who_calls_only_refusers_is_proposed(self) -> None:
        found = alerts(calls(CALLER, PEOPLE[:13]), *refusals(PEOPLE[:13]))
        assert found[0].severity == "medium"
        assert found[-1].severity == "high"
        assert found[-1].kind == "aimed_at_refusers"
        assert [proposed.match for proposed in found[-1].proposals] == [Match(caller=f"+{CALLER}")]

    def test_half_of_them_is_enough_in_the_long_run(self) -> None:
        found = alerts(calls(CALLER, PEOPLE[:80]), *refusals(PEOPLE[:80:2]), notable_refusers=3)
        assert found[-1].severity == "high"

    def test_the_usual_share_says_nothing(self) -> None:
        assert not alerts(calls(CALLER, PEOPLE), *refusals(PEOPLE[::8]))

    def test_where_most_people_refuse_nothing_is_said(self) -> None:
        others = [row for n in range(40) for row in dialler(8613700000000 + n, 30, 1_000, [None], start=NOON)]
        everybody = entry("refusal", "+8613*")
        assert not alerts(in_time(others, calls(CALLER, PEOPLE[:20], NOON + HOUR)), everybody)

    def test_who_is_called_as_much_is_no_telemarketer(self) -> None:
        inbound = [
            row
            for n, person in enumerate(PEOPLE[100:150])
            for row in call(NOON - HOUR + n * 60_000, person, CALLER, f"in{n}", 30_000)
        ]
        assert not alerts(in_time(inbound, calls(CALLER, PEOPLE[:9])), *refusals(PEOPLE[:9]))

    def test_the_same_people_again_and_again_count_once(self) -> None:
        assert not alerts(calls(CALLER, PEOPLE[:4] * 20), *refusals(PEOPLE[:4]))

    def test_one_company_whose_range_refuses_is_one_refuser(self) -> None:
        extensions = [862161230000 + n for n in range(60)]
        assert not alerts(calls(CALLER, extensions), entry("refusal", "+86216123*"))

    def test_who_consented_does_not_count(self) -> None:
        consents = [entry("consent", f"+{person}", caller=f"+{CALLER}") for person in PEOPLE[:9]]
        assert not alerts(calls(CALLER, PEOPLE[:13]), *refusals(PEOPLE[:13]), *consents)

    def test_a_service_number_is_no_subject(self) -> None:
        assert not alerts(calls(8695588, PEOPLE[:30], caller_status=4), *refusals(PEOPLE[:30]))

    def test_off(self) -> None:
        assert not alerts(calls(CALLER, PEOPLE[:13]), *refusals(PEOPLE[:13]), mode="off")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"time_zone": "Asia/Nowhere"}, "expected an IANA name"),
        ({"marketing_hours": "20-9"}, "expected from-to such as 9-20"),
        ({"marketing_hours": "9-25"}, "at most 0-24"),
        ({"consent_for": "marketing,spam"}, "consent_for names spam"),
    ],
)
def test_wrong_settings(wrong: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PolicySettings(**wrong)  # type: ignore[arg-type]
