"""One storm from its first call to its verdict."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from config.loading import as_environment, load_settings
from streams.chaos.cluster import Refusing, Server, Worker
from streams.chaos.feed import Feed
from streams.chaos.logs import worked_off
from streams.chaos.schedule import KINDS, ON_A_WORKER, ON_THE_BROKER, Blow, Kind, schedule
from streams.chaos.verdict import Check, Verdict, judge
from streams.faults import Fault
from streams.simulate import AttackSpec, Scenario, SimulatedEvent, traffic
from streams.store.opening import open_store
from streams.topics import ensure_topics, topic_name

ATTACKS = ("burst", "flood", "unallocated", "wangiri", "sweep", "rotation")
ALWAYS = {"respond.mode": "enforce", "store.calls": "true", "detect.snapshot_ms": "5000"}
"""Settings of a storm's workers. Snapshots come often, so that most rebuilds start from one."""

WINDOW_MS = 600_000
"""Alerts are identified by windows of this length; the events' clock is set so that a short storm is in
one."""
MARGIN_MS = 20_000
CALM_AFTER_S = 10.0
"""Traffic goes on so long after the last blow, so that what was struck takes part again."""
TICK_S = 0.1
WAIT_S = 1.0
"""A blow waits so long for a worker that is not at work yet, and again."""
ANYHOW_EVERY = 4
"""One blow in so many does not wait."""
LOOK_EVERY_S = 1.0
DRAIN_S = 420.0
"""For a cluster at peace to work off what has piled up."""


@dataclass
class Plan:
    """What to do; where the servers are comes with ``settings``."""

    seed: int
    minutes: float
    workers: int
    lanes: int = 1
    """Partitions of `calls` that traffic goes to. One: the whole chain is exact from end to end."""
    rate: float = 40.0
    kinds: tuple[Kind, ...] = KINDS


@dataclass
class Report:
    plan: Plan
    verdict: Verdict
    blows: list[Blow]
    sent: int
    unasked: int
    """Workers that ended by themselves and were started again."""
    drained_s: float
    """Seconds from the last call until everything was worked off."""

    @property
    def holds(self) -> bool:
        return self.verdict.holds

    def as_json(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            **asdict(self.plan),
            "blows": [blow._asdict() for blow in self.blows],
            "sent": self.sent,
            "checks": [asdict(check) for check in self.verdict.checks],
            "figures": self.verdict.figures,
            "ended_by_themselves": self.unasked,
            "drained_s": round(self.drained_s, 1),
        }


class Hands:
    """One thread for each thing that is struck: what is done to it is done in order, and nothing else waits.

    Leaving the ``with`` block waits for all of it and raises what went wrong.
    """

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._deeds: list[tuple[str, Future[None]]] = []

    def __enter__(self) -> Hands:
        return self

    def do(self, place: str, deed: Callable[[], None]) -> None:
        if place not in self._threads:
            self._threads[place] = ThreadPoolExecutor(1, place)
        self._deeds = [each for each in self._deeds if not each[1].done() or each[1].exception()]
        self._deeds.append((place, self._threads[place].submit(deed)))

    def busy(self, place: str) -> bool:
        """Whether what was to be done there is not yet done."""
        return any(where == place and not deed.done() for where, deed in self._deeds)

    def __exit__(self, *_: object) -> None:
        for thread in self._threads.values():
            thread.shutdown()
        for deed in self._deeds:
            deed[1].result()


