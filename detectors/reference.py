"""The fold again in plain Python: what the kernels are held to, row by row.

It forgets nothing, so it agrees with the kernels as long as no table is full. It is for tests and for
reading, not for traffic.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from detectors import (
    burst,
    clone,
    flood,
    foreign_gateway,
    misrouted,
    neighbour,
    policy,
    rotation,
    unallocated,
)
from detectors.calls import NumberKind, text_hash
from detectors.candidates import Happening, SuspectsReference
from detectors.fold import Parameters
from detectors.lists import CATEGORIES
from detectors.plain import Attempt, Counts, Outcome, circle, mix2
from detectors.plain_lists import PlainLists
from detectors.plain_trails import FORGET_MS, Ringer, Suspect, Trail, is_familiar
from detectors.shape import (
    BURST_NUMBER,
    CLONE,
    FLOOD,
    FOREIGN_GATEWAY,
    FOREIGN_GATEWAY_BLOCK,
    HIGH,
    MEDIUM,
    MISROUTED,
    NEIGHBOUR,
    NOTHING,
    POLICY,
    PREFIX_PROBE,
    ROTATION,
    SWEEP,
    SWEEP_BLOCK,
    UNALLOCATED,
    WANGIRI,
    WANGIRI_BLOCK,
)
from detectors.shares import OF_A_BLOCK
from detectors.signals import BRIEF, BUSY, FAILED, GIVEN_UP, PENDING, TALKED, UNWANTED
from detectors.windows import SHORT_TALK_MS
from detectors.wrong_place import LEARNT, STRONG, TOLD, PlainShares, PlainSuspect


def _is_failure(row: Mapping[str, Any]) -> bool:
    if row["answered"] == 1:
        return False
    if 0 < row["cause"] < 64:
        return row["cause"] in (27, 34, 38, 41, 42, 43, 44, 47)
    return bool(row["cause"] < 0 and 500 <= row["sip_code"] <= 504)


def _is_invalid(row: Mapping[str, Any]) -> bool:
    if row["answered"] == 1:
        return False
    return bool(row["cause"] == 1 or (row["cause"] < 0 and row["sip_code"] in (404, 484, 604)))


def _is_busy(row: Mapping[str, Any]) -> bool:
    if row["answered"] == 1:
        return False
    return bool(row["cause"] == 17 or (row["cause"] < 0 and row["sip_code"] in (486, 600)))


def _is_talk(row: Mapping[str, Any]) -> bool:
    return bool(row["answered"] == 1 and not 0 <= row["talk_ms"] <= 20_000)


def _happened(row: Mapping[str, Any], news: set[str]) -> list[Happening]:
    """What a suspect's reference counts of a caller's row."""
    found = []
    if "attempt" in news:
        found.append(Happening(row["time"], "attempt", row["callee"]))
    if "outcome" in news:
        time, ring_ms, talk_ms = row["time"], row["ring_ms"], row["talk_ms"]
        if row["type"] == 1:
            time -= max(ring_ms, 0) + max(talk_ms, 0)
        if _is_failure(row):
            return [*found, Happening(time, "failed")]
        found.append(Happening(time, "end", ring_ms=ring_ms))
        if row["answered"] == 1:
            found.append(Happening(time, "answered", talk_ms=talk_ms))
        elif row["released_by"] == 1 and 0 <= ring_ms <= 4_000:
            found.append(Happening(time, "one_ring"))
        for what, applies in (("invalid", _is_invalid), ("busy", _is_busy), ("refused", _is_refused)):
            if applies(row):
                found.append(Happening(time, what))
    return found


def _is_refused(row: Mapping[str, Any]) -> bool:
    if row["answered"] == 1:
        return False
    return bool(row["cause"] == 21 or (row["cause"] < 0 and row["sip_code"] in (603, 607)))


class Said(NamedTuple):
    """A signal, as the kernel writes it."""

    row: int
    pattern: int
    key: int
    level: int
    calls: int
    features: list[float]


class _Clue(NamedTuple):
    """What suspicion must know of a caller as it was before the row."""

    key: int
    known: bool
    before: int


S = TypeVar("S", bound=Suspect)


class Spoken(NamedTuple):
    last: int
    told: int
    times: int
    untold: int
    level: int


class Reference:
    """One partition. ``see`` takes one row after the other and tells what is signalled."""

    def __init__(self, parameters: Parameters, lists: PlainLists | None = None) -> None:
        self._p = parameters
        self._lists = lists or PlainLists()
        self.marketers: dict[int, policy.Suspect] = {}
        self.companies: dict[str, policy.Suspect] = {}
        self.votes: dict[int, clone.Votes] = defaultdict(clone.Votes)
        self.habits: Counter[tuple[str, str]] = Counter()
        self.usual = [0, 0]
        self.callers: dict[int, Counts] = defaultdict(Counts)
        self.blocks: dict[int, Counts] = defaultdict(Counts)
        self.callees: dict[int, Counts] = defaultdict(Counts)
        self.watched: dict[int, list[list[int]]] = defaultdict(list)
        """Callee to its noted attempts: caller, call, outcome, stranger."""
        self.shares = PlainShares()
        self.misplaced: dict[tuple[int, int], PlainSuspect] = {}
        """By block and wrong way."""
        self.trunks: dict[int, neighbour.PlainTrunk] = {}
        self.trails: dict[int, Trail] = {}
        self.block_trails: dict[int, Trail] = {}
        self.ringers: dict[int, Ringer] = {}
        self.block_ringers: dict[int, Ringer] = {}
        self._events: set[tuple[int, int]] = set()
        self._calls: dict[tuple[int, ...], tuple[set[str], int]] = {}
        self._pairs: dict[tuple[int, ...], tuple[int, str]] = {}
        self._spoken: dict[tuple[int, int], Spoken] = {}
        self._arrivals: list[tuple[int, bool]] = []
        self._received: list[int] = []
        """Slot of 10 min of each call to somebody here that became talk."""
        """Slot of 10 min and newcomer, of each call of a light caller."""
        self._arrived = 0
        self.duplicates = 0
        self.late = 0
        self.newest = 0
        self._said: list[Said] = []
        self.suspects = SuspectsReference(parameters.candidates)

    def see(self, index: int, row: Mapping[str, Any]) -> list[Said]:
        """``row`` has the columns of a frame, and ``trunk_hash``; ``index`` names it in what is said."""
        self._said = []
        self.newest = max(self.newest, row["time"])
        self.late += self.newest - row["time"] > self._p.lateness_ms
        news = self._news(row)
        if not news:
            self.duplicates += 1
        elif row["role"] == 0:
            self._caller(index, row, news)
        else:
            self._callee(index, row, news)
        return self._said

    def _news(self, row: Mapping[str, Any]) -> set[str]:
        event = (row["event"], row["role"])
        if event in self._events:
            return set()
        self._events.add(event)
        told: set[str] = ({"attempt"}, {"outcome"}, {"attempt", "outcome"})[row["type"]]
        news = self._of_call(row, told)
        if row["caller"] < 0 and row["caller_status"] == 7:
            return news
        times = {"attempt": row["time"], "outcome": row["time"]}
        if row["type"] == 2:
            times["outcome"] += max(row["ring_ms"], 0) + max(row["talk_ms"], 0)
        return {
            what for what in ("attempt", "outcome") if what in news and not self._elsewhere(row, what, times)
        }

    def _of_call(self, row: Mapping[str, Any], told: set[str]) -> set[str]:
        key = (row["call"], row["caller"], row["callee"], row["role"])
        time: int = row["time"]
        counted, at = self._calls.get(key, (set[str](), time))
        if not counted or ("attempt" in told and time > at + 10_000):
            self._calls[key] = (set(told), time)
            return set(told)
        if "attempt" in told and "attempt" in counted and time < at - 10_000:
            return set(told)
        if "attempt" in told and "attempt" not in counted:
            at = time
        self._calls[key] = (counted | told, at)
        return told - counted

    def _elsewhere(self, row: Mapping[str, Any], what: str, times: Mapping[str, int]) -> bool:
        key = (row["caller"], row["callee"], row["role"], what == "outcome")
        time, network = times[what], row["from_network"]
        held = self._pairs.get(key)
        if held is not None and held[1] != network and abs(time - held[0]) <= 2_000:
            return True
        if held is None or time >= held[0]:
            self._pairs[key] = (time, network)
        return False

    def _key(self, row: Mapping[str, Any]) -> int:
        caller: int = row["caller"]
        if caller > 0:
            return caller
        if caller == 0 or row["caller_status"] == 7:
            return 0
        return -1 - (mix2(caller, row["trunk_hash"]) >> 1)

    def _count(self, counts: Counts, row: Mapping[str, Any], news: set[str], counterpart: int) -> None:
        if "attempt" in news:
            counts.attempts.append(Attempt(row["time"], counterpart))
        if "outcome" in news:
            time = row["time"]
            if row["type"] == 1:
                time -= max(row["ring_ms"], 0) + max(row["talk_ms"], 0)
            if _is_failure(row):
                counts.failures.append(time)
                return
            if row["role"] == 1 and _is_busy(row):
                counts.marked.append(time)
                return
            counts.outcomes.append(Outcome(time, row["answered"] == 1, _is_talk(row)))
            if row["answered"] == 1 and 0 <= row["talk_ms"] <= SHORT_TALK_MS:
                counts.shorts.append(time)
            if _is_invalid(row):
                counts.marked.append(time)

    def _caller(self, index: int, row: Mapping[str, Any], news: set[str]) -> None:
        key, p, time, callee = self._key(row), self._p, row["time"], row["callee"]
        if key == 0:
            return
        attempt, service = "attempt" in news, row["caller_status"] in (4, 5)
        counts = self.callers[key]
        first_today = counts.newest // 86_400_000 < time // 86_400_000
        counts.advance(time)
        if p.clone.on and key > 0 and not service:
            self._clone(index, row, news, key, counts)
        self._count(counts, row, news, callee)
        known = counts.circle()
        today = counts.newest // 86_400_000
        clue = _Clue(key, attempt and is_familiar(counts, callee, range(today - 1, today + 1)), 0)
        if attempt:
            clue = clue._replace(before=counts.tails[0] if counts.tails else 0)
            counts.known.append(Attempt(time, callee))
            if (p.burst.on or p.sweep.on) and not service:
                counts.tails = [row["callee_tail"]]
        self._ordinary(index, row, news, counts, key, first_today, known)
        if not service:
            self._suspects(index, row, news, counts, clue)

    def _ordinary(
        self,
        index: int,
        row: Mapping[str, Any],
        news: set[str],
        counts: Counts,
        key: int,
        first_today: bool,
        known: int,
    ) -> None:
        p, time, callee = self._p, row["time"], row["callee"]
        attempt, service = "attempt" in news, row["caller_status"] in (4, 5)
        number = max(key, 0)
        considered = p.candidates.on and not service
        happened = _happened(row, news) if considered else []
        candidate = considered and self.suspects.caller(index, key, counts, happened, row)
        called = self.callees.get(number) if number else None
        inbound = called.calls(10_800_000, 8) if called else 0
        if p.burst.on and row["caller_status"] != 5:
            level, f = burst.look_reference(counts, inbound, row["caller_kind"], p.burst)
            if level != NOTHING:
                self._speak(BURST_NUMBER, key, key, index, time, attempt, int(f[2]), level, f)
            if attempt:
                level, f = burst.probe_reference(counts, time, callee, row["callee_tail"], p.burst)
                if level != NOTHING:
                    self._speak(PREFIX_PROBE, key, key, index, time, attempt, int(f[0]), level, f)
            if (
                "outcome" in news
                and row["answered"] == 1
                and counts.probe
                and counts.probe[0] == row["callee_tail"]
            ):
                counts.probe = None
        if p.policy.on and attempt and number:
            self._policy(index, row, number, counts)
        if number >= 10_000:
            self._block(index, row, news, number, counts, inbound, first_today, known)
            if considered and not candidate and counts.calls(60_000, 10) <= burst.LIGHT_CALLS:
                block = number // 10_000
                self.suspects.block(index, block, self.blocks[block], happened, row)

    def _clone(self, index: int, row: Mapping[str, Any], news: set[str], caller: int, counts: Counts) -> None:
        network, votes, p = row["from_network"], self.votes[caller], self._p.clone
        if row["gateway"] == 1 or row["roaming"] == 1 or row["redirecting"] or not network:
            return
        if "attempt" in news and votes.vote(network):
            self.habits[network, network] += 1
        if votes.watch is None and votes.network == network:
            return
        time, callee, repeated = (
            row["time"],
            row["callee"],
            clone.just_called(counts, row["callee"], row["time"]),
        )
        if votes.watch is not None:
            watch = votes.watch
            moved = votes.network != watch.own and time - watch.home >= 3_600_000 and watch.level < HIGH
            if time - watch.since >= 86_400_000 or moved:
                votes.watch = None
        if votes.watch is None:
            if "attempt" not in news or votes.network == network or repeated:
                return
            listed = self._lists.serving(caller, time)
            own, basis = votes.own(network, listed, row["caller_operator"])
            homes = votes.votes + 1 if own == votes.network else 0
            votes.watch = clone.Watch(own, basis, homes, int(row["caller_kind"] != 1), time)
            self.habits[own, network if network != own else votes.network] += 1
        watch = votes.watch
        if "attempt" in news and not repeated:
            watch.attempt(time, callee, network, p)
        if "outcome" in news:
            talk = row["talk_ms"]
            begin = time + max(row["ring_ms"], 0) if row["type"] == 2 else time - talk
            if row["answered"] == 1 and talk > 0:
                watch.talk(begin, begin + talk, callee, network, row["to_network"], p)
            if network != watch.own and not _is_failure(row):
                watch.ends += 1
                watch.talked += row["answered"] == 1 and not 0 <= talk <= 6_000
        if network == watch.own:
            return
        usual = clone.share_reference(self.habits, watch.own, network)
        level, f = clone.look_reference(watch, usual, p)
        if level != NOTHING:
            watch.level = max(watch.level, level)
            key = mix2(caller, text_hash(network))
            self._speak(CLONE, key, caller, index, time, "attempt" in news, watch.elsewhere, level, f)

    def _policy(self, index: int, row: Mapping[str, Any], caller: int, counts: Counts) -> None:
        p, time, callee = self._p.policy, row["time"], row["callee"]
        company, category = self._lists.company(caller, time)
        service = row["caller_status"] in (4, 5)
        listed = bool(company) or service
        suspect = self.marketers.get(caller)
        refuses = self._lists.refuses_marketing(callee, time)
        if callee > 0 and not listed and (suspect is None or suspect.level < MEDIUM):
            self.usual = [self.usual[0] + 1, self.usual[1] + refuses]
            if self.usual[0] >= policy.LEARNT:
                self.usual = [each // 2 for each in self.usual]
        said = self._lists.between(callee, caller, time)
        minute = _local_minute(p.clock.tolist(), time) if company else 0
        code = CATEGORIES.index(category)
        kind = _kind(said, refuses, code, minute, p)
        refuses = refuses and not said & {"consented", "consented to all"}
        firm = self._firm(company.strip().casefold(), time) if category in policy.SELLING else None
        if kind == policy.ALLOWED and (listed or callee <= 0 or (suspect is None and not refuses)):
            return
        inbound = 0
        own = self.callees.get(caller)
        if own is not None:
            if own.knows(callee) or own.called_lately(callee, time):
                return
            inbound = own.calls(10_800_000, 8)
        calls_day = counts.calls(10_800_000, 8)
        if kind != policy.ALLOWED and firm is not None:
            firm.wronged += firm.is_first(callee)
        if suspect is None or time - suspect.since >= 86_400_000:
            suspect = self.marketers[caller] = policy.Suspect(time, max(calls_day - 1, 0))
        if kind == policy.ALLOWED:
            suspect.note(callee, refuses)
        elif suspect.is_first(callee):
            suspect.wronged += 1
        usual = (self.usual[1] + p.prior * p.prior_weight) / (self.usual[0] + p.prior_weight)
        level, f = policy.look_reference(suspect, kind, inbound, calls_day, usual, p)
        if level == NOTHING:
            return
        suspect.level = max(suspect.level, level)
        f[8], f[9] = float(code), float(minute)
        if kind != policy.ALLOWED and firm is not None:
            f[11], f[12] = float(firm.wronged), float(firm.callees)
        aimed = kind == policy.ALLOWED
        key = caller if aimed else mix2(caller, callee)
        self._speak(POLICY, key, caller, index, time, True, suspect.callees if aimed else 1, level, f)

    def _firm(self, company: str, time: int) -> policy.Suspect | None:
        """The company's row after a call of one of its numbers; None where it has none."""
        if not company:
            return None
        firm = self.companies.get(company)
        if firm is None or time - firm.since >= 86_400_000:
            firm = self.companies[company] = policy.Suspect(time, 0)
        firm.callees += 1
        return firm

    def _block(
        self,
        index: int,
        row: Mapping[str, Any],
        news: set[str],
        number: int,
        own: Counts,
        inbound: int,
        first_today: bool,
        known: int,
    ) -> None:
        p, time, attempt, status = self._p, row["time"], "attempt" in news, row["caller_status"]
        block = number // 10_000
        counts = self.blocks[block]
        if time // 3_600_000 - counts.newest // 3_600_000 >= 2:
            counts.callers.clear()
            counts.suspects.clear()
        counts.advance(time)
        if attempt and counts.newest // 3_600_000 - time // 3_600_000 < 2:
            counts.callers.append(Attempt(time, number))
        if "outcome" in news and _is_talk(row) and rotation.is_ordinary_reference(own):
            counts.ordinary.append((time, number))
        if status == 0:
            self._way(index, row, news, counts, own, inbound, first_today, known)
        light = own.calls(60_000, 10) <= burst.LIGHT_CALLS
        if light and not rotation.calls_one_only_reference(own):
            self._count(counts, row, news, row["callee"])
            unknown = inbound == 0 and own.talks(10_800_000, 8) == 0
            if "outcome" in news and not _is_talk(row) and unknown:
                counts.suspects.append(number)
            if attempt:
                counts.trunks.append(row["trunk_hash"])
                newcomer = time // 1_000 - own.first_seen <= 600
                self._arrivals.append((time // 600_000, newcomer))
                self._arrived = max(self._arrived, time // 600_000)
                if newcomer:
                    counts.newcomers.append(time)
            if p.rotation.on and status not in (4, 5):
                share = self._share_of_newcomers()
                level, f = rotation.look_reference(
                    counts,
                    own,
                    inbound,
                    row["caller_kind"] == NumberKind.MOBILE,
                    share,
                    self._usually_called(),
                    p.rotation,
                )
                if level != NOTHING:
                    alone = rotation.is_proposed_alone_reference(f, p.rotation)
                    rationed = number if alone else block
                    self._speak(ROTATION, rationed, block, index, time, attempt, int(f[2]), level, f)
        machine = row["caller_kind"] == unallocated.MACHINE and status == 0
        if p.unallocated.on and attempt and (machine or status in (1, 2, 3)):
            level, f = unallocated.look_reference(own, counts, machine, p.unallocated)
            if level != NOTHING:
                rationed = number if f[2] <= unallocated.FEW_NUMBERS else block
                self._speak(UNALLOCATED, rationed, number, index, time, attempt, 1, level, f)

    def _share_of_newcomers(self) -> float:
        recent = [newcomer for slot, newcomer in self._arrivals if self._arrived - slot < 2]
        return (sum(recent) + 1) / (len(recent) + 2)

    def _usually_called(self) -> float:
        calls = sum(self._arrived - slot < 2 for slot, _ in self._arrivals)
        received = sum(self._arrived - slot < 2 for slot in self._received)
        return min(rotation.CALLED_SHARE * received / max(calls, 1), rotation.MOST_CALLED)

    def _way(
        self,
        index: int,
        row: Mapping[str, Any],
        news: set[str],
        block: Counts,
        own: Counts,
        inbound: int,
        first_today: bool,
        known: int,
    ) -> None:
        learns = "attempt" in news and first_today and block.number_bits() <= OF_A_BLOCK
        if row["gateway"] == 0:
            self._from_home(index, row, news, block, learns, known, inbound)
        else:
            self._from_abroad(index, row, news, block, learns, known, inbound, own)
        if self._p.neighbour.on and "attempt" in news and row["trunk"]:
            self._neighbour(index, row, own, inbound, known)

    def _neighbour(self, index: int, row: Mapping[str, Any], own: Counts, inbound: int, known: int) -> None:
        p, time, caller, callee = self._p.neighbour, row["time"], row["caller"], row["callee"]
        trunk = self.trunks.setdefault(row["trunk_hash"], neighbour.PlainTrunk(time))
        everything = self.trunks.setdefault(int(neighbour.ALL_TRUNKS), neighbour.PlainTrunk(time))
        for each in (trunk, everything):
            each.advance(time, p)
            each.call(time)
        if not neighbour.resembles_reference(caller, callee):
            return
        acquainted = known & circle(callee) == circle(callee)
        odd = own.calls(10_800_000, 8) <= p.new_calls and inbound == 0 and not acquainted
        odd = odd and abs(caller - callee) >= p.family
        trunk.resembling(time, caller, callee, odd)
        if not odd:
            return
        everything.resembling(time, caller, callee, odd)
        level, f = trunk.look(everything, callee, p)
        if level != NOTHING:
            about = row["trunk_hash"] >> 1
            rationed = mix2(about, callee // neighbour.NEAR) >> 1 if level >= HIGH else about
            self._speak(NEIGHBOUR, rationed, about, index, time, True, int(f[2] + f[3] + f[12]), level, f)

    def _from_home(
        self,
        index: int,
        row: Mapping[str, Any],
        news: set[str],
        block: Counts,
        learns: bool,
        known: int,
        inbound: int,
    ) -> None:
        time, trunk, number, p = row["time"], row["trunk_hash"], row["caller"], self._p.misrouted
        operator, network = text_hash(row["caller_operator"]), text_hash(row["from_network"])
        share = -1.0
        if learns and self._p.foreign_gateway.place.on:
            foreign_gateway.learn_caller_reference(self.shares, False, False, network, trunk, time)
        if p.place.on and row["from_network"] and row["caller_operator"]:
            if operator != network and self._lists.ported_to(number, row["from_network"], time):
                share = 0.0
            else:
                if learns:
                    misrouted.learn_way_reference(self.shares, operator, network, trunk, time)
                share = misrouted.strays_reference(self.shares, operator, network, trunk, time, p)
        if share <= 0 and "attempt" in news:
            block.note_right(time, number)
        suspect = self._noted(row, news, network, known, inbound) if share > 0 else None
        if suspect is not None:
            level, f = suspect.weigh(
                self.shares,
                network,
                trunk,
                time,
                block.right(),
                share,
                misrouted.FEW,
                TOLD if share <= misrouted.EXPECTED_SHARE else LEARNT,
                False,
                row["caller_kind"] == NumberKind.MOBILE,
                p.place,
            )
            if level != NOTHING:
                about = number // 10_000 if f[0] >= 2 else number
                self._speak(MISROUTED, about, about, index, time, "attempt" in news, int(f[3]), level, f)

    def _from_abroad(
        self,
        index: int,
        row: Mapping[str, Any],
        news: set[str],
        block: Counts,
        learns: bool,
        known: int,
        inbound: int,
        own: Counts,
    ) -> None:
        time, trunk, number, callee = row["time"], row["trunk_hash"], row["caller"], row["callee"]
        p, way = self._p.foreign_gateway, int(foreign_gateway.GATEWAY)
        network = text_hash(row["from_network"])
        if not p.place.on:
            return
        domestic = str(number).startswith(str(p.home))
        if domestic and not (callee > 0 and str(callee).startswith(str(p.home))):
            if "attempt" in news:
                block.note_right(time, number)
            return
        confirmed = domestic and row["roaming"] == 1
        unconfirmed = domestic and row["roaming"] != 1 and row["redirecting"] == 0
        if learns:
            foreign_gateway.learn_caller_reference(self.shares, True, unconfirmed, network, trunk, time)
        if confirmed and "attempt" in news:
            self.shares.learn(time, foreign_gateway.CONFIRMED, network)
        if not unconfirmed:
            return
        in_use = foreign_gateway.uses_flag_reference(self.shares, network, time)
        denied = in_use and row["roaming"] == 0
        share = foreign_gateway.strays_reference(self.shares, denied, callee, time, p)
        suspect = self._noted(row, news, way, known, inbound) if share > 0 else None
        if suspect is None:
            return
        if "attempt" in news and suspect.calls == 1:
            self.shares.learn(time, foreign_gateway.REACHED, callee // 10_000)
        few = misrouted.FEW if in_use else p.few
        needed = STRONG if not in_use or row["caller_kind"] == NumberKind.FIXED else TOLD
        at_home = time - suspect.first < foreign_gateway.AT_HOME_MS and own.calls(60_000, 10) > suspect.calls
        level, f = suspect.weigh(
            self.shares,
            way,
            trunk,
            time,
            block.right(),
            share,
            few,
            needed,
            at_home,
            row["caller_kind"] == NumberKind.MOBILE,
            p.place,
        )
        if level != NOTHING:
            of_block = f[0] >= 2
            about = number // 10_000 if of_block else number
            pattern = FOREIGN_GATEWAY_BLOCK if of_block else FOREIGN_GATEWAY
            self._speak(pattern, about, about, index, time, "attempt" in news, int(f[3]), level, f)

    def _noted(
        self, row: Mapping[str, Any], news: set[str], way: int, known: int, inbound: int
    ) -> PlainSuspect | None:
        key, time, number = (row["caller"] // 10_000, way), row["time"], row["caller"]
        suspect = self.misplaced.get(key)
        if "attempt" in news:
            if suspect is None or time - suspect.seen > 86_400_000:
                suspect = self.misplaced[key] = PlainSuspect(time)
            suspect.wrong(time, number, row["trunk_hash"], row["callee"], known, inbound)
        if suspect is not None and "outcome" in news:
            talked = row["answered"] == 1 and not 0 <= row["talk_ms"] <= 6_000
            suspect.end(_is_failure(row), talked)
        return suspect

    def _suspects(
        self, index: int, row: Mapping[str, Any], news: set[str], counts: Counts, clue: _Clue
    ) -> None:
        p, callee, tail = self._p, row["callee"], row["callee_tail"]
        light = counts.calls(60_000, 10) <= burst.LIGHT_CALLS
        long_enough = callee >= 10_000_000 or (callee < 0 and tail >= 1_000_000)
        if p.sweep.on and row["callee_status"] not in (4, 5) and long_enough and tail > 0:
            self._sweep(index, row, news, counts, clue, light)
        if p.wangiri.on and "outcome" in news and not _is_failure(row):
            self._wangiri(index, row, counts, clue.key, light)

    def _suspected(self, held: dict[int, S], key: int) -> S | None:
        suspect = held.get(key)
        if suspect is not None:
            if self.newest - suspect.touched > FORGET_MS:
                suspect = held[key] = type(suspect)(self.newest)
            suspect.touched = self.newest
        return suspect

    def _sweep(
        self,
        index: int,
        row: Mapping[str, Any],
        news: set[str],
        counts: Counts,
        clue: _Clue,
        light: bool,
    ) -> None:
        p, tail, attempt, key = self._p.sweep, row["callee_tail"], "attempt" in news, clue.key
        long = row["answered"] == 1 and not 0 <= row["talk_ms"] <= 6_000

        def tread(trail: Trail) -> bool:
            part = False
            if attempt:
                part = trail.follow(tail, clue.known, row["time"], p)
            if "outcome" in news:
                part |= trail.conclude(tail, _is_failure(row), long, _is_invalid(row))
            return part

        trail = self._suspected(self.trails, key)
        following = 0 < abs(tail - clue.before) <= p.step and clue.before > 0
        if trail is None and attempt and (following or counts.calls(60_000, 10) >= p.active):
            trail = self.trails[key] = Trail(self.newest)
            trail.seed(clue.before)
        own = trail is not None and tread(trail)
        level, f, block_key = NOTHING, list[float](), max(key, 0) // 10_000
        shared = None
        if block_key:
            block = self.blocks[block_key]
            shared = self._suspected(self.block_trails, block_key)
            if light and attempt:
                if shared is None and any(0 < abs(tail - t) <= p.step for t in block.tails):
                    shared = self.block_trails[block_key] = Trail(self.newest)
                    shared.seed(*reversed(block.tails))
                if tail not in block.tails:
                    block.tails = [tail, *block.tails[:2]]
            if shared is not None and (light or key in shared.parts) and tread(shared):
                if attempt:
                    shared.take_part(key, row["trunk_hash"])
                if "outcome" in news and long:
                    shared.talked_with(key)
                level, f = shared.look_block(block, p)
        if own and level < HIGH and trail is not None:
            alone, g = trail.look(counts, 0.5, p)
            if alone > level:
                self._speak(SWEEP, key, key, index, row["time"], attempt, int(g[0]), alone, g)
                return
        if level != NOTHING:
            self._speak(SWEEP_BLOCK, block_key, block_key, index, row["time"], attempt, int(f[0]), level, f)

    def _wangiri(self, index: int, row: Mapping[str, Any], counts: Counts, key: int, light: bool) -> None:
        p, tail, answered = self._p.wangiri, row["callee_tail"], row["answered"] == 1
        time = row["time"]
        if row["type"] == 1:
            time -= max(row["ring_ms"], 0) + max(row["talk_ms"], 0)
        ring = 0
        if not answered and 0 < row["ring_ms"] <= p.ring_ms:
            if row["released_by"] == 1:
                ring = 2
            elif row["released_by"] == 0:
                cancelled = row["cause"] == 16 or (row["cause"] < 0 and row["sip_code"] == 487)
                ring = int(cancelled)
        yesterday = time // 86_400_000 - 1
        known = ring > 0 and is_familiar(counts, row["callee"], range(yesterday, yesterday + 1))
        own = self._suspected(self.ringers, key)
        if ring:
            counts.rings += [time] * ring
            own = own or self.ringers.setdefault(key, Ringer(self.newest))
        if own is not None:
            own.hear(tail, ring, answered, known, time, p)
        level, f, block_key = NOTHING, list[float](), max(key, 0) // 10_000
        shared = None
        if block_key:
            block = self.blocks[block_key]
            shared = self._suspected(self.block_ringers, block_key)
            if ring and light:
                block.rings += [time] * ring
                shared = shared or self.block_ringers.setdefault(block_key, Ringer(self.newest))
            if shared is not None and (light or key in shared.parts):
                shared.hear(tail, ring, answered, known, time, p)
                if ring:
                    shared.take_part(key, row["trunk_hash"])
                if answered:
                    shared.talked_with(key)
                if key in shared.parts:
                    level, f = shared.look_block(block, p)
        if own is not None and level < HIGH:
            alone, g = own.look(counts, 0.5, p)
            if alone > level:
                calls = int(g[0] + g[2] + g[3])
                self._speak(WANGIRI, key, key, index, row["time"], True, calls, alone, g)
                return
        if level != NOTHING:
            calls = int(f[0] + f[2] + f[3])
            self._speak(WANGIRI_BLOCK, block_key, block_key, index, row["time"], True, calls, level, f)

    def _callee(self, index: int, row: Mapping[str, Any], news: set[str]) -> None:
        p, time, callee = self._p, row["time"], row["callee"]
        if callee == 0:
            return
        counts = self.callees[callee]
        counts.advance(time)
        key = self._key(row)
        caller = key or row["caller"]
        self._count(counts, row, news, caller)
        if "attempt" in news and p.candidates.on:
            self.suspects.called(callee, caller, time)
        if "outcome" in news and _is_talk(row):
            if row["talk_ms"] >= p.flood.length_ms and key:
                counts.known.append(Attempt(time, caller))
            if callee >= 10_000:
                block = self.blocks[callee // 10_000]
                if time // 3_600_000 - block.newest // 3_600_000 >= 2:
                    block.callers.clear()
                    block.suspects.clear()
                block.advance(time)
                block.talks_to.append(time)
                self._received.append(time // 600_000)
                self._arrived = max(self._arrived, time // 600_000)
                block.ordinary.append((time, callee))
        if not p.flood.on or row["callee_status"] in (4, 5):
            return
        few = counts.calls(60_000, 10) < p.flood.watch
        if few and not flood.is_watched_for_long_reference(counts, p.flood):
            return
        notes = self.watched[callee]
        if "attempt" in news:
            own = self.callers.get(callee)
            known = key != 0 and (counts.knows(caller) or (own is not None and own.knows(caller)))
            notes.append([caller, row["call"], PENDING, int(not known), time])
            del notes[:-128]
        if "outcome" in news:
            became = BRIEF if row["answered"] == 1 else UNWANTED
            if row["answered"] != 1 and row["released_by"] == 1 and 0 <= row["ring_ms"] <= 4_000:
                became = GIVEN_UP
            for what, applies in ((FAILED, _is_failure), (BUSY, _is_busy), (TALKED, _is_talk)):
                if applies(row):
                    became = what
            for note in reversed(notes):
                if note[1] == row["call"]:
                    note[2] = became
                    break
        noted = [flood.Note(note[4], note[2], bool(note[3])) for note in notes]
        level, f = flood.look_reference(counts, noted, p.flood)
        if level == NOTHING:
            level, f = flood.look_long_reference(counts, noted, p.flood)
        if level != NOTHING:
            self._speak(FLOOD, callee, callee, index, time, "attempt" in news, int(f[12]), level, f)

    def _speak(
        self,
        pattern: int,
        key: int,
        about: int,
        index: int,
        time: int,
        attempt: bool,
        calls: int,
        level: int,
        features: list[float],
    ) -> None:
        held = self._spoken.get((pattern, key))
        if held is None or time - held.last > 600_000:
            self._spoken[pattern, key] = Spoken(time, time, 1, 0, level)
            self._said.append(Said(index, pattern, about, level, calls, features))
            return
        count, untold = held.times + attempt, held.untold + attempt
        few = attempt and (count <= 5 or count & (count - 1) == 0)
        if time - held.told >= 1_000 or level > held.level or few:
            self._said.append(Said(index, pattern, about, level, untold, features))
            untold, told, top = 0, max(held.told, time), max(held.level, level)
        else:
            told, top = held.told, held.level
        self._spoken[pattern, key] = Spoken(max(held.last, time), told, count, untold, top)


def _local_minute(clock: list[list[int]], time: int) -> int:
    ahead = [offset for since, offset in clock if since <= time]
    return (time + (ahead[-1] if ahead else clock[0][1])) % 86_400_000 // 60_000


def _kind(said: set[str], refuses: bool, category: int, minute: int, p: policy.PolicyParameters) -> int:
    if "consented" in said:
        return policy.ALLOWED
    if "refused" in said:
        return policy.REFUSED_CALL
    if "consented to all" in said:
        return policy.ALLOWED
    if refuses and category == 1:
        return policy.UNWANTED_MARKETING
    first, last = p.hours[2 * category : 2 * category + 2]
    if not first <= minute < last:
        return policy.OUTSIDE_HOURS
    return policy.NO_CONSENT if p.consent >> category & 1 else policy.ALLOWED
