"""What `misrouted` and `foreign_gateway` signal, by kernel and in plain Python, over the same traffic."""

from __future__ import annotations

import random
from typing import Any, Literal

import pytest

from config.settings import (
    BurstSettings,
    DetectorsSettings,
    FloodSettings,
    ForeignGatewaySettings,
    MisroutedSettings,
    UnallocatedSettings,
)
from detectors.lists import ListBook
from detectors.plain_lists import PlainLists
from detectors.shape import FOREIGN_GATEWAY_BLOCK, HIGH, MEDIUM, MISROUTED
from streams.wire.records import ListEntry
from tests.folding import by_kernel, by_reference, settings_with
from tests.parity.same import assert_said_the_same
from tests.traffic import START, Row, both_roles, call, in_time, mixed_events

OFF: dict[str, Any] = {
    "burst": BurstSettings(mode="off"),
    "unallocated": UnallocatedSettings(mode="off"),
    "flood": FloodSettings(mode="off"),
}
PLACES: dict[str, Any] = {
    "least_numbers": 2,
    "prior_numbers": 2,
    "medium_odds": 2,
    "odds": 3,
    "usual_share": 0.9,
}
EAGER = MisroutedSettings(**PLACES)
GATEWAYS = ForeignGatewaySettings(few_numbers=2, reached_by=3, **PLACES)


def alone(misrouted: MisroutedSettings) -> DetectorsSettings:
    return DetectorsSettings(misrouted=misrouted, foreign_gateway=GATEWAYS, **OFF)


@pytest.mark.parametrize("seed", range(15))
def test_mixed_traffic(seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        row | {"caller_operator": draw.choice(("CM", "CM", "CU", "")), "gateway": draw.choice((0, 0, 1))}
        for row in both_roles(mixed_events(seed, 350, spread_ms=(300, 60_000)[seed % 2]))
    ]
    settings = settings_with(alone(EAGER))
    assert_said_the_same(by_kernel(rows, settings)[0], by_reference(rows, settings)[0])


def spread(seed: int, calls: int) -> list[Row]:
    """Numbers of many blocks from two networks over many trunks, some of them over and over."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for n in range(calls):
        caller = (
            8613800000000 + draw.randrange(12) * 10_000 + draw.choice((7, 70, 700)) * draw.randrange(1, 14)
        )
        network = draw.choice(("CM", "CM", "CM", "CT"))
        rows += call(
            START + n * draw.choice((900, 100_000)),
            caller,
            8613800000000 + draw.randrange(12) * 10_000 + draw.randrange(2_000),
            f"s{n}",
            draw.choice((None, None, 2_000, 30_000)),
            from_network=network,
            trunk=f"{network}-{draw.randrange(6)}",
            gateway=int(draw.random() < 0.3),
            roaming=draw.choice((0, 1, 2, 2)),
            caller_kind=draw.choice((1, 1, 2)),
            redirecting=draw.choice((0, 0, 0, 8613900000001)),
        )
    return in_time(rows)


def entry(value: str) -> ListEntry:
    kind: Literal["number", "prefix"] = "prefix" if value.endswith("*") else "number"
    return ListEntry(value, list="portability", type=kind, value=value, owner="CT", reason="ported")


def test_ported_numbers() -> None:
    """Whole blocks and single numbers that a list says are served by the network they came from."""
    rows = [row | {"gateway": 0} for row in both_roles(spread(1, 1_600))]
    callers = sorted({row["caller"] for row in rows if row["from_network"] == "CT"})
    entries = [entry(f"+{n}") for n in callers[::3]]
    entries += [entry(f"+{b}*") for b in sorted({n // 10_000 for n in callers})[::2]]
    book = ListBook(86, 1_000)
    for each in entries:
        book.put(each.entry_id, each)
    settings = settings_with(alone(EAGER))
    said = by_kernel(rows, settings, lists=book.tables)[0]
    assert_said_the_same(said, by_reference(rows, settings, PlainLists(entries))[0])
    told = {rows[s.row]["caller"] for s in said if s.pattern == MISROUTED}
    blocks = {each.value[1:-1] for each in entries if each.value.endswith("*")}
    assert told
    assert not told & set(callers[::3])
    assert not {str(caller)[:-4] for caller in told} & blocks


@pytest.mark.parametrize("seed", range(6))
def test_blocks_over_many_trunks(seed: int) -> None:
    rows = list(both_roles(spread(seed, 800)))
    settings = settings_with(alone(EAGER.model_copy(update={"carries": "CT-3: CM; CT-4: CU"})))
    said = by_kernel(rows, settings)[0]
    assert_said_the_same(said, by_reference(rows, settings)[0])
    assert {s.level for s in said} == {MEDIUM, HIGH}
    assert {s.pattern for s in said} >= {MISROUTED, FOREIGN_GATEWAY_BLOCK}
