"""The numbering plan: what numbers of the world can be in use, as arrays that a kernel walks digit by digit.

`NumberingPlan.load` compiles it once (`detectors.plan_build`) and keeps the result in a cache file.
"""

from __future__ import annotations

import hashlib
import io
import logging
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import NumberingSettings
from detectors import plan_additions, plan_build, plan_patterns, plan_tree
from detectors.cache import cache_root
from detectors.calls import NumberKind, NumberStatus
from detectors.kernels import inlined, kernel

log = logging.getLogger(__name__)

KEPT_FILES = 4
"""Compiled plans kept in the cache directory; older ones are removed."""
LIMIT = 10**plan_additions.MAX_DIGITS

_ALLOCATED = int(NumberStatus.ALLOCATED)
_UNALLOCATED = int(NumberStatus.UNALLOCATED)
_TOO_LONG = int(NumberStatus.TOO_LONG)
_TEXT = int(NumberStatus.TEXT)
_U = np.uint64
_LOW = 0xFFFF
_TWO_MORE = np.uint64(0x100)
"""Digits left in the walk, four bits each: below this one or two are left."""
DEAD = 0
ROOT = 10


class PlanTables(NamedTuple):
    """The plan for kernels: an automaton over digits, a node named by the offset of its row.

    Node ``n`` and digit ``d`` lead to node ``children[n + d]``; ``DEAD`` is where no number can follow,
    ``ROOT`` the start. A number that ends at node ``n`` is ``meaning[label[n // 10]]``: status, kind,
    operator and province, 16 bits each, lowest first. Label 0 is a node where no number ends.
    """

    children: npt.NDArray[np.int32]
    """``[10 * nodes]``"""
    label: npt.NDArray[np.int32]
    """``[nodes]``"""
    meaning: npt.NDArray[np.int64]


class PlanColumns(NamedTuple):
    """Of each number: ``status`` (NumberStatus) and ``kind`` (NumberKind) uint8, ``operator`` and
    ``province`` int32 as indices of the plan's names. One length."""

    status: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    operator: npt.NDArray[np.int32]
    province: npt.NDArray[np.int32]


