"""Compiles a numbering plan from its sources; seconds of work that `detectors.plan` caches.

Sources, later ones win: phonenumbers' metadata of the world; China's seven-digit mobile segments with
operator and province (`phone`); emergency and short numbers of the home country; the shipped additions in
``config/plans``; an operator's own additions.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import phone
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

import config.plans
from detectors.calls import NumberKind, NumberStatus
from detectors.plan_additions import Addition, read_additions
from detectors.plan_patterns import Machine, States
from detectors.plan_tree import DEAD, NOTHING, Node, PrefixTree

CHINA = 86
SHIPPED = Path(config.plans.__file__).parent
SEGMENTS = Path(phone.__file__).with_name("phone.dat")
OPERATORS = {1: "CM", 2: "CU", 3: "CT", 4: "CT", 5: "CU", 6: "CM", 7: "CB", 8: "CB"}
"""Operator codes of phone.dat; 4, 5, 6 and 8 are virtual operators, named by their host."""

_KINDS = {
    "premium_rate": NumberKind.PREMIUM,
    "toll_free": NumberKind.TOLL_FREE,
    "shared_cost": NumberKind.SHARED_COST,
    "voip": NumberKind.VOIP,
    "personal_number": NumberKind.OTHER,
    "pager": NumberKind.OTHER,
    "uan": NumberKind.OTHER,
    "voicemail": NumberKind.OTHER,
}
"""Descriptions of a region in the order in which phonenumbers decides a number's type."""
_DESCRIPTIONS = (*_KINDS, "fixed_line", "mobile", "general_desc")


class Label(NamedTuple):
    """What a number is; a missing operator or province is the empty string."""

    status: NumberStatus
    kind: NumberKind
    operator: str = ""
    province: str = ""


GONE = Label(NumberStatus.UNALLOCATED, NumberKind.UNKNOWN)
"""What an addition took out of the plan."""


@dataclass
class Labels:
    """Labels by small positive integers; 0 is no label."""

    known: list[Label | None] = field(default_factory=lambda: [None])
    ids: dict[Label, int] = field(default_factory=dict)

    def id(self, label: Label) -> int:
        found = self.ids.get(label)
        if found is None:
            found = self.ids[label] = len(self.known)
            self.known.append(label)
        return found

    def __getitem__(self, number: int) -> Label:
        label = self.known[number]
        if label is None:
            raise KeyError(number)
        return label


class Segments(NamedTuple):
    """phone.dat: the sorted segments (7 digits), the operator code of each, its area (index of ``areas``)."""

    version: str
    numbers: npt.NDArray[np.int32]
    operators: npt.NDArray[np.uint8]
    area: npt.NDArray[np.int64]
    areas: list[tuple[str, str]]
    """Province and area code without its leading zeros."""


class Compiled(NamedTuple):
    children: npt.NDArray[np.int32]
    label_of: npt.NDArray[np.int32]
    labels: list[Label | None]


def compile_plan(home: int, additions: Path | None) -> Compiled:
    """The plan as seen from country code ``home``. Raises ``PlanError`` for a wrong ``additions`` file."""
    own = read_additions(additions) if additions else []
    tree, labels = PrefixTree(), Labels()
    root = world(tree, labels)
    root = china(tree, labels, root)
    root = short_numbers(tree, labels, root, home)
    for path in sorted(SHIPPED.glob("*.csv")):
        at_home = path.stem == str(home)
        rows = [row for row in read_additions(path) if at_home or row.status in ("allocated", "unallocated")]
        root = add(tree, labels, root, rows)
    root = add(tree, labels, root, own)
    children, label_of = tree.pack(tree.prune(root, labels.id(GONE)))
    return Compiled(children, label_of, labels.known)


def world(tree: PrefixTree, labels: Labels) -> Node:
    root: Node = DEAD
    for country, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        node = _country(tree, labels, [metadata(country, region) for region in regions])
        root = tree.edit(root, str(country), lambda _, node=node: node)  # type: ignore[misc]
    return root


