"""How many large windows are flushed at a time."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

LARGE_WINDOW_BYTES = 1 << 20
LARGE_FLUSHES = 3
"""Two are counted while one is being acknowledged."""


class FlushTurns:
    """Bounds memory: a counted window of words that hardly repeat takes 30 times its bytes until the store has it.

    Eight at once took 1.2 GB. Small windows, those of partitions that have caught up, need no turn: they would wait for each other's
    acknowledgements.
    """

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(LARGE_FLUSHES)

    def turn(self, window_bytes: int) -> AbstractAsyncContextManager[None]:
        """Held while a window of this size is flushed."""
        return self._large if window_bytes >= LARGE_WINDOW_BYTES else nullcontext()
