"""A cheap source of call events at a given rate: a process of its own for `bench.end_to_end`.

    python -m bench.load --brokers HOST:PORT --rate 60000 --seconds 40 [--partitions 2] [--first N]

Ordinary traffic between ten million mobile numbers, half of it attempts and half the ends of calls that began
half a minute before; and markers: robots, each with a number of its own, that are to become rules. Lines are
of one width, so that a batch is made by writing digits into an array. An event's time is when it is due, not
when it is sent: where this process is late, the event is late.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from kafka import KafkaProducer

TICK_S = 0.02
EVENTS_A_MESSAGE = 200
TALK_S = 30
MARKERS_A_SECOND = 20
MARKER_CALLS = 60
"""Of one robot, ten a second: whatever the detector needs, it gets."""
MARKER_S = 6.0
NUMBERS = 10_000_000
TRUNKS = 100

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

ATTEMPT = (
    b'{"id":"a###########","call_id":"c###########","type":"attempt","time":#############,'
    b'"caller":"+86138########","callee":"+86139########","from_network":"CM","to_network":"CU",'
    b'"trunk":"TG-##","gateway":"national"}\n'
)
END = (
    b'{"id":"e###########","call_id":"c###########","type":"end","time":#############,'
    b'"caller":"+86138########","callee":"+86139########","from_network":"CM","to_network":"CU",'
    b'"trunk":"TG-##","gateway":"national","answered":true,"ring_ms":6000,"talk_ms":24000,"cause":16,'
    b'"sip_code":200,"released_by":"caller"}\n'
)
_TALKED = b'"answered":true,"ring_ms":6000,"talk_ms":24000,"cause":16,"sip_code":200'
_GAVE_UP = b'"answered":false,"ring_ms":700,"cause":16,"sip_code":487'
REFUSED = END.replace(_TALKED, _GAVE_UP)


class Template:
    """Lines of one shape; the digits marked by ``#`` are numbers, in the order of ``fields``."""

    def __init__(self, line: bytes) -> None:
        self._line = np.frombuffer(line, np.uint8)
        marks = np.flatnonzero(self._line == ord("#"))
        self.fields = np.split(marks, np.flatnonzero(np.diff(marks) != 1) + 1)

    def lines(self, *values: Ints) -> Bytes:
        """``values`` of each field, one a line: uint8 (lines, width)."""
        made = np.tile(self._line, (len(values[0]), 1))
        for field, numbers in zip(self.fields, values, strict=True):
            rest = numbers.copy()
            for at in field[::-1]:
                rest, digit = np.divmod(rest, 10)
                made[:, at] = digit + ord("0")
        return made


def scattered(numbers: Ints, salt: int) -> npt.NDArray[np.uint64]:
    """splitmix64: the same for the same number, so that an end finds the parties of its attempt."""
    z = numbers.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Traffic:
    """Call events tick by tick. ``first`` numbers the first call; numbers of calls are never used twice."""

    def __init__(self, rate: int, first: int, marked: int) -> None:
        self._calls_a_tick = max(1, int((rate - 2 * MARKERS_A_SECOND * MARKER_CALLS) * TICK_S / 2))
        self._next = first
        self._marked = marked
        self._running: list[tuple[int, int]] = []
        """Robots: number, ticks since it began."""
        self._owed = 0.0
        self._lag = int(self._calls_a_tick * TALK_S / TICK_S)
        self._attempt, self._end, self._refused = Template(ATTEMPT), Template(END), Template(REFUSED)

    def tick(self, now: int) -> list[bytes]:
        """Messages of the events that are due at ``now``, ms."""
        calls = np.arange(self._next, self._next + self._calls_a_tick)
        self._next += self._calls_a_tick
        time_ms = np.full(len(calls), now)
        lines = [self._attempt.lines(*self._ordinary(calls, time_ms))]
        over = calls - self._lag
        lines.append(self._end.lines(*self._ordinary(over, time_ms)))
        return [message for part in (*lines, *self._robots(now)) for message in messages(part)]

    def _ordinary(self, calls: Ints, time_ms: Ints) -> tuple[Ints, ...]:
        caller = (scattered(calls, 1) % NUMBERS).astype(np.int64)
        callee = (scattered(calls, 2) % NUMBERS).astype(np.int64)
        return calls, calls, time_ms, caller, callee, caller % TRUNKS

    def _robots(self, now: int) -> list[Bytes]:
        self._owed += MARKERS_A_SECOND * TICK_S
        while self._owed >= 1:
            self._running.append((self._marked, 0))
            self._marked += 1
            self._owed -= 1
        every = round(MARKER_S / MARKER_CALLS / TICK_S)
        due = [(robot, age // every) for robot, age in self._running if age % every == 0]
        self._running = [(r, age + 1) for r, age in self._running if age + 1 < every * MARKER_CALLS]
        if not due:
            return []
        robot, call = np.array(due, np.int64).T
        number = 90_000_000_000 + robot * MARKER_CALLS + call
        caller = 10_000_000 + robot * 10_007 % 80_000_000
        callee = (scattered(number, 3) % NUMBERS).astype(np.int64)
        values = (number, number, np.full(len(due), now), caller, callee, robot % TRUNKS)
        return [self._attempt.lines(*values), self._refused.lines(*values)]

    @property
    def next(self) -> tuple[int, int]:
        return self._next, self._marked


def messages(lines: Bytes) -> list[bytes]:
    return [lines[at : at + EVENTS_A_MESSAGE].tobytes() for at in range(0, len(lines), EVENTS_A_MESSAGE)]


def send(producer: Any, asked: argparse.Namespace) -> tuple[Traffic, float]:
    """Sends for ``asked.seconds``; the traffic and the latest that a tick was behind its time, s."""
    traffic = Traffic(asked.rate, asked.first, asked.marked)
    began, sent, behind = time.time(), 0, 0.0
    for tick in range(int(asked.seconds / TICK_S)):
        due = began + tick * TICK_S
        wait = due - time.time()
        if wait > 0:
            time.sleep(wait)
        behind = max(behind, -wait)
        for message in traffic.tick(int(due * 1000)):
            producer.send(asked.topic, message, partition=sent % asked.partitions)
            sent += 1
    producer.flush(30)
    return traffic, behind


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", default="calls")
    parser.add_argument("--rate", type=int, default=10_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--first", type=int, default=10_000_000_000, help="number of the first call")
    parser.add_argument("--marked", type=int, default=0, help="number of the first robot")
    asked = parser.parse_args()
    producer = KafkaProducer(
        bootstrap_servers=asked.brokers, linger_ms=5, batch_size=1 << 18, acks=1, max_request_size=4 << 20
    )
    traffic, behind = send(producer, asked)
    producer.close()
    sys.stdout.write("{} {} {:.3f}\n".format(*traffic.next, behind))


if __name__ == "__main__":
    main()
