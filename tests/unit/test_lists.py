"""What entries of `lists` come to, as kernels look it up."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import lists as subject
from detectors.calls import text_hash
from detectors.lists import (
    COLLECTION,
    CONSENTED,
    CONSENTED_TO_ALL,
    MARKETING,
    PARTICULAR,
    REFUSED,
    REFUSES,
    ListBook,
    company_hash,
)
from streams.wire.records import ListEntry
from tests.kernel import called

NOW = 1_788_230_400_000
CALLEE, OTHER, CALLER = 8613800138000, 8613800138001, 8613911112222

_standing = called(subject.callee_standing)
_pair = called(subject.pair_standing)
_company = called(subject.company_of)
_ported_to = called(subject.ported_to)


def entry(kind: str, value: str, type_: str = "number", **fields: Any) -> ListEntry:
    given_ = {"owner": "desk", "reason": "asked", **fields}
    return ListEntry("", kind, type_, value, **given_)  # type: ignore[arg-type]


def book(*entries: ListEntry, most: int = 1_000) -> ListBook:
    made = ListBook(86, most)
    for number, each in enumerate(entries):
        made.put(f"e{number}", each)
    return made


def standing(made: ListBook, callee: int, time: int = NOW) -> int:
    return int(_standing(made.tables, callee, time))


def between(
    made: ListBook, callee: int = CALLEE, caller: int = CALLER, company: str = "", category: int = 0
) -> int:
    hashed = company_hash(company) if company else 0
    return int(_pair(made.tables, callee, caller, hashed, category, NOW))


def ported_to(made: ListBook, number: int, network: str, time: int = NOW) -> bool:

    return bool(_ported_to(made.tables, number, np.uint64(text_hash(network)), time))


@pytest.mark.parametrize("value", ["+8613800138000", "008613800138000", "13800138000", "+86 138-0013-8000"])
def test_a_refusal_of_marketing(value: str) -> None:
    made = book(entry("refusal", value))
    assert (standing(made, CALLEE), standing(made, OTHER), standing(made, -5)) == (REFUSES, 0, 0)


def test_a_refusal_by_a_prefix() -> None:
    made = book(entry("refusal", "+86138001380*", "prefix"), entry("refusal", "+1*", "prefix"))
    assert [standing(made, n) for n in (CALLEE, OTHER, 8613800139000, 12025550123, 1)] == [1, 1, 0, 1, 1]


def test_a_refusal_of_one_caller_one_company_one_prefix_one_category() -> None:
    made = book(
        entry("refusal", "+8613800138000", caller="+8613911112222"),
        entry("refusal", "+8613800138000", caller="Sunshine Loans"),
        entry("refusal", "+8613800138000", caller="+86400820*"),
        entry("refusal", "+8613800138000", category="collection"),
    )
    assert standing(made, CALLEE) == PARTICULAR
    assert between(made) == REFUSED
    assert between(made, caller=CALLER + 1) == 0
    assert between(made, caller=CALLER + 1, company=" sunshine LOANS") == REFUSED
    assert between(made, caller=864008201234) == REFUSED
    assert between(made, caller=CALLER + 1, category=COLLECTION) == REFUSED
    assert between(made, caller=CALLER + 1, category=MARKETING) == 0
    assert between(made, callee=OTHER) == 0


def test_a_company_is_refused_for_one_category_only() -> None:
    made = book(entry("refusal", "+8613800138000", caller="Sunshine Loans", category="marketing"))
    assert between(made, company="Sunshine Loans", category=MARKETING) == REFUSED
    assert between(made, company="Sunshine Loans", category=COLLECTION) == 0


def test_consent_to_one_and_to_all() -> None:
    made = book(
        entry("refusal", "+8613800138000"),
        entry("consent", "+8613800138000", caller="Sunshine Loans"),
        entry("consent", "+86138*", "prefix", category="marketing"),
    )
    assert standing(made, CALLEE) == REFUSES | PARTICULAR
    assert between(made, company="Sunshine Loans") == CONSENTED
    assert between(made, company="Sunshine Loans", category=MARKETING) == CONSENTED | CONSENTED_TO_ALL
    assert between(made, callee=OTHER, category=MARKETING) == CONSENTED_TO_ALL


def test_a_company_by_its_longest_prefix() -> None:
    made = book(
        entry("company", "+86400*", "prefix", owner="Telesales", category="marketing"),
        entry("company", "+86400820*", "prefix", owner="Sunshine Loans", category="collection"),
        entry("company", "95588", owner="ICBC", category="service"),
    )
    assert _company(made.tables, 864008201234, NOW) == (company_hash("Sunshine Loans"), COLLECTION)
    assert _company(made.tables, 864001111111, NOW) == (company_hash("Telesales"), MARKETING)
    assert _company(made.tables, 8695588, NOW) == (company_hash("ICBC"), 3)
    assert _company(made.tables, CALLER, NOW) == (0, 0)


def test_a_ported_number() -> None:
    made = book(
        entry("portability", "+8613800138000", owner="CU"),
        entry("portability", "+8613900*", "prefix", owner="CT"),
    )
    numbers = [(CALLEE, "CU"), (CALLEE, "CM"), (8613900000000, "CT"), (OTHER, "CU")]
    assert [ported_to(made, *each) for each in numbers] == [True, False, True, False]


def test_an_entry_ends_when_it_expires_and_when_it_is_removed() -> None:
    made = book(entry("refusal", "+8613800138000", expires_at=NOW + 1), entry("refusal", "+8613800138000"))
    assert len(made) == 2
    made.put("e1", None)
    assert (standing(made, CALLEE, NOW), standing(made, CALLEE, NOW + 1), len(made)) == (REFUSES, 0, 1)
    made.put("e0", None)
    made.put("nobody", None)
    assert (standing(made, CALLEE), len(made)) == (0, 0)


def test_an_entry_is_replaced() -> None:
    made = book(entry("refusal", "+8613800138000"))
    made.put("e0", entry("refusal", "+8613800138001"))
    assert (standing(made, CALLEE), standing(made, OTHER), len(made)) == (0, REFUSES, 1)
    made.put("e0", entry("allow", "+8613800138001"))
    assert (standing(made, OTHER), len(made)) == (0, 0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (entry("refusal", "nobody"), "value is 'nobody', expected a number"),
        (entry("refusal", "1380013800x*", "prefix"), "expected a prefix"),
        (entry("refusal", "T-1", "trunk"), "type is 'trunk', expected number or prefix"),
        (entry("refusal", "+" + "1" * 16), "at most 15 digits"),
        (entry("refusal", "+000"), "not all of them 0"),
        (entry("company", "95588", owner=" "), "owner is empty"),
        (entry("portability", "95588", owner=""), "expected the network"),
        (entry("refusal", "95588", expires_at=0), "expires_at is 0"),
        (entry("refusal", "95588", category="spam"), "category is 'spam', expected one of marketing"),
    ],
)
def test_what_cannot_be_used_is_named_and_what_was_known_under_its_id_is_gone(
    wrong: ListEntry, says: str
) -> None:
    made = book(entry("refusal", "+8613800138000"))
    with pytest.raises(ValueError, match=says):
        made.put("e0", wrong)
    assert (standing(made, CALLEE), len(made)) == (0, 0)


def test_no_more_than_it_may_hold() -> None:
    made = book(entry("refusal", "+8613800138000"), most=1)
    made.put("e0", entry("refusal", "+8613800138000"))
    with pytest.raises(ValueError, match=r"detect\.listed_numbers allows no more than 1"):
        made.put("e1", entry("refusal", "+8613800138001"))


@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.sampled_from(["+861380", "+8613800138000", "+8613800138001", None])),
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_only_the_last_word_of_each_entry_counts(puts: list[tuple[int, str | None]]) -> None:
    made = ListBook(86, 100)
    last: dict[int, str | None] = {}
    for entry_id, value in puts:
        kind = "prefix" if value == "+861380" else "number"
        made.put(str(entry_id), None if value is None else entry("refusal", value, kind))
        last[entry_id] = value
    valid = {value for value in last.values() if value}
    for number in (CALLEE, OTHER, 8613809999999):
        refuses = any(f"+{number}" == v or (v == "+861380" and f"+{number}".startswith(v)) for v in valid)
        assert standing(made, number) == int(refuses)


def test_growth_and_turnover_lose_nothing() -> None:
    made = ListBook(86, 20_000)
    draw = random.Random(1)
    numbers = draw.sample(range(8613800000000, 8613809999999), 6_000)
    for n, number in enumerate(numbers):
        made.put(str(n), entry("refusal", f"+{number}"))
        if n >= 3_000:
            made.put(str(n - 3_000), None)
    assert [standing(made, n) for n in numbers] == [0] * 3_000 + [REFUSES] * 3_000
    assert made.tables.callees.keys.size <= 1 << 15
