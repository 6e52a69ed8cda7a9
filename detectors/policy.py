"""Policy: calls that the people called, or the rules of the country, have ruled out.

Five kinds, from the tables of ``detectors.lists``:

- ``refused``: the callee refused this very caller, its company, or calls of its category;
- ``refuses_marketing``: a company's marketing number calls somebody who refuses marketing;
- ``outside_hours``: a company calls outside the hours of its category, by the clock of the callee's country;
- ``no_consent``: its category needs the callee's consent, and there is none;
- ``aimed_at_refusers``: a caller that no list names calls refusers far above chance.

A consent of the callee to the caller or its company excuses all of the first four; one to everybody excuses
all but ``refused``. Whom the callee called within ten minutes, or talked with at length today or yesterday,
may call back.

The first four are facts, of one call. The last is a sequential probability ratio test over the distinct
strangers a caller calls: one who refuses marketing adds ``ln(a / o)``, any other ``ln((1 - a) / (1 - o))``,
with ``a`` the share of refusers among the callees of who does not keep to refusals, and ``o`` that of the
worst ordinary caller, a multiple of the share learnt from all calls of the partition. Only the first refuser
of each number block counts, so that a company whose range refuses is one refuser. Being called lowers the
sum, by at most 6.

A caller is a *suspect* from its first call to a refuser on: what it called earlier that day is taken for
calls to others.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from config.settings import PolicySettings
from detectors.alert import Match
from detectors.kernels import inlined, mix, mix2, pasted
from detectors.lists import (
    CATEGORIES,
    CONSENTED,
    CONSENTED_TO_ALL,
    MARKETING,
    PARTICULAR,
    REFUSED,
    REFUSES,
    callee_standing,
    company_of,
    pair_standing,
)
from detectors.plain import mix as plain_mix
from detectors.shape import (
    HIGH,
    MEDIUM,
    NOTHING,
    POLICY,
    Call,
    Feature,
    Finding,
    Signal,
    proposal,
    score_of,
    weighed,
)
from detectors.signals import speak
from detectors.sketches import bit_of
from detectors.subjects import find, index_of, power_of_two, zeros
from detectors.suspects import room_for
from detectors.windows import DAY, HOUR, acquainted, total

KINDS = ("", "refused", "refuses_marketing", "outside_hours", "no_consent", "aimed_at_refusers")
ALLOWED, REFUSED_CALL, UNWANTED_MARKETING, OUTSIDE_HOURS, NO_CONSENT, AIMED = range(6)

FEATURES = (
    Feature("kind", "code", "which rule the call breaks: " + ", ".join(KINDS[1:]) + ", from 1", 0),
    Feature("callees", "numbers", "distinct callees of the suspect, within a day", 3),
    Feature("refusers", "numbers", "those who refuse marketing, one a number block", 0),
    Feature("usual_share", "share", "of refusers among all calls", 0.1),
    Feature("refusing", "log-odds", "for abuse, of whom it calls", 0),
    Feature("calls_in_day", "calls", "attempts to this number in the last day", 3),
    Feature("reciprocity", "log-odds", "for abuse, of being called, at most 0", 0),
    Feature("wronged", "numbers", "distinct callees of calls against a list or the hours, within a day", 0),
    Feature("category", "code", "of the caller's company: " + ", ".join(CATEGORIES[1:]) + ", from 1", 0),
    Feature("local_minute", "min", "of the day, by the clock that hours are kept by", 720),
    Feature("calls_day", "calls", "attempts of the last day", 10),
    Feature(
        "company_wronged",
        "numbers",
        "distinct callees of such calls by any number of its company, within a day",
        0,
    ),
    Feature("company_calls", "calls", "attempts of its company's numbers that sell, within a day", 10),
)

EVIDENCE = (Feature("refuser_share", "share", "of refusers among the strangers it called", 0.1),)
"""What an alert lists besides."""

LEARNT = 1 << 17
"""Calls after which what was learnt of the share of refusers counts half."""
RECIPROCITY_LIMIT = -6.0
RECIPROCITY_SLOPE = 12.0
ABUSIVE_IN_SHARE = 0.2
"""Share of incoming calls up to which being called says nothing: the curious call back."""
PERSISTENT_SHARE = 0.1
"""Part of its calls of the day that are breaches, below which a call centre is large, not persistent."""
MINUTE = 60_000

MARKETER = np.dtype(
    [
        ("seen", np.uint64, (4,)),
        ("blocks", np.uint64, (2,)),
        ("since", np.int64),
        ("callees", np.int32),
        ("refusers", np.int32),
        ("wronged", np.int32),
        ("level", np.int32),
    ],
    align=True,
)
"""``seen``: Bloom filter of its callees, 256 bits, two each; ``blocks``: bitmap of the blocks whose refusers
were counted, 128 bits; ``since`` ms; ``level`` the highest that was said. A company has a row as well, under
its hash with a minus sign: ``callees`` are its calls then, ``seen`` and ``wronged`` those against a list or
the hours."""


class Marketers(NamedTuple):
    """Callers that called refusers or broke a rule: ``keys`` and ``worth`` as in ``detectors.suspects``;
    ``rows`` `MARKETER` (n,); ``usual`` int64 (2,): calls to numbers, and those to refusers, learnt."""

    keys: npt.NDArray[np.int64]
    worth: npt.NDArray[np.int64]
    rows: npt.NDArray[Any]
    usual: npt.NDArray[np.int64]


def new_marketers(callers: int) -> Marketers:
    n = power_of_two(callers)
    return Marketers(zeros(n, np.int64), zeros(n, np.int64), zeros(n, MARKETER), np.zeros(2, np.int64))


class PolicyParameters(NamedTuple):
    on: bool
    abusive: float
    ordinary_factor: float
    prior: float
    """Share of refusers taken for usual before calls were learnt from."""
    prior_weight: float
    min_refusers: float
    notable_refusers: float
    threshold: float
    notable: float
    outside_callees: float
    hours: tuple[int, ...]
    """Minute of the local day from which, and before which, each category may call: two a category."""
    consent: int
    """Bit ``c`` set where category ``c`` needs consent."""
    clock: npt.NDArray[np.int64]
    """(n, 2): from when on (ms, ascending) the local clock is ahead of UTC by how much (ms)."""


def parameters_of(settings: PolicySettings) -> PolicyParameters:
    windows = [(0, 24 * 60)] + [settings.minutes(category) for category in CATEGORIES[1:]]
    return PolicyParameters(
        on=settings.mode != "off",
        abusive=settings.abusive_share,
        ordinary_factor=settings.ordinary_factor,
        prior=settings.usual_share,
        prior_weight=float(settings.usual_weight),
        min_refusers=float(settings.min_refusers),
        notable_refusers=float(settings.notable_refusers),
        threshold=math.log(settings.odds),
        notable=math.log(settings.notable_odds),
        outside_callees=float(settings.outside_callees),
        hours=tuple(minute for window in windows for minute in window),
        consent=sum({1 << CATEGORIES.index(name.strip()) for name in settings.consent_for.split(",")} - {1}),
        clock=clock_of(settings.time_zone),
    )


FIRST_YEAR_MS, LAST_YEAR_MS = 946_684_800_000, 2_524_608_000_000
"""2000 and 2050: between them a change of clocks is known."""


def clock_of(zone: str) -> npt.NDArray[np.int64]:
    """Changes of the clock of an IANA time zone: int64 (n, 2), from when on (ms), ahead of UTC by (ms)."""
    info = ZoneInfo(zone)
    changes = [(FIRST_YEAR_MS, _ahead(info, FIRST_YEAR_MS))]
    for day in range(FIRST_YEAR_MS, LAST_YEAR_MS, 7 * DAY):
        begin, end = day, day + 7 * DAY
        if _ahead(info, end) == changes[-1][1]:
            continue
        while end - begin > MINUTE:
            middle = (begin + end) // 2 // MINUTE * MINUTE
            begin, end = (middle, end) if _ahead(info, middle) == changes[-1][1] else (begin, middle)
        changes.append((end, _ahead(info, end)))
    return np.array(changes, np.int64)


def _ahead(info: ZoneInfo, time: int) -> int:
    offset = datetime.fromtimestamp(time // 1_000, UTC).astimezone(info).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1_000)


@inlined
def local_minute(clock: Any, time: Any) -> Any:
    """Minute of the local day (int64, 0 to 1 439) at ``time`` (ms)."""
    k = clock.shape[0] - 1
    while k > 0 and clock[k, 0] > time:
        k -= 1
    return (time + clock[k, 1]) % DAY // MINUTE


@inlined
def judge(refuses: Any, pair: Any, category: Any, minute: Any, p: Any) -> Any:
    """Which rule a call breaks, `ALLOWED` if none: ``refuses`` whether the callee refuses marketing, ``pair``
    as ``lists.pair_standing`` gives it, ``minute`` of the local day."""
    if pair & CONSENTED:
        return ALLOWED
    if pair & REFUSED:
        return REFUSED_CALL
    if pair & CONSENTED_TO_ALL:
        return ALLOWED
    if refuses and category == MARKETING:
        return UNWANTED_MARKETING
    if not p.hours[2 * category] <= minute < p.hours[2 * category + 1]:
        return OUTSIDE_HOURS
    if (p.consent >> category) & 1:
        return NO_CONSENT
    return ALLOWED


@inlined
def learn(usual: Any, refuses: Any) -> None:
    """One call to a number that refuses marketing, or to one that does not."""
    usual[0] += 1
    if refuses:
        usual[1] += 1
    if usual[0] >= LEARNT:
        usual[0] //= 2
        usual[1] //= 2


@inlined
def usual_share(usual: Any, p: Any) -> Any:
    """The share of refusers among all calls; float64."""
    return (np.float64(usual[1]) + p.prior * p.prior_weight) / (np.float64(usual[0]) + p.prior_weight)


@inlined
def marketer_at(keys: Any, worth: Any, rows: Any, caller: Any, time: Any, calls_before: Any) -> Any:
    """Index of a suspect, taken in where it was not one. ``calls_before`` it made this day."""
    at = index_of(keys, caller)
    if at >= 0 and time - rows[at].since < DAY:
        return at
    if at < 0:
        at = room_for(keys, worth, caller)
    keys[at] = caller
    worth[at] = time
    row = rows[at]
    for k in range(4):
        row.seen[k] = 0
    row.blocks[0] = 0
    row.blocks[1] = 0
    row.since = time
    row.callees = np.int32(calls_before)
    row.refusers = np.int32(0)
    row.wronged = np.int32(0)
    row.level = np.int32(NOTHING)
    return at


@inlined
def first_time(row: Any, callee: Any) -> Any:
    """Whether ``callee`` is new to the suspect; remembers it. May take a new one for an old one."""
    z = mix(callee)
    one, other = np.uint64(1) << (z & np.uint64(63)), np.uint64(1) << ((z >> np.uint64(6)) & np.uint64(63))
    first, second = (z >> np.uint64(12)) & np.uint64(3), (z >> np.uint64(14)) & np.uint64(3)
    known = (row.seen[first] & one) != 0 and (row.seen[second] & other) != 0
    row.seen[first] |= one
    row.seen[second] |= other
    return not known


@inlined
def first_of_block(row: Any, callee: Any) -> Any:
    """Whether no refuser of the block of ``callee`` was counted; remembers it."""
    block = callee // 10_000
    half = np.int64(mix(block) & np.uint64(1))
    bit = bit_of(block)
    known = (row.blocks[half] & bit) != 0
    row.blocks[half] |= bit
    return not known


@inlined
def note_callee(row: Any, callee: Any, refuses: Any) -> None:
    """One call of a suspect to ``callee``, who may refuse marketing and is a stranger then."""
    if not first_time(row, callee):
        return
    if not refuses:
        row.callees += np.int32(1)
    elif first_of_block(row, callee):
        row.callees += np.int32(1)
        row.refusers += np.int32(1)


@inlined
def refusing_odds(callees: Any, refusers: Any, usual: Any, p: Any) -> Any:
    """Log-odds for abuse that ``refusers`` among ``callees`` give where ``usual`` is their ordinary share."""
    ordinary = p.ordinary_factor * usual
    if ordinary >= p.abusive:
        return 0.0
    others = max(np.float64(callees - refusers), 0.0)
    return np.float64(refusers) * math.log(p.abusive / ordinary) + others * math.log(
        (1.0 - p.abusive) / (1.0 - ordinary)
    )


@inlined
def look(row: Any, kind: Any, inbound: Any, calls_day: Any, usual: Any, p: Any, f: Any) -> Any:
    """Level of a suspect's call that breaks the rule ``kind``, or is `ALLOWED`; its features into ``f``, but
    for category and minute. ``inbound`` attempts to the caller in the last day; ``usual`` share of refusers.
    """
    odds = refusing_odds(row.callees, row.refusers, usual, p)
    share = inbound / max(inbound + calls_day, 1.0)
    reciprocity = min(max((ABUSIVE_IN_SHARE - share) * RECIPROCITY_SLOPE, RECIPROCITY_LIMIT), 0.0)
    f[:] = 0.0
    f[1], f[2], f[3], f[4] = np.float64(row.callees), np.float64(row.refusers), usual, odds
    f[5], f[6], f[7], f[10] = inbound, reciprocity, np.float64(row.wronged), calls_day
    f[0] = np.float64(kind)
    if kind == OUTSIDE_HOURS:
        return HIGH if f[7] >= p.outside_callees else MEDIUM
    if kind != ALLOWED:
        return HIGH
    f[0] = np.float64(AIMED)
    if f[2] >= p.min_refusers and odds + reciprocity >= p.threshold:
        return HIGH
    if f[2] >= p.notable_refusers and odds + reciprocity >= p.notable:
        return MEDIUM
    return NOTHING


@inlined
def called_lately(row: Any, caller: Any, time: Any) -> Any:
    """Whether ``caller`` may be among those who called the callee of ``row`` within ten minutes."""
    newest = row.newest // 120_000
    for slot in range(newest - 4, newest + 1):
        if abs(time // 120_000 - slot) < 5 and row.counterparts[slot % 5] & bit_of(caller):
            return True
    return False


SELLING = ("", "marketing")
"""Categories of companies whose calls sell, or may."""


@inlined
def sells(company: Any, category: Any) -> Any:
    """Whether calls of a company are counted: those that sell, or may."""
    return company != 0 and (category == 0 or category == MARKETING)


@inlined
def count_company_call(marketers: Any, company: Any, time: Any) -> None:
    """A call of one of a company's numbers that sell."""
    at = marketer_at(marketers.keys, marketers.worth, marketers.rows, -company, time, 0)
    row = marketers.rows[at]
    row.callees += np.int32(1)
    marketers.worth[at] = time + HOUR * np.int64(row.wronged)


