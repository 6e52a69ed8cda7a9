"""Events a second from `calls` to `block-rules`, and how long a rule takes: all on this machine's cores.

    python -m bench.end_to_end [--rates 10000,20000,…] [--seconds N] [--store clickhouse|none]

Apache Kafka, a ClickHouse server, the source of traffic (`bench.load`), this observer and the workers share
the cores. After a minute of warming up (Java compiles Kafka while it works, which takes half a core) each
rate is held for ``seconds``, of which the first ten are not counted. The time of a rule is
from the event time of the call that made its alert strong enough for a rule, to the moment an observer has
the rule from `block-rules`; event times are when a call is due, so a source that is late counts. The curve
ends with the first rate that does not hold: p99 over a second, or work left over.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from kafka import KafkaConsumer, TopicPartition

from bench.cold_start import TICKS, answers, cpu_seconds
from bench.report import row_of, write_results
from config.settings import KafkaSettings, Settings
from streams.chaos.logs import behind
from streams.embedded.child import free_port
from streams.topics import ensure_topics
from tests.servers import KafkaServer, clickhouse_server, kafka_server

PARTITIONS = 2
WARM_UP_RATE, WARM_UP_S = 20_000, 60.0
SETTLE_S = 10.0
SUSTAINED_BEHIND_S = {"ingest": 1.0, "detect": 1.0, "store": 3.0}
"""Of traffic that may wait when a rate's time is over; more, and the rate did not hold. The store is not on
the way to a rule, and commits when ClickHouse has a batch."""
TRIES, MOST_STOLEN = 3, 0.1
"""A rate is held again, up to so often, where the host of this virtual machine took more cores than that
meanwhile; the try with least stolen counts."""
DRAIN_S = 60.0
GIVE_UP_S = 8.0
"""A rate at which p99 is longer is the last one."""
STRONG = ("high", "critical")
GROUPS = {"ingest": ("calls",), "detect": ("frames",), "store": ("frames", "summaries")}
NOT_OURS = ("kafka", "clickhouse", "source", "observer")
WORKERS = {"ingest": ("ingest",), "detect": ("detect",), "the rest": ("profile", "respond", "store")}


def machine_seconds() -> tuple[float, float]:
    """CPU seconds of everything on this machine so far, and those that its host took away from it."""
    user, nice, system, _idle, _waiting, interrupt, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + interrupt + softirq) / TICKS, steal / TICKS


class Observer(threading.Thread):
    """Reads `alerts` and `block-rules` as they come: when each rule was first seen, after which event."""

    def __init__(self, brokers: str) -> None:
        super().__init__(daemon=True)
        self._consumer = KafkaConsumer(bootstrap_servers=brokers, fetch_max_wait_ms=20)
        self._consumer.assign([TopicPartition("alerts", 0), TopicPartition("block-rules", 0)])
        self._consumer.seek_to_end()
        self._strong: dict[str, tuple[int, int]] = {}
        """Event time and time of the record, ms, of the first version of an alert that can give a rule."""
        self._seen: set[str] = set()
        self.taken: list[tuple[float, float, float]] = []
        """When a rule was seen, s since the epoch; how long after its event, and its alert after that, s."""

    def run(self) -> None:
        while True:
            polled = self._consumer.poll(timeout_ms=50)
            now = time.time()
            for partition in sorted(polled, key=lambda each: str(each.topic)):
                for record in polled[partition]:
                    (self._alert if partition.topic == "alerts" else self._rule)(record, now)

    def _alert(self, record: Any, _now: float) -> None:
        alert = orjson.loads(record.value)
        if alert["severity"] in STRONG:
            self._strong.setdefault(alert["alert_id"], (alert["last_seen"], record.timestamp))

    def _rule(self, record: Any, now: float) -> None:
        rule = orjson.loads(record.value) if record.value else None
        if rule is None or rule["rule_id"] in self._seen:
            return
        self._seen.add(rule["rule_id"])
        since = [self._strong[alert] for alert in rule["alert_ids"] if alert in self._strong]
        if since:
            event, alerted = min(since)
            self.taken.append((now, now - event / 1000, (alerted - event) / 1000))


@dataclass
class Step:
    """What one rate gave."""

    rate: int
    sent: float
    source_behind: float
    latencies: list[float]
    alerted: list[float]
    """Of the same, how long until the alert was sent."""
    waiting: dict[str, int]
    shares: dict[str, float] = field(default_factory=dict)
    """Cores that each process used."""
    others: float = 0.0
    """Cores that the machine's other work used meanwhile."""
    stolen: float = 0.0
    """Cores that the host of this virtual machine gave to others."""

    def percentile(self, p: float) -> float:
        return float(np.percentile(self.latencies, p)) if self.latencies else float("nan")

    @property
    def service_cores(self) -> float:
        """Cores that the service itself used: without broker, store, source and observer."""
        return sum(share for name, share in self.shares.items() if name not in NOT_OURS)

    @property
    def holds(self) -> bool:
        late = any(count > SUSTAINED_BEHIND_S[who] * self.rate for who, count in self.waiting.items())
        return not late and self.source_behind < 1 and self.percentile(99) < 1


