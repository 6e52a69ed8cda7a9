"""What numbers that are new that day must do over a trunk for an alert, and what they may do without."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from config.settings import Settings
from detectors.alert import Alert
from detectors.calls import text_hash
from detectors.new_numbers import FRUITLESS, SAMPLES, SHORT, Found, Share, ShareTest
from streams.detect.step import Detect
from streams.profile.step import Profile
from streams.wire.arrow import BatchError
from streams.wire.summaries import ADDED, Summary, SummaryRow, decode_summary, encode_summary
from tests.profile_traffic import START
from tests.summaries import summary_of
from tests.traffic import START as TRAFFIC_START
from tests.traffic import FakePlan, both_roles, call, frame, in_time

TRUNK = "CM-CU-01"
THRESHOLD = math.log(100_000)


def new(ends: int, calls: int, first_callee: int = 0, callees: int = 64) -> Found:
    bits = sum(1 << bit for bit in {(first_callee + n * 37) % callees for n in range(calls)})
    return Found(ends, calls, bits, f"c{first_callee}" if calls else "")


def fed(test: ShareTest, seconds: list[Found]) -> int | None:
    """The place of the first after which the share is larger than usual."""
    for place, found in enumerate(seconds):
        test.update(START + place, found)
        if test.exceeded() is not None:
            return place
    return None


def ordinary(seed: int, seconds: int, share: float) -> list[Found]:
    draw = random.Random(seed)
    return [new(4, sum(draw.random() < share for _ in range(4)), n) for n in range(seconds)]


USUAL = [(SHORT, 0.0), (SHORT, 0.02), (SHORT, 0.08), (FRUITLESS, 0.4), (FRUITLESS, 0.6), (FRUITLESS, 0.8)]


@pytest.mark.parametrize(("share", "usual"), USUAL)
@pytest.mark.parametrize("seed", range(5))
def test_a_usual_share_is_never_exceeded(share: Share, usual: float, seed: int) -> None:
    test = ShareTest(share, THRESHOLD)
    for found in ordinary(seed, 300, usual):
        test.update(START, found)
        test.learn()
    assert fed(test, ordinary(seed + 100, 2_000, usual)) is None


@pytest.mark.parametrize(("share", "calls", "usual"), [(SHORT, 13, 0.02), (FRUITLESS, 30, 0.45)])
def test_a_small_campaign_is_seen_before_it_ends(share: Share, calls: int, usual: float) -> None:
    test = ShareTest(share, THRESHOLD)
    assert fed(test, ordinary(1, 2_000, usual)) is None
    place = fed(test, [new(1, 1, n) for n in range(calls)])
    assert place is not None
    assert place + 1 >= share.least_calls


def test_a_campaign_among_many_ordinary_new_numbers_is_seen_by_the_smaller_share() -> None:
    draw = random.Random(5)
    among = [new(6, (draw.random() < 0.1) + (n % 2), n) for n in range(200)]
    assert fed(ShareTest(SHORT, THRESHOLD), among) is not None


@pytest.mark.parametrize("share", [SHORT, FRUITLESS])
def test_calls_to_one_callee_are_votes(share: Share) -> None:
    assert fed(ShareTest(share, THRESHOLD), [new(3, 3, 5, callees=1) for _ in range(200)]) is None


def test_what_ends_is_soon_forgotten() -> None:
    test = ShareTest(SHORT, THRESHOLD)
    fed(test, [new(5, 5, n) for n in range(1_000)])
    for n in range(1_000):
        test.update(START + n, new(5, 5, n))
    assert test.exceeded() is not None
    for place, found in enumerate(ordinary(4, 60, 0.0)):
        test.update(START + place, found)
    assert test.exceeded() is None


def test_a_share_that_was_always_all_is_usual() -> None:
    test = ShareTest(FRUITLESS, THRESHOLD)
    for n in range(3_000):
        test.update(START + n, new(4, 4, n))
        test.learn()
    assert 0.9 < test.usual < 1
    assert fed(test, [new(4, 4, n) for n in range(50)]) is None


def test_the_run_begins_with_the_campaign_and_keeps_its_latest_samples() -> None:
    test = ShareTest(SHORT, THRESHOLD)
    for second in range(3_000):
        test.update(START + second, new(4, 0))
    for second in range(3_000, 3_020):
        test.update(START + second, new(1, 1, second))
    run = test.exceeded()
    assert run is not None
    assert run.first == START + 3_000
    assert list(run.samples) == [f"c{n}" for n in range(3_020 - SAMPLES, 3_020)]
    assert run.news() == (20, 20)
    assert run.news() == (0, 0)


def row(second: int, attempts: int, pumped: int, fruitless: int = 0) -> SummaryRow:
    """Ordinary calls, pumped and fruitless ones; two of the ordinary ones are by new numbers, and one of
    these is fruitless."""
    ends = attempts + pumped + fruitless
    in_vain = fruitless + 1
    return SummaryRow(
        second=second, trunk=TRUNK, from_network="CM", to_network="CU", attempts=ends, ends=ends,
        answered=attempts // 2 + pumped, short=pumped, ring_ms=9_000 * ends, rings=ends,
        talk_ms=60_000 * (attempts // 2) + 4_000 * pumped, new_ends=2 + pumped + fruitless, new_short=pumped,
        new_fruitless=in_vain, callees=(1 << ends) - 1,
        new_short_callees=sum(1 << (second * 7 + n) % 64 for n in range(pumped)),
        new_fruitless_callees=sum(1 << (second * 7 + n) % 64 for n in range(in_vain)),
        new_short_call=f"p{second}" if pumped else "",
        new_fruitless_call=f"f{second}" if fruitless else "",
    )  # fmt: skip


def alerts_of(pumped: range, fruitless: range = range(0), seconds: int = 1_500) -> list[Alert]:
    step = Profile(Settings())
    rows = (row(START + n, 6, int(n in pumped), 3 * int(n in fruitless)) for n in range(seconds))
    told = (summary_of(0, n, (START + n) * 1_000, [each]) for n, each in enumerate(rows))
    return [alert for summary in told for alert in step(summary)]


def test_a_trunk_that_is_pumped_has_an_alert_with_samples() -> None:
    alerts = alerts_of(range(1_000, 1_160, 4))
    first, last = alerts[0], alerts[-1]
    assert {alert.alert_id for alert in alerts} == {first.alert_id}
    assert (first.detector, first.kind, first.severity) == ("profile", "pumping", "medium")
    assert (first.subject.type, first.subject.value) == ("trunk", TRUNK)
    assert first.last_seen < (START + 1_080) * 1_000
    assert 35 <= last.calls <= 50
    assert last.proposals == []
    assert last.sample_call_ids
    assert set(last.sample_call_ids) <= {f"p{START + n}" for n in range(1_000, 1_160, 4)}
    [evidence] = [each for each in last.evidence if each.feature == "new_short_share"]
    assert evidence.typical == pytest.approx(0.03, abs=0.01)
    assert evidence.actual == pytest.approx(1 / 9, abs=0.03)
    assert "numbers new that day" in last.message


def test_a_trunk_that_always_had_such_calls_has_none() -> None:
    assert alerts_of(range(1_500)) == []


def test_numbers_that_are_used_up_a_call_each_have_an_alert_with_samples() -> None:
    alerts = alerts_of(range(0), range(1_000, 1_030))
    assert {(alert.kind, alert.severity) for alert in alerts} == {("single_use", "medium")}
    assert set(alerts[-1].sample_call_ids) <= {f"f{START + n}" for n in range(1_000, 1_030)}
    [evidence] = [each for each in alerts[-1].evidence if each.feature == "new_fruitless_share"]
    assert evidence.typical == pytest.approx(0.5, abs=0.05)
    assert "no talk in" in alerts[-1].message


def test_one_sample_of_a_pool_whatever_the_order() -> None:
    ids = [f"p{n}" for n in range(20)]
    least = min(ids, key=text_hash)
    one = SummaryRow(START + 5, TRUNK, "CM", "CU", 9, 9, 9, 9, 0, 0, 9, new_ends=9)
    rows = [msgspec.structs.replace(one, new_short=9, new_short_call=each) for each in ids]
    for order in (rows, rows[::-1]):
        step = Profile(Settings())
        step(*(summary_of(0, n, (START + 5) * 1_000, [each]) for n, each in enumerate(order)))
        assert step._open[START + 5]["trunk"]["trunk", TRUNK].new_short_call == least


def test_contradictory_counts_of_new_numbers_are_refused() -> None:
    for wrong in (
        {"new_ends": 9},
        {"new_fruitless": 2, "new_ends": 1},
        {"new_short": 2, "new_fruitless": 2, "new_ends": 3},
        {"new_ends": -1},
    ):
        step = Profile(Settings())
        bad: Summary = summary_of(
            0, 0, (START + 5) * 1_000, [SummaryRow(START, TRUNK, "", "", 3, 3, 3, 0, 0, 0, 9, **wrong)]
        )
        step(bad)
        assert step.malformed == 1


def test_which_numbers_are_new_that_day() -> None:
    known, fresh, called, other = 8613700000001, 8615900000002, 8618600000003, 8613811112222
    rows = in_time(
        call(TRAFFIC_START, known, other, "k1", 60_000),
        call(TRAFFIC_START + 1_000, other, called, "k2", 60_000),
        *(
            call(TRAFFIC_START + 100_000, caller, other, f"s{caller}", 3_000)
            for caller in (known, fresh, called)
        ),
        call(TRAFFIC_START + 100_000, fresh + 1, other, "long", 60_000),
    )
    step = Detect(0, Settings(), FakePlan())
    found = step(frame(list(both_roles(rows))), 0).summary
    assert found is not None
    counted = [
        (r.second - TRAFFIC_START // 1_000, r.new_ends, r.new_short, r.new_fruitless, r.new_short_call)
        for r in found.rows()
    ]
    assert [each for each in counted if each[1]] == [
        (65, 1, 0, 0, ""), (108, 1, 1, 0, f"s{fresh}"), (165, 1, 0, 0, ""),
    ]  # fmt: skip


def test_summaries_of_an_earlier_release_tell_of_no_new_numbers() -> None:
    told = summary_of(0, 7, (START + 9) * 1_000, [row(START + 5, 6, 1)])
    earlier = told._replace(traffic=told.traffic.drop_columns(list(ADDED)))
    [read] = decode_summary(encode_summary(earlier)).rows()
    assert (read.attempts, read.new_ends, read.new_short, read.new_fruitless) == (7, 0, 0, 0)
    assert (read.new_short_callees, read.new_short_call) == (0, "")
    with pytest.raises(BatchError, match="another version"):
        decode_summary(encode_summary(told._replace(traffic=told.traffic.drop_columns(["new_ends"]))))
