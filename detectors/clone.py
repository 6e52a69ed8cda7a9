"""Clone: one number that calls from two networks at times that cannot both be true.

Nearly every number is only ever seen from one network, so that the gate is one comparison with the network
that most of the number's calls came from (a majority vote in its row). From its first call from another one
on, a number is *watched*: its last attempts and talks are noted with their networks.

- *Overlap*: an attempt from one network inside a talk from another, to another callee. A subscriber has one
  telephone; of one talk two attempts count, since one may be a transfer. Where the talk was with the very
  network that the attempt came from, the far end may have transferred it: the first few such talks do not
  count, and one attempt of each after them, where the number has one line. An attempt inside a talk of its
  own network shows a number with several lines, and takes two overlaps away; a number that is not mobile
  starts with one such.
- *Alternation*: a change of network within minutes, after the first.
- *Outcome*: of the calls from elsewhere, what became of them, as in ``detectors.burst``.

Nothing is seen in a call from abroad, of a confirmed roamer, with a redirecting number, or to a callee that
the same number called within two to four minutes before: that is the same call in transit, or a redial.

A number's own network is what the portability list says, else the operator of its range where the number was
seen from there thrice, else where eight more of its calls came from than from elsewhere. A number that turns
up on two networks, neither of them its range's, can have been ported to one at most: it is nowhere at home,
and with two overlaps more it is stopped on both. Where the other
network ordinarily carries numbers of that one (learnt from how many numbers are seen so), alternation and
outcome say nothing.

A rule stops the number on the network that is not its own: the subscriber goes on calling. It needs two
overlaps; without one there may be an alert where the own network is sure. A number that has not called from
its own network for an hour, and more often from the other, may have been ported: it is no longer watched,
unless it was proposed.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import CloneSettings
from detectors.alert import Match
from detectors.calls import NumberKind, text_hash
from detectors.kernels import inlined, mix2, pasted, popcount
from detectors.lists import network_key, ported
from detectors.plain import Counts, bit64, estimate
from detectors.shape import (
    CLONE,
    HIGH,
    MEDIUM,
    NOTHING,
    Call,
    Feature,
    Finding,
    Signal,
    proposal,
    score_of,
    weighed,
)
from detectors.signals import speak
from detectors.sketches import LINEAR, bit_of
from detectors.subjects import index_of, power_of_two, zeros
from detectors.suspects import room_for
from detectors.windows import DAY, HOUR, SHORT_TALK_MS, is_failure

FEATURES = (
    Feature("callees", "numbers", "distinct callees called from elsewhere, estimated up to some 180", 0),
    Feature("calls_elsewhere", "calls", "attempts from networks that are not the number's own", 0),
    Feature("overlaps", "talks", "during which the number called from another network", 0),
    Feature("own_overlaps", "talks", "during which the number called from the same network", 0),
    Feature("changes", "changes", "of network within minutes, after the first", 0),
    Feature("ends", "calls", "from elsewhere that are over", 0),
    Feature("talked", "calls", "those answered for more than 6 s", 0),
    Feature("impossible", "log-odds", "for abuse, of the overlaps", 0),
    Feature("alternation", "log-odds", "for abuse, of the changes", 0),
    Feature("outcome", "log-odds", "for abuse, of the calls from elsewhere", 0),
    Feature("usual", "share", "of the own network's numbers that are seen on the other one too", 0),
    Feature("sure", "code", "1 where the number's own network is sure, else 0", 1),
)
EVIDENCE = (Feature("talked_share", "share", "of the calls from elsewhere that are over", 0.5),)
"""What an alert lists besides."""

ATTEMPTS, TALKS = 8, 6
MOST_VOTES = 64
WATCHED = np.uint16(0x8000)
"""Bit of ``network_votes``: the number is watched."""
_VOTES = np.uint16(0x7FFF)
HABITUAL_CALLS, PLANNED_CALLS = 8, 3
"""Calls from a network that make it the number's own; the same where its range is of that network."""
MOST_CHANGES = 4
OUTCOME_LIMITS = (-4.0, 3.0)
LONG_SHARE = 100.0
"""Numbers of a network that are taken for seen on one network only, before any were."""
HABITS = 1 << 10
NAMELESS = np.uint64(text_hash(""))

