"""How many windows are flushed at a time, and how many are counted (ADR 9)."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

LARGE_WINDOW_BYTES = 1 << 20
LARGE_FLUSHES = 3
"""Two are counted while one is being acknowledged."""

SMALL_COUNTS = 1
"""Half of a count holds the GIL: two small ones at a time take twice as long each, and the commits of others wait behind them."""


class FlushTurns:
    """A window that waits for its turn is open: it takes records in as before."""

    def __init__(self) -> None:
        self._large_flushes = asyncio.Semaphore(LARGE_FLUSHES)
        self._small_counts = asyncio.Semaphore(SMALL_COUNTS)

    def to_flush(self, window_bytes: int) -> AbstractAsyncContextManager[None]:
        """Held while a window of this size is flushed.

        Bounds memory: a counted window of words that hardly repeat takes 30 times its bytes until the store has it. Eight at once
        took 1.2 GB. Small windows, those of partitions that have caught up, would wait for each other's acknowledgements.
        """
        return self._large_flushes if window_bytes >= LARGE_WINDOW_BYTES else nullcontext()

    def to_count(self, window_bytes: int) -> AbstractAsyncContextManager[None]:
        """Held while a window of this size is closed and counted.

        Bounds what a record waits for once its window is closed. Large windows have had their turn already.
        """
        return self._small_counts if window_bytes < LARGE_WINDOW_BYTES else nullcontext()
