"""Labelled traffic: ordinary calls worth the name, and attacks of every kind."""

from streams.simulate.scenario import KINDS, AttackSpec, Campaign, Scenario, SimulatedEvent
from streams.simulate.traffic import Simulation, campaigns, traffic

__all__ = [
    "KINDS",
    "AttackSpec",
    "Campaign",
    "Scenario",
    "SimulatedEvent",
    "Simulation",
    "campaigns",
    "traffic",
]
