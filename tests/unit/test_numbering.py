"""Normalisation: the table of docs/numbers.md, and what must hold of any text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.settings import NumberingSettings
from detectors.calls import NumberStatus, text_number
from detectors.numbering import Normaliser
from detectors.plan import NumberingPlan

DOCS = Path(__file__).parents[2] / "docs" / "numbers.md"


class Case(NamedTuple):
    text: str
    noa: int | None
    presentation: int | None
    becomes: str
    status: str


def documented() -> list[Case]:
    lines = (
        DOCS.read_text(encoding="utf-8").split("## What a number becomes")[1].split("\n## ")[0].splitlines()
    )
    cases = []
    for line in lines:
        if line.startswith(("| `", "| (empty)")):
            text, noa, presentation, becomes, status, _ = (
                cell.strip() for cell in line.strip("|").split("|")
            )
            cases.append(
                Case(
                    "" if text == "(empty)" else text.strip("`"),
                    int(noa) if noa else None,
                    int(presentation) if presentation else None,
                    becomes,
                    status,
                )
            )
    return cases


CASES = documented()


@cache
def at_home(country: int = 86) -> Normaliser:
    return Normaliser(country, NumberingPlan.load(NumberingSettings(home_country=country)))


@pytest.fixture(scope="module")
def plan() -> NumberingPlan:
    return NumberingPlan.load(NumberingSettings())


@pytest.fixture(scope="module")
def normaliser() -> Normaliser:
    return at_home()


def test_the_documented_table_is_there() -> None:
    assert len(CASES) > 80
    assert {case.status for case in CASES} == {status.name for status in NumberStatus}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.text}/{case.noa}/{case.presentation}")
def test_becomes_what_the_documentation_says(case: Case, normaliser: Normaliser) -> None:
    found = normaliser.number(case.text, case.noa, case.presentation)
    assert (f"+{found.number}" if found.number >= 0 else "text", found.status.name) == (
        case.becomes,
        case.status,
    )
    assert found.text == (case.text if found.number < 0 else "")


def test_a_batch_is_its_numbers(normaliser: Normaliser, plan: NumberingPlan) -> None:
    columns = normaliser.numbers(
        [case.text for case in CASES], [case.noa for case in CASES], [case.presentation for case in CASES]
    )
    for i, case in enumerate(CASES):
        one = normaliser.number(case.text, case.noa, case.presentation)
        assert one == (
            columns.number[i],
            columns.status[i],
            columns.kind[i],
            columns.operator[i],
            columns.text[i],
            columns.tail[i],
        )
    numbers = columns.number >= 0
    said = plan.lookup(columns.number[numbers])
    assert (said.status == columns.status[numbers]).all()
    assert (said.kind == columns.kind[numbers]).all()
    assert (said.operator == columns.operator[numbers]).all()


def test_empty_batch_and_absent_texts(normaliser: Normaliser) -> None:
    assert len(normaliser.numbers([], [], []).number) == 0
    columns = normaliser.numbers([None, "13800138000", None], [None] * 3, [None, None, 1])
    assert columns.status.tolist() == [NumberStatus.HIDDEN, NumberStatus.ALLOCATED, NumberStatus.HIDDEN]
    assert columns.number[0] == text_number("")


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("+8613800138000", 800138000),
        ("9011972599501806", 599501806),
        ("00972599501806", 599501806),
        ("011-972-599-501-806", 599501806),
        ("a9011972599501806", 599501806),
        ("95588", 95588),
        ("200", 200),
        ("*200#", 200),
        ("alice2", -1),
        ("", -1),
        ("+", -1),
        ("sip:9011972599501806@203.0.113.7", 599501806),
        ("000000000", 0),
    ],
)
def test_tail(text: str, tail: int, normaliser: Normaliser) -> None:
    assert normaliser.number(text).tail == tail


@pytest.mark.parametrize(
    "text", ["\ud800", "1\x002", "9" * 20_000, "x" * 10_000, "+" * 50, "²³", "٠١٢", "<sip:", "tel:", "sip:@"]
)
def test_odd_texts_are_texts(text: str, normaliser: Normaliser) -> None:
    found = normaliser.numbers([text, "13800138000"], [None, None], [None, None])
    assert found.number.tolist()[1] == 8613800138000
    assert found.number[0] == text_number(text)
    assert found.text == [text, ""]


dialled = st.from_regex(r"(\+|00|011|0|86|8686|1795[1-5]|9)?[0-9]{0,18}", fullmatch=True)
anything = st.one_of(
    dialled, st.text(max_size=30), st.from_regex(r"(sip|tel):\+?[0-9]{1,16}(@x)?", fullmatch=True)
)
natures = st.one_of(st.none(), st.integers(0, 127))


@settings(deadline=None)
@given(st.lists(st.tuples(anything, natures, st.one_of(st.none(), st.integers(0, 3))), max_size=8))
def test_any_text_is_one_number_or_itself(rows: list[tuple[str, int | None, int | None]]) -> None:
    normaliser = at_home()
    columns = normaliser.numbers([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
    for i, (text, _, _) in enumerate(rows):
        status = NumberStatus(columns.status[i])
        if status in (NumberStatus.TEXT, NumberStatus.HIDDEN):
            assert columns.number[i] == text_number(text)
            assert columns.text[i] == text
        else:
            assert 0 < columns.number[i] < 10**15
            assert columns.text[i] == ""
            again = normaliser.number(f"+{columns.number[i]}")
            assert status not in (NumberStatus.ALLOCATED, NumberStatus.EMERGENCY) or again.status == status
        assert -1 <= columns.tail[i] < 10**9


@settings(deadline=None)
@given(st.integers(1, 10**15 - 1))
@example(23950000)
@example(10110)
def test_e164_in_its_own_form_is_stable(number: int) -> None:
    normaliser = at_home()
    first = normaliser.number(f"+{number}")
    assert normaliser.number(f"00{number}") == first
    assert normaliser.number(str(number), noa=4) == first
    if not str(number).startswith("86"):
        assert first.number == number


@pytest.mark.parametrize(
    ("home", "text", "noa", "becomes", "status"),
    [
        (1, "12025550123", None, 12025550123, "ALLOCATED"),
        (1, "2025550123", None, 12025550123, "ALLOCATED"),
        (1, "0118613800138000", None, 8613800138000, "ALLOCATED"),
        (1, "911", None, 1911, "EMERGENCY"),
        (44, "02079460000", None, 442079460000, "ALLOCATED"),
        (44, "+4402079460000", None, 442079460000, "ALLOCATED"),
        (44, "999", None, 44999, "EMERGENCY"),
        (39, "0669812345", None, 390669812345, "ALLOCATED"),
        (7, "84951234567", None, 74951234567, "ALLOCATED"),
        (7, "8108613800138000", None, 8613800138000, "ALLOCATED"),
        (81, "+8190123456789", None, 8190123456789, "TOO_LONG"),
        (36, "0612345678", None, 3612345678, "ALLOCATED"),
        (34, "912345678", None, 34912345678, "ALLOCATED"),
        (49, "110", None, 49110, "EMERGENCY"),
    ],
)
def test_other_home_countries(home: int, text: str, noa: int | None, becomes: int, status: str) -> None:
    found = at_home(home).number(text, noa)
    assert (found.number, found.status.name) == (becomes, status)


def test_home_country_must_exist_and_be_the_plans(plan: NumberingPlan) -> None:
    with pytest.raises(ValueError, match="home country 1, but the numbering plan is that of 86"):
        Normaliser(1, plan)
    with pytest.raises(ValueError, match="999: not a country code"):
        Normaliser(999, NumberingPlan.load(NumberingSettings(home_country=999)))
