"""Labelled traffic: ordinary calls worth the name, and attacks of every kind."""

from streams.simulate.scenario import KINDS, AttackSpec, Campaign, Scenario, SimulatedEvent
from streams.simulate.traffic import campaigns, directory, traffic

__all__ = [
    "KINDS",
    "AttackSpec",
    "Campaign",
    "Scenario",
    "SimulatedEvent",
    "campaigns",
    "directory",
    "traffic",
]
