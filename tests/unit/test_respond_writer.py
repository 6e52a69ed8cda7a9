"""One writer of rules: what a worker that has lost its place still sends is undone by the present one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from msgspec.structs import replace

from detectors.alert import Match
from detectors.plan import NumberingPlan
from streams.clock import EventClock
from streams.metrics import Metrics
from streams.respond.runner import RespondRole
from streams.respond.step import Respond
from streams.switches.rulebook import RuleBook
from streams.topics import topic_name
from streams.wire.outgoing import Outgoing
from streams.wire.records import BlockRule, encode
from tests.rules import CALLER, T0, alert, only, settings

NOW = T0
MATCH = Match(caller=CALLER)


class Record(NamedTuple):
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def _responding() -> tuple[Respond, BlockRule]:
    respond = Respond(settings())
    return respond, only(respond.alert(alert(MATCH, last_seen=NOW), NOW))


def _book(records: Iterable[BlockRule]) -> RuleBook:
    book = RuleBook()
    for each in records:
        book.add(each)
    return book


def test_a_stale_version_is_written_over() -> None:
    respond, stale = _responding()
    held = only(respond.alert(alert(MATCH, last_seen=NOW + 300_000), NOW + 300_000))
    again = only(respond.overwrite(stale.rule_id, stale))
    assert again.expires_at == held.expires_at
    assert again.sequence > held.sequence
    assert _book([stale, held, again]).rules[stale.rule_id] == again


def test_a_switch_that_took_a_version_from_the_future_takes_ours() -> None:
    respond, held = _responding()
    foreign = _changed(held, sequence=held.sequence + 60_000, mode="report")
    again = only(respond.overwrite(held.rule_id, foreign))
    assert again.mode == held.mode
    assert _book([held, foreign, again]).rules[held.rule_id] == again


def test_a_tombstone_of_a_rule_that_lives_is_undone() -> None:
    respond, held = _responding()
    again = only(respond.overwrite(held.rule_id, None))
    assert (again.match, again.mode, again.expires_at) == (held.match, held.mode, held.expires_at)


def test_a_rule_that_had_ended_is_ended_again() -> None:
    respond, held = _responding()
    respond.advance(held.expires_at + 1)
    changes = respond.overwrite(held.rule_id, held)
    assert [(each.rule_id, each.rule) for each in changes] == [(held.rule_id, None)]


def test_what_is_as_it_should_be_is_left_alone() -> None:
    respond, held = _responding()
    assert respond.overwrite(held.rule_id, held) == []
    assert respond.overwrite("unknown", None) == []


class Role(RespondRole):
    """A role whose rules are in hand, without a broker."""

    def __init__(self) -> None:
        config = settings()
        super().__init__(config, NumberingPlan.load(config.numbering), Metrics(), EventClock(lambda: 0.0))
        self._respond = Respond(config)
        self._writer = b"this"
        self._clock.observe(NOW)

    def reads(self, record: Record) -> list[Outgoing]:
        self._written(record)
        return self.idle()


def _changed(rule: BlockRule, **fields: Any) -> BlockRule:
    return replace(rule, **fields)


def test_the_role_undoes_what_another_wrote_and_only_that() -> None:
    role = Role()
    told = encode(alert(MATCH, last_seen=NOW))
    own, *_campaign = role.process([_record("alerts", told)], True)
    assert role.reads(Record(own.key or b"", own.value, own.headers)) == []
    (undone,) = role.reads(Record(own.key or b"", None, (("writer", b"other"),)))
    assert undone.key == own.key
    assert undone.value is not None
    assert ("writer", b"this") in undone.headers


def test_a_summary_that_cannot_be_read_holds_nothing_up() -> None:
    """As the JSON of an earlier build, while its topic is kept."""
    earlier = _record("summaries", b'{"partition":0,"offset":0,"newest":0,"rows":[]}')
    told = _record("alerts", encode(alert(MATCH, last_seen=NOW)))
    assert Role().process([earlier, told], True) == Role().process([told], True) != []


def _record(topic: str, value: bytes) -> Any:
    class InRecord(NamedTuple):
        topic: str
        value: bytes
        partition: int = 0
        offset: int = 0

    return InRecord(topic_name(settings(), topic), value)
