"""Log lines that say the same again and again, as while a broker is away: one per cause and half a minute, and how many there were."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

PERIOD_S: Final = 30.0
"""A cause is told once in this time."""

CAUSES: Final = 500
"""More causes than this at a time are told as they come: memory is bounded."""

_NUMBERS: Final = re.compile(r"\d+")
# What a cause may differ in: the same trouble of every partition is one cause.
_NOT_THE_CAUSE: Final = {"partition", "timestamp", "level", "logger", "position"}


@dataclass(slots=True)
class _Told:
    until_s: float
    untold: int = 0
    latest: logging.LogRecord | None = None


class Repeats:
    """Decides which records are told. Pure; the caller brings the time.

    Records below WARNING are told always. Numbers do not make another cause: partitions, brokers, ports, offsets. They do in our own
    errors, which say for each partition what has become of it.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, int, str], _Told] = {}

    def is_told(self, record: logging.LogRecord) -> bool:
        """Whether this record is told when it comes; a later one says how many were not."""
        return record.levelno < logging.WARNING or _key(record) not in self._told

    def note(self, record: logging.LogRecord, now_s: float) -> None:
        """A record has come."""
        if record.levelno < logging.WARNING:
            return
        key = _key(record)
        if (told := self._told.get(key)) is not None:
            told.untold += 1
            told.latest = record
        elif len(self._told) < CAUSES:
            self._told[key] = _Told(now_s + PERIOD_S)

    def take_due(self, now_s: float) -> list[logging.LogRecord]:
        """Take out the latest record of each cause whose time is over and that came again, with the number of those not told."""
        found = []
        for key, told in list(self._told.items()):
            if now_s < told.until_s:
                continue
            if told.latest is None:
                del self._told[key]  # Quiet for a whole period: the next one is told at once.
                continue
            found.append(_with_repeats(told.latest, told.untold))
            self._told[key] = _Told(now_s + PERIOD_S)
        return found


class FoldingHandler(logging.StreamHandler[Any]):
    """Writes to standard error what `Repeats` tells.

    What was not told comes out with the next line of whatever kind after its time, or when the process ends.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._repeats = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        """Called under the handler's lock, by any thread."""
        now_s = self._clock()
        told = self._repeats.is_told(record)
        self._repeats.note(record, now_s)
        for late in self._repeats.take_due(now_s):
            super().emit(late)
        if told:
            super().emit(record)

    def close(self) -> None:
        """Tell what was not told."""
        for late in self._repeats.take_due(math.inf):
            super().emit(late)
        super().close()


def _key(record: logging.LogRecord) -> tuple[str, int, str]:
    return record.name, record.levelno, _cause(record)


def _cause(record: logging.LogRecord) -> str:
    if isinstance(record.msg, dict):  # Of structlog, before it is rendered.
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