def metadata(country: int, region: str) -> Any:
    if region == "001":
        return PhoneMetadata.metadata_for_nongeo_region(country)
    return PhoneMetadata.metadata_for_region(region)


def _country(tree: PrefixTree, labels: Labels, regions: list[Any]) -> Node:
    """National numbers of one country code. As phonenumbers decides: the region is the first one whose
    leading digits fit or, where it has none, that has a type for the number; then that region's type counts.
    """
    machine = Machine()
    starts: list[int] = []
    names: list[tuple[int, str]] = []
    lengths: list[frozenset[int]] = []
    for index, region in enumerate(regions):
        for name in _DESCRIPTIONS:
            description = getattr(region, name)
            if description is not None and description.national_number_pattern:
                starts.append(machine.add(description.national_number_pattern, len(names)))
                names.append((index, name))
                lengths.append(frozenset(description.possible_length))
        if region.leading_digits is not None:
            starts.append(machine.add(region.leading_digits, len(names), prefix=True))
            names.append((index, "leading"))
            lengths.append(frozenset())
    deepest = max(max(region.general_desc.possible_length) for region in regions)

    @cache
    def label(accepted: frozenset[int], depth: int) -> int:
        matched: list[set[str]] = [set() for _ in regions]
        for number in accepted:
            index, name = names[number]
            if not lengths[number] or depth in lengths[number]:
                matched[index].add(name)
        for region, found in zip(regions, matched, strict=True):
            if region.leading_digits is not None and "leading" not in found:
                continue
            kind = _kind(found, region.same_mobile_and_fixed_line_pattern)
            if kind is not None:
                return labels.id(Label(NumberStatus.ALLOCATED, kind))
            if region.leading_digits is not None:
                return NOTHING
        return NOTHING

    @cache
    def build(states: States, depth: int) -> Node:
        if not states or depth > deepest:
            return DEAD
        below = (build(after, depth + 1) for after in machine.step(states))
        accepted = machine.accepting(states)
        return tree.node(label(frozenset(accepted), depth) if accepted else NOTHING, tuple(below))

    return build(machine.start(starts), 0)


def _kind(found: set[str], same_fixed_and_mobile: bool) -> NumberKind | None:
    if "general_desc" not in found:
        return None
    for name, kind in _KINDS.items():
        if name in found:
            return kind
    if "fixed_line" in found:
        both = same_fixed_and_mobile or "mobile" in found
        return NumberKind.FIXED_OR_MOBILE if both else NumberKind.FIXED
    return NumberKind.MOBILE if "mobile" in found else None


def china(tree: PrefixTree, labels: Labels, root: Node) -> Node:
    """The mobile numbers of +86 become those of its segments; fixed ones learn their province."""
    mobile = labels.id(Label(NumberStatus.ALLOCATED, NumberKind.MOBILE))
    segments = read_segments()
    for province, area in segments.areas:
        root = tree.edit(
            root,
            f"{CHINA}{area}",
            lambda node, province=province: tree.relabel(  # type: ignore[misc]
                node, lambda label: labels.id(labels[label]._replace(province=province))
            ),
        )
    by_kind = [
        [
            labels.id(Label(NumberStatus.ALLOCATED, NumberKind.MOBILE, operator, province))
            for province, _ in segments.areas
        ]
        for operator in OPERATORS.values()
    ]
    row_of = np.zeros(max(OPERATORS) + 1, dtype=np.int64)
    row_of[list(OPERATORS)] = range(len(OPERATORS))
    label_of = np.zeros(1_000_000, dtype=np.int64)
    label_of[segments.numbers - 1_000_000] = np.array(by_kind)[row_of[segments.operators], segments.area]
    tree_of_segments = tree.leaves(label_of, below=4)

    def with_segments(node: Node) -> Node:
        rest = tree.relabel(node, lambda label: NOTHING if label == mobile else label)
        return tree.over(tree_of_segments, rest)

    return tree.edit(root, f"{CHINA}1", with_segments)


