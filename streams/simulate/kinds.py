"""The kinds of attack: each draws the calls of one campaign, and no two campaigns alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streams.simulate.calls import Habit, Ints, join
from streams.simulate.craft import LARGEST_POOL, Craft, Drawn, spelled
from streams.simulate.directory import companies, refusal
from streams.simulate.numbers import AREAS, CHINA, NETWORKS, SEGMENT, fixed, mobile, segments, spell
from streams.simulate.population import Organisation

#                       answer no-answer busy declined off failed wrong gives up
ROBOT = Habit((0.16, 0.22, 0.06, 0.16, 0.12, 0.01, 0.15, 0.12), 8.0, 6.0, caller_hangs_up=0.3, no_answer=30.0)
SWEEP = Habit((0.10, 0.14, 0.04, 0.10, 0.14, 0.01, 0.40, 0.07), 8.0, 5.0, caller_hangs_up=0.4, no_answer=25.0)
HARASS = Habit(
    (0.12, 0.0, 0.22, 0.10, 0.0, 0.02, 0.0, 0.54), 2.0, 1.4, 0.4, 0.4, give_up=1.5, caller_hangs_up=0.7
)
TELEMARKETING = Habit((0.24, 0.20, 0.05, 0.18, 0.10, 0.01, 0.08, 0.14), 8.0, 11.0, caller_hangs_up=0.25)
SWINDLE = Habit((0.36, 0.18, 0.05, 0.12, 0.09, 0.01, 0.04, 0.15), 8.0, 35.0, caller_hangs_up=0.4)
COLLECTION = Habit((0.22, 0.22, 0.06, 0.34, 0.08, 0.01, 0.01, 0.06), 9.0, 9.0, caller_hangs_up=0.15)
SILENT = Habit((0.38, 0.20, 0.05, 0.10, 0.10, 0.01, 0.06, 0.10), 7.0, 1.6, 0.5, 0.5, caller_hangs_up=0.9)
PUMPING = Habit((0.93, 0.02, 0.02, 0.0, 0.0, 0.02, 0.0, 0.01), 1.5, 4.0, 0.4, 0.3, caller_hangs_up=0.9)


def _burst(c: Craft) -> Drawn:
    """One to twenty numbers call as fast as they can."""
    sort = c.sort("abroad")
    callers = c.callers(c.count(1, 20), sort)
    start = c.starts(4, 12)
    calls = c.calls(c.habit(ROBOT), start, c.each(callers, len(start)), c.targets(len(start)), c.trunks(3))
    return Drawn(calls, spelled(callers))


def _sweep(c: Craft) -> Drawn:
    """Callees one after another: with gaps and steps, shuffled a little, several runs at once."""
    callers = c.callers(c.count(1, 6) if c.chance(0.5) else 1, c.sort("abroad", "service"))
    start = c.starts(1, 3)
    runs = min(int(c.random.integers(1, 4)) if c.chance(0.35) else 1, max(1, len(start) // 8))
    order = np.arange(len(start))
    run, place = order % runs, order // runs
    callee = np.zeros(len(start), np.int64)
    for i in range(runs):
        callee[run == i] = _run(c, int((run == i).sum()))
    if c.chance(0.35):
        callee = callee[
            np.argsort(place + c.random.uniform(0, c.between(1.5, 6.0), len(place)), kind="stable")
        ]
    caller = callers[run % len(callers)] if c.chance(0.3) else c.each(callers, len(start))
    return Drawn(c.calls(c.habit(SWEEP), start, caller, callee, c.trunks(2)), spelled(callers))


def _run(c: Craft, count: int) -> Ints:
    """Ascending or descending numbers of one segment, or of one exchange of fixed lines."""
    widest = max(1, (SEGMENT - 1) // max(count, 1))
    step = int(c.random.choice((1, 1, 1, 2, 3, 5, 10)))
    steps = np.full(count, min(step, widest))
    if c.chance(0.4):
        steps += (c.random.random(count) < c.between(0.05, 0.4)) * c.random.integers(1, 4, count)
    place = np.minimum(np.cumsum(steps) - steps[0], SEGMENT - 1) if count else steps
    first = int(c.random.integers(0, SEGMENT - int(place[-1]))) if count else 0
    if c.chance(0.2):
        exchange = int(c.random.integers(3_000, 8_900)) * SEGMENT
        numbers = fixed(int(c.random.choice(tuple(AREAS))), exchange + first + place)
    else:
        own = segments().prefix[segments().network == c.receiver]
        numbers = mobile(int(c.random.choice(own)), first + place)
    return numbers if c.chance(0.7) else numbers[::-1]


def _wangiri(c: Craft) -> Drawn:
    """One ring from numbers that cost whoever calls back: mostly from abroad."""
    count = c.count(1, 10)
    callers = c.abroad(count) if c.chance(0.65) else c.callers(count, c.sort("abroad"))
    start = c.starts(1, 3)
    given_up = c.between(0.74, 0.88)
    rest = (1 - given_up) * np.array([0.1, 0.0, 0.17, 0.06, 0.34, 0.03, 0.3])
    habit = Habit((*rest.tolist(), given_up), 1.2, 1.0, c.between(0.1, 0.35), give_up=c.between(0.4, 3.6))
    calls = c.calls(habit, start, c.each(callers, len(start)), c.targets(len(start)), c.trunks(2))
    calls.back[:] = np.where(calls.ring > 0, c.between(0.03, 0.15), 0.0)
    calls.back_answered[:] = 0.95
    return Drawn(calls, spelled(callers))


def _rotation(c: Craft) -> Drawn:
    """Numbers of one block take turns, each with a few calls."""
    start = c.starts(0.7, 2)
    fewest = min(LARGEST_POOL, max(8, len(start) // 8))
    count = c.count(fewest, min(LARGEST_POOL, max(fewest + 1, len(start) // 2)))
    width = int(c.random.choice([w for w in (10, 100, 1_000, 10_000) if w >= 1.1 * count or w == 10_000]))
    count = min(count, width)
    callers = c.random.choice(_wide(c, width, count), count, replace=False)
    if c.chance(0.3):
        callers = np.sort(callers)
    habit = c.habit((TELEMARKETING, ROBOT, SWINDLE)[int(c.random.integers(3))])
    calls = c.calls(habit, start, c.each(callers, len(start)), c.targets(len(start)), c.trunks())
    return Drawn(calls, [f"+{int(callers[0]) // width}*"])


def _wide(c: Craft, width: int, count: int) -> Ints:
    """Free numbers of a block ``width`` wide, at least ``count``: of a segment or of a company's exchange."""
    while True:
        if c.chance(0.3):
            exchange = fixed(
                int(c.random.choice(tuple(AREAS))), int(c.random.integers(3_000, 8_900)) * SEGMENT
            )
        else:
            exchange = mobile(c.segment(virtual=c.chance(0.3)), 0)
        first = int(exchange) + int(c.random.integers(0, SEGMENT // width)) * width
        free = c.free(first + np.arange(width))
        if len(free) >= count:
            return free


def _flood(c: Craft) -> Drawn:
    """Many calls to one callee, from one number, a few, a block, or hundreds of numbers anywhere."""
    start = c.starts(3, 10)
    variant = int(c.random.integers(4))
    if variant == 3:
        callers = np.unique(np.concatenate([c.pool(1) for _ in range(min(400, len(start)))]))
    else:
        count = (1, c.count(2, 9), c.count(20, 100))[variant]
        callers = c.callers(count, c.sort(*(("service", "toll_free") if variant == 2 else ())))
    if c.chance(0.25):
        company = c.world.population.companies.organisations
        chosen = [o for o in company if NETWORKS[o.network] == NETWORKS[c.receiver]] or company
        victim = int(chosen[int(c.random.integers(len(chosen)))].numbers[0])
    else:
        victim = int(c.world.population.people.number[c.victim()])
    caller = c.each(callers, len(start))
    if c.chance(0.15):
        texts = -c.random.integers(7_000, 7_999, c.count(1, 20))
        text = c.random.random(len(start)) < c.between(0.2, 1.0)
        caller = np.where(text, c.random.choice(texts, len(start)), caller)
    calls = c.calls(c.habit(HARASS), start, caller, np.full(len(start), victim), c.trunks(3))
    calls.back[calls.caller < 0] = 0
    if c.chance(0.15):
        withheld = c.random.random(len(start)) < c.between(0.2, 1.0)
        calls.presentation[withheld] = 2
        calls.back[withheld] = 0
    return Drawn(calls, [spell(victim)])


def _unallocated(c: Craft) -> Drawn:
    """Numbers that cannot exist or never call, from one to sixty of a block."""
    start = c.starts(0.3, 1.2)
    tails = c.random.choice(SEGMENT, c.count(1, 60), replace=False)
    callers = _impossible(c, int(c.random.choice(segments().unallocated)), tails)
    habit = c.habit((TELEMARKETING, ROBOT, SWINDLE)[int(c.random.integers(3))])
    calls = c.calls(habit, start, c.each(callers, len(start)), c.targets(len(start)), c.trunks(2))
    calls.back[:] = 0
    return Drawn(calls, spelled(calls.caller))


def _impossible(c: Craft, segment: int, tails: Ints) -> Ints:
    """Of an unallocated segment, prefix or area, too long, too short, of machines, of ports for texts."""
    home = CHINA * 10_000_000
    return (
        mobile(segment, tails),
        mobile(1_200_000 + segment % 100_000, tails),
        mobile(8_890_000 + segment % 100, tails),
        (home + c.segment()) * 10 * SEGMENT + tails * 7,
        (home + segment) // 10 * SEGMENT // 10 + tails // 10,
        mobile(1_460_000 + segment % 1_000, tails),
        (CHINA * 10_000 + 1_069) * SEGMENT * SEGMENT + segment % 1_000 * SEGMENT + tails,
    )[int(c.random.integers(7))]


def _misrouted(c: Craft) -> Drawn:
    """Numbers of a third network on trunks of the sender."""
    third = int(c.random.choice([n for n in range(3) if n not in (c.sender, c.receiver)]))
    each = int(c.random.choice((1, 1, 2, 5, 20)))
    callers = np.concatenate([c.pool(each, c.segment(third)) for _ in range(c.count(1, 8))])
    start = c.starts(0.3, 0.8)
    trunks = c.trunks(3)
    habit = c.habit((SWINDLE, TELEMARKETING)[int(c.random.integers(2))])
    calls = c.calls(habit, start, c.each(callers, len(start)), c.targets(len(start)), trunks)
    return Drawn(calls, [c.trunk_name(int(trunks[0]))])


def _foreign_gateway(c: Craft) -> Drawn:
    """Numbers of home that come in from abroad and are not roaming."""
    c.abroad(1)
    count = c.count(1, 48)
    if c.chance(0.35):
        callers = c.fixed_pool(count)
    else:
        blocks = 1 if count < 3 else int(c.random.integers(1, 4))
        pools = [c.pool(-(-count // blocks), c.segment(int(c.random.integers(3)))) for _ in range(blocks)]
        callers = np.concatenate(pools)
    start = c.starts(0.3, 1)
    trunks = c.trunks()
    habit = c.habit((SWINDLE, TELEMARKETING, ROBOT)[int(c.random.integers(3))])
    calls = c.calls(habit, start, c.each(callers, len(start)), c.targets(len(start)), trunks)
    return Drawn(calls, [c.trunk_name(int(trunks[0]))])


def _neighbour(c: Craft) -> Drawn:
    """Each callee sees a number that shares the first four to seven digits with the own."""
    start = c.starts(0.5, 1.5)
    callee = c.targets(len(start))
    shared = int(c.random.choice((4, 5, 6, 7, 7)))
    caller = _resembling(c, callee, shared)
    while (bad := ~np.isin(caller, c.free(caller)) | (caller == callee)).any():
        caller[bad] = _resembling(c, callee[bad], shared)
    trunks = c.trunks()
    calls = c.calls(c.habit(TELEMARKETING), start, caller, callee, trunks)
    return Drawn(calls, [c.trunk_name(int(trunks[0]))])


def _resembling(c: Craft, callee: Ints, shared: int) -> Ints:
    """A mobile number of an allotted segment with the same first digits, for each callee."""
    width = 10 ** (7 - shared)
    own = callee // SEGMENT % 10_000_000
    plan = segments().prefix
    low = np.searchsorted(plan, own // width * width)
    high = np.maximum(np.searchsorted(plan, own // width * width + width), low + 1)
    chosen = plan[
        np.minimum(low + (c.random.random(len(own)) * (high - low)).astype(np.int64), len(plan) - 1)
    ]
    return mobile(chosen, c.random.integers(0, SEGMENT, len(own)))


def _clone(c: Craft) -> Drawn:
    """A subscriber's number calls from other networks, while its owner is busy at home or hardly calls."""
    people, population = c.world.population.people, c.world.population
    owners = population.couriers if c.chance(0.6) else c.random.integers(0, len(people), 50)
    here = owners[people.network[owners] < 3]
    victim = int(c.random.choice(here if len(here) else owners))
    others = [i for i in range(3) if i != people.network[victim]]
    start = c.starts(0.1, 0.25)
    parts = []
    for chosen, (sender, receiver) in zip((start[::2], start[1::2]), (others, others[::-1]), strict=False):
        c.sender, c.receiver = sender, receiver
        caller = np.full(len(chosen), people.number[victim])
        parts.append(c.calls(c.habit(SWINDLE), chosen, caller, c.targets(len(chosen)), c.trunks(2)))
    return Drawn(join(parts), [spell(int(people.number[victim]))])


def _policy(c: Craft) -> Drawn:
    """Advertising that people refused, from all or from this company, or outside the hours for it."""
    people = c.world.population.people
    callers = c.callers(c.count(1, 4), c.sort("abroad", "service"))
    start = c.starts(0.25, 0.6)
    here = c.world.people_of[c.receiver]
    refusing = here[c.world.consents.refuses[here] & (c.world.consents.agreed[here] < 0)]
    hour = float(c.world.hour(c.plan.begin))
    company = Organisation(
        f"{c.plan.name.replace('policy-', 'agency ')}", callers, c.sender, 1.0, "marketing"
    )
    entries = []
    if not 7.0 <= hour < 21.5:
        callee = people.number[c.random.choice(here, len(start))]
        entries = list(companies(company))
    elif c.chance(0.4):
        callee = people.number[c.random.choice(refusing, len(start))]
        entries = list(companies(company)) if c.chance(0.5) else []
    else:
        callee = people.number[c.random.choice(np.setdiff1d(here, refusing), len(start))]
        entries = [*companies(company), *(refusal(n, company.name) for n in np.unique(callee).tolist())]
    calls = c.calls(c.habit(SWINDLE), start, c.each(callers, len(start)), callee, c.trunks(2))
    return Drawn(calls, spelled(callers), entries)


def _behaviour(c: Craft) -> Drawn:
    """Telemarketing, debt collection or silent calls, none of it fast."""
    start = c.starts(0.1, 0.25)
    variant = int(c.random.integers(3))
    callers = c.callers(1 if variant == 0 else c.count(1, 5), c.sort("abroad"))
    callee = c.targets(len(start))
    if variant == 1:
        callee = c.random.choice(np.unique(callee)[: c.count(3, 25)], len(start))
    habit = c.habit((TELEMARKETING, COLLECTION, SILENT)[variant], 0.15)
    calls = c.calls(habit, start, c.each(callers, len(start)), callee, c.trunks(2))
    return Drawn(calls, spelled(callers))


def _profile(c: Craft) -> Drawn:
    """A trunk fills with very short answered calls, each from another number or from a large pool."""
    start = c.starts(2, 4)
    spare = c.world.spare[c.sender]
    if c.chance(0.5):
        spare = c.random.choice(spare, int(c.random.integers(2, 8)))
    drawn = mobile(c.random.choice(spare, 2 * len(start)), c.random.integers(0, SEGMENT, 2 * len(start)))
    callers = c.free(drawn)[: len(start)]
    trunks = c.trunks()
    calls = c.calls(c.habit(PUMPING, 0.12), start, callers, c.targets(len(start)), trunks)
    return Drawn(calls, [c.trunk_name(int(trunks[0]))])


_DRAWERS: dict[str, Callable[[Craft], Drawn]] = {
    "burst": _burst,
    "sweep": _sweep,
    "wangiri": _wangiri,
    "rotation": _rotation,
    "flood": _flood,
    "unallocated": _unallocated,
    "misrouted": _misrouted,
    "foreign_gateway": _foreign_gateway,
    "neighbour": _neighbour,
    "clone": _clone,
    "policy": _policy,
    "behaviour": _behaviour,
    "profile": _profile,
}


def draw(craft: Craft) -> Drawn:
    """The campaign's calls, by the kind of its plan."""
    return _DRAWERS[craft.plan.kind](craft)
