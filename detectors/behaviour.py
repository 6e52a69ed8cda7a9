"""`behaviour`: callers and blocks that stand out among their peers, learnt online and without a label.

The vector of a candidate (`SHARES`) is a handful of shares of its calls, each drawn towards the ordinary one
while calls are few. Each is compared with the peers, the candidates of the last hours, as the share of them
that look at least as abusive; the score is the sum of the negative logarithms of these tail probabilities
(Fisher 1932), that is a naive Bayes whose densities are learnt. Of the models tried it is the best; the table
is in docs/detection.md.

To stand out is no offence, so the score alone never blocks. Three further kinds of evidence do not depend on
the peers' shape and are log-odds over the day's calls (a sequential probability ratio test, Wald 1945):

- *outcome*: unanswered, brief and talked calls, of the likelier of two abusers, one who is hung up on and one
  with whom nobody talks, against the likeliest of three ordinary callers: a call centre, a service that reads
  a message out, and a call centre that few answer but who does talks. A call of at most 6 s counts as
  unanswered, and one given up after a ring not at all: that is `wangiri`'s;
- *unwanted*: calls that were refused, hung up on within 6 s, or to numbers that do not exist;
- *reciprocity*: fewer calls to the number than the peers get. Where nobody's are seen, it says nothing.

A rule is proposed where outcome and unwanted calls both speak for abuse and the sum of all three reaches the
configured odds. A block is never proposed here: `rotation` knows who else lives in it.

Everything is in event time. The peers of an event are those at least one to two minutes older (`SETTLED`),
so candidates that arrive in another order within that time are judged alike. The peers reach back
`MEMORY_MS`, and so do the scores that theirs are compared with: `LOOKBACK_MS` of candidates rebuild them.
"""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import BehaviourSettings
from detectors.alert import Evidence
from detectors.candidates import FEATURES as CANDIDATE_FEATURES
from detectors.outcomes import log_ratios
from detectors.shape import (
    BEHAVIOUR_BLOCK,
    HIGH,
    LOW,
    MEDIUM,
    NOTHING,
    Call,
    Feature,
    Finding,
    Signal,
    proposal,
    score_of,
    weighed,
)
from detectors.windows import HOUR, MINUTE

Features = Mapping[str, float]


class Share(NamedTuple):
    """One coordinate: ``usual`` counts as `PRIOR_CALLS` calls; ``sign`` is 1 where more of it is worse."""

    name: str
    usual: float
    sign: int
    meaning: str


SHARES = (
    Share("unique_callees", 0.6, 1, "distinct callees by attempts"),
    Share("outgoing", 0.6, 1, "attempts by attempts and calls to the number"),
    Share("called_back", 0.1, -1, "calls back by numbers it had called, by attempts"),
    Share("talked", 0.4, -1, "calls of over 20 s, or still up, by calls over or up"),
    Share("short", 0.1, 1, "answered calls of at most 6 s, by answered calls"),
    Share("refused", 0.06, 1, "calls turned down by the callee, by calls over"),
    Share("invalid", 0.01, 1, "calls to numbers that do not exist, by calls over"),
    Share("one_ring", 0.01, 1, "calls given up after one ring, by calls over"),
    Share("talk_seconds", 40.0, -1, "mean talk time of answered calls"),
)
NAMES = tuple(share.name for share in SHARES)
PRIOR_CALLS = 4.0
_SIGNS = np.array([share.sign for share in SHARES], np.float64)

SLOT_MS = MINUTE
SETTLED = 2
"""Peers of an event are those of slots at least so many before its own."""
MEMORY_MS = 12 * HOUR
PEERS = 4_096
"""The newest so many are kept of each sort."""
LEAST_PEERS = 200
"""Before so many are known nobody stands out."""
LEARN_EVERY_MS = HOUR
"""A subject teaches one vector in each such window, or the busiest would be everybody's measure."""
LOOKBACK_MS = 2 * MEMORY_MS + LEARN_EVERY_MS
SATURATED_CALLEES = 1_100.0
"""An estimate of at least so many distinct callees means "very many"."""

MOST_UNLEARNT = 8_192
"""Vectors of one slot that wait to be learnt."""
RECIPROCITY_LIMIT = 3.0
ABUSIVE_INBOUND = 0.02
"""Calls to an abusive number, by its attempts."""


