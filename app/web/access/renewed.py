"""Values that are made from files, and made again when a file has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from tables.errors import ConfigurationError

Value = TypeVar("Value")

LOOK_EVERY_S = 1.0
"""Shortest time between two looks at the files, so that a request costs no system call."""

_log = structlog.get_logger(__name__)


class Renewed(Generic[Value]):
    """A value that follows its files. While the files cannot be used, the former value stays in use.

    Args:
        make: makes the value from the files. Raises ConfigurationError if it cannot.
        files: the files that `make` reads.
        clock: returns seconds that never go back.

    Raises:
        ConfigurationError: the files cannot be used now, so that there is no value to begin with.
    """

    def __init__(
        self, make: Callable[[], Value], files: Sequence[Path], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._files = files
        self._clock = clock
        # The stamps are older than the content: a change while the files are read is seen by the next look.
        self._stamps = self._present_stamps()
        self._value = make()
        self._looked_s = clock()
        self._told = ""

    def present(self) -> Value:
        """Return the value of the files as they were at most `LOOK_EVERY_S` ago.

        A reason why the files cannot be used is logged once. They are read again at every look, because not every obstacle that
        goes away, such as an error of a disk, leaves a trace in the files' stamps.
        """
        now_s = self._clock()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._look()
        return self._value

    def _look(self) -> None:
        stamps = self._present_stamps()
        if stamps == self._stamps and not self._told:
            return
        try:
            self._value = self._make()
        except ConfigurationError as error:
            if str(error) != self._told:
                self._told = str(error)
                _log.error("changed files cannot be used, their former content is used", reason=self._told)
            return
        self._stamps, self._told = stamps, ""
        _log.info("changed files are used", files=[str(file) for file in self._files])

    def _present_stamps(self) -> Sequence[object]:
        return [_stamp(file) for file in self._files]


def _stamp(file: Path) -> object:
    try:
        found = file.stat()
    except OSError:
        return None
    # The time of the last change of a file's inode also changes with its rights.
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