class Rig:
    """The processes, and what has been sent so far."""

    def __init__(self, kafka: KafkaServer, url: str, directory: Path, workers: dict[str, tuple[str, ...]]):
        self.kafka = kafka
        self.pids = {"kafka": kafka.pid, "observer": os.getpid()}
        self._first, self._marked = 10_000_000_000, 0
        self._directory = directory
        self._environment = {
            **os.environ,
            "RINGFENCE_KAFKA__BROKERS": kafka.brokers,
            "RINGFENCE_KAFKA__PARTITIONS": str(PARTITIONS),
            "RINGFENCE_RESPOND__MODE": "enforce",
            "RINGFENCE_DETECT__TRACKED_NUMBERS": str(1 << 20),
            "RINGFENCE_STORE__URL": url,
            "PYTHONPYCACHEPREFIX": str(directory / "python"),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        self._workers = [self._start(name, roles) for name, roles in workers.items()]

    def _start(self, name: str, roles: tuple[str, ...]) -> tuple[subprocess.Popen[bytes], int]:
        port = free_port()
        log = (self._directory / f"{name}.log").open("wb")
        worker = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "run", *roles],
            env={**self._environment, "RINGFENCE_SERVICE__PORT": str(port)},
            stdout=log,
            stderr=log,
        )
        self.pids[name] = worker.pid
        return worker, port

    def wait_until_ready(self) -> None:
        for worker, port in self._workers:
            while not answers(port):
                if worker.poll() is not None:
                    raise SystemExit(f"a worker ended; see {self._directory}")
                time.sleep(0.2)

    def stop(self) -> None:
        for worker, _ in self._workers:
            worker.terminate()
        for worker, _ in self._workers:
            worker.wait(60)

    def held(self, rate: int, seconds: float, observer: Observer) -> Step:
        """The try at ``rate`` during which the host took least."""
        tries: list[Step] = []
        while len(tries) < TRIES and all(each.stolen > MOST_STOLEN for each in tries):
            self._drain(rate)
            tries.append(self.hold(rate, seconds, observer))
            print(f"{rate}: {tries[-1].stolen:.2f} cores stolen", file=sys.stderr, flush=True)
        return min(tries, key=lambda each: each.stolen)

    def _drain(self, rate: int) -> None:
        """Waits until nothing of an earlier try is left, at most `DRAIN_S`."""
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline and any(
            self._waiting(name, rate, topics) for name, topics in GROUPS.items()
        ):
            time.sleep(1)

    def hold(self, rate: int, seconds: float, observer: Observer) -> Step:
        """``rate`` events a second for ``seconds``, what came of it after SETTLE_S."""
        source = subprocess.Popen(
            [sys.executable, "-m", "bench.load", "--brokers", self.kafka.brokers, "--rate", str(rate),
             "--seconds", str(seconds), "--partitions", str(PARTITIONS),
             "--first", str(self._first), "--marked", str(self._marked)],
            env=self._environment, stdout=subprocess.PIPE,
        )  # fmt: skip
        pids = {**self.pids, "source": source.pid}
        time.sleep(SETTLE_S)
        began = time.time()
        before, (busy, stolen) = {name: cpu_seconds(pid) for name, pid in pids.items()}, machine_seconds()
        time.sleep(max(0.0, seconds - SETTLE_S - 1))
        ended = time.time()
        shares = {name: (cpu_seconds(pid) - before[name]) / (ended - began) for name, pid in pids.items()}
        busy_now, stolen_now = machine_seconds()
        others = (busy_now - busy) / (ended - began) - sum(shares.values())
        stolen = (stolen_now - stolen) / (ended - began)
        waiting = {name: self._waiting(name, rate, topics) for name, topics in GROUPS.items()}
        told = (source.communicate()[0] or b"").split()
        first, marked = int(told[0]), int(told[1])
        sent = (2 * (first - self._first) + 120 * (marked - self._marked)) / seconds
        self._first, self._marked = first, marked
        time.sleep(2)
        taken = [each for each in observer.taken if began <= each[0] - each[1] <= ended]
        latencies, alerted = [each[1] for each in taken], [each[2] for each in taken]
        return Step(rate, sent, float(told[2]), latencies, alerted, waiting, shares, others, stolen)

    def _waiting(self, group: str, rate: int, topics: tuple[str, ...]) -> int:
        """Events that wait for a group, about: commits are a second old at the most, which is not waiting."""
        source = KafkaConsumer(bootstrap_servers=self.kafka.brokers)
        partitions = [TopicPartition(topics[0], each) for each in range(PARTITIONS)]
        made = sum(source.end_offsets(partitions).values())
        source.close()
        left = behind(self.kafka.brokers, f"ringfence-{group}", topics[:1])
        events = (self._first - 10_000_000_000) * 2
        a_record = 200 if topics[0] == "calls" else max(1.0, events / max(made, 1))
        return max(0, round(left * a_record - 1.5 * rate))


