"""One batch of a frame folded into the state of its partition, row by row, with every detector's look.

A row is counted before it is looked at, and nothing of a row depends on where a batch begins or ends, so any
cutting of the same rows into batches gives the same state and the same signals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from config.settings import DetectSettings, Settings
from detectors import (
    burst,
    candidates,
    clone,
    flood,
    foreign_gateway,
    misrouted,
    neighbour,
    policy,
    rotation,
    sweep,
    unallocated,
    wangiri,
    ways,
)
from detectors.calls import BLOCK, FRAME_SCHEMA, NumberKind, text_hash
from detectors.duplicates import (
    Counted,
    call_key,
    count_call,
    fetch_counted,
    new_counted,
    pair_key,
    seen_elsewhere,
    seen_event,
)
from detectors.kernels import inlined, kernel, mix2, pasted
from detectors.lists import Lists, no_lists
from detectors.shape import (
    BURST_NUMBER,
    FLOOD,
    HIGH,
    NOTHING,
    PREFIX_PROBE,
    ROTATION,
    SWEEP,
    SWEEP_BLOCK,
    UNALLOCATED,
    WANGIRI,
    WANGIRI_BLOCK,
)
from detectors.shares import Shares, new_shares
from detectors.signals import (
    BRIEF,
    BUSY,
    CONTACT,
    CONTACTS,
    FAILED,
    GIVEN_UP,
    SIGNAL,
    TALKED,
    UNWANTED,
    Output,
    new_spoken,
    speak,
)
from detectors.subjects import Table, fetch_keys, fetch_row, find, new_table, touch
from detectors.sums import group_sums, new_sums
from detectors.trails import (
    Trails,
    copy_parties,
    new_trails,
    party_of,
    party_talked,
    remember,
    suspect,
    suspected,
    take_part,
)
from detectors.windows import (
    BLOCK_ROW,
    BRIEF_TALK_MS,
    CALLEE,
    CALLER,
    DAY,
    SHORT_TALK_MS,
    acquaint,
    acquainted,
    advance,
    advance_block,
    advance_rings,
    count_attempt,
    count_failure,
    count_marked,
    count_newcomer,
    count_one_ring,
    count_outcome,
    count_talk_to_block,
    is_busy,
    is_failure,
    is_invalid,
    note_number,
    note_ordinary,
    note_suspect,
    total,
    vote_trunk,
)
from detectors.wrong_place import new_suspects

SIGNALS = 4_096
EMERGENCY = 5
"""``detectors.calls.NumberStatus.EMERGENCY``: never a subject. A short service number may be one: whoever
shows it may have no right to, and rules about it are refused or approved by people."""
MOST_A_ROW = 12
"""Signals one row can raise, and one that is weighed against them."""
MOST_CONTACTS_A_ROW = 2
CONTACT_COPIES = 64
SOON, NEXT = 12, 6
"""So many rows ahead the memory is asked for what a row needs: its buckets, then the subjects in them."""
SPOKEN = 1 << 15
"""Subjects that can be signalling at a time."""


class Columns(NamedTuple):
    """A frame's columns as arrays, one element a row; ``trunks``, ``networks``, ``operators`` and
    ``receivers`` hold the `text_hash` (uint64) of the names that ``trunk``, ``from_network``,
    ``caller_operator`` and ``to_network`` index."""

    role: npt.NDArray[np.uint8]
    type: npt.NDArray[np.uint8]
    time: npt.NDArray[np.int64]
    event: npt.NDArray[np.uint64]
    call: npt.NDArray[np.uint64]
    caller: npt.NDArray[np.int64]
    callee: npt.NDArray[np.int64]
    caller_status: npt.NDArray[np.uint8]
    callee_status: npt.NDArray[np.uint8]
    caller_kind: npt.NDArray[np.uint8]
    callee_tail: npt.NDArray[np.int64]
    answered: npt.NDArray[np.uint8]
    ring_ms: npt.NDArray[np.int32]
    talk_ms: npt.NDArray[np.int32]
    cause: npt.NDArray[np.int16]
    sip_code: npt.NDArray[np.int16]
    gateway: npt.NDArray[np.uint8]
    released_by: npt.NDArray[np.uint8]
    roaming: npt.NDArray[np.uint8]
    redirecting: npt.NDArray[np.int64]
    trunk: npt.NDArray[np.int32]
    from_network: npt.NDArray[np.int32]
    caller_operator: npt.NDArray[np.int32]
    to_network: npt.NDArray[np.int32]
    trunks: npt.NDArray[np.uint64]
    networks: npt.NDArray[np.uint64]
    operators: npt.NDArray[np.uint64]
    receivers: npt.NDArray[np.uint64]


_NAMES = ("trunk", "from_network", "caller_operator", "to_network")
_PLAIN = Columns._fields[: Columns._fields.index(_NAMES[0])]
_PLAIN_AT = [FRAME_SCHEMA.get_field_index(name) for name in _PLAIN]
_NAMES_AT = [FRAME_SCHEMA.get_field_index(name) for name in _NAMES]


def aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As given, read-only and aligned, so that a kernel meets one type only."""
    flags = array.flags
    if not (flags.aligned and flags.c_contiguous):
        array = array.copy()
        flags = array.flags
    if flags.writeable:
        flags.writeable = False
    return array