def vector_of(f: Features) -> npt.NDArray[np.float64]:
    """The shares of a candidate's counts (``detectors.candidates.FEATURES``), in the order of `SHARES`."""
    attempts, ends, answered = f["attempts"], f["ends"], f["answered"]
    parts = (
        (min(f["callees"], attempts), attempts),
        (attempts, attempts + f["inbound"]),
        (f["called_back"], attempts),
        (answered - f["brief"] + f["pending"], ends + f["pending"]),
        (f["short"], answered),
        (f["refused"], ends),
        (f["invalid"], ends),
        (f["one_ring"], ends),
        (f["talk_ms"] / 1_000, answered),
    )
    return np.array(
        [
            (count + share.usual * PRIOR_CALLS) / (of + PRIOR_CALLS)
            for (count, of), share in zip(parts, SHARES, strict=True)
        ]
    )


class Odds(NamedTuple):
    """Log-odds for abuse of the day's calls, by kind of evidence."""

    outcome: float
    unwanted: float
    reciprocity: float

    @property
    def sum(self) -> float:
        return self.outcome + self.unwanted + self.reciprocity


class Judge:
    """The log-odds of the day's calls; ``usual_inbound`` is learnt and handed in."""

    def __init__(self, settings: BehaviourSettings) -> None:
        s = settings
        self._outcomes = [
            [
                log_ratios(abusive, ordinary)
                for ordinary in (
                    (s.ordinary_brief, s.ordinary_talked),
                    (s.message_brief, s.message_talked),
                    (s.missed_brief, s.missed_talked),
                    (s.stale_brief, s.stale_talked),
                )
            ]
            for abusive in ((s.abusive_brief, s.abusive_talked), (s.silent_brief, s.silent_talked))
        ]
        self._unwanted = math.log(s.abusive_unwanted / s.ordinary_unwanted)
        self._wanted = math.log((1 - s.abusive_unwanted) / (1 - s.ordinary_unwanted))

    def __call__(self, f: Features, usual_inbound: float) -> Odds:
        talked = f["answered"] - f["brief"] + f["pending"]
        unanswered = f["ends"] - f["answered"] - f["one_ring"] + f["short"]
        brief = f["brief"] - f["short"]
        outcome = max(
            min(unanswered * w[0] + brief * w[1] + talked * w[2] for w in ordinary)
            for ordinary in self._outcomes
        )
        bad = min(_unwanted(f), f["ends"])
        unwanted = bad * self._unwanted + (f["ends"] - bad) * self._wanted
        return Odds(outcome, unwanted, _reciprocity(f["attempts"], f["inbound"], usual_inbound))


def _unwanted(f: Features) -> float:
    """Refused and short calls, and half as many again that went to numbers that do not exist: the list of an
    honest caller may be old."""
    turned_down = f["refused"] + f["short"]
    return turned_down + min(f["invalid"], turned_down / 2)


def _reciprocity(attempts: float, inbound: float, usual: float) -> float:
    """Poisson log-likelihood ratio of the calls to the number."""
    if usual <= ABUSIVE_INBOUND:
        return 0.0
    odds = attempts * (usual - ABUSIVE_INBOUND) + inbound * math.log(ABUSIVE_INBOUND / usual)
    return min(odds, RECIPROCITY_LIMIT)


class Peer(NamedTuple):
    time: int
    id: str
    key: str
    vector: npt.NDArray[np.float64]
    score: float
    inbound: float
    """Calls to the number by its attempts."""