WATCH = np.dtype(
    [
        ("time", np.int64, (ATTEMPTS,)),
        ("callee", np.int64, (ATTEMPTS,)),
        ("network", np.uint64, (ATTEMPTS,)),
        ("begin", np.int64, (TALKS,)),
        ("end", np.int64, (TALKS,)),
        ("whom", np.int64, (TALKS,)),
        ("sender", np.uint64, (TALKS,)),
        ("toward", np.uint64, (TALKS,)),
        ("own", np.uint64),
        ("callees", np.uint64),
        ("since", np.int64),
        ("changed", np.int64),
        ("home", np.int64),
        ("last", np.uint64),
        ("told", np.uint8, (TALKS,)),
        ("attempts", np.int32),
        ("talks", np.int32),
        ("elsewhere", np.int32),
        ("overlaps", np.int32),
        ("own_overlaps", np.int32),
        ("transfers", np.int32),
        ("changes", np.int32),
        ("ends", np.int32),
        ("talked", np.int32),
        ("basis", np.int32),
        ("homes", np.int32),
        ("level", np.int32),
    ],
    align=True,
)
"""A watched number. Its last attempts: ``time`` (ms), ``callee``, ``network``; its last talks: ``begin`` and
``end`` (ms), ``whom`` with, from which network (``sender``) ``toward`` which, ``told`` 1 and 4 overlapped
once and twice, 2 on its own network, 8 perhaps transferred. ``callees`` bitmap of those called from
elsewhere; ``last`` network and time (``changed``) of the newest attempt; ``home`` ms, the newest from its own
network, ``homes`` how many there were; ``basis`` why that is its own: one of the constants below."""
ELSEWHERE, HABITUAL, PLANNED, LISTED, NOWHERE = range(-1, 4)
"""The plan says another network; calls came from it; the plan agrees; the portability list says so; no call
came from the one that the plan says."""
NOWHERE_OVERLAPS = 2.0
"""Overlaps more that a number needs which is nowhere at home."""
TRANSFERS = 3
"""Talks with the network of a later attempt that may have been transferred."""
MOST_BITS = 24
"""Bits of 64 from which a bitmap of callees no longer tells whom the number called just now. A subscriber
calls some 30 people in two minutes at most."""

HABIT = np.dtype([("key", np.uint64), ("numbers", np.int64)])
"""How many numbers of one network were seen on another, or (both the same) were seen."""


class Clones(NamedTuple):
    """Watched numbers: ``keys`` and ``worth`` as in ``detectors.suspects``, ``rows`` `WATCH` (n,);
    ``habits`` `HABIT` (`HABITS`,)."""

    keys: npt.NDArray[np.int64]
    worth: npt.NDArray[np.int64]
    rows: npt.NDArray[Any]
    habits: npt.NDArray[Any]


def new_clones(numbers: int) -> Clones:
    n = power_of_two(numbers)
    return Clones(zeros(n, np.int64), zeros(n, np.int64), zeros(n, WATCH), zeros(HABITS, HABIT))


class CloneParameters(NamedTuple):
    on: bool
    skew_ms: int
    near_ms: int
    overlap: float
    """Log-odds that an overlap adds."""
    change: float
    unwanted: float
    talked: float
    usual: float
    min_callees: float
    quiet_callees: float
    min_overlaps: float
    threshold: float
    notable: float


