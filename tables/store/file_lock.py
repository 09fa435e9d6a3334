"""A file that one process at a time holds: a lock that the operating system releases when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

_POLL_S: Final = 0.02
_LONGEST_NAME_BYTES: Final = 20


class FileLock:
    """Opened, and not held before `take`.

    A child that inherits `descriptor` holds the lock too, until the last of both has closed it.

    Args:
        path: created where missing, with its folder.

    Raises:
        OSError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def take(self, wait_s: float = 0.0) -> bool:
        """Hold the lock, without a holder's name yet; wait for another process for `wait_s` at most. Returns whether it is held.

        Raises:
            OSError: the file system has no locks, or the file cannot be written.
        """
        deadline_s = time.monotonic() + wait_s
        while not self._is_held_now():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_POLL_S)
        os.ftruncate(self.descriptor, 0)
        return True

    def holder(self) -> str:
        """The process that holds the lock; "" = it has not said."""
        return os.pread(self.descriptor, _LONGEST_NAME_BYTES, 0).decode().strip()

    def name_holder(self, pid: int) -> None:
        """Tell those that want the lock which process holds it. Raises OSError."""
        os.pwrite(self.descriptor, str(pid).encode(), 0)

    def close(self) -> None:
        """Let another process have the lock."""
        os.close(self.descriptor)

    def _is_held_now(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
