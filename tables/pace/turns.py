"""How many buffers are flushed at a time, and how many are counted (ADR 9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tables.pace.memory import LARGE_FLUSHES

LARGE_BUFFER_BYTES = 1 << 20

TURN_BYTES = 16 << 20
"""A buffer of more bytes takes several turns, up to all: one record may be larger than a buffer."""

SMALL_COUNTS = 1
"""Half of a count holds the GIL: two small ones at a time take twice as long each, and the commits of others wait behind them."""


class Turn:
    """Held while a buffer is flushed."""

    def __init__(self, counting: asyncio.Semaphore | None = None) -> None:
        self._counting = counting

    def counted(self) -> None:
        """The buffer is counted: another small one may be. May be called again."""
        if self._counting is not None:
            self._counting.release()
            self._counting = None


class FlushTurns:
    """A buffer that waits for its turn is open: it takes records in as before."""

    def __init__(self) -> None:
        self._large_flushes = asyncio.Semaphore(LARGE_FLUSHES)
        self._taking = asyncio.Lock()
        self._small_counts = asyncio.Semaphore(SMALL_COUNTS)

    @asynccontextmanager
    async def turn(self, buffer_bytes: Callable[[], int]) -> AsyncIterator[Turn]:
        """Held while a buffer is flushed; it has to be closed before anything else is waited for.

        Large flushes are bounded because of memory: a counted buffer of words that hardly repeat takes 45 times its bytes until the
        store has it. Small buffers, those of partitions that have caught up, would wait for each other's acknowledgements; they are
        only counted one by one, which bounds what a record waits for once its buffer is closed.

        Args:
            buffer_bytes: size of the buffer, which may grow while its turn is waited for: a small one may become a large one.
        """
        if buffer_bytes() < LARGE_BUFFER_BYTES:
            await self._small_counts.acquire()
            if buffer_bytes() < LARGE_BUFFER_BYTES:
                turn = Turn(self._small_counts)
                try:
                    yield turn
                finally:
                    turn.counted()
                return
            self._small_counts.release()
        taken = 0
        try:
            async with self._taking:  # Two that wait for several turns must not have some of them each.
                while taken < min(LARGE_FLUSHES, 1 + buffer_bytes() // (TURN_BYTES + 1)):
                    await self._large_flushes.acquire()
                    taken += 1
            yield Turn()
        finally:
            for _ in range(taken):
                self._large_flushes.release()