class Storm:
    """Runs ``plan`` on the Kafka and ClickHouse of ``settings``, in topics and a database of its own.

    ``settings`` name them: ``kafka.topic_prefix`` and the database of ``store.url`` must be new. Servers
    that are not given are not struck. ``told`` is handed what happens, line by line.
    """

    def __init__(
        self,
        plan: Plan,
        given: dict[str, str],
        directory: Path,
        told: Callable[[str], None],
        broker: Server | None = None,
        clickhouse: Server | None = None,
        refusing: Refusing | None = None,
    ) -> None:
        self._plan = plan
        self._told = told
        given = ALWAYS | given
        self._settings = load_settings(overrides=given)
        self._broker, self._clickhouse, self._refusing = broker, clickhouse, refusing
        environment = as_environment(given)
        self._workers = [
            Worker(f"worker {i}", environment, directory / f"worker-{i}.log") for i in range(plan.workers)
        ]
        self._guest = Worker("guest", environment, directory / "guest.log")

    def run(self) -> Report:
        """Raises Fault where the cluster does not come up or does not work off what it owes."""
        plan, settings = self._plan, self._settings
        ensure_topics(settings)
        session_s = settings.kafka.session_timeout_ms / 1000
        blows = schedule(plan.seed, plan.minutes * 60, plan.workers, session_s, self._kinds())
        with ExitStack() as stack:
            store = open_store(settings.store)
            stack.callback(store.close)
            for worker in self._all():
                stack.callback(worker.end)
            for worker in self._workers:
                worker.start()
            self._until("every worker is ready", lambda: all(each.ready() for each in self._workers))
            self._told(f"{plan.workers} workers are ready; {len(blows)} blows in {plan.minutes:g} minutes")
            feed = self._feed()
            stack.callback(feed.close)
            feed.start()
            struck = self._strike(blows, feed)
            feed.finish(120 + CALM_AFTER_S)
            ended = time.monotonic()
            self._told(f"{feed.sent} events are sent; waiting until all is worked off")
            self._drain()
            drained = time.monotonic() - ended
            verdict = judge(settings, store, plan.lanes)
            for worker in self._all():
                worker.end()
        verdict.checks.append(self._ends())
        unasked = sum(worker.unasked for worker in self._all())
        return Report(plan, verdict, struck, feed.sent, unasked, drained)

    def _all(self) -> Iterable[Worker]:
        return (*self._workers, self._guest)

    def _kinds(self) -> list[Kind]:
        absent: set[Kind] = set()
        if self._broker is None:
            absent |= set(ON_THE_BROKER)
        if self._clickhouse is None:
            absent.add("store_kill")
        if self._refusing is None:
            absent.add("store_full")
        return [kind for kind in self._plan.kinds if kind not in absent]

    def _feed(self) -> Feed:
        """Traffic from now on, whose own clock is just past the start of a window of alerts."""
        settings, plan = self._settings, self._plan
        now = time.time_ns() // 1_000_000
        start = now // WINDOW_MS * WINDOW_MS - WINDOW_MS + MARGIN_MS
        return Feed(
            settings.kafka.brokers,
            topic_name(settings, "calls"),
            self._events(start),
            now - start,
            plan.lanes,
            plan.seed,
        )

    def _events(self, start_ms: int) -> Iterator[SimulatedEvent]:
        plan = self._plan
        scenario = Scenario(
            seed=plan.seed,
            start_ms=start_ms,
            minutes=plan.minutes + CALM_AFTER_S / 60,
            calls_per_second=plan.rate,
            attacks=[AttackSpec(kind, 1, minutes=plan.minutes / 2) for kind in ATTACKS],
            duplicates=0.02,
            disordered=0.05,
        )
        return takewhile(lambda each: each.event["time"] < scenario.end_ms, traffic(scenario))

    # --- blows

    def _strike(self, blows: list[Blow], feed: Feed) -> list[Blow]:
        """Each blow in its time, and its end in its time; workers that end by themselves are started.

        Gives the blows that were struck: what is not yet up again, on a slow machine, is left alone.
        """
        struck: list[Blow] = []
        order = count()
        due = [(blow.at, next(order), blow, True) for blow in blows]
        heapq.heapify(due)
        started = time.monotonic()
        looked = 0.0
        with Hands() as hands:
            while due:
                at, _, blow, begins = due[0]
                now = time.monotonic() - started
                if now - looked >= LOOK_EVERY_S:
                    looked = now
                    self._watch(hands)
                if now < at:
                    time.sleep(min(TICK_S, at - now))
                    continue
                heapq.heappop(due)
                down = {each.target for _, _, each, first in due if not first and each.kind in ON_A_WORKER}
                if begins and self._too_early(blow, down, len(struck)):
                    if now + blow.lasts < self._plan.minutes * 60:
                        heapq.heappush(due, (now + WAIT_S, next(order), blow, True))
                elif begins and hands.busy(blow.place):
                    self._told(f"{blow}: left out, it is still being set right")
                elif begins:
                    self._told(str(blow))
                    struck.append(blow)
                    hands.do(blow.place, partial(self._begin, blow, feed))
                    heapq.heappush(due, (now + blow.lasts, next(order), blow, False))
                else:
                    hands.do(blow.place, partial(self._end, blow))
        return struck

    def _too_early(self, blow: Blow, down: set[int], struck: int) -> bool:
        """Whether to wait with ``blow``: until its worker is at work (some strike it while it starts), and
        until another worker is left."""
        if blow.kind not in ON_A_WORKER:
            return False
        if len(down | {blow.target}) == len(self._workers):
            return True
        return bool(struck % ANYHOW_EVERY) and not self._workers[blow.target].at_work()

    def _begin(self, blow: Blow, feed: Feed) -> None:
        worker = self._workers[blow.target]
        match blow.kind:
            case "kill":
                worker.kill()
            case "term":
                worker.terminate()
            case "freeze":
                worker.freeze()
            case "join":
                self._guest.start()
            case "broker_kill":
                _given(self._broker).kill()
            case "broker_stop":
                _given(self._broker).stop()
            case "store_kill":
                _given(self._clickhouse).kill()
            case "store_full":
                _refusing(self._refusing).refuse()
            case "repeat":
                feed.repeat()

    def _end(self, blow: Blow) -> None:
        worker = self._workers[blow.target]
        match blow.kind:
            case "kill" | "term":
                worker.start_again()
            case "freeze":
                worker.thaw()
            case "join":
                self._guest.end()
            case "broker_kill" | "broker_stop":
                _given(self._broker).start()
            case "store_kill":
                _given(self._clickhouse).start()
            case "store_full":
                _refusing(self._refusing).take()

    def _watch(self, hands: Hands) -> None:
        for worker in self._all():
            hands.do(worker.name, partial(self._look_after, worker))

    def _look_after(self, worker: Worker) -> None:
        if worker.watch():
            self._told(f"{worker.name} has ended by itself and is started again")

    # --- rest

    def _drain(self) -> None:
        self._until("every group has committed all there is", self._committed)

    def _committed(self) -> bool:
        for worker in self._all():
            self._look_after(worker)
        return worked_off(self._settings)

    def _until(self, what: str, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DRAIN_S
        while not true():
            if time.monotonic() > deadline:
                raise Fault(f"waited {DRAIN_S:.0f} s in vain until {what}", "the workers' logs say more")
            time.sleep(LOOK_EVERY_S)

    def _ends(self) -> Check:
        wrong = [
            f"{worker.name} ended with {status} after SIGTERM"
            for worker in self._all()
            for status in worker.wrong_ends
        ]
        return Check("workers end in order when told to", len(self._workers) + 1, wrong)


def _given(server: Server | None) -> Server:
    assert server is not None, "what is not given is not struck"
    return server


def _refusing(store: Refusing | None) -> Refusing:
    assert store is not None, "what is not given is not struck"
    return store
