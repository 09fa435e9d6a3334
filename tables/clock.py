"""The clock of leases: it counts the time during which the machine was suspended, which `time.monotonic` leaves out.

A group goes on while a machine is suspended. A worker that is resumed must not take its last heartbeat for young, nor a flush
whose marker it sent before: others may own its partitions by now, and followers have shown the flush.
"""

from __future__ import annotations

import time
from typing import Final

_CLOCK: Final[int] = getattr(
    time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC)
)
"""On Linux CLOCK_BOOTTIME: CLOCK_MONOTONIC and CLOCK_MONOTONIC_RAW stand still in a suspended machine. macOS has no CLOCK_BOOTTIME;
there CLOCK_MONOTONIC_RAW goes on, and the clock that `time.monotonic` reads stands still."""


def now_s() -> float:
    """Return seconds since some moment before the start of this process. The clock never goes back and is never set."""
    return time.clock_gettime(_CLOCK)
