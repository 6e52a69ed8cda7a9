"""What `policy` signals, by kernel and in plain Python, over the same traffic and the same lists."""

from __future__ import annotations

import random

import pytest

from config.settings import (
    BurstSettings,
    DetectorsSettings,
    FloodSettings,
    PolicySettings,
    UnallocatedSettings,
)
from detectors.lists import ListBook
from detectors.plain_lists import PlainLists
from detectors.policy import KINDS
from detectors.shape import HIGH
from streams.wire.records import ListEntry
from tests.folding import by_kernel, by_reference, settings_with
from tests.parity.same import assert_said_the_same
from tests.traffic import START, Row, both_roles, call, in_time, mixed_events

HOUR = 3_600_000


def detectors(**policy: object) -> DetectorsSettings:
    return DetectorsSettings(
        burst=BurstSettings(mode="off"),
        unallocated=UnallocatedSettings(mode="off"),
        flood=FloodSettings(mode="off"),
        policy=PolicySettings(**policy),  # type: ignore[arg-type]
    )


EAGER = detectors(
    notable_refusers=1,
    notable_odds=1.5,
    min_refusers=2,
    odds=3.0,
    outside_callees=2,
    consent_for="collection",
)


def a_day(seed: int, calls: int) -> tuple[list[Row], list[ListEntry]]:
    """Few callers, of companies and of none, to people of whom many refuse, consent or call themselves."""
    draw = random.Random(seed)
    people = [8613900000000 + n * 7_001 for n in range(60)]
    callers = [8613800000000 + n * 5_003 for n in range(9)] + [864008201234, 8695588]
    entries: list[ListEntry] = []

    def add(kind: str, value: str, **fields: object) -> None:
        given: dict[str, object] = {
            "owner": "desk",
            "reason": "asked",
            "caller": "",
            "category": "",
            **fields,
        }
        type_ = "prefix" if value.endswith("*") else "number"
        entries.append(ListEntry(str(len(entries)), kind, type_, value, **given))  # type: ignore[arg-type]

    categories = ("", "marketing", "notification", "service", "collection")
    parties = ("", "Sunshine", "+86138*", f"+{callers[0]}", f"+{callers[3]}", "moon ")
    for person in people:
        if draw.random() < 0.5:
            until = draw.choice((None, START + draw.randrange(20 * HOUR)))
            add("refusal", f"+{person}", expires_at=until)
        for kind in ("refusal", "consent"):
            if draw.random() < 0.15:
                add(kind, f"+{person}", caller=draw.choice(parties), category=draw.choice(categories))
    add("refusal", "+86139003*")
    add("consent", "+8613900*", caller="Moon", category="service")
    add("company", "+86400820*", owner="Sunshine", category="marketing")
    add("company", "+86400*", owner="Dark", category="service")
    add("company", f"+{callers[1]}", owner="Sunshine", category="collection")
    add("company", f"+{callers[2]}", owner="MOON", category=draw.choice(categories))
    rows: list[Row] = []
    time = START
    for n in range(calls):
        time += draw.choice((500, 20_000, 70_000, 400_000))
        caller, callee = draw.choice(callers), draw.choice(people)
        if draw.random() < 0.1:
            caller, callee = callee, caller
        status = 4 if caller in (864008201234, 8695588) else 0
        talk = draw.choice((None, None, 3_000, 40_000))
        rows += call(time, caller, callee, f"p{seed}-{n}", talk, caller_status=status)
    return in_time(rows), entries


@pytest.mark.parametrize("seed", range(8))
def test_every_sort_of_call(seed: int) -> None:
    traffic, entries = a_day(seed, 300)
    rows = list(both_roles(traffic))
    book = ListBook(86, 1_000)
    for entry in entries:
        book.put(entry.entry_id, entry)
    settings = settings_with(EAGER)
    said = by_kernel(rows, settings, lists=book.tables)[0]
    reference = by_reference(rows, settings, PlainLists(entries))
    assert_said_the_same(said, reference[0])
    assert len({KINDS[int(s.features[0])] for s in said}) >= 4
    assert {s.level for s in said} >= {HIGH}


@pytest.mark.parametrize("seed", range(4))
def test_mixed_traffic(seed: int) -> None:
    rows = list(both_roles(mixed_events(seed, 300, spread_ms=(300, 2_000)[seed % 2])))
    entries = [ListEntry("a", "refusal", "prefix", "+86139*", "desk", "asked")]
    book = ListBook(86, 10)
    book.put("a", entries[0])
    settings = settings_with(detectors(notable_refusers=1, notable_odds=1.1, usual_share=0.01))
    said = by_kernel(rows, settings, lists=book.tables)[0]
    assert_said_the_same(said, by_reference(rows, settings, PlainLists(entries))[0])
    assert said
