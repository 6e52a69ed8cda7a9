"""Candidates: what the few subjects past a low gate did in the last day, for the models of `profile`.

From a handful of attempts on, a caller or a block has a record of its own beside its row, a *suspect*: exact
sums in four slots of six hours of event time, so that a record covers the last 18 to 24 hours. What the
subject did before it became a suspect is not in them; an outcome counts where its attempt does. A suspect
past the gate is told as a *candidate*: once, again when its attempts and ends together have grown by the
share `growth`, and every five minutes while it is active. A candidate is a fact, not a suspicion: most are
call centres, couriers and companies, the peers that abuse stands out from.

A block is counted by those of its numbers that are no candidates themselves, and is told only where several
of them called and few of their calls became talk: ordinary blocks are as many as there are towns.

There is no opinion here: `FEATURES` are counts, and ``detectors.behaviour`` makes ratios of them. The memory
is bounded: where a bucket is full, the suspect that was silent longest gives room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import CandidatesSettings
from detectors.kernels import inlined, mix, mix2, pasted, popcount
from detectors.plain import mix as plain_mix
from detectors.shape import Feature
from detectors.sketches import LINEAR
from detectors.subjects import WAYS, bucket_of, index_of, power_of_two, zeros
from detectors.windows import (
    BRIEF_TALK_MS,
    HOUR,
    MINUTE,
    SHORT_TALK_MS,
    is_busy,
    is_failure,
    is_invalid,
    latest,
    total,
)

SLOTS = 4
SLOT_MS = 6 * HOUR
TELL_EVERY_MS = 5 * MINUTE
CALLEE_WORDS, HUNDRED_WORDS = 4, 2
ONE_RING_MS = 4_000
"""A call that its caller gives up before so much ringing was not meant to be answered."""
YOUNG_SLOTS = 3
"""Calls of the latest so many slots of 10 s are young: that they have no end says nothing."""

FEATURES = (
    Feature("attempts", "calls", "attempts of the last 18 to 24 h, since the subject became a suspect", 15),
    Feature("ends", "calls", "those whose outcome is known and says something of the people", 14),
    Feature("answered", "calls", "those that were answered", 9),
    Feature("short", "calls", "answered for at most 6 s", 0.5),
    Feature("brief", "calls", "answered for at most 20 s", 3),
    Feature("pending", "calls", "attempts neither young nor over nor failed", 0),
    Feature("failed", "calls", "lost by the network", 0),
    Feature("invalid", "calls", "to numbers that do not exist", 0),
    Feature("busy", "calls", "that found the callee in another call", 1),
    Feature("refused", "calls", "that the callee turned down", 0.5),
    Feature("one_ring", "calls", "that the caller gave up after at most 4 s of ringing", 0),
    Feature("rings", "calls", "whose ring time is known", 14),
    Feature("ring_ms", "ms", "sum of their ring times", 100_000),
    Feature("talk_ms", "ms", "sum of the talk times of the answered", 400_000),
    Feature("inbound", "calls", "attempts on the subject", 6),
    Feature("called_back", "calls", "those by numbers that the subject had called", 2),
    Feature("callees", "numbers", "distinct callees, estimated up to some 1 400", 11),
    Feature("hundreds", "hundreds", "distinct callees without their last two digits, up to some 600", 11),
    Feature("numbers", "numbers", "of a block: those that called in the last two hours; of a number 1", 1),
    Feature("calls_1m", "calls", "attempts of the last minute", 1),
    Feature("calls_10m", "calls", "attempts of the last 10 minutes", 2),
    Feature("calls_hour", "calls", "attempts of the last hour", 5),
    Feature("calls_day", "calls", "attempts of the last day", 15),
    Feature("spread_1m", "ratio", "variance by mean of attempts a minute, last 10 minutes", 1),
    Feature("spread_10m", "ratio", "variance by mean of attempts in 10 minutes, last hour", 1),
    Feature("active_slots", "slots", "of 3 hours in which it called, of the last 8", 3),
    Feature("age_s", "s", "since it was first seen", 40_000),
)
"""In the order of `CANDIDATE`; all of them counts or sums, none a judgement."""

SUSPECT = np.dtype(
    [
        ("callees", np.uint64, (SLOTS, CALLEE_WORDS)),
        ("hundreds", np.uint64, (SLOTS, HUNDRED_WORDS)),
        ("newest", np.int64),
        ("since", np.int64),
        ("told_at", np.int64),
        ("told", np.int64),
        ("ring_ms", np.int64, (SLOTS,)),
        ("talk_ms", np.int64, (SLOTS,)),
        ("attempts", np.int32, (SLOTS,)),
        ("ends", np.int32, (SLOTS,)),
        ("answered", np.int32, (SLOTS,)),
        ("short", np.int32, (SLOTS,)),
        ("brief", np.int32, (SLOTS,)),
        ("failed", np.int32, (SLOTS,)),
        ("invalid", np.int32, (SLOTS,)),
        ("busy", np.int32, (SLOTS,)),
        ("refused", np.int32, (SLOTS,)),
        ("one_ring", np.int32, (SLOTS,)),
        ("rings", np.int32, (SLOTS,)),
        ("inbound", np.int32, (SLOTS,)),
        ("called_back", np.int32, (SLOTS,)),
    ],
    align=True,
)
"""Sums of one suspect by slot. ``newest``, ``since``, ``told_at`` ms; ``told`` attempts and ends then."""

CANDIDATE = np.dtype(
    [
        ("row", np.int64),
        ("id", np.uint64),
        ("key", np.int64),
        ("time", np.int64),
        ("block", np.int64),
        *((feature.name, np.float64) for feature in FEATURES),
    ]
)
"""``row`` of the batch; ``id`` hash of subject, trunk, time and counts; ``key`` of the caller or block;
``block`` 1 for a block; the features follow, each 8 bytes."""

CANDIDATES = 2_048
"""Room for candidates of one batch before the fold pauses."""
MOST_CANDIDATES_A_ROW = 2


class CandidatesParameters(NamedTuple):
    on: bool
    open_hour: int
    open_day: int
    calls_hour: int
    calls_day: int
    block_numbers: float
    block_calls: int
    block_talked: float
    growth: float


def parameters_of(settings: CandidatesSettings) -> CandidatesParameters:
    return CandidatesParameters(
        on=settings.mode == "on",
        open_hour=settings.open_hour,
        open_day=settings.open_day,
        calls_hour=settings.calls_hour,
        calls_day=settings.calls_day,
        block_numbers=float(settings.block_numbers),
        block_calls=settings.block_calls,
        block_talked=settings.block_talked,
        growth=settings.growth,
    )


class Suspects(NamedTuple):
    """``keys`` int64 (n,), 0 where free; ``rows`` `SUSPECT` (n,), and the same as ``words`` uint64 (n, m)."""

    keys: npt.NDArray[np.int64]
    rows: npt.NDArray[Any]
    words: npt.NDArray[np.uint64]


def new_suspects(capacity: int) -> Suspects:
    """Room for ``capacity`` suspects, rounded up to a power of two."""
    n = power_of_two(capacity)
    rows = zeros(n, SUSPECT)
    return Suspects(zeros(n, np.int64), rows, rows.view(np.uint64).reshape(n, -1))


def features_of(candidates: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The features of `CANDIDATE` (n,) as float64 (n, 27), to four decimals."""
    words = candidates.view(np.float64).reshape(candidates.size, -1)
    found: npt.NDArray[np.float64] = np.round(words[:, -len(FEATURES) :], 4)
    return found