def columns_of(batch: pa.RecordBatch) -> Columns:
    """The columns of a frame, without copying. Raises ValueError where it is not in FRAME_SCHEMA."""
    if not batch.schema.equals(FRAME_SCHEMA, check_metadata=False):
        raise ValueError(f"not a frame: its columns are {batch.schema}; expected {FRAME_SCHEMA}")
    held = batch.columns
    plain: Any = [aligned(held[at].to_numpy()) for at in _PLAIN_AT]
    names = [held[at] for at in _NAMES_AT]
    indices: Any = [aligned(name.indices.to_numpy()) for name in names]
    hashes: Any = [_hashes(name.dictionary) for name in names]
    return Columns(*plain, *indices, *hashes)


def _hashes(names: pa.Array) -> npt.NDArray[np.uint64]:
    return aligned(np.array([text_hash(name) for name in names.to_pylist()], np.uint64))


class State(NamedTuple):
    """Everything a partition remembers. ``newest`` int64 (1,): latest event time, ms."""

    callers: Table
    blocks: Table
    callees: Table
    counted: Counted
    watched: flood.Watched
    marketers: policy.Marketers
    clones: clone.Clones
    arrivals: rotation.Arrivals
    suspects: candidates.Suspects
    suspect_blocks: candidates.Suspects
    shares: Shares
    misplaced: npt.NDArray[Any]
    trunks: npt.NDArray[Any]
    trails: Trails
    block_trails: Trails
    ringers: Trails
    block_ringers: Trails
    spoken: npt.NDArray[Any]
    newest: npt.NDArray[np.int64]


class Parameters(NamedTuple):
    burst: burst.BurstParameters
    rotation: rotation.RotationParameters
    unallocated: unallocated.UnallocatedParameters
    flood: flood.FloodParameters
    candidates: candidates.CandidatesParameters
    policy: policy.PolicyParameters
    misrouted: misrouted.MisroutedParameters
    foreign_gateway: foreign_gateway.ForeignGatewayParameters
    neighbour: neighbour.NeighbourParameters
    sweep: sweep.SweepParameters
    wangiri: wangiri.WangiriParameters
    clone: clone.CloneParameters
    lateness_ms: int


