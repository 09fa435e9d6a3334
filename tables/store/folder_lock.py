"""One process per state folder: a lock that the operating system releases when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tables.errors import ConfigurationError, StateLockedError


class StateLock:
    """Holds `folder` for this process until `release`.

    Args:
        folder: created where missing.

    Raises:
        ConfigurationError: the folder cannot be written.
        StateLockedError: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / "LOCK").open("a+")
        except OSError as error:
            raise _unusable(folder, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise StateLockedError(
                f"the state folder {folder} is in use by process {holder}",
                "stop that process, or set WORDCOUNT_STATE_DIR to a folder of this worker's own",
            ) from error
        try:
            self._file.truncate(0)
            self._file.write(str(os.getpid()))
            self._file.flush()
        except OSError as error:
            raise _unusable(folder, error) from error

    def release(self) -> None:
        """Let another process have the folder."""
        self._file.close()


def _unusable(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the state folder {folder} cannot be written ({error.strerror})",
        "free disk space, or set WORDCOUNT_STATE_DIR to a folder that this user can write",
    )
