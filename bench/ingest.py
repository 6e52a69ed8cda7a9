"""What `ingest` costs: events a second of one core, by form of message, and where the time goes.

Times are of the processor, not of the wall clock, so that other work on the machine counts little.

    python -m bench.ingest [--events 40000] [--rounds 9]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import msgspec
import orjson
import pyarrow as pa

from bench.report import write_results
from config.settings import Settings
from detectors.plan import NumberingPlan
from streams.ingest import columns as frame_columns
from streams.ingest.step import STEP_EVENTS, Ingest
from streams.warming import spare_what_is_loaded
from streams.wire.arrow import write_stream
from streams.wire.calls import CallEvent, encode
from streams.wire.frames import decode_frame, encode_frame
from streams.wire.records import SourceRecord

START = 1_767_225_600_000
EVENTS_A_MESSAGE = 500
Row = dict[str, Any]


def call_events(count: int, seed: int = 1) -> list[CallEvent]:
    """Attempts and ends of calls between mobile and fixed numbers of China over 200 trunks."""
    draw = random.Random(seed)
    events = []
    for number in range(count):
        ended = draw.random() < 0.5
        events.append(
            CallEvent(
                id=f"probe-3/{number:012}",
                call_id=f"c{number // 2:012}@sbc-7",
                type="end" if ended else "attempt",
                time=START + number,
                caller=f"+861{draw.choice((38, 39, 50, 86, 89))}{draw.randrange(10**8):08}",
                callee=f"0{draw.choice((10, 21, 20))}{draw.randrange(5 * 10**7, 9 * 10**7)}",
                caller_noa=4,
                callee_noa=3,
                presentation=0,
                from_network=draw.choice(("CM", "CU", "CT")),
                to_network="CT",
                trunk=f"TG-{draw.randrange(200)}",
                gateway="national",
                probe="probe-3",
                answered=True if ended else None,
                ring_ms=draw.randrange(30_000) if ended else None,
                talk_ms=draw.randrange(300_000) if ended else None,
                cause=16 if ended else None,
                sip_code=200 if ended else None,
                released_by="caller" if ended else None,
            )
        )
    return events


def records(values: list[bytes]) -> list[SourceRecord]:
    return [SourceRecord(value, "calls", 0, offset, START) for offset, value in enumerate(values)]


def grouped(values: list[bytes], form: str) -> list[bytes]:
    groups = [values[at : at + EVENTS_A_MESSAGE] for at in range(0, len(values), EVENTS_A_MESSAGE)]
    return [b"[" + b",".join(group) + b"]" if form == "array" else b"\n".join(group) for group in groups]


def seconds(run: Callable[[], Any], rounds: int) -> list[float]:
    """Processor seconds of each round, after one that is not counted."""
    run()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return taken


def row(system: str, metric: str, unit: str, values: list[float], version_: str = "") -> Row:
    return {
        "system": system,
        "version": version_ or version("ringfence"),
        "metric": metric,
        "unit": unit,
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
    }


class Bench:
    def __init__(self, events: int, rounds: int) -> None:
        settings = Settings()
        self.rounds, self.count = rounds, events
        self.ingest = Ingest(NumberingPlan.load(settings.numbering), settings)
        self.values = [encode(event) for event in call_events(events)]

    def rate(self, system: str, metric: str, run: Callable[[], Any], count: int, version_: str = "") -> Row:
        rates = [count / taken for taken in seconds(run, self.rounds)]
        return row(system, metric, "events/s of a core", rates, version_)

    def cost(self, metric: str, run: Callable[[], Any], count: int, unit: str = "us/event") -> Row:
        return row("ringfence", metric, unit, [taken / count * 1e6 for taken in seconds(run, self.rounds)])

    def step(self, messages: list[bytes]) -> Callable[[], None]:
        given = records(messages)

        def run() -> None:
            for _ in self.ingest.steps(given):
                pass

        return run

    def forms(self) -> list[Row]:
        """The whole step: check, decode, normalise, build frames."""
        lines, arrays = grouped(self.values, "lines"), grouped(self.values, "array")
        bad = [b"{}" if number % 100 == 0 else value for number, value in enumerate(self.values)]
        forms = {
            "one event a message": self.values,
            f"lines, {EVENTS_A_MESSAGE} a message": lines,
            f"array, {EVENTS_A_MESSAGE} a message": arrays,
            "one event a message, 1 % bad": bad,
            f"lines, {EVENTS_A_MESSAGE} a message, 1 % bad": grouped(bad, "lines"),
            f"array, {EVENTS_A_MESSAGE} a message, 1 % bad": grouped(bad, "array"),
            "one message of all events": [b"\n".join(self.values)],
        }
        return [
            self.rate("ringfence", f"step: {name}", self.step(form), self.count)
            for name, form in forms.items()
        ]

    def peers(self) -> list[Row]:
        """Decoding alone, to Python objects, one event a message: the floor under any such step."""

        def decoding(loads: Callable[[bytes], Any]) -> Callable[[], None]:
            def run() -> None:
                for value in self.values:
                    loads(value)

            return run

        decode = msgspec.json.Decoder(CallEvent).decode
        return [
            self.rate("json", "decode only", decoding(json.loads), self.count, "stdlib"),
            self.rate("orjson", "decode only", decoding(orjson.loads), self.count, version("orjson")),
            self.rate("msgspec", "decode only, typed", decoding(decode), self.count, version("msgspec")),
        ]

    def profile(self) -> list[Row]:
        """Where the time of one step goes."""
        values = self.values[:STEP_EVENTS]
        given, size = records(values), len(values)
        framer, groups = self.ingest._framer, [records(values[at : at + 512]) for at in range(0, size, 512)]
        events = [msgspec.json.decode(value, type=CallEvent) for value in values]
        fields = dict(
            zip(
                CallEvent.__struct_fields__,
                zip(*map(msgspec.structs.astuple, events), strict=True),
                strict=True,
            )
        )
        nothing = (None,) * size
        numbers = framer._normaliser.numbers
        return [
            self.cost("step in all", lambda: self.ingest(given), size),
            self.cost("- check and decode", lambda: [self.ingest._one_each(group) for group in groups], size),
            self.cost("- frames", lambda: framer.frames(events), size),
            self.cost(
                "-- structs to columns",
                lambda: list(zip(*map(msgspec.structs.astuple, events), strict=True)),
                size,
            ),
            self.cost(
                "-- normalise both numbers",
                lambda: (
                    numbers(fields["caller"], fields["caller_noa"], fields["presentation"]),
                    numbers(fields["callee"], fields["callee_noa"], nothing),
                ),
                size,
            ),
            self.cost(
                "-- hash id and call_id",
                lambda: (
                    frame_columns._hashes(fields["id"]),
                    frame_columns._hashes(tuple(map(str, fields["call_id"]))),
                ),
                size,
            ),
            self.cost("-- all columns", lambda: framer._columns(events), size),
        ]

    def wire(self) -> list[Row]:
        """Frames as bytes, by compression of the Arrow buffers; a step's frames, 8 partitions."""
        frames = self.ingest(records(self.values[:STEP_EVENTS])).frames.values()
        rows = sum(batch.num_rows for batch in frames)
        encoded = [encode_frame(batch) for batch in frames]
        found = [
            self.cost("encode_frame", lambda: [encode_frame(batch) for batch in frames], rows, "us/row"),
            self.cost(
                "decode_frame, checked", lambda: [decode_frame(value) for value in encoded], rows, "us/row"
            ),
        ]
        for compression in (None, "lz4", "zstd"):
            name = compression or "none"
            values = [write_stream(batch, compression) for batch in frames]
            found += [
                row(
                    "pyarrow",
                    f"bytes, {name}",
                    "bytes/row",
                    [sum(map(len, values)) / rows],
                    version("pyarrow"),
                ),
                self.cost(
                    f"write, {name}",
                    lambda form=compression: [write_stream(batch, form) for batch in frames],
                    rows,
                    "us/row",
                ),
                self.cost(f"read, {name}", lambda: [read(value) for value in values], rows, "us/row"),  # noqa: B023
            ]
        return found


def read(value: bytes) -> Any:
    with pa.ipc.open_stream(value) as reader:
        return reader.read_next_batch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    bench = Bench(arguments.events, arguments.rounds)
    spare_what_is_loaded()
    size = statistics.mean(map(len, bench.values))
    found = [*bench.forms(), *bench.peers(), *bench.profile(), *bench.wire()]
    parameters = {"events": arguments.events, "rounds": arguments.rounds, "bytes an event": round(size)}
    path = write_results("ingest", parameters, found)
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