def parameters_of(settings: CloneSettings) -> CloneParameters:
    a, o = settings.abusive_talked, settings.ordinary_talked
    return CloneParameters(
        on=settings.mode != "off",
        skew_ms=settings.skew_ms,
        near_ms=settings.near_ms,
        overlap=math.log(settings.overlap_odds),
        change=math.log(settings.change_odds),
        unwanted=math.log((1 - a) / (1 - o)),
        talked=math.log(a / o),
        usual=settings.usual_share,
        min_callees=float(settings.min_callees),
        quiet_callees=float(settings.quiet_callees),
        min_overlaps=float(settings.min_overlaps),
        threshold=math.log(settings.odds),
        notable=math.log(settings.notable_odds),
    )


# --- what networks ordinarily carry


@inlined
def _habit(habits: Any, own: Any, network: Any) -> Any:
    """Index of the habit of these two networks; -1 where it is not kept and there is no room in its eight."""
    key = mix2(own, network)
    base = np.int64(key & np.uint64(HABITS - 1)) & ~7
    for k in range(base, base + 8):
        if habits[k].key == key:
            return k
        if habits[k].key == 0:
            habits[k].key = key
            return k
    return -1


@inlined
def _one_more(habits: Any, own: Any, network: Any) -> None:
    at = _habit(habits, own, network)
    if at >= 0:
        habits[at].numbers += 1


@inlined
def usual_share(habits: Any, own: Any, network: Any) -> Any:
    """Share of the numbers of ``own`` that were seen on ``network`` too, but for one; float64."""
    pair, all_of = _habit(habits, own, network), _habit(habits, own, own)
    if pair < 0 or all_of < 0:
        return 1.0
    seen = np.float64(max(habits[pair].numbers - 1, 0))
    return seen / (np.float64(habits[all_of].numbers) + LONG_SHARE)


# --- one number


@inlined
def vote(row: Any, network: Any) -> Any:
    """One call of the number of ``row`` from ``network``: whether it is the number's first."""
    flag, votes = row.network_votes & WATCHED, row.network_votes & _VOTES
    fresh = votes == 0 and row.network == 0
    if votes == 0:
        row.network = network
        votes = np.uint16(1)
    elif row.network != network:
        votes -= np.uint16(1)
    elif votes < MOST_VOTES:
        votes += np.uint16(1)
    row.network_votes = flag | votes
    return fresh


@inlined
def called_just_now(row: Any, callee: Any, time: Any) -> Any:
    """Whether ``callee`` may be among those called in the two minutes of ``time`` (ms) or the two before, as
    far as ``row`` has counted."""
    slot, newest = time // 120_000, row.newest // 120_000
    now = 0 <= newest - slot < 5 and _tells(row.counterparts[slot % 5], callee)
    before = 0 <= newest - slot + 1 < 5 and _tells(row.counterparts[(slot - 1) % 5], callee)
    return now or before


@inlined
def _tells(bitmap: Any, callee: Any) -> Any:
    return bitmap & bit_of(callee) != 0 and popcount(bitmap) < MOST_BITS


@inlined
def own_network(row: Any, network: Any, listed: Any, operator: Any) -> Any:
    """The number's own network (uint64) and the basis of that: ``row`` of its calls so far, ``network`` it
    calls from now, ``listed`` as ``lists.ported`` gives it, ``operator`` of its range."""
    habit = row.network
    if listed != 0:
        if network_key(habit) == listed:
            return habit, LISTED
        return (network, LISTED) if network_key(network) == listed else (habit, ELSEWHERE)
    if operator == habit:
        return habit, PLANNED
    if operator != network:
        if operator != NAMELESS and row.network_votes & _VOTES < PLANNED_CALLS:
            return operator, NOWHERE
        return habit, HABITUAL
    return (habit, ELSEWHERE) if row.network_votes & _VOTES >= HABITUAL_CALLS else (network, ELSEWHERE)


@inlined
def is_sure(basis: Any, homes: Any) -> Any:
    """Whether a number's own network is sure, where ``homes`` of its calls came from there."""
    if basis in (LISTED, NOWHERE):
        return True
    return (basis == PLANNED and homes >= PLANNED_CALLS) or (basis == HABITUAL and homes >= HABITUAL_CALLS)


