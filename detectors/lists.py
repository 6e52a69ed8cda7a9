"""What the topic `lists` says of numbers, as tables that kernels read.

- *refusal*: a callee that wants no marketing calls, or none of a category, or none of one caller or company;
- *consent*: a callee that agreed to calls of a caller, a company or a category;
- *company*: numbers of a company, and what they call for (a category);
- *portability*: numbers that another network serves now.

The tables are part of the input of a fold, not of its state: an entry counts for the calls folded after it
was read. An entry is valid before its ``expires_at`` by the time of the call. What several entries say of one
number does not depend on the order in which they came.

A table is open addressing with one slot an entry: keys may repeat, a look-up walks its cluster. A prefix is
keyed by its negative; ``lengths`` says which lengths of prefixes there are, so that a table without prefixes
costs one look-up.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from detectors.calls import text_hash
from detectors.kernels import inlined, kernel, mix, mix2
from detectors.plain import mix2 as plain_mix2
from detectors.subjects import zeros

CATEGORIES = ("", "marketing", "notification", "service", "collection")
"""What a company's calls are for, by code; 0 is not known."""
MARKETING, NOTIFICATION, SERVICE, COLLECTION = range(1, 5)

REFUSES, PARTICULAR = 1, 2
"""Of a callee: it refuses marketing by anybody; it said something of a caller, a company or a category."""
REFUSED, CONSENTED, CONSENTED_TO_ALL = 1, 2, 4
"""Of a callee and a caller: refused this caller, its company or category; agreed to this caller or its
company; agreed to such calls by anybody."""

FOR_EVER = 1 << 62
SMALLEST = 1_024
"""Slots of an empty table."""

_COMPANY = 1 << 62
"""A party that is a company; others are numbers, or prefixes by their negative."""
_ANYBODY = 1 << 61
_CATEGORY_BITS = 3
_CATEGORY_MASK = (1 << _CATEGORY_BITS) - 1

_SEPARATORS = re.compile(r"[\s().\-]")
_NUMBER = re.compile(r"\+?[0-9]{2,18}", re.ASCII)
_PREFIX = re.compile(r"\+?[0-9]{1,15}\*", re.ASCII)
MOST_DIGITS = 15
"""Of E.164."""


class Slots(NamedTuple):
    """``keys`` int64 (n,), 0 where never used; ``until`` int64 (n,) ms, 0 where free again; ``values`` int64
    (n,); ``lengths`` int64 (1,), bit ``d`` set where a prefix of ``d`` digits is listed."""

    keys: npt.NDArray[np.int64]
    until: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


class Lists(NamedTuple):
    """``callees``: `REFUSES` and `PARTICULAR` by callee; ``pairs``: `REFUSED`, `CONSENTED`,
    `CONSENTED_TO_ALL` by hash of callee, party and category; ``companies``: hash of a company and a category
    by caller; ``ported``: hash of the serving network by number."""

    callees: Slots
    pairs: Slots
    companies: Slots
    ported: Slots


