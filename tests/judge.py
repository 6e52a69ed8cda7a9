"""What rules would have done to the calls they came from: each acts a second after it was issued."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from detectors.calls import spell
from detectors.numbering import Normaliser
from detectors.plan import NumberingPlan
from streams.simulate import SimulatedEvent
from streams.switches.rulebook import RuleBook
from streams.wire.records import RuleChange

REACTION_MS = 1_000
"""From the moment a rule is issued until switches act on it."""


@dataclass
class Verdicts:
    """Calls by campaign ("" for legitimate ones), and of those the blocked."""

    calls: Counter[str] = field(default_factory=Counter)
    blocked: Counter[str] = field(default_factory=Counter)
    wrongly: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    """Legitimate calls that were blocked, with the reason of the rule."""


def judge(
    events: Iterable[SimulatedEvent], changes: Iterable[RuleChange], plan: NumberingPlan, country: int = 86
) -> Verdicts:
    """Plays ``events`` against ``changes`` (both in order of time)."""
    normalise = Normaliser(country, plan)
    book = RuleBook(country)
    waiting = iter(sorted(changes, key=lambda change: change.at))
    pending = next(waiting, None)
    verdicts = Verdicts()
    seen: set[str] = set()
    for simulated in events:
        event = simulated.event
        while pending is not None and pending.at + REACTION_MS <= event["time"]:
            if pending.rule is None:
                book.remove(pending.rule_id)
            else:
                book.add(pending.rule)
            pending = next(waiting, None)
        if event["type"] == "end" or event["call_id"] in seen:
            continue
        seen.add(event["call_id"])
        verdicts.calls[simulated.campaign] += 1
        caller = normalise.number(event["caller"], event.get("caller_noa"), event.get("presentation"))
        callee = normalise.number(event["callee"], event.get("callee_noa"), None)
        decision = book.decide(
            spell(caller.number, caller.text),
            spell(callee.number, callee.text),
            event.get("trunk", ""),
            event.get("from_network", ""),
            event.get("gateway", "national"),
            event["time"],
        )
        if decision is not None:
            verdicts.blocked[simulated.campaign] += 1
            if not simulated.campaign:
                verdicts.wrongly.append((event, decision.reason))
    return verdicts
