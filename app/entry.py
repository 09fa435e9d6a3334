"""The entry point of a process: sets a handler of SIGTERM before the other modules are imported.

The kernel ignores a signal to process 1 of a container while the process has no handler: a worker that is stopped in its first second
would run on until it is killed. So this module imports next to nothing before it sets a handler.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from app.exit_codes import EXIT_TERMINATED


def main() -> None:
    """Set the handler of SIGTERM, and run the command line."""
    signal.signal(signal.SIGTERM, end_worker if sys.argv[1:2] == ["worker"] else _end)
    from app.cli import main as run

    run()


def end_worker(number: int, frame: FrameType | None) -> None:
    """End a worker with exit code 0, as every stopped worker ends, before Faust sets its own handlers; nothing is open yet."""
    os._exit(0)


def _end(number: int, frame: FrameType | None) -> None:
    """End a command with EXIT_TERMINATED; `finally` blocks still run. `wordcount run` sets its own handler."""
    raise SystemExit(EXIT_TERMINATED)
