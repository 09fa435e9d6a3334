"""How late the event loop runs: a task that wants to run every 10 ms sees when it does.

Late means that a callback took long, or that a thread kept the GIL. HTTP, heartbeats and flushes all wait on this loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PERIOD_S = 0.01
"""A stall is seen shorter by at most this. Looking a hundred times a second costs 0.2 % of a core."""


async def watch_loop(delayed: Callable[[float], None]) -> None:
    """Tell `delayed` how late each look at the clock is, in seconds; until cancelled."""
    while True:
        # Not `loop.time()`: uvloop's is that of the turn's beginning, before a callback that stalls.
        due = time.monotonic() + PERIOD_S
        await asyncio.sleep(PERIOD_S)
        delayed(max(0.0, time.monotonic() - due))
