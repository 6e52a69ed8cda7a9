"""Real servers for the tests: Apache Kafka and ClickHouse on 127.0.0.1, each in a directory of its own.

Without pytest::

    with kafka_server() as kafka:
        connect(kafka.brokers)

From the command line: ``python -m tests.servers kafka``. `make servers` fetches what they run.
"""

from tests.servers.clickhouse import ClickHouseServer, clickhouse_server
from tests.servers.kafka import KafkaServer, kafka_server
from tests.servers.server import ServerMissing

__all__ = ["ClickHouseServer", "KafkaServer", "ServerMissing", "clickhouse_server", "kafka_server"]
