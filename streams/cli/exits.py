"""What `ringfence` ends with. The one place that says so; docs/commands.md shows the same table."""

from __future__ import annotations

from streams.faults import Fault, Usage

OK = 0
"""It did what was asked."""
NO = 1
"""It worked, and the answer is no: nothing was caught, a difference was found, something is wrong."""
USAGE = 2
"""What was asked for cannot be: a wrong argument, setting or input."""
FAULT = 3
"""Something it needs is not there or does not answer: Kafka, ClickHouse, a topic."""
BUG = 70
"""A fault of ringfence itself; the only case with a traceback."""
INTERRUPTED = 130
"""Ctrl-C, after cleaning up."""


def code_of(fault: Fault) -> int:
    return USAGE if isinstance(fault, Usage) else FAULT


__all__ = ["BUG", "FAULT", "INTERRUPTED", "NO", "OK", "USAGE", "Fault", "Usage", "code_of"]
