"""How many windows are flushed and counted at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from tables.flush_turns import LARGE_FLUSHES, LARGE_WINDOW_BYTES, SMALL_COUNTS, FlushTurns

LARGE, SMALL = LARGE_WINDOW_BYTES, LARGE_WINDOW_BYTES - 1

Turn = Callable[[FlushTurns, int], AbstractAsyncContextManager[None]]


@pytest.mark.parametrize(
    ("turn", "at_once", "waits", "free"),
    [
        pytest.param(FlushTurns.to_flush, LARGE_FLUSHES, LARGE, SMALL, id="flush"),
        pytest.param(FlushTurns.to_count, SMALL_COUNTS, SMALL, LARGE, id="count"),
    ],
)
async def test_windows_of_one_kind_take_turns_and_the_others_do_not_wait(
    turn: Turn, at_once: int, waits: int, free: int
) -> None:
    turns = FlushTurns()
    async with AsyncExitStack() as held:
        for _ in range(at_once):
            await held.enter_async_context(turn(turns, waits))
        async with turn(turns, free):
            pass
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), turn(turns, waits):
                pass
    async with asyncio.timeout(1), turn(turns, waits):
        pass
