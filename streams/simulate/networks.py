"""Trunk groups between the networks, and how each of them signals a number."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from streams.simulate.numbers import CHINA, FOREIGN, NETWORKS

TRUNKS_PER_PAIR = 3
_GATEWAY_CITIES = ("BJ", "SH", "GZ")
_INTERNATIONAL = {"CM": "GZ", "CU": "SH", "CT": "SH"}
"""Domestic networks with international gateways, and where those stand."""

TRANSIT = "CM"
"""Carries CB's calls to the other networks."""


class Style(IntEnum):
    """How a trunk signals numbers."""

    PLUS = 0
    """``+8613800138000``"""
    NATIONAL = 1
    """``13800138000``, nature of address 3 (foreign numbers: 4)"""
    TRUNK_PREFIX = 2
    """``013800138000``, nature of address 2 (foreign numbers: ``00852…``)"""
    INTERNATIONAL = 3
    """``8613800138000``, nature of address 4"""
    DOUBLE_ZERO = 4
    """``008613800138000``, nature of address 2"""


@dataclass(frozen=True)
class Trunk:
    name: str
    from_network: str
    to_network: str
    international: bool
    style: Style
    probe: str
    far_probe: str
    """The receiving network's own probe on the same trunk."""


def _national(sender: str, receiver: str, city: str, style: Style) -> Trunk:
    return Trunk(
        f"{sender}-{receiver}-{city}-1",
        sender,
        receiver,
        False,
        style,
        f"{receiver}-{city}",
        f"{sender}-{city}",
    )


def _foreign(sender: str, receiver: str, city: str, style: Style, probe: str) -> Trunk:
    return Trunk(f"{sender}-{receiver}-{city}-I", sender, receiver, True, style, probe, f"{probe}-B")


def _all_trunks() -> list[Trunk]:
    pairs = [(a, b) for a in NETWORKS for b in NETWORKS if a != b]
    trunks = [
        _national(a, b, city, Style((i + j) % 5))
        for i, (a, b) in enumerate(pairs)
        for j, city in enumerate(_GATEWAY_CITIES[:TRUNKS_PER_PAIR])
    ]
    for i, carrier in enumerate(FOREIGN):
        for network, city in _INTERNATIONAL.items():
            style = (Style.PLUS, Style.INTERNATIONAL, Style.DOUBLE_ZERO)[i % 3]
            probe = f"{network}-{city}-INT"
            trunks.append(_foreign(carrier, network, city, style, probe))
            trunks.append(_foreign(network, carrier, city, style, probe))
    return trunks


class Networks:
    """Every trunk of the simulated interconnection; a call names its trunk by index."""

    def __init__(self) -> None:
        self.trunks = _all_trunks()
        self.names = [*NETWORKS, *FOREIGN]
        """Networks by index: the domestic ones first."""
        self._of_pair: dict[tuple[str, str], list[int]] = {}
        for index, trunk in enumerate(self.trunks):
            self._of_pair.setdefault((trunk.from_network, trunk.to_network), []).append(index)

    def of_pair(self, sender: str, receiver: str) -> list[int]:
        """Trunks that carry calls from ``sender`` to ``receiver``."""
        return self._of_pair[sender, receiver]

    @cached_property
    def table(self) -> npt.NDArray[np.int64]:
        """(sender, receiver, k) to trunk, k = 0..2; -1 where the two have none (calls within a network)."""
        table = np.full((len(self.names), len(self.names), TRUNKS_PER_PAIR), -1, dtype=np.int64)
        for (sender, receiver), trunks in self._of_pair.items():
            row = table[self.names.index(sender), self.names.index(receiver)]
            row[:] = np.resize(trunks, TRUNKS_PER_PAIR)
        return table

    def back(self, trunk: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Sender and receiver, by index, of a call back to who came over ``trunk``."""
        return self._ends[1][trunk], self._ends[0][trunk]

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        """Sender and receiver of each trunk."""
        index = self.names.index
        return np.array([[index(t.from_network), index(t.to_network)] for t in self.trunks]).T

    @cached_property
    def via_transit(self) -> dict[int, int]:
        """Trunk out of CB to the trunk on which the transit network hands the same call over."""
        return {
            i: self.of_pair(TRANSIT, t.to_network)[i % TRUNKS_PER_PAIR]
            for i, t in enumerate(self.trunks)
            if t.from_network == "CB" and t.to_network in NETWORKS and t.to_network != TRANSIT
        }


_HOME = str(CHINA)
_CUT = len(_HOME)
_HOME_FORM = {
    Style.PLUS: ("+", 0, None),
    Style.NATIONAL: ("", _CUT, 3),
    Style.TRUNK_PREFIX: ("0", _CUT, 2),
    Style.INTERNATIONAL: ("", 0, 4),
    Style.DOUBLE_ZERO: ("00", 0, 2),
}
"""What is put before, how many digits are left out, and the nature of address."""
_FOREIGN_FORM = _HOME_FORM | {Style.NATIONAL: ("", 0, 4), Style.TRUNK_PREFIX: ("00", 0, 2)}


def signalled(number: int, style: Style) -> tuple[str, int | None]:
    """The digits and the nature of address (None: not given) of ``number`` on a trunk of that style.

    Short service numbers and 400 numbers travel as they are dialled.
    """
    digits = str(number)
    if number < 1_000_000:
        return digits, None
    home = digits[:_CUT] == _HOME and len(digits) >= 11
    if home and digits[_CUT : _CUT + 3] == "400":
        return digits[_CUT:], None
    before, cut, nature = (_HOME_FORM if home else _FOREIGN_FORM)[style]
    return before + digits[cut:], nature
