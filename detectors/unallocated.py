"""Callers that cannot exist: numbers that no range of the numbering plan holds, or of a wrong length.

Numbers of machines (meters, vehicles) exist, but call one or two numbers: from ``machine_callees`` distinct
callees within ten minutes on the number is proposed.

The status is the plan's, looked up by ``ingest``; texts, withheld numbers, service and emergency numbers are
none of this detector's business. A number that cannot exist is the one case where a single feature may block.

One impossible number that called once is a low alert of its block, without a proposal: a mistyped caller id
does happen. From the second call within an hour the number itself is proposed. From the third call by two
numbers of a block the block is the subject, and what is proposed is the widest prefix within it that the plan
says is wholly unallocated, or the exact number where there is none.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from config.settings import UnallocatedSettings
from detectors.alert import Match
from detectors.calls import BLOCK, NumberKind, NumberStatus
from detectors.kernels import inlined, popcount
from detectors.plain import Counts
from detectors.shape import HIGH, LOW, NOTHING, Call, Feature, Finding, Signal, proposal, weighed
from detectors.sketches import LINEAR
from detectors.windows import distinct, total

FEATURES = (
    Feature("number_calls", "calls", "attempts of the number in the last hour", 0),
    Feature("block_calls", "calls", "attempts of its block in the last hour", 0),
    Feature("block_numbers", "numbers", "distinct numbers of the block that called in the last two hours", 0),
    Feature("number_calls_day", "calls", "attempts of the number in the last day", 0),
    Feature("block_calls_day", "calls", "attempts of the block in the last day", 0),
    Feature("callees", "numbers", "distinct callees of the block (of a machine: its own) in 10 minutes", 0),
)

EVIDENCE = (
    Feature("caller_status", "code", "why it cannot exist: 1 in no range, 2 too short, 3 too long", 0),
)
"""What an alert lists besides."""

FEW_NUMBERS = 32.0
"""Up to so many numbers of a block each signals for itself; beyond, the block's signals are rationed."""

_WHY = {
    NumberStatus.UNALLOCATED: "no range of the numbering plan holds it",
    NumberStatus.TOO_SHORT: "it is too short for its range",
    NumberStatus.TOO_LONG: "it is too long for its range",
    NumberStatus.ALLOCATED: "its range belongs to machines, which call one or two numbers",
}


class Plan(Protocol):
    """What is asked of the numbering plan (``detectors.plan.NumberingPlan``)."""

    @property
    def version(self) -> str: ...

    def widest_unallocated_prefix(self, number: int, at_least: int) -> int | None: ...


class UnallocatedParameters(NamedTuple):
    on: bool
    number_calls: int
    block_calls: int
    block_numbers: float
    machine_callees: float


def parameters_of(settings: UnallocatedSettings) -> UnallocatedParameters:
    return UnallocatedParameters(
        on=settings.mode != "off",
        number_calls=settings.number_calls,
        block_calls=settings.block_calls,
        block_numbers=float(settings.block_numbers),
        machine_callees=float(settings.machine_callees),
    )


MACHINE = int(NumberKind.MACHINE)


@inlined
def cannot_exist(status: Any) -> Any:
    """Whether a number of this `NumberStatus` cannot be in use."""
    return status == 1 or status == 2 or status == 3


@inlined
def look(number: Any, block: Any, machine: Any, p: Any, f: Any) -> Any:
    """Level of an attempt by a number that cannot exist, or that belongs to a ``machine``; fills ``f``."""
    calls = total(number.hour_attempts)
    block_calls = total(block.hour_attempts)
    numbers = LINEAR[popcount(block.numbers[0] | block.numbers[1])]
    f[:] = 0.0
    f[0] = np.float64(calls)
    f[1] = np.float64(block_calls)
    f[2] = np.float64(round(numbers))
    f[3] = np.float64(total(number.day_attempts))
    f[4] = np.float64(total(block.day_attempts))
    f[5] = distinct(number.counterparts) if machine else distinct(block.counterparts)
    if machine:
        return HIGH if f[5] >= p.machine_callees else NOTHING
    if calls >= p.number_calls or (block_calls >= p.block_calls and f[2] >= p.block_numbers):
        return HIGH
    if calls == 0:
        return NOTHING
    return LOW


