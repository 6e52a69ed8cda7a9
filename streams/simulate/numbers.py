"""Numbers that are real under the plan, and ranges that are not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import phone
import phonenumbers

Numbers = npt.NDArray[np.int64]

CHINA = 86
SEGMENT = 10_000
"""Numbers in a seven-digit segment: the number block of a Chinese mobile number."""

NETWORKS = ("CM", "CU", "CT", "CB")
_NETWORK_OF_TYPE = {1: "CM", 2: "CU", 3: "CT", 4: "CT", 5: "CU", 6: "CM", 7: "CB", 8: "CB"}
"""By type in phone.dat; 4, 5, 6 and 8 are virtual operators, named by their host."""
_VIRTUAL_TYPES = (4, 5, 6, 8)

_SUBSCRIBER_PREFIXES = (
    *range(130, 140),
    *range(150, 154),
    *range(155, 160),
    *(162, 165, 166, 167, 170, 171, 173, 175, 176, 177, 178),
    *range(180, 184),
    *range(185, 190),
    *(191, 192, 193, 195, 198, 199),
)
"""Where people's mobile numbers are; 14x and most of 16x are machines and satellites."""

AREAS = {10: "BJ", 20: "GZ", 21: "SH", 28: "CD", 755: "SZ"}
"""Area codes of the fixed numbers we use, with the city in trunk names."""

SERVICES = ("95588", "95555", "95533", "10086", "10010", "10000", "12306", "12345", "95338", "95311", "95013")
"""Short service numbers that people call: banks, operators, railway, city hall, parcels."""

FOREIGN = {"HKT": "HK", "SINGTEL": "SG", "NTT": "JP", "VODAFONE": "GB", "VERIZON": "US", "MYTEL": "MM"}
"""Foreign carriers, each with its region."""


@dataclass(frozen=True)
class Segments:
    """Chinese mobile numbers by their first seven digits (``1380013``)."""

    prefix: Numbers
    network: npt.NDArray[np.int8]
    """Index into NETWORKS: the operator the segment is allotted to."""
    virtual: npt.NDArray[np.bool_]
    """Whether a virtual operator has it; ``network`` is its host then."""
    unallocated: Numbers


@cache
def segments() -> Segments:
    """All segments of the numbering plan that hold people's numbers, ascending, and those never allotted."""
    data = (Path(phone.__file__).parent / "phone.dat").read_bytes()
    first = int.from_bytes(data[4:8], "little")
    record = np.dtype([("prefix", "<i4"), ("text", "<i4"), ("type", "u1")])
    table = np.frombuffer(data, dtype=record, offset=first)
    network_of = np.array([NETWORKS.index(_NETWORK_OF_TYPE.get(i, "CM")) for i in range(9)], dtype=np.int8)
    prefix = table["prefix"].astype(np.int64)
    used = np.isin(prefix // 10_000, _SUBSCRIBER_PREFIXES)
    everything = (np.array((165, 172, 190, 196, 197))[:, None] * 10_000 + np.arange(10_000)).ravel()
    return Segments(
        prefix=prefix[used],
        network=network_of[table["type"][used]],
        virtual=np.isin(table["type"][used], _VIRTUAL_TYPES),
        unallocated=np.setdiff1d(everything, prefix, assume_unique=True),
    )


def mobile(segment: Numbers | int, tail: Numbers | int) -> Numbers:
    """E.164 numbers of seven-digit segments and four-digit tails."""
    return np.asarray((CHINA * 10_000_000 + np.asarray(segment)) * SEGMENT + tail, dtype=np.int64)


def fixed(area: int, subscriber: Numbers | int) -> Numbers:
    """E.164 numbers of an area code and eight-digit subscriber numbers."""
    return np.asarray(
        (CHINA * 10 ** len(str(area)) + area) * 100_000_000 + np.asarray(subscriber), dtype=np.int64
    )


def toll_free(tail: Numbers | int) -> Numbers:
    """400 numbers of seven-digit tails."""
    return np.asarray((CHINA * 1_000 + 400) * 10_000_000 + np.asarray(tail), dtype=np.int64)


@cache
def foreign(region: str) -> Numbers:
    """Some hundred valid mobile numbers of a region, ascending."""
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    if example is None:
        raise ValueError(f"region {region}: phonenumbers has no mobile number of it")
    base = int(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:])
    candidates = base // 1_000_000 * 1_000_000 + np.arange(0, 1_000_000, 6_173)
    return np.array([n for n in candidates.tolist() if _is_valid(n)], dtype=np.int64)


def _is_valid(number: int) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(f"+{number}"))


def spell(number: int) -> str:
    """How a person reads it: ``+`` and digits; short service numbers as they are."""
    return str(number) if number < 1_000_000 else f"+{number}"


def block(number: int) -> str:
    """The number block as alerts name it: ``+861380013*``."""
    return f"+{number // SEGMENT}*"
