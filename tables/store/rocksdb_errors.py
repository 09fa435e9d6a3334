"""Errors of RocksDB and of the system under a store, translated: a damaged store, or a resource that the system refuses.

rocksdict raises a plain `Exception` with RocksDB's status as its text: "Corruption: …", or "IO error: … : Too many open files", which
ends with the text of `errno`. Only a corrupted store is thrown away and rebuilt. Any other error ends the process and leaves the store
as it is, so that the next start continues with the store (rule 16 of ARCHITECTURE.md).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rocksdict import DbClosedError

from tables.errors import (
    NotReadyError,
    StateLockedError,
    StoreCorruptedError,
    StoreFullError,
    StoreUnavailableError,
    WordcountError,
)

_START_AGAIN = "start again: the worker restores missing rows from the changelog"
_REMEDIES = {
    errno.EMFILE: "raise the limit of open files of this process (ulimit -n, LimitNOFILE=); wordcount doctor says how many it needs",
    errno.ENFILE: "raise the limit of open files of this machine (sysctl fs.file-max)",
    errno.ENOMEM: "give this process more memory, or fewer partitions",
    errno.EACCES: "give this user the right to read and write the folder",
    errno.EPERM: "give this user the right to read and write the folder",
    errno.EROFS: "have the file system mounted for writing: it may have been made read-only after an error of the disk",
    errno.EIO: "the disk fails: look at the system's log, and set WORDCOUNT_STATE_DIR to a folder on another disk",
    errno.ESTALE: "the network file system has lost the folder: mount the file system again, then start again",
}
_FULL = {
    errno.ENOSPC: "free disk space and start again",
    errno.EDQUOT: "free some of this user's disk quota and start again",
}
_MISSING = (errno.ENOENT, errno.ENOTDIR)


@contextmanager
def store_errors(folder: Path) -> Iterator[None]:
    """Translate an error that is raised in the `with` block into an error that names the cause and the remedy.

    Args:
        folder: folder of the store.

    Raises:
        StoreCorruptedError: the store is damaged.
        StoreFullError: the disk or the user's quota is full.
        StoreUnavailableError: the system refuses open files, memory, rights, the disk, or the folder itself.
        StateLockedError: another process has the store open.
        NotReadyError: the store is closed.
    """
    try:
        yield
    except WordcountError:
        raise
    except DbClosedError as error:
        raise NotReadyError(f"the store {folder} is closed") from error
    except OSError as error:
        raise _refused(folder, error.errno or 0, str(error)) from error
    except Exception as error:
        if (
            type(error) is not Exception
        ):  # rocksdict raises plain Exceptions; any other type is a mistake of the program.
            raise
        raise _meaning(folder, str(error)) from error


def _meaning(folder: Path, text: str) -> WordcountError:
    """Return the error for RocksDB's status `text` about the store in `folder`."""
    if "lock hold by" in text or ("While lock file" in text and _errno_of(text) in (0, errno.EAGAIN)):
        return StateLockedError(
            f"another process uses the state folder {folder}",
            "give each worker a WORDCOUNT_STATE_DIR of its own",
        )
    if text.startswith("Corruption"):
        # If RocksDB cannot open files while it opens a store, it reports the missing files as corruption.
        code = _errno_of(text)
        if code in _REMEDIES or code in _FULL:
            return _refused(folder, code, text)
        return StoreCorruptedError(f"the store {folder} is damaged ({text})", folder=folder)
    return _refused(folder, _errno_of(text), text)


def _refused(folder: Path, code: int, text: str) -> WordcountError:
    """Return the error for an operation that the system refuses with the `errno` `code`; 0 = not known."""
    if code in _FULL:
        return StoreFullError(f"no space left under {folder} ({os.strerror(code)})", _FULL[code])
    if code in _MISSING:
        if (folder / "CURRENT").exists():
            return StoreCorruptedError(f"the store {folder} lacks a file ({text})", folder=folder)
        return StoreUnavailableError(
            f"somebody removed the state folder {folder} of this worker", _START_AGAIN
        )
    remedy = _REMEDIES.get(
        code, "look at the system's log; wordcount rebuild makes the stores again from the changelog"
    )
    return StoreUnavailableError(f"the store {folder} cannot be used ({text})", remedy)


def _errno_of(text: str) -> int:
    """Return the `errno` whose text is in RocksDB's status; 0 = no `errno` that this module knows."""
    return next(
        (code for code in (*_FULL, *_REMEDIES, *_MISSING, errno.EAGAIN) if os.strerror(code) in text), 0
    )