def new_state(settings: Settings) -> State:
    """The state before the first row. Its size is fixed by ``settings.detect``."""
    detect = settings.detect
    return State(
        callers=new_table(detect.tracked_numbers, CALLER),
        blocks=new_table(detect.tracked_blocks, BLOCK_ROW),
        callees=new_table(detect.tracked_numbers, CALLEE),
        counted=new_counted(detect.remembered_events),
        watched=flood.new_watched(detect.watched_callees),
        marketers=policy.new_marketers(detect.marketers),
        clones=clone.new_clones(detect.clones),
        arrivals=rotation.new_arrivals(),
        suspects=candidates.new_suspects(settings.candidates.suspects),
        suspect_blocks=candidates.new_suspects(settings.candidates.suspect_blocks),
        shares=new_shares(detect.learnt_shares),
        misplaced=new_suspects(detect.misplaced_blocks),
        trunks=neighbour.new_trunks(detect.watched_trunks),
        trails=new_trails(detect.trails, sweep.TRAIL),
        block_trails=new_trails(detect.trails, sweep.TRAIL),
        ringers=new_trails(detect.trails, wangiri.RINGER),
        block_ringers=new_trails(detect.trails, wangiri.RINGER),
        spoken=new_spoken(SPOKEN),
        newest=np.zeros(1, np.int64),
    )


def parameters_of(settings: Settings) -> Parameters:
    return Parameters(
        burst=burst.parameters_of(settings.detectors.burst),
        rotation=rotation.parameters_of(settings.detectors.rotation),
        unallocated=unallocated.parameters_of(settings.detectors.unallocated),
        flood=flood.parameters_of(settings.detectors.flood),
        candidates=candidates.parameters_of(settings.candidates),
        policy=policy.parameters_of(settings.detectors.policy),
        misrouted=misrouted.parameters_of(settings.detectors.misrouted),
        foreign_gateway=foreign_gateway.parameters_of(
            settings.detectors.foreign_gateway, settings.numbering.home_country
        ),
        neighbour=neighbour.parameters_of(settings.detectors.neighbour),
        sweep=sweep.parameters_of(settings.detectors.sweep),
        wangiri=wangiri.parameters_of(settings.detectors.wangiri),
        clone=clone.parameters_of(settings.detectors.clone),
        lateness_ms=settings.detect.lateness_ms,
    )


def new_output(rows: int = 0) -> Output:
    """Room for what a batch of ``rows`` gives rise to; `renewed` for the next batch."""
    return Output(
        signals=np.zeros(SIGNALS, SIGNAL),
        contacts=np.zeros((CONTACT_COPIES, CONTACTS), CONTACT),
        candidates=candidates.new_candidates(),
        used=np.zeros(3, np.int64),
        counted=np.zeros(rows, np.uint8),
        sums=np.zeros(3, np.int64),
    )


def renewed(output: Output, rows: int) -> Output:
    """The same room for a batch of ``rows``."""
    output.used[:] = 0
    output.sums[:] = 0
    return output._replace(counted=np.zeros(rows, np.uint8))


@inlined
def caller_key(caller: Any, status: Any, trunk: Any) -> Any:
    """Key of a caller in its table: the number; of a text, the text on that trunk; 0 where it is withheld."""
    if caller > 0:
        return caller
    if caller == 0 or status == 7:
        return np.int64(0)
    return -1 - np.int64(mix2(caller, trunk) >> np.uint64(1))


@pasted
def _lasted(c: Any, i: Any) -> Any:
    """Known ms from attempt to release."""
    return np.int64(max(c.ring_ms[i], 0)) + np.int64(max(c.talk_ms[i], 0))


@pasted
def _news(c: Any, i: Any, counted: Any) -> Any:
    """What row ``i`` tells that was not counted: bit 0 an attempt, bit 1 an outcome, bit 2 a duplicate."""
    role, time = np.int64(c.role[i]), c.time[i]
    caller, callee, network = c.caller[i], c.callee[i], c.networks[c.from_network[i]]
    if seen_event(counted.events, c.event[i], role):
        return 4
    attempt, outcome = c.type[i] != 1, c.type[i] != 0
    told = np.int64(
        count_call(counted.calls, call_key(c.call[i], caller, callee, role), time, attempt, outcome)
    )
    news = told
    if caller < 0 and c.caller_status[i] == 7:
        return news if news != 0 else 4
    if told & 1 and seen_elsewhere(counted.pairs, pair_key(caller, callee, role, np.int64(0)), time, network):
        news &= ~1
    if told & 2:
        released = time + _lasted(c, i) if attempt else time
        if seen_elsewhere(counted.pairs, pair_key(caller, callee, role, np.int64(1)), released, network):
            news &= ~2
    return news if news != 0 else 4


