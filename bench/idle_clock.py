"""The lateness of the machine itself: beside a measurement, a process on each core only reads the clock.

An event loop can be late because of its own process, or because the system ran something else on its core. The clocks tell which.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

PERIOD_S = 0.01


@contextmanager
def idle_clocks() -> Iterator[list[float]]:
    """Watch the clock on each core while the context is open; afterwards the list has each core's longest delay in seconds."""
    longest_s: list[float] = []
    clocks = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.idle_clock", str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for core in sorted(os.sched_getaffinity(0))
    ]
    try:
        yield longest_s
    finally:
        longest_s += [float(clock.communicate()[0]) for clock in clocks]


def main(core: int) -> None:
    """Print the longest delay on `core` until standard input ends."""
    os.sched_setaffinity(0, {core})
    longest_s, ended = 0.0, False
    while not ended:
        due = time.monotonic() + PERIOD_S
        ended = bool(select.select([sys.stdin], [], [], PERIOD_S)[0])
        longest_s = max(longest_s, time.monotonic() - due)
    print(longest_s)


if __name__ == "__main__":
    main(int(sys.argv[1]))
