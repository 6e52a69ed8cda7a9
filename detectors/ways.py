"""Which way a call came, seen from its caller: what `misrouted`, `foreign_gateway` and `neighbour` ask.

Called by ``detectors.fold`` for each row of a caller that can exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors import foreign_gateway, misrouted, neighbour
from detectors.calls import NumberKind, text_hash
from detectors.kernels import pasted, popcount
from detectors.lists import ported_to
from detectors.shape import FOREIGN_GATEWAY, FOREIGN_GATEWAY_BLOCK, MISROUTED, NEIGHBOUR, NOTHING
from detectors.shares import OF_A_BLOCK, learn, share_key
from detectors.signals import speak
from detectors.sketches import LINEAR, circle_bits
from detectors.windows import SHORT_TALK_MS, is_failure, note_right, total
from detectors.wrong_place import LEARNT, STRONG, TOLD, note_end, note_wrong, suspect_at, suspect_key, weigh

NO_NAME = np.uint64(text_hash(""))


@pasted
def look(
    row: Any,
    block: Any,
    number: Any,
    inbound: Any,
    first_today: Any,
    known: Any,
    c: Any,
    i: Any,
    news: Any,
    s: Any,
    p: Any,
    lists: Any,
    out: Any,
) -> None:
    """Row ``i`` of ``number``, whose row and whose block's have counted it.

    ``inbound``: attempts to it in the last day; ``first_today``: it was not heard of today; ``known``: its
    circle before the call (uint64).
    """
    learns = news & 1 and first_today and popcount(block.numbers[0] | block.numbers[1]) <= OF_A_BLOCK
    if c.gateway[i] == 0:
        _from_home(block, number, learns, known, inbound, c, i, news, s, p, lists, out)
    else:
        _from_abroad(row, block, number, learns, known, inbound, c, i, news, s, p, out)
    if p.neighbour.on and news & 1 and c.trunks[c.trunk[i]] != NO_NAME:
        _neighbour(row, number, inbound, known, c, i, s, p, out)


@pasted
def _neighbour(
    row: Any, number: Any, inbound: Any, known: Any, c: Any, i: Any, s: Any, p: Any, out: Any
) -> None:
    """Whether a caller resembles its callee, and how many do so on its trunk."""
    time, callee, hashed = c.time[i], c.callee[i], c.trunks[c.trunk[i]]
    trunk = s.trunks[neighbour.trunk_at(s.trunks, hashed, time, p.neighbour)]
    everything = s.trunks[neighbour.trunk_at(s.trunks, neighbour.ALL_TRUNKS, time, p.neighbour)]
    neighbour.count_call(trunk, time)
    neighbour.count_call(everything, time)
    if not neighbour.resembles(number, callee):
        return
    bits = circle_bits(callee)
    odd = total(row.day_attempts) <= p.neighbour.new_calls and inbound == 0 and (known & bits) != bits
    odd = odd and not neighbour.is_family(number, callee, p.neighbour)
    neighbour.note_resembling(trunk, time, number, callee, odd)
    if not odd:
        return
    neighbour.count_odd(trunk, time, number, callee)
    neighbour.count_odd(everything, time, number, callee)
    f = out.signals[out.used[0]].features
    level = neighbour.look(trunk, everything, callee, p.neighbour, f)
    if level != NOTHING:
        about = np.int64(hashed >> np.uint64(1))
        calls = np.int64(f[2] + f[3] + f[12])
        rationed = neighbour.told_about(about, callee, level)
        speak(out, s.spoken, np.int64(NEIGHBOUR), rationed, about, i, time, np.int64(1), calls, level)


@pasted
def _from_home(
    block: Any,
    number: Any,
    learns: Any,
    known: Any,
    inbound: Any,
    c: Any,
    i: Any,
    news: Any,
    s: Any,
    p: Any,
    lists: Any,
    out: Any,
) -> None:
    """A number that came from a network of this country: whether from a right one."""
    operator, network = c.operators[c.caller_operator[i]], c.networks[c.from_network[i]]
    time, trunk = c.time[i], c.trunks[c.trunk[i]]
    share = -1.0
    if learns and p.foreign_gateway.place.on:
        foreign_gateway.learn_caller(s.shares, False, False, network, trunk, time)
    if p.misrouted.place.on and operator != NO_NAME and network != NO_NAME:
        if operator != network and ported_to(lists, number, network, time):
            share = 0.0
        else:
            if learns:
                misrouted.learn_way(s.shares, operator, network, trunk, time)
            share = misrouted.strays(s.shares, operator, network, trunk, time, p.misrouted)
    if share <= 0.0:
        if news & 1:
            note_right(block, time, number)
        return
    at = _noted(number, network, trunk, known, inbound, c, i, news, s)
    if at < 0:
        return
    f = out.signals[out.used[0]].features
    suspect, right = s.misplaced[at], LINEAR[popcount(block.right[0] | block.right[1])]
    level = weigh(
        suspect,
        s.shares,
        network,
        trunk,
        time,
        right,
        share,
        misrouted.FEW,
        TOLD if share <= misrouted.EXPECTED_SHARE else LEARNT,
        False,
        c.caller_kind[i] == NumberKind.MOBILE,
        p.misrouted.place,
        f,
    )
    if level != NOTHING:
        about = number // 10_000 if f[0] >= 2.0 else number
        speak(out, s.spoken, np.int64(MISROUTED), about, about, i, time, news & 1, np.int64(f[3]), level)


@pasted
def _from_abroad(
    row: Any,
    block: Any,
    number: Any,
    learns: Any,
    known: Any,
    inbound: Any,
    c: Any,
    i: Any,
    news: Any,
    s: Any,
    p: Any,
    out: Any,
) -> None:
    """A number at an international gateway: whether it entered as a domestic one that does not roam. One that
    calls abroad leaves there, and is at home."""
    if not p.foreign_gateway.place.on:
        return
    time, trunk, callee, way = c.time[i], c.trunks[c.trunk[i]], c.callee[i], foreign_gateway.GATEWAY
    network = c.networks[c.from_network[i]]
    domestic = foreign_gateway.is_domestic(number, p.foreign_gateway)
    if domestic and not foreign_gateway.is_domestic(callee, p.foreign_gateway):
        if news & 1:
            note_right(block, time, number)
        return
    confirmed = domestic and c.roaming[i] == 1
    unconfirmed = domestic and c.roaming[i] != 1 and c.redirecting[i] == 0
    if learns:
        foreign_gateway.learn_caller(s.shares, True, unconfirmed, network, trunk, time)
    if confirmed and news & 1:
        foreign_gateway.learn_confirmed(s.shares, network, time)
    if not unconfirmed:
        return
    in_use = foreign_gateway.uses_flag(s.shares, network, time)
    share = foreign_gateway.strays(s.shares, in_use and c.roaming[i] == 0, callee, time, p.foreign_gateway)
    if share <= 0.0:
        return
    at = _noted(number, way, trunk, known, inbound, c, i, news, s)
    if at < 0:
        return
    suspect, right = s.misplaced[at], LINEAR[popcount(block.right[0] | block.right[1])]
    if news & 1 and suspect.calls == 1:
        learn(s.shares, share_key(foreign_gateway.REACHED, callee // 10_000, 0), time)
    f = out.signals[out.used[0]].features
    needed = STRONG if not in_use or c.caller_kind[i] == NumberKind.FIXED else TOLD
    few = misrouted.FEW if in_use else p.foreign_gateway.few
    recent = time - suspect.first < foreign_gateway.AT_HOME_MS
    at_home = recent and total(row.attempts) > np.int64(suspect.calls)
    level = weigh(
        suspect,
        s.shares,
        way,
        trunk,
        time,
        right,
        share,
        few,
        needed,
        at_home,
        c.caller_kind[i] == NumberKind.MOBILE,
        p.foreign_gateway.place,
        f,
    )
    if level != NOTHING:
        of_block = f[0] >= 2.0
        about = number // 10_000 if of_block else number
        pattern = np.int64(FOREIGN_GATEWAY_BLOCK if of_block else FOREIGN_GATEWAY)
        speak(out, s.spoken, pattern, about, about, i, time, news & 1, np.int64(f[3]), level)


@pasted
def _noted(
    number: Any, way: Any, trunk: Any, known: Any, inbound: Any, c: Any, i: Any, news: Any, s: Any
) -> Any:
    """Notes row ``i``, which came a wrong way (uint64); the index of its suspect, or -1."""
    key, time = suspect_key(number // 10_000, way), c.time[i]
    at = np.int64(-1)
    if news & 1:
        at = note_wrong(
            s.misplaced, key, s.newest[0], time, number, trunk, c.callee[i], known, np.int64(inbound)
        )
    else:
        at = suspect_at(s.misplaced, key)
    if at >= 0 and news & 2:
        failed = is_failure(c.answered[i], c.cause[i], c.sip_code[i])
        note_end(s.misplaced[at], failed, c.answered[i] == 1 and not 0 <= c.talk_ms[i] <= SHORT_TALK_MS)
    return at
