"""Alerts to campaigns: one story for a SOC, that names where it entered and who sent it.

An alert joins the open campaign that it shares something with, in this order:

1. a sample call;
2. a callee that either is about;
3. a number block: one of ten thousand numbers, of a subject or of a caller that a proposal names;
4. a trunk that the calls of both came in on, the kind of finding, and time: only where the numbers cannot be
   where they are seen (family ``identity``), or share all but their last six digits.

Else it opens a campaign. A shared trunk alone never joins: big trunks carry unrelated attacks at the same
time. Campaigns are never merged afterwards; one that an alert could have joined as well is named as related.
An alert about a trunk itself joins where exactly one open campaign came in on it.

What is in a `Campaign` is all there is to know of it: given back after a restart it goes on as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from config.settings import CampaignSettings
from detectors.alert import SEVERITIES, Alert, Severity, Subject, content_id
from detectors.calls import BLOCK
from detectors.fusion import family_of

T = TypeVar("T")

MOST_ALERTS = 256
"""Alerts, and with each its calls, that a campaign lists; the calls of earlier ones stay counted."""
MOST_NAMES = 64
"""Subjects, blocks, callees, sample calls, kinds, detectors kept of a campaign: the newest."""
MOST_RELATED = 8
SEGMENT_DIGITS = 2
"""A segment is a block without its last two digits: a million numbers."""
SHORTEST_BLOCK = 6
"""Digits of a prefix from which it is as telling as a block."""


class CampaignAlert(msgspec.Struct, frozen=True):
    """An alert of a campaign, as of the newest version that was seen."""

    alert_id: str
    version: int
    detector: str
    kind: str
    subject_type: str
    calls: int
    trunk: str
    """That most of its calls came in on; empty where the alert does not tell."""
    network: str
    """The operator that sent them there; empty where the alert does not tell."""


class Campaign(msgspec.Struct, frozen=True):
    """One campaign; it grows: a later ``version`` replaces the earlier one."""

    campaign_id: str
    version: int
    status: Literal["open", "closed"]
    severity: Severity
    opened: int
    """First call of its first alert as it was when it joined, ms; never changes."""
    first_seen: int
    last_seen: int
    calls: int
    """About: alerts about callers and about callees can tell of the same calls, and count once."""
    alerts: list[CampaignAlert]
    alert_count: int
    detectors: list[str]
    kinds: list[str]
    subjects: list[Subject]
    entry_trunk: str
    operator: str
    story: str
    blocks: list[str] = []
    """Digits that callers begin with."""
    callees: list[str] = []
    sample_call_ids: list[str] = []
    related: list[str] = []
    """Open campaigns that one of its alerts could have joined as well."""
    earlier_calls: dict[str, int] = {}
    """Calls of alerts no longer listed, by what they were about: callers, callees, trunks."""


class Change(NamedTuple):
    """A campaign that was opened, grew or closed, or (``campaign`` is None) one to be forgotten."""

    campaign_id: str
    campaign: Campaign | None


class Campaigns:
    """The campaigns of the alerts seen so far. Pure: ``now`` is event time in ms and is handed in."""

    def __init__(self, settings: CampaignSettings) -> None:
        self._settings = settings
        self._known: dict[str, Campaign] = {}
        self._keys: dict[str, frozenset[str]] = {}
        self._sharing: dict[str, set[str]] = {}
        self._of_alert: dict[str, str] = {}
        self._due: list[tuple[int, str]] = []
        self._now = 0

    @property
    def known(self) -> Mapping[str, Campaign]:
        """By id: the open ones and, for a day, those that are closed."""
        return MappingProxyType(self._known)

    def restore(self, campaign: Campaign) -> None:
        """Take back a campaign from the compacted topic."""
        self._keep(campaign)

    def alert(self, alert: Alert, now: int) -> list[Change]:
        """Take in one version of an alert: what changed by it. A version seen before changes nothing."""
        changes = self.advance(now)
        campaign_id = self._of_alert.get(alert.alert_id)
        held = None if campaign_id is None else self._known[campaign_id]
        if held is not None and _version_in(held, alert.alert_id) >= alert.version:
            return changes
        shared = self._shared(alert)
        if held is None:
            held = next(iter(shared), None) or _opened(alert)
        grown = _grown(held, alert, [other.campaign_id for other in shared])
        changes.append(self._keep(grown))
        return changes + self._bound()

    def advance(self, now: int) -> list[Change]:
        """Time went on: campaigns that have been silent for long enough close, and later are forgotten."""
        self._now = max(self._now, now)
        changes = []
        while self._due and self._due[0][0] <= self._now:
            due, campaign_id = heappop(self._due)
            campaign = self._known.get(campaign_id)
            if campaign is None or self._due_at(campaign) != due:
                continue
            changes.append(
                self._keep(_closed(campaign)) if campaign.status == "open" else self._forget(campaign)
            )
        return changes

    def _due_at(self, campaign: Campaign) -> int:
        after = self._settings.quiet_ms if campaign.status == "open" else self._settings.keep_ms
        return campaign.last_seen + after

    def _keep(self, campaign: Campaign) -> Change:
        campaign_id = campaign.campaign_id
        self._disown(campaign_id)
        self._known[campaign_id] = campaign
        for each in campaign.alerts:
            self._of_alert[each.alert_id] = campaign_id
        self._index(campaign_id, frozenset(_keys_of(campaign)) if campaign.status == "open" else frozenset())
        heappush(self._due, (self._due_at(campaign), campaign_id))
        return Change(campaign_id, campaign)

    def _forget(self, campaign: Campaign) -> Change:
        self._index(campaign.campaign_id, frozenset())
        self._disown(campaign.campaign_id)
        del self._known[campaign.campaign_id], self._keys[campaign.campaign_id]
        return Change(campaign.campaign_id, None)

    def _disown(self, campaign_id: str) -> None:
        held = self._known.get(campaign_id)
        for each in () if held is None else held.alerts:
            self._of_alert.pop(each.alert_id, None)

    def _index(self, campaign_id: str, keys: frozenset[str]) -> None:
        before = self._keys.get(campaign_id, frozenset())
        for key in before - keys:
            self._sharing[key].discard(campaign_id)
            if not self._sharing[key]:
                del self._sharing[key]
        for key in keys - before:
            self._sharing.setdefault(key, set()).add(campaign_id)
        self._keys[campaign_id] = keys

    def _bound(self) -> list[Change]:
        """Beyond the most that are known the longest silent one is forgotten, a closed one first."""
        changes = []
        while len(self._known) > self._settings.most:
            oldest = min(
                self._known.values(),
                key=lambda each: (each.status == "open", each.last_seen, each.campaign_id),
            )
            changes.append(self._forget(oldest))
        return changes

    def _shared(self, alert: Alert) -> list[Campaign]:
        """Open campaigns that share something with the alert: by what, then the oldest first."""
        found: dict[str, Campaign] = {}
        for keys in _telling_keys(alert):
            found |= {each.campaign_id: each for each in self._sharers(keys) if each.campaign_id not in found}
        trunk = [each for each in self._sharers(_way_keys(alert)) if self._overlap(each, alert)]
        if not found and alert.subject.type == "trunk":
            on_it = self._sharers([f"entry:{alert.subject.value}"])
            trunk = [each for each in on_it if len(on_it) == 1 and self._overlap(each, alert)]
        return [*found.values(), *(each for each in trunk if each.campaign_id not in found)]

    def _sharers(self, keys: Iterable[str]) -> list[Campaign]:
        ids = {campaign_id for key in keys for campaign_id in self._sharing.get(key, ())}
        return sorted(
            (self._known[campaign_id] for campaign_id in ids),
            key=lambda each: (each.first_seen, each.campaign_id),
        )

    def _overlap(self, campaign: Campaign, alert: Alert) -> bool:
        near = self._settings.overlap_ms
        return alert.first_seen - near <= campaign.last_seen and campaign.first_seen <= alert.last_seen + near


def _telling_keys(alert: Alert) -> Iterable[list[str]]:
    """What the alert can share with a campaign at any time while that is open, the most telling first."""
    yield [f"call:{call}" for call in alert.sample_call_ids]
    yield [f"callee:{callee}" for callee in _callees_of(alert)]
    blocks = _blocks_of(alert)
    yield [f"block:{wider}" for block in blocks for wider in _wider(block)] + [
        f"in:{block}" for block in blocks
    ]


def _way_keys(alert: Alert) -> list[str]:
    """What it can share with a campaign of the same time."""
    trunk, _ = _entry_of(alert)
    return _trunk_keys(trunk, alert.detector, alert.kind, _blocks_of(alert))


def _keys_of(campaign: Campaign) -> Iterable[str]:
    """What an alert can share with the campaign."""
    yield from (f"call:{call}" for call in campaign.sample_call_ids)
    yield from (f"callee:{callee}" for callee in campaign.callees)
    yield from (f"block:{block}" for block in campaign.blocks)
    yield from (f"in:{wider}" for block in campaign.blocks for wider in _wider(block))
    yield f"entry:{campaign.entry_trunk}"
    for trunk, detector, kind in sorted({(each.trunk, each.detector, each.kind) for each in campaign.alerts}):
        yield from _trunk_keys(trunk, detector, kind, campaign.blocks)


def _wider(block: str) -> list[str]:
    """The block and the prefixes that hold it."""
    return [block[:length] for length in range(SHORTEST_BLOCK, len(block) + 1)]


def _trunk_keys(trunk: str, detector: str, kind: str, blocks: Iterable[str]) -> list[str]:
    """One key where the numbers cannot be there, else one for each million numbers."""
    if not trunk:
        return []
    if family_of(detector) == "identity":
        return [f"identity:{trunk}:{kind}"]
    segments = dict.fromkeys(block[:-SEGMENT_DIGITS] for block in blocks)
    return [f"segment:{trunk}:{kind}:{segment}" for segment in segments]


def _blocks_of(alert: Alert) -> list[str]:
    """Blocks of ten thousand numbers, and prefixes, of the callers that the alert is about."""
    named = [alert.subject.value] if alert.subject.type in ("number", "block") else []
    named += [each.match.caller for each in alert.proposals if each.match.caller is not None]
    return list(dict.fromkeys(block for block in map(_block_of, named) if block))


def _block_of(value: str) -> str:
    """The block of a number, or the digits of a prefix; empty for a text."""
    digits = value.removeprefix("+").removesuffix("*")
    if not (value.startswith("+") and digits.isascii() and digits.isdigit()):
        return ""
    if not value.endswith("*"):
        digits = str(int(digits) // BLOCK)
    return digits if len(digits) >= SHORTEST_BLOCK else ""


def _callees_of(alert: Alert) -> list[str]:
    named = [alert.subject.value] if alert.subject.type == "callee" else []
    named += [each.match.callee for each in alert.proposals if each.match.callee is not None]
    return list(dict.fromkeys(named))


def _entry_of(alert: Alert) -> tuple[str, str]:
    """The trunk that most of the alert's calls came in on, and who sent them; empty where unknown."""
    if alert.entries:
        most = max(alert.entries, key=lambda each: (each.calls, each.trunk, each.network))
        return most.trunk, most.network
    if len(alert.trunks) == 1:
        return alert.trunks[0], ""
    return "", ""