class Measure(NamedTuple):
    """What the peers of one slot's events are like."""

    columns: npt.NDArray[np.float64]
    """Their vectors, each coordinate sorted by rising abuse: (shares, peers)."""
    unusual: float = math.inf
    extreme: float = math.inf
    """Scores above which somebody stands out."""
    usual_inbound: float = 0.0

    def score(self, vector: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        """The score and the part of each share in it; 0 while there are too few peers to say."""
        n = self.columns.shape[1]
        parts = np.zeros(len(SHARES))
        if n < LEAST_PEERS:
            return 0.0, parts
        signed = vector * _SIGNS
        for k, column in enumerate(self.columns):
            below = int(np.searchsorted(column, signed[k], "left"))
            equal = int(np.searchsorted(column, signed[k], "right")) - below
            parts[k] = -math.log((n - below - equal / 2 + 0.5) / (n + 1))
        return float(parts.sum()), parts


NOBODY = Measure(np.empty((len(SHARES), 0)))


class Peers:
    """Vectors of one sort of subject, learnt a slot of event time after the other."""

    def __init__(self, settings: BehaviourSettings) -> None:
        self._settings = settings
        self._waiting: dict[int, list[Peer]] = defaultdict(list)
        self._learnt: list[Peer] = []
        self._taught: OrderedDict[str, int] = OrderedDict()
        """Subject to the window in which it taught last."""
        self._settled = -1
        """Slots before this one are learnt."""
        self._newest = self._before = NOBODY
        """Measures of what is learnt, and of what was one slot earlier."""

    def measure(self, slot: int) -> Measure:
        """The peers of events in ``slot``; those that come up to a slot late are measured by the same."""
        settled = slot - SETTLED + 1
        if settled > self._settled:
            if settled > self._settled + 1:
                self._settle(settled - 1)
            self._settle(settled)
        return self._newest if settled == self._settled else self._before

    def add(self, peer: Peer) -> None:
        slot = max(peer.time // SLOT_MS, self._settled)
        if len(self._waiting[slot]) < MOST_UNLEARNT:
            self._waiting[slot].append(peer)

    def _settle(self, settled: int) -> None:
        self._settled, self._before = settled, self._newest
        due = sorted(past for past in self._waiting if past < settled)
        fresh = [p for past in due for p in sorted(self._waiting.pop(past), key=lambda p: (p.time, p.id))]
        oldest = settled * SLOT_MS - MEMORY_MS
        if not fresh and not (self._learnt and self._learnt[0].time < oldest):
            return
        self._learnt = [p for p in self._learnt if p.time >= oldest]
        self._learnt += [p for p in fresh if self._teaches(p)]
        self._learnt = self._learnt[-PEERS:]
        self._newest = self._measured()

    def _teaches(self, peer: Peer) -> bool:
        window = peer.time // LEARN_EVERY_MS
        if self._taught.get(peer.key) == window:
            return False
        self._taught[peer.key] = window
        self._taught.move_to_end(peer.key)
        if len(self._taught) > 2 * PEERS:
            self._taught.popitem(last=False)
        return True

    def _measured(self) -> Measure:
        if not self._learnt:
            return NOBODY
        columns = np.sort(np.array([p.vector for p in self._learnt]).T * _SIGNS[:, None], axis=1)
        inbound = np.array([p.inbound for p in self._learnt])
        usual_inbound = float(np.quantile(inbound, self._settings.least_reciprocity))
        scores = np.array([p.score for p in self._learnt if p.score > 0.0])
        if scores.size < LEAST_PEERS:
            return Measure(columns, usual_inbound=usual_inbound)
        unusual, extreme = np.quantile(scores, (self._settings.unusual, self._settings.extreme)).tolist()
        return Measure(columns, unusual, extreme, usual_inbound)


class Verdict(NamedTuple):
    """What one candidate amounts to. ``parts`` of the score, in the order of `SHARES`."""

    level: int
    score: float
    parts: npt.NDArray[np.float64]
    odds: Odds


class Behaviour:
    """Learns from candidates, one after the other, judges and describes them."""

    name = "behaviour"

    def __init__(self, settings: BehaviourSettings) -> None:
        self._settings = settings
        self._judge = Judge(settings)
        self._peers = {"number": Peers(settings), "block": Peers(settings)}
        self.vectors = 0

    def judge(self, candidate: str, subject_type: str, key: str, time: int, f: Features) -> Verdict | None:
        """Folds in one candidate of event time ``time`` (ms) with id ``candidate`` about subject ``key``.

        None where its calls cannot be compared: too few outcomes, redials of few callees, an outage.
        """
        s = self._settings
        if f["ends"] < s.min_ends or 2 * f["failed"] >= f["attempts"]:
            return None
        if f["callees"] < s.fan_out * f["attempts"] and f["callees"] < SATURATED_CALLEES:
            return None
        peers = self._peers[subject_type]
        measure = peers.measure(time // SLOT_MS)
        vector = vector_of(f)
        score, parts = measure.score(vector)
        odds = self._judge(f, min(measure.usual_inbound, s.most_reciprocity))
        self.vectors += 1
        if odds.outcome + odds.unwanted < 0.0:
            inbound = f["inbound"] / max(f["attempts"], 1.0)
            peers.add(Peer(time, candidate, key, vector, score, inbound))
        return Verdict(self._level(subject_type, f, score, odds, measure), score, parts, odds)

    def _level(self, subject_type: str, f: Features, score: float, odds: Odds, peers: Measure) -> int:
        s = self._settings
        two_kinds = odds.outcome >= math.log(s.outcome_odds) and odds.unwanted >= math.log(s.unwanted_odds)
        if two_kinds and odds.sum >= math.log(s.odds) and f["ends"] >= s.block_ends:
            return HIGH if subject_type == "number" else MEDIUM
        stands_out = two_kinds or (score > peers.unusual and odds.outcome > 0.0)
        if stands_out and odds.sum >= math.log(s.suspect_odds):
            return MEDIUM
        return LOW if score > peers.extreme and odds.sum > 0.0 else NOTHING

    def describe(self, signal: Signal, call: Call) -> Finding:
        f = signal.features
        is_block = signal.pattern == BEHAVIOUR_BLOCK
        proposals = []
        if signal.level >= HIGH:
            proposals = [proposal(call.caller_match, f["calls_day"], 1, f["callees"])]
        value = f"+{signal.key}*" if is_block else call.caller_spelled
        return Finding(
            subject_type="block" if is_block else "number",
            subject_value=value,
            kind="unwanted_calls",
            level=signal.level,
            score=score_of(f["log_odds"]),
            evidence=_evidence(f),
            message=_sentence(f, value, call),
            proposals=proposals,
            apart="" if is_block or call.caller >= 0 else call.trunk,
        )


def features_of(f: Features, verdict: Verdict) -> dict[str, float]:
    """The features of the signal of a candidate with counts ``f``: the counts and what was made of them."""
    return {
        **f,
        "outlyingness": verdict.score,
        "outcome": verdict.odds.outcome,
        "unwanted": verdict.odds.unwanted,
        "reciprocity": verdict.odds.reciprocity,
        "log_odds": verdict.odds.sum,
    }


FEATURES = (
    *CANDIDATE_FEATURES,
    Feature("outlyingness", "score", "sum of -ln of the shares of peers at least as abusive, by share", 9),
    Feature("outcome", "log-odds", "for abuse, of unanswered, brief and talked calls", -10),
    Feature("unwanted", "log-odds", "for abuse, of refused, invalid and short calls", -3),
    Feature("reciprocity", "log-odds", "for abuse, of calls to the number", -1),
    Feature("log_odds", "log-odds", "the last three together", -14),
)
EVIDENCE = (
    Feature("talked_share", "share", "calls of over 20 s, or still up, of those over or up", 0.4),
    Feature("unwanted_share", "share", "refused, invalid and short calls, of those over", 0.1),
    Feature("inbound_share", "share", "calls to the number, of all its calls", 0.4),
    Feature("unique_callees", "share", "distinct callees, of attempts", 0.6),
)


def _shares(f: Features) -> dict[str, float]:
    over = max(f["ends"] + f["pending"], 1.0)
    return {
        "talked_share": (f["answered"] - f["brief"] + f["pending"]) / over,
        "unwanted_share": min(_unwanted(f) / max(f["ends"], 1.0), 1.0),
        "inbound_share": f["inbound"] / max(f["inbound"] + f["attempts"], 1.0),
        "unique_callees": min(f["callees"] / max(f["attempts"], 1.0), 1.0),
    }


def _evidence(f: Features) -> list[Evidence]:
    shares = _shares(f)
    strengths = (f["outcome"], f["unwanted"], f["reciprocity"], 0.5)
    parts = [
        (feature.name, shares[feature.name], feature.typical, strength)
        for feature, strength in zip(EVIDENCE, strengths, strict=True)
    ]
    return weighed([*parts, ("outlyingness", f["outlyingness"], float(len(SHARES)), 0.5)])


def _sentence(f: Features, value: str, call: Call) -> str:
    shares = _shares(f)
    who = f"{f['numbers']:.0f} numbers of block {value}" if value.endswith("*") else value
    return (
        f"{who} made {f['attempts']:.0f} calls to {f['callees']:.0f} numbers in the last day; "
        f"{shares['talked_share']:.0%} became talk, {shares['unwanted_share']:.0%} were refused, hung up on "
        f"or to numbers that do not exist, and {f['inbound']:.0f} calls came to it; "
        f"last over trunk {call.trunk or 'unknown'}, from {call.from_network or 'unknown'}."
    )