@inlined
def count_company_breach(marketers: Any, company: Any, callee: Any) -> Any:
    """The call that was counted last breaks a rule: how many callees the company wronged within a day, and
    how many calls it made."""
    row = marketers.rows[index_of(marketers.keys, -company)]
    if first_time(row, callee):
        row.wronged += np.int32(1)
    return np.float64(row.wronged), np.float64(row.callees)


@pasted
def attempted(row: Any, caller: Any, c: Any, i: Any, s: Any, p: Any, lists: Any, out: Any) -> None:
    """An attempt of the number ``caller``, which ``row`` has counted."""
    callee, time, status = c.callee[i], c.time[i], c.caller_status[i]
    standing = callee_standing(lists, callee, time)
    company, category = company_of(lists, caller, time)
    at = index_of(s.marketers.keys, caller)
    listed = company != 0 or status == 4 or status == 5
    refuses = standing & REFUSES != 0
    if callee > 0 and not listed and (at < 0 or s.marketers.rows[at].level < MEDIUM):
        learn(s.marketers.usual, refuses)
    if standing == 0 and company == 0 and at < 0:
        return
    pair = np.int64(0)
    if standing & PARTICULAR:
        pair = pair_standing(lists, callee, caller, company, category, time)
    minute = local_minute(p.clock, time) if company != 0 else np.int64(0)
    kind = judge(refuses, pair, category, minute, p)
    refuses = refuses and pair & (CONSENTED | CONSENTED_TO_ALL) == 0
    selling = sells(company, category)
    if selling:
        count_company_call(s.marketers, company, time)
    if kind == ALLOWED and (listed or callee <= 0 or (at < 0 and not refuses)):
        return
    inbound = np.float64(0)
    called = find(s.callees, caller)
    if called >= 0:
        own = s.callees.rows[called]
        if acquainted(own, callee) or called_lately(own, callee, time):
            return
        inbound = np.float64(total(own.day_attempts))
    company_wronged, company_calls = np.float64(0), np.float64(0)
    if kind != ALLOWED and selling:
        company_wronged, company_calls = count_company_breach(s.marketers, company, callee)
    calls_day = total(row.day_attempts)
    at = marketer_at(
        s.marketers.keys, s.marketers.worth, s.marketers.rows, caller, time, max(calls_day - 1, 0)
    )
    suspect = s.marketers.rows[at]
    if kind == ALLOWED:
        note_callee(suspect, callee, refuses)
    elif first_time(suspect, callee):
        suspect.wronged += np.int32(1)
    s.marketers.worth[at] = time + HOUR * np.int64(suspect.refusers + suspect.wronged)
    f = out.signals[out.used[0]].features
    usual = usual_share(s.marketers.usual, p)
    level = look(suspect, kind, inbound, np.float64(calls_day), usual, p, f)
    if level == NOTHING:
        return
    suspect.level = np.int32(max(np.int64(suspect.level), level))
    f[8], f[9] = np.float64(category), np.float64(minute)
    f[11], f[12] = company_wronged, company_calls
    aimed = kind == ALLOWED
    rationed = caller if aimed else np.int64(mix2(caller, callee))
    calls = np.int64(suspect.callees) if aimed else np.int64(1)
    speak(out, s.spoken, np.int64(POLICY), rationed, caller, i, time, np.int64(1), calls, level)