def _opened(alert: Alert) -> Campaign:
    return Campaign(
        campaign_id=content_id(["campaign", alert.alert_id]),
        version=0,
        status="open",
        severity=alert.severity,
        opened=alert.first_seen,
        first_seen=alert.first_seen,
        last_seen=alert.last_seen,
        calls=0,
        alerts=[],
        alert_count=0,
        detectors=[],
        kinds=[],
        subjects=[],
        entry_trunk="",
        operator="",
        story="",
    )


def _grown(campaign: Campaign, alert: Alert, shared: list[str]) -> Campaign:
    """The campaign with this version of one of its alerts, or with a new one."""
    trunk, network = _entry_of(alert)
    told = CampaignAlert(
        alert.alert_id,
        alert.version,
        alert.detector,
        alert.kind,
        alert.subject.type,
        alert.calls,
        trunk,
        network,
    )
    others = [each for each in campaign.alerts if each.alert_id != alert.alert_id]
    alerts = [*others, told]
    dropped, alerts = alerts[:-MOST_ALERTS], alerts[-MOST_ALERTS:]
    earlier = Counter(campaign.earlier_calls)
    for each in dropped:
        earlier[_side(each)] += each.calls
    entry_trunk, operator = _most_of(alerts)
    detectors = [each.detector for each in alert.findings] or [alert.detector]
    kinds = [each.kind for each in alert.findings] or [alert.kind]
    related = [other for other in shared if other != campaign.campaign_id]
    grown = replace(
        campaign,
        version=campaign.version + 1,
        status="open",
        severity=max(campaign.severity, alert.severity, key=SEVERITIES.index),
        first_seen=min(campaign.first_seen, alert.first_seen),
        last_seen=max(campaign.last_seen, alert.last_seen),
        calls=_calls(alerts, earlier),
        alerts=alerts,
        alert_count=campaign.alert_count + (len(others) == len(campaign.alerts)),
        detectors=_newest(campaign.detectors, detectors),
        kinds=_newest(campaign.kinds, kinds),
        subjects=_newest(campaign.subjects, [alert.subject]),
        entry_trunk=entry_trunk,
        operator=operator,
        blocks=_newest(campaign.blocks, _blocks_of(alert)),
        callees=_newest(campaign.callees, _callees_of(alert)),
        sample_call_ids=_newest(campaign.sample_call_ids, alert.sample_call_ids),
        related=_newest(campaign.related, related, MOST_RELATED),
        earlier_calls=dict(sorted(earlier.items())),
    )
    return replace(grown, story=story_of(grown))


