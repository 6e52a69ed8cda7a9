"""Findings to alerts: one alert a subject, which grows while the attack lasts.

The first finding about a subject opens its alert, whose window starts at the ten minutes of that event and
whose id stays. Whatever detector signals on the subject after that adds to the same alert: the strongest
finding leads it (``detectors.fusion``), every other one keeps a share of the evidence. A new version is told
when the severity rises, when its calls have doubled, when a proposal came to it (at most every five seconds),
and when a minute of event time has passed since the last: so often, and no oftener, can a rule be renewed.
Each proposal tells when it was last made: what others of its subject do renews no rule about it.
After ten minutes without a signal nothing of before is proposed any more; `evidence.quiet_ms` without one
close it, and the next signal opens another.

From the second number of a block on that related detectors find within an hour, what is found about a number
is told as the alert of its block. The numbers are still judged one by one: findings about different numbers
never add up, and the block's alert proposes what the numbers' own would have proposed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec

from config.settings import EvidenceSettings
from detectors.alert import Alert, Entry, Proposal, Statement, Subject, SubjectType, Window, content_id
from detectors.calibration import calibrated
from detectors.calls import BLOCK
from detectors.fusion import (
    Agreement,
    Part,
    agreement,
    combined_odds,
    family_of,
    log_odds_of,
    merged_evidence,
    ranked,
)
from detectors.shape import HIGH, MEDIUM, SEVERITY, Call, Detector, Finding, Signal, score_of
from detectors.signals import QUIET_MS

ALIGN_MS = 600_000
RENEW_MS = 60_000
PROPOSE_MS = 5_000
DESCRIBE_MS = 5_000
"""A signal that changes nothing else is described anew, with its proposals, so often; where nothing is left
to propose, only as often as a rule may be renewed."""
RETELL_MS = 120_000
"""A proposal that other ones have crowded out counts as news again after this."""
BLOCK_DIGITS = 10
"""Digits of a number, country code included, below which those next to it are other people's services."""
MOST_PROPOSALS = 64
MOST_UNTOLD = MOST_PROPOSALS // 2
"""Proposals that wait to be told; so many are told at once, before newer ones crowd them out."""
MOST_TOLD = 256
"""Proposals of one alert of which it is remembered when they were told."""
MOST_SAMPLES = 5
MOST_NAMES = 8
"""Networks and trunks kept of one alert."""
MOST_FINDINGS = 8
"""Detectors whose statement an alert repeats."""

Key = tuple[SubjectType, str, str]
"""Type, value and what else tells a subject from another of the same value."""


