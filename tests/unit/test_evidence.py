"""Signals to alerts: one a subject, growing, told as often as needed and no oftener."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from detectors.alert import Alert, Evidence, Match, content_id
from detectors.evidence import MOST_NAMES, MOST_PROPOSALS, MOST_SAMPLES, Alerts
from detectors.shape import CRITICAL, HIGH, MEDIUM, Call, Finding, Signal, narrowest_prefix, proposal, weighed
from tests.traffic import START

MINUTE = 60_000


class Told:
    """A detector that finds what the signal's features say."""

    name = "told"

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        if signal.level == 0:
            return None
        return Finding(
            subject_type="number",
            subject_value=call.caller_spelled,
            kind=f"kind-{signal.features.get('kind', 0):.0f}",
            level=signal.level,
            score=0.5,
            evidence=[Evidence("calls", 1, 1, 1)],
            message=f"at {signal.time}",
            proposals=[proposal(Match(caller=f"+{n}"), 1, 1, 1) for n in signal.features.get("propose", [])],  # type: ignore[attr-defined]
            apart="" if call.caller >= 0 else call.trunk,
        )


def alerts(most: int = 100) -> Alerts:
    return Alerts({0: Told()}, "hash", most)


def signal(time: int, level: int = MEDIUM, calls: int = 1, opened: bool = False, **features: Any) -> Signal:
    return Signal(0, 1, 0, time, calls, 0, level, opened, features, None)


def a_call(
    n: int = 0, caller: int = 8613800138000, trunk: str = "T", text: str = "", network: str = "CM"
) -> Call:
    return Call(f"call-{n}", caller, 8613911110000, text, "", trunk, network, "CU", 0, 0, 1, "CM", 0, 2, 0)


def feed(book: Alerts, signals: Iterable[Signal]) -> list[Alert]:
    taken = (book.take(s, a_call(n), "plan") for n, s in enumerate(signals))
    return [alert for alert in taken if alert is not None]


def test_the_first_signal_opens_an_alert() -> None:
    (alert,) = feed(alerts(), [signal(START + 123_456, HIGH, 9, opened=True)])
    aligned = (START + 123_456) // 600_000 * 600_000
    assert alert.alert_id == content_id(["told", "number", "+8613800138000", aligned, "hash"])
    assert (alert.version, alert.calls, alert.severity) == (1, 9, "high")
    assert (alert.window.start, alert.window.end) == (aligned, aligned + 600_000)
    assert alert.first_seen == alert.last_seen == START + 123_456
    assert alert.sample_call_ids == ["call-0"]
    assert (alert.networks, alert.trunks) == (["CM", "CU"], ["T"])
    assert alert.plan_version == ""


def test_a_signal_that_comes_to_nothing_opens_none() -> None:
    book = alerts()
    assert feed(book, [signal(START, 0)]) == []
    assert len(book) == 0


def test_told_again_when_the_severity_rises() -> None:
    told = feed(alerts(), [signal(START, MEDIUM, 100), signal(START + 1, HIGH), signal(START + 2, HIGH)])
    assert [a.severity for a in told] == ["medium", "high"]
    assert [a.version for a in told] == [1, 2]


def test_the_severity_never_falls() -> None:
    told = feed(alerts(), [signal(START, CRITICAL, 2), signal(START + MINUTE, MEDIUM, 5)])
    assert [a.severity for a in told] == ["critical", "critical"]


def test_told_again_when_the_calls_have_doubled() -> None:
    told = feed(alerts(), [signal(START + n, MEDIUM, 10) for n in range(9)])
    assert [a.calls for a in told] == [10, 20, 40, 80]


def test_told_again_after_a_minute_so_that_rules_are_renewed() -> None:
    times = [START, *(START + n * 10_000 for n in range(1, 13))]
    told = feed(alerts(), [signal(times[0], HIGH, 1_000), *(signal(t, HIGH) for t in times[1:])])
    assert [a.last_seen - START for a in told] == [0, 60_000, 120_000]


