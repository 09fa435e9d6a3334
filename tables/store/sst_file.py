"""A sorted SST file on its way to disk: no sync and no slow disk is waited for while the GIL is held (ADR 3)."""

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
    """Rows for RocksDB to ingest from `path`.

    rocksdict holds the GIL while RocksDB writes and syncs, and on a busy disk the event loop would stand still with it. So RocksDB
    writes to memory, and `save` brings that to `path` without the GIL.

    Args:
        path: to be created; on the file system of the store.
        options: of the store.

    Raises:
        OSError: `path` cannot be created or written.
        Exception: RocksDB's, of which only the text tells more: keys do not ascend.
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
        """Append rows; every key is greater than all before it."""
        writer = self._writer
        for key, value in zip(keys, values, strict=True):
            writer[key] = value

    def save(self) -> None:
        """Wait until the disk has what RocksDB has written so far: all rows but those of the last MiB."""
        while piece := self._memory.read(_COPY_BYTES):
            rest = memoryview(piece)
            while rest:  # A disk that gets full takes a part; only the next write says why.
                rest = rest[self._disk.write(rest) :]
        os.fsync(self._disk.fileno())

    def finish(self) -> None:
        """Add what makes it a table, and save that too."""
        self._writer.finish()
        self.save()

    def discard(self) -> None:
        """Give memory back, and remove the file where it still is at `path`."""
        self._disk.close()
        self._memory.close()
        self.path.unlink(missing_ok=True)


def _memory_file(folder: Path) -> tuple[IO[bytes], str]:
    """A file for RocksDB to write to, open at its beginning, and its name."""
    try:
        memory = os.fdopen(os.memfd_create("sst"), "rb", buffering=0)
    except (AttributeError, OSError):
        # Not Linux, or forbidden there: the same result, but the GIL waits for the disk.
        file = NamedTemporaryFile(dir=folder)  # noqa: SIM115
        return file, file.name
    return memory, f"/proc/self/fd/{memory.fileno()}"
