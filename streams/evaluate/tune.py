"""Thresholds from recorded traffic: what each detector would have blocked at each of some odds.

Detectors hardly depend on each other, and every blocked call names the rule that blocked it and so a
detector. One replay at each level of odds, the same for all detectors, therefore tells each detector's calls
blocked and wrongly blocked at that level. From these the levels are chosen together, and one more replay at
the chosen levels shows what they do together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from config.settings import Settings
from streams.evaluate.figures import Evaluation

LEVELS = (100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 100_000.0, 10_000_000.0)
"""Odds to one at which a rule is proposed."""
LOWER_ODDS = ("notable_odds", "medium_odds", "suspect_odds")
"""Settings of the odds for a medium alert, which are below those for a rule."""
NEVER = None
"""Instead of a level: the detector reports and blocks nothing."""

Level = float | None


class Outcome(NamedTuple):
    """What one detector's rules did at one level."""

    blocked: int
    """Calls of campaigns."""
    wrongly: int


class Choice(NamedTuple):
    detector: str
    now: Level
    proposed: Level
    by_level: Mapping[float, Outcome]

    @property
    def changed(self) -> bool:
        return self.now != self.proposed


class Tuning(NamedTuple):
    """``before`` under the settings as they are, ``after`` under the proposed ones."""

    choices: list[Choice]
    before: Evaluation
    after: Evaluation
    allowed: int
    """Legitimate calls that all rules together may block."""

    @property
    def holds(self) -> bool:
        """Whether the proposal keeps to what is allowed, in the replay under it."""
        return self.after.overall.wrongly_blocked <= self.allowed


def tunable(settings: Settings) -> list[str]:
    """The detectors that can block and have odds."""
    return [
        name
        for name in type(settings.detectors).model_fields
        if hasattr(getattr(settings.detectors, name), "odds")
        and getattr(settings.detectors, name).mode != "off"
    ]


def with_levels(settings: Settings, levels: Mapping[str, Level]) -> Settings:
    """``settings`` with these odds; a detector at `NEVER` only reports."""
    changed = {}
    for name, level in levels.items():
        section = getattr(settings.detectors, name)
        update: dict[str, object] = {"mode": "report"} if level is NEVER else {"odds": level}
        for lower in LOWER_ODDS:
            held = getattr(section, lower, None)
            if level is not NEVER and held is not None and held >= level:
                update[lower] = level / 2
        changed[name] = section.model_copy(update=update)
    detectors = settings.detectors.model_copy(update=changed)
    return settings.model_copy(update={"detectors": detectors})


def tune(
    settings: Settings,
    names: Sequence[str],
    most_wrong: int,
    run: Callable[[Settings], Evaluation],
    told: Callable[[str], None] = lambda _: None,
) -> Tuning:
    """Proposes odds for the detectors ``names`` so that at most ``most_wrong`` legitimate calls are blocked.

    ``run`` replays the recorded traffic under the settings it is given and judges; it is called once for
    each level, once before and once or a few times after.
    """
    told("as it is")
    before = run(settings)
    by_detector: dict[str, dict[float, Outcome]] = {name: {} for name in names}
    for level in LEVELS:
        told(f"odds of {level:,.0f} to 1")
        found = run(with_levels(settings, dict.fromkeys(names, level)))
        outcomes = {each.detector: Outcome(each.blocked, each.wrongly_blocked) for each in found.detectors}
        for name in names:
            by_detector[name][level] = outcomes.get(name, Outcome(0, 0))
    others = sum(each.wrongly_blocked for each in before.detectors if each.detector not in names)
    levels = choose(by_detector, most_wrong - others)
    told("as proposed")
    after = run(with_levels(settings, levels))
    while after.overall.wrongly_blocked > most_wrong and any(level is not NEVER for level in levels.values()):
        levels = stricter(levels, after)
        told("as proposed, stricter")
        after = run(with_levels(settings, levels))
    choices = [Choice(name, _now(settings, name), levels[name], by_detector[name]) for name in names]
    return Tuning(choices, before, after, most_wrong)


def choose(by_detector: Mapping[str, Mapping[float, Outcome]], most_wrong: int) -> dict[str, Level]:
    """A level for each detector: from the strictest on, the step that blocks most malicious calls for each
    legitimate one, as long as all together stay within ``most_wrong``. Steps that cost nothing are all taken.
    """
    levels: dict[str, Level] = dict.fromkeys(by_detector, NEVER)
    wrong = 0
    while True:
        steps = []
        for name, level in levels.items():
            held = Outcome(0, 0) if level is NEVER else by_detector[name][level]
            for easier, outcome in by_detector[name].items():
                gain, cost = outcome.blocked - held.blocked, outcome.wrongly - held.wrongly
                looser = level is NEVER or easier < level
                if looser and gain > 0 and wrong + cost <= most_wrong:
                    steps.append(
                        (-(gain / cost) if cost > 0 else float("-inf"), -gain, -easier, name, easier)
                    )
        if not steps:
            return levels
        *_, name, easier = min(steps)
        before = levels[name]
        wrong += by_detector[name][easier].wrongly
        wrong -= 0 if before is NEVER else by_detector[name][before].wrongly
        levels[name] = easier


def stricter(levels: Mapping[str, Level], found: Evaluation) -> dict[str, Level]:
    """The detector that blocked most legitimate calls goes up by one level."""
    wrongly = {each.detector: each.wrongly_blocked for each in found.detectors}
    open_ = [name for name, level in levels.items() if level is not NEVER]
    worst = max(open_, key=lambda name: (wrongly.get(name, 0), name))
    higher = [level for level in LEVELS if level > (levels[worst] or 0.0)]
    return {**levels, worst: higher[0] if higher else NEVER}


def _now(settings: Settings, name: str) -> Level:
    section = getattr(settings.detectors, name)
    return float(section.odds) if section.mode == "enforce" else NEVER