@inlined
def _wipe(watch: Any, own: Any, basis: Any, homes: Any, lines: Any, time: Any) -> None:
    watch.own = own
    watch.basis = np.int32(basis)
    watch.homes = np.int32(homes)
    watch.callees = np.uint64(0)
    watch.since = time
    watch.changed = time
    watch.home = time
    watch.last = own
    watch.attempts = np.int32(0)
    watch.talks = np.int32(0)
    watch.elsewhere = np.int32(0)
    watch.overlaps = np.int32(0)
    watch.own_overlaps = np.int32(lines)
    watch.transfers = np.int32(0)
    watch.changes = np.int32(0)
    watch.ends = np.int32(0)
    watch.talked = np.int32(0)
    watch.level = np.int32(NOTHING)


@inlined
def _held(written: Any, room: Any) -> Any:
    """How many of a ring are in use."""
    return np.int64(written) if written < room else np.int64(room)


@inlined
def _compare(watch: Any, a: Any, t: Any, skew_ms: Any) -> None:
    """Hold the noted attempt ``a`` against the noted talk ``t``."""
    time, network, sender = watch.time[a], watch.network[a], watch.sender[t]
    if watch.callee[a] == watch.whom[t]:
        return
    if not watch.begin[t] + skew_ms < time < watch.end[t] - skew_ms:
        return
    if network == sender:
        if network == watch.own and watch.told[t] & 2 == 0:
            watch.told[t] |= np.uint8(2)
            watch.own_overlaps += np.int32(1)
    elif network == watch.toward[t]:
        if watch.told[t] & 8 == 0 and watch.own_overlaps == 0:
            watch.told[t] |= np.uint8(8)
            watch.transfers += np.int32(1)
            watch.overlaps += np.int32(1 if watch.transfers > TRANSFERS else 0)
    elif watch.told[t] & 5 != 5:
        watch.told[t] |= np.uint8(1 if watch.told[t] & 1 == 0 else 4)
        watch.overlaps += np.int32(1)


@inlined
def note_attempt(watch: Any, time: Any, callee: Any, network: Any, p: Any) -> None:
    """One attempt of a watched number."""
    a = np.int64(watch.attempts) % ATTEMPTS
    watch.time[a] = time
    watch.callee[a] = callee
    watch.network[a] = network
    watch.attempts += np.int32(1)
    for t in range(_held(watch.talks, TALKS)):
        _compare(watch, a, t, p.skew_ms)
    if network != watch.last and abs(time - watch.changed) <= p.near_ms:
        watch.changes += np.int32(1)
    watch.last = network
    watch.changed = time
    if network == watch.own:
        watch.home = max(watch.home, time)
        watch.homes += np.int32(1)
    else:
        watch.elsewhere += np.int32(1)
        watch.callees |= bit_of(callee)


@inlined
def note_talk(watch: Any, begin: Any, end: Any, callee: Any, network: Any, toward: Any, p: Any) -> None:
    """One talk of a watched number, over."""
    t = np.int64(watch.talks) % TALKS
    watch.begin[t] = begin
    watch.end[t] = end
    watch.whom[t] = callee
    watch.sender[t] = network
    watch.toward[t] = toward
    watch.told[t] = np.uint8(0)
    watch.talks += np.int32(1)
    for a in range(_held(watch.attempts, ATTEMPTS)):
        _compare(watch, a, t, p.skew_ms)


