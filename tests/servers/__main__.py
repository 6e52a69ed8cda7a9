"""``python -m tests.servers kafka|clickhouse [--port N] [--dir DIR]``: run one until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

from streams.embedded.child import ChildError
from tests.servers import ClickHouseServer, KafkaServer, ServerMissing, clickhouse_server, kafka_server


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("server", choices=["kafka", "clickhouse"])
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--dir", type=Path, help="directory to keep data in (default: a temporary one)")
    return parser.parse_args()


def server(asked: argparse.Namespace) -> AbstractContextManager[KafkaServer | ClickHouseServer]:
    if asked.server == "kafka":
        return kafka_server(asked.dir, asked.port)
    return clickhouse_server(asked.dir, asked.port)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = arguments()
    try:
        with server(asked) as running:
            address = running.brokers if isinstance(running, KafkaServer) else running.url
            print(address, flush=True)
            print(
                f"{running.name} serves; data and log in {running.directory}; Ctrl-C ends it", file=sys.stderr
            )
            while running.running:
                time.sleep(0.5)
            print(f"{running.name} ended by itself; see {running.log}", file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        return 0
    except (ServerMissing, ChildError) as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
