"""Pumped traffic: what new numbers of a trunk must do for an alert, and what they may do without."""

from __future__ import annotations

import math
import random

import pytest

from config.settings import Settings
from detectors.alert import Alert
from detectors.calls import text_hash
from detectors.pumping import LARGE, LEAST_CALLS, SAMPLES, TIMES, NewCalls, Pumping
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


def new(ends: int, short: int, first_callee: int = 0, callees: int = 64) -> NewCalls:
    bits = sum(1 << (first_callee + n * 37) % callees for n in range(short))
    return NewCalls(ends, short, bits if short else 0, f"c{first_callee}" if short else "")


def fed(test: Pumping, seconds: list[NewCalls]) -> int | None:
    """The place of the first after which the trunk is pumped."""
    for place, calls in enumerate(seconds):
        test.update(START + place, calls)
        if test.pumped() is not None:
            return place
    return None


def ordinary(seed: int, seconds: int, share: float) -> list[NewCalls]:
    draw = random.Random(seed)
    return [new(4, sum(draw.random() < share for _ in range(4)), n) for n in range(seconds)]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.08])
@pytest.mark.parametrize("seed", range(5))
def test_a_usual_share_is_never_pumped(share: float, seed: int) -> None:
    test = Pumping(THRESHOLD)
    fed(test, ordinary(seed, 300, share))
    test.learn()
    assert fed(test, ordinary(seed + 100, 5_000, share)) is None


def test_a_campaign_of_thirteen_is_seen_before_it_ends() -> None:
    test = Pumping(THRESHOLD)
    assert fed(test, ordinary(1, 2_000, 0.02)) is None
    place = fed(test, [new(1, 1, n) for n in range(13)])
    assert place is not None
    assert place + 1 >= LEAST_CALLS


def test_a_campaign_among_many_ordinary_new_numbers_is_seen_by_the_smaller_share() -> None:
    draw = random.Random(5)
    among = [new(6, (draw.random() < 0.1) + (n % 2), n) for n in range(200)]
    assert fed(Pumping(THRESHOLD), among) is not None
    assert TIMES * 0.03 < LARGE


def test_votes_are_not_pumped() -> None:
    assert fed(Pumping(THRESHOLD), [new(3, 3, 5, callees=1) for _ in range(200)]) is None


def test_what_ends_is_soon_forgotten() -> None:
    test = Pumping(THRESHOLD)
    fed(test, [new(5, 5, n) for n in range(1_000)])
    assert test.pumped() is not None
    assert fed(test, ordinary(3, 20, 0.0)) is not None
    for place, calls in enumerate(ordinary(4, 60, 0.0)):
        test.update(START + place, calls)
    assert test.pumped() is None


def test_the_run_begins_with_the_campaign_and_keeps_its_latest_samples() -> None:
    test = Pumping(THRESHOLD)
    for second in range(3_000):
        test.update(START + second, new(4, 0))
    for second in range(3_000, 3_020):
        test.update(START + second, new(1, 1, second))
    run = test.pumped()
    assert run is not None
    assert run.first == START + 3_000
    assert list(run.samples) == [f"c{n}" for n in range(3_020 - SAMPLES, 3_020)]
    assert run.news() == (20, 20)
    assert run.news() == (0, 0)


def row(second: int, attempts: int, pumped: int) -> SummaryRow:
    """Ordinary calls, and as many pumped ones; two of the ordinary ones are by new numbers."""
    ends = attempts + pumped
    return SummaryRow(
        second=second, trunk=TRUNK, from_network="CM", to_network="CU", attempts=ends, ends=ends,
        answered=attempts // 2 + pumped, short=pumped, ring_ms=9_000 * ends, rings=ends,
        talk_ms=60_000 * (attempts // 2) + 4_000 * pumped, new_ends=2 + pumped, new_short=pumped,
        callees=(1 << ends) - 1, new_callees=sum(1 << (second * 7 + n) % 64 for n in range(pumped)),
        new_call=f"p{second}" if pumped else "",
    )  # fmt: skip


def alerts_of(pumped: range, seconds: int = 1_500) -> list[Alert]:
    step = Profile(Settings())
    told = (
        summary_of(0, n, (START + n) * 1_000, [row(START + n, 6, int(n in pumped))]) for n in range(seconds)
    )
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


def test_one_sample_of_a_pool_whatever_the_order() -> None:
    ids = [f"p{n}" for n in range(20)]
    least = min(ids, key=text_hash)
    rows = [
        SummaryRow(START + 5, TRUNK, "CM", "CU", 9, 9, 9, 9, 0, 0, 9, new_ends=9, new_short=9, new_call=each)
        for each in ids
    ]
    for order in (rows, rows[::-1]):
        step = Profile(Settings())
        step(*(summary_of(0, n, (START + 5) * 1_000, [each]) for n, each in enumerate(order)))
        assert step._open[START + 5]["trunk"]["trunk", TRUNK].new_call == least


def test_contradictory_counts_of_new_numbers_are_refused() -> None:
    for wrong in ({"new_ends": 9}, {"new_short": 2, "new_ends": 1}, {"new_ends": -1}):
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
    counted = [(r.second - TRAFFIC_START // 1_000, r.new_ends, r.new_short, r.new_call) for r in found.rows()]
    assert [each for each in counted if each[1]] == [
        (65, 1, 0, ""), (108, 1, 1, f"s{fresh}"), (165, 1, 0, ""),
    ]  # fmt: skip


def test_summaries_of_an_earlier_release_tell_of_no_new_numbers() -> None:
    told = summary_of(0, 7, (START + 9) * 1_000, [row(START + 5, 6, 1)])
    earlier = told._replace(traffic=told.traffic.drop_columns(list(ADDED)))
    [read] = decode_summary(encode_summary(earlier)).rows()
    assert (read.attempts, read.new_ends, read.new_short, read.new_callees, read.new_call) == (7, 0, 0, 0, "")
    with pytest.raises(BatchError, match="another version"):
        decode_summary(encode_summary(told._replace(traffic=told.traffic.drop_columns(["new_call"]))))