def look_reference(
    number: Counts, block: Counts, machine: bool, p: UnallocatedParameters
) -> tuple[int, list[float]]:
    """What `look` decides, and its features, from the events themselves."""
    features = [
        float(number.calls(600_000, 6)),
        float(block.calls(600_000, 6)),
        float(round(block.numbers())),
        float(number.calls(10_800_000, 8)),
        float(block.calls(10_800_000, 8)),
        number.counterparts() if machine else block.counterparts(),
    ]
    if machine:
        return (HIGH if features[5] >= p.machine_callees else NOTHING), features
    if features[0] >= p.number_calls:
        return HIGH, features
    if features[1] >= p.block_calls and features[2] >= p.block_numbers:
        return HIGH, features
    return (LOW if features[0] else NOTHING), features


class Unallocated:
    """Turns the signals of `look` into findings."""

    name = "unallocated"

    def __init__(self, settings: UnallocatedSettings, plan: Plan) -> None:
        self._settings = settings
        self._plan = plan

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        f = signal.features
        number, block = call.caller, call.caller // BLOCK
        status = NumberStatus(call.caller_status)
        machine = status == NumberStatus.ALLOCATED
        by_block = not machine and (
            f["block_calls"] >= self._settings.block_calls
            and f["block_numbers"] >= self._settings.block_numbers
        )
        prefix = self._prefix(number, block) if by_block else None
        wide = by_block or signal.level < HIGH
        match = Match(caller=f"+{number}" if prefix is None else f"+{prefix}*")
        proposals = []
        if signal.level >= HIGH:
            calls, callers = (
                (f["number_calls_day"], 1.0) if prefix is None else (f["block_calls_day"], f["block_numbers"])
            )
            proposals = [proposal(match, calls, callers, f["callees"] or 1)]
        return Finding(
            subject_type="block" if wide else "number",
            subject_value=f"+{block}*" if wide and block else f"+{number}",
            kind=_KIND[status] if prefix is None else "unallocated_range",
            level=signal.level,
            score=0.5 if signal.level < HIGH else 0.99,
            evidence=weighed(
                [
                    ("caller_status", float(status), 0, 2.0),
                    ("number_calls", f["number_calls"], 0, min(f["number_calls"] - 1, 2.0)),
                    ("block_calls", f["block_calls"], 0, min(f["block_calls"] - 1, 3.0) if by_block else 0.0),
                ]
            ),
            message=_sentence(f, call, status, by_block, block, prefix),
            proposals=proposals,
            plan_version=self._plan.version,
        )

    def _prefix(self, number: int, block: int) -> int | None:
        """The widest unallocated prefix of ``number`` within its block, where that is more than itself."""
        at_least = max(self._settings.least_prefix_digits, len(str(block)))
        prefix = self._plan.widest_unallocated_prefix(number, at_least)
        return prefix if prefix is not None and prefix < number else None


_KIND = {
    NumberStatus.UNALLOCATED: "unallocated_number",
    NumberStatus.TOO_SHORT: "wrong_length",
    NumberStatus.TOO_LONG: "wrong_length",
    NumberStatus.ALLOCATED: "machine_number",
}


def _sentence(
    f: dict[str, float], call: Call, status: NumberStatus, by_block: bool, block: int, prefix: int | None
) -> str:
    way = f"trunk {call.trunk or 'unknown'}, from {call.from_network or 'unknown'}"
    if prefix is not None:
        return (
            f"{f['block_numbers']:.0f} numbers of +{prefix}* called {f['block_calls']:.0f} times within an "
            f"hour, but the numbering plan has nobody there (last +{call.caller}); {way}."
        )
    times = "once" if f["number_calls"] <= 1 else f"{f['number_calls']:.0f} times"
    sentence = f"+{call.caller} called {times} within an hour, but cannot be a caller: {_WHY[status]}"
    if by_block:
        sentence += f"; {f['block_numbers']:.0f} numbers of block +{block}* did so"
    return f"{sentence}; {way}."