@inlined
def look(watch: Any, usual: Any, p: Any, f: Any) -> Any:
    """Level of a watched number's call from elsewhere; its features into ``f``. ``usual``: `usual_share`."""
    callees = LINEAR[popcount(watch.callees)]
    if callees < p.min_callees:
        return NOTHING
    overlaps = np.float64(watch.overlaps) - 2.0 * np.float64(watch.own_overlaps)
    changes = max(np.float64(watch.changes) - 1.0, 0.0)
    ends, talked = np.float64(watch.ends), np.float64(watch.talked)
    sure = is_sure(watch.basis, watch.homes)
    impossible = max(overlaps, 0.0) * p.overlap
    alternation, outcome = 0.0, 0.0
    if usual <= p.usual:
        alternation = min(changes, np.float64(MOST_CHANGES)) * p.change
        outcome = (ends - talked) * p.unwanted + talked * p.talked
        outcome = min(max(outcome, OUTCOME_LIMITS[0]), OUTCOME_LIMITS[1])
    f[:] = 0.0
    f[0], f[1], f[2] = callees, np.float64(watch.elsewhere), np.float64(watch.overlaps)
    f[3], f[4], f[5], f[6] = np.float64(watch.own_overlaps), changes, ends, talked
    f[7], f[8], f[9], f[10], f[11] = impossible, alternation, outcome, usual, 1.0 if sure else 0.0
    odds = impossible + alternation + outcome
    needed = p.min_overlaps + (NOWHERE_OVERLAPS if watch.basis == NOWHERE else 0.0)
    if overlaps >= needed and sure and odds >= p.threshold:
        return HIGH
    if odds < p.notable:
        return NOTHING
    if overlaps >= 1.0:
        return MEDIUM
    return MEDIUM if sure and callees >= p.quiet_callees and changes >= 1.0 else NOTHING


@pasted
def called(row: Any, caller: Any, c: Any, i: Any, news: Any, s: Any, p: Any, lists: Any, out: Any) -> None:
    """A call of the number ``caller``, whose ``row`` was advanced to it and has not counted it."""
    network = c.networks[c.from_network[i]]
    if c.gateway[i] == 1 or c.roaming[i] == 1 or c.redirecting[i] != 0 or network == NAMELESS:
        return
    if news & 1 and vote(row, network):
        _one_more(s.clones.habits, network, network)
    if row.network != network or row.network_votes & WATCHED:
        _watched(row, caller, c, i, news, network, s, p, lists, out)


@pasted
def _watched(
    row: Any, caller: Any, c: Any, i: Any, news: Any, network: Any, s: Any, p: Any, lists: Any, out: Any
) -> None:
    clones, time, callee = s.clones, c.time[i], c.callee[i]
    at = index_of(clones.keys, caller)
    if at >= 0:
        watch = clones.rows[at]
        moved = row.network != watch.own and time - watch.home >= HOUR and watch.level < HIGH
        if time - watch.since >= DAY or moved:
            clones.keys[at] = 0
            at = -1
    if at < 0:
        row.network_votes = row.network_votes & _VOTES
        if news & 1 == 0 or row.network == network or called_just_now(row, callee, time):
            return
        listed = ported(lists, caller, time)
        own, basis = own_network(row, network, listed, c.operators[c.caller_operator[i]])
        at = room_for(clones.keys, clones.worth, caller)
        clones.keys[at] = caller
        homes = np.int64(row.network_votes & _VOTES) + 1 if own == row.network else np.int64(0)
        lines = 0 if c.caller_kind[i] == NumberKind.MOBILE else 1
        _wipe(clones.rows[at], own, basis, homes, lines, time)
        row.network_votes = row.network_votes | WATCHED
        _one_more(clones.habits, own, network if network != own else row.network)
    watch = clones.rows[at]
    if news & 1 and not called_just_now(row, callee, time):
        note_attempt(watch, time, callee, network, p)
    if news & 2:
        talk_ms = np.int64(c.talk_ms[i])
        answered = time + np.int64(max(c.ring_ms[i], 0)) if c.type[i] == 2 else time - talk_ms
        if c.answered[i] == 1 and talk_ms > 0:
            note_talk(watch, answered, answered + talk_ms, callee, network, c.receivers[c.to_network[i]], p)
        if network != watch.own and not is_failure(c.answered[i], c.cause[i], c.sip_code[i]):
            watch.ends += np.int32(1)
            watch.talked += np.int32(1 if c.answered[i] == 1 and not 0 <= talk_ms <= SHORT_TALK_MS else 0)
    clones.worth[at] = time + HOUR * np.int64(watch.overlaps + watch.level)
    if network == watch.own:
        return
    f = out.signals[out.used[0]].features
    level = look(watch, usual_share(clones.habits, watch.own, network), p, f)
    if level != NOTHING:
        watch.level = np.int32(max(np.int64(watch.level), level))
        key = np.int64(mix2(caller, network))
        calls = np.int64(watch.elsewhere)
        speak(out, s.spoken, np.int64(CLONE), key, caller, i, time, news & 1, calls, level)


