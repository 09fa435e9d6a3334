"""Turns of flushes: how many large buffers are flushed at a time, and how many small buffers are counted at a time (ADR 9).

While a process is asked and late, the turn of a large buffer is free again only after a pause (`tables.pace.courtesy`). Partitions
that have caught up never pause: they would fall behind, be flushed in large buffers with longer pauses, and not catch up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic

from tables.pace.courtesy import Courtesy
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

    def __init__(self, let_count: Callable[[], None] | None = None) -> None:
        self._let_count = let_count

    def counted(self) -> None:
        """Let another small buffer be counted, because this buffer is. A second call does nothing."""
        if self._let_count is not None:
            self._let_count()
            self._let_count = None


class FlushTurns:
    """Bounds the large flushes and the counts of small buffers at a time. A buffer that waits for its turn still takes records in.

    Args:
        courtesy: says how long the turn of a large buffer stays taken after its work.
    """

    def __init__(self, courtesy: Courtesy | None = None) -> None:
        self._courtesy = Courtesy() if courtesy is None else courtesy
        self._large_flushes = asyncio.Semaphore(LARGE_FLUSHES)
        self._taking = asyncio.Lock()
        self._small_counts = asyncio.Semaphore(SMALL_COUNTS)
        self._hurried = False
        self._pauses: set[Callable[[], None]] = set()
        """What ends each pause."""

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
                turn = Turn(self._small_counts.release)
                try:
                    yield turn
                finally:
                    turn.counted()
                return
            self._small_counts.release()
        taken, begun_s = 0, monotonic()
        try:
            # Without the lock two large buffers could each hold some turns and wait for the others for ever.
            async with self._taking:
                while taken < self._wanted(buffer_bytes()):
                    await self._large_flushes.acquire()
                    taken += 1
            begun_s = monotonic()
            yield Turn()
        finally:
            self._free(taken, begun_s)

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Pause no turn during the `with` block: whoever waits for all flushes does not wait for pauses."""
        self._hurried = True
        for end_pause in [*self._pauses]:
            end_pause()
        try:
            yield
        finally:
            self._hurried = False

    def _wanted(self, buffer_bytes: int) -> int:
        """Return how many turns a large buffer takes."""
        if self._courtesy.alone and not self._hurried:
            return LARGE_FLUSHES
        return min(LARGE_FLUSHES, 1 + buffer_bytes // (TURN_BYTES + 1))

    def _free(self, turns: int, begun_s: float) -> None:
        """Free `turns` turns of large buffers whose work began at `begun_s`, at once or after a pause."""

        def end_pause() -> None:
            if end_pause in self._pauses:
                self._pauses.remove(end_pause)
                for _ in range(turns):
                    self._large_flushes.release()

        self._pauses.add(end_pause)
        pause_s = self._courtesy.pause_s(monotonic() - begun_s)
        if pause_s and not self._hurried:
            asyncio.get_running_loop().call_later(pause_s, end_pause)
        else:
            end_pause()
