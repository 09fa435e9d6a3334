"""Background threads: what counts, restores and follows runs in them, and the event loop goes before them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from tables.ports import Result, RunInThread

NICENESS: Final = 10
"""What background threads add to the niceness of the process, on Linux.

So a thread of the event loop that wakes up has a core at once, also while more threads compute than there are cores. Measured with
three workers and a broker on two cores, which catch up while they are asked: p99 of the top 100 is 32 ms instead of 75 ms, at the same
speed. A worker alone counts as fast as before.
"""


def runner(name: str, threads: int) -> RunInThread:
    """Return a function that runs others in at most `threads` background threads, which end with the process."""
    executor = ThreadPoolExecutor(threads, name, initializer=_step_back)

    def run(function: Callable[..., Result], /, *arguments: Any) -> asyncio.Future[Result]:
        return asyncio.get_running_loop().run_in_executor(executor, function, *arguments)

    return run


def _step_back() -> None:
    """Lower the priority of the calling thread. Elsewhere than on Linux all threads of a process have one priority."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A sandbox may refuse it; the worker then counts as well, and answers later when cores are scarce.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