class _Talk(NamedTuple):
    begin: int
    end: int
    callee: int
    network: str
    toward: str
    told: set[str]


class Watch:
    """A watched number in plain Python, for `look_reference`."""

    def __init__(self, own: str, basis: int, homes: int, lines: int, time: int) -> None:
        self.own = own
        self.basis = basis
        self.homes = homes
        self.since = time
        self.newest = (time, own)
        self.home = time
        self.own_overlaps = lines
        self.overlaps = self.transfers = self.changes = self.elsewhere = self.ends = self.talked = 0
        self.level = NOTHING
        self.callees: list[int] = []
        self._attempts: list[tuple[int, int, str]] = []
        self._talks: list[_Talk] = []

    def attempt(self, time: int, callee: int, network: str, p: CloneParameters) -> None:
        self._attempts = [*self._attempts, (time, callee, network)][-ATTEMPTS:]
        for talk in self._talks:
            self._compare((time, callee, network), talk, p)
        self.changes += network != self.newest[1] and abs(time - self.newest[0]) <= p.near_ms
        self.newest = (time, network)
        if network == self.own:
            self.home = max(self.home, time)
            self.homes += 1
        else:
            self.elsewhere += 1
            self.callees.append(callee)

    def talk(self, begin: int, end: int, callee: int, network: str, toward: str, p: CloneParameters) -> None:
        talk = _Talk(begin, end, callee, network, toward, set())
        self._talks = [*self._talks, talk][-TALKS:]
        for attempt in self._attempts:
            self._compare(attempt, talk, p)

    def _compare(self, attempt: tuple[int, int, str], talk: _Talk, p: CloneParameters) -> None:
        time, callee, network = attempt
        if callee == talk.callee or not talk.begin + p.skew_ms < time < talk.end - p.skew_ms:
            return
        if network == talk.network:
            self.own_overlaps += network == self.own and "own" not in talk.told
            talk.told.add("own")
        elif network == talk.toward:
            if "transferred" not in talk.told and self.own_overlaps == 0:
                self.transfers += 1
                self.overlaps += self.transfers > TRANSFERS
                talk.told.add("transferred")
        else:
            self.overlaps += "twice" not in talk.told
            talk.told.add("twice" if "once" in talk.told else "once")


class Votes:
    """Where a number's calls came from, in plain Python; and its watch."""

    def __init__(self) -> None:
        self.network = ""
        self.votes = 0
        self.watch: Watch | None = None

    def vote(self, network: str) -> bool:
        fresh = not self.network
        if self.votes == 0:
            self.network, self.votes = network, 1
        elif network != self.network:
            self.votes -= 1
        else:
            self.votes = min(self.votes + 1, MOST_VOTES)
        return fresh

    def own(self, network: str, listed: str, operator: str) -> tuple[str, int]:
        if listed:
            return (listed, LISTED) if listed in (self.network, network) else (self.network, ELSEWHERE)
        if operator == self.network:
            return self.network, PLANNED
        if operator != network:
            new = bool(operator) and self.votes < PLANNED_CALLS
            return (operator, NOWHERE) if new else (self.network, HABITUAL)
        return (self.network if self.votes >= HABITUAL_CALLS else network), ELSEWHERE


