"""Turns of flushes: how many large buffers are flushed at a time, and how many small buffers are counted at a time (ADR 9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tables.pace.memory import LARGE_FLUSHES

LARGE_BUFFER_BYTES = 1 << 20

TURN_BYTES = 16 << 20
"""A buffer takes one turn per this many bytes, up to all turns, because a single record may be larger than a full buffer."""

SMALL_COUNTS = 1
"""Small buffers that are counted at a time.

Half of the work of a count holds the GIL: two counts at a time would each take twice as long, and the commits of other partitions
would wait for both.
"""


class Turn:
    """The right to flush one buffer. Held while the buffer is flushed."""

    def __init__(self, counting: asyncio.Semaphore | None = None) -> None:
        self._counting = counting

    def counted(self) -> None:
        """Let another small buffer be counted, because this buffer is. A second call does nothing."""
        if self._counting is not None:
            self._counting.release()
            self._counting = None


class FlushTurns:
    """Bounds the large flushes and the counts of small buffers at a time. A buffer that waits for its turn still takes records in."""

    def __init__(self) -> None:
        self._large_flushes = asyncio.Semaphore(LARGE_FLUSHES)
        self._taking = asyncio.Lock()
        self._small_counts = asyncio.Semaphore(SMALL_COUNTS)

    @asynccontextmanager
    async def turn(self, buffer_bytes: Callable[[], int]) -> AsyncIterator[Turn]:
        """Wait for the turn of a buffer and hold it during the `with` block, which has to close the buffer before its first `await`.

        Large flushes are bounded because of memory: until the store has its rows, a counted buffer of words that hardly repeat takes
        45 times its bytes. Flushes of small buffers, those of partitions that have caught up, are not bounded, because they would wait
        for each other's acknowledgements. Only their counts take turns, which bounds how long a record waits in a closed buffer.

        Args:
            buffer_bytes: returns the size of the buffer, which may grow during the wait: a small buffer may become a large one.
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
            async with (
                self._taking
            ):  # Otherwise two large buffers could each hold some turns and wait for the others for ever.
                while taken < min(LARGE_FLUSHES, 1 + buffer_bytes() // (TURN_BYTES + 1)):
                    await self._large_flushes.acquire()
                    taken += 1
            yield Turn()
        finally:
            for _ in range(taken):
                self._large_flushes.release()
