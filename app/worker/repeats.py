"""Folding of repeated log lines, such as those while a broker is away: one line per cause in 30 s, with the number of repeats."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

PERIOD_S: Final = 30.0
"""Seconds within which a cause is logged once."""

CAUSES: Final = 500
"""Causes that are remembered at a time, to bound the memory; a record of a further cause is always logged."""

_NUMBERS: Final = re.compile(r"\d+")
# Fields that do not distinguish causes: the same trouble in several partitions is one cause.
_NOT_THE_CAUSE: Final = {"partition", "timestamp", "level", "logger", "position"}


@dataclass(slots=True)
class _Told:
    until_s: float
    untold: int = 0
    latest: logging.LogRecord | None = None


class Repeats:
    """Decides which log records are written immediately, and which are folded. Pure: the caller passes the time.

    Records below WARNING are always written. Records that differ only in numbers (partitions, brokers, ports, offsets) have the same
    cause. Wordcount's own records of level ERROR are an exception: they report the state of each partition, so numbers distinguish
    them.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, int, str], _Told] = {}

    def is_told(self, record: logging.LogRecord) -> bool:
        """Return whether to write this record immediately. A folded record is counted in a later line of its cause."""
        return record.levelno < logging.WARNING or _key(record) not in self._told

    def note(self, record: logging.LogRecord, now_s: float) -> None:
        """Note a record: remember its cause, or count the record as a repeat."""
        if record.levelno < logging.WARNING:
            return
        key = _key(record)
        if (told := self._told.get(key)) is not None:
            told.untold += 1
            told.latest = record
        elif len(self._told) < CAUSES:
            self._told[key] = _Told(now_s + PERIOD_S)

    def take_due(self, now_s: float) -> list[logging.LogRecord]:
        """Take out the latest folded record of each cause whose `PERIOD_S` is over, with the number of folded records in its text."""
        found = []
        for key, told in list(self._told.items()):
            if now_s < told.until_s:
                continue
            if told.latest is None:
                # No record came for a whole period: the next record of this cause is written immediately.
                del self._told[key]
                continue
            found.append(_with_repeats(told.latest, told.untold))
            self._told[key] = _Told(now_s + PERIOD_S)
        return found


class FoldingHandler(logging.StreamHandler[Any]):
    """Writes log records to standard error, folded by `Repeats`.

    Folded records of a cause are written with the next record of any cause after their `PERIOD_S`, or when the process ends.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._repeats = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record unless it is folded, and folded records that are due. Called by any thread under the handler's lock."""
        now_s = self._clock()
        told = self._repeats.is_told(record)
        self._repeats.note(record, now_s)
        for late in self._repeats.take_due(now_s):
            super().emit(late)
        if told:
            super().emit(record)

    def close(self) -> None:
        """Write all folded records."""
        for late in self._repeats.take_due(math.inf):
            super().emit(late)
        super().close()


def _key(record: logging.LogRecord) -> tuple[str, int, str]:
    return record.name, record.levelno, _cause(record)


def _cause(record: logging.LogRecord) -> str:
    if isinstance(record.msg, dict):  # The record is from structlog and not rendered yet.
        if record.levelno >= logging.ERROR:
            return repr({name: value for name, value in record.msg.items() if name != "timestamp"})
        text = repr(
            sorted((name, str(value)) for name, value in record.msg.items() if name not in _NOT_THE_CAUSE)
        )
    else:
        text = record.getMessage()
    return _NUMBERS.sub("#", text)


def _with_repeats(record: logging.LogRecord, untold: int) -> logging.LogRecord:
    if untold == 1:
        return record
    changed = logging.makeLogRecord(record.__dict__)
    if isinstance(record.msg, dict):
        changed.msg = {**record.msg, "times": untold}
    else:
        changed.msg, changed.args = f"{record.getMessage()} ({untold} times)", None
    return changed