def share_reference(habits: Counter[tuple[str, str]], own: str, network: str) -> float:
    return max(habits[own, network] - 1, 0) / (habits[own, own] + LONG_SHARE)


def just_called(counts: Counts, callee: int, time: int) -> bool:
    """As `called_just_now`, from the attempts counted so far."""
    now, head = time // 120_000, counts.newest // 120_000
    for slot in (now - 1, now):
        bits = {bit64(a.counterpart) for a in counts.attempts if a.time // 120_000 == slot}
        if 0 <= head - slot < 5 and bit64(callee) in bits and len(bits) < MOST_BITS:
            return True
    return False


def look_reference(watch: Watch, usual: float, p: CloneParameters) -> tuple[int, list[float]]:
    """What `look` decides, and its features."""
    callees = estimate(watch.callees)
    overlaps, changes = watch.overlaps - 2 * watch.own_overlaps, max(watch.changes - 1, 0)
    impossible = max(overlaps, 0) * p.overlap
    alternation = outcome = 0.0
    if usual <= p.usual:
        alternation = min(changes, MOST_CHANGES) * p.change
        outcome = (watch.ends - watch.talked) * p.unwanted + watch.talked * p.talked
        outcome = sorted((OUTCOME_LIMITS[0], outcome, OUTCOME_LIMITS[1]))[1]
    features = [callees, watch.elsewhere, watch.overlaps, watch.own_overlaps, changes, watch.ends]
    homes = {LISTED: 0, NOWHERE: 0, PLANNED: PLANNED_CALLS, HABITUAL: HABITUAL_CALLS}.get(watch.basis)
    sure = homes is not None and watch.homes >= homes
    needed = p.min_overlaps + (NOWHERE_OVERLAPS if watch.basis == NOWHERE else 0)
    features += [watch.talked, impossible, alternation, outcome, usual, float(sure)]
    odds = impossible + alternation + outcome
    if callees < p.min_callees:
        return NOTHING, []
    if overlaps >= needed and sure and odds >= p.threshold:
        return HIGH, features
    quiet = sure and callees >= p.quiet_callees and changes >= 1
    return (MEDIUM if odds >= p.notable and (overlaps >= 1 or quiet) else NOTHING), features


class Clone:
    """Turns the signals of `look` into findings."""

    name = "clone"

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        f = signal.features
        odds = f["impossible"] + f["alternation"] + f["outcome"]
        match = Match(caller=f"+{call.caller}", network=call.from_network)
        proposals = [proposal(match, f["calls_elsewhere"], 1, f["callees"])]
        return Finding(
            subject_type="number",
            subject_value=call.caller_spelled,
            kind="cloned_number",
            level=signal.level,
            score=score_of(odds),
            evidence=weighed(
                [
                    ("overlaps", f["overlaps"], 0, f["impossible"]),
                    ("changes", f["changes"], 0, f["alternation"]),
                    ("talked_share", f["talked"] / max(f["ends"], 1.0), 0.5, f["outcome"]),
                    ("callees", f["callees"], 0, math.log2(1 + f["callees"])),
                ]
            ),
            message=_sentence(f, call),
            proposals=proposals if signal.level >= HIGH or f["sure"] else [],
            only_on=call.from_network if f["sure"] else "",
        )


def _sentence(f: dict[str, float], call: Call) -> str:
    times = "once" if f["overlaps"] == 1 else f"{f['overlaps']:.0f} times"
    during = f"{times} during a talk from another network" if f["overlaps"] else "between calls from its own"
    own = "" if f["sure"] else "; which network is its own is not sure"
    return (
        f"{call.caller_spelled} called about {f['callees']:.0f} numbers from networks that are not its own, "
        f"{during}; {f['talked']:.0f} of {f['ends']:.0f} such calls became talk{own}; last from "
        f"{call.from_network} over trunk {call.trunk or 'unknown'}."
    )
