"""Misrouted: a range on a trunk whose operator cannot originate it.

Which network sends the numbers of which operator is learnt: of every operator, the share of its *distinct*
numbers that were first heard from each network. A right way is a network that bears the operator's name or
sends a tenth of its numbers, and a trunk of which at least a quarter of the numbers are that operator's
(transit); of one number, the network that serves it by a `portability` entry of the lists. Where `carries`
says what a trunk may carry, that decides instead of what was learnt.

What is left came a *wrong way*; how that is weighed: ``detectors.wrong_place``. One number alone is ported
until its behaviour says otherwise, and at most medium.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import MisroutedSettings
from detectors.calls import text_hash
from detectors.kernels import inlined, mix2
from detectors.plain import mix2 as plain_mix2
from detectors.shape import Call, Finding, Signal
from detectors.shares import learn, learnt, share_key
from detectors.wrong_place import (
    NETWORK,
    TRUNK,
    PlaceParameters,
    PlainShares,
    doings,
    found,
    place_parameters,
    right_way,
)

OPERATOR, OPERATOR_NETWORK, OF_TRUNK, TRUNK_OPERATOR = 1, 2, 3, 4
"""Kinds of ``detectors.shares.share_key``."""
TRANSIT_SHARE = 0.25
FEW = 2.0
"""Numbers of a block before a rule."""
EXPECTED_SHARE = 0.001
"""Share of strays where the settings say what a trunk may carry."""


class MisroutedParameters(NamedTuple):
    place: PlaceParameters
    bound: npt.NDArray[np.uint64]
    """Hashes of the trunks for which the settings say what they may carry, ascending."""
    allowed: npt.NDArray[np.uint64]
    """``mix2`` of such a trunk and an operator that it may carry, ascending."""


def parameters_of(settings: MisroutedSettings) -> MisroutedParameters:
    bound = sorted(text_hash(trunk) for trunk in settings.carried)
    allowed = sorted(
        plain_mix2(text_hash(trunk), text_hash(operator))
        for trunk, operators in settings.carried.items()
        for operator in operators
    )
    return MisroutedParameters(
        place=place_parameters(settings),
        bound=np.array(bound, np.uint64),
        allowed=np.array(allowed, np.uint64),
    )


@inlined
def _among(sorted_hashes: Any, value: Any) -> Any:
    at = np.searchsorted(sorted_hashes, value)
    return at < sorted_hashes.size and sorted_hashes[at] == value


@inlined
def learn_way(shares: Any, operator: Any, network: Any, trunk: Any, time: Any) -> None:
    """A number of ``operator`` was first heard from ``network`` over ``trunk`` (uint64 each)."""
    learn(shares, share_key(OPERATOR, operator, 0), time)
    learn(shares, share_key(OPERATOR_NETWORK, operator, network), time)
    learn(shares, share_key(NETWORK, network, 0), time)
    learn(shares, share_key(TRUNK, trunk, network), time)
    learn(shares, share_key(OF_TRUNK, trunk, 0), time)
    learn(shares, share_key(TRUNK_OPERATOR, trunk, operator), time)


def learn_way_reference(shares: PlainShares, operator: int, network: int, trunk: int, time: int) -> None:
    """What `learn_way` learns."""
    for counted in (
        (OPERATOR, operator),
        (OPERATOR_NETWORK, operator, network),
        (NETWORK, network),
        (TRUNK, trunk, network),
        (OF_TRUNK, trunk),
        (TRUNK_OPERATOR, trunk, operator),
    ):
        shares.learn(time, *counted)


@inlined
def strays(shares: Any, operator: Any, network: Any, trunk: Any, time: Any, p: Any) -> Any:
    """Share of numbers of ``operator`` that come this way as strays: above 0 where the way is wrong, 0 where
    it is right, below 0 where that is not known."""
    if p.bound.size > 0 and _among(p.bound, trunk):
        return 0.0 if _among(p.allowed, mix2(trunk, operator)) else EXPECTED_SHARE
    if operator == network:
        return 0.0
    place = p.place
    numbers = learnt(shares, share_key(OPERATOR, operator, 0), time)
    if numbers < place.least:
        return -1.0
    here = learnt(shares, share_key(OPERATOR_NETWORK, operator, network), time)
    of_trunk = learnt(shares, share_key(OF_TRUNK, trunk, 0), time)
    carried = learnt(shares, share_key(TRUNK_OPERATOR, trunk, operator), time)
    if of_trunk >= place.least and carried >= TRANSIT_SHARE * of_trunk:
        return 0.0
    if here >= place.usual * numbers:
        if 3.0 * of_trunk < place.least or carried >= place.usual * of_trunk:
            return 0.0
        here, numbers = carried, of_trunk
    return (here + place.prior * place.prior_numbers) / (numbers + place.prior_numbers)


def strays_reference(
    shares: PlainShares, operator: int, network: int, trunk: int, time: int, p: MisroutedParameters
) -> float:
    """What `strays` gives."""
    if trunk in p.bound.tolist():
        return 0.0 if plain_mix2(trunk, operator) in p.allowed.tolist() else EXPECTED_SHARE
    if operator == network:
        return 0.0
    numbers, here = (
        shares.learnt(time, OPERATOR, operator),
        shares.learnt(time, OPERATOR_NETWORK, operator, network),
    )
    if numbers < p.place.least:
        return -1.0
    of_trunk, carried = (
        shares.learnt(time, OF_TRUNK, trunk),
        shares.learnt(time, TRUNK_OPERATOR, trunk, operator),
    )
    if of_trunk >= p.place.least and carried >= TRANSIT_SHARE * of_trunk:
        return 0.0
    if here >= p.place.usual * numbers:
        if 3 * of_trunk < p.place.least or carried >= p.place.usual * of_trunk:
            return 0.0
        here, numbers = carried, of_trunk
    return (here + p.place.prior * p.place.prior_numbers) / (numbers + p.place.prior_numbers)


class Misrouted:
    """Turns the signals of ``detectors.wrong_place.weigh`` into findings."""

    name = "misrouted"

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        def saying(f: dict[str, float], subject: str) -> str:
            return _sentence(f, call, subject)

        return found(signal, call, self.name, saying, None)


def _sentence(f: dict[str, float], call: Call, subject: str) -> str:
    who = f"{f['numbers']:.0f} numbers of {subject}" if f["numbers"] >= 2 else subject
    return (
        f"{who}, a range of {call.caller_operator}, called {f['calls']:.0f} times from "
        f"{call.from_network}, where {f['share']:.1%} of that operator's numbers come from; "
        f"{right_way(f)}; {doings(f)}; last over trunk {call.trunk or 'unknown'}."
    )
