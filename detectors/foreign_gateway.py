"""Foreign gateway: a domestic number that enters at an international gateway and is no roamer.

A call with `roaming` set is innocent, and so is a forwarded one (`redirecting`). The others are
*unconfirmed*; how rare such numbers are among all is learnt, and is what a block is judged by
(``detectors.wrong_place``): roamers are one here and one there among hundreds of their block who call at
home, spoofed ranges are many numbers and nobody at home.

Two sorts of blocks may honestly enter as a whole: fixed lines, whose exchange may stand abroad, and mobile
numbers from a network that does not say who roams. Of them behaviour alone must tell. Whether a network uses
the flag is learnt, too.

Calls to people who roam here come back through the gateway to a number of a range that is routed abroad. Such
ranges are learnt too: callees' blocks that unconfirmed numbers of many different blocks reach.

A single number is high only where it called at home within the same minutes, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from config.settings import ForeignGatewaySettings
from detectors.kernels import inlined
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

GATEWAY = np.uint64(1)
"""The wrong way of this detector; networks are ways by their hash."""
EVERYBODY, UNCONFIRMED, CONFIRMED, SILENT, REACHED = 11, 12, 13, 14, 15
"""Kinds of ``detectors.shares.share_key``."""
IN_USE = 3.0
"""Calls by confirmed roamers from a network from which it may be using the flag."""
DENIED = 0.2
"""Factor on the share of strays for numbers that do not roam, as a network says that uses the flag."""
AT_HOME_MS = 540_000


class ForeignGatewayParameters(NamedTuple):
    place: PlaceParameters
    home: int
    limit: int
    """The least power of ten above ``home``."""
    reached_by: float
    few: float
    """Numbers of a block before a rule where the roaming flag is not in use."""


def parameters_of(settings: ForeignGatewaySettings, home: int) -> ForeignGatewayParameters:
    return ForeignGatewayParameters(
        place=place_parameters(settings),
        home=home,
        limit=10 ** len(str(home)),
        reached_by=float(settings.reached_by),
        few=float(settings.few_numbers),
    )


@inlined
def is_domestic(number: Any, p: Any) -> Any:
    """Whether an E.164 number (int64) has the home country's code."""
    rest = number
    while rest >= p.limit:
        rest //= 10
    return rest == p.home


@inlined
def learn_caller(shares: Any, gateway: Any, unconfirmed: Any, network: Any, trunk: Any, time: Any) -> None:
    """A number was first heard: at a gateway or not, there as a domestic one without roaming or not."""
    learn(shares, share_key(EVERYBODY, 0, 0), time)
    if gateway:
        learn(shares, share_key(NETWORK, GATEWAY, 0), time)
        learn(shares, share_key(TRUNK, trunk, GATEWAY), time)
    if unconfirmed:
        learn(shares, share_key(UNCONFIRMED, 0, 0), time)
        learn(shares, share_key(SILENT, network, 0), time)


@inlined
def learn_confirmed(shares: Any, network: Any, time: Any) -> None:
    """A call by a confirmed roamer from ``network`` (uint64)."""
    learn(shares, share_key(CONFIRMED, network, 0), time)


def learn_caller_reference(
    shares: PlainShares, gateway: bool, unconfirmed: bool, network: int, trunk: int, time: int
) -> None:
    """What `learn_caller` learns."""
    shares.learn(time, EVERYBODY, 0)
    if gateway:
        shares.learn(time, NETWORK, int(GATEWAY))
        shares.learn(time, TRUNK, trunk, int(GATEWAY))
    if unconfirmed:
        shares.learn(time, UNCONFIRMED, 0)
        shares.learn(time, SILENT, network)


@inlined
def uses_flag(shares: Any, network: Any, time: Any) -> Any:
    """Whether ``network`` (uint64) says who roams."""
    confirmed = learnt(shares, share_key(CONFIRMED, network, 0), time)
    return confirmed >= IN_USE and confirmed >= learnt(shares, share_key(SILENT, network, 0), time)


def uses_flag_reference(shares: PlainShares, network: int, time: int) -> bool:
    confirmed = shares.learnt(time, CONFIRMED, network)
    return confirmed >= IN_USE and confirmed >= shares.learnt(time, SILENT, network)


@inlined
def strays(shares: Any, denied: Any, callee: Any, time: Any, p: Any) -> Any:
    """Share of numbers that enter unconfirmed as strays: above 0 where that is wrong, else 0. ``denied``: a
    network that says who roams says that this number does not."""
    place = p.place
    numbers = learnt(shares, share_key(EVERYBODY, 0, 0), time)
    if numbers < place.least:
        return 0.0
    here = learnt(shares, share_key(UNCONFIRMED, 0, 0), time)
    if here >= place.usual * numbers:
        return 0.0
    if learnt(shares, share_key(REACHED, callee // 10_000, 0), time) >= p.reached_by:
        return 0.0
    share = (here + place.prior * place.prior_numbers) / (numbers + place.prior_numbers)
    return share * DENIED if denied else share


def strays_reference(
    shares: PlainShares, denied: bool, callee: int, time: int, p: ForeignGatewayParameters
) -> float:
    """What `strays` gives."""
    numbers, here = shares.learnt(time, EVERYBODY, 0), shares.learnt(time, UNCONFIRMED, 0)
    usual = here >= p.place.usual * numbers
    abroad = shares.learnt(time, REACHED, callee // 10_000) >= p.reached_by
    if numbers < p.place.least or usual or abroad:
        return 0.0
    share = (here + p.place.prior * p.place.prior_numbers) / (numbers + p.place.prior_numbers)
    return share * DENIED if denied else share


class ForeignGateway:
    """Turns the signals of ``detectors.wrong_place.weigh`` into findings."""

    name = "foreign_gateway"

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        def saying(f: dict[str, float], subject: str) -> str:
            return _sentence(f, call, subject)

        return found(signal, call, self.name, saying, "international")


def _sentence(f: dict[str, float], call: Call, subject: str) -> str:
    who = f"{f['numbers']:.0f} numbers of {subject}" if f["numbers"] >= 2 else subject
    return (
        f"{who} called {f['calls']:.0f} times through an international gateway without roaming, as "
        f"{f['share']:.2%} of all numbers do; {right_way(f)}; {doings(f)}; last over trunk "
        f"{call.trunk or 'unknown'}, from {call.from_network or 'unknown'}."
    )
