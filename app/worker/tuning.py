"""Options of the whole process: limit of open files, the GIL's switch interval, garbage collection, allocator."""

from __future__ import annotations

import gc
import sys

import pyarrow as pa

from app.machine import open_files

SWITCH_INTERVAL_S = 0.0002
"""Seconds that the event loop waits each time it takes the GIL from a thread that counts or restores: many times for one request.

Python's default is 5 ms. When the interval was lowered from 0.5 to 0.2 ms, the longest delay during a restore fell from 40-76 to
13-32 ms at the same speed (ADR 3).
"""

GC_THRESHOLDS = (50_000, 20, 50)
"""Higher than Python's defaults: batches are bytes and arrays, so the cyclic garbage collector finds little and may run less often."""


def tune_process() -> None:
    """Set the options for a process that counts or follows, and answers beside that."""
    open_files.raise_limit()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)
    # Arrow's own allocator keeps 70 MB more of freed memory than the system's allocator, and is not faster.
    pa.set_memory_pool(pa.system_memory_pool())
