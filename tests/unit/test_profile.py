"""`profile`: what a trunk's traffic must do to become an alert, and what it may do without."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable
from functools import cache

import msgspec
import pytest

from config.settings import ProfileSettings, Settings
from detectors import profile
from detectors.alert import Alert, content_id
from detectors.traffic import BITMAP_BITS, distinct
from streams.profile.step import LARGEST, Profile, lookback_ms
from streams.wire.summaries import Summary, SummaryRow
from tests.profile_traffic import START, Change, Habit, Traffic
from tests.summaries import summary_of

BUSY, MIDDLING, SMALL = "CM-CU-01", "CM-CU-02", "CM-CU-03"
HABITS = {BUSY: Habit(40), MIDDLING: Habit(12, answered=0.45), SMALL: Habit(3, answered=0.6)}
AT = START + 1200
SURGE = Change(MIDDLING, AT, 120, rate=60)


def fed(summaries: Iterable[Summary], settings: Settings | None = None) -> list[Alert]:
    profile = Profile(settings or Settings())
    return [alert for summary in summaries for alert in profile(summary)]


@cache
def traffic(*changes: Change, seed: int = 1, seconds: int = 1800) -> list[Summary]:
    return list(Traffic(HABITS, seed, list(changes)).summaries(range(START, START + seconds)))


@cache
def surge() -> list[Alert]:
    return fed(traffic(SURGE))


def profiled(**changes: object) -> Settings:
    return Settings(profile=ProfileSettings.model_validate(changes))


def without(summaries: Iterable[Summary], trunk: str, seconds: range) -> list[Summary]:
    return [
        summary_of(
            s.partition,
            s.offset,
            s.newest,
            [r for r in s.rows() if r.trunk != trunk or r.second not in seconds],
        )
        for s in summaries
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ordinary_traffic_gives_no_alert(seed: int) -> None:
    assert fed(traffic(seed=seed)) == []


def test_the_course_of_a_day_gives_no_alert() -> None:
    """The two hours before the morning's peak, in which traffic grows sixfold."""
    habits = {
        "T1": Habit(20, diurnal=True, wobble=0.15),
        "T2": Habit(4, answered=0.4, diurnal=True, wobble=0.15),
    }
    morning = range(START + 16 * 3600, START + 18 * 3600)
    assert fed(Traffic(habits, 1).summaries(morning)) == []


def test_nothing_at_all_gives_no_alert() -> None:
    assert fed(summary_of(0, second, (START + second) * 1000, []) for second in range(100)) == []


def test_a_surge_of_short_unanswered_calls_alerts_within_seconds() -> None:
    first = surge()[0]
    assert {alert.subject.value for alert in surge()} == {MIDDLING}
    assert (first.severity, first.kind, first.detector) == ("medium", "attack", "profile")
    assert first.first_seen >= (AT - 3) * 1000
    assert first.last_seen < (AT + 3) * 1000
    assert (first.networks, first.trunks, first.proposals) == (["CM", "CU"], [MIDDLING], [])
    assert 0 < first.score <= 1


def test_the_evidence_says_what_moved_by_how_much() -> None:
    evidence = {e.feature: e for e in surge()[-1].evidence}
    attempts = evidence["attempts_per_second"]
    assert attempts.actual == pytest.approx(72, rel=0.1)
    assert attempts.typical == pytest.approx(12, rel=0.2)
    ratio = evidence["answer_seizure_ratio"]
    assert ratio.actual == pytest.approx((12 * 0.45 + 60 * 0.02) / 72, abs=0.04)
    assert ratio.typical == pytest.approx(0.45, abs=0.05)
    assert sum(e.weight for e in evidence.values()) == pytest.approx(1, abs=1e-3)


def test_the_message_is_one_sentence_with_both_figures_and_what_to_do() -> None:
    message = surge()[-1].message
    assert message.startswith(f"Trunk {MIDDLING} has ")
    assert "x its usual attempts" in message
    assert "(usual 4" in message
    assert "ask the sending network to stop them." in message
    assert message.count(". ") == 0


def test_the_versions_of_an_alert_grow_and_keep_their_id() -> None:
    versions = surge()
    assert len({alert.alert_id for alert in versions}) == 1
    assert [alert.version for alert in versions] == list(range(1, len(versions) + 1))
    assert [alert.calls for alert in versions] == sorted(alert.calls for alert in versions)
    assert versions[-1].calls == pytest.approx(120 * 72, rel=0.05)
    assert versions[-1].last_seen == pytest.approx((AT + 120) * 1000, abs=2000)
    assert len(versions) <= 120 / 30 + 2