@pasted
def _count(row: Any, c: Any, i: Any, news: Any, counterpart: Any) -> None:
    time = c.time[i]
    if news & 1:
        count_attempt(row, time, counterpart)
    if news & 2:
        attempted = time - _lasted(c, i) if c.type[i] == 1 else time
        answered, cause, sip_code = c.answered[i], c.cause[i], c.sip_code[i]
        if is_failure(answered, cause, sip_code):
            count_failure(row, attempted)
        elif c.role[i] == 1 and is_busy(answered, cause, sip_code):
            count_marked(row, attempted)
        else:
            count_outcome(row, attempted, answered, c.talk_ms[i])
            if is_invalid(answered, cause, sip_code):
                count_marked(row, attempted)


@inlined
def _service(status: Any) -> Any:
    return status == 4 or status == 5


@pasted
def _caller_row(c: Any, i: Any, news: Any, s: Any, p: Any, lists: Any, out: Any) -> Any:
    """A call as its caller's side sees it; what `_suspects` must know of the caller as it was before: 0 where
    it has no row, else bit 0, bit 1 whether it knew the callee, from bit 2 on the tail of its last callee."""
    status, time, now = c.caller_status[i], c.time[i], s.newest[0]
    key = caller_key(c.caller[i], status, c.trunks[c.trunk[i]])
    if key == 0:
        return np.int64(0)
    attempt = news & 1
    row = s.callers.rows[touch(s.callers, key, now)]
    first_today = row.newest // DAY < time // DAY
    advance_rings(row, time)
    advance(row, time)
    if p.clone.on and key > 0 and not _service(status):
        clone.called(row, key, c, i, news, s, p.clone, lists, out)
    _count(row, c, i, news, c.callee[i])
    known = row.circle[0] | row.circle[1]
    clue = np.int64(1)
    if attempt:
        clue += np.int64(2) * sweep.knows(row, c.callee[i]) + 4 * sweep.last_tail(row)
        acquaint(row, time, c.callee[i])
    considered = p.candidates.on and not _service(status)
    candidate = considered and candidates.see_caller(key, row, c, i, news, s.suspects, p.candidates, out)
    number = key if key > 0 else np.int64(0)
    block_key = number // 10_000
    light = total(row.attempts) <= burst.LIGHT_CALLS
    inbound = np.float64(0)
    if number:
        called = find(s.callees, number)
        if called >= 0:
            inbound = np.float64(total(s.callees.rows[called].day_attempts))
        if inbound == 0.0 and total(row.day_attempts) <= 1:
            out.counted[i] |= np.uint8(4)
    if p.burst.on and status != EMERGENCY:
        f = out.signals[out.used[0]].features
        level = burst.look(row, inbound, c.caller_kind[i], p.burst, f)
        if level != NOTHING:
            speak(out, s.spoken, np.int64(BURST_NUMBER), key, key, i, time, attempt, np.int64(f[2]), level)
    if (p.burst.on or p.sweep.on) and not _service(status):
        if attempt:
            f = out.signals[out.used[0]].features
            level = burst.probe(row, time, c.callee[i], c.callee_tail[i], p.burst, f)
            if level != NOTHING and p.burst.on:
                speak(
                    out, s.spoken, np.int64(PREFIX_PROBE), key, key, i, time, attempt, np.int64(f[0]), level
                )
        if news & 2 and c.answered[i] == 1:
            burst.probe_answered(row, c.callee_tail[i])
    if p.policy.on and attempt and number:
        policy.attempted(row, number, c, i, s, p.policy, lists, out)
    if block_key == 0:
        return clue
    block = s.blocks.rows[touch(s.blocks, block_key, now)]
    advance_block(block, time)
    if attempt:
        note_number(block, time, number)
    if news & 2 and _is_talk(c, i) and rotation.is_ordinary(row):
        note_ordinary(block, time, number)
    if status == 0:
        ways.look(row, block, number, inbound, first_today, known, c, i, news, s, p, lists, out)
    if light:
        if not rotation.calls_one_only(row):
            _light_call(c, i, news, number, block, row, inbound, s, p, out)
        if considered and not candidate:
            candidates.see_block(block_key, block, c, i, news, s.suspect_blocks, p.candidates, out)
    machine = c.caller_kind[i] == unallocated.MACHINE and status == 0
    if p.unallocated.on and attempt and (machine or unallocated.cannot_exist(status)):
        f = out.signals[out.used[0]].features
        level = unallocated.look(row, block, machine, p.unallocated, f)
        if level != NOTHING:
            few = f[2] <= unallocated.FEW_NUMBERS
            rationed = number if few else block_key
            speak(
                out, s.spoken, np.int64(UNALLOCATED), rationed, number, i, time, attempt, np.int64(1), level
            )
    return clue


