"""The numbering plan against its sources: phonenumbers, phone.dat, and itself walked in plain Python."""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import phonenumbers
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumber, PhoneNumberType

from config.settings import NumberingSettings
from detectors.calls import NumberKind, NumberStatus
from detectors.plan import DEAD, LIMIT, ROOT, NumberingPlan, PlanTables
from detectors.plan_additions import read_additions
from detectors.plan_build import OPERATORS, SHIPPED, metadata, read_segments

SAMPLES = 100_000
DESCRIPTIONS = (
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
)
KINDS = {
    PhoneNumberType.FIXED_LINE: NumberKind.FIXED,
    PhoneNumberType.MOBILE: NumberKind.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: NumberKind.FIXED_OR_MOBILE,
    PhoneNumberType.TOLL_FREE: NumberKind.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: NumberKind.PREMIUM,
    PhoneNumberType.SHARED_COST: NumberKind.SHARED_COST,
    PhoneNumberType.VOIP: NumberKind.VOIP,
    PhoneNumberType.PERSONAL_NUMBER: NumberKind.OTHER,
    PhoneNumberType.PAGER: NumberKind.OTHER,
    PhoneNumberType.UAN: NumberKind.OTHER,
    PhoneNumberType.VOICEMAIL: NumberKind.OTHER,
}


class Sample(NamedTuple):
    country: int
    national: str

    @property
    def number(self) -> int:
        return int(f"{self.country}{self.national}")

    def for_phonenumbers(self) -> PhoneNumber:
        zeros = len(self.national[:-1]) - len(self.national[:-1].lstrip("0"))
        return PhoneNumber(
            country_code=self.country,
            national_number=int(self.national),
            italian_leading_zero=True if zeros else None,
            number_of_leading_zeros=zeros if zeros > 1 else None,
        )


@pytest.fixture(scope="module")
def plan() -> NumberingPlan:
    return NumberingPlan.load(NumberingSettings())


def sample(count: int, seed: int) -> list[Sample]:
    """Numbers of every region: its examples with some digits changed, or a random end, or random at all.

    Region by region, so that the patterns phonenumbers uses stay compiled.
    """
    random = Random(seed)
    regions = [(c, metadata(c, r)) for c, names in COUNTRY_CODE_TO_REGION_CODE.items() for r in names]
    examples = []
    for _, region in regions:
        described = [getattr(region, name) for name in DESCRIPTIONS]
        examples.append([d.example_number for d in described if d is not None and d.example_number])
    samples: list[Sample] = []
    while len(samples) < count:
        at = len(samples) * len(regions) // count
        country, region = regions[at]
        way = random.randrange(4)
        if way == 0:
            length = random.choice(region.general_desc.possible_length) + random.choice([-1, 0, 0, 0, 1])
            national = random.choices("0123456789", k=max(1, length))
        else:
            national = list(random.choice(examples[at]))
            if way == 1:
                kept = random.randint(1, len(national))
                national[kept:] = random.choices("0123456789", k=len(national) - kept)
            for _ in range(random.randrange(4)):
                national[random.randrange(len(national))] = random.choice("0123456789")
        if len(str(country)) + len(national) <= 15:
            samples.append(Sample(country, "".join(national)))
    return samples


def test_agrees_with_phonenumbers_on_every_region(plan: NumberingPlan) -> None:
    samples = sample(SAMPLES, seed=1)
    columns = plan.lookup(np.array([one.number for one in samples]))
    valid = allocated = 0
    for i, (one, status, kind) in enumerate(
        zip(samples, columns.status.tolist(), columns.kind.tolist(), strict=True)
    ):
        number = one.for_phonenumbers()
        number_type = phonenumbers.number_type(number)
        theirs = number_type != PhoneNumberType.UNKNOWN
        if i % 10 == 0:
            assert theirs == phonenumbers.is_valid_number(number)
        ours = status == NumberStatus.ALLOCATED
        valid += theirs
        allocated += ours
        if one.country == 86:
            continue
        assert ours == theirs, one
        if ours:
            assert kind == KINDS[number_type], one
    assert SAMPLES * 0.4 < valid < SAMPLES * 0.8
    assert abs(valid - allocated) < SAMPLES * 0.002


