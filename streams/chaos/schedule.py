"""What strikes when. Pure: the same seed gives the same storm."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Literal, NamedTuple, get_args

Kind = Literal[
    "kill", "term", "freeze", "join", "broker_kill", "broker_stop", "store_kill", "store_full", "repeat"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
ON_A_WORKER: tuple[Kind, ...] = ("kill", "term", "freeze")
ON_THE_BROKER: tuple[Kind, ...] = ("broker_kill", "broker_stop")
ON_THE_STORE: tuple[Kind, ...] = ("store_kill", "store_full")

MEANING: dict[Kind, str] = {
    "kill": "kill -9 of a worker, started again after a while",
    "term": "SIGTERM to a worker, started again after a while",
    "freeze": "SIGSTOP of a worker for longer than its session, then SIGCONT",
    "join": "one more worker joins, and leaves again",
    "broker_kill": "kill -9 of the broker, started again after a while",
    "broker_stop": "orderly end of the broker, started again after a while",
    "store_kill": "kill -9 of ClickHouse, started again after a while",
    "store_full": "ClickHouse refuses every insert for a while",
    "repeat": "hundreds of events sent a second time, in another order",
}

PLACES: dict[Kind, str] = {
    "join": "guest",
    "broker_kill": "broker",
    "broker_stop": "broker",
    "store_kill": "store",
    "store_full": "store",
    "repeat": "input",
}

REST_S = {"broker": 25.0, "store": 10.0}
"""What a server has to itself after it was set right, so that something is also worked off between."""

FEWEST_LEFT = 1
"""Workers that are never struck at the same time as the others: somebody has to take over."""
CALM_S = 5.0
"""Between blows at the most, save where everything that may be struck is down."""
PILE = 0.3
"""Share of blows that come at once upon the one before: a rebalance on top of a rebalance."""


class Blow(NamedTuple):
    at: float
    """Seconds after the storm began."""
    kind: Kind
    target: int
    """Which worker; 0 where there is one such thing."""
    lasts: float
    """Seconds until what was struck is set right again."""

    @property
    def place(self) -> str:
        """The name of what is struck."""
        return f"worker {self.target}" if self.kind in ON_A_WORKER else PLACES[self.kind]

    def __str__(self) -> str:
        whom = f" {self.place}" if self.kind in ON_A_WORKER else ""
        return f"{self.at:6.1f} s  {self.kind}{whom}" + (f" for {self.lasts:.1f} s" if self.lasts else "")


def schedule(
    seed: int, seconds: float, workers: int, session_s: float, kinds: Collection[Kind] = KINDS
) -> list[Blow]:
    """The blows of ``seconds``, in order of time; all is set right before they are over.

    Every kind comes soon; later those that strike workers come twice as often. A worker that is down is
    not struck, and at least FEWEST_LEFT workers are up at any time. ``session_s`` is the session time-out
    of the workers. Raises ValueError where there are fewer than two workers or no kinds.
    """
    if workers <= FEWEST_LEFT:
        raise ValueError(f"workers {workers}: expected at least {FEWEST_LEFT + 1}")
    if not kinds:
        raise ValueError("kinds is empty: expected at least one of " + ", ".join(KINDS))
    random = Random(seed)
    ordered = [kind for kind in KINDS if kind in kinds]
    cards = ordered + [kind for kind in ordered if kind in ON_A_WORKER]
    hand = random.sample(ordered, len(ordered))
    down: dict[str, float] = {}
    blows: list[Blow] = []
    at = random.uniform(0.5, CALM_S)
    while at < seconds - 1:
        blow = _next(random, hand, workers, session_s, down, at, seconds)
        if blow is None:
            if len(hand) <= len(cards):
                hand += random.sample(cards, len(cards))
            at += 0.2
            continue
        hand.remove(blow.kind)
        down[blow.place] = blow.at + blow.lasts + REST_S.get(blow.place, 0.0)
        blows.append(blow)
        at += 0.2 if random.random() < PILE else random.uniform(0.5, CALM_S)
    return blows


def _next(
    random: Random,
    hand: list[Kind],
    workers: int,
    session_s: float,
    down: dict[str, float],
    at: float,
    end: float,
) -> Blow | None:
    """The first in ``hand`` that can strike at ``at`` and is set right before ``end``."""
    for kind in hand:
        target = _target(random, kind, workers, down, at)
        lasts = round(_lasts(random, kind, session_s), 2)
        if target is not None and at + lasts <= end:
            return Blow(round(at, 2), kind, target, lasts)
    return None


def _lasts(random: Random, kind: Kind, session_s: float) -> float:
    match kind:
        case "repeat":
            return 0.0
        case "freeze":
            return session_s + random.uniform(1.0, 6.0)
        case "join":
            return random.uniform(4.0, 15.0)
        case "store_kill" | "store_full":
            return random.uniform(2.0, 12.0)
        case "broker_kill" | "broker_stop":
            return random.uniform(0.5, 5.0)
    return random.uniform(0.0, 8.0)


def _target(random: Random, kind: Kind, workers: int, down: dict[str, float], at: float) -> int | None:
    """Which one ``kind`` strikes at ``at``; None where nothing of the sort may be struck."""
    if kind not in ON_A_WORKER:
        return 0 if down.get(PLACES[kind], 0.0) <= at else None
    up = [i for i in range(workers) if down.get(f"worker {i}", 0.0) <= at]
    return random.choice(up) if len(up) > FEWEST_LEFT else None
