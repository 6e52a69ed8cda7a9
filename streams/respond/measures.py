"""What is done with the calls of a match: they are blocked, or slowed down or labelled where their caller
serves customers."""

from __future__ import annotations

from typing import NamedTuple

from config.settings import RespondSettings
from detectors.alert import Proposal
from streams.wire.records import Action

SECONDS_A_DAY = 86_400
USUAL_RATES = 2.0
"""A throttled service number keeps this many times the mean rate of its day."""


class Measure(NamedTuple):
    action: Action
    cps: float | None = None
    """Calls a second that a throttle lets through."""
    label: str | None = None


BLOCK = Measure("block")


def measure_for(proposal: Proposal, serves: bool, limits: RespondSettings) -> Measure:
    """`block`, but ``limits.service_numbers`` where the match's caller ``serves`` customers as well, or is
    shown by somebody else: it is never blocked."""
    if limits.service_numbers == "none" or not serves:
        return BLOCK
    if limits.service_numbers == "label":
        return Measure("label", label=limits.service_label)
    usual = proposal.blast_radius.calls_24h / SECONDS_A_DAY
    return Measure("throttle", cps=max(limits.service_cps, round(USUAL_RATES * usual, 3)))
