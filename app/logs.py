"""Log lines: one format for our own (structlog) and for those of the libraries (logging), on stderr."""

from __future__ import annotations

import sys
from typing import Any

import structlog

QUIET = {
    # Each of these repeats the same line many times a second while a broker is away; the health check says it once.
    "aiokafka": "ERROR",
    "aiokafka.conn": "CRITICAL",
    "aiokafka.consumer.fetcher": "CRITICAL",
    "faust.transport.drivers.aiokafka": "WARNING",
}


def configure(level: str, log_format: str) -> dict[str, Any]:
    """Set structlog up and return the `logging` configuration that goes with it.

    Args:
        level: least severe level that is logged: debug, info, warning or error.
        log_format: console (for people) or json (one object a line).
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    rendering: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if log_format == "json":
        rendering += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        rendering += [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "wordcount": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": rendering,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "wordcount"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {name: {"level": least} for name, least in QUIET.items()},
    }
