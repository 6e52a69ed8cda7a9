"""Sketches: distinct counts within their error, circles without a forgotten friend."""

from __future__ import annotations

import random

import numpy as np
import pytest

from detectors import sketches
from detectors.sketches import LINEAR, SATURATED
from tests.kernel import called

bit_of = called(sketches.bit_of)
circle_bits = called(sketches.circle_bits)


def estimate(values: range | list[int]) -> float:
    word = 0
    for value in values:
        word |= int(bit_of(value))
    return float(LINEAR[word.bit_count()])


@pytest.mark.parametrize("n", [1, 5, 20, 50])
def test_distinct_counts_are_within_their_error(n: int) -> None:
    draw = random.Random(n)
    estimates = [estimate([draw.randrange(10**13) for _ in range(n)]) for _ in range(200)]
    assert np.mean(estimates) == pytest.approx(n, rel=0.06)
    assert np.std(estimates) <= 0.15 * n + 0.1


def test_neighbouring_numbers_spread_like_any_others() -> None:
    assert estimate(range(8613800138000, 8613800138040)) == pytest.approx(40, rel=0.35)


def test_very_many_are_told_as_very_many() -> None:
    assert estimate(range(2_000)) >= SATURATED
    assert estimate(range(100)) < SATURATED


def test_the_table_is_the_formula() -> None:
    assert LINEAR[0] == 0
    assert LINEAR[32] == pytest.approx(64 * np.log(2))
    assert LINEAR[64] == pytest.approx(64 * np.log(64))


def test_strangers_are_seldom_taken_for_friends() -> None:
    draw = random.Random(7)
    mistaken = 0
    for _ in range(300):
        circle = 0
        for _ in range(8):
            circle |= int(circle_bits(draw.randrange(10**13)))
        bits = int(circle_bits(draw.randrange(10**13)))
        mistaken += circle & bits == bits
    assert mistaken < 300 * 0.1