@pasted
def _light_call(
    c: Any, i: Any, news: Any, number: Any, block: Any, row: Any, inbound: Any, s: Any, p: Any, out: Any
) -> None:
    """A call of a number with few calls counts for its block as well."""
    time, attempt, key = c.time[i], news & 1, number // 10_000
    _count(block, c, i, news, c.callee[i])
    if news & 2 and not _is_talk(c, i) and inbound == 0.0 and total(row.day_talked) == 0:
        note_suspect(block, number)
    if attempt:
        vote_trunk(block, c.trunks[c.trunk[i]])
        newcomer = rotation.is_newcomer(row, time)
        rotation.arrive(s.arrivals, time, newcomer)
        if newcomer:
            count_newcomer(block, time)
    if not p.rotation.on or _service(c.caller_status[i]):
        return
    f = out.signals[out.used[0]].features
    mobile = c.caller_kind[i] == NumberKind.MOBILE
    level = rotation.look(block, row, inbound, mobile, s.arrivals, p.rotation, f)
    if level == NOTHING:
        return
    rationed = number if rotation.is_proposed_alone(f, p.rotation) else key
    if speak(out, s.spoken, np.int64(ROTATION), rationed, key, i, time, attempt, np.int64(f[2]), level):
        out.signals[out.used[0] - 1].trunk = block.trunk


@pasted
def _is_talk(c: Any, i: Any) -> Any:
    return c.answered[i] == 1 and not 0 <= c.talk_ms[i] <= BRIEF_TALK_MS