def _closed(campaign: Campaign) -> Campaign:
    closed = replace(campaign, version=campaign.version + 1, status="closed")
    return replace(closed, story=story_of(closed))


def _version_in(campaign: Campaign, alert_id: str) -> int:
    return next((each.version for each in campaign.alerts if each.alert_id == alert_id), 0)


def _side(alert: CampaignAlert) -> str:
    return {"number": "callers", "block": "callers", "callee": "callees"}.get(alert.subject_type, "trunks")


def _calls(alerts: Iterable[CampaignAlert], earlier: Mapping[str, int]) -> int:
    """Calls by the side that saw most of them."""
    sums = Counter(earlier)
    for each in alerts:
        sums[_side(each)] += each.calls
    return max(sums.values(), default=0)


def _most_of(alerts: Iterable[CampaignAlert]) -> tuple[str, str]:
    """The entry that most calls came in by, of those alerts that tell."""
    calls: Counter[tuple[str, str]] = Counter()
    for each in alerts:
        if each.trunk:
            calls[each.trunk, each.network] += each.calls
    return max(calls, key=lambda entry: (calls[entry], entry), default=("", ""))


def _newest(held: list[T], more: list[T], most: int = MOST_NAMES) -> list[T]:
    new = [each for each in dict.fromkeys(more) if each not in held]
    return (held + new)[-most:]