def new_candidates(room: int = CANDIDATES) -> npt.NDArray[Any]:
    return np.zeros(room, CANDIDATE)


@inlined
def open_suspect(suspects: Any, key: Any, time: Any) -> Any:
    """Index of ``key`` (not 0), taken in at ``time`` (ms) where it was not there."""
    base = bucket_of(suspects.keys, key)
    at: Any = base
    for k in range(base, base + WAYS):
        if suspects.keys[k] == key:
            return k
        if suspects.keys[at] != 0 and (
            suspects.keys[k] == 0 or suspects.rows[k].newest < suspects.rows[at].newest
        ):
            at = k
    suspects.keys[at] = key
    for word in range(suspects.words.shape[1]):
        suspects.words[at, word] = 0
    suspects.rows[at].newest = time
    suspects.rows[at].since = time
    return at


@inlined
def _clear_slot(row: Any, k: Any) -> None:
    for word in range(CALLEE_WORDS):
        row.callees[k, word] = 0
    for word in range(HUNDRED_WORDS):
        row.hundreds[k, word] = 0
    row.ring_ms[k] = 0
    row.talk_ms[k] = 0
    row.attempts[k] = 0
    row.ends[k] = 0
    row.answered[k] = 0
    row.short[k] = 0
    row.brief[k] = 0
    row.failed[k] = 0
    row.invalid[k] = 0
    row.busy[k] = 0
    row.refused[k] = 0
    row.one_ring[k] = 0
    row.rings[k] = 0
    row.inbound[k] = 0
    row.called_back[k] = 0


