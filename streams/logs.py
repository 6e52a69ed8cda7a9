"""Logs: structured, calm, on standard error; numbers of persons masked.

Nothing is logged per call, and libraries only when something is wrong. With ``service.mask_numbers`` the last
four digits of every telephone number are hidden, wherever in a log line it stands.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from config.settings import ServiceSettings

Event = MutableMapping[str, Any]

LIBRARIES = {
    **dict.fromkeys(("aiohttp", "aiokafka", "asyncio", "faust", "kafka", "mode", "numba"), logging.WARNING),
    "clickhouse_driver": logging.ERROR,  # it warns with a traceback of what it also raises
}
"""Least level at which each library is heard."""

NUMBER_FIELDS = frozenset({"number", "caller", "callee", "block", "redirecting", "subject"})
"""Fields whose integers are telephone numbers; integers elsewhere are counts, times and offsets."""

_NUMBER = re.compile(r"(?<![\w.])(\+?\d{3,11})\d{4}(?!\w|\.\d)")
"""Seven to fifteen digits that stand alone: not part of an id or a fraction."""
_HIDDEN = r"\1****"


def configure(settings: ServiceSettings) -> None:
    """Sets logging up for the whole process; a later call replaces an earlier one."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.format_exc_info,
        *([mask_numbers] if settings.mask_numbers else []),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings)],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for library, level in LIBRARIES.items():
        logging.getLogger(library).setLevel(level)
    logging.captureWarnings(True)


def mask_numbers(_logger: Any, _method: str, event: Event) -> Event:
    """A structlog processor that hides the last four digits of telephone numbers."""
    for key, value in event.items():
        event[key] = _masked(value, key in NUMBER_FIELDS)
    return event


def masked(text: str) -> str:
    """``text`` with the last four digits of each telephone number in it hidden."""
    return _NUMBER.sub(_HIDDEN, text)


def _masked(value: Any, number: bool) -> Any:
    match value:
        case str():
            return masked(value)
        case bool():
            return value
        case int() if number:
            return masked(str(value))
        case dict():
            return {key: _masked(inner, number or key in NUMBER_FIELDS) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(inner, number) for inner in value]
        case _:
            return value


def _renderer(settings: ServiceSettings) -> Any:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False)
