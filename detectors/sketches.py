"""Small sketches: how many distinct, and is this one among them.

Distinct counts are linear counting (Whang, Vander-Zanden, Taylor 1990): each value sets one bit of a bitmap
of m bits; with b of them set the estimate is ``m ln(m / (m - b))``. At m = 64 the standard error is about
10 % at 50 values, and beyond some 180 values all that is known is "very many": see `SATURATED`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.kernels import inlined, mix

BITS = 64
LINEAR = np.array([BITS * math.log(BITS / (BITS - b)) for b in range(BITS)] + [BITS * math.log(BITS)])
"""Estimate of distinct values by number of bits set, 0 to 64. Shape (65,), float64."""
SATURATED = 150.0
"""An estimate of at least this means "very many": 58 of 64 bits are set."""

_ONE, _TOP6, _LOW6 = np.uint64(1), np.uint64(58), np.uint64(63)


@inlined
def bit_of(value: Any) -> Any:
    """The one bit (uint64) that stands for an integer in a 64-bit bitmap."""
    return _ONE << (mix(value) >> _TOP6)


@inlined
def circle_bits(value: Any) -> Any:
    """The two bits (uint64) that stand for a number in a circle: a Bloom filter of 64 bits, k = 2."""
    z = mix(value)
    return (_ONE << (z & _LOW6)) | (_ONE << ((z >> np.uint64(6)) & _LOW6))
