"""Measurement of the event loop's delay: a task that is due every 10 ms measures how late it runs.

The event loop is late if a callback took long, or if a thread kept the GIL. HTTP and the order of flushes run on this event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PERIOD_S = 0.01
"""Seconds between two measurements, which together cost 0.2 % of a core. A delay is measured too short by this time at most."""


async def watch_loop(delayed: Callable[[float], None]) -> None:
    """Call `delayed` with each measured delay in seconds, >= 0, until cancelled."""
    while True:
        # Not `loop.time()`: with uvloop that is the time at which the loop's iteration began, before a callback that takes long.
        due = time.monotonic() + PERIOD_S
        await asyncio.sleep(PERIOD_S)
        delayed(max(0.0, time.monotonic() - due))