@contextlib.contextmanager
def store(kind: str) -> Iterator[tuple[str, dict[str, int]]]:
    if kind == "none":
        yield "", {}
        return
    with clickhouse_server() as server:
        yield server.url, {"clickhouse": server.pid}


def rows_of(step: Step) -> list[dict[str, Any]]:
    name = f"at {step.rate:,} events/s".replace(",", " ")
    figures = [(f"event to rule, {p_name}, {name}", "s", step.percentile(p)) for p_name, p in
               (("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9))]  # fmt: skip
    figures.append((f"of it event to alert, p50, {name}", "s", float(np.median(step.alerted or [np.nan]))))
    figures.append((f"rules seen, {name}", "rules", float(len(step.latencies))))
    figures.append((f"sent, {name}", "events/s", step.sent))
    figures += [(f"cores used by {who}, {name}", "cores", share) for who, share in step.shares.items()]
    figures.append((f"cores used by other work, {name}", "cores", step.others))
    figures.append((f"cores stolen by the host, {name}", "cores", step.stolen))
    figures += [(f"waiting for {who}, {name}", "events", float(count)) for who, count in step.waiting.items()]
    return [row(metric, unit, value) for metric, unit, value in figures]


def row(metric: str, unit: str, value: float) -> dict[str, Any]:
    return row_of(metric, unit, [value], digits=3)


def curve(steps: list[Step]) -> str:
    """The table a person reads first."""
    names = list(steps[0].shares)
    heads = ["events/s", "sent", "to alert s", "p50 s", "p99 s", "p99.9 s", "rules", "source late s", "holds"]
    heads += [*names, "others", "stolen"]
    lines = [f"| {' | '.join(heads)} |", "|" + " ---: |" * len(heads)]
    for step in steps:
        cells = [f"{step.rate:,}", f"{step.sent:,.0f}", f"{float(np.median(step.alerted or [np.nan])):.2f}"]
        cells += [f"{step.percentile(p):.2f}" for p in (50, 99, 99.9)]
        cells += [f"{len(step.latencies)}", f"{step.source_behind:.2f}", "yes" if step.holds else "no"]
        cells += [f"{step.shares[name]:.2f}" for name in names]
        lines.append(f"| {' | '.join(cells)} | {step.others:.2f} | {step.stolen:.2f} |")
    note = "Processes: cores used, of two. Others: what had nothing to do with this; stolen: what the host\n"
    note += "of this virtual machine gave to others. Both took cores from it."
    return "\n".join(lines) + "\n\n" + note


def measured(asked: argparse.Namespace, directory: Path) -> list[Step]:
    workers = WORKERS if asked.store != "none" else WORKERS | {"the rest": ("profile", "respond")}
    if asked.one:
        workers = {"ringfence": tuple(role for roles in workers.values() for role in roles)}
    steps: list[Step] = []
    with kafka_server() as kafka, store(asked.store) as (url, servers):
        ensure_topics(Settings(kafka=KafkaSettings(brokers=kafka.brokers, partitions=PARTITIONS)))
        rig = Rig(kafka, url, directory, workers)
        rig.pids |= servers
        try:
            rig.wait_until_ready()
            observer = Observer(kafka.brokers)
            observer.start()
            rig.hold(WARM_UP_RATE, WARM_UP_S, observer)
            for rate in map(int, asked.rates.split(",")):
                steps.append(rig.held(rate, asked.seconds, observer))
                print(curve(steps), file=sys.stderr, flush=True)
                print(steps[-1].waiting, file=sys.stderr, flush=True)
                if not steps[-1].percentile(99) < GIVE_UP_S:
                    break
        finally:
            rig.stop()
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", default="5000,10000,20000,30000,40000,50000,60000,80000")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each rate")
    parser.add_argument("--store", choices=["clickhouse", "none"], default="clickhouse")
    parser.add_argument("--one", action="store_true", help="all roles in one process")
    parser.add_argument("--name", default="end_to_end", help="of the results")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        steps = measured(asked, Path(temporary))
    rows = [each for step in steps for each in rows_of(step)]
    best = max((step for step in steps if step.holds), key=lambda step: step.rate, default=None)
    rows.insert(0, row("highest rate that held", "events/s", best.rate if best else 0))
    if best is not None:
        rows[1:1] = [
            row("cores that the service used then", "cores", best.service_cores),
            row("rate that two cores of it are worth", "events/s", 2 * best.rate / best.service_cores),
        ]
    parameters = {**vars(asked), "partitions": PARTITIONS, "events_a_message": 200}
    print(write_results(asked.name, parameters, rows, lead=curve(steps)))


if __name__ == "__main__":
    main()