class Entry(Protocol):
    """An entry of the topic, as ``streams.wire.records.ListEntry`` has it."""

    @property
    def list(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def caller(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def expires_at(self) -> int | None: ...


def new_slots(slots: int = SMALLEST) -> Slots:
    """An empty table; ``slots`` is a power of two."""
    return Slots(
        zeros(slots, np.int64), zeros(slots, np.int64), zeros(slots, np.int64), np.zeros(1, np.int64)
    )


def no_lists() -> Lists:
    return Lists(new_slots(), new_slots(), new_slots(), new_slots())


# --- look-ups, for kernels


@inlined
def _all_at(slots: Any, key: Any, time: Any) -> Any:
    """Every value listed under ``key`` (int64, not 0) at ``time``, or-ed; int64."""
    mask = slots.keys.size - 1
    at = np.int64(mix(key)) & mask
    found = np.int64(0)
    while slots.keys[at] != 0:
        if slots.keys[at] == key and time < slots.until[at]:
            found |= slots.values[at]
        at = (at + 1) & mask
    return found


@inlined
def _greatest_at(slots: Any, key: Any, time: Any) -> Any:
    """The greatest value listed under ``key`` at ``time``, or 0; int64."""
    mask = slots.keys.size - 1
    at = np.int64(mix(key)) & mask
    found = np.int64(0)
    while slots.keys[at] != 0:
        if slots.keys[at] == key and time < slots.until[at] and slots.values[at] > found:
            found = slots.values[at]
        at = (at + 1) & mask
    return found


@inlined
def _digits(number: Any) -> Any:
    digits = np.int64(0)
    while number > 0:
        number //= 10
        digits += 1
    return digits


@inlined
def _is_listed_length(slots: Any, digits: Any) -> Any:
    return (slots.lengths[0] >> digits) & 1 == 1


@inlined
def callee_standing(lists: Any, callee: Any, time: Any) -> Any:
    """`REFUSES` and `PARTICULAR` of a callee (int64) at ``time`` (ms), by its number and its prefixes."""
    if callee <= 0:
        return np.int64(0)
    found = _all_at(lists.callees, callee, time)
    if lists.callees.lengths[0] == 0:
        return found
    digits, rest = _digits(callee), callee
    while digits > 0:
        if _is_listed_length(lists.callees, digits):
            found |= _all_at(lists.callees, -rest, time)
        rest //= 10
        digits -= 1
    return found


@inlined
def _longest(slots: Any, number: Any, time: Any) -> Any:
    """The value listed for ``number`` or for the longest prefix of it, or 0."""
    if number <= 0:
        return np.int64(0)
    found = _greatest_at(slots, number, time)
    if found != 0 or slots.lengths[0] == 0:
        return found
    digits, rest = _digits(number), number
    while digits > 0:
        if _is_listed_length(slots, digits):
            found = _greatest_at(slots, -rest, time)
            if found != 0:
                return found
        rest //= 10
        digits -= 1
    return np.int64(0)


@inlined
def company_of(lists: Any, caller: Any, time: Any) -> Any:
    """The company (int64, 0 where none) and the category of a caller (int64) at ``time`` (ms)."""
    value = _longest(lists.companies, caller, time)
    return value >> _CATEGORY_BITS, value & _CATEGORY_MASK


@inlined
def _said_of(lists: Any, callee: Any, party: Any, category: Any, time: Any) -> Any:
    pair = mix2(callee, party)
    found = _all_at(lists.pairs, np.int64(mix2(pair, np.int64(0))), time)
    if category != 0:
        found |= _all_at(lists.pairs, np.int64(mix2(pair, category)), time)
    return found


@inlined
def _said_by(lists: Any, callee: Any, caller: Any, company: Any, category: Any, time: Any) -> Any:
    """What one callee, or a prefix of callees by its negative, said of a caller."""
    found = _said_of(lists, callee, np.int64(_ANYBODY), category, time)
    if company != 0:
        found |= _said_of(lists, callee, company | np.int64(_COMPANY), category, time)
    if caller <= 0:
        return found
    found |= _said_of(lists, callee, caller, category, time)
    if lists.pairs.lengths[0] != 0:
        digits, rest = _digits(caller), caller
        while digits > 0:
            if _is_listed_length(lists.pairs, digits):
                found |= _said_of(lists, callee, -rest, category, time)
            rest //= 10
            digits -= 1
    return found


@inlined
def pair_standing(lists: Any, callee: Any, caller: Any, company: Any, category: Any, time: Any) -> Any:
    """`REFUSED`, `CONSENTED` and `CONSENTED_TO_ALL` between a callee of `PARTICULAR` standing and a caller
    (int64) of a company and category (0 where none)."""
    found = _said_by(lists, callee, caller, company, category, time)
    if lists.callees.lengths[0] == 0:
        return found
    digits, rest = _digits(callee), callee
    while digits > 0:
        if _is_listed_length(lists.callees, digits):
            found |= _said_by(lists, -rest, caller, company, category, time)
        rest //= 10
        digits -= 1
    return found


@inlined
def ported(lists: Any, number: Any, time: Any) -> Any:
    """`network_key` (int64) of the network that serves a ported number at ``time`` (ms); 0: not listed."""
    return _longest(lists.ported, number, time)


@inlined
def network_key(network: Any) -> Any:
    """What stands for a network of `text_hash` ``network`` (uint64) in ``Lists.ported``; int64 above 0."""
    return np.int64((network >> np.uint64(1)) | np.uint64(1))


@inlined
def ported_to(lists: Any, number: Any, network: Any, time: Any) -> Any:
    """Whether ``number`` (int64) is listed as served by ``network`` (its `text_hash`, uint64) at ``time``."""
    return ported(lists, number, time) == network_key(network)


# --- filling them


@kernel
def _insert(slots: Slots, key: int, until: int, value: int) -> int:
    """Take a slot for ``key``, one that was freed where there is one; 1 where it had never been used."""
    mask = slots.keys.size - 1
    at = np.int64(mix(key)) & mask
    while slots.keys[at] != 0 and slots.until[at] != 0:
        at = (at + 1) & mask
    fresh = slots.keys[at] == 0
    slots.keys[at] = key
    slots.until[at] = until
    slots.values[at] = value
    return 1 if fresh else 0


@kernel
def _free(slots: Slots, key: int, until: int, value: int) -> None:
    """Free one slot that was taken with these three."""
    mask = slots.keys.size - 1
    at = np.int64(mix(key)) & mask
    while slots.keys[at] != 0:
        if slots.keys[at] == key and slots.until[at] == until and slots.values[at] == value:
            slots.until[at] = 0
            return
        at = (at + 1) & mask


@kernel
def _move(old: Slots, new: Slots) -> int:
    """Insert what is valid of ``old`` into the empty ``new``; how many."""
    moved = 0
    for at in range(old.keys.size):
        if old.keys[at] != 0 and old.until[at] != 0:
            moved += _insert(new, old.keys[at], old.until[at], old.values[at])
    return moved


class _Place(NamedTuple):
    """One slot of an entry: in which table, under which key; ``digits`` of a prefix, else 0."""

    table: str
    key: int
    value: int
    digits: int = 0


class _Table:
    """A table that grows: never more than half of its slots are used."""

    def __init__(self) -> None:
        self.slots = new_slots()
        self._used = 0

    def insert(self, key: int, until: int, value: int, digits: int) -> None:
        if 2 * (self._used + 1) > self.slots.keys.size:
            self._rebuild()
        self._used += _insert(self.slots, key, until, value)
        if digits:
            self.slots.lengths[0] |= 1 << digits

    def free(self, key: int, until: int, value: int) -> None:
        _free(self.slots, key, until, value)

    def _rebuild(self) -> None:
        """Into a table four times the size of what is valid, or the least."""
        valid = int(np.count_nonzero(self.slots.until))
        larger = new_slots(max(SMALLEST, 1 << (4 * valid - 1).bit_length()))
        larger.lengths[0] = self.slots.lengths[0]
        self._used = _move(self.slots, larger)
        self.slots = larger


def warm() -> None:
    """Compile what fills tables, or load it from the cache: an entry may come while calls are looked at."""
    table = _Table()
    table.insert(1, 1, 1, 0)
    table.free(1, 1, 1)
    table._rebuild()


class ListBook:
    """The entries of the topic that detection needs, at most ``most``, kept as tables.

    ``country`` is the home country's calling code, for numbers written as national ones.
    """

    def __init__(self, country: int, most: int) -> None:
        self._country = str(country)
        self._most = most
        self._tables = {name: _Table() for name in Lists._fields}
        self._entries: dict[int, tuple[int, tuple[_Place, ...]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def tables(self) -> Lists:
        """As they are now; a later `put` may replace them."""
        return Lists(*(self._tables[name].slots for name in Lists._fields))

    def put(self, entry_id: str, entry: Entry | None) -> None:
        """An entry came, changed or (None) went. Others than those above are passed over.

        Raises ``ValueError`` that names the field, its value and what was expected; what was known under
        ``entry_id`` is gone by then.
        """
        entry_key = text_hash(entry_id)
        until, places = self._entries.pop(entry_key, (0, ()))
        for place in places:
            self._tables[place.table].free(place.key, until, place.value)
        if entry is None or entry.list not in _READERS:
            return
        if len(self._entries) >= self._most:
            raise ValueError(
                f"entry {entry_id!r} is left out: detect.listed_numbers allows no more than {self._most}"
            )
        until = FOR_EVER if entry.expires_at is None else entry.expires_at
        if until <= 0:
            raise ValueError(f"expires_at is {until}, expected ms since the epoch, UTC")
        if entry.category not in CATEGORIES:
            raise ValueError(f"category is {entry.category!r}, expected one of {', '.join(CATEGORIES[1:])}")
        places = tuple(_READERS[entry.list](self, entry))
        for place in places:
            self._tables[place.table].insert(place.key, until, place.value, place.digits)
        self._entries[entry_key] = (until, places)

    def _refusal(self, entry: Entry) -> list[_Place]:
        callee, digits = self._subject(entry)
        if not entry.caller.strip() and entry.category in ("", "marketing"):
            return [_Place("callees", callee, REFUSES, digits)]
        return self._particular(entry, callee, digits, REFUSED)

    def _consent(self, entry: Entry) -> list[_Place]:
        callee, digits = self._subject(entry)
        to_all = not entry.caller.strip()
        return self._particular(entry, callee, digits, CONSENTED_TO_ALL if to_all else CONSENTED)

    def _particular(self, entry: Entry, callee: int, digits: int, value: int) -> list[_Place]:
        party, party_digits = self._party(entry.caller.strip())
        pair = plain_mix2(plain_mix2(callee, party), CATEGORIES.index(entry.category))
        return [
            _Place("callees", callee, PARTICULAR, digits),
            _Place("pairs", _signed(pair), value, party_digits),
        ]

    def _company(self, entry: Entry) -> list[_Place]:
        if not entry.owner.strip():
            raise ValueError("owner is empty, expected the name of the company")
        number, digits = self._subject(entry)
        value = company_hash(entry.owner) << _CATEGORY_BITS | CATEGORIES.index(entry.category)
        return [_Place("companies", number, value, digits)]

    def _portability(self, entry: Entry) -> list[_Place]:
        if not entry.owner.strip():
            raise ValueError("owner is empty, expected the network that serves the number now")
        number, digits = self._subject(entry)
        return [_Place("ported", number, text_hash(entry.owner.strip()) >> 1 | 1, digits)]

    def _subject(self, entry: Entry) -> tuple[int, int]:
        if entry.type not in ("number", "prefix"):
            raise ValueError(f"type is {entry.type!r}, expected number or prefix in list {entry.list}")
        value = _SEPARATORS.sub("", entry.value)
        if entry.type == "prefix":
            value = value.removesuffix("*") + "*"
        return self._read("value", entry.value, value)

    def _party(self, caller: str) -> tuple[int, int]:
        """Whom an entry is about, and the digits of a prefix: anybody, a number, a prefix, a company."""
        if not caller:
            return _ANYBODY, 0
        bare = _SEPARATORS.sub("", caller)
        if _NUMBER.fullmatch(bare) or _PREFIX.fullmatch(bare):
            return self._read("caller", caller, bare)
        return company_hash(caller) | _COMPANY, 0

    def _read(self, field: str, given: str, bare: str) -> tuple[int, int]:
        """A number, or a prefix by its negative, in E.164; and the digits of a prefix, else 0."""
        is_prefix = bare.endswith("*")
        if not (_PREFIX if is_prefix else _NUMBER).fullmatch(bare):
            what = "a prefix such as +8613800*" if is_prefix else "a number such as +8613800138000"
            raise ValueError(f"{field} is {given!r}, expected {what}")
        digits = self._e164(bare.removesuffix("*"))
        if len(digits) > MOST_DIGITS or not digits.strip("0"):
            raise ValueError(
                f"{field} is {given!r}, expected at most {MOST_DIGITS} digits, not all of them 0"
            )
        return (-int(digits), len(digits)) if is_prefix else (int(digits), 0)

    def _e164(self, digits: str) -> str:
        if digits.startswith("+"):
            return digits[1:]
        if digits.startswith("00"):
            return digits[2:]
        return self._country + digits.removeprefix("0")


_READERS = {
    "refusal": ListBook._refusal,
    "consent": ListBook._consent,
    "company": ListBook._company,
    "portability": ListBook._portability,
}


def company_hash(name: str) -> int:
    """What stands for a company: 0 < hash < 2**60. Case and spaces around the name do not matter."""
    return text_hash(name.strip().casefold()) >> 4 | 1


def _signed(word: int) -> int:
    """A uint64 as the int64 of the same bits, and never 0."""
    return (word - (1 << 64) if word >> 63 else word) or 1
