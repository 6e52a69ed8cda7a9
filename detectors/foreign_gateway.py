"""Foreign gateway: a domestic number that enters at an international gateway and is no roamer.

A call with `roaming` set is innocent, and so is a forwarded one (`redirecting`). Whether the flag is in use
at all is learnt: where most of the domestic numbers at the gateways carry it, a number without it is rare,
and the learnt share of *unconfirmed* numbers among all says how rare. That share is what a block is judged by
(``detectors.wrong_place``): roamers are one here and one there among hundreds of their block who call at
home, spoofed ranges are many numbers and nobody at home. A fixed line cannot roam; nor does, where the flag
is in use, a number of which the network says that it does not.

Calls to people who roam here come back through the gateway to a number of a range that is routed abroad. Such
ranges are learnt too: callees' blocks that unconfirmed numbers of many different blocks reach.

A single number is high only where it called at home within the same minutes, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from config.settings import ForeignGatewaySettings
from detectors.kernels import inlined
from detectors.shape import HIGH, Call, Finding, Signal
from detectors.shares import learn, learnt, share_key
from detectors.wrong_place import (
    NETWORK,
    TRUNK,
    PlaceParameters,
    PlainShares,
    doings,
    evidence_of,
    place_parameters,
    proposals_of,
    right_way,
    score_of,
    subject_of,
)

GATEWAY = np.uint64(1)
"""The wrong way of this detector; networks are ways by their hash."""
EVERYBODY, UNCONFIRMED, CONFIRMED, REACHED = 11, 12, 13, 14
"""Kinds of ``detectors.shares.share_key``."""
IN_USE = 5.0
"""Calls by confirmed roamers from which the flag may be in use."""
CANNOT_ROAM = 0.2
"""Factor on the share of strays for numbers that do not roam, as far as anybody knows."""
FIXED_LINE = 2
"""``detectors.calls.NumberKind.FIXED``."""
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
def learn_caller(shares: Any, gateway: Any, unconfirmed: Any, trunk: Any, time: Any) -> None:
    """A number was first heard: at a gateway or not, there as a domestic one without roaming or not."""
    learn(shares, share_key(EVERYBODY, 0, 0), time)
    if gateway:
        learn(shares, share_key(NETWORK, GATEWAY, 0), time)
        learn(shares, share_key(TRUNK, trunk, GATEWAY), time)
    if unconfirmed:
        learn(shares, share_key(UNCONFIRMED, 0, 0), time)


@inlined
def learn_confirmed(shares: Any, time: Any) -> None:
    """A call by a confirmed roamer."""
    learn(shares, share_key(CONFIRMED, 0, 0), time)


def learn_caller_reference(
    shares: PlainShares, gateway: bool, unconfirmed: bool, trunk: int, time: int
) -> None:
    """What `learn_caller` learns."""
    shares.learn(time, EVERYBODY, 0)
    if gateway:
        shares.learn(time, NETWORK, int(GATEWAY))
        shares.learn(time, TRUNK, trunk, int(GATEWAY))
    if unconfirmed:
        shares.learn(time, UNCONFIRMED, 0)


@inlined
def flag_in_use(shares: Any, time: Any) -> Any:
    confirmed = learnt(shares, share_key(CONFIRMED, 0, 0), time)
    return confirmed >= IN_USE and confirmed >= learnt(shares, share_key(UNCONFIRMED, 0, 0), time)


@inlined
def strays(shares: Any, kind: Any, roaming: Any, callee: Any, time: Any, p: Any) -> Any:
    """Share of numbers that enter unconfirmed as strays: above 0 where that is wrong, else 0."""
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
    if kind == FIXED_LINE or (roaming == 0 and flag_in_use(shares, time)):
        share *= CANNOT_ROAM
    return share


def strays_reference(
    shares: PlainShares, kind: int, roaming: int, callee: int, time: int, p: ForeignGatewayParameters
) -> float:
    """What `strays` gives."""
    numbers, here = shares.learnt(time, EVERYBODY, 0), shares.learnt(time, UNCONFIRMED, 0)
    usual = here >= p.place.usual * numbers
    abroad = shares.learnt(time, REACHED, callee // 10_000) >= p.reached_by
    if numbers < p.place.least or usual or abroad:
        return 0.0
    share = (here + p.place.prior * p.place.prior_numbers) / (numbers + p.place.prior_numbers)
    cannot = kind == FIXED_LINE or (roaming == 0 and flag_in_use_reference(shares, time))
    return share * CANNOT_ROAM if cannot else share


def flag_in_use_reference(shares: PlainShares, time: int) -> bool:
    confirmed = shares.learnt(time, CONFIRMED, 0)
    return confirmed >= IN_USE and confirmed >= shares.learnt(time, UNCONFIRMED, 0)


class ForeignGateway:
    """Turns the signals of ``detectors.wrong_place.weigh`` into findings."""

    name = "foreign_gateway"

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        f = signal.features
        subject_type, subject_value = subject_of(signal, call)
        proposals = proposals_of(signal, call, "international")
        return Finding(
            subject_type=subject_type,
            subject_value=subject_value,
            kind="foreign_gateway_range" if subject_type == "block" else "foreign_gateway_number",
            level=signal.level,
            score=score_of(f),
            evidence=evidence_of(f),
            message=_sentence(f, call, subject_value),
            proposals=proposals if signal.level >= HIGH else [],
            withheld=[] if signal.level >= HIGH else proposals,
        )


def _sentence(f: dict[str, float], call: Call, subject: str) -> str:
    who = f"{f['numbers']:.0f} numbers of {subject}" if f["numbers"] >= 2 else subject
    return (
        f"{who} called {f['calls']:.0f} times through an international gateway without roaming, as "
        f"{f['share']:.2%} of all numbers do; {right_way(f)}; {doings(f)}; last over trunk "
        f"{call.trunk or 'unknown'}, from {call.from_network or 'unknown'}."
    )
