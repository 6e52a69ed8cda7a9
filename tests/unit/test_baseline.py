"""The baselines on hand-made calls of which every count is known."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from bench.ablation import ALL_ON, RATE_THRESHOLDS, chosen_rates, variants, write
from config.loading import load_settings
from detectors.plan import NumberingPlan
from streams.evaluate.baseline import (
    BaselineRun,
    CallMoment,
    Traffic,
    UserOf,
    best_balance,
    judge_baseline,
    most_precise,
    run_baseline,
    traffic_of,
)
from streams.evaluate.calls import records_of
from streams.evaluate.figures import Figures, evaluation
from streams.evaluate.fraud_detection import (
    OPERATOR,
    TUTORIAL,
    Finding,
    FraudDetection,
    FraudRule,
    Limits,
    Profile,
    rate_threshold,
)
from streams.evaluate.labels import Labels
from streams.evaluate.outcome import Judgement

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = round(datetime(2026, 3, 2, 10, tzinfo=SHANGHAI).timestamp() * 1000)
SATURDAY = MONDAY + 5 * 24 * 3_600_000
HOUR = 3_600
USER, CALLEE, OTHER = "+8613800138000", "+8613700137000", "+8613700137001"


class Switch:
    """One user's calls, at seconds after `MONDAY` ten o'clock."""

    def __init__(self, *rules: FraudRule) -> None:
        self.detection = FraudDetection(rules)
        self._ids = count()

    def call(self, second: float, number: str = "", user: str = USER) -> Finding | None:
        at, id_ = MONDAY + round(second * 1000), next(self._ids)
        return self.detection.call(at, str(id_), user, number or f"+86137{id_:08d}")[1]

    def ended(self, call: int, talk_s: int = 10) -> Finding | None:
        return self.detection.ended(str(call), talk_s * 1000)[1]


def critical(**limits: int) -> FraudRule:
    return FraudRule(Limits(**limits))


def reached(parameter: str, threshold: int) -> Finding:
    return Finding("critical", parameter, threshold, threshold)


def test_calls_a_minute_are_counted_over_the_last_sixty_seconds() -> None:
    switch = Switch(critical(cpm=3))
    assert switch.call(0) is None
    assert switch.call(30) is None
    assert switch.call(59) == reached("cpm", 3)
    assert switch.call(60) == reached("cpm", 3)  # the one at 0 has left, those at 30, 59 and 60 count
    assert switch.call(91) == reached("cpm", 3)  # 59, 60, 91
    assert switch.call(120) is None  # 91, 120


def test_total_calls_start_over_at_local_midnight() -> None:
    switch = Switch(critical(total_calls=3))
    assert [switch.call(at) for at in (0, 2 * HOUR, 13 * HOUR)] == [None, None, reached("total_calls", 3)]
    assert [switch.call(at) for at in (14 * HOUR, 15 * HOUR)] == [None, None]
    assert switch.call(16 * HOUR) == reached("total_calls", 3)


def test_concurrent_calls_go_down_when_one_ends() -> None:
    switch = Switch(critical(concurrent_calls=3))
    assert switch.call(0) is None
    assert switch.call(100) is None
    switch.ended(0)
    assert switch.call(200) is None
    assert switch.call(300) == reached("concurrent_calls", 3)


def test_a_call_ends_once_and_a_refused_one_at_once() -> None:
    switch = Switch(critical(concurrent_calls=3))
    switch.call(0)
    switch.call(100)
    assert switch.call(200) == reached("concurrent_calls", 3)
    assert switch.call(300) == reached("concurrent_calls", 3), "the refused one does not count on"
    switch.ended(2)
    assert switch.call(400) == reached("concurrent_calls", 3), "its end takes nothing off"
    switch.ended(0)
    switch.ended(0)
    assert switch.call(500) is None
    assert switch.call(600) == reached("concurrent_calls", 3), "nor does a second end"


def test_the_end_of_a_call_of_yesterday_takes_nothing_off_todays() -> None:
    switch = Switch(critical(concurrent_calls=2))
    switch.call(13.9 * HOUR)
    assert switch.call(14.1 * HOUR) is None
    switch.ended(0)
    assert switch.call(14.2 * HOUR) == reached("concurrent_calls", 2)


def test_sequential_calls_are_those_in_a_row_to_one_number() -> None:
    switch = Switch(critical(sequential_calls=3))
    assert [switch.call(at, CALLEE) for at in (0, 100)] == [None, None]
    assert switch.call(200, OTHER) is None
    assert [switch.call(at, CALLEE) for at in (300, 400)] == [None, None]
    assert switch.call(500, CALLEE) == reached("sequential_calls", 3)


def test_duration_is_told_when_the_call_ends() -> None:
    switch = Switch(FraudRule(Limits(call_duration=3_600), Limits(call_duration=600)))
    for at in range(3):
        assert switch.call(at) is None
    assert switch.ended(0, 599) is None
    assert switch.ended(1, 600) == Finding("warning", "call_duration", 600, 600)
    assert switch.ended(2, 4_000) == Finding("critical", "call_duration", 4_000, 3_600)


def test_users_and_prefixes_are_counted_apart() -> None:
    switch = Switch(FraudRule(Limits(cpm=2)), FraudRule(Limits(cpm=3), prefix="+8610"))
    assert switch.call(0, CALLEE) is None
    assert switch.call(1, "+861012345678") is None
    assert switch.call(2, CALLEE, user="+8613900139000") is None
    assert switch.call(3, "+861012345679") is None
    assert switch.call(4, OTHER) == reached("cpm", 2)
    assert switch.call(5, "+861012345670") == reached("cpm", 3), "the longest prefix decides"


def test_no_rule_of_the_hour_counts_nothing() -> None:
    morning = FraudRule(Limits(total_calls=1), start=9 * 60, end=11 * 60)
    switch = Switch(morning)
    assert switch.call(0) == reached("total_calls", 1)
    assert switch.call(1 * HOUR) is None


def test_counts_start_over_where_another_rule_comes_to_match() -> None:
    switch = Switch(*TUTORIAL)
    found = []
    for number in range(34):
        found.append(switch.call(600 * number))
        switch.ended(number)
    assert all(finding is None for finding in found[:15])
    assert found[15] == Finding("warning", "total_calls", 16, 16)
    assert switch.call(7 * HOUR) is None, "at 17:00 the evening's rule begins"


@pytest.mark.parametrize(
    ("second", "calls", "limit"),
    [(0, 35, 35), (5 * 24 * HOUR, 40, 40), (-9 * HOUR, 20, 20)],
    ids=["working hours", "Saturday", "night"],
)
def test_the_tutorial_has_limits_for_each_time(second: int, calls: int, limit: int) -> None:
    switch = Switch(*TUTORIAL)
    found = []
    for number in range(calls):
        found.append(switch.call(second + 70 * number))
        switch.ended(number)
    assert found[-1] == reached("total_calls", limit)
    assert all(finding is None or finding.level == "warning" for finding in found[:-1])


def moments(
    seconds: list[float], caller: int = 8613800138000, callee: str = "", talk_s: int | None = None
) -> list[CallMoment]:
    """Set-ups at these seconds, each ended ``talk_s`` later where that is given."""
    told = []
    for i, second in enumerate(seconds):
        at, id_ = MONDAY + round(second * 1000), f"{caller}-{i}"
        told.append(CallMoment(at, id_, caller, "", callee or f"+86137{i:08d}", False, 0))
        if talk_s is not None:
            told.append(CallMoment(at + talk_s * 1000, id_, caller, "", callee, True, talk_s * 1000))
    return sorted(told)


def in_force(run: BaselineRun, second: float, caller: str = USER, callee: str = CALLEE) -> bool:
    """Whether a rule is about a call of that time, with no reaction time."""
    now, live = MONDAY + round(second * 1000), {}
    for change in sorted(run.changes, key=lambda change: change.at):
        if change.at <= now:
            live[change.rule_id] = change.rule
    return any(
        rule is not None
        and rule.expires_at > now
        and rule.match.caller in (caller, f"{caller[:-4]}*")
        and rule.match.callee in (None, callee)
        for rule in live.values()
    )


def test_a_rule_is_in_force_as_long_as_one_more_call_would_be_refused() -> None:
    run = run_baseline(moments([0, 10, 20]), rate_threshold(2))
    assert not in_force(run, 9)
    assert in_force(run, 10)  # a third call would be the third of the minute
    assert in_force(run, 69)  # those at 10 and 20 still count
    assert not in_force(run, 70)
    assert not in_force(run, 30, caller="+8613900139000")


def test_a_rule_ends_with_the_call_that_made_room() -> None:
    profile: Profile = (critical(concurrent_calls=2),)
    run = run_baseline(moments([0], talk_s=500), profile)
    assert in_force(run, 499)
    assert not in_force(run, 500)


def test_a_rule_for_calls_in_a_row_names_the_number_and_ends_with_another() -> None:
    profile: Profile = (critical(sequential_calls=3),)
    calls = moments([0, 100], callee=CALLEE)
    run = run_baseline(calls, profile)
    assert in_force(run, 200, callee=CALLEE)
    assert not in_force(run, 200, callee=OTHER)
    elsewhere = CallMoment(MONDAY + 300_000, "x", 8613800138000, "", OTHER, False, 0)
    assert not in_force(run_baseline([*calls, elsewhere], profile), 400, callee=CALLEE)


def test_total_calls_are_refused_until_midnight() -> None:
    run = run_baseline(moments([0, 100, 200]), (critical(total_calls=3),))
    assert in_force(run, 14 * HOUR - 1)
    assert not in_force(run, 14 * HOUR)


@pytest.mark.parametrize(("user_of", "refused"), [("number", False), ("block", True)])
def test_a_user_may_be_a_block_of_numbers(user_of: UserOf, refused: bool) -> None:
    calls = [*moments([0], 8613800138001), *moments([10], 8613800138002)]
    assert in_force(run_baseline(calls, rate_threshold(2), user_of=user_of), 20) is refused


def test_a_withheld_number_is_nobodys() -> None:
    calls = [call._replace(caller=-5) for call in moments([0, 1, 2, 3])]
    assert run_baseline(calls, rate_threshold(1)) == BaselineRun([], [])


def test_one_alert_grows_with_each_statistic_reached() -> None:
    run = run_baseline(moments([0, 1, 2, 3, 4, 5]), TUTORIAL)
    assert len({alert.alert_id for alert in run.alerts}) == 1
    told = [(alert.severity, alert.kind, alert.calls, alert.version) for alert in run.alerts]
    assert told == [("medium", "cpm", 3, 1), ("high", "cpm", 5, 2)]
    assert run.alerts[-1].message == f"{USER}: cpm 5, critical from 5."


def test_an_operators_own_profile_lets_more_through() -> None:
    calls = moments([0, 1, 2, 3, 4])
    assert {alert.severity for alert in run_baseline(calls, TUTORIAL).alerts} == {"medium", "high"}
    assert run_baseline(calls, OPERATOR).alerts == []


@pytest.fixture(scope="module")
def plan() -> NumberingPlan:
    return NumberingPlan.load(load_settings().numbering)


def event(id_: str, type_: str, second: float, caller: str = USER, **other: Any) -> dict[str, Any]:
    time = MONDAY + round(second * 1000)
    way = {"trunk": "T1", "from_network": "CU", "to_network": "CM"}
    named = {"id": f"{id_}-{type_}-{second}", "call_id": id_, "type": type_, "time": time, "caller": caller}
    return named | {"callee": CALLEE} | way | other


def traffic(plan: NumberingPlan, *events: dict[str, Any]) -> Traffic:
    return traffic_of(records_of(events), load_settings(), plan)


def test_moments_come_in_order_and_a_record_after_the_call_is_two(plan: NumberingPlan) -> None:
    seen = traffic(
        plan,
        event("c", "cdr", 5, answered=True, ring_ms=2_000, talk_ms=3_000),
        event("a", "attempt", 0),
        event("a", "end", 10, answered=True, talk_ms=8_000),
        event("b", "attempt", 10),
        event("b", "end", 12, answered=False),
    )
    told = [((m.at - MONDAY) / 1000, m.call_id, m.is_end, m.talk_ms) for m in seen.moments]
    assert told == [
        (0, "a", False, 0),
        (5, "c", False, 0),
        (10, "a", True, 8_000),
        (10, "c", True, 3_000),
        (10, "b", False, 0),
        (12, "b", True, 0),
    ]


def test_a_call_seen_by_two_probes_is_set_up_once(plan: NumberingPlan) -> None:
    seen = traffic(plan, event("a", "attempt", 0, probe="p"), event("a", "attempt", 1, probe="q"))
    assert [moment.call_id for moment in seen.moments] == ["a"]


@pytest.fixture(scope="module")
def judgement(plan: NumberingPlan) -> Judgement:
    """Twenty calls of a campaign a second apart, then four legitimate ones; three a minute are refused."""
    labels = Labels()
    events = [event(f"bad{i}", "attempt", i) for i in range(20)]
    events += [event(f"good{i}", "attempt", 600 + i, caller="+8613900139000") for i in range(4)]
    for i in range(20):
        labels.add(f"bad{i}", "one", "burst")
    seen = traffic(plan, *events)
    return judge_baseline(seen, labels, run_baseline(seen.moments, rate_threshold(2), name="rate"))


def test_it_is_judged_as_ringfence_is(judgement: Judgement) -> None:
    """Rules act one second after the second call, so on the third."""
    assert judgement.blocked == 18
    assert judgement.wrongly_blocked == 2
    assert judgement.campaigns[0].found
    assert judgement.campaigns[0].calls_to_rule == 2
    assert evaluation([judgement]).overall.precision == 0.9


def test_both_tables_are_written(judgement: Judgement, tmp_path: Path) -> None:
    nothing = msgspec.structs.replace(judgement, blocked=0, wrongly_blocked=0, campaigns=[], rules=[])
    path = write({ALL_ON: {2: [judgement], 4: [judgement, nothing]}, "none": {2: [nothing]}}, {}, tmp_path)
    line = "| all detectors | 100.0 % | 90.0 % | 90.0 % | 333333 | 2 | 1 | 417 |"
    assert line in path.with_suffix(".md").read_text().splitlines()
    rows = {(row["system"], row["metric"]): row for row in json.loads(path.read_text())["rows"]}
    wrongly = rows[ALL_ON, "legitimate calls blocked"]
    assert (wrongly["low"], wrongly["high"]) == (250_000, 500_000)
    assert ("none", "precision of blocks") not in rows, "there is nothing to divide by"


def test_the_rate_is_chosen_by_the_tuning_seeds(judgement: Judgement) -> None:
    nothing = msgspec.structs.replace(judgement, campaigns=[], rules=[])
    found = {name: {1: [nothing], 2: [judgement]} for name in RATE_THRESHOLDS}
    found["rate 10"][1] = [judgement]
    chosen = chosen_rates(found, [1])
    assert chosen == {
        "nothing but a threshold of 10 calls a minute, best balance": RATE_THRESHOLDS["rate 10"]
    }


def figures(blocked: int, wrongly: int) -> Figures:
    found = evaluation([]).overall
    return Figures(
        **{
            **{name: getattr(found, name) for name in Figures.__struct_fields__},
            "blocked": blocked,
            "blocked_share": blocked / 100,
            "precision": blocked / (blocked + wrongly) if blocked + wrongly else None,
        }
    )


def test_the_best_rate_balances_precision_and_calls_blocked() -> None:
    by_threshold = {5: figures(90, 90), 10: figures(60, 6), 20: figures(10, 0), 40: figures(0, 0)}
    assert best_balance(by_threshold) == 10
    assert most_precise(by_threshold, 0.9999) == 20
    assert most_precise({5: figures(90, 90)}, 0.9999) is None


def test_the_ablation_turns_off_one_detector_at_a_time() -> None:
    settings = load_settings(overrides={"detectors.flood.mode": "off"})
    found = variants(settings)
    assert found.pop(ALL_ON) == settings
    assert {"without burst", "without profile"} <= found.keys()
    assert "without flood" not in found, "it is off already"
    for name, variant in found.items():
        changed = {
            f"{outer}.{inner}" if outer == "detectors" else outer
            for outer, section in settings.model_dump().items()
            for inner, value in section.items()
            if value != variant.model_dump()[outer][inner]
        }
        assert {path.removeprefix("detectors.") for path in changed} == {name.removeprefix("without ")}