def test_the_id_is_of_the_trunk_the_aligned_window_and_the_settings() -> None:
    alert = surge()[0]
    config_hash = content_id(ProfileSettings().model_dump())[:16]
    assert alert.config_hash == config_hash
    assert (alert.window.start, alert.window.end) == (AT * 1000, (AT + 600) * 1000)
    assert alert.alert_id == content_id(["profile", "trunk", MIDDLING, AT * 1000, config_hash])


def test_an_attack_over_a_window_boundary_is_one_alert_that_grows() -> None:
    alerts = fed(traffic(Change(MIDDLING, AT + 540, 120, rate=60), seconds=2000))
    assert len({alert.alert_id for alert in alerts}) == 1
    first, last = alerts[0].window, alerts[-1].window
    assert (first.start, first.end) == (AT * 1000, (AT + 600) * 1000)
    assert (last.start, last.end) == (AT * 1000, (AT + 1200) * 1000)


def test_an_attack_after_a_window_of_quiet_is_an_alert_of_its_own() -> None:
    again = [Change(MIDDLING, at, 60, rate=60) for at in (AT + 300, AT + 1500)]
    alerts = fed(traffic(*again, seconds=3000))
    assert sorted({alert.window.start for alert in alerts}) == [AT * 1000, (AT + 1200) * 1000]
    assert len({alert.alert_id for alert in alerts}) == 2


def test_more_of_the_same_calls_alone_is_a_low_alert() -> None:
    like_usual = Change(BUSY, AT, 60, rate=160, answered=0.55, ring_ms=14_000, talk_ms=90_000, callees=10**7)
    alerts = fed(traffic(like_usual))
    assert {(alert.subject.value, alert.severity) for alert in alerts} == {(BUSY, "low")}


def test_less_traffic_than_usual_is_no_alert() -> None:
    assert fed(without(traffic(), BUSY, range(AT, AT + 300))) == []


def test_a_silence_is_not_learnt() -> None:
    ordinary = traffic(seed=2, seconds=2400)
    assert fed(without(ordinary, MIDDLING, range(START + 900, START + 1900))) == []


def test_a_trunk_never_seen_before_earns_its_baseline_first() -> None:
    stranger = Change("CM-CU-99", AT, 120, rate=200)
    habits = {**HABITS, "CM-CU-99": Habit(0.0)}
    assert fed(Traffic(habits, 1, [stranger]).summaries(range(START, START + 1500))) == []


def test_a_lasting_change_of_the_answer_seizure_ratio_is_a_drift() -> None:
    changed = Change(MIDDLING, AT, 10**6, usual_answered=0.2)
    alerts = fed(traffic(changed, seconds=1900))
    drifts = [alert for alert in alerts if alert.kind == "drift"]
    assert {(a.subject.value, a.severity) for a in drifts} == {(MIDDLING, "low")}
    evidence = drifts[0].evidence[0]
    assert evidence.feature == "answer_seizure_ratio"
    assert evidence.typical == pytest.approx(0.45, abs=0.05)
    assert evidence.actual == pytest.approx(0.2, abs=0.05)
    assert "now has an answer-seizure ratio" in drifts[0].message


def test_a_level_that_stays_is_learnt_in_the_end() -> None:
    alerts = fed(traffic(Change(MIDDLING, AT, 2400, rate=60), seconds=3600), profiled(hold_seconds=120))
    assert max(alert.last_seen for alert in alerts if alert.kind == "attack") < (AT + 1200) * 1000


def test_a_summary_folded_in_before_changes_nothing() -> None:
    twice = [summary for summary in traffic(SURGE) for _ in range(2)]
    assert fed(twice) == surge()


def test_a_row_of_a_judged_second_is_counted_and_left_out() -> None:
    profile = Profile(Settings())
    row = traffic()[0].rows()[0]
    profile(summary_of(0, 0, (row.second + 10) * 1000, []))
    assert profile(summary_of(1, 0, row.second * 1000 + 999, [row])) == []
    assert (profile.late, profile.trunks) == (1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": -1},
        {"answered": 10**6},
        {"rings": 10**6},
        {"talk_ms": LARGEST + 1},
        {"second": START + 1},
    ],
)
def test_a_row_that_contradicts_itself_is_counted_and_left_out(wrong: dict[str, object]) -> None:
    profile = Profile(Settings())
    row = msgspec.structs.replace(traffic()[0].rows()[0], **wrong)
    profile(summary_of(0, 0, START * 1000 + 999, [row]))
    profile(summary_of(0, 1, (START + 20) * 1000, []))
    assert (profile.malformed, profile.trunks) == (1, 0)


