"""respond: alerts, list entries and commands in, changes of block rules out.

Everything it decides follows from the rules that are on the topic, the lists, and what it is handed: a
`Respond` that is given both back after a restart goes on as the one that wrote them would have.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec.structs import replace

from config.settings import Settings
from detectors.alert import SEVERITIES, Alert, Match, Proposal
from streams.respond.allow import AllowList, allow_entry_id, entries_from_file
from streams.respond.answers import Q850_CALL_REJECTED, answer_for
from streams.respond.guards import Objection, objection_to
from streams.respond.measures import Measure, measure_for
from streams.respond.modes import proposal_mode, rule_mode, stronger_than
from streams.respond.register import Register
from streams.switches.protected import protected_numbers
from streams.switches.validation import rule_id_of
from streams.wire.records import (
    Action,
    Approval,
    BlockRule,
    Command,
    CommandOutcome,
    ListChange,
    ListEntry,
    Mode,
    Refusal,
    RuleChange,
)

MAX_ALERT_IDS = 16
"""A rule names the newest alerts it rests on, at most so many."""
MAX_REVOKED_ALERT_IDS = 64
MAX_REFUSALS = 1_000
MAX_COMMANDS = 1_000
"""Outcomes of the newest commands are remembered, so that one that comes twice is carried out once."""
RENEWAL_SHARE = 4
"""A rule is renewed when its end moves on by at least one such part of its time-to-live."""
HELD = ("revoked", "rejected")
"""Approval states of a rule that stays on the topic only so that its alerts cannot issue it again."""


class _Result(NamedTuple):
    """What a command did."""

    ok: bool
    message: str
    changes: Sequence[RuleChange] = ()
    lists: Sequence[ListChange] = ()


class Respond:
    """The rules in force and how they come, change and end. Pure: time and every input are handed in.

    ``now`` is event time in ms; where it goes back, the latest one counts. Feed list entries first, then
    restore rules, then go live: what lists or settings forbid by then ends with the first call after.
    Raises ``OSError`` or ``ValueError`` where ``settings.respond.allow`` cannot be read.
    """

    def __init__(self, settings: Settings, plan: object = None) -> None:
        self.outcome: CommandOutcome | None = None
        """What became of the last command."""
        self.refused: deque[Refusal] = deque(maxlen=MAX_REFUSALS)
        """Rules that were proposed and not issued, newest last; one for an alert, match and guard."""
        self.refusals: Counter[str] = Counter()
        """How many were refused by each guard."""
        self._settings = settings
        self._limits = settings.respond
        self._protected = protected_numbers(settings.numbering.home_country)
        self._register = Register(self._protected)
        self._allowed = AllowList(settings.numbering.home_country)
        self._fixed: frozenset[str] = self._load_fixed(self._limits.allow)
        self._rules: dict[str, BlockRule] = {}
        self._unsettled: set[str] = set()
        self._due: list[tuple[int, str]] = []
        self._now = 0
        self._ended_now: dict[str, int] = {}
        self._refused_before: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._outcomes: OrderedDict[str, CommandOutcome] = OrderedDict()
        self._commands: dict[str, Callable[[Command], _Result]] = {
            "revoke": self._revoke,
            "revoke_all": self._revoke_all,
            "approve": self._approve,
            "reject": self._reject,
            "allow": self._allow,
            "disallow": self._disallow,
            "verdict": self._verdict,
            "complaint": self._complaint,
        }

    @property
    def rules(self) -> Mapping[str, BlockRule]:
        """Every rule on the topic by id, revoked ones that are still remembered among them."""
        return MappingProxyType(self._rules)

    @property
    def allowed(self) -> Mapping[str, ListEntry]:
        """The allow-list by entry id, without the numbers that are always protected."""
        return MappingProxyType(self._allowed.entries)

    def restore(self, rule: BlockRule) -> None:
        """Take back a rule from the compacted topic."""
        self._keep(rule)
        self._unsettled.add(rule.rule_id)
        self._now = max(self._now, rule.issued_at)

    def overwrite(self, rule_id: str, foreign: BlockRule | None) -> list[RuleChange]:
        """Somebody else wrote ``rule_id`` (None: its tombstone); what makes the topic say what holds here.

        What is written then comes after both, so that a switch that has seen either takes it.
        """
        rule = self._rules.get(rule_id)
        if rule == foreign:
            return []
        if rule is None:
            return [RuleChange(rule_id, None, self._now, "The rule had ended; a late record is undone.")]
        last = rule.sequence if foreign is None else max(rule.sequence, foreign.sequence)
        again = replace(self._next(rule), sequence=max(self._now, last + 1))
        return [self._change(again, "A late record of the rule is undone.")]

    def listed(self, entry_id: str, entry: ListEntry | None, now: int) -> list[RuleChange]:
        """An entry of `lists` came, changed or (None) went; rules that break a new one end."""
        changes = self.advance(now)
        if entry_id in self._fixed:
            return changes
        changes += self._registered(entry_id, entry)
        if entry is None or entry.list != "allow":
            self._allowed.remove(entry_id)
            return changes
        return changes + self._admit(entry_id, entry)

    def alert(self, alert: Alert, now: int) -> list[RuleChange]:
        """Issue, renew or leave alone the rules that an alert proposes."""
        changes = self.advance(now)
        if SEVERITIES.index(alert.severity) < SEVERITIES.index(self._limits.min_severity):
            return changes
        for proposal in alert.proposals:
            mode = proposal_mode(self._settings, proposal.detector or alert.detector, proposal.relies_on)
            if mode is not None:
                changes += self._propose(as_proposed(alert, proposal), proposal, mode)
        return changes

    def command(self, command: Command, now: int) -> list[RuleChange]:
        """Carry out what a person asked for; ``outcome`` then says what became of it and what to list."""
        changes = self.advance(now)
        if command.command_id in self._outcomes:
            self.outcome = self._outcomes[command.command_id]
            return changes
        result = self._commands[command.what](command)
        self.outcome = CommandOutcome(
            command_id=command.command_id,
            who=command.who,
            at=self._now,
            issued_at=command.at,
            what=command.what,
            id=command.id,
            why=command.why,
            ok=result.ok,
            message=result.message,
            rules=[change.rule_id for change in result.changes],
            lists=list(result.lists),
        )
        self._outcomes[command.command_id] = self.outcome
        if len(self._outcomes) > MAX_COMMANDS:
            self._outcomes.popitem(last=False)
        return [*changes, *result.changes]

    def advance(self, now: int) -> list[RuleChange]:
        """Time went on: the rules that end by it. Also settles restored rules with lists and settings."""
        if now > self._now:
            self._now = now
            self._ended_now = {key: last for key, last in self._ended_now.items() if last >= now}
        return self._expire() + self._settle()

    # --- rules

    def _expire(self) -> list[RuleChange]:
        changes = []
        while self._due and self._due[0][0] <= self._now:
            due, rule_id = heappop(self._due)
            rule = self._rules.get(rule_id)
            if rule is not None and _ends_at(rule) == due:
                changes.append(self._expired(rule))
        return changes

    def _expired(self, rule: BlockRule) -> RuleChange:
        if rule.approval.state in HELD:
            return self._end(rule, "The alerts of the revoked rule are long over.", _ends_at(rule))
        if rule.revoked_alert_ids:
            return self._hold(
                rule, Approval("revoked", rule.issuer, self._now), "The rule expired; it was revoked before."
            )
        return self._end(rule, "The rule expired.", _ends_at(rule))

    def _propose(self, alert: Alert, proposal: Proposal, mode: Mode) -> list[RuleChange]:
        expires_at = alert.last_seen + self._limits.ttl_ms
        if expires_at <= self._now:
            return []
        measure = measure_for(proposal, self._register.serves(proposal.match.caller, self._now), self._limits)
        rule_id = rule_id_of(proposal.match, measure.action)
        known = self._rules.get(rule_id)
        if known is not None and alert.alert_id in known.revoked_alert_ids:
            return self._hold_on(known, alert)
        if known is not None and known.approval.state not in HELD:
            return self._renew(known, alert, proposal, mode)
        objection = self._objection(proposal.match, measure.action, alert, is_new=known is None)
        if objection is not None:
            self._refuse(alert.alert_id, rule_id, objection)
            return []
        return [self._issue(alert, proposal, measure, mode, known)]

    def _objection(self, match: Match, action: Action, alert: Alert, is_new: bool) -> Objection | None:
        ahead = alert.last_seen - self._now
        if ahead > self._limits.ttl_ms:
            return Objection("future", f"The alert's last call is {ahead} ms ahead of the traffic.")
        objection = self._forbidden(match, action)
        if objection is None and is_new and len(self._rules) >= self._limits.max_rules:
            return Objection("full", f"There are {len(self._rules)} rules; respond.max_rules allows no more.")
        return objection

    def _forbidden(self, match: Match, action: Action) -> Objection | None:
        objection = objection_to(match, action, self._protected, self._limits.min_prefix_digits)
        if objection is not None:
            return objection
        if action == "block" and self._register.serves(match.caller, self._now):
            return Objection("protected", f"{match.caller} is the number of a company, by the lists.")
        entry = self._allowed.protecting(match, self._now)
        return None if entry is None else Objection("allowed", _allowed_by(entry))

    def _issue(
        self, alert: Alert, proposal: Proposal, measure: Measure, mode: Mode, held: BlockRule | None
    ) -> RuleChange:
        """A new life of a rule; where it was revoked before, it goes on remembering by which alerts."""
        answer = answer_for(alert.detector, alert.kind)
        rule_id = rule_id_of(proposal.match, measure.action)
        rule = BlockRule(
            rule_id=rule_id,
            version=1 if held is None else held.version + 1,
            sequence=self._next_sequence(rule_id),
            mode=mode,
            action=measure.action,
            cps=measure.cps,
            label=measure.label,
            match=proposal.match,
            sip_code=answer.sip_code,
            sip_reason=answer.sip_reason,
            q850_cause=Q850_CALL_REJECTED,
            reason=alert.message,
            detector=alert.detector,
            severity=alert.severity,
            alert_ids=[alert.alert_id],
            not_before=self._now,
            expires_at=alert.last_seen + self._limits.ttl_ms,
            renewals=0,
            approval=Approval("auto"),
            blast_radius=proposal.blast_radius,
            issued_at=self._now,
            issuer=self._limits.issuer,
            revoked_alert_ids=[] if held is None else held.revoked_alert_ids,
        )
        return self._change(rule, f"Alert {alert.alert_id} issued the rule.")

    def _renew(self, rule: BlockRule, alert: Alert, proposal: Proposal, mode: Mode) -> list[RuleChange]:
        """The attack lasts, another alert joins, or a detector with a stronger mode takes the rule over."""
        expires_at = alert.last_seen + self._limits.ttl_ms
        renews = (expires_at - rule.expires_at) * RENEWAL_SHARE >= self._limits.ttl_ms
        joins = alert.alert_id not in rule.alert_ids and (renews or len(rule.alert_ids) < MAX_ALERT_IDS)
        takes_over = stronger_than(mode, self._mode_of(rule))
        if not (renews or joins or takes_over) or alert.last_seen - self._now > self._limits.ttl_ms:
            return []
        leads = takes_over or alert.detector == rule.detector
        changed: dict[str, Any] = {
            "mode": mode if takes_over else self._mode_of(rule),
            "severity": max(rule.severity, alert.severity, key=SEVERITIES.index),
            "alert_ids": [*rule.alert_ids, alert.alert_id][-MAX_ALERT_IDS:] if joins else rule.alert_ids,
            "expires_at": max(rule.expires_at, expires_at),
            "renewals": rule.renewals + renews,
            "blast_radius": proposal.blast_radius,
        }
        if leads:
            answer = answer_for(alert.detector, alert.kind)
            changed |= {
                "detector": alert.detector,
                "reason": alert.message,
                "sip_code": answer.sip_code,
                "sip_reason": answer.sip_reason,
            }
        why = "renewed" if renews else "joined" if joins else "took over"
        return [self._change(self._next(rule, **changed), f"Alert {alert.alert_id} {why} the rule.")]

    def _mode_of(self, rule: BlockRule) -> Mode:
        """The mode that settings give a rule now, whatever it was issued with."""
        return rule_mode(self._settings, rule.detector) or "report"

    def _hold_on(self, rule: BlockRule, alert: Alert) -> list[RuleChange]:
        """The alert of a revoked rule grows: remember the revocation for longer."""
        until = alert.last_seen + self._limits.revoked_ms
        if (
            rule.approval.state not in HELD
            or (until - rule.expires_at) * RENEWAL_SHARE < self._limits.revoked_ms
        ):
            return []
        return [self._change(self._next(rule, expires_at=until), "The attack lasts; the rule stays revoked.")]

    def _hold(self, rule: BlockRule, approval: Approval, why: str, revoked: Sequence[str] = ()) -> RuleChange:
        """Out of force at once, and on the topic until the ``revoked`` alerts cannot issue it again."""
        last_seen = rule.expires_at - self._limits.ttl_ms
        known = [alert_id for alert_id in rule.revoked_alert_ids if alert_id not in revoked]
        held = self._next(
            rule,
            mode="report",
            approval=approval,
            expires_at=max(self._now + 1, rule.expires_at, last_seen + self._limits.revoked_ms),
            revoked_alert_ids=[*known, *revoked][-MAX_REVOKED_ALERT_IDS:],
        )
        return self._change(held, why)

    def _next(self, rule: BlockRule, **changed: Any) -> BlockRule:
        return replace(
            rule,
            version=rule.version + 1,
            sequence=self._next_sequence(rule.rule_id),
            issued_at=self._now,
            **changed,
        )

    def _next_sequence(self, rule_id: str) -> int:
        """Event time, and always after the last change of this rule, in an earlier life too."""
        rule = self._rules.get(rule_id)
        last = rule.sequence if rule is not None else self._ended_now.get(rule_id, 0)
        return max(self._now, last + 1)

    def _change(self, rule: BlockRule, why: str) -> RuleChange:
        self._keep(rule)
        return RuleChange(rule.rule_id, rule, self._now, why)

    def _keep(self, rule: BlockRule) -> None:
        self._rules[rule.rule_id] = rule
        heappush(self._due, (_ends_at(rule), rule.rule_id))

    def _end(self, rule: BlockRule, why: str, at: int | None = None) -> RuleChange:
        """The rule is gone: now, or ``at`` the time that was up, however late that is noticed."""
        del self._rules[rule.rule_id]
        if rule.sequence >= self._now:
            self._ended_now[rule.rule_id] = rule.sequence
        return RuleChange(rule.rule_id, None, self._now if at is None else at, why)

    def _settle(self) -> list[RuleChange]:
        """Unsettled rules that lists or settings no longer allow as they are."""
        changes = []
        for rule_id in sorted(self._unsettled):
            rule = self._rules.get(rule_id)
            if rule is None or rule.approval.state in HELD:
                continue
            objection = self._forbidden(rule.match, rule.action)
            if objection is not None:
                changes.append(self._end(rule, objection.message))
            elif stronger_than(rule.mode, self._mode_of(rule)):
                weaker = self._next(rule, mode=self._mode_of(rule))
                changes.append(self._change(weaker, f"Settings allow no more than mode {weaker.mode}."))
        self._unsettled.clear()
        return changes

    def _refuse(self, subject_id: str, rule_id: str, objection: Objection) -> None:
        key = (subject_id, rule_id, objection.guard)
        if key in self._refused_before:
            return
        self._refused_before[key] = None
        if len(self._refused_before) > MAX_REFUSALS:
            self._refused_before.popitem(last=False)
        self.refusals[objection.guard] += 1
        self.refused.append(Refusal(self._now, subject_id, rule_id, objection.guard, objection.message))

    # --- lists

    def _load_fixed(self, path: str) -> frozenset[str]:
        if not path:
            return frozenset()
        entries = entries_from_file(path)
        try:
            for entry in entries:
                self._allowed.put(entry)
        except ValueError as error:
            raise ValueError(f"the allow-list {path} cannot be used: {error}") from error
        return frozenset(entry.entry_id for entry in entries)

    def _admit(self, entry_id: str, entry: ListEntry) -> list[RuleChange]:
        try:
            if entry.entry_id != entry_id:
                raise ValueError(f"entry_id is {entry.entry_id!r}, the record's key is {entry_id!r}")
            self._allowed.put(entry)
        except ValueError as error:
            self._refuse(entry_id, "", Objection("entry", f"The allow entry was not taken: {error}."))
            return []
        return self._end_all_that_break(entry)

    def _registered(self, entry_id: str, entry: ListEntry | None) -> list[RuleChange]:
        """Rules end that the register of enterprise numbers forbids after this entry."""
        try:
            if not self._register.put(entry_id, entry):
                return []
        except ValueError as error:
            self._refuse(entry_id, "", Objection("entry", f"The company entry was not taken: {error}."))
            return []
        self._unsettled.update(
            rule_id
            for rule_id, rule in self._rules.items()
            if rule.match.caller is not None and self._protected.is_enterprise(rule.match.caller)
        )
        return self._settle()

    def _end_all_that_break(self, entry: ListEntry) -> list[RuleChange]:
        only = AllowList(self._settings.numbering.home_country)
        only.put(entry)
        broken = [
            rule_id
            for rule_id, rule in self._rules.items()
            if rule.approval.state not in HELD and only.protecting(rule.match, self._now) is not None
        ]
        return [self._end(self._rules[rule_id], _allowed_by(entry)) for rule_id in sorted(broken)]

    # --- commands

    def _revoke(self, command: Command) -> _Result:
        rule = self._rules.get(command.id)
        if rule is None:
            return _Result(False, f"There is no rule {command.id!r} to revoke; it may have ended.")
        if rule.approval.state in HELD:
            return _Result(True, f"The rule was {rule.approval.state} before, by {rule.approval.by}.")
        return _Result(True, "The rule is revoked.", self._revoked([rule], command))

    def _revoke_all(self, command: Command) -> _Result:
        live = [rule for _, rule in sorted(self._rules.items()) if rule.approval.state not in HELD]
        return _Result(True, f"{len(live)} rules are revoked.", self._revoked(live, command))

    def _revoked(self, rules: Iterable[BlockRule], command: Command) -> list[RuleChange]:
        why = f"Revoked by {command.who}: {command.why}"
        revoked = Approval("revoked", command.who, self._now)
        return [self._hold(rule, revoked, why, rule.alert_ids) for rule in rules]

    def _approve(self, command: Command) -> _Result:
        pending = self._pending(command, "approved")
        if isinstance(pending, _Result):
            return pending
        approved = self._next(pending, approval=Approval("approved", command.who, self._now))
        change = self._change(approved, f"Approved by {command.who}: {command.why}")
        return _Result(True, f"The rule is approved in mode {approved.mode}.", [change])

    def _reject(self, command: Command) -> _Result:
        pending = self._pending(command, "rejected")
        if isinstance(pending, _Result):
            return pending
        rejected = Approval("rejected", command.who, self._now)
        why = f"Rejected by {command.who}: {command.why}"
        held = self._hold(pending, rejected, why, pending.alert_ids)
        return _Result(True, "The rule is rejected.", [held])

    def _pending(self, command: Command, wanted: str) -> BlockRule | _Result:
        """The rule that waits for this command, or the answer to it where none does."""
        rule = self._rules.get(command.id)
        if rule is None:
            return _Result(False, f"There is no rule {command.id!r} to {command.what}; it may have ended.")
        if rule.approval.state == wanted:
            return _Result(True, f"The rule was {wanted} before, by {rule.approval.by}.")
        if rule.approval.state != "pending":
            return _Result(
                False, f"The rule is {rule.approval.state}; you can {command.what} a pending one only."
            )
        return rule

    def _allow(self, command: Command) -> _Result:
        try:
            entry = _entry_of(command)
            if entry.entry_id in self._fixed:
                return _Result(True, f"{entry.value} is in the file of respond.allow already.")
            self._allowed.put(entry)
        except ValueError as error:
            return _Result(False, f"Nothing was allowed: {error}.")
        changes = self._end_all_that_break(entry)
        message = f"{entry.type} {entry.value} is allowed; {len(changes)} rules ended by it."
        return _Result(True, message, changes, [ListChange(entry.entry_id, entry)])

    def _disallow(self, command: Command) -> _Result:
        if command.id in self._fixed:
            return _Result(False, f"Entry {command.id!r} is in the file of respond.allow: take it out there.")
        entry = self._allowed.remove(command.id)
        if entry is None:
            return _Result(False, f"There is no allow entry {command.id!r}.")
        return _Result(
            True, f"{entry.type} {entry.value} is no longer allowed.", [], [ListChange(command.id, None)]
        )

    def _verdict(self, command: Command) -> _Result:
        verdict = command.details.get("verdict", "")
        if verdict not in ("malicious", "legitimate"):
            return _Result(False, f"details.verdict is {verdict!r}, expected malicious or legitimate.")
        return _Result(True, f"The verdict on {command.id} is noted; rules change by revoke or allow.")

    def _complaint(self, command: Command) -> _Result:
        return _Result(True, f"The complaint about {command.id} is noted.")


def _ends_at(rule: BlockRule) -> int:
    """When a rule ends: not before its last change, so that its next life is numbered higher."""
    return max(rule.expires_at, rule.sequence + 1)


def as_proposed(alert: Alert, proposal: Proposal) -> Alert:
    """The alert as the detector that made this proposal tells it."""
    detector = proposal.detector or alert.detector
    stated = next((each.message for each in alert.findings if each.detector == detector), alert.message)
    return replace(
        alert,
        detector=detector,
        kind=proposal.kind or alert.kind,
        message=proposal.reason or stated,
        last_seen=proposal.last_seen or alert.last_seen,
    )


def _allowed_by(entry: ListEntry) -> str:
    listed = f"entry {entry.entry_id}, {entry.owner}: {entry.reason}"
    return f"The allow-list protects {entry.type} {entry.value} ({listed})."


def _entry_of(command: Command) -> ListEntry:
    """The entry that ``allow`` describes: ``id`` is the value, ``details`` type, owner and expires_at."""
    value = command.id.strip()
    type_ = command.details.get("type") or ("prefix" if value.endswith("*") else "number")
    if type_ not in ("number", "prefix", "trunk"):
        raise ValueError(f"details.type is {type_!r}, expected number, prefix or trunk")
    expires_at = command.details.get("expires_at")
    if expires_at is not None and not (expires_at.isascii() and expires_at.isdigit()):
        raise ValueError(f"details.expires_at is {expires_at!r}, expected ms since the epoch")
    return ListEntry(
        entry_id=allow_entry_id(type_, value),
        list="allow",
        type=type_,  # type: ignore[arg-type]
        value=value,
        owner=command.details.get("owner", command.who),
        reason=command.why,
        expires_at=None if expires_at is None else int(expires_at),
    )
