"""An event loop with virtual time: its clock jumps to the next timer, so that hours pass in milliseconds, and runs are repeatable."""

import asyncio
import selectors
from typing import Any


class StuckError(Exception):
    """A deadlock: every task waits, and no timer is set that could continue a task."""


class _NoFiles(selectors.SelectSelector):
    """A selector without files; waiting advances the clock and takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise StuckError
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A deterministic event loop: one thread, no files, and a clock that starts at 0 and advances only while all tasks wait."""

    def __init__(self) -> None:
        self._no_files = _NoFiles()
        super().__init__(self._no_files)

    def time(self) -> float:
        return self._no_files.now
