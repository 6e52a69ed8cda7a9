"""Burst dialling: what it finds, and above all whom it leaves alone."""

from __future__ import annotations

import random

import pytest

from config.settings import BurstSettings, DetectorsSettings, Settings
from detectors.alert import Alert, Match
from detectors.calls import EventType, NumberKind, NumberStatus
from streams.detect.step import Detect
from tests.alerts import alerts_of, detector, proposed
from tests.folding import ROOMY
from tests.traffic import START, FakePlan, Row, call, cdr, dialler, event, frame_of, in_time

SPAMMER = 8617012345678
ROBOT = [None] * 8 + [3_000, 9_000]
MINUTE = 60_000


def only(alerts: list[Alert]) -> Alert:
    assert len(alerts) == 1, alerts
    return alerts[0]


def test_a_burst_dialler_is_proposed_by_its_number() -> None:
    alert = only(alerts_of(dialler(SPAMMER, 300, 300, ROBOT)))
    assert (alert.detector, alert.kind, alert.subject.type) == ("burst", "burst", "number")
    assert alert.subject.value == "+8617012345678"
    assert alert.severity in ("high", "critical")
    assert proposed([alert]) == [Match(caller="+8617012345678")]
    assert alert.score > 0.95
    assert sum(part.weight for part in alert.evidence) == pytest.approx(1, abs=0.001)
    assert "+8617012345678 called" in alert.message
    assert "CM-CU-1" in alert.message
    assert len(alert.sample_call_ids) == 5


def test_a_number_from_another_network_than_its_own_is_stopped_there_only() -> None:
    """It may be copied, and its owner calls from its own."""

    def matches(network: str, operator: str = "CM") -> list[Match]:
        rows = dialler(SPAMMER, 300, 300, ROBOT, from_network=network, caller_operator=operator)
        return proposed([a for a in alerts_of(rows) if a.detector == "burst"])

    assert matches("CT") == [Match(caller="+8617012345678", network="CT")]
    assert matches("CM") == matches("") == matches("CT", "") == [Match(caller="+8617012345678")]


def test_a_notable_caller_is_medium_and_has_no_rule_yet() -> None:
    found = detector()(frame_of(dialler(SPAMMER, 300, 300, ROBOT)), 0).alerts
    assert found[0].severity == "medium"
    assert found[0].proposals == []
    assert [alert.version for alert in found] == list(range(1, len(found) + 1))


ROBOT: list[int | None] = [None] * 5 + [3_000]


def test_eight_in_a_minute_and_ten_in_ten_minutes_are_gates_too() -> None:
    for calls, every in ((25, 7_000), (25, 25_000)):
        assert only(alerts_of(dialler(SPAMMER, calls, every, ROBOT))).detector == "burst"
    assert alerts_of(dialler(SPAMMER, 30, 70_000, [None])) == []


def test_a_hand_cannot_dial_so_fast() -> None:
    """A mobile number needs fewer calls than a fixed one, but never no outcome at all."""

    def calls_to_proposal(kind: NumberKind) -> int:
        rows = dialler(SPAMMER, 200, 400, [None], caller_kind=kind)
        return next(a.calls for a in detector()(frame_of(rows), 0).alerts if a.proposals)

    assert calls_to_proposal(NumberKind.MOBILE) < calls_to_proposal(NumberKind.FIXED)


def test_records_after_the_call_do_as_well_as_live_events() -> None:
    draw = random.Random(1)
    rows = [
        cdr(START + n * 300, SPAMMER, 8613900000000 + draw.randrange(10**8), f"c{n}", None)
        for n in range(200)
    ]
    assert proposed(alerts_of(rows)) == [Match(caller="+8617012345678")]


def test_calls_that_never_end_are_never_proposed() -> None:
    rows = [
        event(EventType.ATTEMPT, START + n * 200, SPAMMER, 8613900000000 + n, f"c{n}") for n in range(500)
    ]
    alert = only(alerts_of(rows))
    assert alert.severity == "medium"
    assert alert.proposals == []


