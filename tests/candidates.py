"""Candidates of callers with given habits, for the tests and benchmarks of the models of `profile`."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from detectors.alert import content_id
from detectors.candidates import FEATURES
from streams.wire.candidates import CANDIDATE_SCHEMA, Candidate, Candidates

START = 1_788_230_400_000


@dataclass(frozen=True)
class Habit:
    """Shares of calls, and calls to the number by its calls."""

    answered: float = 0.6
    brief: float = 0.25
    """Of the answered calls, up to 20 s."""
    short: float = 0.02
    """Of the answered calls, up to 6 s."""
    refused: float = 0.06
    invalid: float = 0.01
    one_ring: float = 0.0
    inbound: float = 0.4
    unique: float = 0.8


PERSON = Habit()
COURIER = Habit(answered=0.78, brief=0.55, short=0.03, inbound=0.25, unique=0.9)
CALL_CENTRE = Habit(answered=0.5, brief=0.2, short=0.01, refused=0.1, inbound=0.05, unique=0.97)
NOTIFIER = Habit(answered=0.66, brief=0.9, short=0.05, refused=0.07, inbound=0.0, unique=1.0)
MISSED_CALL = Habit(answered=0.01, refused=0.01, one_ring=0.95, inbound=0.0, unique=1.0)
TELEMARKETER = Habit(
    answered=0.24, brief=0.75, short=0.25, refused=0.18, invalid=0.08, inbound=0.0, unique=1.0
)
ORDINARY = (PERSON, COURIER, CALL_CENTRE, NOTIFIER)


def features(draw: random.Random, habit: Habit, calls: int) -> dict[str, float]:
    """Counts of a caller's ``calls`` calls of the day, all of them over."""

    def some(share: float, of: int) -> int:
        return sum(draw.random() < share for _ in range(of))

    found = dict.fromkeys((feature.name for feature in FEATURES), 0.0)
    answered = some(habit.answered, calls)
    brief = some(habit.brief, answered)
    rest = calls - answered
    refused = min(some(habit.refused, calls), rest)
    invalid = min(some(habit.invalid, calls), rest - refused)
    one_ring = min(some(habit.one_ring, calls), rest - refused - invalid)
    inbound = some(habit.inbound, calls)
    return found | {
        "attempts": float(calls),
        "ends": float(calls),
        "answered": float(answered),
        "brief": float(brief),
        "short": float(some(habit.short / max(habit.brief, 1e-9), brief)),
        "refused": float(refused),
        "invalid": float(invalid),
        "one_ring": float(one_ring),
        "rings": float(calls),
        "ring_ms": 9_000.0 * calls,
        "talk_ms": 12_000.0 * brief + 70_000.0 * (answered - brief),
        "inbound": float(inbound),
        "called_back": float(some(0.5, inbound)),
        "callees": max(round(habit.unique * calls), 1) * 1.0,
        "hundreds": max(round(habit.unique * calls), 1) * 1.0,
        "numbers": 1.0,
        "calls_1m": 1.0,
        "calls_10m": 3.0,
        "calls_hour": min(float(calls), 20.0),
        "calls_day": float(calls),
        "spread_1m": 1.0,
        "spread_10m": 1.0,
        "active_slots": 3.0,
        "age_s": 20_000.0,
    }


def candidate(
    draw: random.Random,
    habit: Habit,
    number: int,
    time: int,
    calls: int,
    *,
    offset: int = 0,
    subject_type: str = "number",
    subject: str = "",
    told: int = 0,
) -> Candidate:
    name = subject or f"+{number}"
    counted = features(draw, habit, calls)
    if subject_type == "block":
        counted["numbers"] = 9.0
    return Candidate(
        candidate_id=content_id([name, time, calls]),
        partition=0,
        offset=offset,
        time=time,
        subject_type=subject_type,  # type: ignore[arg-type]
        subject=name,
        kind=1,
        operator="CM",
        features=counted,
        call_id=f"{name}-{calls}",
        trunk="CM-CU-1",
        from_network="CM",
        to_network="CU",
        told=told,
    )


def told(candidates: Iterable[Candidate]) -> list[Candidates]:
    """A record of `candidates` for each."""
    return [
        Candidates(
            each.partition,
            each.offset,
            pa.RecordBatch.from_pylist([_columns_of(each)], CANDIDATE_SCHEMA),
        )
        for each in candidates
    ]


def _columns_of(candidate: Candidate) -> dict[str, object]:
    digits = candidate.subject.strip("+*")
    return msgspec.structs.asdict(candidate) | {
        "id": int(candidate.candidate_id[:16], 16),
        "block": int(candidate.subject_type == "block"),
        "number": int(digits) if digits.isdigit() else 0,
        "text": "" if digits.isdigit() else candidate.subject,
        "features": list(candidate.features.values()),
    }


def ordinary(seed: int, subjects: int, *, seconds: int = 3_600, start: int = START) -> list[Candidate]:
    """Each of ``subjects`` ordinary callers once, in order of time, on offsets from 0."""
    draw = random.Random(seed)
    times = sorted(draw.randrange(seconds * 1_000) for _ in range(subjects))
    return [
        candidate(
            draw,
            ORDINARY[n % len(ORDINARY)],
            8_613_000_000_000 + 7 * n + 100_000_000 * seed,
            start + at,
            draw.randrange(8, 60),
            offset=n,
        )
        for n, at in enumerate(times)
    ]
