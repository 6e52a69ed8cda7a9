"""The pictures of the detectors' pages, ``docs/detectors/NAME.svg``, drawn from simulated calls.

    python -m bench pictures
    python -m bench.pictures [NAME…]

Each shows what its detector spots: one campaign among ordinary calls. The same code draws the same bytes. The
background is transparent and the ink a middle grey, so that they can be read on light and on dark pages.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.report import ROOT
from bench.scene import Call, Scene, plan, scene
from detectors.calls import NumberStatus
from streams.evaluate.plots import style_in
from streams.simulate import AttackSpec, Scenario

PAGES = ROOT / "docs" / "detectors"
INK, QUIET, ATTACK, FINE, BRIEF, MISSED = "#7b8794", "#9aa5b1", "#d64545", "#2f9e62", "#d99a1f", "#8265c4"
OUTCOMES = {
    "talk": FINE,
    "answered briefly": BRIEF,
    "not answered": ATTACK,
    "no such number": MISSED,
    "not over": QUIET,
}
DOTS = 160
"""Most that one series shows of each sort, evenly taken, so that a picture stays small."""
_STYLE = style_in(INK) | {
    "axes.titlecolor": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "legend.fontsize": 8.0,
    "savefig.transparent": True,
}


def burst(figure: Figure) -> None:
    """Attempts of the number that bursts, and of an ordinary caller of the same pace, by outcome."""
    seen = attacked("burst", calls=90, minutes=1.5, dominant="call_centre")
    robot = of_caller(seen.campaign, busiest(seen.campaign))
    lasts = robot[-1].time
    callers = by_caller([call for call in seen.ordinary if seen.begin <= call.time <= lasts], 8)
    centre = max(callers.values(), key=lambda calls: (-abs(len(calls) - len(robot)), calls[0].caller))
    axes = figure.subplots()
    for calls, marker in ((robot, "o"), (centre, "s")):
        for outcome, color in OUTCOMES.items():
            found = [(n, call) for n, call in enumerate(calls, 1) if call.outcome == outcome]
            label = outcome if marker == "o" else ""
            dots(axes, times(seen, [call for _, call in found]), [n for n, _ in found], color, label, marker)
    for calls, name in ((robot, "the robot"), (centre, "a call centre")):
        end = (seen.minutes(calls[-1]), len(calls))
        axes.annotate(name, end, (-6, 4), textcoords="offset points", horizontalalignment="right")
    axes.set(xlabel=MINUTES, ylabel="attempts of the caller so far")
    moments(axes, seen)


def sweep(figure: Figure) -> None:
    """Callees of the sweeping numbers, as a distance from the first, and of others."""
    seen = attacked("sweep", calls=100, minutes=3.0)
    first = seen.campaign[0].callee
    axes = figure.subplots()
    near = [call for call in seen.ordinary if abs(call.callee - first) < 50_000]
    dots(axes, times(seen, near), [call.callee - first for call in near], QUIET, "other callers")
    dots(
        axes,
        times(seen, seen.campaign),
        [call.callee - first for call in seen.campaign],
        ATTACK,
        "the campaign",
    )
    axes.set(xlabel=MINUTES, ylabel="callee, counted from the first")
    moments(axes, seen)


def wangiri(figure: Figure) -> None:
    """How long each unanswered call rings."""
    seen = attacked("wangiri", calls=100, minutes=3.0)
    axes = figure.subplots()
    for calls, color, label in (
        (seen.ordinary, QUIET, "other callers"),
        (seen.campaign, ATTACK, "the campaign"),
    ):
        missed = [call for call in calls if call.ended and not call.answered and call.ring_ms]
        dots(axes, times(seen, missed), [call.ring_ms / 1_000 for call in missed], color, label)
    axes.set(xlabel=MINUTES, ylabel="seconds rung before it was given up")
    moments(axes, seen)


def rotation(figure: Figure) -> None:
    """The calling number within its block."""
    seen = attacked("rotation", calls=100, minutes=4.0)
    block = Counter(call.caller // 10_000 for call in seen.campaign).most_common(1)[0][0]
    axes = figure.subplots()
    for outcome, color in OUTCOMES.items():
        found = [call for call in seen.campaign if call.outcome == outcome]
        dots(axes, times(seen, found), [call.caller % 10_000 for call in found], color, outcome)
    others = [call for call in seen.ordinary if call.caller // 10_000 == block]
    dots(axes, times(seen, others), [call.caller % 10_000 for call in others], QUIET, "ordinary users", "s")
    axes.set(xlabel=MINUTES, ylabel=f"calling number within +{block}…")
    moments(axes, seen)


def flood(figure: Figure) -> None:
    """Who calls the victim, each caller a line of its own."""
    seen = attacked("flood", calls=150, minutes=2.0)
    victim = seen.campaign[0].callee
    calls = [call for call in seen.calls if call.callee == victim]
    line = {caller: n for n, caller in enumerate(dict.fromkeys(call.caller for call in calls), 1)}
    axes = figure.subplots()
    for mine, color, label in ((True, ATTACK, "strangers"), (False, FINE, "people the callee knows")):
        found = [call for call in calls if bool(call.campaign) is mine]
        dots(axes, times(seen, found), [line[call.caller] for call in found], color, label)
    axes.set(xlabel=MINUTES, ylabel="caller, by its first call to the victim")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    moments(axes, seen)


def unallocated(figure: Figure) -> None:
    """Calling numbers among the segments of the numbering plan."""
    seen = attacked("unallocated", calls=60, minutes=3.0)
    middle = int(np.median([call.caller // 10_000 for call in seen.campaign]))
    segments = middle + np.arange(-30, 31)
    status = plan().lookup(segments * 10_000 + 1_234).status
    axes = figure.subplots()
    labelled = False
    for segment in segments[status == NumberStatus.ALLOCATED].tolist():
        label = "" if labelled else "segments in use"
        axes.axhspan(segment - middle, segment - middle + 1, color=FINE, alpha=0.2, linewidth=0, label=label)
        labelled = True
    for calls, color, name in (
        (seen.ordinary, FINE, "ordinary calls"),
        (seen.campaign, ATTACK, "the campaign"),
    ):
        near = [call for call in calls if abs(call.caller // 10_000 - middle) <= 30]
        dots(axes, times(seen, near), [call.caller / 10_000 - middle for call in near], color, name)
    axes.set(xlabel=MINUTES, ylabel=f"calling number, in segments from +{middle}", ylim=(-31, 31))
    moments(axes, seen)


def misrouted(figure: Figure) -> None:
    """Numbers of each block that came in from the network that owns it, and from another."""
    seen = attacked("misrouted", calls=100, minutes=4.0, at=8.0)
    senders: dict[str, Counter[str]] = defaultdict(Counter)
    for call in seen.ordinary:
        senders[call.operator][call.network] += 1
    home = {operator: counted.most_common(1)[0][0] for operator, counted in senders.items()}
    _ways(figure.subplots(), seen, lambda call: call.network != home.get(call.operator), national=True)


def foreign_gateway(figure: Figure) -> None:
    """Numbers of each domestic block that came in at home, and from abroad."""
    seen = attacked("foreign_gateway", calls=100, minutes=4.0, at=8.0)
    _ways(figure.subplots(), seen, lambda call: call.abroad, national=False)


def _ways(axes: Axes, seen: Scene, is_wrong: Callable[[Call], bool], national: bool) -> None:
    networks = {call.network for call in seen.calls if not call.abroad}
    ways: dict[int, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
    for call in seen.calls:
        if call.operator in networks and not call.roaming and not (national and call.abroad):
            ways[call.caller // 10_000][is_wrong(call)].add(call.caller)
    campaign = {call.caller // 10_000 for call in seen.campaign}
    for mine, color, label in ((False, QUIET, "ordinary blocks"), (True, ATTACK, "blocks of the campaign")):
        found = [way for block, way in sorted(ways.items()) if (block in campaign) is mine]
        counted = Counter((len(right), len(wrong)) for right, wrong in found)
        points = list(counted)
        dots(axes, [right for right, _ in points], [wrong for _, wrong in points], color, label, size=5.0)
    axes.set(
        xlabel="numbers of the block that call from their own network"
        if national
        else "numbers that call at home",
        ylabel="from another network" if national else "from abroad, not roaming",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="best")


def neighbour(figure: Figure) -> None:
    """Leading digits that caller and callee share, on the trunk of the campaign and on all others."""
    seen = attacked("neighbour", calls=120, minutes=4.0)
    trunk = seen.campaign[0].trunk
    axes = figure.subplots()
    for mine, color, label, shift in ((False, QUIET, "all other trunks", -0.2), (True, ATTACK, trunk, 0.2)):
        calls = [
            call
            for call in seen.calls
            if (call.trunk == trunk) is mine and min(call.caller, call.callee) > 10**11
        ]
        counted = Counter(shared_digits(call.caller, call.callee) for call in calls)
        shares = [100 * counted[n] / max(len(calls), 1) for n in range(9)]
        axes.bar([n + shift for n in range(9)], shares, 0.4, color=color, label=label)
    axes.set(
        xlabel="leading digits after the country code that caller and callee share", ylabel="% of the calls"
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left")


def clone(figure: Figure) -> None:
    """Calls of the cloned number, by the network that sent them."""
    seen = attacked("clone", calls=30, minutes=4.0, at=6.0)
    number = seen.campaign[0].caller
    calls = of_caller(seen.calls, number)
    own = next((call.operator for call in calls), "")
    networks = sorted({call.network for call in calls}, key=lambda name: (name != own, name))
    axes = figure.subplots()
    for mine, color, label in ((False, FINE, "the subscriber"), (True, ATTACK, "the clone")):
        for n, call in enumerate(call for call in calls if bool(call.campaign) is mine):
            lasts = max((call.ring_ms + call.talk_ms) / 60_000, 0.03)
            row = networks.index(call.network)
            axes.barh(row, lasts, 0.5, seen.minutes(call), color=color, label="" if n else label)
    axes.set_yticks(range(len(networks)), [f"{name} (its own)" if name == own else name for name in networks])
    axes.set(xlabel=MINUTES, ylabel="network that sent the call")
    moments(axes, seen)


def policy(figure: Figure) -> None:
    """Share of people who refuse marketing among the callees of each caller."""
    seen = attacked("policy", calls=60, minutes=6.0)
    axes = figure.subplots()
    callers = {call.caller for call in seen.campaign}
    for mine, color, label in ((False, QUIET, "other callers"), (True, ATTACK, "the campaign")):
        points = []
        for caller, calls in by_caller(seen.calls, 8).items():
            if (caller in callers) is mine:
                callees = {call.callee for call in calls}
                points.append((len(callees), 100 * len(callees & seen.refusers) / len(callees)))
        dots(axes, [x for x, _ in points], [y for _, y in points], color, label, size=5.0)
    axes.set(xlabel="different callees of the caller", ylabel="% of them who refuse marketing")
    axes.legend(loc="best")


def behaviour(figure: Figure) -> None:
    """Two ratios of every caller that calls enough to be judged."""
    seen = attacked("behaviour", calls=80, minutes=12.0)
    _ratios(figure.subplots(), seen)


def reputation(figure: Figure) -> None:
    """The same ratios, of which the verdicts of analysts teach what abuse looks like."""
    seen = attacked("behaviour", detector="reputation", calls=80, minutes=12.0, seed=5)
    _ratios(figure.subplots(), seen)


def _ratios(axes: Axes, seen: Scene) -> None:
    callers = {call.caller for call in seen.campaign}
    for mine, color, label in ((False, QUIET, "other callers"), (True, ATTACK, "the campaign")):
        points = []
        for caller, calls in by_caller(seen.calls, 8).items():
            ended = [call for call in calls if call.ended]
            if (caller in callers) is mine and ended:
                talks = sum(call.outcome == "talk" for call in ended)
                points.append((talks / len(ended), len({call.callee for call in calls}) / len(calls)))
        dots(axes, [100 * x for x, _ in points], [100 * y for _, y in points], color, label, size=5.0)
    axes.set(xlabel="% of the calls that become talk", ylabel="% of the calls to a callee not called before")
    axes.legend(loc="lower right")


def profile(figure: Figure) -> None:
    """Calls and answers of one trunk, with what is usual on it."""
    seen = attacked("profile", calls=700, minutes=3.0, at=22.0, last=27.0, calls_per_second=90.0)
    trunk = seen.campaign[0].trunk
    calls = [call for call in seen.calls if call.trunk == trunk]
    bins = np.arange(-14.0, 4.0, 0.25)
    place = np.digitize([seen.minutes(call) for call in calls], bins) - 1
    attempts = np.array([(place == n).sum() for n in range(len(bins) - 1)])
    answered = np.array(
        [sum(c.answered for c, p in zip(calls, place, strict=True) if p == n) for n in range(len(bins) - 1)]
    )
    before = bins[:-1] < 0
    rows = (
        ("calls a second", attempts / 15.0),
        ("answer-seizure ratio, %", 100.0 * answered / np.maximum(attempts, 1)),
    )
    upper, lower = figure.subplots(2, sharex=True)
    for axes, (label, values) in zip((upper, lower), rows, strict=True):
        axes.step(bins[:-1], values, where="post", color=ATTACK, linewidth=1.2, label=trunk)
        axes.axhline(float(np.median(values[before])), color=FINE, linewidth=1.0, label="usual")
        axes.set(ylabel=label, ylim=(0, None))
    moments(upper, seen)
    moments(lower, seen, legend=False)
    lower.set_xlabel(MINUTES)


MINUTES = "minutes since the campaign's first call"
PICTURES: dict[str, Callable[[Figure], None]] = {
    draw.__name__: draw
    for draw in (
        burst,
        sweep,
        wangiri,
        rotation,
        flood,
        unallocated,
        misrouted,
        foreign_gateway,
        neighbour,
        clone,
        policy,
        behaviour,
        reputation,
        profile,
    )
}
SEEDS = dict.fromkeys(PICTURES, 1) | {
    "burst": 8,
    "sweep": 1,
    "wangiri": 5,
    "rotation": 2,
    "flood": 5,
    "unallocated": 5,
    "misrouted": 7,
    "foreign_gateway": 6,
    "clone": 4,
}
"""A campaign of each kind that shows what is usual for it."""


def attacked(
    kind: str,
    *,
    calls: int,
    minutes: float,
    detector: str = "",
    at: float = 5.0,
    last: float = 0.0,
    seed: int = 0,
    calls_per_second: float = 25.0,
    dominant: str = "",
) -> Scene:
    """A scenario with one campaign from minute ``at`` on, until ``last`` or soon after the campaign."""
    attack = AttackSpec(kind, campaigns=1, calls=calls, minutes=minutes, at=at)
    return scene(
        detector or kind,
        Scenario(
            seed=seed or SEEDS[kind],
            minutes=last or at + minutes + 1.5,
            calls_per_second=calls_per_second,
            attacks=[attack],
            dominant=dominant,
        ),
    )


def moments(axes: Axes, seen: Scene, legend: bool = True) -> None:
    """Vertical lines where the detector spoke and where a rule was issued."""
    for time, style, label in ((seen.alert, "--", "alert"), (seen.rule, "-", "rule")):
        if time is not None:
            axes.axvline(seen.since(time), color=INK, linestyle=style, linewidth=1.2, label=label)
    if legend:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def dots(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    color: str,
    label: str,
    marker: str = "o",
    size: float = 3.0,
) -> None:
    """At most DOTS points of the series; none where it is empty."""
    if len(x) == 0:
        return
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), DOTS)).round().astype(int))
    axes.plot(
        np.asarray(x)[kept],
        np.asarray(y)[kept],
        marker,
        color=color,
        markersize=size,
        markeredgewidth=0,
        label=label or None,
    )


def times(seen: Scene, calls: Iterable[Call]) -> list[float]:
    return [seen.minutes(call) for call in calls]


def of_caller(calls: Iterable[Call], caller: int) -> list[Call]:
    return [call for call in calls if call.caller == caller]


def busiest(calls: Iterable[Call]) -> int:
    """The caller with the most calls, of several the one that called first."""
    return Counter(call.caller for call in calls if call.caller > 0).most_common(1)[0][0]


def by_caller(calls: Iterable[Call], least: int) -> dict[int, list[Call]]:
    """Calls of every number that made at least so many."""
    found: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        if call.caller > 0:
            found[call.caller].append(call)
    return {caller: each for caller, each in found.items() if len(each) >= least}


def shared_digits(caller: int, callee: int) -> int:
    """Leading digits after the country code of China that two numbers share, at most eight counted."""
    shared = 0
    for a, b in _digits(caller, callee):
        if a != b or shared == 8:
            break
        shared += 1
    return shared


def _digits(caller: int, callee: int) -> Iterator[tuple[str, str]]:
    yield from zip(str(caller)[2:], str(callee)[2:], strict=False)


def svg(name: str) -> str:
    """The picture of detector ``name``."""
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        PICTURES[name](figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--out", type=Path, default=PAGES)
    given = parser.parse_args()
    for unknown in set(given.names) - set(PICTURES):
        parser.error(f"no picture is called {unknown!r}; there are: {', '.join(PICTURES)}")
    with_page = [name for name in PICTURES if (PAGES / f"{name}.md").exists()]
    for name in given.names or with_page:
        file = given.out / f"{name}.svg"
        file.write_text(svg(name), encoding="utf-8")
        print(f"{file}: {file.stat().st_size:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