def test_numbers_that_do_not_exist_are_evidence() -> None:
    """The same robot is proposed after fewer calls where a tenth of its callees do not exist."""

    def calls_to_proposal(invalid_every: int) -> int:
        rows: list[Row] = []
        for n in range(200):
            cause = 1 if n % invalid_every == 0 else 19
            rows += call(START + n * 400, SPAMMER, 8613900000000 + n * 977, f"c{n}", None, cause=cause)
        return next(a.calls for a in detector()(frame_of(in_time(rows)), 0).alerts if a.proposals)

    assert calls_to_proposal(6) < calls_to_proposal(10**6)


CALL_CENTRE: list[int | None] = [None] * 5 + [4_000, 40_000, 70_000, 90_000, 130_000]
COURIER: list[int | None] = [None, None, 15_000, 20_000, 30_000, 30_000, 40_000]


def fixed_line(talks: list[int | None], seed: int) -> list[Row]:
    return dialler(862051060000, 900, 250, talks, seed=seed, caller_kind=NumberKind.FIXED)


@pytest.mark.parametrize("seed", range(8))
def test_a_call_centre_is_left_alone(seed: int) -> None:
    """A predictive dialler, four calls a second, half answered, from its first call of the day."""
    assert proposed(alerts_of(fixed_line(CALL_CENTRE, seed))) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_call_centre_whose_customers_are_hard_to_reach_is_left_alone(seed: int) -> None:
    hard: list[int | None] = [None] * 62 + [3_000] * 3 + [50_000] * 35
    assert proposed(alerts_of(fixed_line(hard, seed))) == []


def test_a_courier_is_not_even_looked_at() -> None:
    assert alerts_of(dialler(8613700000001, 120, 60_000, COURIER)) == []


def test_a_company_exchange_is_left_alone() -> None:
    talks: list[int | None] = [None, None, 5_000, 60_000, 120_000, 200_000, 90_000]
    assert proposed(alerts_of(dialler(861062000000, 400, 2_500, talks))) == []


def test_redials_in_an_outage_are_no_burst() -> None:
    rows: list[Row] = []
    for n in range(60):
        rows += call(START + n * 1_000, 8613700000001, 8613811110000 + n % 2, f"r{n}", None, cause=17)
    alerts = alerts_of(in_time(rows))
    assert [a for a in alerts if a.detector == "burst"] == []
    assert proposed(alerts) == []


def test_an_outage_is_not_the_callers_doing() -> None:
    """A call centre's network loses its circuits: every call fails, whomever it dials."""
    rows: list[Row] = []
    for n in range(400):
        rows += call(
            START + n * 250, 862051060000, 8613900000000 + n * 31, f"o{n}", None, cause=34, ring_ms=0
        )
    assert proposed(alerts_of(in_time(rows))) == []


def test_an_emergency_number_is_no_subject() -> None:
    assert alerts_of(dialler(110, 500, 100, [None], caller_status=NumberStatus.EMERGENCY)) == []


def test_a_service_number_is_told_of_though_no_rule_may_stop_it() -> None:
    rows = dialler(95588, 500, 100, [None], caller_status=NumberStatus.SHORT_SERVICE)
    assert only(alerts_of(rows)).severity == "critical"


def test_a_good_reputation_takes_more_to_lose() -> None:
    """The same bad minute: a number of an ordinary day is not proposed where an unknown one is."""
    bad = dialler(SPAMMER, 28, 2_500, ROBOT, start=START + 5 * 3_600_000, name="bad")
    ordinary: list[int | None] = [None, 40_000, 60_000, 90_000]
    good = dialler(SPAMMER, 60, 280_000, ordinary, name="good")
    assert proposed(alerts_of(bad)) == [Match(caller="+8617012345678")]
    assert proposed(alerts_of(in_time(good, bad))) == []


