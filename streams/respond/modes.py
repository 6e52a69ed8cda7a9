"""Which mode a rule gets: the weaker of what its detector and the service as a whole may do."""

from __future__ import annotations

from typing import Literal

from config.settings import Settings
from streams.switches.rulebook import MODES
from streams.wire.records import Mode


def weaker(one: Mode, other: Mode) -> Mode:
    return min(one, other, key=MODES.index)


def stronger_than(one: Mode, other: Mode) -> bool:
    return MODES.index(one) > MODES.index(other)


def detector_mode(settings: Settings, detector: str) -> Mode | Literal["off"]:
    """The mode of a detector: ``settings.detectors.NAME.mode``. One without settings may only report."""
    section = getattr(settings.detectors, detector, None)
    mode: Mode | Literal["off"] = getattr(section, "mode", "report")
    return mode


def rule_mode(settings: Settings, detector: str) -> Mode | None:
    """The mode a rule of this detector has now; None where the detector is off."""
    mode = detector_mode(settings, detector)
    return None if mode == "off" else weaker(mode, settings.respond.mode)


def proposal_mode(settings: Settings, detector: str, relies_on: str) -> Mode | None:
    """The mode of a rule that ``detector`` proposes: no stronger than that of the detector it relies on.

    None where either is off.
    """
    mode = rule_mode(settings, detector)
    support = rule_mode(settings, relies_on) if relies_on else mode
    return None if mode is None or support is None else weaker(mode, support)
