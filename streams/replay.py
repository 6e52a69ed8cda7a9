"""Recorded calls through the whole pipeline without a broker: files in, alerts and rules out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import orjson

from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.faults import Usage
from streams.pipeline import Happened, Pipeline
from streams.wire.records import BlockRule, ListEntry, RuleChange, SourceRecord, decode, encode

ALERTS = "alerts.ndjson"
CAMPAIGNS = "campaigns.ndjson"
RULES = "block-rules.ndjson"
REJECTED = "rejected.ndjson"
SUMMARY = "summary.json"


def replay(
    records: Iterable[SourceRecord],
    out: Path | None,
    settings: Settings,
    plan: NumberingPlan,
    lists: Iterable[ListEntry] = (),
    watch: Callable[[Happened], None] = lambda _: None,
) -> dict[str, Any]:
    """Run ``records`` through a new `Pipeline`; the summary. What happened goes to directory ``out``, if any.

    Files: ``alerts.ndjson``, ``campaigns.ndjson`` and ``block-rules.ndjson`` (every version in order; a
    rule's end is a line with ``rule_id``, ``tombstone``, ``at`` and ``why``), ``rejected.ndjson``,
    ``summary.json``. ``lists`` are known before the first record; ``watch`` sees all that happens. Memory
    does not grow with the input. Raises ``OSError`` where ``out`` cannot be written, Usage for an entry of a
    list that is refused.
    """
    pipeline = Pipeline(settings, plan)
    learn(pipeline, lists)
    counts = Counts()
    started = time.perf_counter()
    with ExitStack() as stack:
        files = _opened(out, stack) if out is not None else {}
        for record in records:
            happened = pipeline.feed([record])
            counts.add(happened)
            if files:
                _write(happened, files)
            watch(happened)
    summary = counts.summary(pipeline, time.perf_counter() - started)
    if out is not None:
        (out / SUMMARY).write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
    return summary


def learn(pipeline: Pipeline, lists: Iterable[ListEntry]) -> None:
    """Tells a new pipeline what is on the lists. Raises Usage for an entry that is refused."""
    for entry in lists:
        pipeline.listed(entry.entry_id, entry, 0)
    if pipeline.respond.refused:
        refusal = pipeline.respond.refused[0]
        raise Usage(
            f"list entry {refusal.subject_id}: {refusal.message}", "correct the entry, or leave it out"
        )


class Counts:
    """What a replay's summary says of alerts and rules, bounded by their number."""

    def __init__(self) -> None:
        self._alerts: dict[str, tuple[str, str]] = {}
        self._issued: dict[str, str] = {}
        self._modes: Counter[str] = Counter()
        self._campaigns: set[str] = set()
        self._ended = 0

    def add(self, happened: Happened) -> None:
        for alert in happened.alerts:
            self._alerts[alert.alert_id] = (alert.detector, alert.severity)
        self._campaigns.update(campaign.campaign_id for campaign in happened.campaigns)
        for change in happened.changes:
            if change.rule is None:
                self._ended += 1
            elif change.rule_id not in self._issued:
                self._issued[change.rule_id] = change.rule.detector
                self._modes[change.rule.mode] += 1

    def summary(self, pipeline: Pipeline, seconds: float) -> dict[str, Any]:
        totals = pipeline.totals
        return {
            "events": totals.events,
            "rejected": _tally(totals.rejected.elements()),
            "duplicates": totals.duplicates,
            "late": totals.late,
            "evicted": totals.evicted,
            "newest_event": totals.newest,
            "alerts": _tally(detector for detector, _ in self._alerts.values()),
            "alerts_by_severity": _tally(severity for _, severity in self._alerts.values()),
            "campaigns": len(self._campaigns),
            "rules": _tally(self._issued.values()),
            "rules_by_mode": _tally(self._modes.elements()),
            "rules_ended": self._ended,
            "rules_live": len(pipeline.respond.rules),
            "seconds": round(seconds, 3),
            "events_per_second": round(totals.events / seconds) if seconds else 0,
        }


def _tally(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _opened(out: Path, stack: ExitStack) -> dict[str, BinaryIO]:
    out.mkdir(parents=True, exist_ok=True)
    return {
        name: stack.enter_context((out / name).open("wb")) for name in (ALERTS, CAMPAIGNS, RULES, REJECTED)
    }


def _write(happened: Happened, files: Mapping[str, BinaryIO]) -> None:
    files[ALERTS].writelines(_lines(happened.alerts))
    files[CAMPAIGNS].writelines(_lines(happened.campaigns))
    files[RULES].writelines(_rule_line(change) + b"\n" for change in happened.changes)
    files[REJECTED].writelines(_lines(happened.rejected))


def _lines(records: Iterable[msgspec.Struct]) -> Iterator[bytes]:
    return (encode(record) + b"\n" for record in records)


def _rule_line(change: RuleChange) -> bytes:
    if change.rule is not None:
        return encode(change.rule)
    return orjson.dumps({"rule_id": change.rule_id, "tombstone": True, "at": change.at, "why": change.why})


def rule_change_of(line: bytes) -> RuleChange:
    """A line of ``block-rules.ndjson`` read back. Raises ``msgspec.MsgspecError`` or ``KeyError``."""
    record = msgspec.json.decode(line)
    if record.get("tombstone"):
        return RuleChange(record["rule_id"], None, record["at"], record["why"])
    rule = decode(line, BlockRule)
    return RuleChange(rule.rule_id, rule, rule.issued_at)