class _Held(msgspec.Struct):
    """What is known of a subject, and what was last told of it. Plain data all through."""

    key: Key
    opened_by: str
    start: int
    first_seen: int
    last_seen: int
    plan_version: str = ""
    parts: dict[int, Part] = {}
    """By pattern; what came from a number of a block stands under the complement of its pattern."""
    level: int = 0
    calls: int = 0
    members: int = 0
    member_calls: int = 0
    proposals: dict[str, Proposal] = {}
    """The newest last; by detector and match."""
    samples: list[str] = []
    networks: list[str] = []
    trunks: list[str] = []
    entries: list[Entry] = []
    into: str = ""
    """The block whose alert tells what is found here; empty: its own does."""
    version: int = 0
    told_at: int = 0
    told_calls: int = 0
    told_level: int = 0
    untold: int = 0
    told_proposals: dict[str, int] = {}
    only_on: list[str] = []
    """Networks that rules about the subject must name; empty: they need not."""

    @property
    def is_sampled(self) -> bool:
        return len(self.samples) >= MOST_SAMPLES

    def due(self, time: int) -> bool:
        since = time - self.told_at
        return (
            self.version == 0
            or self.level > self.told_level
            or self.calls >= 2 * self.told_calls
            or since >= RENEW_MS
            or (self.untold > 0 and since >= PROPOSE_MS)
            or self.untold >= MOST_UNTOLD
        )

    def see(self, time: int) -> None:
        self.first_seen = min(self.first_seen, time)
        self.last_seen = max(self.last_seen, time)

    def count(self, calls: int) -> int:
        """Of some detector's ``calls``, or all its numbers', how many no other has counted before."""
        more = max(calls - self.calls, 0)
        self.calls += more
        return more

    def name(self, call: Call, calls: int) -> None:
        self.samples = _with(self.samples, [call.call_id], MOST_SAMPLES)
        self.networks = _with(self.networks, [call.from_network, call.to_network], MOST_NAMES)
        self.trunks = _with(self.trunks, [call.trunk], MOST_NAMES)
        self.entries = _with_entry(self.entries, call, max(calls, 1))

    def narrow(self, network: str, time: int) -> None:
        """Rules must name ``network`` from now on, or one that was named before; also those told already."""
        if network in self.only_on:
            return
        self.only_on = _with(self.only_on, [network], MOST_NAMES)
        wide, self.proposals = list(self.proposals.values()), {}
        self.propose(self.narrowed(wide), time)
        for part in self.parts.values():
            part.withheld = self.narrowed(part.withheld)

    def narrowed(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """``proposals`` with each of the networks that rules must name, where they name none."""
        if not self.only_on:
            return list(proposals)
        narrow = [
            proposal if proposal.match.network else _on(proposal, network)
            for proposal in proposals
            for network in (self.only_on[:1] if proposal.match.network else self.only_on)
        ]
        return narrow[:MOST_PROPOSALS]

    def propose(self, proposals: Sequence[Proposal], time: int) -> None:
        for proposal in proposals:
            named = proposal_key(proposal)
            known = self.proposals.pop(named, None)
            if known is None:
                told = self.told_proposals.get(named)
                self.untold += told is None or time - told >= RETELL_MS
            elif known.last_seen > proposal.last_seen:
                proposal = msgspec.structs.replace(proposal, last_seen=known.last_seen)
            self.proposals[named] = proposal
        while len(self.proposals) > MOST_PROPOSALS:
            del self.proposals[next(iter(self.proposals))]

    def rest(self) -> None:
        """It was quiet for a while: what is found from now on must prove itself before it is proposed."""
        self.proposals, self.untold = {}, 0
        for part in self.parts.values():
            part.withheld = []

    def tell(self, time: int) -> None:
        self.version += 1
        self.told_at, self.told_calls, self.told_level, self.untold = time, self.calls, self.level, 0
        for named in self.proposals:
            self.told_proposals.pop(named, None)
            self.told_proposals[named] = time
        while len(self.told_proposals) > MOST_TOLD:
            del self.told_proposals[next(iter(self.told_proposals))]


class Kept(msgspec.Struct):
    """All that `Alerts` remembers, in its order, as plain data."""

    open: list[_Held]
    of_signal: list[tuple[int, int, Key]]
    """Pattern, key, and the subject of it."""
    found: list[tuple[str, str, list[tuple[str, int]]]]
    """Block, family, and the numbers with their times."""


class Alerts:
    """The open alerts of one partition, about at most ``most`` subjects."""

    def __init__(
        self,
        detectors: Mapping[int, Detector],
        config_hash: str,
        most: int,
        settings: EvidenceSettings | None = None,
        quiet_ms: int | None = None,
    ) -> None:
        """``detectors`` by the pattern of the signals that each describes; an alert without a signal for
        ``quiet_ms`` of event time (None: as settings say) is closed."""
        self._detectors = detectors
        self._config_hash = config_hash
        self._most = most
        self._settings = settings or EvidenceSettings()
        self._quiet_ms = self._settings.quiet_ms if quiet_ms is None else quiet_ms
        self._agreed = log_odds_of(self._settings.agreement_odds / (1 + self._settings.agreement_odds))
        self._open: OrderedDict[Key, _Held] = OrderedDict()
        self._of_signal: dict[tuple[int, int], Key] = {}
        self._found: OrderedDict[tuple[str, str], list[tuple[str, int]]] = OrderedDict()
        """Numbers that were found lately, and when, by block and family of detectors."""

    def __len__(self) -> int:
        return len(self._open)

    def kept(self) -> Kept:
        """What `restore` needs to go on from here; shares its objects with this one."""
        return Kept(
            open=list(self._open.values()),
            of_signal=[(*signal, key) for signal, key in self._of_signal.items()],
            found=[(*found, lately) for found, lately in self._found.items()],
        )

    def restore(self, kept: Kept) -> None:
        """Goes on from where another left off; ``kept`` belongs to this one from now on."""
        self._open = OrderedDict((held.key, held) for held in kept.open)
        self._of_signal = {(pattern, key): subject for pattern, key, subject in kept.of_signal}
        self._found = OrderedDict(((block, family), lately) for block, family, lately in kept.found)

    def absorb(self, pattern: int, key: int, time: int, calls: int, level: int) -> bool:
        """Takes in a signal that only adds calls to an alert, for which nothing need be described.

        False where there is more to it: it would open an alert, or a version may be due.
        """
        subject = self._of_signal.get((pattern, key))
        held = None if subject is None else self._open.get(subject)
        part = None if held is None else held.parts.get(pattern)
        if subject is None or held is None or part is None or not held.is_sampled or level > part.level:
            return False
        if time - part.described_at >= (RENEW_MS if _is_settled(held, part) else DESCRIBE_MS):
            return False
        if not 0 <= time - held.last_seen <= self._quiet_ms:
            return False
        told = self._open.get(_block_key(held.into)) if held.into else held
        if told is None or time - told.told_at >= RENEW_MS or told.calls + calls >= 2 * told.told_calls:
            return False
        part.calls += calls
        part.last_seen = time
        more = held.count(part.calls)
        held.last_seen = time
        if told is not held:
            told.member_calls += more
            told.count(told.member_calls)
            told.see(time)
            self._open.move_to_end(told.key)
        self._open.move_to_end(subject)
        return True

    def take(self, signal: Signal, call: Call, plan_version: str) -> Alert | None:
        """Takes in one signal and the row that raised it; the new version of its alert where one is due."""
        detector = self._detectors[signal.pattern]
        finding = detector.describe(signal, call)
        if finding is None:
            return None
        key: Key = (finding.subject_type, finding.subject_value, finding.apart)
        self._remember(signal, key)
        held = self._held(key, signal.time, detector.name)
        new = not held.parts
        if new:
            held.into = self._block_of(finding, detector.name, signal.time)
        if finding.plan_version:
            held.plan_version = plan_version
        self._add(held, signal, finding, detector.name, new)
        held.see(signal.time)
        held.name(call, signal.calls)
        more = held.count(held.parts[signal.pattern].calls)
        agreed = self._judge(held, signal.time)
        told = self._join(held, call, signal, more, new) if held.into else held
        self._bound()
        if not told.due(signal.time):
            return None
        told.tell(signal.time)
        return self._alert(told, agreed if told is held else Agreement())

    def told_of_block(self, block: int, time: int) -> int:
        """Level at which an open alert tells of a number block at ``time`` (ms); 0: none does."""
        held = self._current(_block_key(f"+{block}*"), time)
        return 0 if held is None else held.level

    def told_of_number(self, number: int, time: int) -> int:
        """The same of an E.164 number, of which an alert of its block tells too; at most `MEDIUM` where no
        proposal is about all its calls."""
        keys: tuple[Key, Key] = (_block_key(f"+{number // BLOCK}*"), ("number", f"+{number}", ""))
        if keys[0] not in self._open and keys[1] not in self._open:
            return 0  # most are ordinary, and there are many
        block, held = (self._current(key, time) for key in keys)
        if held is None:
            return 0 if block is None else min(block.level, MEDIUM)
        level = held.level if block is None else max(held.level, block.level)
        proposed = _proposes(held, number) or (block is not None and _proposes(block, number))
        return held.level if proposed else min(level, MEDIUM)

    # --- subjects

    def _current(self, key: Key, time: int) -> _Held | None:
        """The subject's open record; None where there is none, or it was quiet for too long."""
        held = self._open.get(key)
        return None if held is None or time - held.last_seen > self._quiet_ms else held

    def _held(self, key: Key, time: int, opened_by: str) -> _Held:
        """The subject's open record, or a new one where it was quiet; now the most recent."""
        held = self._current(key, time)
        if held is None:
            held = self._open[key] = _Held(key, opened_by, time // ALIGN_MS * ALIGN_MS, time, time)
        elif time - held.last_seen > QUIET_MS:
            held.rest()
        self._open.move_to_end(key)
        return held

    def _remember(self, signal: Signal, key: Key) -> None:
        if len(self._of_signal) >= 2 * self._most:
            self._of_signal.clear()
        self._of_signal[signal.pattern, signal.key] = key

    def _bound(self) -> None:
        while len(self._open) > self._most:
            self._open.popitem(last=False)

    def _add(self, held: _Held, signal: Signal, finding: Finding, detector: str, new: bool) -> None:
        """What one finding says becomes, or changes, a part of what is known of its subject."""
        part = held.parts.get(signal.pattern)
        odds = calibrated(detector, log_odds_of(finding.score))
        if part is None:
            part = held.parts[signal.pattern] = Part(
                signal.pattern,
                detector,
                finding.kind,
                finding.level,
                odds,
                finding.evidence,
                finding.message,
                calls=max(signal.calls, 1) if new else signal.calls,
            )
        else:
            part.calls += 1 if signal.opened else signal.calls
            if finding.level >= part.level or finding.kind == part.kind:
                part.kind, part.level = finding.kind, max(part.level, finding.level)
                part.log_odds, part.evidence, part.message = odds, finding.evidence, finding.message
        part.last_seen = max(part.last_seen, signal.time)
        part.described_at = signal.time
        if finding.only_on:
            held.narrow(finding.only_on, signal.time)
        proposals = held.narrowed(_made_by(finding.proposals, detector, finding.kind, signal.time))
        certain = finding.level >= HIGH
        part.withheld = [] if certain else proposals[:MOST_PROPOSALS]
        if certain:
            held.propose(proposals, signal.time)

    def _judge(self, held: _Held, time: int) -> Agreement:
        """Severity of a subject from all that is said of it, and the proposals that are released by that."""
        own = [part for part in held.parts.values() if not part.of_member]
        agreed = agreement(own, time, self._agreed)
        held.level = max(held.level, agreed.level)
        for part in own:
            if part.pattern in agreed.released:
                on = agreed.released[part.pattern]
                held.propose([_relying(proposal, on) for proposal in part.withheld], time)
        return agreed

    # --- blocks

    def _block_of(self, finding: Finding, detector: str, time: int) -> str:
        """The block that tells what is found about this number; empty where it has an alert of its own."""
        number = finding.subject_value.removeprefix("+")
        if finding.subject_type != "number" or finding.apart or not number.isdigit():
            return ""
        if len(number) < BLOCK_DIGITS:
            return ""
        block = f"+{int(number) // BLOCK}*"
        family = family_of(detector)
        lately = [
            (other, at)
            for other, at in self._found.pop((block, family), [])
            if other != number and time - at <= self._settings.block_ms
        ]
        self._found[block, family] = [*lately, (number, time)][-self._settings.block_numbers :]
        if len(self._found) > self._most:
            self._found.popitem(last=False)
        if len(lately) + 1 >= self._settings.block_numbers:
            return block
        held = self._open.get(_block_key(block))
        going_on = held is not None and held.members > 0 and time - held.last_seen <= self._quiet_ms
        return block if going_on else ""

    def _join(self, held: _Held, call: Call, signal: Signal, more: int, new: bool) -> _Held:
        """What was found about a number goes into the alert of its block, which is returned."""
        lead = ranked(held.parts.values())[0]
        block = self._held(_block_key(held.into), signal.time, lead.detector)
        block.see(signal.time)
        block.name(call, signal.calls)
        block.members += new or not block.members
        block.member_calls += more
        block.plan_version = block.plan_version or held.plan_version
        place = ~lead.pattern
        known = block.parts.get(place)
        odds = combined_odds(list(held.parts.values()))
        if known is None or lead.level >= known.level or lead.kind == known.kind:
            block.parts[place] = Part(
                place,
                lead.detector,
                lead.kind,
                max(held.level, 0 if known is None else known.level),
                odds,
                lead.evidence,
                lead.message,
                last_seen=signal.time,
            )
        block.level = max(block.level, held.level)
        block.propose([_with_reason(proposal, held) for proposal in held.proposals.values()], signal.time)
        held.proposals = {}
        block.count(block.member_calls)
        return block

    # --- alerts

    def _alert(self, held: _Held, agreed: Agreement) -> Alert:
        type_, value, apart = held.key
        parts = ranked(held.parts.values())
        lead = parts[0]
        identity = [held.opened_by, type_, value, held.start, self._config_hash]
        return Alert(
            alert_id=content_id([*identity, apart] if apart else identity),
            detector=lead.detector,
            kind=lead.kind,
            severity=SEVERITY[held.level],
            score=score_of(combined_odds(parts)),
            subject=Subject(type_, value),
            window=Window(held.start, held.last_seen // ALIGN_MS * ALIGN_MS + ALIGN_MS),
            first_seen=held.first_seen,
            last_seen=held.last_seen,
            calls=held.calls,
            evidence=merged_evidence(parts),
            sample_call_ids=held.samples,
            networks=held.networks,
            trunks=held.trunks,
            message=_sentence(held, lead),
            config_hash=self._config_hash,
            version=held.version,
            plan_version=held.plan_version,
            proposals=list(held.proposals.values()),
            findings=[_statement(part, agreed) for part in parts[:MOST_FINDINGS]],
            entries=held.entries,
        )


def _proposes(held: _Held, number: int) -> bool:
    """Whether a proposal is about all calls of ``number``, or those from one network."""
    caller = f"+{number}"
    return any(
        match.caller == caller and match.callee is None and match.trunk is None
        for match in (proposal.match for proposal in held.proposals.values())
    )


def _is_settled(held: _Held, part: Part) -> bool:
    """Whether all that there is to propose was told: about one number, that it be blocked."""
    return part.level >= HIGH and held.key[0] == "number" and held.untold == 0


def _statement(part: Part, agreed: Agreement) -> Statement:
    withheld = 0 if part.pattern in agreed.released else len(part.withheld)
    severity = SEVERITY[part.level]
    return Statement(part.detector, part.kind, severity, score_of(part.log_odds), part.message, withheld)


def _sentence(held: _Held, lead: Part) -> str:
    if not lead.of_member:
        return lead.message
    more = "One more number" if held.members == 1 else f"{held.members} more numbers"
    return f"{more} of block {held.key[1]} did as others of it had done. One of them: {lead.message}"


def _block_key(block: str) -> Key:
    return ("block", block, "")


def proposal_key(proposal: Proposal) -> str:
    """Names a proposal within its alert: who made it, and for which match."""
    match = proposal.match
    return "|".join(
        (
            proposal.detector,
            match.caller or "",
            match.callee or "",
            match.trunk or "",
            match.network or "",
            match.gateway or "",
        )
    )


def _made_by(proposals: Sequence[Proposal], detector: str, kind: str, time: int) -> list[Proposal]:
    return [
        msgspec.structs.replace(proposal, detector=detector, kind=kind, last_seen=time)
        for proposal in proposals[:MOST_PROPOSALS]
    ]


def _on(proposal: Proposal, network: str) -> Proposal:
    return msgspec.structs.replace(proposal, match=msgspec.structs.replace(proposal.match, network=network))


def _relying(proposal: Proposal, on: str) -> Proposal:
    return msgspec.structs.replace(proposal, relies_on=on)


def _with_reason(proposal: Proposal, held: _Held) -> Proposal:
    """With what its detector says of this number, since the block's alert tells of others as well."""
    saying = [part for part in ranked(held.parts.values()) if part.detector == proposal.detector]
    return msgspec.structs.replace(proposal, reason=saying[0].message)


def _with(held: list[str], more: list[str], most: int) -> list[str]:
    """``held`` and what of ``more`` is new and not empty, at most ``most``; ``held`` itself is left alone."""
    result = held
    for name in more:
        if name and name not in result and len(result) < most:
            result = [*result, name]
    return result


def _with_entry(held: list[Entry], call: Call, calls: int) -> list[Entry]:
    """``held`` with calls that came in as this one did, at most `MOST_NAMES` ways; ``held`` is left alone."""
    way = (call.trunk, call.from_network)
    known = [(each.trunk, each.network) for each in held]
    if way in known:
        at = known.index(way)
        more = Entry(*way, held[at].calls + calls)
        return [*held[:at], more, *held[at + 1 :]]
    return [*held, Entry(*way, calls)][:MOST_NAMES]
