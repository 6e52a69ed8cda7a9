"""The verdict of a storm sees what is lost, doubled, changed or stale."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from detectors.alert import Match
from streams.chaos.verdict import Verdict, counted, gone_too_soon, not_newest, once, same, unlike
from streams.wire.records import encode
from streams.wire.summaries import SummaryRow, encode_summary
from tests.rules import T0, TTL, alert, rule
from tests.summaries import summary_of


class Record(NamedTuple):
    value: bytes | None
    key: bytes = b""


def _summary(offset: int, attempts: int) -> Record:
    others = dict.fromkeys(("ends", "answered", "short", "ring_ms", "rings", "talk_ms"), 0)
    row = SummaryRow(T0 // 1000, "T1", "CM", "CU", attempts=attempts, callees=0, **others)
    return Record(encode_summary(summary_of(partition=0, offset=offset, newest=T0, rows=[row])))


def test_what_is_lost_new_or_other_is_told() -> None:
    check = same(
        "alerts", {"a": b'{"x":1}', "c": b"{}", "d": b"{}"}, {"a": b'{"x":2}', "b": b"{}", "d": b"{}"}
    )
    assert not check.holds
    assert check.differences == [
        "lost: b",
        "should not be: c",
        "a: {'x': 1}, expected {'x': 2}",
    ]
    assert same("alerts", {"a": 1}, {"a": 1}).holds
    assert same("ids", {"a"}, {"a", "b"}).differences == ["lost: b"]


def test_what_is_there_twice_is_told() -> None:
    assert once("calls", ["a", "b", "b"], {"a", "b"}).differences == ["b is there 2 times"]
    assert once("calls", ["a", "b"], {"a", "b"}).holds


def test_a_summary_that_was_sent_again_counts_once_and_the_last_counts() -> None:
    assert counted([_summary(0, 5), _summary(1, 7), _summary(1, 7)]) == {0: 12}
    assert counted([_summary(0, 5), _summary(0, 0)]) == {0: 0}


def test_a_version_that_was_sent_again_must_be_alike() -> None:
    first, other = alert(version=1), alert(version=1, message="another")
    assert unlike([Record(encode(first)), Record(encode(first))]) == []
    assert len(unlike([Record(encode(first)), Record(encode(other))])) == 1


def test_a_stale_version_at_the_end_is_told() -> None:
    first = rule(Match(caller="+8613800138000"))
    later = replace(first, version=2, sequence=first.sequence + 1)
    key = first.rule_id.encode()
    assert not_newest([Record(encode(first), key), Record(encode(later), key)]) == []
    assert len(not_newest([Record(encode(later), key), Record(encode(first), key)])) == 1


def test_a_rule_that_ended_before_its_time_is_told() -> None:
    held = rule(Match(caller="+8613800138000"))
    key = held.rule_id.encode()
    ended = [Record(encode(held), key), Record(None, key)]
    assert len(gone_too_soon(ended, newest=T0)) == 1
    assert gone_too_soon(ended, newest=T0 + TTL) == []
    assert gone_too_soon(ended[:1], newest=T0) == []


def test_one_difference_is_a_verdict() -> None:
    good, bad = same("a", {1}, {1}), same("b", {1}, {2})
    assert Verdict([good], {}).holds
    assert not Verdict([good, bad], {}).holds
    assert "DIFFERENT  b" in str(Verdict([good, bad], {}))
