"""Courtesy: a process that is asked while its event loop is late pauses between flushes, so that its answers come soon. Pure.

At full speed the threads of flushes keep the cores and the GIL busy. An answer takes several turns of the event loops of several
processes, and each turn may be late (ADR 14). So each question that finds the event loop late raises a level, and the level falls with
time: pauses grow until about one question in five seconds finds the event loop late. Who asks seldom does not slow the counting down.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

LATE_S: Final = 0.015
"""Delay of the event loop in seconds from which on a question counts as late."""

STEP: Final = 0.5
"""What a late question adds to the level."""

FALL_PER_S: Final = 0.1
"""What the level loses in a second, so that one late question in five seconds keeps it."""

MOST_LEVEL: Final = 3.0
"""Highest level: flushes get a quarter of the time at least."""

ALONE_LEVEL: Final = 1.0
"""Level from which on large buffers are flushed one at a time."""

MOST_PAUSE_S: Final = 1.5
"""Longest pause, which bounds what a single slow flush leads to."""


class Courtesy:
    """Says how long a process pauses after a flush.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._delay_s = 0.0
        self._level = 0.0
        self._since_s = clock()

    @property
    def level(self) -> float:
        """Length of a pause as a multiple of the work before it, from 0 to `MOST_LEVEL`."""
        return max(0.0, self._level - (self._clock() - self._since_s) * FALL_PER_S)

    @property
    def alone(self) -> bool:
        """Whether large buffers are flushed one at a time."""
        return self.level >= ALONE_LEVEL

    def delayed(self, delay_s: float) -> None:
        """Note how late the event loop runs at present because of others than itself, in seconds (>= 0)."""
        self._delay_s = delay_s

    def asked(self) -> None:
        """Note that a question has come."""
        if self._delay_s >= LATE_S:
            self._level = min(MOST_LEVEL, self.level + STEP)
            self._since_s = self._clock()

    def pause_s(self, busy_s: float) -> float:
        """Return the pause in seconds after work that took `busy_s` seconds."""
        return min(MOST_PAUSE_S, self.level * busy_s)
