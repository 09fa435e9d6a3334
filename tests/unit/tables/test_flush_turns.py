"""How many windows are flushed at a time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tables.flush_turns import LARGE_FLUSHES, LARGE_WINDOW_BYTES, FlushTurns


async def test_large_windows_take_turns_and_small_ones_do_not_wait() -> None:
    turns = FlushTurns()
    async with AsyncExitStack() as held:
        for _ in range(LARGE_FLUSHES):
            await held.enter_async_context(turns.turn(LARGE_WINDOW_BYTES))
        async with turns.turn(LARGE_WINDOW_BYTES - 1):
            pass
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), turns.turn(LARGE_WINDOW_BYTES):
                pass
    async with asyncio.timeout(1), turns.turn(LARGE_WINDOW_BYTES):
        pass
