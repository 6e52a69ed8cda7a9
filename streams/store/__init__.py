"""Keeps alerts, rules, rejections, traffic and calls in ClickHouse."""
