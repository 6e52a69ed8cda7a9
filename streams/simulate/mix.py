"""How much each sort of legitimate caller calls."""

from __future__ import annotations

from streams.simulate.scenario import Scenario

USUAL = {
    "social": 0.43,
    "courier": 0.09,
    "call_centre": 0.10,
    "notifier": 0.06,
    "to_service": 0.09,
    "company": 0.12,
    "to_company": 0.05,
    "extension": 0.003,
    "alarm": 0.018,
    "vote": 0.15,
    "from_abroad": 0.04,
    "to_abroad": 0.02,
    "roamer": 0.02,
    "sorted_dialler": 0.02,
    "old_list": 0.015,
    "privacy_number": 0.03,
    "ringing_courier": 0.025,
    "flasher": 0.012,
    "heavy_ported": 0.012,
    "forwarding": 0.012,
    "hosted_abroad": 0.012,
    "visitor": 0.006,
    "company_to_company": 0.006,
    "calls_back": 0.015,
    "moved": 0.006,
    "family": 0.012,
    "test_call": 0.0,
    "school": 0.012,
    "ticket_sale": 0.012,
    "hotline": 0.008,
    "celebrant": 0.005,
}
"""Calls tried for each call a second of the scenario. A third of those between people stay within one
network and are not seen. ``vote`` only while the televote lasts; from ``school`` on, and ``test_call``: they
have times of their own."""

_DOMINANT, _OTHERS = 0.55, 0.6


def rate(scenario: Scenario, name: str) -> float:
    """Calls a second that ``name`` tries in the busiest hour."""
    share = USUAL[name]
    if scenario.dominant:
        share = max(_DOMINANT, share) if name == scenario.dominant else _OTHERS * share
    return share * scenario.calls_per_second


def crowd(scenario: Scenario, name: str) -> float:
    """How many times the usual number of callers are there."""
    return rate(scenario, name) / USUAL[name]
