"""A `Respond` restored from the topic goes on as the one that wrote it, wherever it was stopped."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from detectors.alert import Match
from streams.respond.step import Respond
from streams.switches.rulebook import RuleBook, in_force
from streams.switches.validation import rule_id_of
from streams.wire.records import BlockRule, Command, ListEntry, RuleChange, decode, encode
from tests.rules import T0, TTL, alert, settings

MATCHES = (
    Match(caller="+8613800138000"),
    Match(caller="+861380013*"),
    Match(caller="+8613800138000", callee="+8613900139000"),
    Match(callee="+8613900139000", trunk="T1"),
)
ENTRIES = (("number", "+8613800138000"), ("prefix", "+86138001*"), ("trunk", "T1"))
SETTINGS = settings(revoked_ms=4 * TTL)


@dataclass(frozen=True)
class Happening:
    what: str
    which: int
    after: int
    """ms since the one before."""
    alert: str = "a"
    late: int = 0
    """How long before now an alert's last call was, ms."""


happenings = st.lists(
    st.builds(
        Happening,
        what=st.sampled_from(["alert"] * 6 + ["allow", "disallow", "revoke", "revoke_all", "advance"]),
        which=st.integers(0, 3),
        after=st.sampled_from([1, 7, TTL // 4, TTL // 3, TTL]),
        alert=st.sampled_from("abc"),
        late=st.sampled_from([0, 0, 1, TTL // 2, 2 * TTL]),
    ),
    max_size=25,
)


class Log:
    """The compacted topics `block-rules` and `lists` with their writer."""

    def __init__(self, allowed_for: int | None = 2 * TTL) -> None:
        self.allowed_for = allowed_for
        self.respond = Respond(SETTINGS, None)
        self.rules: dict[str, bytes] = {}
        self.lists: dict[str, ListEntry] = {}
        self.now = T0
        self.versions = 0

    def happen(self, happening: Happening) -> list[RuleChange]:
        self.now += happening.after
        changes = self._changes(happening)
        for change in changes:
            if change.rule is None:
                del self.rules[change.rule_id]
            else:
                self.rules[change.rule_id] = encode(change.rule)
        return changes

    def _changes(self, happening: Happening) -> list[RuleChange]:
        match = MATCHES[happening.which]
        type_, value = ENTRIES[happening.which % len(ENTRIES)]
        respond, now = self.respond, self.now
        match happening.what:
            case "alert":
                last_seen = now - happening.late
                return respond.alert(alert(match, last_seen=last_seen, alert_id=happening.alert), now)
            case "allow":
                until = now + self.allowed_for if self.allowed_for else None
                entry = ListEntry(type_, "allow", type_, value, "desk", "appeal", until)  # type: ignore[arg-type]
                self.lists[type_] = entry
                return respond.listed(type_, entry, now)
            case "disallow":
                self.lists.pop(type_, None)
                return respond.listed(type_, None, now)
            case "revoke" | "revoke_all":
                rule_id = rule_id_of(match, "block")
                return respond.command(Command(f"c{now}", "li", now, happening.what, rule_id, ""), now)  # type: ignore[arg-type]
            case _:
                return respond.advance(now)

    def restart(self) -> None:
        self.respond = Respond(SETTINGS, None)
        for entry_id, entry in self.lists.items():
            assert self.respond.listed(entry_id, entry, self.now) == []
        for value in self.rules.values():
            self.respond.restore(decode(value, BlockRule))


@given(happenings, st.sets(st.integers(0, 25)))
@examples(max_examples=300, deadline=None)
def test_a_restart_anywhere_changes_nothing(story: list[Happening], restarts: set[int]) -> None:
    steady, restarted = Log(), Log()
    for at, happening in enumerate(story):
        if at in restarts:
            restarted.restart()
        assert restarted.happen(happening) == steady.happen(happening)
    assert restarted.rules == steady.rules


@given(happenings, st.integers(0, 25))
@examples(max_examples=300, deadline=None)
def test_what_is_delivered_again_after_a_restart_changes_nothing(story: list[Happening], at: int) -> None:
    """Alerts since the last commit come again, in order, before anything new."""
    log = Log(allowed_for=None)
    for happening in story[:at]:
        log.happen(happening)
    again = []
    for happening in story[at:]:
        if happening.what == "alert":
            log.happen(happening)
            again.append((happening, log.now - happening.late))
    log.restart()
    for happening, last_seen in again:
        late = log.now - last_seen
        assert log.happen(Happening("alert", happening.which, 0, happening.alert, late)) == []


@given(happenings)
@examples(max_examples=300, deadline=None)
def test_every_change_is_one_that_switches_take(story: list[Happening]) -> None:
    """Sequences rise for ever, versions rise in a life, and a switch that follows knows exactly the rules."""
    log, book = Log(), RuleBook()
    sequences: dict[str, int] = {}
    versions: dict[str, int] = {}
    for happening in story:
        for change in log.happen(happening):
            if change.rule is None:
                assert book.apply(change.rule_id, None).outcome == "removed"
                del versions[change.rule_id]
                continue
            applied = book.apply(change.rule_id, encode(change.rule))
            assert applied.outcome in ("added", "updated"), applied.message
            assert change.rule.sequence > sequences.get(change.rule_id, 0)
            assert change.rule.version == versions.get(change.rule_id, 0) + 1
            assert change.at == log.now
            sequences[change.rule_id] = change.rule.sequence
            versions[change.rule_id] = change.rule.version
    assert book.rules == log.respond.rules
    for entry in log.respond.allowed.values():
        for rule in log.respond.rules.values():
            if in_force(rule, log.now) and (entry.expires_at or log.now) > log.now:
                broken = Respond(SETTINGS, None)
                broken.restore(rule)
                assert all(change.rule for change in broken.listed(entry.entry_id, entry, log.now))