def test_a_row_without_a_trunk_is_nobodys() -> None:
    profile = Profile(Settings())
    profile(summary_of(0, 0, START * 1000, [msgspec.structs.replace(traffic()[0].rows()[0], trunk="")]))
    profile(summary_of(0, 1, (START + 20) * 1000, []))
    assert (profile.malformed, profile.late, profile.trunks) == (0, 0, 0)


def rows(second: int, names: Iterable[str]) -> list[SummaryRow]:
    usual = traffic()[0].rows()[0]
    return [msgspec.structs.replace(usual, second=second, trunk=name) for name in names]


def test_trunks_are_bounded_and_the_longest_silent_goes() -> None:
    profile = Profile(profiled(tracked_trunks=3))
    for place, names in enumerate(["ab", "c", "a", "d"]):
        second = START + place
        profile(summary_of(0, place, second * 1000, rows(second, names)))
    profile(summary_of(0, 9, (START + 60) * 1000, []))
    assert profile.trunks == 3
    assert profile.evicted == 1
    (model,) = profile._models.values()
    assert [name for _, name in model._watched["trunk"]] == ["c", "a", "d"]


def test_trunks_of_one_second_are_bounded() -> None:
    profile = Profile(profiled(tracked_trunks=3))
    profile(summary_of(0, 0, START * 1000, rows(START, "abcdefg")))
    profile(summary_of(0, 1, (START + 60) * 1000, []))
    assert (profile.crowded, profile.trunks) == (4, 3)


def test_a_partition_that_fell_silent_is_waited_for_so_long_and_no_longer() -> None:
    profile = Profile(profiled(patience_seconds=60))
    names = rows(START, "ab")
    profile(summary_of(0, 0, START * 1000, names), summary_of(1, 0, START * 1000, names))
    profile(summary_of(0, 1, (START + 60) * 1000, []))
    assert profile.trunks == 0, "partition 1 may yet tell of this second"
    profile(summary_of(0, 2, (START + 61) * 1000, []))
    assert profile.trunks == 2
    profile(summary_of(1, 1, (START + 1) * 1000, rows(START + 1, "a")))
    assert profile.late == 1


def test_open_seconds_are_bounded_by_the_settling_time() -> None:
    profile = Profile(Settings())
    most = 0
    for summary in traffic()[:300]:
        profile(summary)
        most = max(most, len(profile._open))
    assert most == Settings().profile.settle_seconds


def test_an_evicted_trunk_says_what_it_had_to_say() -> None:
    settings = profiled(tracked_trunks=3)
    stopped = [s for s in traffic(SURGE) if s.newest < (AT + 15) * 1000]
    profile = Profile(settings)
    before = [alert for summary in stopped for alert in profile(summary)]
    second = AT + 16
    last = [*profile(summary_of(0, second, second * 1000, rows(second, "xyz")))]
    last += profile(summary_of(0, second + 1, (second + 7) * 1000, []))
    assert last[-1].alert_id == before[-1].alert_id
    assert last[-1].calls > before[-1].calls


def test_off_profiles_nothing() -> None:
    profile = Profile(profiled(mode="off"))
    assert [alert for summary in traffic(SURGE) for alert in profile(summary)] == []
    assert profile.trunks == 0


def test_the_look_back_covers_two_epochs_and_what_may_be_late() -> None:
    settings = Settings()
    assert lookback_ms(settings) == 2 * 2 * 3_600_000 + 305_000 + settings.detect.lateness_ms


@pytest.mark.parametrize("callees", [1, 10, 100, 300, 600, 900])
def test_distinct_callees_are_estimated_within_a_fifth(callees: int) -> None:
    draw = random.Random(callees)
    estimates = []
    for _ in range(50):
        bitmap = 0
        for _ in range(callees):
            bitmap |= 1 << draw.randrange(BITMAP_BITS)
        estimates.append(distinct(bitmap))
    known = [estimate for estimate in estimates if estimate is not None]
    assert len(known) >= 45
    assert sum(known) / len(known) == pytest.approx(callees, rel=0.05)
    assert all(estimate == pytest.approx(callees, rel=0.4) for estimate in known)


def test_a_saturated_bitmap_estimates_nothing() -> None:
    assert distinct((1 << BITMAP_BITS) - 1) is None
    assert distinct(0) == 0


def test_traffic_is_what_the_habits_say() -> None:
    """The tests' own traffic: its means are those of the habit it is drawn from."""
    found = [row for summary in traffic() for row in summary.rows() if row.trunk == BUSY]
    ends = sum(row.ends for row in found)
    habit = dataclasses.asdict(HABITS[BUSY])
    assert sum(row.attempts for row in found) / len(found) == pytest.approx(habit["rate"], rel=0.05)
    assert sum(row.answered for row in found) / ends == pytest.approx(habit["answered"], rel=0.05)
    assert sum(row.ring_ms for row in found) / ends == pytest.approx(habit["ring_ms"], rel=0.05)
    assert sum(row.talk_ms for row in found) / sum(row.answered for row in found) == pytest.approx(
        habit["talk_ms"], rel=0.1
    )


