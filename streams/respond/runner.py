"""Binds `Respond` and `Campaigns` to Kafka.

`alerts`, `commands` and `lists` in; `block-rules`, `campaigns` and `audit` out. Their state is what is on the
compacted topics: rules, campaigns and lists. They are read to their end before the first alert is.
`summaries` are read for the event clock only.

There is one writer of rules. A worker that has lost that place without knowing it may still send what it had
in hand; the present one follows `block-rules` and writes over what is not its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import structlog
from aiokafka import TopicPartition

from config.settings import Settings
from detectors.alert import Alert
from detectors.campaigns import Campaign, Campaigns
from detectors.campaigns import Change as CampaignChange
from detectors.plan import NumberingPlan
from streams.clock import EventClock
from streams.metrics import Metrics
from streams.reading import Follower, read_compacted
from streams.respond.step import Respond
from streams.topics import topic_name
from streams.wire.arrow import BatchError
from streams.wire.outgoing import Outgoing
from streams.wire.records import BlockRule, Command, ListEntry, RuleChange, decode, encode
from streams.wire.summaries import decode_summary
from streams.work import Role, Work, passed_over

T = TypeVar("T")

WRITER = "writer"
"""Header of a record of `block-rules`: which assignment of the partitions wrote it."""

_log = structlog.get_logger("respond")


class RespondRole(Role):
    name = "respond"

    def __init__(self, settings: Settings, plan: NumberingPlan, metrics: Metrics, clock: EventClock) -> None:
        self._settings = settings
        self._plan = plan
        self._metrics = metrics
        self._clock = clock
        self._respond: Respond | None = None
        self._campaigns = Campaigns(settings.campaigns)
        self._rules = topic_name(settings, "block-rules")
        self._on_topic: dict[str, bytes] = {}
        self._foreign: dict[str, bytes | None] = {}
        self._writer = b""
        self._follower = Follower(settings, self._rules, self._written)
        self._lists = topic_name(settings, "lists")
        self._told = topic_name(settings, "campaigns")
        self._audit = topic_name(settings, "audit")
        self._readers = {
            self._lists: self._listed,
            topic_name(settings, "commands"): self._commanded,
            topic_name(settings, "alerts"): self._alerted,
            topic_name(settings, "summaries"): self._observed,
        }
        self.topics = tuple(self._readers)

    async def restore(self, partitions: set[TopicPartition]) -> None:
        """Take back lists, rules, campaigns. A worker without the partitions is a standby: it has none."""
        self._respond = None
        await self._follower.stop()
        if not partitions:
            return
        respond = Respond(self._settings, self._plan)
        self._campaigns = Campaigns(self._settings.campaigns)
        for key, value in (await read_compacted(self._settings, self._lists)).items():
            entry = _readable(self._lists, key, value, ListEntry)
            if entry is not None:
                respond.listed(key.decode(), entry, 0)
        self._on_topic, self._foreign, self._writer = {}, {}, uuid4().hex.encode()
        await self._follower.start()
        for rule_id, value in self._on_topic.items():
            rule = _readable(self._rules, rule_id.encode(), value, BlockRule)
            if rule is not None:
                respond.restore(rule)
                self._clock.observe(rule.issued_at)
        for key, value in (await read_compacted(self._settings, self._told)).items():
            campaign = _readable(self._told, key, value, Campaign)
            if campaign is not None:
                self._campaigns.restore(campaign)
        self._respond = respond

    async def follow(self) -> None:
        if self._respond is not None:
            await self._follower.catch_up()

    async def close(self) -> None:
        await self._follower.stop()

    def open(self, partition: TopicPartition) -> Work:
        return self

    def process(self, records: Sequence[Any], live: bool) -> list[Outgoing]:
        out: list[Outgoing] = []
        for record in records:
            try:
                out += self._readers[record.topic](record)
            except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, BatchError) as error:
                passed_over(_log, record, error)
        return out

    def idle(self) -> list[Outgoing]:
        now = self._clock.now()
        if self._respond is None or now is None:
            return []
        changes = [*self._respond.advance(now), *self._overwritten(self._respond)]
        return [*self._sent(self._respond, changes), *map(self._campaign, self._campaigns.advance(now))]

    def _written(self, record: Any) -> None:
        """A record of `block-rules`: there before us, our own, or of a worker that should write no more."""
        rule_id = (record.key or b"").decode(errors="replace")
        if self._respond is not None:
            if dict(record.headers or ()).get(WRITER) != self._writer:
                self._foreign[rule_id] = record.value
        elif record.value is None:
            self._on_topic.pop(rule_id, None)
        else:
            self._on_topic[rule_id] = record.value

    def _overwritten(self, respond: Respond) -> Iterable[RuleChange]:
        """What puts the rules that others wrote as they are to be."""
        foreign, self._foreign = self._foreign, {}
        for rule_id, value in foreign.items():
            rule = None if value is None else _readable(self._rules, rule_id.encode(), value, BlockRule)
            _log.warning("another worker wrote a rule; it is put right", rule_id=rule_id)
            yield from respond.overwrite(rule_id, rule)

    def _alerted(self, record: Any) -> list[Outgoing]:
        alert = decode(record.value, Alert)
        self._clock.observe(alert.last_seen)
        respond = self._active()
        out = self._sent(respond, respond.alert(alert, self._now()))
        return [*out, *map(self._campaign, self._campaigns.alert(alert, self._now()))]

    def _listed(self, record: Any) -> list[Outgoing]:
        respond = self._active()
        entry = None if record.value is None else decode(record.value, ListEntry)
        return self._sent(respond, respond.listed(record.key.decode(), entry, self._now()))

    def _commanded(self, record: Any) -> list[Outgoing]:
        respond = self._active()
        command = decode(record.value, Command)
        out = self._sent(respond, respond.command(command, self._now()))
        assert respond.outcome is not None
        for change in respond.outcome.lists:
            entry = None if change.entry is None else encode(change.entry)
            out.append(Outgoing(self._lists, change.entry_id.encode(), entry))
        out.append(Outgoing(self._audit, command.command_id.encode(), encode(respond.outcome)))
        return out

    def _observed(self, record: Any) -> list[Outgoing]:
        self._clock.observe(decode_summary(record.value).newest)
        return []

    def _active(self) -> Respond:
        assert self._respond is not None, "records are processed only after restore"
        return self._respond

    def _now(self) -> int:
        return self._clock.now() or 0

    def _sent(self, respond: Respond, changes: Iterable[RuleChange]) -> list[Outgoing]:
        changes = list(changes)
        while respond.refused:
            refusal = respond.refused.popleft()
            _log.info("no rule", guard=refusal.guard, why=refusal.message, alert_id=refusal.subject_id)
        if changes:
            self._metrics.responded(changes, respond.rules)
        return [self._record(change) for change in changes]

    def _record(self, change: RuleChange) -> Outgoing:
        """A rule, or its tombstone: the reason is in headers, since a tombstone has no value."""
        headers = (("at", str(change.at).encode()), ("why", change.why.encode()), (WRITER, self._writer))
        value = None if change.rule is None else encode(change.rule)
        return Outgoing(self._rules, change.rule_id.encode(), value, headers=headers)

    def _campaign(self, change: CampaignChange) -> Outgoing:
        value = None if change.campaign is None else encode(change.campaign)
        return Outgoing(self._told, change.campaign_id.encode(), value)


def _readable(topic: str, key: bytes, value: bytes, type_: type[T]) -> T | None:
    """``value`` as a ``type_``; None, and a line in the log, where it is not one."""
    try:
        key.decode()
        return decode(value, type_)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.error("a record cannot be read and is passed over", topic=topic, key=key, error=str(error))
        return None
