"""Everything that touches Kafka, ClickHouse, files or the clock."""