def test_told_again_when_a_proposal_came_but_not_at_once() -> None:
    told = feed(
        alerts(),
        [
            signal(START, HIGH, 1_000, propose=[1]),
            signal(START + 1_000, HIGH, propose=[2]),
            signal(START + 2_000, HIGH, propose=[3]),
            signal(START + 5_000, HIGH, propose=[3]),
            signal(START + 11_000, HIGH, propose=[3]),
        ],
    )
    assert [[p.match.caller for p in a.proposals] for a in told] == [["+1"], ["+1", "+2", "+3"]]


def test_a_proposal_tells_when_it_was_last_made() -> None:
    told = feed(
        alerts(),
        [
            signal(START, HIGH, 1_000, propose=[1, 2]),
            signal(START + MINUTE, HIGH, propose=[2]),
            signal(START + MINUTE - 1, HIGH, propose=[2]),
            signal(START + 2 * MINUTE, HIGH, propose=[3]),
        ],
    )
    made = {p.match.caller: p.last_seen - START for p in told[-1].proposals}
    assert made == {"+1": 0, "+2": MINUTE, "+3": 2 * MINUTE}


def test_what_is_told_of_a_number() -> None:
    number = 8613800138000
    book = alerts()
    assert book.told_of_number(number, START) == 0
    feed(book, [signal(START, MEDIUM)])
    assert book.told_of_number(number, START) == MEDIUM
    feed(book, [signal(START + 1, HIGH, propose=[7])])
    assert book.told_of_number(number, START) == MEDIUM, "what is proposed leaves other calls of it alone"
    feed(book, [signal(START + 2, HIGH, propose=[number])])
    assert book.told_of_number(number, START) == HIGH
    assert book.told_of_number(number, START + 30 * MINUTE + 3) == 0, "its alert is closed"
    assert book.told_of_block(861380013, START) == 0


def test_half_an_hour_of_silence_closes_it() -> None:
    told = feed(alerts(), [signal(START), signal(START + 30 * MINUTE), signal(START + 60 * MINUTE + 1)])
    assert [a.version for a in told] == [1, 2, 1]
    assert told[0].alert_id == told[1].alert_id != told[2].alert_id
    assert told[1].window.end == START + 40 * MINUTE


def test_what_goes_on_after_ten_quiet_minutes_proposes_nothing_of_before() -> None:
    again = START + 20 * MINUTE + 1
    told = feed(
        alerts(),
        [
            signal(START, HIGH, propose=[1]),
            signal(START + 10 * MINUTE, MEDIUM),
            signal(again, MEDIUM),
            signal(again + 2 * MINUTE, HIGH, propose=[2]),
        ],
    )
    assert [a.severity for a in told] == ["high"] * 4
    assert [[p.match.caller for p in a.proposals] for a in told] == [["+1"], ["+1"], [], ["+2"]]


def test_everything_in_it_is_bounded() -> None:
    book = alerts()
    last = None
    for n in range(200):
        call = a_call(n, trunk=f"T{n}", network=f"N{n}")
        last = book.take(signal(START + n * 1_000, HIGH, 1_000, propose=[n]), call, "") or last
    assert last is not None
    assert last.sample_call_ids == [f"call-{n}" for n in range(MOST_SAMPLES)]
    assert len(last.proposals) == MOST_PROPOSALS
    assert len(last.networks) == len(last.trunks) == MOST_NAMES


def test_open_alerts_are_bounded_and_the_longest_silent_goes() -> None:
    book = alerts(most=3)
    for n in range(5):
        book.take(signal(START + n), a_call(caller=100 + n), "")
    assert len(book) == 3
    again = book.take(signal(START + 60_000), a_call(caller=104), "")
    assert again is not None
    assert again.version == 2
    reopened = book.take(signal(START + 60_000), a_call(caller=100), "")
    assert reopened is not None
    assert reopened.version == 1


def test_the_same_text_on_two_trunks_is_two_alerts() -> None:
    book = alerts()
    first = book.take(signal(START), a_call(caller=-7, text="200", trunk="a"), "")
    second = book.take(signal(START), a_call(caller=-7, text="200", trunk="b"), "")
    assert first is not None
    assert second is not None
    assert first.subject == second.subject
    assert first.alert_id != second.alert_id