class Suspect:
    """A suspect in plain Python, for `look_reference`."""

    def __init__(self, since: int, callees: int) -> None:
        self.since = since
        self.callees = callees
        self.refusers = 0
        self.wronged = 0
        self.level = NOTHING
        self._seen: set[tuple[int, int]] = set()
        self._blocks: set[tuple[int, int]] = set()

    def is_first(self, callee: int) -> bool:
        z = plain_mix(callee)
        bits = {(z >> 12 & 3, z & 63), (z >> 14 & 3, z >> 6 & 63)}
        known = bits <= self._seen
        self._seen |= bits
        return not known

    def note(self, callee: int, refuses: bool) -> None:
        if not self.is_first(callee):
            return
        bit = (plain_mix(callee // 10_000) & 1, plain_mix(callee // 10_000) >> 58)
        if refuses and bit in self._blocks:
            return
        if refuses:
            self._blocks.add(bit)
            self.refusers += 1
        self.callees += 1


def look_reference(
    suspect: Suspect, kind: int, inbound: int, calls_day: int, usual: float, p: PolicyParameters
) -> tuple[int, list[float]]:
    """What `look` decides, and its features but for category and minute."""
    ordinary, others = p.ordinary_factor * usual, max(suspect.callees - suspect.refusers, 0)
    odds = 0.0
    if ordinary < p.abusive:
        odds = suspect.refusers * math.log(p.abusive / ordinary)
        odds += others * math.log((1 - p.abusive) / (1 - ordinary))
    share = inbound / max(inbound + calls_day, 1)
    reciprocity = sorted((RECIPROCITY_LIMIT, (ABUSIVE_IN_SHARE - share) * RECIPROCITY_SLOPE, 0.0))[1]
    features = [float(kind or AIMED), suspect.callees, suspect.refusers, usual, odds, inbound, reciprocity]
    features += [suspect.wronged, 0.0, 0.0, calls_day, 0.0, 0.0]
    if kind:
        early = kind == OUTSIDE_HOURS and suspect.wronged < p.outside_callees
        return (MEDIUM if early else HIGH), features
    if suspect.refusers >= p.min_refusers and odds + reciprocity >= p.threshold:
        return HIGH, features
    if suspect.refusers >= p.notable_refusers and odds + reciprocity >= p.notable:
        return MEDIUM, features
    return NOTHING, features


class Policy:
    """Turns the signals of `look` into findings."""

    name = "policy"

    def __init__(self, settings: PolicySettings) -> None:
        self._parameters = parameters_of(settings)
        self._persistent = settings.persistent

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        f = signal.features
        kind = int(f["kind"])
        aimed = kind == AIMED
        proposals = [_proposed(f, call, aimed or self._persists(f))]
        return Finding(
            subject_type="number",
            subject_value=call.caller_spelled,
            kind=KINDS[kind],
            level=signal.level,
            score=_score(f) if aimed else (0.99 if signal.level >= HIGH else 0.5),
            evidence=self._aim(f) if aimed else self._breach(f),
            message=f"{_sentence_of_aim(f, call) if aimed else _sentence(kind, f, call)}; {_way(call)}.",
            proposals=proposals,
        )

    def _persists(self, f: dict[str, float]) -> bool:
        """Whether a caller or its company goes on breaking rules, and has no calls that people may need to
        get."""
        marketer = CATEGORIES[int(f["category"])] in SELLING
        often = self._is_often(f["wronged"], f["calls_day"])
        return marketer and (often or self._is_often(f["company_wronged"], f["company_calls"]))

    def _is_often(self, wronged: float, calls: float) -> bool:
        return wronged >= max(self._persistent, PERSISTENT_SHARE * calls)

    def _aim(self, f: dict[str, float]) -> Any:
        return weighed(
            [
                ("refuser_share", f["refusers"] / max(f["callees"], 1.0), f["usual_share"], f["refusing"]),
                ("callees", f["callees"], 3, math.log2(1 + f["callees"])),
                ("calls_in_day", f["calls_in_day"], 3, 1.0 if f["calls_in_day"] == 0 else 0.0),
            ]
        )

    def _breach(self, f: dict[str, float]) -> Any:
        hour = 1.0 if f["kind"] == OUTSIDE_HOURS else 0.0
        others = max(f["company_wronged"] - f["wronged"], 0.0)
        return weighed(
            [
                ("kind", f["kind"], 0, 3.0),
                ("wronged", f["wronged"], 0, math.log2(1 + f["wronged"])),
                ("company_wronged", f["company_wronged"], 0, math.log2(1 + others)),
                ("local_minute", f["local_minute"], 720, 2 * hour),
            ]
        )


def _score(f: dict[str, float]) -> float:
    return score_of(f["refusing"] + f["reciprocity"])


def _proposed(f: dict[str, float], call: Call, whole: bool) -> Any:
    """The caller where it is aimed at refusers or goes on against them, else this caller to this callee."""
    if whole:
        return proposal(call.caller_match, f["calls_day"], 1, f["callees"])
    return proposal(Match(caller=f"+{call.caller}", callee=f"+{call.callee}"), 1, 1, 1)


def _sentence_of_aim(f: dict[str, float], call: Call) -> str:
    back = "nobody called it" if f["calls_in_day"] == 0 else f"it was called {f['calls_in_day']:.0f} times"
    return (
        f"{call.caller_spelled} called about {f['callees']:.0f} strangers today of whom {f['refusers']:.0f} "
        f"refuse marketing calls ({f['usual_share']:.0%} of callees is usual), and {back}"
    )


_WHY = {
    REFUSED_CALL: "who refused this caller, its company or calls of its kind",
    UNWANTED_MARKETING: "who refuses marketing calls and did not consent to its",
    NO_CONSENT: "whose consent such calls need and do not have",
}


def _sentence(kind: int, f: dict[str, float], call: Call) -> str:
    category = CATEGORIES[int(f["category"])]
    named = f"{call.caller_spelled} ({category})" if category else call.caller_spelled
    if kind == OUTSIDE_HOURS:
        hour, minute = divmod(int(f["local_minute"]), 60)
        why = f"at {hour:02d}:{minute:02d} local time, outside the hours of its calls"
    else:
        why = _WHY[kind]
    who = "its company broke" if f["company_wronged"] > f["wronged"] else "broke"
    others = max(f["wronged"], f["company_wronged"]) - 1
    more = f", and {who} a list or the hours with {others:.0f} others today"
    return f"{named} called {call.callee_spelled}, {why}{more if others > 0 else ''}"


def _way(call: Call) -> str:
    return f"trunk {call.trunk or 'unknown'}, from {call.from_network or 'unknown'}"
