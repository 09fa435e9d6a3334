"""Lock file that one process at a time holds. The operating system releases the lock however the holder ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

_POLL_S: Final = 0.02
_LONGEST_NAME_BYTES: Final = 20


class FileLock:
    """Opens a lock file; `take` takes the lock.

    A child process that inherits `descriptor` holds the lock too. The lock is free when parent and child have closed the descriptor.

    Args:
        path: lock file; created with its folder if missing.

    Raises:
        OSError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def take(self, wait_s: float = 0.0) -> bool:
        """Take the lock and clear the name of the former holder.

        Args:
            wait_s: longest wait for another process, in seconds; 0 = do not wait.

        Returns:
            Whether this process holds the lock.

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
        """Return the id of the process that holds the lock; "" = the holder has not written its id."""
        return os.pread(self.descriptor, _LONGEST_NAME_BYTES, 0).decode().strip()

    def name_holder(self, pid: int) -> None:
        """Write `pid` into the lock file, for processes that want the lock. Raises OSError if the file cannot be written."""
        os.pwrite(self.descriptor, str(pid).encode(), 0)

    def close(self) -> None:
        """Close the lock file, and release the lock unless a child process holds it too."""
        os.close(self.descriptor)

    def _is_held_now(self) -> bool:
        """Try once to take the lock; return whether this process holds it now."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