def read_segments() -> Segments:
    """phone.dat as arrays. Raises ``ValueError`` where it holds what is not understood."""
    data = SEGMENTS.read_bytes()
    version, start = struct.unpack_from("<4si", data)
    table = np.frombuffer(
        data, dtype=np.dtype([("segment", "<i4"), ("record", "<i4"), ("operator", "u1")]), offset=start
    )
    unknown = sorted(set(np.unique(table["operator"]).tolist()) - set(OPERATORS))
    if unknown or table["segment"].min() < 1_000_000 or table["segment"].max() > 1_999_999:
        raise ValueError(f"{SEGMENTS}: operator codes {unknown} or segments outside 1000000 to 1999999")
    records, area = np.unique(table["record"], return_inverse=True)
    areas = []
    for record in records.tolist():
        province, _, _, code = data[record : data.index(b"\0", record)].decode().split("|")
        areas.append((province, code.lstrip("0")))
    return Segments(version.decode(), table["segment"], table["operator"], area, areas)


def short_numbers(tree: PrefixTree, labels: Labels, root: Node, home: int) -> Node:
    """Emergency and short numbers of the home country, written as its country code and the number.

    A number that the plan has already keeps what it is, except that an emergency number always is one.
    """
    shipped = (SHIPPED / f"{home}.csv").exists()
    for region in COUNTRY_CODE_TO_REGION_CODE.get(home, ()):
        short = PhoneMetadata.short_metadata_for_region(region)
        if short is None:
            continue
        emergency = _short(tree, labels, short.emergency, NumberStatus.EMERGENCY)
        service = DEAD if shipped else _short(tree, labels, short.short_code, NumberStatus.SHORT_SERVICE)
        root = tree.edit(
            root,
            str(home),
            lambda node, upper=emergency, lower=service: tree.over(  # type: ignore[misc]
                upper, tree.over(node, lower)
            ),
        )
    return root


def _short(tree: PrefixTree, labels: Labels, description: Any, status: NumberStatus) -> Node:
    if description is None or not description.national_number_pattern:
        return DEAD
    machine = Machine()
    start = machine.start([machine.add(description.national_number_pattern, 0)])
    label = labels.id(Label(status, NumberKind.SERVICE))

    @cache
    def build(states: States, depth: int) -> Node:
        if not states:
            return DEAD
        ends = machine.accepting(states) and depth in description.possible_length
        return tree.node(label if ends else NOTHING, tuple(build(s, depth + 1) for s in machine.step(states)))

    return build(start, 0)


def add(tree: PrefixTree, labels: Labels, root: Node, additions: list[Addition]) -> Node:
    """``root`` with additions on top: the longer prefix wins, among equal ones the later line."""
    for row in sorted(additions, key=lambda row: len(row.prefix)):
        root = tree.edit(root, row.prefix, lambda node, row=row: _added(tree, labels, node, row))  # type: ignore[misc]
    return root


_STATUS = {
    "allocated": NumberStatus.ALLOCATED,
    "service": NumberStatus.SHORT_SERVICE,
    "emergency": NumberStatus.EMERGENCY,
}


def _added(tree: PrefixTree, labels: Labels, node: Node, row: Addition) -> Node:
    more = [length - len(row.prefix) for length in row.lengths]
    if row.status == "unallocated":
        return tree.set_lengths(node, more, labels.id(GONE)) if more else DEAD
    if more:
        label = labels.id(Label(_STATUS[row.status], row.kind, row.operator, row.province))
        return tree.set_lengths(node, more, label)

    def described(label: int) -> int:
        old = labels[label]
        if old == GONE:
            return label
        return labels.id(
            Label(
                old.status, row.kind or old.kind, row.operator or old.operator, row.province or old.province
            )
        )

    return tree.relabel(node, described)
