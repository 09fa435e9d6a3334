"""Lock of the state folder, so that one process at a time uses it."""

from __future__ import annotations

import os
from pathlib import Path

from tables.errors import ConfigurationError, StateLockedError
from tables.store.file_lock import FileLock


class StateLock:
    """Locks `folder` for this process until `release`.

    Args:
        folder: state folder; created if missing.

    Raises:
        ConfigurationError: the folder cannot be written.
        StateLockedError: another process holds the lock.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._lock = FileLock(folder / "LOCK")
        except OSError as error:
            raise _unusable(folder, error) from error
        try:
            taken = self._lock.take()
            if taken:
                self._lock.name_holder(os.getpid())
        except OSError as error:
            self._lock.close()
            raise _unusable(folder, error) from error
        if not taken:
            holder = self._lock.holder() or "unknown"
            self._lock.close()
            raise StateLockedError(
                f"the state folder {folder} is in use by process {holder}",
                "stop that process, or set WORDCOUNT_STATE_DIR to a folder of this worker's own",
            )

    def release(self) -> None:
        """Release the lock, so that another process can use the folder."""
        self._lock.close()


def _unusable(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the state folder {folder} cannot be written ({error.strerror})",
        "free disk space, or set WORDCOUNT_STATE_DIR to a folder that this user can write",
    )
