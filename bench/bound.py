"""How many malicious calls rules could stop at most, if whoever makes them knew everything.

    python -m bench.bound [--seeds 1-10] [--jobs 2]

An oracle knows of every call in a scenario of the suite, past and to come, whether it is malicious. It may
issue any rule that a `match` can express, as many as it likes and without delay, if

- the match names no legitimate call of the whole scenario,
- nor a short service number (`respond` never blocks one),
- and it named ``AFTER`` calls of the campaign before: nobody knows of a campaign before it calls.

What this oracle lets pass, no detector can stop by rules. Ten seeds take three to eight minutes of two cores.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.report import OVER_SEEDS, row_over_seeds, write_results
from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.evaluate.calls import Calls, Ints, calls_in
from streams.evaluate.labels import LEGITIMATE, Labels
from streams.evaluate.run import recorded
from streams.evaluate.suite import read_seeds
from streams.simulate.scenario import Scenario
from streams.simulate.suite import suite_scenarios
from streams.switches.protected import ProtectedNumbers, protected_numbers

AFTER = (1, 2, 5, 15)
"""Calls of a campaign that a match must name before there is a rule of it. The suite's target is 15."""
CUTS = (1, 2, 3, 4, 5, 6)
"""Digits of a number that a prefix leaves open."""
_SHORTEST_PREFIX = 7
"""Digits, with a country code of two: `respond.min_prefix_digits` after it."""
_ALL = np.int64(0)
_NOBODY = np.int64(-1)

Bools = npt.NDArray[np.bool_]
CampaignOfRow = npt.NDArray[np.int32]
"""A campaign's number for each set-up, or LEGITIMATE."""
Counts = dict[str, list[int]]
"""For each group of calls how many there are, then how many a rule could stop after ``AFTER``."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="1-10")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    with ProcessPoolExecutor(given.jobs, get_context("spawn")) as pool:
        seeds = list(pool.map(counts_of_seed, read_seeds(given.seeds)))
    print(write_results("bound", {"seeds": given.seeds} | OVER_SEEDS, list(_rows(seeds))))


def _rows(seeds: Sequence[Counts]) -> Iterator[Mapping[str, Any]]:
    for group, counted in _together(seeds).items():
        for place, after in enumerate(AFTER, 1):
            single = [of_seed[group][place] / of_seed[group][0] for of_seed in seeds if group in of_seed]
            yield row_over_seeds(
                f"{group}: a rule after {after} call{'s' if after > 1 else ''}",
                "share of malicious calls",
                counted[place] / counted[0],
                single,
            )


def _together(parts: Iterable[Counts]) -> Counts:
    sums: Counts = defaultdict(lambda: [0] * (1 + len(AFTER)))
    for counts in parts:
        for group, counted in counts.items():
            sums[group] = [a + b for a, b in zip(sums[group], counted, strict=True)]
    return dict(sums)


def counts_of_seed(seed: int) -> Counts:
    """Of all scenarios of a seed; groups are ``all``, kinds and sizes of campaigns."""
    settings = Settings()
    plan = NumberingPlan.load(settings.numbering)
    protected = protected_numbers(settings.numbering.home_country)

    def counts_of_scenario(scenario: Scenario) -> Counts:
        traffic = recorded(scenario)
        return counts_of(calls_in(traffic.records, settings, plan), traffic.labels, protected)

    return _together(counts_of_scenario(scenario) for _, scenario in suite_scenarios(seed))


def counts_of(calls: Calls, labels: Labels, protected: ProtectedNumbers) -> Counts:
    """How many malicious calls there are and could be stopped, by kind and size of their campaigns."""
    label = labels.of(calls.call)
    seen = most_seen_before(calls, label, protected)
    malicious = label != LEGITIMATE
    ids, of_row = np.unique(calls.call[malicious], return_inverse=True)
    of_call, best = np.empty(len(ids), np.int64), np.full(len(ids), -1)
    of_call[of_row] = label[malicious]
    np.maximum.at(best, of_row, seen[malicious])
    parts = []
    for number, campaign in enumerate(labels.campaigns):
        of_campaign = best[of_call == number]
        counted = [len(of_campaign), *(int((of_campaign >= after).sum()) for after in AFTER)]
        parts += [{group: counted} for group in ("all", campaign.kind, campaign.size)]
    return _together(parts)


def most_seen_before(calls: Calls, label: CampaignOfRow, protected: ProtectedNumbers) -> Ints:
    """For each set-up the most earlier set-ups of its campaign that one match names which also names this one
    and none of a legitimate call; -1 where there is no such match."""
    most = np.full(len(label), -1)
    anywhere = np.zeros_like(calls.trunk)
    places = (calls.trunk, calls.from_network, calls.gateway, anywhere)
    callers = _parties(calls, calls.caller, protected, protected.is_enterprise)
    callees = _parties(calls, calls.callee, protected)
    for caller, callee in product(callers, callees):
        if caller is callers[-1] and callee is callees[-1]:
            continue
        named = (caller != _NOBODY) & (callee != _NOBODY)
        pair = _same(caller, callee)
        for place in places:
            np.maximum(most, _seen_before(_same(pair, place), named, label), out=most)
    return most


def _parties(
    calls: Calls,
    numbers: Ints,
    protected: ProtectedNumbers,
    may_be_stopped: Callable[[str], bool] = lambda _: False,
) -> list[Ints]:
    """What a match can name of ``numbers``: each alone, its prefixes, and, last, anybody. No protected one,
    but alone those that ``may_be_stopped``."""
    unique, of_row = np.unique(numbers, return_inverse=True)
    spelled = calls.spelled(unique)
    kept = np.array([protected.named_by(text) is not None for text in spelled], bool) | (unique == 0)
    kept_alone = kept & ~np.array([may_be_stopped(text) for text in spelled], bool)
    alone, some = (np.where(each[of_row], _NOBODY, numbers) for each in (kept_alone, kept))
    cut = [np.where(some >= 10 ** (_SHORTEST_PREFIX - 1 + n), some // 10**n, _NOBODY) for n in CUTS]
    return [alone, *cut, np.full_like(numbers, _ALL)]


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> Ints:
    """A number from 0 for each pair that occurs."""
    first, second = (np.unique(column, return_inverse=True)[1] for column in (one, other))
    return np.unique(first * (second.max(initial=0) + 1) + second, return_inverse=True)[1]


def _seen_before(match: Ints, named: Bools, label: CampaignOfRow) -> Ints:
    """For each set-up how many of its campaign, one number of ``label``, its match named before; -1 where the
    match may not be."""
    legitimate = np.bincount(match[named & (label == LEGITIMATE)], minlength=match.max(initial=0) + 1)
    rows = np.flatnonzero(named & (label != LEGITIMATE) & (legitimate[match] == 0))
    seen = np.full(len(match), -1)
    group = _same(match[rows], label[rows])
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    seen[rows[order]] = np.arange(len(order)) - np.repeat(starts, lengths)
    return seen


if __name__ == "__main__":
    main()
