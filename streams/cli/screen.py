"""The demo's one screen: calls per second, alerts as they come, rules as they come and go."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from detectors.alert import Alert, Match
from streams.wire.records import BlockRule, RuleChange
from streams.wire.summaries import Summary

SECONDS_KEPT = 60
ALERTS_SHOWN = 10
RULES_SHOWN = 10
BARS = "▁▂▃▄▅▆▇█"
COLOURS = {"info": "dim", "low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}


@dataclass
class Seen:
    """What came out of the pipeline so far; bounded by what a demo can hold."""

    calls: int = 0
    newest: int = 0
    per_second: OrderedDict[int, int] = field(default_factory=OrderedDict)
    alerts: OrderedDict[str, Alert] = field(default_factory=OrderedDict)
    rules: dict[str, BlockRule] = field(default_factory=dict)
    issued: set[str] = field(default_factory=set)
    ended: int = 0
    changes: deque[RuleChange] = field(default_factory=lambda: deque(maxlen=RULES_SHOWN))

    def summary(self, summary: Summary) -> None:
        self.newest = max(self.newest, summary.newest)
        for row in summary.rows():
            self.calls += row.attempts
            self.per_second[row.second] = self.per_second.get(row.second, 0) + row.attempts
        while len(self.per_second) > SECONDS_KEPT:
            del self.per_second[min(self.per_second)]

    def alert(self, alert: Alert) -> None:
        self.alerts[alert.alert_id] = alert
        self.alerts.move_to_end(alert.alert_id)

    def rule(self, change: RuleChange) -> None:
        self.changes.append(change)
        if change.rule is None:
            self.rules.pop(change.rule_id, None)
            self.ended += 1
        else:
            self.rules[change.rule_id] = change.rule
            self.issued.add(change.rule_id)

    def rate(self) -> float:
        """Attempts a second over the last ten full seconds."""
        full = sorted(self.per_second)[-11:-1]
        return sum(self.per_second[second] for second in full) / len(full) if full else 0.0


def render(seen: Seen, note: str) -> RenderableType:
    return Group(_traffic(seen, note), _alerts(seen), _rules(seen))


def _traffic(seen: Seen, note: str) -> RenderableType:
    counts = [seen.per_second[second] for second in sorted(seen.per_second)[:-1]]
    top = max(counts, default=1) or 1
    bars = "".join(BARS[min(len(BARS) - 1, count * len(BARS) // (top + 1))] for count in counts)
    line = Text.assemble(
        (f"{seen.rate():6.0f} calls/s  ", "bold green"), (bars, "green"), f"  {seen.calls:,} calls  {note}"
    )
    return Panel(line, title="Ringfence", title_align="left")


def _alerts(seen: Seen) -> RenderableType:
    table = Table(expand=True, box=None, show_header=True, header_style="dim")
    for name, width in (("severity", 9), ("detector", 12), ("calls", 6)):
        table.add_column(name, width=width, justify="right" if name == "calls" else "left")
    table.add_column("what is going on", ratio=1, overflow="ellipsis", no_wrap=True)
    for alert in list(reversed(seen.alerts.values()))[:ALERTS_SHOWN]:
        colour = COLOURS[alert.severity]
        table.add_row(Text(alert.severity, colour), alert.detector, str(alert.calls), alert.message)
    return Panel(table, title=f"Alerts ({len(seen.alerts)})", title_align="left")


def _rules(seen: Seen) -> RenderableType:
    table = Table(expand=True, box=None, show_header=True, header_style="dim")
    for name, width in (("", 8), ("mode", 8), ("answer", 8)):
        table.add_column(name, width=width)
    table.add_column("match", ratio=1, overflow="ellipsis", no_wrap=True)
    table.add_column("lives on", width=9, justify="right")
    for change in reversed(seen.changes):
        rule = change.rule
        if rule is None:
            table.add_row(
                Text("ended", "dim"), "", "", Text(f"{change.rule_id[:12]} {change.why}", "dim"), ""
            )
        else:
            left = max(0, rule.expires_at - seen.newest) // 1000
            verb = "issued" if rule.version == 1 else "renewed"
            match = spelled(rule.match)
            table.add_row(Text(verb, "green"), rule.mode, f"SIP {rule.sip_code}", match, f"{left} s")
    title = f"Block rules ({len(seen.rules)} live, {seen.ended} ended)"
    return Panel(table, title=title, title_align="left")


def spelled(match: Match) -> str:
    """A match as a person reads it aloud."""
    parts = (
        ("from", match.caller),
        ("to", match.callee),
        ("on trunk", match.trunk),
        ("sent by", match.network),
        ("at the gateway", match.gateway),
    )
    return " ".join(f"{name} {value}" for name, value in parts if value is not None)
