"""The judge on hand-made calls, alerts and rules of which every figure is known."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from config.loading import load_settings
from detectors.alert import Alert, Match, Severity, Statement, Subject, Window
from detectors.plan import NumberingPlan
from streams.evaluate.calls import calls_of
from streams.evaluate.figures import Delay, Evaluation, Point, evaluation, p90
from streams.evaluate.judge import MOST_WRONG, judge
from streams.evaluate.labels import Labels
from streams.evaluate.outcome import CampaignOutcome, Judgement
from streams.evaluate.targets import QUIET_TARGETS, TARGETS, percent
from streams.wire.records import Approval, BlockRule, RuleChange
from tests.rules import alert, rule

T0 = 1_772_416_800_000
SECOND = 1_000
ATTACKER, HONEST = "+8613800138000", "+8613900139000"
LATER = T0 + 600 * SECOND
Event = dict[str, Any]


@pytest.fixture(scope="module")
def plan() -> NumberingPlan:
    return NumberingPlan.load(load_settings().numbering)


class Traffic:
    """Calls with their labels, one after another."""

    def __init__(self, plan: NumberingPlan) -> None:
        self.plan = plan
        self.events: list[Event] = []
        self.labels = Labels()

    def call(
        self,
        call_id: str,
        second: float,
        caller: str = ATTACKER,
        campaign: str = "",
        kind: str = "burst",
        size: str = "",
        **other: Any,
    ) -> None:
        time = T0 + round(second * SECOND)
        event = {"id": call_id, "call_id": call_id, "type": "attempt", "time": time, "caller": caller}
        way = {"callee": "+8613700137000", "trunk": "T1", "from_network": "CU", "to_network": "CM"}
        self.events.append(event | way | other)
        if campaign:
            self.labels.add(call_id, campaign, kind, size)

    def judged(self, alerts: list[Alert] | None = None, changes: list[RuleChange] | None = None) -> Judgement:
        calls = calls_of(self.events, load_settings(), self.plan)
        return judge(calls, self.labels, alerts or [], changes or [])


@pytest.fixture
def traffic(plan: NumberingPlan) -> Traffic:
    return Traffic(plan)


def issued(second: float, match: Match | None = None, **fields: Any) -> RuleChange:
    at = T0 + round(second * SECOND)
    usual = {"sequence": at, "issued_at": at, "not_before": at, "expires_at": LATER}
    made = rule(match or Match(caller=ATTACKER), **(usual | fields))
    return RuleChange(made.rule_id, made, at)


def ended(change: RuleChange, second: float) -> RuleChange:
    return RuleChange(change.rule_id, None, T0 + round(second * SECOND), "over")


def told(
    second: float,
    samples: list[str],
    severity: Severity = "high",
    alert_id: str = "a",
    version: int = 1,
    **fields: Any,
) -> Alert:
    made = alert(alert_id=alert_id, severity=severity, version=version, last_seen=T0 + round(second * SECOND))
    return replace(made, sample_call_ids=samples, **fields)


def only(judgement: Judgement) -> CampaignOutcome:
    [outcome] = judgement.campaigns
    return outcome


def attack(traffic: Traffic, calls: int = 10, campaign: str = "c", **other: Any) -> None:
    """One call a second, from second 0: ``c-0``, ``c-1`` and so on."""
    for number in range(calls):
        traffic.call(f"{campaign}-{number}", number, campaign=campaign, **other)


# --- what is blocked


def test_a_rule_acts_a_second_after_it_was_issued(traffic: Traffic) -> None:
    attack(traffic)
    judgement = traffic.judged(changes=[issued(3.5)])
    outcome = only(judgement)
    assert outcome.calls == 10
    assert outcome.blocked == 5, "from 4.5 s on: the calls at 5 to 9 s"
    assert (judgement.calls, judgement.malicious, judgement.blocked) == (10, 10, 5)
    assert (outcome.calls_to_rule, outcome.seconds_to_rule) == (4, 3.5)


def test_the_call_at_the_very_moment_a_rule_acts_is_blocked(traffic: Traffic) -> None:
    attack(traffic, 5)
    assert only(traffic.judged(changes=[issued(3)])).blocked == 1


def test_an_ended_rule_acts_for_another_second(traffic: Traffic) -> None:
    attack(traffic)
    change = issued(-1)
    assert only(traffic.judged(changes=[change, ended(change, 3.5)])).blocked == 5


def test_a_rule_that_is_up_does_not_wait_for_its_tombstone(traffic: Traffic) -> None:
    attack(traffic)
    assert only(traffic.judged(changes=[issued(-1, expires_at=T0 + 3_000)])).blocked == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "shadow"},
        {"mode": "report"},
        {"approval": Approval("pending")},
        {"action": "label", "label": "suspect"},
        {"action": "throttle", "cps": 1.0},
        {"match": Match(caller=HONEST)},
        {"match": Match(caller=ATTACKER, trunk="T2")},
        {"match": Match(caller=ATTACKER, gateway="international")},
    ],
)
def test_what_does_not_block(traffic: Traffic, fields: dict[str, Any]) -> None:
    attack(traffic)
    outcome = only(traffic.judged(changes=[issued(-1, **fields)]))
    assert (outcome.blocked, outcome.calls_to_rule, outcome.seconds_to_rule) == (0, None, None)


@pytest.mark.parametrize(
    "match",
    [
        Match(caller="+861380013*"),
        Match(callee="+8613700137000"),
        Match(callee="+86137*", network="CU"),
        Match(trunk="T1"),
        Match(caller=ATTACKER, callee="+8613700137000", trunk="T1", network="CU", gateway="national"),
    ],
)
def test_every_shape_of_match_blocks(traffic: Traffic, match: Match) -> None:
    attack(traffic)
    assert only(traffic.judged(changes=[issued(-1, match)])).blocked == 10


def test_a_text_is_matched_as_signalled(traffic: Traffic) -> None:
    attack(traffic, caller="robot")
    assert only(traffic.judged(changes=[issued(-1, Match(caller="robot"))])).blocked == 10


def test_events_in_disorder_are_judged_by_their_own_time(traffic: Traffic) -> None:
    attack(traffic)
    traffic.events.reverse()
    outcome = only(traffic.judged(changes=[issued(3.5)]))
    assert (outcome.blocked, outcome.calls_to_rule) == (5, 4)


def test_a_call_of_several_views_is_one_call_and_blocked_where_any_view_is(traffic: Traffic) -> None:
    traffic.call("one", 0, campaign="c")
    traffic.events.append(traffic.events[0] | {"id": "one-t", "trunk": "T9", "time": T0 + 30})
    traffic.events.append(traffic.events[0] | {"id": "one-e", "type": "end", "time": T0 + 5_000})
    judgement = traffic.judged(changes=[issued(-5, Match(trunk="T9"))])
    assert (judgement.calls, only(judgement).calls, only(judgement).blocked) == (1, 1, 1)


def test_a_call_of_which_only_the_end_was_seen_is_not_judged(traffic: Traffic) -> None:
    traffic.call("gone", 0, type="end")
    traffic.call("there", 0, type="cdr")
    assert traffic.judged().calls == 1


@pytest.mark.parametrize(
    "fields", [{"action": "label", "label": "suspect"}, {"action": "throttle", "cps": 1.0}]
)
def test_throttled_and_labelled_calls_are_counted_beside_the_blocked(
    traffic: Traffic, fields: dict[str, Any]
) -> None:
    attack(traffic)
    traffic.call("honest", 5, caller=HONEST)
    changes = [issued(-1, **fields), issued(-1, Match(caller=HONEST), **fields)]
    judgement = traffic.judged(changes=changes)
    assert (judgement.eased, judgement.wrongly_eased) == (only(judgement).calls, 1)
    blocked_too = traffic.judged(changes=[*changes, issued(-1)])
    assert (blocked_too.eased, blocked_too.wrongly_eased) == (0, 1)


def test_wrong_blocks_are_counted_by_call_and_by_caller_and_told(traffic: Traffic) -> None:
    attack(traffic)
    for number in range(3):
        traffic.call(f"honest-{number}", 5 + number, caller=HONEST)
    traffic.call("other", 9, caller="+8613900139001")
    judgement = traffic.judged(changes=[issued(-1, Match(trunk="T1"), reason="too many")])
    assert (judgement.legitimate, judgement.wrongly_blocked, judgement.wrongly_blocked_callers) == (4, 4, 2)
    first = judgement.wrong[0]
    assert (first.time, first.caller, first.reason) == (T0 + 5_000, HONEST, "too many")
    whole = evaluation([judgement]).overall
    assert whole.precision == 10 / 14
    assert whole.wrongly_blocked_per_million == 1_000_000


def test_wrong_blocks_told_are_few_and_all_are_counted(traffic: Traffic) -> None:
    for number in range(MOST_WRONG + 5):
        traffic.call(f"honest-{number}", number, caller=HONEST)
    judgement = traffic.judged(changes=[issued(-1, Match(caller=HONEST))])
    assert judgement.wrongly_blocked == MOST_WRONG + 5
    assert len(judgement.wrong) == MOST_WRONG


# --- rules


def test_the_first_rule_that_blocks_counts_from_its_issue_not_its_renewal(traffic: Traffic) -> None:
    attack(traffic)
    first = issued(2)
    assert first.rule is not None
    renewed = replace(first.rule, sequence=T0 + 6_000, issued_at=T0 + 6_000, version=2)
    changes = [first, RuleChange(first.rule_id, renewed, T0 + 6_000)]
    outcome = only(traffic.judged(changes=changes))
    assert (outcome.calls_to_rule, outcome.seconds_to_rule, outcome.blocked) == (3, 2.0, 7)


def test_a_pending_rule_counts_from_its_approval(traffic: Traffic) -> None:
    attack(traffic)
    pending = issued(1, approval=Approval("pending"))
    assert pending.rule is not None
    approved = replace(
        pending.rule, sequence=T0 + 5_000, issued_at=T0 + 5_000, approval=Approval("approved", "me", T0)
    )
    outcome = only(traffic.judged(changes=[pending, RuleChange(pending.rule_id, approved, T0 + 5_000)]))
    assert (outcome.calls_to_rule, outcome.seconds_to_rule, outcome.blocked) == (6, 5.0, 4)


def test_a_rule_from_before_the_campaign_took_no_call_and_no_time(traffic: Traffic) -> None:
    attack(traffic)
    outcome = only(traffic.judged(changes=[issued(-60)]))
    assert (outcome.calls_to_rule, outcome.seconds_to_rule) == (0, 0.0)


def test_a_rule_is_about_the_campaign_it_blocks_most_of_else_that_of_its_alerts(traffic: Traffic) -> None:
    attack(traffic, 5, kind="flood", size="5 calls")
    attack(traffic, 4, "d", kind="sweep", caller=HONEST)
    for number in range(6):
        traffic.call(f"honest-{number}", 20 + number, caller="+8613900139001")
    changes = [
        issued(-1, Match(callee="+86137*"), alert_ids=["unknown"]),
        issued(-1, Match(caller="+8613900139001"), alert_ids=["a"]),
    ]
    one, two = sorted(traffic.judged([told(3, ["d-0"])], changes).rules, key=lambda each: each.kind)
    assert (one.kind, one.size, one.malicious) == ("flood", "5 calls", 9)
    assert (two.kind, two.malicious, two.score) == ("sweep", 0, 0.9)
    assert one.legitimate + two.legitimate == 6


# --- alerts


def test_an_alert_belongs_to_the_campaign_of_most_of_its_samples(traffic: Traffic) -> None:
    attack(traffic)
    traffic.call("honest", 3, caller=HONEST)
    judgement = traffic.judged(
        [
            told(4, ["c-0", "c-1", "honest"], alert_id="ours"),
            told(4, ["c-0", "honest"], alert_id="half"),
            told(4, ["c-0", "lost", "gone"], alert_id="unknown"),
        ]
    )
    assert only(judgement).alerts == 1
    [burst] = judgement.detectors
    assert (burst.alerts, burst.stray) == (3, {"high": 2})


def test_samples_of_all_versions_count(traffic: Traffic) -> None:
    attack(traffic)
    traffic.call("honest", 3, caller=HONEST)
    grown = [told(1, ["honest"]), told(2, ["honest", "c-1"], version=2), told(3, ["c-1", "c-2"], version=3)]
    assert only(traffic.judged(grown)).alerts == 1


def test_a_campaign_is_found_by_an_alert_of_medium_severity_at_the_time_of_that_version(
    traffic: Traffic,
) -> None:
    attack(traffic)
    low = [told(2, ["c-1"], "low")]
    outcome = only(traffic.judged(low))
    assert not outcome.found
    assert (outcome.alerts, outcome.severity, outcome.calls_to_alert) == (1, "low", None)
    outcome = only(traffic.judged([*low, told(5.5, ["c-1"], "medium", version=2)]))
    assert outcome.found
    assert (outcome.alerts, outcome.severity) == (1, "medium")
    assert (outcome.calls_to_alert, outcome.seconds_to_alert) == (6, 5.5)
    assert outcome.detectors == ["burst"]


def test_the_earliest_of_several_alerts_counts(traffic: Traffic) -> None:
    attack(traffic)
    outcome = only(traffic.judged([told(8, ["c-0"]), told(4, ["c-1"], alert_id="b")]))
    assert (outcome.alerts, outcome.calls_to_alert, outcome.seconds_to_alert) == (2, 5, 4.0)


def test_an_alert_has_the_detectors_of_its_findings_and_counts_with_the_last_that_leads(
    traffic: Traffic,
) -> None:
    attack(traffic)
    said = [Statement(name, name, "high", 0.9, "so") for name in ("sweep", "burst")]
    judgement = traffic.judged(
        [told(2, ["c-0"]), replace(told(3, ["c-0"], version=2), detector="sweep", findings=said)]
    )
    assert only(judgement).detectors == ["burst", "sweep"]
    assert [each.detector for each in judgement.detectors] == ["sweep"]


@pytest.mark.parametrize(
    ("subject", "window", "belongs"),
    [
        (Subject("trunk", "T1"), (0, 60), True),
        (Subject("trunk", "T1"), (-60, 0), False),
        (Subject("trunk", "T1"), (9, 60), True),
        (Subject("trunk", "T1"), (10, 60), False),
        (Subject("trunk", "T2"), (0, 60), False),
        (Subject("network_pair", "CU>CM"), (0, 60), True),
        (Subject("network_pair", "CM>CU"), (0, 60), False),
    ],
)
def test_an_alert_without_samples_belongs_to_who_is_active_there_and_then(
    traffic: Traffic, subject: Subject, window: tuple[int, int], belongs: bool
) -> None:
    attack(traffic)
    traffic.call("honest", 15, caller=HONEST)
    traffic.call("elsewhere", 15, caller=HONEST, trunk="T2", from_network="CM", to_network="CU")
    begin, end = (T0 + second * SECOND for second in window)
    outcome = only(traffic.judged([told(8, [], subject=subject, window=Window(begin, end))]))
    assert outcome.found is belongs


def test_of_two_campaigns_on_a_trunk_the_busier_one_has_the_alert(traffic: Traffic) -> None:
    attack(traffic, 3, "few")
    attack(traffic, 5, "many", caller=HONEST)
    window = Window(T0, T0 + 60_000)
    judgement = traffic.judged([told(8, [], subject=Subject("trunk", "T1"), window=window)])
    assert [each.campaign for each in judgement.campaigns if each.found] == ["many"]


# --- figures


def _evaluation(traffic: Traffic) -> Evaluation:
    """Two campaigns of ten calls, blocked from the fourth and from no call on; a legitimate call blocked."""
    attack(traffic, kind="flood", size="10 calls")
    attack(traffic, 10, "d", kind="sweep", size="slow", caller=HONEST)
    for number in range(980):
        traffic.call(f"honest-{number}", number / 50, caller="+8613900139001")
    alerts = [
        told(1, ["c-0"]),
        told(5, ["c-3"], alert_id="b"),
        told(3, ["d-0"], "low", alert_id="d"),
        told(3, ["honest-0"], "medium", alert_id="s"),
        told(4, ["honest-1"], "info", alert_id="i"),
    ]
    wrong = issued(19.5 - 1, Match(caller="+8613900139001"), alert_ids=["s"], expires_at=T0 + 19_520)
    return evaluation([traffic.judged(alerts, [issued(2), wrong])])


def test_figures_over_all(traffic: Traffic) -> None:
    whole = _evaluation(traffic)
    assert (whole.runs, whole.calls, whole.wrongly_blocked_callers) == (1, 1_000, 1)
    overall = whole.overall
    assert (overall.campaigns, overall.found, overall.found_share) == (2, 1, 0.5)
    assert (overall.calls, overall.blocked, overall.blocked_share) == (20, 7, 0.35)
    assert (overall.legitimate, overall.wrongly_blocked) == (980, 1)
    assert overall.wrongly_blocked_per_million == pytest.approx(1e6 / 980)
    assert overall.precision == 7 / 8
    assert overall.to_alert == Delay(1, 2, 2, 1.0, 1.0)
    assert overall.to_rule == Delay(1, 3, 3, 2.0, 2.0)
    assert (overall.alerts_mean, overall.alerts_p90) == (1.5, 2)


def test_figures_by_kind_and_size(traffic: Traffic) -> None:
    whole = _evaluation(traffic)
    flood, sweep = whole.kinds
    assert (flood.kind, flood.found_share, flood.blocked_share, flood.precision) == ("flood", 1.0, 0.7, 1.0)
    assert (sweep.kind, sweep.found_share, sweep.blocked, sweep.precision) == ("sweep", 0.0, 0, None)
    assert sweep.to_rule == Delay(0, None, None, None, None)
    both = [(each.kind, each.size) for each in whole.kinds_and_sizes]
    assert both == [("flood", "10 calls"), ("sweep", "slow")]
    assert [(each.kind, each.size, each.blocked) for each in whole.sizes] == [
        ("", "10 calls", 7),
        ("", "slow", 0),
    ]


def test_alerts_without_a_campaign(traffic: Traffic) -> None:
    stray = _evaluation(traffic).stray
    assert (stray.alerts, stray.by_severity, stray.medium) == (2, {"info": 1, "medium": 1}, 1)
    assert stray.per_thousand_calls == 2.0
    assert stray.medium_per_ten_thousand_calls == 10.0


def test_figures_by_detector(traffic: Traffic) -> None:
    [burst] = _evaluation(traffic).detectors
    assert (burst.alerts, burst.stray, burst.stray_medium) == (5, 2, 1)
    assert (burst.rules, burst.blocked, burst.wrongly_blocked, burst.precision) == (2, 7, 1, 7 / 8)


def test_the_curve_falls_where_lower_scores_block_wrongly(traffic: Traffic) -> None:
    attack(traffic)
    traffic.call("honest", 9, caller=HONEST)
    sure = told(1, ["c-0"], alert_id="a")
    unsure = replace(told(1, ["honest"], alert_id="b"), score=0.4)
    changes = [
        issued(4),
        issued(-1, Match(caller=HONEST), alert_ids=["b"]),
    ]
    whole = evaluation([traffic.judged([sure, unsure], changes)])
    assert whole.curve == [Point(0.9, 0.5, 1.0), Point(0.4, 0.5, 5 / 6)]


def test_several_runs_count_together(traffic: Traffic, plan: NumberingPlan) -> None:
    attack(traffic)
    other = Traffic(plan)
    attack(other, 4, kind="flood")
    whole = evaluation([traffic.judged(changes=[issued(-1)]), other.judged(changes=[issued(2)])])
    assert (whole.runs, whole.overall.campaigns, whole.overall.calls, whole.overall.blocked) == (2, 2, 14, 11)
    assert whole.overall.to_rule == Delay(2, 1.5, 3, 1.0, 2.0)


def test_nothing_gives_figures_of_nothing(traffic: Traffic) -> None:
    whole = evaluation([traffic.judged()])
    assert (whole.calls, whole.overall.precision, whole.stray.per_thousand_calls) == (0, None, None)
    assert [target.met_by(whole) for target in TARGETS] == [None] * 5


def test_p90_is_the_value_that_nine_tenths_do_not_exceed() -> None:
    assert p90(range(1, 11)) == 9
    assert p90([7]) == 7
    assert p90([]) is None


def test_targets(traffic: Traffic) -> None:
    whole = _evaluation(traffic)
    assert [target.met_by(whole) for target in TARGETS] == [False, False, False, True, True]
    assert [target.met_by(whole) for target in QUIET_TARGETS] == [False, False]


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "-"),
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (0.5, "50.0 %"),
        (0.99995, "99.995 %"),
        (1e-5, "0.001 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share: float | None, shown: str) -> None:
    assert percent(share) == shown


# --- labels and rules that change while calls pass


def test_labels_contradict_themselves() -> None:
    labels = Labels()
    labels.add("1", "c", "burst")
    for call_id, campaign, kind, said in [
        ("1", "d", "burst", "another"),
        ("2", "c", "flood", "before it was 'burst'"),
        ("3", "", "flood", "expected both or none"),
        ("4", "e", "", "expected a name"),
    ]:
        with pytest.raises(ValueError, match=said):
            labels.add(call_id, campaign, kind)


def test_the_reason_of_a_rule_is_known_when_it_changes(traffic: Traffic) -> None:
    for number in range(10):
        traffic.call(f"honest-{number}", number, caller=HONEST)
    first = issued(-1, Match(caller=HONEST), reason="first")
    last: BlockRule = rule(Match(caller=HONEST), reason="last", sequence=T0 + 20_000, expires_at=LATER)
    judgement = traffic.judged(changes=[first, RuleChange(first.rule_id, last, T0 + 20_000)])
    assert {each.reason for each in judgement.wrong} == {"first"}
