"""How late the machine is by itself: a process on each core that only looks at the clock, beside what is measured.

An event loop can be late because of its own process, or because nobody was given that core. This tells the two apart.
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
    """While the context is open a process watches the clock on each core; after it the list has their longest delays in seconds."""
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