@inlined
def plan_walk(tables: PlanTables, number: int) -> tuple[int, int, int, int]:
    """Status, kind, operator and province of one E.164 number; status TEXT where it is not positive.

    TOO_LONG is one or two digits after a whole number, or more digits than E.164 has; TOO_SHORT is the
    beginning of a longer number.

    Unsigned throughout: signed indices cost numba a test for negative ones, and half the speed.
    """
    if number <= 0:
        return _TEXT, 0, 0, 0
    if number >= LIMIT:
        return _TOO_LONG, 0, 0, 0
    digits = _U(0)
    rest = _U(number)
    while rest:
        tenth = rest // _U(10)
        digits = (digits << _U(4)) | (rest - tenth * _U(10) + _U(1))
        rest = tenth
    node = _U(ROOT)
    while digits:
        below = _U(tables.children[node + (digits & _U(15)) - _U(1)])
        if below == _U(DEAD):
            few = digits < _TWO_MORE and _is_complete(tables, node)
            return (_TOO_LONG if few else _UNALLOCATED), 0, 0, 0
        node = below
        digits >>= _U(4)
    meaning = tables.meaning[tables.label[node // _U(10)]]
    return meaning & _LOW, meaning >> 16 & _LOW, meaning >> 32 & _LOW, meaning >> 48


@inlined
def _is_complete(tables: PlanTables, node: np.uint64) -> bool:
    """Whether an allocated number ends here and no longer one starts with it."""
    label = tables.label[node // _U(10)]
    if label == 0 or tables.meaning[label] & _LOW != _ALLOCATED:
        return False
    for digit in range(10):  # noqa: SIM110 - numba has no all()
        if tables.children[node + _U(digit)] != DEAD:
            return False
    return True


@kernel
def plan_lookup(
    tables: PlanTables,
    numbers: npt.NDArray[np.int64],
    status: npt.NDArray[np.uint8],
    kind: npt.NDArray[np.uint8],
    operator: npt.NDArray[np.int32],
    province: npt.NDArray[np.int32],
) -> None:
    """`plan_walk` of each of ``numbers`` into the other four arrays. All have one length."""
    for i in range(len(numbers)):
        status[i], kind[i], operator[i], province[i] = plan_walk(tables, numbers[i])


class NumberingPlan:
    """What numbers can be in use, seen from the country code ``home``.

    ``operators`` and ``provinces`` are names by index, index 0 being the empty string for unknown.
    ``version`` names the state of the plan: a digest of everything that went in, and the libraries.
    """

    def __init__(
        self, home: int, version: str, tables: PlanTables, operators: list[str], provinces: list[str]
    ) -> None:
        self.home = home
        self.version = version
        self.tables = tables
        self.operators = operators
        self.provinces = provinces

    @classmethod
    def load(cls, settings: NumberingSettings) -> NumberingPlan:
        """The plan from its cache file, compiled first where there is none that fits or it is damaged.

        Raises ``PlanError`` where ``settings.additions`` cannot be used.
        """
        additions = Path(settings.additions) if settings.additions else None
        digest = _digest(settings.home_country, additions)
        name = f"{digest[:12]}+phonenumbers-{version('phonenumbers')}+phone-{version('phone')}"
        cache = cache_root()
        file = cache / f"plan-{digest}.bin" if cache else None
        arrays = _read(file) if file else None
        if arrays is None:
            arrays = _arrays(plan_build.compile_plan(settings.home_country, additions))
            if file:
                _write(file, arrays)
        operators, provinces = arrays.pop("operators").tolist(), arrays.pop("provinces").tolist()
        return cls(settings.home_country, name, PlanTables(**arrays), operators, provinces)

    def lookup(self, numbers: npt.NDArray[np.int64]) -> PlanColumns:
        """What the plan says of each number."""
        columns = PlanColumns(
            np.empty(len(numbers), np.uint8),
            np.empty(len(numbers), np.uint8),
            np.empty(len(numbers), np.int32),
            np.empty(len(numbers), np.int32),
        )
        plan_lookup(self.tables, np.ascontiguousarray(numbers, dtype=np.int64), *columns)
        return columns

    def is_valid_prefix_unallocated(self, prefix: int) -> bool:
        """Whether no number that starts with the digits of ``prefix`` can be in use."""
        return self._dead_after(prefix) is not None

    def widest_unallocated_prefix(self, number: int, at_least: int) -> int | None:
        """The shortest prefix of ``number``, ``at_least`` digits or longer, where no number can be in use.

        None where there is none: the number itself or a longer one can be, or it has too few digits.
        """
        dead_after = self._dead_after(number)
        if dead_after is None:
            return None
        digits = max(dead_after, at_least)
        text = str(number)
        return int(text[:digits]) if digits <= len(text) else None

    def _dead_after(self, number: int) -> int | None:
        """How many leading digits of ``number`` it takes until no number can follow."""
        if number <= 0:
            return None
        node = ROOT
        for count, digit in enumerate(str(number), start=1):
            node = int(self.tables.children[node + int(digit)])
            if node == DEAD:
                return count
        return None


def _digest(home: int, additions: Path | None) -> str:
    """Hex digest of everything a compiled plan depends on."""
    whole = hashlib.sha256(f"{home} {version('phonenumbers')} {version('phone')}".encode())
    sources = [
        Path(str(module.__file__)) for module in (plan_additions, plan_build, plan_patterns, plan_tree)
    ]
    shipped = sorted(plan_build.SHIPPED.glob("*.csv"))
    for path in (Path(__file__), *sources, *shipped, plan_build.SEGMENTS):
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    if additions:
        whole.update(b"additions" + plan_additions.contents(additions).encode())
    return whole.hexdigest()[:32]


def _arrays(compiled: plan_build.Compiled) -> dict[str, npt.NDArray[Any]]:
    nothing = plan_build.Label(NumberStatus.TOO_SHORT, NumberKind.UNKNOWN)
    labels = [label or nothing for label in compiled.labels]
    operators = {name: i for i, name in enumerate(sorted({"", *(label.operator for label in labels)}))}
    provinces = {name: i for i, name in enumerate(sorted({"", *(label.province for label in labels)}))}
    meaning = [
        label.status | label.kind << 16 | operators[label.operator] << 32 | provinces[label.province] << 48
        for label in labels
    ]
    return {
        "children": compiled.children.reshape(-1) * np.int32(10),
        "label": compiled.label_of,
        "meaning": np.array(meaning, np.int64),
        "operators": np.array(list(operators)),
        "provinces": np.array(list(provinces)),
    }


def _read(file: Path) -> dict[str, npt.NDArray[Any]] | None:
    """The arrays of a cache file, None where it is missing or is not what was written."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    digest, payload = data[:32], data[32:]
    if hashlib.sha256(payload).digest() != digest:
        log.warning("damaged numbering plan in the cache, compiling it again: %s", file)
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        return dict(arrays)


def _write(file: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Keep ``arrays``; appears whole or not at all, whoever else writes. Not being able to is no error."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    payload = buffer.getvalue()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix="plan-", delete=False) as partial:
            partial.write(hashlib.sha256(payload).digest() + payload)
        Path(partial.name).replace(file)
        files = sorted(file.parent.glob("plan-*"), key=lambda path: path.stat().st_mtime)
        for old in files[:-KEPT_FILES]:
            old.unlink(missing_ok=True)
    except OSError as error:
        log.warning("numbering plan not kept in the cache, the next start compiles it again: %s", error)