def test_another_kind_takes_over_only_where_it_is_worse() -> None:
    told = feed(alerts(), [signal(START, HIGH, 5, kind=1), signal(START + MINUTE, MEDIUM, kind=2)])
    assert [a.kind for a in told] == ["kind-1", "kind-1"]
    assert told[1].message == f"at {START}"
    told = feed(alerts(), [signal(START, MEDIUM, 5, kind=1), signal(START + MINUTE, HIGH, kind=2)])
    assert [a.kind for a in told] == ["kind-1", "kind-2"]


def test_an_alert_that_was_told_does_not_change_afterwards() -> None:
    book = alerts()
    first = book.take(signal(START, HIGH, 1, propose=[1]), a_call(0), "")
    before = msgspec.json.encode(first)
    feed(book, [signal(START + n, HIGH, 5, propose=[n]) for n in range(50)])
    assert msgspec.json.encode(first) == before


def test_a_new_start_in_the_kernel_does_not_count_its_window_twice() -> None:
    told = feed(
        alerts(), [signal(START, HIGH, 50, opened=True), signal(START + MINUTE, HIGH, 60, opened=True)]
    )
    assert [a.calls for a in told] == [50, 51]


def absorbing(most: int = 100, level: int = HIGH) -> Alerts:
    """An alert of 100 calls with all its samples, told at START."""
    book = alerts(most)
    feed(
        book,
        [signal(START, level, 100, opened=True), *(signal(START, level, 1) for _ in range(MOST_SAMPLES - 1))],
    )
    return book


def test_a_signal_that_only_adds_calls_is_absorbed() -> None:
    book = absorbing()
    assert book.absorb(0, 1, START + 1_000, 7, HIGH)
    (alert,) = feed(book, [signal(START + MINUTE, HIGH, 3)])
    assert alert.calls == 100 + (MOST_SAMPLES - 1) + 7 + 3
    assert alert.version == 2


@pytest.mark.parametrize(
    ("why", "key", "after_ms", "calls", "level"),
    [
        ("another subject", 2, 1_000, 1, HIGH),
        ("a higher level", 1, 1_000, 1, CRITICAL),
        ("as many calls again", 1, 1_000, 100, HIGH),
        ("earlier than the last", 1, -1, 1, HIGH),
        ("quiet in between", 1, 700_000, 1, HIGH),
    ],
)
def test_a_signal_with_more_to_it_is_not(why: str, key: int, after_ms: int, calls: int, level: int) -> None:
    assert not absorbing().absorb(0, key, START + after_ms, calls, level), why


def test_what_may_yet_be_proposed_is_described_every_five_seconds() -> None:
    assert absorbing(level=MEDIUM).absorb(0, 1, START + 4_999, 1, MEDIUM)
    assert not absorbing(level=MEDIUM).absorb(0, 1, START + 5_000, 1, MEDIUM)


def test_where_all_is_proposed_only_a_version_needs_a_description() -> None:
    assert absorbing().absorb(0, 1, START + MINUTE - 1, 1, HIGH)
    assert not absorbing().absorb(0, 1, START + MINUTE, 1, HIGH)


def test_nothing_is_absorbed_by_an_alert_that_is_gone() -> None:
    book = absorbing(most=1)
    book.take(signal(START), a_call(caller=7), "")
    assert not book.absorb(0, 1, START + 1_000, 1, HIGH)


def test_weights_are_shares() -> None:
    evidence = weighed([("a", 3, 1, 6.0), ("b", 1, 1, 2.0), ("c", 0, 1, -5.0)])
    assert [e.weight for e in evidence] == [0.75, 0.25, 0]
    assert [e.weight for e in weighed([("a", 1, 1, 0.0), ("b", 1, 1, 0.0)])] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("low", "high", "prefix"), [(1234, 1234, 1234), (1230, 1239, 123), (1000, 1999, 1), (8613, 8699, 86)]
)
def test_the_narrowest_prefix(low: int, high: int, prefix: int) -> None:
    assert narrowest_prefix(low, high) == prefix
