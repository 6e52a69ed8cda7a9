"""Logs: structured, calm, on standard error; numbers of persons masked.

Nothing is logged per call, and libraries only when something is wrong, the same at most every ten seconds:
each of a worker's consumers tries a dead broker ten times a second. With ``service.mask_numbers`` the last
four digits of every telephone number are hidden, wherever in a log line it stands.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import OrderedDict
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

REPEAT_S = 10.0
"""A message of a library is logged again no sooner than this."""
MOST_MESSAGES = 256
"""Messages of which it is remembered when they were logged."""

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
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for library, level in LIBRARIES.items():
        logging.getLogger(library).setLevel(level)
    logging.captureWarnings(True)


class Repeats(logging.Filter):
    """Holds back what a library has just said in the same words; how often is told with the next."""

    def __init__(self) -> None:
        super().__init__()
        self._said: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in LIBRARIES:
            return True
        words = (record.name, str(record.msg))
        at, held_back = self._said.get(words, (-REPEAT_S, 0))
        if record.created - at < REPEAT_S:
            self._said[words] = (at, held_back + 1)
            return False
        self._said[words] = (record.created, 0)
        self._said.move_to_end(words)
        if len(self._said) > MOST_MESSAGES:
            self._said.popitem(last=False)
        if held_back:
            record.msg = f"{record.msg} ({held_back} times more since it was last told)"
        return True


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
