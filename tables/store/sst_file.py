"""SST file of sorted rows, written to disk without holding the GIL while the disk works (ADR 3)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from rocksdict import Options, SstFileWriter

_COPY_BYTES = 1 << 20


class SstFile:
    """Writes rows to a file at `path`, which RocksDB then ingests.

    rocksdict holds the GIL while RocksDB writes and syncs a file, so that a busy disk would stop the event loop. Here RocksDB writes
    to memory, and `save` copies the bytes to `path` without the GIL.

    Args:
        path: file to create, on the file system of the store.
        options: options of the store.

    Raises:
        OSError: `path` cannot be created or written.
        Exception: an error of RocksDB, raised as a plain `Exception`, for example if the keys do not ascend.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        with ExitStack() as opened:
            self._disk = opened.enter_context(path.open("wb", buffering=0))
            opened.callback(path.unlink, missing_ok=True)
            self._memory, name = _memory_file(path.parent)
            opened.callback(self._memory.close)
            self._writer = SstFileWriter(options)
            self._writer.open(name)
            opened.pop_all()

    def add(self, keys: Iterable[bytes], values: Iterable[bytes]) -> None:
        """Append rows. Each key is greater than all keys before."""
        writer = self._writer
        for key, value in zip(keys, values, strict=True):
            writer[key] = value

    def save(self) -> None:
        """Copy to disk what RocksDB has written so far, all rows but those of the last MiB, and wait for the sync."""
        while piece := self._memory.read(_COPY_BYTES):
            rest = memoryview(piece)
            while (
                rest
            ):  # A write to a nearly full disk may take only a part; the next write then raises the error.
                rest = rest[self._disk.write(rest) :]
        os.fsync(self._disk.fileno())

    def finish(self) -> None:
        """Complete the file, so that RocksDB can ingest it, and save the rest."""
        self._writer.finish()
        self.save()

    def discard(self) -> None:
        """Free the memory, and remove the file if it is still at `path`."""
        self._disk.close()
        self._memory.close()
        self.path.unlink(missing_ok=True)


def _memory_file(folder: Path) -> tuple[IO[bytes], str]:
    """Return a file in memory for RocksDB to write to, open at its beginning, and the name of the file.

    If the system has no files in memory, return a temporary file in `folder`.
    """
    try:
        memory = os.fdopen(os.memfd_create("sst"), "rb", buffering=0)
    except (AttributeError, OSError):
        # The system is not Linux, or forbids files in memory. A temporary file works too, but the disk is waited for with the GIL.
        file = NamedTemporaryFile(dir=folder)  # noqa: SIM115
        return file, file.name
    return memory, f"/proc/self/fd/{memory.fileno()}"
