"""Log lines on standard error: one format for Wordcount's own lines (structlog) and for lines of libraries (logging)."""

from __future__ import annotations

import io
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from app.printable import json_text, printable, printable_lines
from app.worker.repeats import FoldingHandler

QUIET = {
    # These libraries warn of operations that are retried. Wordcount itself reports an operation that fails for good.
    "aiokafka": "ERROR",
    "aiokafka.conn": "CRITICAL",
    "aiokafka.consumer.fetcher": "CRITICAL",
    "faust.transport.drivers.aiokafka": "WARNING",
}


def install() -> None:
    """Make structlog write through `logging`, as `logging_config` configures it."""
    structlog.configure(
        processors=[*_common_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logging_config(level: str, log_format: str) -> dict[str, Any]:
    """Return the configuration of `logging` for a worker.

    Args:
        level: least severe level that is logged: debug, info, warning or error.
        log_format: console (for people) or json (one JSON object per line).
    """
    rendering: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if log_format == "json":
        rendering += [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_json_line),
        ]
    else:
        rendering += [
            _escape,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback),
        ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "wordcount": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _common_processors(),
                "processors": rendering,
            }
        },
        "handlers": {"stderr": {"()": FoldingHandler, "formatter": "wordcount"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {name: {"level": least} for name, least in QUIET.items()},
    }


def _common_processors() -> list[Any]:
    """Return the processors that add fields to every entry, from structlog or from a library."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _escape(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape the texts of an entry for people: no text from outside may control the terminal, or look like another entry."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = printable(value)
    return event


def _traceback(stream: TextIO, exception: Any) -> None:
    """Write a traceback without the values of variables, escaped line by line."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exception)
    stream.write(printable_lines(text.getvalue()))


def _json_line(event: Any, *, default: Any) -> str:
    """Return an entry for machines as JSON in ASCII, because the encoding of a log is not known."""
    return json_text(event, ascii_only=True, default=default)