def test_being_called_back_takes_more_to_lose_too() -> None:
    bad = dialler(SPAMMER, 28, 2_500, ROBOT, start=START + 3_600_000, name="bad")
    back: list[Row] = []
    for n in range(40):
        back += call(START + n * 60_000, 8613911110000 + n, SPAMMER, f"back{n}", 40_000)
    assert proposed(alerts_of(bad)) == [Match(caller="+8617012345678")]
    assert proposed(alerts_of(in_time(back, bad))) == []


def scan(
    prefixes: list[str], *, every_ms: int = 900, trunk: str = "40.129.198.250", **other: object
) -> list[Row]:
    return [
        event(
            EventType.ATTEMPT,
            START + n * every_ms,
            "200",
            f"{prefix}972599501806",
            f"s{n}",
            trunk=trunk,
            **other,
        )
        for n, prefix in enumerate(prefixes)
    ]


SCAN = ["011", "1010333011", "1010555011", "1010222011", "9011"]


def test_a_scan_of_dialling_prefixes_is_a_probe() -> None:
    alert = only(alerts_of(scan(SCAN)))
    assert (alert.kind, alert.severity, alert.subject.value) == ("prefix_probe", "high", "200")
    assert proposed([alert]) == [Match(caller="200", trunk="40.129.198.250")]
    assert "40.129.198.250" in alert.message
    assert "599501806" in alert.message
    assert "4 dialling prefixes" in alert.message


def test_prefixes_are_counted_exactly_up_to_six() -> None:
    many = [str(n) for n in range(10, 30)]
    told = detector()(frame_of(scan(many, caller_kind=NumberKind.FIXED)), 0).alerts
    assert [a.calls for a in told] == [4, 8, 17]
    assert told[0].message.count("tried 4 dialling prefixes") == 1
    assert "tried 6 or more dialling prefixes" in told[-1].message


def test_three_prefixes_are_a_person_trying() -> None:
    assert alerts_of(scan(SCAN[:3])) == []


def test_the_same_way_again_and_again_is_a_redial() -> None:
    assert alerts_of(scan(["011"] * 7)) == []


def test_a_probe_that_takes_longer_than_ten_minutes_is_not_seen() -> None:
    assert alerts_of(scan(SCAN, every_ms=260_000)) == []


def test_who_gets_through_is_not_probing() -> None:
    rows = scan(SCAN)
    answered = cdr(
        START + 2_000, "200", "1010555011972599501806", "s2", 60_000, trunk="40.129.198.250", id="s2/1"
    )
    assert alerts_of(in_time(rows, [answered])) == []


def test_the_same_extension_on_two_trunks_is_two_callers() -> None:
    def elsewhere(rows: list[Row]) -> list[Row]:
        return [row | {"call_id": "x" + row["call_id"], "id": "x" + row["id"], "trunk": "b"} for row in rows]

    assert alerts_of(in_time(scan(SCAN[:2], trunk="a"), elsewhere(scan(SCAN)[2:4]))) == []
    alerts = alerts_of(in_time(scan(SCAN, trunk="a"), elsewhere(scan(SCAN))))
    assert {m.trunk for m in proposed(alerts)} == {"a", "b"}
    assert len({a.alert_id for a in alerts}) == 2


def test_a_withheld_number_has_no_identity() -> None:
    rows = dialler("", 300, 300, [None], caller_status=NumberStatus.HIDDEN)
    assert alerts_of(rows) == []


def test_switched_off_it_says_nothing() -> None:
    quiet = DetectorsSettings(burst=BurstSettings(mode="off"))
    step = Detect(0, Settings(detect=ROOMY, detectors=quiet), FakePlan())
    assert alerts_of(in_time(dialler(SPAMMER, 300, 300, [None]), scan(SCAN)), step=step) == []


def test_settings_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match=r"abusive_talked is 0\.5; expected less than dialler_talked"):
        BurstSettings(abusive_talked=0.5)
    with pytest.raises(ValueError, match=r"ordinary_invalid is 0\.2; expected less than abusive_invalid"):
        BurstSettings(ordinary_invalid=0.2)
    with pytest.raises(ValueError, match=r"dialler_brief, dialler_talked are 0\.04, 0\.7, 0\.3"):
        BurstSettings(dialler_brief=0.7)
