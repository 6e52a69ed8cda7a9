"""Candidates with labels, out of simulated traffic: what the models of `profile` are compared on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import orjson

from config.settings import Settings
from detectors.calls import BLOCK, spell
from detectors.numbering import Normaliser
from detectors.plan import NumberingPlan
from streams.detect.step import Detect
from streams.ingest.step import Ingest
from streams.simulate import Scenario, SimulatedEvent, traffic
from streams.wire.candidates import Candidate
from streams.wire.records import SourceRecord

EVENTS_A_MESSAGE = 500
MIXED = 0.1
"""A subject is left out where between this share and one less it of its calls are of campaigns."""


class Labelled(NamedTuple):
    candidate: Candidate
    kind: str
    """Of the campaign that most of the subject's calls belong to; empty: none."""


def labelled(scenario: Scenario, settings: Settings) -> list[Labelled]:
    """The candidates of ``scenario`` in order, each with what its subject was up to."""
    plan = NumberingPlan.load(settings.numbering)
    normalise = Normaliser(settings.numbering.home_country, plan)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)

    def watched(events: Iterable[SimulatedEvent]) -> Iterator[bytes]:
        for each in events:
            event = each.event
            if event["type"] != "end":
                caller = normalise.number(event["caller"], event.get("caller_noa"), event.get("presentation"))
                kinds[spell(caller.number, caller.text)][each.kind] += 1
                if caller.number >= BLOCK:
                    kinds[f"+{caller.number // BLOCK}*"][each.kind] += 1
            yield orjson.dumps(event)

    found = list(_candidates(watched(traffic(scenario)), settings, plan))
    return [
        Labelled(candidate, kind)
        for candidate in found
        if (kind := _kind(kinds[candidate.subject])) is not None
    ]


def _kind(counts: Counter[str]) -> str | None:
    bad = counts.total() - counts[""]
    if not bad <= MIXED * counts.total():
        if bad < (1 - MIXED) * counts.total():
            return None
        return max((kind for kind in counts if kind), key=lambda kind: (counts[kind], kind))
    return ""


def _candidates(events: Iterator[bytes], settings: Settings, plan: NumberingPlan) -> Iterator[Candidate]:
    ingest = Ingest(plan, settings)
    partitions = [Detect(partition, settings, plan) for partition in range(settings.kafka.partitions)]
    offsets = [0] * len(partitions)
    message = 0
    while lines := list(islice(events, EVENTS_A_MESSAGE)):
        for ingested in ingest.steps([SourceRecord(b"\n".join(lines), "calls", 0, message, None)]):
            told: list[Candidate] = []
            for partition in sorted(ingested.frames):
                detected = partitions[partition](ingested.frames[partition], offsets[partition])
                offsets[partition] += 1
                if detected.candidates is not None:
                    told += detected.candidates.rows()
            yield from sorted(told, key=lambda each: (each.time, each.candidate_id))
        message += 1


def area_under_curve(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """Chance that an abuser scores above an ordinary caller (Mann and Whitney), ties half."""
    order = np.argsort(scores, kind="stable")
    ordered = np.asarray(scores)[order]
    first = np.searchsorted(ordered, ordered, "left")
    last = np.searchsorted(ordered, ordered, "right")
    ranks = np.empty(len(order))
    ranks[order] = (first + last + 1) / 2
    truth = np.asarray(labels, bool)
    abusers, others = int(truth.sum()), int((~truth).sum())
    return float((ranks[truth].sum() - abusers * (abusers + 1) / 2) / (abusers * others))


def precision_recall(
    labels: Sequence[bool], scores: Sequence[float], least_precision: float
) -> tuple[float, float]:
    """Average precision, and the largest recall at ``least_precision``."""
    truth = np.asarray(labels, bool)[np.argsort(-np.asarray(scores), kind="stable")]
    hits = np.cumsum(truth)
    precision = hits / np.arange(1, len(truth) + 1)
    enough = np.flatnonzero(precision >= least_precision)
    recall = float(hits[enough[-1]] / truth.sum()) if len(enough) else 0.0
    return float((precision * truth).sum() / truth.sum()), recall
