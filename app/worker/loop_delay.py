"""Measurement of the event loop's delay: a task that is due every 10 ms measures how late it runs.

The event loop is late if a callback took long, or if a thread kept the GIL. HTTP and the order of flushes run on this event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PERIOD_S = 0.01
"""Seconds between two measurements, which together cost 0.2 % of a core. A delay is measured too short by this time at most."""


async def watch_loop(delayed: Callable[[float, float], None]) -> None:
    """Call `delayed` with each measured delay, until cancelled.

    Args:
        delayed: gets the delay in seconds, >= 0, and the part of it that others have caused: threads that kept the GIL or the cores.
            The event loop's own work causes the same share of the delay as it takes of the time.
    """
    while True:
        # Not `loop.time()`: with uvloop that is the time at which the loop's iteration began, before a callback that takes long.
        began_s, worked_s = time.monotonic(), time.thread_time()
        await asyncio.sleep(PERIOD_S)
        took_s = time.monotonic() - began_s
        delay_s = max(0.0, took_s - PERIOD_S)
        delayed(delay_s, delay_s * max(0.0, 1.0 - (time.thread_time() - worked_s) / took_s))
