"""The first code of a process. SIGTERM counts from here on, while the rest is still being imported.

The kernel drops a signal to process 1 of a container as long as no handler is set: a worker that is stopped in its first second would
go on until it is killed. So this module imports next to nothing before it has set one.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from app.exit_codes import EXIT_TERMINATED


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, end_worker if sys.argv[1:2] == ["worker"] else _end)
    from app.cli import main as run

    run()


def end_worker(number: int, frame: FrameType | None) -> None:
    """End a worker before Faust has handlers of its own: nothing is open yet, and it ends as every worker that is told to."""
    os._exit(0)


def _end(number: int, frame: FrameType | None) -> None:
    """End a command in order; `wordcount run` sets a handler of its own."""
    raise SystemExit(EXIT_TERMINATED)
