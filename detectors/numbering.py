"""Numbers as networks signal them, normalised to E.164. What each form becomes: docs/numbers.md.

Two stages: the written form is taken off (`dial_string`: separators, URIs, full-width digits), then the
digits are read with the home country's dialling rules and its numbering plan (`read`, a numba kernel).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from detectors.calls import NumberKind, NumberStatus, text_number
from detectors.kernels import inlined, kernel
from detectors.plan import NumberingPlan, PlanTables, plan_walk
from detectors.plan_additions import MAX_DIGITS
from detectors.plan_build import metadata
from detectors.plan_patterns import Machine, States
from detectors.plan_tree import NOTHING, Node, PrefixTree

SUBSCRIBER, UNKNOWN, NATIONAL, INTERNATIONAL = 1, 2, 3, 4
"""Nature of address (ITU-T Q.763, 3.9 and 3.10); every other value is read as unknown."""

RESTRICTED, UNAVAILABLE = 1, 2
"""Address presentation (Q.763, 3.10): withheld by its owner; not available."""

CARRIER_SELECTION = {86: r"1(?:[12]\d|79)\d\d|10193"}
"""Access codes of a carrier that may stand before a whole number, by home country."""

HIDDEN_WORDS = frozenset({"anonymous", "unavailable", "unknown", "private", "restricted", "withheld"})
"""What SIP (RFC 3323, RFC 3325) and switches put in place of a withheld number."""

_ALLOCATED = int(NumberStatus.ALLOCATED)
_TOO_LONG = int(NumberStatus.TOO_LONG)
_SHORT_SERVICE = int(NumberStatus.SHORT_SERVICE)
_EMERGENCY = int(NumberStatus.EMERGENCY)
_TEXT = int(NumberStatus.TEXT)
_HIDDEN = int(NumberStatus.HIDDEN)
_MOBILE = int(NumberKind.MOBILE)
_NOT_DIGITS = 255
"""In a status column: the text is more than an optional plus and digits, `dial_string` comes first."""

_INTERNATIONAL_CODE, _CARRIER_CODE = 1, 2
AREA, SHORT = 3, 6
"""Digits that an area code has at most, and a short service number behind one."""
WHOLE = AREA + SHORT + 1
"""Digits from which on a number cannot be a short one behind an area code."""
_ZERO, _PLUS = 48, 43


class Rules(NamedTuple):
    """How numbers are dialled in the home country, for kernels. Lengths are digits of national numbers."""

    country: int
    country_size: int
    trunk: int
    """Digits before a national number (0 in China), as many as ``trunk_size``; none where that is 0."""
    trunk_size: int
    codes: npt.NDArray[np.int32]
    """Automaton of international prefixes and carrier codes, ``[nodes, 11]``, the last column what ends
    there; node 0 is nowhere, node 1 the start."""
    area: npt.NDArray[np.bool_]
    """Area codes of two or three digits behind which a short service number may stand, ``[1000]``."""
    shortest: int
    longest: int
    mobile_shortest: int
    mobile_longest: int


class Normalised(NamedTuple):
    number: int
    """E.164 without its plus; negative (`text_number`) where it cannot be normalised."""
    status: NumberStatus
    kind: NumberKind
    operator: int
    text: str
    """As signalled where ``number`` is negative, else empty."""
    tail: int
    """The last nine digits as signalled, all where there are fewer, -1 where there are none."""


class NormalisedColumns(NamedTuple):
    """`Normalised` as columns of one length."""

    number: npt.NDArray[np.int64]
    status: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    operator: npt.NDArray[np.int32]
    tail: npt.NDArray[np.int64]
    text: list[str]


class Normaliser:
    """Normalises numbers signalled in the network of ``home_country``.

    Raises ``ValueError`` where that is no country code, or not the one ``plan`` was made for.
    """

    def __init__(self, home_country: int, plan: NumberingPlan) -> None:
        if plan.home != home_country:
            raise ValueError(f"home country {home_country}, but the numbering plan is that of {plan.home}")
        self._tables = plan.tables
        self._rules = dialling_rules(home_country, plan)

    def number(self, text: str, noa: int | None = None, presentation: int | None = None) -> Normalised:
        """One number; ``noa`` and ``presentation`` are Q.763 values, None where not signalled."""
        columns = self.numbers([text], [noa], [presentation])
        return Normalised(
            int(columns.number[0]),
            NumberStatus(columns.status[0]),
            NumberKind(columns.kind[0]),
            int(columns.operator[0]),
            columns.text[0],
            int(columns.tail[0]),
        )

    def numbers(
        self, texts: Sequence[str | None], noas: Sequence[int | None], presentations: Sequence[int | None]
    ) -> NormalisedColumns:
        """Numbers of one length with the other two; a text of None is that of an empty one."""
        columns = self._read(texts, noas)
        unread = np.flatnonzero(columns.status == _NOT_DIGITS).tolist()
        if unread:
            self._read_written(columns, unread, texts, noas, presentations)
        for i in np.flatnonzero(columns.number < 0).tolist():
            text = texts[i] or ""
            columns.text[i] = text
            columns.number[i] = text_number(text)
        return columns

    def _read(self, texts: Sequence[str | None], noas: Sequence[int | None]) -> NormalisedColumns:
        size = len(texts)
        columns = NormalisedColumns(
            np.empty(size, np.int64),
            np.empty(size, np.uint8),
            np.empty(size, np.uint8),
            np.empty(size, np.int32),
            np.empty(size, np.int64),
            [""] * size,
        )
        offsets, data = _bytes_of(texts)
        noa = pa.array(noas, pa.int64()).fill_null(UNKNOWN).to_numpy()
        read_all(self._tables, self._rules, data, offsets, noa, *columns[:5])
        return columns

    def _read_written(
        self,
        columns: NormalisedColumns,
        rows: list[int],
        texts: Sequence[str | None],
        noas: Sequence[int | None],
        presentations: Sequence[int | None],
    ) -> None:
        """Fills ``rows`` of ``columns``, whose texts are more than a plus and digits."""
        dialled = [dial_string(texts[i] or "") for i in rows]
        again = self._read(dialled, [noas[i] for i in rows])
        for at in np.flatnonzero(again.status == _NOT_DIGITS).tolist():
            again.status[at] = _HIDDEN if is_hidden(dialled[at], presentations[rows[at]]) else _TEXT
            again.tail[at] = tail_of(dialled[at])
        columns.number[rows], columns.status[rows], columns.kind[rows] = (
            again.number,
            again.status,
            again.kind,
        )
        columns.operator[rows], columns.tail[rows] = again.operator, again.tail


def _bytes_of(texts: Sequence[str | None]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """UTF-8 of ``texts`` end to end, and where each starts and the last one ends."""
    try:
        array = pa.array(texts, pa.utf8())
    except UnicodeEncodeError:
        raw = [None if text is None else text.encode("utf-8", "surrogatepass") for text in texts]
        array = pa.array(raw, pa.binary())
    _, offsets, data = array.buffers()
    return (
        np.frombuffer(offsets, np.int32, len(texts) + 1),
        np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8),
    )


_WRITTEN = str.maketrans(
    {
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
        "\uff0b": "+",
        **dict.fromkeys(
            " \t\r\n-./()[]\u00a0\u00ad\u202f\u2060\u2212\u3000\ufeff\uff08\uff09\uff0d\uff0e", ""
        ),
        **{chr(code): "" for code in (*range(0x2000, 0x2016), *range(0x2028, 0x202F))},
    }
)
"""Full-width digits and plus become ASCII; separators, dashes, spaces, brackets and marks go."""

_CONTEXT = re.compile(r";phone-context=(\+[\d.()-]+)", re.IGNORECASE)
_SIP_NUMBER = re.compile(r"sips?:(\+[0-9]+)@")
_DIGITS = re.compile(r"[0-9]+")
_LETTER = re.compile(r"[^\W\d_]")
_SIGNAL_END = re.compile(r"\+?[0-9]+[Ff]")


def dial_string(text: str) -> str:
    """What was dialled: ``text`` without URI, separators, brackets and the end-of-number signal F."""
    plain = _SIP_NUMBER.match(text)
    if plain:
        return plain[1]
    number = _user_part(text) if ":" in text else text
    if not (number.isascii() and number.isalnum()):
        if number.lstrip().startswith(("+", "\uff0b")):
            number = number.replace("(0)", "")
        number = number.translate(_WRITTEN)
    return number[:-1] if _SIGNAL_END.fullmatch(number) else number


def _user_part(text: str) -> str:
    """The number in a ``tel:`` or ``sip:`` URI (RFC 3966, RFC 3261); ``text`` where it holds none."""
    address = text.partition("<")[2].partition(">")[0] if "<" in text else text
    scheme, _, rest = address.strip().partition(":")
    scheme = scheme.lower()
    user, at, _ = rest.partition("@")
    if scheme != "tel" and not (scheme in ("sip", "sips") and at):
        return text
    number = user.partition(";")[0]
    if "%" in number:
        number = unquote(number)
    context = None if number.startswith("+") else _CONTEXT.search(rest)
    return context[1] + number if context else number


def is_hidden(dialled: str, presentation: int | None) -> bool:
    """Whether a number was withheld or not given."""
    if not dialled or dialled.lower() in HIDDEN_WORDS:
        return True
    return presentation in (RESTRICTED, UNAVAILABLE) and _DIGITS.search(dialled) is None


def tail_of(dialled: str) -> int:
    """The last nine digits among ``dialled``; fewer only where there are no letters between; else -1."""
    digits = "".join(_DIGITS.findall(dialled))
    if not digits or (len(digits) < 9 and _LETTER.search(dialled)):
        return -1
    return int(digits[-9:])


def dialling_rules(country: int, plan: NumberingPlan) -> Rules:
    """The rules of ``country`` from phonenumbers' metadata of its regions and its plan."""
    regions = [metadata(country, region) for region in COUNTRY_CODE_TO_REGION_CODE.get(country, ())]
    if not regions:
        raise ValueError(f"home country {country}: not a country code that is in use")
    main = regions[0]
    lengths = {length for region in regions for length in region.general_desc.possible_length}
    mobile = {length for region in regions for length in region.mobile.possible_length} or lengths
    return Rules(
        country,
        len(str(country)),
        int(main.national_prefix or 0),
        len(main.national_prefix or ""),
        _codes(main.international_prefix or "", CARRIER_SELECTION.get(country, "")),
        _areas(country, plan),
        min(lengths),
        max(lengths),
        min(mobile),
        max(mobile),
    )