@pasted
def _callee_row(c: Any, i: Any, news: Any, s: Any, p: Any, out: Any) -> None:
    """A call as its callee's side sees it."""
    time, now, callee = c.time[i], s.newest[0], c.callee[i]
    if callee == 0:
        return
    row = s.callees.rows[touch(s.callees, callee, now)]
    advance(row, time)
    trunk = c.trunks[c.trunk[i]]
    key = caller_key(c.caller[i], c.caller_status[i], trunk)
    caller = key if key != 0 else c.caller[i]
    _count(row, c, i, news, caller)
    if news & 1 and p.candidates.on:
        candidates.see_called(callee, caller, time, s.suspects, s.suspect_blocks)
    if news & 2 and _is_talk(c, i):
        if c.talk_ms[i] >= p.flood.length_ms and key != 0:
            acquaint(row, time, caller)
        if callee >= 10_000:
            block = s.blocks.rows[touch(s.blocks, callee // 10_000, now)]
            advance_block(block, time)
            count_talk_to_block(block, time)
            rotation.receive(s.arrivals, time)
            note_ordinary(block, time, callee)
    if not p.flood.on or _service(c.callee_status[i]):
        return
    if total(row.attempts) < p.flood.watch and not flood.is_watched_for_long(row, p.flood):
        return
    if news & 1:
        stranger = key == 0 or not acquainted(row, caller)
        if stranger and key != 0:
            own = find(s.callers, callee)
            if own >= 0:
                stranger = not acquainted(s.callers.rows[own], caller)
        flood.note_attempt(s.watched, callee, now, time, caller, c.call[i], trunk, stranger)
    if news & 2:
        if is_failure(c.answered[i], c.cause[i], c.sip_code[i]):
            outcome = FAILED
        elif is_busy(c.answered[i], c.cause[i], c.sip_code[i]):
            outcome = BUSY
        elif _is_talk(c, i):
            outcome = TALKED
        elif c.answered[i] == 1:
            outcome = BRIEF
        elif candidates.gave_up_soon(c.answered[i], c.ring_ms[i], c.released_by[i]):
            outcome = GIVEN_UP
        else:
            outcome = UNWANTED
        flood.note_outcome(s.watched, callee, c.call[i], outcome)
    f = out.signals[out.used[0]].features
    level = flood.look(row, s.watched, callee, p.flood, f)
    if level == NOTHING:
        level = flood.look_long(row, s.watched, callee, p.flood, f)
    if level != NOTHING:
        calls = flood.calls_of(f)
        if speak(out, s.spoken, np.int64(FLOOD), callee, callee, i, time, news & 1, calls, level):
            flood.copy_contacts(s.watched, callee, out.contacts[out.used[1]])
            out.signals[out.used[0] - 1].contacts = np.int32(out.used[1])
            out.used[1] += 1


@pasted
def _suspects(c: Any, i: Any, news: Any, clue: Any, s: Any, p: Any, out: Any) -> None:
    """The same call once more, for what is remembered of suspects only."""
    key = caller_key(c.caller[i], c.caller_status[i], c.trunks[c.trunk[i]])
    row = s.callers.rows[find(s.callers, key)]
    light = total(row.attempts) <= burst.LIGHT_CALLS
    tail, callee = c.callee_tail[i], c.callee[i]
    if p.sweep.on and sweep.follows(callee, tail, _service(c.callee_status[i])):
        _sweep(c, i, news, clue, key, row, light, s, p, out)
    if p.wangiri.on and news & 2 and not is_failure(c.answered[i], c.cause[i], c.sip_code[i]):
        _wangiri(c, i, key, row, light, s, p, out)


@pasted
def _is_more_than_short(c: Any, i: Any) -> Any:
    return c.answered[i] == 1 and not 0 <= c.talk_ms[i] <= SHORT_TALK_MS


@pasted
def _tread(trail: Any, c: Any, i: Any, news: Any, clue: Any, p: Any) -> Any:
    """One row on a trail; 1 where it is part of the run, else 0."""
    part = np.int64(0)
    answered, cause, sip_code = c.answered[i], c.cause[i], c.sip_code[i]
    if news & 1:
        part = sweep.follow(trail, c.callee_tail[i], clue & 2 != 0, c.time[i], p.sweep)
    if news & 2:
        failed = is_failure(answered, cause, sip_code)
        invalid = is_invalid(answered, cause, sip_code)
        part |= sweep.conclude(trail, c.callee_tail[i], failed, _is_more_than_short(c, i), invalid)
    return part


@pasted
def _sweep(
    c: Any, i: Any, news: Any, clue: Any, key: Any, row: Any, light: Any, s: Any, p: Any, out: Any
) -> None:
    time, now, tail, attempt = c.time[i], s.newest[0], c.callee_tail[i], news & 1
    before = clue >> 2
    at = suspected(s.trails, key, now)
    if at < 0 and attempt and (sweep.is_next(tail, before, p.sweep) or total(row.attempts) >= p.sweep.active):
        at = suspect(s.trails, key, now)
        if before > 0:
            remember(s.trails.rows[at], before)
    own = at >= 0 and _tread(s.trails.rows[at], c, i, news, clue, p) == 1
    block_key = max(key, 0) // 10_000
    at_block, shared, level = np.int64(-1), False, NOTHING
    if block_key:
        block = s.blocks.rows[find(s.blocks, block_key)]
        at_block = suspected(s.block_trails, block_key, now)
        if light and attempt:
            if at_block < 0 and sweep.next_to_recent(block, tail, p.sweep):
                at_block = suspect(s.block_trails, block_key, now)
                for k in range(2, -1, -1):
                    if block.tails[k] != 0:
                        remember(s.block_trails.rows[at_block], block.tails[k])
            sweep.note_recent(block, tail)
        if at_block >= 0:
            trail = s.block_trails.rows[at_block]
            if light or party_of(trail, key) >= 0:
                shared = _tread(trail, c, i, news, clue, p) == 1
            if shared and attempt:
                take_part(trail, key)
                vote_trunk(trail, c.trunks[c.trunk[i]])
            if shared and news & 2 and _is_more_than_short(c, i):
                party_talked(trail, key)
            if shared:
                f = out.signals[out.used[0]].features
                level = sweep.look_block(trail, block, p.sweep, f)
    if own and level < HIGH:
        f = out.signals[out.used[0] + 1].features
        alone = sweep.look(s.trails.rows[at], row, sweep.HABIT_TALK, p.sweep, f)
        if alone > level:
            _take_features(out)
            run = np.int64(f[0])
            speak(out, s.spoken, np.int64(SWEEP), key, key, i, time, attempt, run, alone)
            return
    if level != NOTHING:
        trail = s.block_trails.rows[at_block]
        run = np.int64(trail.run)
        if speak(out, s.spoken, np.int64(SWEEP_BLOCK), block_key, block_key, i, time, attempt, run, level):
            _name_parties(trail, block_key, time, out)


@inlined
def _take_features(out: Any) -> None:
    """Copy the features in the slot after the next free one into that."""
    scratch, free = out.signals[out.used[0] + 1].features, out.signals[out.used[0]].features
    for k in range(free.size):
        free[k] = scratch[k]


@pasted
def _name_parties(row: Any, block: Any, time: Any, out: Any) -> None:
    """Give the last signal the trunk and the parties of a suspected block."""
    signal = out.signals[out.used[0] - 1]
    signal.trunk = row.trunk
    signal.contacts = np.int32(out.used[1])
    copy_parties(row, block, time, out.contacts[out.used[1]])
    out.used[1] += 1


@pasted
def _wangiri(c: Any, i: Any, key: Any, row: Any, light: Any, s: Any, p: Any, out: Any) -> None:
    """An outcome of a call, as one of a caller who may ring once."""
    time, now, tail = c.time[i], s.newest[0], c.callee_tail[i]
    attempted = time - _lasted(c, i) if c.type[i] == 1 else time
    answered = c.answered[i] == 1
    ring = wangiri.ring_of(answered, c.ring_ms[i], c.released_by[i], c.cause[i], c.sip_code[i], p.wangiri)
    known = ring != wangiri.NO_RING and wangiri.known_before(row, c.callee[i], attempted)
    at = suspected(s.ringers, key, now)
    if ring != wangiri.NO_RING:
        count_one_ring(row, attempted, ring)
        if at < 0:
            at = suspect(s.ringers, key, now)
    if at >= 0:
        wangiri.hear(s.ringers.rows[at], tail, ring, answered, known, attempted, p.wangiri)
    block_key = max(key, 0) // 10_000
    at_block, level = np.int64(-1), NOTHING
    if block_key:
        block = s.blocks.rows[find(s.blocks, block_key)]
        at_block = suspected(s.block_ringers, block_key, now)
        if ring != wangiri.NO_RING and light:
            count_one_ring(block, attempted, ring)
            if at_block < 0:
                at_block = suspect(s.block_ringers, block_key, now)
        if at_block >= 0:
            ringer = s.block_ringers.rows[at_block]
            if light or party_of(ringer, key) >= 0:
                wangiri.hear(ringer, tail, ring, answered, known, attempted, p.wangiri)
                if ring != wangiri.NO_RING:
                    take_part(ringer, key)
                    vote_trunk(ringer, c.trunks[c.trunk[i]])
                if answered:
                    party_talked(ringer, key)
                if party_of(ringer, key) >= 0:
                    f = out.signals[out.used[0]].features
                    level = wangiri.look_block(ringer, block, p.wangiri, f)
    if at >= 0 and level < HIGH:
        f = out.signals[out.used[0] + 1].features
        alone = wangiri.look(s.ringers.rows[at], row, wangiri.HABIT_TALK, p.wangiri, f)
        if alone > level:
            _take_features(out)
            calls = np.int64(f[0] + f[2] + f[3])
            speak(out, s.spoken, np.int64(WANGIRI), key, key, i, time, np.int64(1), calls, alone)
            return
    if level != NOTHING:
        ringer = s.block_ringers.rows[at_block]
        calls = np.int64(ringer.rings + ringer.answered + ringer.other)
        one = np.int64(1)
        if speak(out, s.spoken, np.int64(WANGIRI_BLOCK), block_key, block_key, i, time, one, calls, level):
            _name_parties(ringer, block_key, time, out)


@pasted
def _fetch_soon(c: Any, i: Any, s: Any) -> None:
    """Asks for the buckets that row ``i`` will look into."""
    role, caller, callee = np.int64(c.role[i]), c.caller[i], c.callee[i]
    fetch_counted(s.counted, c.event[i], c.call[i], caller, callee, role)
    if role == 0:
        fetch_keys(s.callers, caller)
        fetch_keys(s.blocks, caller // BLOCK)
        fetch_keys(s.callees, caller)
    else:
        fetch_keys(s.callees, callee)


@pasted
def _fetch_next(c: Any, i: Any, s: Any) -> None:
    """Asks for the subjects of row ``i``, whose buckets were asked for."""
    if c.role[i] == 0:
        fetch_row(s.callers, c.caller[i])
        fetch_row(s.blocks, c.caller[i] // BLOCK)
    else:
        fetch_row(s.callees, c.callee[i])


@inlined
def _is_full(out: Any) -> Any:
    """Whether there may be no room for another row's signals."""
    return (
        out.used[0] > out.signals.size - MOST_A_ROW
        or out.used[1] > out.contacts.shape[0] - MOST_CONTACTS_A_ROW
    )


@kernel
def fold(c: Columns, start: int, s: State, p: Parameters, lists: Lists, out: Output) -> int:
    """Fold rows from ``start`` on into ``s``; returns the row to go on from, the number of rows when done.

    Stops early where ``out`` has no room for another row's signals: take them, zero ``out.used``, call again.
    """
    n = c.time.size
    for i in range(start, n):
        if _is_full(out):
            return i
        if out.used[2] > out.candidates.size - candidates.MOST_CANDIDATES_A_ROW:
            return i
        if i + SOON < n:
            _fetch_soon(c, i + SOON, s)
        if i + NEXT < n:
            _fetch_next(c, i + NEXT, s)
        time = c.time[i]
        s.newest[0] = max(s.newest[0], time)
        if s.newest[0] - time > p.lateness_ms:
            out.sums[1] += 1
        news = _news(c, i, s.counted)
        if news == 4:
            out.sums[0] += 1
            continue
        out.counted[i] = np.uint8(news)
        if c.role[i] == 0:
            clue = _caller_row(c, i, news, s, p, lists, out)
            if clue != 0 and not _service(c.caller_status[i]):
                _suspects(c, i, news, clue, s, p, out)
        else:
            _callee_row(c, i, news, s, p, out)
    return n


def warm() -> None:
    """Compile every kernel of `detect` as it is called, or load it from the cache: folds one empty call."""
    empty: dict[str, Any] = {
        field.name: "" if pa.types.is_string(field.type) else 0 for field in FRAME_SCHEMA
    }
    empty |= {field.name: "" for field in FRAME_SCHEMA if pa.types.is_dictionary(field.type)}
    batch = pa.RecordBatch.from_pylist([empty | {"role": role} for role in (0, 1)], schema=FRAME_SCHEMA)
    settings = Settings.model_construct()
    few = settings.candidates.model_copy(update={"suspects": 8, "suspect_blocks": 8})
    small = DetectSettings(
        tracked_numbers=8,
        tracked_blocks=8,
        remembered_events=8,
        watched_callees=8,
        misplaced_blocks=8,
        learnt_shares=8,
        watched_trunks=8,
        trails=8,
    )
    state = new_state(settings.model_copy(update={"detect": small, "candidates": few}))
    columns, output = columns_of(batch), new_output(batch.num_rows)
    fold(columns, 0, state, parameters_of(settings), no_lists(), output)
    group_sums(columns, output.counted, new_sums(batch.num_rows))
