"""`clone`: one number on two networks, and the honest reasons for it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from config.settings import BurstSettings, CloneSettings, DetectorsSettings
from detectors.alert import Alert, Match
from streams.detect.step import Detect
from streams.wire.records import ListEntry
from tests.folding import SMALL, settings_with
from tests.traffic import START, FakePlan, Row, call, frame_of, in_time

NUMBER = 8613812345678
MINUTE = 60_000
BURST_OFF = BurstSettings(mode="off")


def alerts(
    *streams: list[Row],
    lists: tuple[ListEntry, ...] = (),
    burst: BurstSettings = BURST_OFF,
    **clone: Any,
) -> list[Alert]:
    detectors = DetectorsSettings(burst=burst, clone=CloneSettings(**clone))
    detect = Detect(0, settings_with(detectors, SMALL), FakePlan())
    for number, entry in enumerate(lists):
        detect.listed(str(number), entry)
    found = detect(frame_of(in_time(*streams)), 0).alerts
    return [alert for alert in found if "clone" in {each.detector for each in alert.findings}]


def calls(
    network: str,
    count: int,
    every_ms: int,
    talk_ms: int | None,
    *,
    start: int = START,
    to: str = "CT",
    first: int = 8613900000000,
    caller: int = NUMBER,
    **other: Any,
) -> list[Row]:
    given = {"from_network": network, "to_network": to, "caller_operator": "CM", **other}
    name = f"{caller}-{network}-{to}-{start}-{first}"
    rows: list[Row] = []
    for n in range(count):
        rows += call(start + n * every_ms, caller, first + n * 10_007, f"{name}-{n}", talk_ms, **given)
    return in_time(rows)


def at_home(count: int = 12, every_ms: int = 4 * MINUTE, talk_ms: int = 90_000, **other: Any) -> list[Row]:
    return calls("CM", count, every_ms, talk_ms, first=8613700000000, **other)


def elsewhere(count: int = 40, network: str = "CU", **other: Any) -> list[Row]:
    return calls(network, count, 8_000, None, start=START + 20 * MINUTE, **other)


class TestClones:
    def test_on_another_network_it_is_stopped_there_and_only_there(self) -> None:
        [*_, last] = alerts(at_home(), elsewhere())
        assert last.severity == "high"
        assert [each.match for each in last.proposals] == [Match(caller=f"+{NUMBER}", network="CU")]

    def test_no_other_detector_silences_the_subscriber(self) -> None:
        found = alerts(at_home(), elsewhere(120), burst=BurstSettings())
        proposals = found[-1].proposals
        assert {each.detector for each in proposals} == {"burst", "clone"}
        assert {each.match for each in proposals} == {Match(caller=f"+{NUMBER}", network="CU")}

    def test_on_two_others(self) -> None:
        other = {"start": START + 20 * MINUTE + 3_000, "to": "CM", "first": 8613950000000}
        found = alerts(at_home(), elsewhere(), calls("CB", 40, 8_000, 30_000, **other))
        assert {each.match for alert in found for each in alert.proposals} == {
            Match(caller=f"+{NUMBER}", network=network) for network in ("CU", "CB")
        }

    def test_a_ported_number_is_stopped_where_it_is_not_served(self) -> None:
        ported = ListEntry("", "portability", "number", f"+{NUMBER}", "CU", "ported")
        home = [row | {"from_network": "CU"} for row in at_home()]
        found = alerts(home, elsewhere(network="CM"), lists=(ported,))
        assert found[-1].proposals[0].match == Match(caller=f"+{NUMBER}", network="CM")

    def test_while_the_subscriber_hardly_calls_it_is_worth_a_look(self) -> None:
        found = alerts(at_home(25, 2 * MINUTE, 3_000), elsewhere())
        assert {alert.severity for alert in found} == {"medium"}
        assert not found[-1].proposals


class TestHonest:
    def test_the_same_call_in_transit_under_another_id(self) -> None:
        home = at_home(30)
        transit = [
            row | {"id": row["id"] + "t", "call_id": row["call_id"] + "t", "from_network": "CB",
                   "time": row["time"] + 5_000}
            for row in home
        ]  # fmt: skip
        assert not alerts(home, transit)

    @pytest.mark.parametrize("redirecting", [0, 8613700000000])
    def test_calls_forwarded_by_the_far_end(self, redirecting: int) -> None:
        home = at_home(30, to="CU")
        forwarded = [
            leg
            for n in range(30)
            for leg in call(
                START + n * 4 * MINUTE + 2_000, NUMBER, 8613960000000 + n * 10_007, f"f{n}", 80_000,
                from_network="CU", to_network="CT", caller_operator="CM", redirecting=redirecting,
            )
        ]  # fmt: skip
        assert not alerts(home, forwarded)

    def test_ported_during_the_day(self) -> None:
        before = at_home(40, MINUTE, 20_000)
        after = calls("CU", 200, MINUTE, 20_000, start=START + 45 * MINUTE, first=8613950000000)
        assert not [alert for alert in alerts(before, after) if alert.proposals]

    @pytest.mark.parametrize("other", [{"gateway": 1}, {"roaming": 1}])
    def test_roaming(self, other: dict[str, int]) -> None:
        assert not alerts(at_home(), elsewhere(**other))

    @pytest.mark.parametrize("kind", [1, 2])
    def test_a_company_with_two_carriers_and_many_lines(self, kind: int) -> None:
        draw = random.Random(1)
        rows: list[Row] = []
        for n in range(500):
            network = draw.choice(("CM", "CU"))
            rows += call(
                START + n * 15_000, NUMBER, 8613900000000 + draw.randrange(90_000_000), f"c{n}",
                draw.choice((None, 40_000, 100_000)), from_network=network, caller_operator="",
                caller_kind=kind,
            )  # fmt: skip
        assert not [alert for alert in alerts(in_time(rows)) if alert.proposals]

    def test_a_network_that_ordinarily_carries_the_other_s_numbers(self) -> None:
        many = []
        for n in range(60):
            caller = 8613811000000 + n * 10_007
            many += calls("CM", 6, 3 * MINUTE, 5_000, caller=caller)
            many += calls(
                "CU", 6, 3 * MINUTE, 5_000, caller=caller, start=START + MINUTE, first=8613950000000
            )
        late = at_home(40, MINUTE, 3_000), elsewhere(40)
        assert not [alert for alert in alerts(many, *late) if alert.subject.value == f"+{NUMBER}"]

    def test_the_far_probe_runs_a_little_late(self) -> None:
        home = at_home(40, MINUTE, 20_000)
        there = calls("CU", 40, MINUTE, 20_000, start=START + 24_000 + 5_000, first=8613950000000)
        assert not [alert for alert in alerts(home, there) if alert.proposals]

    def test_off(self) -> None:
        assert not alerts(at_home(), elsewhere(), mode="off")