def _codes(international: str, carrier: str) -> npt.NDArray[np.int32]:
    machine, tree = Machine(), PrefixTree()
    starts = [
        machine.add(pattern, label)
        for pattern, label in ((international, _INTERNATIONAL_CODE), (carrier, _CARRIER_CODE))
        if pattern
    ]

    @cache
    def build(states: States) -> Node:
        label = min(machine.accepting(states), default=NOTHING)
        return tree.node(label, tuple(map(build, machine.step(states)))) if states else 0

    children, label = tree.pack(build(machine.start(starts)))
    return np.column_stack([children, label])


def _areas(country: int, plan: NumberingPlan) -> npt.NDArray[np.bool_]:
    """Area codes of China: 10 and 2x have two digits, all others three; those with fixed numbers count."""
    area = np.zeros(1000, np.bool_)
    if country == 86:
        candidates = [10, *range(20, 30), *range(310, 1000)]
        numbers = [int(f"86{code}{end}") for code in candidates for end in ("2222222", "22222222")]
        found = plan.lookup(np.array(numbers)).status == _ALLOCATED
        area[candidates] = found.reshape(-1, 2).any(axis=1)
    return area


@kernel
def read_all(
    tables: PlanTables,
    rules: Rules,
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    noa: npt.NDArray[np.int64],
    number: npt.NDArray[np.int64],
    status: npt.NDArray[np.uint8],
    kind: npt.NDArray[np.uint8],
    operator: npt.NDArray[np.int32],
    tail: npt.NDArray[np.int64],
) -> None:
    """The number of each text in ``data`` (UTF-8, ``offsets`` as in Arrow) into the last five arrays.

    Status is ``_NOT_DIGITS`` where a text is not an optional plus and at least one digit. A whole number as
    it should be signalled needs one walk of the plan; all else is for `read`, which would say the same.
    """
    for i in range(len(noa)):
        start, end = int(offsets[i]), int(offsets[i + 1])
        plus = end > start and data[start] == _PLUS
        if plus:
            start += 1
        size = end - start
        value, power, digits = 0, 1, size > 0
        for at in range(start, end):
            digit = int(data[at]) - _ZERO
            digits &= 0 <= digit <= 9
            value = value * 10 + digit
            power *= 10
        if not digits:
            number[i], status[i], kind[i], operator[i], tail[i] = -1, _NOT_DIGITS, 0, 0, -1
            continue
        tail[i] = _value(data, max(start, end - 9), end, 0)
        if WHOLE <= size <= MAX_DIGITS and data[start] != _ZERO:
            whole = value if plus or noa[i] == INTERNATIONAL else rules.country * power + value
            status[i], kind[i], operator[i], _ = plan_walk(tables, whole)
            if status[i] == _ALLOCATED:
                number[i] = whole
                continue
        number[i], status[i], kind[i], operator[i] = read(tables, rules, data, start, end, plus, noa[i])


