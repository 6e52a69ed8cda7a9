"""The reading kernel against itself in plain Python, without its short cut for whole numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from random import Random

import msgspec

from config.settings import NumberingSettings
from detectors.numbering import Normaliser
from detectors.plan import NumberingPlan
from detectors.plan_build import read_segments

IN_PYTHON = """
import sys, msgspec
from config.settings import NumberingSettings
from detectors import numbering
from detectors.plan import NumberingPlan
numbering.WHOLE = 99
columns = numbering.Normaliser(86, NumberingPlan.load(NumberingSettings())).numbers(
    *msgspec.json.decode(sys.stdin.buffer.read())
)
sys.stdout.buffer.write(msgspec.json.encode([column.tolist() for column in columns[:5]]))
"""
BEFORE = [
    "",
    "+",
    "00",
    "0",
    "86",
    "+86",
    "0086",
    "+860",
    "010",
    "0755",
    "86010",
    "17951",
    "12593",
    "011",
    "9",
    "+1",
]


def signalled(count: int) -> tuple[list[str], list[int | None]]:
    """Numbers in all kinds of dialling, most of them nearly right."""
    random = Random(6)
    segments = read_segments().numbers.tolist()
    ends = [
        lambda: f"{random.choice(segments)}{random.randrange(10_000):04}",
        lambda: f"{random.randrange(10**10, 2 * 10**10)}",
        lambda: f"{random.randrange(10 ** random.randrange(1, 17))}",
        lambda: random.choice(["110", "112", "95588", "10086", "96110", "4001234567", "12345", "118114"]),
        lambda: random.choice(["10", "21", "755", "951"]) + str(random.randrange(10**8)),
        lambda: random.choice(["2025550123", "12025550123", "447911123456", "972599501806"]),
    ]
    texts = [random.choice(BEFORE) + random.choice(ends)() for _ in range(count)]
    return texts, [random.choice([None, None, 1, 2, 3, 4]) for _ in texts]


def test_the_kernel_reads_as_plain_python_does() -> None:
    texts, noas = signalled(6_000)
    given = [texts, noas, [None] * len(texts)]
    result = subprocess.run(
        [sys.executable, "-c", IN_PYTHON],
        input=msgspec.json.encode(given),
        capture_output=True,
        check=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"},
    )
    columns = Normaliser(86, NumberingPlan.load(NumberingSettings())).numbers(*given)
    for ours, theirs in zip(columns[:5], msgspec.json.decode(result.stdout), strict=True):
        differing = [
            i for i, pair in enumerate(zip(ours.tolist(), theirs, strict=True)) if pair[0] != pair[1]
        ]
        assert not differing, [(texts[i], noas[i]) for i in differing[:5]]
    assert len(set(columns.status.tolist())) == 7