def story_of(campaign: Campaign) -> str:
    """The campaign in one sentence: who did what to whom, when, by which way, and how bad that is."""
    first, last = _moment(campaign.first_seen), _moment(campaign.last_seen)
    until = f"on {first} UTC" if first == last else f"from {first} to {last} UTC"
    way = f", most over trunk {campaign.entry_trunk}" if campaign.entry_trunk else ""
    sender = f" from {campaign.operator}" if campaign.operator else ""
    alerts = "1 alert" if campaign.alert_count == 1 else f"{campaign.alert_count} alerts"
    over = "; it is over" if campaign.status == "closed" else ""
    return (
        f"{_listed([kind.replace('_', ' ') for kind in campaign.kinds])}: {_whom(campaign)}, about "
        f"{campaign.calls} calls {until}{way}{sender}; {alerts} by {_listed(campaign.detectors)}, "
        f"{campaign.severity}{over}."
    )


def _whom(campaign: Campaign) -> str:
    told: dict[str, Callable[[int], str]] = {
        "number": lambda n: "number" if n == 1 else "numbers",
        "block": lambda n: "block" if n == 1 else "blocks",
        "callee": lambda n: "callee" if n == 1 else "callees",
        "trunk": lambda n: "trunk" if n == 1 else "trunks",
        "network_pair": lambda n: "network pair" if n == 1 else "network pairs",
    }
    parts = []
    for type_, named in told.items():
        values = [each.value for each in campaign.subjects if each.type == type_]
        if values:
            parts.append(f"{named(len(values))} {_listed(values)}")
    return " and ".join(parts)


def _listed(names: list[str]) -> str:
    """At most three by name."""
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} more"
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M")