_Reading = tuple[int, int, int, int]
"""Number (negative: none), status, kind and operator."""


@inlined
def read(
    tables: PlanTables, rules: Rules, data: npt.NDArray[np.uint8], start: int, end: int, plus: bool, noa: int
) -> _Reading:
    """The number in the ASCII digits ``data[start:end]``: what the plan holds first, then what was claimed.

    A national number is looked for as it stands, behind the country code and behind a carrier's code. (One
    loop with one call of the plan in it: each further call would be compiled again.)
    """
    declared = plus or noa == INTERNATIONAL
    code, carrier = _codes_at(rules, data, start, end)
    abroad = -1
    if declared and data[start] != _ZERO:
        abroad = start
    elif code and start + code < end and data[start + code] != _ZERO:
        abroad = start + code
    for turn in range(3):
        if turn == 0:
            base = -1 if declared and abroad >= 0 else start
        elif turn == 1:
            base = _after(data, max(abroad, start), end, rules.country, rules.country_size)
        else:
            usable = abroad < 0 and carrier > 0 and end - start - carrier >= rules.mobile_shortest - 1
            base = start + carrier if usable and noa != NATIONAL else -1
        if base >= 0:
            reading = _national(tables, rules, data, base, end, turn == 0 and noa == SUBSCRIBER)
            if reading[0] >= 0:
                return reading
    return _claimed(tables, rules, data, start, end, noa, abroad, declared or code > 0)


