"""An event loop whose clock jumps to the next timer: schedules of hours run in milliseconds, the same way every time."""

import asyncio
import selectors
from typing import Any


class StuckError(Exception):
    """Nothing will ever happen again: every task waits for something that no timer will bring."""


class _NoFiles(selectors.SelectSelector):
    """Waits for no file; waiting moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise StuckError
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: one thread, no files, time starts at 0 and passes only while all tasks wait."""

    def __init__(self) -> None:
        self._no_files = _NoFiles()
        super().__init__(self._no_files)

    def time(self) -> float:
        return self._no_files.now
