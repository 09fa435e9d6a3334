"""The pace of lines that are sent as their times say: as they happened, or so many times as fast."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import numpy as np

from app.produce.text_files import LineBlock

# Lines that are due within this time of each other are sent together, so that few records come with a batch of their own.
_SHORTEST_WAIT_S: Final = 0.05

# A pause may last for days; an error of a batch that was sent before the pause is told within this time.
_LONGEST_WAIT_S: Final = 1.0


class Sink(Protocol):
    """Takes blocks of lines; `flush` sends what was taken, and raises the error of an earlier batch."""

    async def add(self, block: LineBlock) -> None: ...

    async def flush(self) -> None: ...


class EventPace:
    """Passes lines to `sink` when their time comes, and at most 50 ms later; a line whose time has passed goes at once.

    Args:
        sink: takes the lines, in the order in which they come.
        speed: how many times as fast as they happened the lines are passed on, > 0. The first line goes at once; the times of all
            others are relative to its time.
    """

    def __init__(self, sink: Sink, speed: float) -> None:
        assert speed > 0
        self._sink = sink
        self._speed = speed
        self._first_ms: int | None = None
        self._started_s = 0.0

    async def add(self, block: LineBlock) -> None:
        """Pass on the lines of a block that has times, and return when all of them were sent."""
        assert block.times_ms is not None
        if self._first_ms is None:
            self._first_ms = block.times_ms[0]
            self._started_s = asyncio.get_running_loop().time()
        due_s = (np.array(block.times_ms, np.float64) - self._first_ms) / 1000 / self._speed
        start = 0
        while start < len(due_s):
            now_s = await self._wait_until(due_s[start])
            later = np.flatnonzero(due_s[start:] > now_s)
            end = start + int(later[0]) if len(later) else len(due_s)
            await self._sink.add(block.part(start, end))
            await self._sink.flush()
            start = end

    async def _wait_until(self, due_s: float) -> float:
        """Return the seconds since the first line was passed on, once they are at least `due_s`."""
        while (now_s := asyncio.get_running_loop().time() - self._started_s) < due_s:
            await asyncio.sleep(min(max(due_s - now_s, _SHORTEST_WAIT_S), _LONGEST_WAIT_S))
            await self._sink.flush()
        return now_s
