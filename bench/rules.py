"""Rules at full size, in CPU time: what a decision at a switch costs, what `respond` does with many rules."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.report import row_of, write_results
from config.settings import Settings
from detectors.alert import Alert, BlastRadius, Match, Proposal, Subject, Window
from streams.respond.step import Respond
from streams.switches.rulebook import RuleBook
from streams.wire.records import ListEntry, encode

RULES = 100_000
DECISIONS = 100_000
REPEATS = 5
T0 = 1_750_000_000_000
TTL = 600_000

row = partial(row_of, digits=2)


def main() -> None:
    drawn = random.Random(1)
    matches = [_match(drawn, number) for number in range(RULES)]
    settings = Settings.model_validate({"respond": {"mode": "enforce", "max_rules": RULES}})
    rows = []
    respond, book = Respond(settings), RuleBook()

    issuing = _seconds(lambda: _issue(respond, matches))
    rows.append(row("alerts that issue a rule", "alerts/s", [RULES / issuing]))
    records = [(rule.rule_id, encode(rule)) for rule in respond.rules.values()]
    loading = _seconds(lambda: [book.apply(key, value) for key, value in records])
    rows.append(row("records a switch takes in", "records/s", [len(records) / loading]))

    calls = [_call(drawn, matches) for _ in range(DECISIONS)]
    deciding = [_seconds(lambda: [book.decide(**call, now=T0) for call in calls]) for _ in range(REPEATS)]
    rows.append(row("time of a decision", "us", [seconds / DECISIONS * 1e6 for seconds in deciding]))
    entry = ListEntry("e", "allow", "prefix", "+861990*", "bench", "bench")
    listing = [_seconds(lambda: respond.listed("e", entry, T0)) for _ in range(REPEATS)]
    rows.append(row("an allow entry against all rules", "ms", [seconds * 1e3 for seconds in listing]))
    expiring = _seconds(lambda: respond.advance(T0 + TTL))
    rows.append(row("rules that end at one moment", "rules/s", [RULES / expiring]))
    print(write_results("rules", {"rules": RULES, "decisions": DECISIONS, "repeats": REPEATS}, rows))


def _match(drawn: random.Random, number: int) -> Match:
    caller = f"+86138{number:08}"
    kind = drawn.randrange(4)
    if kind == 0:
        return Match(caller=caller[:-2] + "*", callee=f"+86139{number:08}")
    if kind == 1:
        return Match(caller=caller, trunk=f"T{number % 50}")
    if kind == 2:
        return Match(callee=caller, trunk=f"T{number % 50}")
    return Match(caller=caller)


def _call(drawn: random.Random, matches: list[Match]) -> dict[str, str]:
    number = drawn.randrange(10 * len(matches))
    return {
        "caller": f"+86138{number:08}",
        "callee": f"+86139{drawn.randrange(10**8):08}",
        "trunk": f"T{number % 50}",
        "network": "CM",
        "gateway": "national",
    }


def _issue(respond: Respond, matches: list[Match]) -> None:
    for number, match in enumerate(matches):
        respond.alert(_alert(str(number), match), T0)


def _alert(alert_id: str, match: Match) -> Alert:
    return Alert(
        alert_id=alert_id,
        detector="burst",
        kind="burst",
        severity="high",
        score=0.9,
        subject=Subject("number", "+8613800138000"),
        window=Window(T0 - TTL, T0),
        first_seen=T0,
        last_seen=T0,
        calls=40,
        evidence=[],
        sample_call_ids=[],
        networks=[],
        trunks=[],
        message="40 calls in a minute",
        config_hash="",
        version=1,
        proposals=[Proposal(match, BlastRadius(40, 1, 40))],
    )


def _seconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