@inlined
def _national(
    tables: PlanTables,
    rules: Rules,
    data: npt.NDArray[np.uint8],
    start: int,
    end: int,
    subscriber: bool,
) -> _Reading:
    """A number of the home country that the plan holds: whole, or short with an area code before it.

    Behind a trunk prefix a short number needs its area code. A subscriber's number has no area code, so
    only a short or a mobile one can be told.
    """
    for trunk in range(2):
        first = _after(data, start, end, rules.trunk, rules.trunk_size) if trunk else start
        if first < 0 or (trunk and rules.trunk_size == 0):
            break
        whole = end - first >= rules.mobile_shortest - 1
        held = (-1, _TEXT, 0, 0)
        for area in range(AREA + 1):
            size = end - first - area
            if area and (area == 1 or subscriber or not 3 <= size <= SHORT):
                continue
            if area and (data[first] == _ZERO or not rules.area[_value(data, first, first + area, 0)]):
                continue
            if size > MAX_DIGITS:
                break
            number = _value(data, first + area, end, rules.country)
            status, kind, operator, _ = plan_walk(tables, number)
            short = status in (_SHORT_SERVICE, _EMERGENCY)
            if short and (area or not trunk or whole):
                return number, status, kind, operator
            if not area and status == _ALLOCATED and (whole or not subscriber):
                held = (number, status, kind, operator)
        if held[0] >= 0:
            return held
    return -1, _TEXT, 0, 0


@inlined
def _claimed(
    tables: PlanTables,
    rules: Rules,
    data: npt.NDArray[np.uint8],
    start: int,
    end: int,
    noa: int,
    abroad: int,
    international: bool,
) -> _Reading:
    """The number that the signalling says this is, though the plan may not hold it.

    Digits of no declared nature must have the shape of one: a trunk prefix and as many digits as national
    numbers have, or as many as mobile ones have (one less counts), or the country code before those; one
    digit too many counts where a whole number is followed by it.
    """
    first, country, least, most = start, rules.country, 1, end - start
    if abroad >= 0:
        first, country = abroad, 0
    elif international:
        return -1, _TEXT, 0, 0
    else:
        trunk = _after(data, start, end, rules.trunk, rules.trunk_size)
        first = max(trunk, start)
        if noa != NATIONAL:
            least, most = rules.mobile_shortest - 1, rules.mobile_longest
            if first > start:
                least, most = rules.shortest, rules.longest
            elif end - start > most and _after(data, start, end, rules.country, rules.country_size) >= 0:
                least, most, country = least + rules.country_size, rules.longest + rules.country_size, 0
    size = end - first
    if not least <= size <= most + 1:
        return -1, _TEXT, 0, 0
    number = _value(data, first, end, country) if size <= MAX_DIGITS else -1
    if not 0 < number < 10**MAX_DIGITS:
        return -1, _TEXT, 0, 0
    status, kind, operator, _ = plan_walk(tables, number)
    if size > most and status != _TOO_LONG:
        return -1, _TEXT, 0, 0
    return number, status, kind, operator


@inlined
def _value(data: npt.NDArray[np.uint8], start: int, end: int, before: int) -> int:
    """The digits as a number behind the digits of ``before``. At most 18 digits in all."""
    value = before
    for at in range(start, end):
        value = value * 10 + (int(data[at]) - _ZERO)
    return value


@inlined
def _after(data: npt.NDArray[np.uint8], start: int, end: int, digits: int, size: int) -> int:
    """Where the number goes on behind the ``size`` digits of ``digits``; -1 where others stand there."""
    if end - start <= size or _value(data, start, start + size, 0) != digits:
        return -1
    return start + size


@inlined
def _codes_at(rules: Rules, data: npt.NDArray[np.uint8], start: int, end: int) -> tuple[int, int]:
    """Digits of the longest international prefix and of the longest carrier code at ``start``, or 0."""
    node, international, carrier = 1, 0, 0
    for at in range(start, end):
        node = rules.codes[node, int(data[at]) - _ZERO]
        if node == 0:
            break
        label = rules.codes[node, 10]
        if label == _INTERNATIONAL_CODE:
            international = at + 1 - start
        elif label == _CARRIER_CODE:
            carrier = at + 1 - start
    return international, carrier
