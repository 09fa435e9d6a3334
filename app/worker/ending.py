"""The end of a process: a deadline for its stop, and the last line for its operator."""

from __future__ import annotations

import math
import os
import sys
import threading

from app.exit_codes import EXIT_DEADLINE
from app.printable import printable


class Deadline:
    """Ends the process if stopping takes longer than `timeout_s` seconds.

    Runs in a thread, because the event loop may be what hangs.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timer: threading.Timer | None = None

    def start(self, code: int = EXIT_DEADLINE, *, at_most_s: float = math.inf) -> None:
        """Begin the time after which the process ends with exit code `code`. Later calls have no effect.

        Args:
            code: exit code of a process that is ended by the deadline.
            at_most_s: shorter time, in seconds, which wins over `timeout_s`.
        """
        if self._timer is None:
            timeout_s = min(self._timeout_s, at_most_s)
            self._timer = threading.Timer(timeout_s, self._end, [code, timeout_s])
            self._timer.daemon = True
            self._timer.start()

    def _end(self, code: int, timeout_s: float) -> None:
        say(
            f"not stopped within {timeout_s:g} s; ending now, records that were not flushed will be counted again"
        )
        os._exit(code)


def say(message: str) -> None:
    """Write one line for the operator to the real standard error, which Faust redirects into its log."""
    stream = sys.__stderr__
    if stream is not None:
        stream.write(f"wordcount: {printable(message)}\n")
        stream.flush()