def test_disagreements_in_china_are_the_documented_ones(plan: NumberingPlan) -> None:
    random = np.random.default_rng(2)
    segments = set(read_segments().numbers.tolist())
    machines = tuple(r.prefix[2:] for r in read_additions(SHIPPED / "86.csv") if r.kind == NumberKind.MACHINE)
    nationals = [one.national for one in sample(60_000, seed=3) if one.country == 86]
    nationals += [str(n) for n in random.integers(10**10, 2 * 10**10, 3_000)]
    nationals += [
        str(n) for length in range(5, 12) for n in random.integers(10 ** (length - 1), 10**length, 2_000)
    ]
    columns = plan.lookup(np.array([int(f"86{national}") for national in nationals]))
    differing = 0
    for national, status in zip(nationals, columns.status.tolist(), strict=True):
        theirs = phonenumbers.is_valid_number(Sample(86, national).for_phonenumbers())
        ours = status == NumberStatus.ALLOCATED
        if len(national) == 11 and re.match("1[3-9]", national):
            assert ours == (int(national[:7]) in segments), national
        elif theirs and not ours:
            assert status == NumberStatus.SHORT_SERVICE, national
            assert re.match("[48]00|9[56]|10", national), national
        elif ours and not theirs:
            assert national.startswith(machines), national
        differing += ours != theirs
    assert differing > 0


def test_every_segment_is_allocated_to_its_operator_and_province(plan: NumberingPlan) -> None:
    segments = read_segments()
    assert len(segments.numbers) == 499_527
    operator = np.array([plan.operators.index(OPERATORS.get(code, "")) for code in range(9)])
    province = np.array([plan.provinces.index(name) for name, _ in segments.areas])
    for end in (0, 4711, 9999):
        columns = plan.lookup(86 * 10**11 + segments.numbers.astype(np.int64) * 10_000 + end)
        assert (columns.status == NumberStatus.ALLOCATED).all()
        assert np.isin(columns.kind, [NumberKind.MOBILE, NumberKind.MACHINE]).all()
        assert (columns.operator == operator[segments.operators]).all()
        assert (columns.province == province[segments.area]).all()


def test_segments_that_are_not_listed_are_unallocated(plan: NumberingPlan) -> None:
    unlisted = np.setdiff1d(np.arange(1_300_000, 2_000_000), read_segments().numbers)
    columns = plan.lookup(86 * 10**11 + unlisted * 10_000 + np.arange(len(unlisted)) % 10_000)
    assert (columns.status == NumberStatus.UNALLOCATED).mean() >= 0.999
    assert not (columns.status == NumberStatus.ALLOCATED).any()


def reference_walk(tables: PlanTables, number: int) -> tuple[int, int, int, int]:
    """`plan_walk` in plain Python."""
    if number <= 0:
        return NumberStatus.TEXT, 0, 0, 0
    if number >= LIMIT:
        return NumberStatus.TOO_LONG, 0, 0, 0
    digits = str(number)
    node = ROOT
    for at, digit in enumerate(digits):
        below = int(tables.children[node + int(digit)])
        if below == DEAD:
            ends = int(tables.meaning[tables.label[node // 10]]) & 0xFFFF == NumberStatus.ALLOCATED
            complete = ends and not tables.children[node : node + 10].any()
            return (
                (NumberStatus.TOO_LONG, 0, 0, 0)
                if complete and len(digits) - at <= 2
                else (NumberStatus.UNALLOCATED, 0, 0, 0)
            )
        node = below
    if tables.label[node // 10] == 0:
        return NumberStatus.TOO_SHORT, 0, 0, 0
    meaning = int(tables.meaning[tables.label[node // 10]])
    return meaning & 0xFFFF, meaning >> 16 & 0xFFFF, meaning >> 32 & 0xFFFF, meaning >> 48


def some_numbers() -> npt.NDArray[np.int64]:
    random = np.random.default_rng(4)
    segments = read_segments().numbers.astype(np.int64)
    any_length = 10.0 ** random.uniform(0, 15.2, 10_000)
    return np.concatenate(
        [
            any_length.astype(np.int64),
            [one.number for one in sample(10_000, seed=5)],
            86 * 10**11 + random.choice(segments, 5_000) * 10_000 + random.integers(0, 10_000, 5_000),
            86 * 10**12 + random.integers(0, 10**12, 2_000),
            [0, -1, -(2**63), 2**63 - 1, LIMIT - 1, LIMIT, 86110, 8695588],
        ]
    )


def test_the_kernel_walks_as_plain_python_does(plan: NumberingPlan) -> None:
    numbers = some_numbers()
    columns = plan.lookup(numbers)
    seen = set()
    for i, number in enumerate(numbers.tolist()):
        found = tuple(int(column[i]) for column in columns)
        assert found == reference_walk(plan.tables, number), number
        seen.add(found[0])
    assert seen == set(NumberStatus) - {NumberStatus.HIDDEN}


def test_prefixes_are_dead_exactly_where_no_number_is(plan: NumberingPlan) -> None:
    """Every node that is not dead has a number below it: one is found by walking down."""
    children = plan.tables.children.reshape(-1, 10) // 10
    numbers = (plan.tables.label > 0) & (
        (plan.tables.meaning & 0xFFFF)[plan.tables.label] != NumberStatus.UNALLOCATED
    )
    alive = numbers.copy()
    for _ in range(16):
        alive |= alive[children].any(axis=1)
    assert not alive[0]
    assert alive[1:].all()
