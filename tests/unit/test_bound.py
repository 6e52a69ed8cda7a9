"""The oracle of `bench.bound`: what rules could stop of calls whose labels are known."""

from __future__ import annotations

import numpy as np
import pytest

from bench.bound import AFTER, counts_of, most_seen_before
from detectors.calls import Gateway, text_hash
from streams.evaluate.calls import Calls
from streams.evaluate.labels import LEGITIMATE, Labels
from streams.switches.protected import protected_numbers

CHINA = protected_numbers(86)


def calls_of(*rows: tuple[int, int, str]) -> Calls:
    """Calls one after another: caller, callee (national numbers) and trunk."""
    trunks = sorted({trunk for _, _, trunk in rows})
    here = np.array([trunks.index(trunk) for _, _, trunk in rows], np.int32)
    count = len(rows)
    return Calls(
        time=np.arange(count) * 1_000,
        call=np.array([text_hash(f"c{i}") for i in range(count)], np.uint64),
        caller=np.array([number(caller) for caller, _, _ in rows]),
        callee=np.array([number(callee) for _, callee, _ in rows]),
        gateway=np.full(count, Gateway.NATIONAL, np.uint8),
        trunk=here,
        from_network=here,
        to_network=np.zeros(count, np.int32),
        names=trunks,
        texts={},
    )


def number(national: int) -> int:
    return int(f"86{national}")


def seen(rows: list[tuple[int, int, str]], label: list[int]) -> list[int]:
    return list(most_seen_before(calls_of(*rows), np.array(label, np.int32), CHINA))


def test_a_number_is_known_from_its_second_call() -> None:
    rows = [(13800138000, 13912340000 + 111_111 * i, "A") for i in range(4)]
    assert seen(rows, [0] * 4) == [0, 1, 2, 3]


def test_a_range_that_nobody_else_calls_from_is_known_as_a_whole() -> None:
    rows = [(13800130000 + 7 * i, 13912340000 + 111_111 * i, "A") for i in range(4)]
    assert seen(rows, [0] * 4) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("subscriber", "known"), [(13800130500, [0, 1, 2, 3, -1]), (13800131550, [0, 0, 0, 0, -1])]
)
def test_a_match_names_no_legitimate_call_whenever_it_comes(subscriber: int, known: list[int]) -> None:
    """The thousand that all four call from can be named unless somebody else calls from it, if only later."""
    rows = [(13800131000 + 100 * i, 15012340000 + 1_111_111_111 * i, "A") for i in range(4)]
    assert seen([*rows, (subscriber, 18811110000, "A")], [0] * 4 + [LEGITIMATE]) == known


def test_a_trunk_tells_spoofed_calls_of_a_number_from_its_own() -> None:
    rows = [(13800138000, 13912340000 + 111_111_111 * i, "B" if i % 2 else "A") for i in range(4)]
    assert seen(rows, [LEGITIMATE, 0, LEGITIMATE, 0]) == [-1, 0, -1, 1]


def test_the_callee_tells_strangers_from_those_who_call_others() -> None:
    rows = [
        (13800138000, 13900000001, "A"),
        (15012345678, 13900000001, "A"),
        (13800138000, 18811110000, "A"),
        (15012345678, 18722220000, "A"),
    ]
    assert seen(rows, [0, 0, LEGITIMATE, LEGITIMATE]) == [0, 1, -1, -1]


def test_a_campaign_is_not_known_by_another() -> None:
    rows = [(13800138000, 13912340000, "A"), (13800138000, 13912340000, "A")]
    assert seen(rows, [0, 1]) == [0, 0]


def test_service_numbers_are_never_named() -> None:
    callees = [13912345678, 15087654321, 18811112222]
    assert seen([(13800138000, callee, "A") for callee in callees], [0] * 3) == [0, 1, 2]
    assert seen([(95588, callee, "A") for callee in callees], [0] * 3) == [0, 0, 0], "by the callee alone"
    assert seen([(4009990001, callee, "A") for callee in callees], [0] * 3) == [0, 1, 2], "nobody has it"
    enterprises = [(4009990000 + n, callee, "A") for n, callee in enumerate(callees)]
    assert seen(enterprises, [0] * 3) == [0, 0, 0], "no prefix of them"


def test_what_could_be_stopped_is_counted_by_kind_and_size() -> None:
    calls = calls_of(*((13800138000, 13912340000 + 111_111 * i, "A") for i in range(16)))
    labels = Labels()
    for i in range(16):
        labels.add(f"c{i}", "burst-1", "burst", "13 calls")
    counts = counts_of(calls, labels, CHINA)
    assert counts == {group: [16, *(16 - after for after in AFTER)] for group in ("all", "burst", "13 calls")}


def test_a_call_that_was_never_set_up_is_not_counted() -> None:
    labels = Labels()
    labels.add("gone", "burst-1", "burst")
    assert counts_of(calls_of((13800138000, 13912340000, "A")), labels, CHINA)["burst"][0] == 0


def test_who_withholds_the_number_is_named_by_the_callee_alone() -> None:
    calls = calls_of(*((13800138000, 13912340000, "A") for _ in range(2)))
    hidden = calls._replace(caller=np.zeros(2, np.int64))
    assert most_seen_before(hidden, np.zeros(2, np.int32), CHINA).tolist() == [0, 1]