OUTAGE_CAUSES = {"failed": 0.9}
ROBOT_CAUSES = {"refused": 0.25, "invalid": 0.2, "one_ring": 0.2}


def with_causes(
    summaries: Iterable[Summary], trunk: str, seconds: range, shares: dict[str, float]
) -> list[Summary]:
    """Unanswered ends of ``trunk`` in ``seconds`` have these causes; elsewhere one in 50 is lost."""
    changed = []
    for summary in summaries:
        rows = []
        for row in summary.rows():
            unanswered = row.ends - row.answered
            chosen = shares if row.trunk == trunk and row.second in seconds else {"failed": 0.02}
            causes = {name: int(unanswered * share) for name, share in chosen.items()}
            rows.append(msgspec.structs.replace(row, **causes))
        changed.append(summary_of(summary.partition, summary.offset, summary.newest, rows))
    return changed


@pytest.mark.parametrize(("shares", "kind"), [(OUTAGE_CAUSES, "outage"), (ROBOT_CAUSES, "attack")])
def test_causes_tell_an_outage_and_its_redials_from_an_attack(shares: dict[str, float], kind: str) -> None:
    told = with_causes(traffic(SURGE), MIDDLING, range(AT, AT + 130), shares)
    alerts = fed(told)
    assert {alert.kind for alert in alerts if alert.subject.value == MIDDLING} == {kind}
    moved = {e.feature for e in alerts[-1].evidence}
    assert ("failed_share" if kind == "outage" else "unwanted_share") in moved


def test_an_outage_without_more_attempts_is_told_as_one() -> None:
    seconds = range(AT, AT + 130)
    told = with_causes(traffic(Change(MIDDLING, AT, 120, rate=0.01)), MIDDLING, seconds, OUTAGE_CAUSES)
    assert {alert.kind for alert in fed(told)} == {"outage"}


def test_causes_that_contradict_the_ends_are_left_out() -> None:
    profile = Profile(Settings())
    row = msgspec.structs.replace(traffic()[0].rows()[0], failed=10**6)
    profile(summary_of(0, 0, row.second * 1000 + 999, [row]))
    assert profile.malformed == 1


def spread() -> list[Summary]:
    """Forty small trunks of one pair, on all of which attempts rise at once."""
    habits = {f"S{n}": Habit(0.15) for n in range(40)}
    changes = [Change(trunk, AT, 240, rate=0.3) for trunk in habits]
    return list(Traffic(habits, 3, changes).summaries(range(START, AT + 300)))


def test_a_pair_tells_what_its_trunks_are_too_small_to_tell() -> None:
    alerts = fed(spread(), profiled(forest_vectors=64))
    assert ("network_pair", "CM>CU") in {(a.subject.type, a.subject.value) for a in alerts}
    pair = next(a for a in alerts if a.subject.type == "network_pair")
    assert pair.kind == "attack"
    assert len(pair.trunks) > 1
    assert pair.message.startswith("Traffic CM>CU has ")


def test_what_one_trunk_explains_is_not_told_of_its_pair() -> None:
    assert {alert.subject.type for alert in surge()} == {"trunk"}


def test_calls_picked_up_at_once_and_soon_over_look_like_an_attack() -> None:
    assert profile._is_attack_like({profile.RING: -4.0, profile.TALK: -3.5})
    assert not profile._is_attack_like({profile.TALK: -3.5})
    assert not profile._is_attack_like({profile.RING: 4.0, profile.TALK: -3.5})


def test_a_feature_that_is_learnt_while_an_alert_is_open_may_join_it() -> None:
    """Ring times that nobody told before: learnt after the surge, and soon notable themselves."""
    told = []
    for summary in traffic(Change(BUSY, AT, 60, rate=200)):
        rows = []
        for row in summary.rows():
            if row.second < AT + 90:
                row = msgspec.structs.replace(row, ring_ms=0, rings=0)
            elif row.second >= AT + 200:
                row = msgspec.structs.replace(row, ring_ms=row.ring_ms // 40)
            rows.append(row)
        told.append(summary_of(summary.partition, summary.offset, summary.newest, rows))
    alerts = [alert for alert in fed(told) if alert.subject.value == BUSY]
    assert {"attempts_per_second", "mean_ring_ms"} <= {item.feature for item in alerts[-1].evidence}
    assert len({alert.alert_id for alert in alerts}) == 1
