"""`profile` is a fold: however its input was stopped, repeated or packed, the alerts are the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import DetectSettings, ProfileSettings, Settings
from detectors.alert import Alert, content_id
from streams.profile.step import Profile, lookback_ms
from streams.wire.summaries import Summary, SummaryRow
from tests.profile_traffic import START, Change, Habit, Traffic
from tests.summaries import summary_of

QUICK = Settings(
    profile=ProfileSettings(
        min_attempts=10, grace_pools=20, grace_seconds=60, forest_vectors=64, trees=10, epoch_hours=1
    ),
    detect=DetectSettings(lateness_ms=60_000),
)
HABITS = {"A": Habit(12), "B": Habit(8, answered=0.4)}
FIRST = START + 3_600 - 300
"""The epoch turns while the traffic of these tests runs."""
SECONDS = 700
STEP = 5
"""Hours of traffic come a second in so many."""
CHANGES = [Change("A", FIRST + 250, 30, rate=60), Change("B", FIRST + 280, 60, rate=40)]


@cache
def traffic() -> tuple[Summary, ...]:
    return tuple(Traffic(HABITS, 5, CHANGES).summaries(range(FIRST, FIRST + SECONDS)))


@cache
def uninterrupted() -> tuple[tuple[Alert, ...], ...]:
    """Alerts by summary."""
    profile = Profile(QUICK)
    return tuple(tuple(profile(summary)) for summary in traffic())


def flat(alerts: tuple[tuple[Alert, ...], ...]) -> list[Alert]:
    return [alert for some in alerts for alert in some]


def test_there_is_something_to_compare() -> None:
    assert {alert.subject.value for alert in flat(uninterrupted())} == {"A", "B"}
    assert len(flat(uninterrupted())) > 4


@settings(max_examples=6, deadline=None)
@given(st.integers(0, SECONDS), st.integers(0, 20))
def test_rebuilt_by_replay_is_as_never_stopped(cut: int, repeated: int) -> None:
    rebuilt = Profile(QUICK)
    for summary in traffic()[:cut]:
        rebuilt(summary)
    again = [rebuilt(summary) for summary in traffic()[max(0, cut - repeated) : cut]]
    assert not any(again)
    assert tuple(tuple(rebuilt(summary)) for summary in traffic()[cut:]) == uninterrupted()[cut:]


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4))
def test_packing_and_partitions_do_not_matter(seed: int, longest: int, partitions: int) -> None:
    draw = random.Random(seed)
    rows = [row for summary in traffic() for row in summary.rows()]
    profile = Profile(QUICK)
    found: list[Alert] = []
    offsets = [0] * partitions
    for packed in cut_up(rows, draw, longest):
        partition = draw.randrange(partitions)
        newest = max(row.second for row in packed) * 1000 + 999
        found += profile(summary_of(partition, offsets[partition], newest, packed))
        offsets[partition] += 1
    found += profile(summary_of(0, offsets[0], traffic()[-1].newest, []))
    assert found == flat(uninterrupted())


def cut_up(rows: list[SummaryRow], draw: random.Random, longest: int) -> list[list[SummaryRow]]:
    """``rows`` in their order, at most ``longest`` in one summary."""
    packed = []
    while rows:
        size = draw.randint(1, longest)
        packed.append(rows[:size])
        rows = rows[size:]
    return packed


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32))
def test_a_second_may_come_in_parts(seed: int) -> None:
    """Rows of one trunk and second from several partitions of `frames` add up."""
    draw = random.Random(seed)
    profile = Profile(QUICK)
    found: list[Alert] = []
    for offset, summary in enumerate(traffic()):
        halves = [split(row, draw) for row in summary.rows()]
        for partition in (0, 1):
            part = [half[partition] for half in halves]
            found += profile(summary_of(partition, offset, summary.newest, part))
    assert found == flat(uninterrupted())


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 200))
def test_one_partition_may_be_far_behind(seed: int, behind: int) -> None:
    """A worker that was away tells of its partition's seconds long after the others told of theirs."""
    draw = random.Random(seed)
    profile = Profile(QUICK)
    found: list[Alert] = []
    owed: list[Summary] = []
    for offset, summary in enumerate(traffic()):
        halves = [split(row, draw) for row in summary.rows()]
        first, second = ([half[partition] for half in halves] for partition in (0, 1))
        owed.append(summary_of(1, offset, summary.newest, second))
        if offset == 0:
            found += profile(owed.pop())
        found += profile(summary_of(0, offset, summary.newest, first))
        if len(owed) > behind:
            found += profile(owed.pop(0))
    for summary in owed:
        found += profile(summary)
    assert profile.late == 0
    assert found == flat(uninterrupted())


def split(row: SummaryRow, draw: random.Random) -> tuple[SummaryRow, SummaryRow]:
    counts = ("attempts", "ends", "answered", "rings", "short", "ring_ms", "talk_ms")
    share = draw.random()
    one = {name: int(getattr(row, name) * share) for name in counts}
    bits = row.callees
    mask = draw.getrandbits(256)
    same = (row.second, row.trunk, row.from_network, row.to_network)
    first = SummaryRow(*same, **one, callees=bits & mask)
    rest = {name: getattr(row, name) - one[name] for name in counts}
    return first, SummaryRow(*same, **rest, callees=bits & ~mask)


def test_a_rebuild_from_the_look_back_is_as_one_from_the_beginning() -> None:
    end = START + 4 * 3_600 + 900
    changes = [
        Change("A", START + 3 * 3_600 + 1_000, 60, rate=200),
        Change("B", end - 400, 60, rate=200),
    ]
    habits = {"A": Habit(15), "B": Habit(10, answered=0.4)}
    stream = list(Traffic(habits, 9, changes).summaries(range(START, end, STEP)))
    live_from = stream[4 * 3_600 // STEP]
    reaches = live_from.newest - lookback_ms(QUICK)
    short = [summary for summary in stream if summary.newest >= reaches]
    assert len(short) < len(stream) * 0.8
    assert alerts_from(live_from, short) == alerts_from(live_from, stream)
    assert alerts_from(live_from, stream)


def alerts_from(live_from: Summary, stream: list[Summary]) -> list[Alert]:
    profile = Profile(QUICK)
    return [alert for s in stream for alert in profile(s) if s.offset >= live_from.offset]


DIGEST = """
from tests.property.test_profile_rebuild import content_id, flat, uninterrupted
print(content_id(flat(uninterrupted())))
"""


def test_the_order_of_hashes_does_not_matter() -> None:
    """Python salts the hashes of text anew in every process."""
    salted = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert salted.stdout.strip() == content_id(flat(uninterrupted()))