@inlined
def advance_suspect(row: Any, time: Any) -> None:
    """Move the head to ``time`` (ms) where that is newer; slots passed are emptied."""
    if time <= row.newest:
        return
    old, new = row.newest // SLOT_MS, time // SLOT_MS
    row.newest = time
    for slot in range(max(old + 1, new - SLOTS + 1), new + 1):
        _clear_slot(row, slot % SLOTS)


@inlined
def _slot_of(row: Any, time: Any) -> Any:
    """Where an event of ``time`` (ms) is counted, or -1 where it is older than the record or the suspect."""
    slot = time // SLOT_MS
    if time < row.since or row.newest // SLOT_MS - slot >= SLOTS:
        return np.int64(-1)
    return np.int64(slot % SLOTS)


@inlined
def note_call(row: Any, time: Any, callee: Any) -> None:
    """An attempt at ``time`` (ms) on ``callee`` (int64)."""
    k = _slot_of(row, time)
    if k < 0:
        return
    row.attempts[k] += 1
    bit = mix(callee) >> np.uint64(56)
    row.callees[k, np.int64(bit >> np.uint64(6))] |= np.uint64(1) << (bit & np.uint64(63))
    bit = mix(callee // 100) >> np.uint64(57)
    row.hundreds[k, np.int64(bit >> np.uint64(6))] |= np.uint64(1) << (bit & np.uint64(63))


@inlined
def note_lost(row: Any, time: Any) -> None:
    """A call attempted at ``time`` (ms) that the network lost."""
    k = _slot_of(row, time)
    if k >= 0:
        row.failed[k] += 1


@inlined
def is_refused(answered: Any, cause: Any, sip_code: Any) -> Any:
    """Whether the callee turned the call down: Q.850 cause 21; without a cause, SIP 603 or 607."""
    if answered == 1:
        return False
    return cause == 21 or (cause < 0 and (sip_code == 603 or sip_code == 607))


@inlined
def gave_up_soon(answered: Any, ring_ms: Any, released_by: Any) -> Any:
    """Whether the caller ended an unanswered call within `ONE_RING_MS` of ringing."""
    return answered != 1 and released_by == 1 and 0 <= ring_ms <= ONE_RING_MS


@inlined
def note_outcome(
    row: Any,
    time: Any,
    answered: Any,
    ring_ms: Any,
    talk_ms: Any,
    invalid: Any,
    busy: Any,
    refused: Any,
    one_ring: Any,
) -> None:
    """The outcome of a call attempted at ``time`` (ms) that the network did not lose; times below 0 are not
    known, and an answered call of unknown talk is no brief one."""
    k = _slot_of(row, time)
    if k < 0:
        return
    row.ends[k] += 1
    if ring_ms >= 0:
        row.rings[k] += 1
        row.ring_ms[k] += np.int64(ring_ms)
    if answered == 1:
        row.answered[k] += 1
        row.talk_ms[k] += np.int64(max(talk_ms, 0))
        if 0 <= talk_ms <= SHORT_TALK_MS:
            row.short[k] += 1
        if 0 <= talk_ms <= BRIEF_TALK_MS:
            row.brief[k] += 1
    row.invalid[k] += np.int32(1 if invalid else 0)
    row.busy[k] += np.int32(1 if busy else 0)
    row.refused[k] += np.int32(1 if refused else 0)
    row.one_ring[k] += np.int32(1 if one_ring else 0)


@inlined
def note_inbound(row: Any, time: Any, caller: Any) -> None:
    """An attempt at ``time`` (ms) by ``caller`` on the subject itself."""
    k = _slot_of(row, time)
    if k < 0:
        return
    row.inbound[k] += 1
    bit = mix(caller) >> np.uint64(56)
    word, mask = np.int64(bit >> np.uint64(6)), np.uint64(1) << (bit & np.uint64(63))
    known = np.uint64(0)
    for slot in range(SLOTS):
        known |= row.callees[slot, word]
    if known & mask:
        row.called_back[k] += 1


@inlined
def _distinct(bitmaps: Any) -> Any:
    """Estimated number of distinct values of ``bitmaps`` (slots, words), united, float64."""
    bits = np.int64(0)
    for word in range(bitmaps.shape[1]):
        united = np.uint64(0)
        for slot in range(bitmaps.shape[0]):
            united |= bitmaps[slot, word]
        bits += popcount(united)
    m = np.float64(bitmaps.shape[1] * 64)
    return m * np.log(m / max(m - np.float64(bits), 1.0))


@inlined
def _spread(ring: Any) -> Any:
    """Variance by mean of a ring of counters, float64; 1 (that of chance) where it is empty."""
    mean = np.float64(total(ring)) / ring.size
    if mean == 0.0:
        return 1.0
    squares = 0.0
    for k in range(ring.size):
        off = np.float64(ring[k]) - mean
        squares += off * off
    return squares / ring.size / mean


@inlined
def _active(ring: Any) -> Any:
    n = np.int64(0)
    for k in range(ring.size):
        n += np.int64(1 if ring[k] > 0 else 0)
    return np.float64(n)


@inlined
def is_due(suspect: Any, time: Any, p: Any) -> Any:
    """Whether a suspect past its gate is to be told at ``time`` (ms)."""
    seen = total(suspect.attempts) + total(suspect.ends)
    if suspect.told == 0:
        return True
    if seen < suspect.told:
        suspect.told = seen
    grown = np.float64(seen) >= (1.0 + p.growth) * np.float64(suspect.told) and seen > suspect.told
    return grown or time - suspect.told_at >= TELL_EVERY_MS


@inlined
def past_gate(row: Any, p: Any) -> Any:
    """Whether a caller's row has the attempts of a candidate."""
    return total(row.hour_attempts) >= p.calls_hour or total(row.day_attempts) >= p.calls_day


@inlined
def past_opening(row: Any, p: Any) -> Any:
    """Whether a caller's or block's row has the attempts of a suspect."""
    return total(row.hour_attempts) >= p.open_hour or total(row.day_attempts) >= p.open_day


@inlined
def past_block_gate(row: Any, suspect: Any, p: Any) -> Any:
    """Whether a block is told: attempts, numbers, and a share of talk below an ordinary block's."""
    attempts = total(suspect.attempts)
    if attempts < p.block_calls:
        return False
    if LINEAR[popcount(row.numbers[0] | row.numbers[1])] < p.block_numbers:
        return False
    talked = total(suspect.answered) - total(suspect.brief)
    return np.float64(talked) <= p.block_talked * np.float64(total(suspect.ends))


@inlined
def look(row: Any, suspect: Any, numbers: Any, time: Any, f: Any) -> None:
    """Writes the features of one caller or block, ``numbers`` of which called, into ``f`` (`CANDIDATE`)."""
    suspect.told = max(total(suspect.attempts) + total(suspect.ends), 1)
    suspect.told_at = max(suspect.told_at, time)
    attempts, ends, failed = total(suspect.attempts), total(suspect.ends), total(suspect.failed)
    head = row.newest // 10_000
    young = latest(row.ten_seconds, head, YOUNG_SLOTS) - latest(row.ten_seconds_ends, head, YOUNG_SLOTS)
    f.attempts = np.float64(attempts)
    f.ends = np.float64(ends)
    f.answered = np.float64(total(suspect.answered))
    f.short = np.float64(total(suspect.short))
    f.brief = np.float64(total(suspect.brief))
    f.pending = np.float64(max(attempts - ends - failed - max(young, 0), 0))
    f.failed = np.float64(failed)
    f.invalid = np.float64(total(suspect.invalid))
    f.busy = np.float64(total(suspect.busy))
    f.refused = np.float64(total(suspect.refused))
    f.one_ring = np.float64(total(suspect.one_ring))
    f.rings = np.float64(total(suspect.rings))
    f.ring_ms = np.float64(total(suspect.ring_ms))
    f.talk_ms = np.float64(total(suspect.talk_ms))
    f.inbound = np.float64(total(suspect.inbound))
    f.called_back = np.float64(total(suspect.called_back))
    f.callees = min(_distinct(suspect.callees), np.float64(attempts))
    f.hundreds = min(_distinct(suspect.hundreds), np.float64(attempts))
    f.numbers = numbers
    f.calls_1m = np.float64(total(row.ten_seconds))
    f.calls_10m = np.float64(total(row.attempts))
    f.calls_hour = np.float64(total(row.hour_attempts))
    f.calls_day = np.float64(total(row.day_attempts))
    f.spread_1m = _spread(row.attempts)
    f.spread_10m = _spread(row.hour_attempts)
    f.active_slots = _active(row.day_attempts)
    f.age_s = np.float64(max(row.newest // 1_000 - np.int64(row.first_seen), 0))


@pasted
def _tell(out: Any, row: Any, suspect: Any, c: Any, i: Any, key: Any, is_block: Any, numbers: Any) -> None:
    candidate = out.candidates[out.used[2]]
    time, block = c.time[i], np.int64(1 if is_block else 0)
    counts = mix2(total(suspect.attempts), total(suspect.ends))
    candidate.row = i
    candidate.id = mix2(mix2(mix2(key, block), c.trunks[c.trunk[i]]), mix2(time, counts))
    candidate.key = key
    candidate.time = time
    candidate.block = block
    look(row, suspect, numbers, time, candidate)
    out.used[2] += 1


@pasted
def _note(suspect: Any, c: Any, i: Any, news: Any) -> None:
    """Counts what row ``i`` of columns ``c`` tells: ``news`` bit 0 an attempt, bit 1 an outcome."""
    time = c.time[i]
    advance_suspect(suspect, time)
    if news & 1:
        note_call(suspect, time, c.callee[i])
    if news & 2:
        lasted = np.int64(max(c.ring_ms[i], 0)) + np.int64(max(c.talk_ms[i], 0))
        attempted = time - lasted if c.type[i] == 1 else time
        answered, cause, sip_code = c.answered[i], c.cause[i], c.sip_code[i]
        if is_failure(answered, cause, sip_code):
            note_lost(suspect, attempted)
        else:
            note_outcome(
                suspect,
                attempted,
                answered,
                c.ring_ms[i],
                c.talk_ms[i],
                is_invalid(answered, cause, sip_code),
                is_busy(answered, cause, sip_code),
                is_refused(answered, cause, sip_code),
                gave_up_soon(answered, c.ring_ms[i], c.released_by[i]),
            )


@pasted
def see_caller(key: Any, row: Any, c: Any, i: Any, news: Any, suspects: Any, p: Any, out: Any) -> Any:
    """Counts a row of a caller, whose own row is ``row``; whether it is past the gate of candidates."""
    if not past_opening(row, p):
        return False
    time = c.time[i]
    suspect = suspects.rows[open_suspect(suspects, key, time)]
    _note(suspect, c, i, news)
    if not past_gate(row, p):
        return False
    if is_due(suspect, time, p):
        _tell(out, row, suspect, c, i, key, False, 1.0)
    return True


@pasted
def see_block(key: Any, block: Any, c: Any, i: Any, news: Any, suspects: Any, p: Any, out: Any) -> None:
    """Counts a row of a light caller of the block whose row is ``block``."""
    if not past_opening(block, p):
        return
    time = c.time[i]
    suspect = suspects.rows[open_suspect(suspects, key, time)]
    _note(suspect, c, i, news)
    if past_block_gate(block, suspect, p) and is_due(suspect, time, p):
        numbers = LINEAR[popcount(block.numbers[0] | block.numbers[1])]
        _tell(out, block, suspect, c, i, key, True, numbers)


@pasted
def see_called(callee: Any, caller: Any, time: Any, suspects: Any, blocks: Any) -> None:
    """An attempt on ``callee``: it counts where the number or its block is a suspect."""
    at = index_of(suspects.keys, callee)
    if at >= 0:
        advance_suspect(suspects.rows[at], time)
        note_inbound(suspects.rows[at], time, caller)
    if callee >= 10_000:
        at = index_of(blocks.keys, callee // 10_000)
        if at >= 0:
            advance_suspect(blocks.rows[at], time)
            note_inbound(blocks.rows[at], time, caller)


# --- the same in plain Python


class Happening(NamedTuple):
    """One thing that a suspect's reference counts, at the time of its attempt."""

    time: int
    what: str
    number: int = 0
    ring_ms: int = -1
    talk_ms: int = -1


class SuspectReference:
    """Everything that happened to one suspect."""

    def __init__(self, time: int) -> None:
        self.newest = time
        self.since = time
        self.told = 0
        self.told_at = 0
        self.happened: list[Happening] = []

    def advance(self, time: int) -> None:
        self.newest = max(self.newest, time)
        head = self.newest // SLOT_MS
        self.happened = [h for h in self.happened if head - h.time // SLOT_MS < SLOTS]

    def note(self, happening: Happening) -> None:
        if happening.time >= self.since and self.newest // SLOT_MS - happening.time // SLOT_MS < SLOTS:
            self.happened.append(happening)

    def note_inbound(self, time: int, caller: int) -> None:
        def bit(number: int) -> int:
            return plain_mix(number & (1 << 64) - 1) >> 56

        known = {bit(h.number) for h in self.happened if h.what == "attempt"}
        self.note(Happening(time, "inbound"))
        if bit(caller) in known:
            self.note(Happening(time, "called_back"))

    def count(self, *what: str) -> int:
        return sum(h.what in what for h in self.happened)

    def is_due(self, time: int, growth: float) -> bool:
        seen = self.count("attempt", "end")
        if self.told == 0:
            return True
        self.told = min(self.told, seen)
        grown = seen >= (1 + growth) * self.told and seen > self.told
        return grown or time - self.told_at >= TELL_EVERY_MS

    def features(self, counts: Any, numbers: float, time: int) -> dict[str, float]:
        """What `look` writes; ``counts`` are those of the row (``detectors.plain.Counts``)."""
        self.told = max(self.count("attempt", "end"), 1)
        self.told_at = max(self.told_at, time)
        ends = [h for h in self.happened if h.what == "end"]
        called = [h.number for h in self.happened if h.what == "attempt"]
        answered = [h for h in self.happened if h.what == "answered"]
        rung = [h.ring_ms for h in ends if h.ring_ms >= 0]
        young = counts.window((a.time for a in counts.attempts), 10_000, YOUNG_SLOTS)
        young -= counts.window((o.time for o in counts.outcomes), 10_000, YOUNG_SLOTS)
        minutes, tens, threes = (
            counts.slots(slot_ms, slots) for slot_ms, slots in ((60_000, 10), (600_000, 6), (10_800_000, 8))
        )
        found = {
            "attempts": len(called),
            "ends": len(ends),
            "answered": len(answered),
            "short": sum(0 <= h.talk_ms <= SHORT_TALK_MS for h in answered),
            "brief": sum(0 <= h.talk_ms <= BRIEF_TALK_MS for h in answered),
            "pending": max(len(called) - len(ends) - self.count("failed") - max(young, 0), 0),
            **{what: self.count(what) for what in ("failed", "invalid", "busy", "refused", "one_ring")},
            "rings": len(rung),
            "ring_ms": sum(rung),
            "talk_ms": sum(max(h.talk_ms, 0) for h in answered),
            "inbound": self.count("inbound"),
            "called_back": self.count("called_back"),
            "callees": min(_estimate(called, 256), len(called)),
            "hundreds": min(_estimate([number // 100 for number in called], 128), len(called)),
            "numbers": numbers,
            "calls_1m": counts.calls(10_000, 6),
            "calls_10m": sum(minutes),
            "calls_hour": sum(tens),
            "calls_day": sum(threes),
            "spread_1m": _plain_spread(minutes),
            "spread_10m": _plain_spread(tens),
            "active_slots": sum(n > 0 for n in threes),
            "age_s": max(counts.newest // 1_000 - counts.first_seen, 0),
        }
        return {name: float(value) for name, value in found.items()}


def _estimate(values: list[int], bits: int) -> float:
    """Linear counting with ``bits`` bits."""
    shift = 64 - bits.bit_length() + 1
    used = len({plain_mix(value & (1 << 64) - 1) >> shift for value in values})
    return bits * math.log(bits / max(bits - used, 1))


def _plain_spread(slots: list[int]) -> float:
    mean = sum(slots) / len(slots)
    if mean == 0:
        return 1.0
    return sum((n - mean) ** 2 for n in slots) / len(slots) / mean


class SuspectsReference:
    """The suspects and candidates of one partition; forgets nobody. See ``detectors.reference``."""

    def __init__(self, parameters: CandidatesParameters) -> None:
        self._p = parameters
        self.numbers: dict[int, SuspectReference] = {}
        self.blocks: dict[int, SuspectReference] = {}
        self.told: list[tuple[int, int, int, dict[str, float]]] = []
        """Row, key, 1 for a block, features."""

    def caller(
        self, index: int, key: int, counts: Any, happened: list[Happening], row: Mapping[str, Any]
    ) -> bool:
        """Counts a caller's row in; whether the caller is past its gate."""
        p, time = self._p, row["time"]
        hour, day = counts.calls(600_000, 6), counts.calls(10_800_000, 8)
        if hour < p.open_hour and day < p.open_day:
            return False
        suspect = self.numbers.setdefault(key, SuspectReference(time))
        suspect.advance(time)
        for each in happened:
            suspect.note(each)
        past = bool(hour >= p.calls_hour or day >= p.calls_day)
        if past and suspect.is_due(time, p.growth):
            self.told.append((index, key, 0, suspect.features(counts, 1.0, time)))
        return past

    def block(
        self, index: int, key: int, counts: Any, happened: list[Happening], row: Mapping[str, Any]
    ) -> None:
        """Counts a row of one of a block's light callers in."""
        p, time = self._p, row["time"]
        if counts.calls(600_000, 6) < p.open_hour and counts.calls(10_800_000, 8) < p.open_day:
            return
        suspect = self.blocks.setdefault(key, SuspectReference(time))
        suspect.advance(time)
        for each in happened:
            suspect.note(each)
        answered = [h for h in suspect.happened if h.what == "answered"]
        talked = sum(not 0 <= h.talk_ms <= BRIEF_TALK_MS for h in answered)
        if (
            suspect.count("attempt") >= p.block_calls
            and counts.numbers() >= p.block_numbers
            and talked <= p.block_talked * suspect.count("end")
            and suspect.is_due(time, p.growth)
        ):
            self.told.append((index, key, 1, suspect.features(counts, counts.numbers(), time)))

    def called(self, callee: int, caller: int, time: int) -> None:
        """An attempt on ``callee``."""
        for suspects, key in ((self.numbers, callee), (self.blocks, callee // 10_000)):
            suspect = suspects.get(key) if key > 0 else None
            if suspect is not None:
                suspect.advance(time)
                suspect.note_inbound(time, caller)
