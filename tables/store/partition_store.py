"""One partition's rows on disk: a RocksDB folder that holds `word -> (count, upto)` and the state, always of the same flush.

Two ways to write, both atomic over rows and state (measured in ADR 3):

* a large flush is a sorted SST file, written while the changelog is still being acknowledged and ingested afterwards;
* a small one is one sorted WriteBatch without write-ahead log: the changelog is the log.

A store without its newest WriteBatches is an older, consistent flush; the changelog brings it forward. An error of RocksDB never means
that a row is missing: `tables.store.rocksdb_errors` says what it means.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    IngestExternalFileOptions,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from tables.errors import StoreCorruptedError
from tables.model.names import STATE_KEY
from tables.model.rows import StoreState, decode_state, encode_state
from tables.model.slices import SLICE_ROWS
from tables.store.manifest import check_manifest
from tables.store.rocksdb_errors import store_errors
from tables.store.snapshot import Readers, StoreSnapshot, position_in
from tables.store.sst_file import SstFile
from tables.threads import beside_the_loop

SMALL_FLUSH_ROWS = 4096
"""Up to here a WriteBatch is cheaper than an SST file (an ingest costs 2-5 ms and a file, whatever its size)."""

WRITE_BUFFER_BYTES = 8 << 20
"""At most; smaller where many stores share the memory."""

_EMPTY = StoreState(marker=None, examined=0, max_upto=0)
_BLOOM_BITS_PER_KEY = 10
_LEVEL0_FILES = 8


class ByteColumn(Protocol):
    """Keys, or values, of a flush."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


class StagedRows:
    """Rows of one flush, on their way into the store; nothing of them is visible before `PartitionStore.commit`.

    Attributes:
        keys, values: the rows.
        file: has them too, where they are many.
    """

    def __init__(self, keys: ByteColumn, values: ByteColumn, file: SstFile | None) -> None:
        self.keys = keys
        self.values = values
        self.file = file

    def discard(self) -> None:
        """Forget the rows; removes the file."""
        if self.file is not None:
            self.file.discard()


class PartitionStore:
    """An open store. Not safe for two writers; reads from any thread while one writes.

    Args:
        folder: created where missing.
        block_cache: shared by all stores of the process.
        write_buffer_bytes: rows of small flushes that memory holds before they become a file.

    Raises:
        StateLockedError: another process has it open.
        StoreCorruptedError: it is damaged.
        StoreFullError, StoreUnavailableError: the system refuses what it needs; it stays as it is.
    """

    def __init__(
        self, folder: Path, block_cache: Cache, write_buffer_bytes: int = WRITE_BUFFER_BYTES
    ) -> None:
        self._folder = folder
        self._options = _options(block_cache, write_buffer_bytes)
        self._staging = folder.with_name(folder.name + ".staging")
        self._memtable_holds_rows = False
        self._staged_files = 0
        self._readers = Readers()
        shutil.rmtree(self._staging, ignore_errors=True)
        with store_errors(folder):
            self._staging.mkdir(parents=True)
            check_manifest(folder)
            self._db = Rdict(str(folder), self._options)
            try:
                value = self._db.get(STATE_KEY)
            except BaseException:
                self._db.close()  # An open store keeps the lock of its folder, and the error's traceback the store.
                raise
        state = None if value is None else decode_state(value)
        if value is not None and state is None:
            self.close()
            raise StoreCorruptedError(f"the state in {folder} cannot be read", folder=folder)
        self.state = state or _EMPTY
        self.was_empty = value is None

    def stored_state(self) -> StoreState:
        """The state that the rows have: newer than `state` for a moment after a commit. A close waits for it.

        Raises:
            NotReadyError: the store is closed, or about to be.
        """
        # Of a single key rocksdict keeps the GIL: this one was just written, and a look at many stores is one step.
        with self._readers, store_errors(self._folder):
            value = self._db.get(STATE_KEY)
        return (None if value is None else decode_state(value)) or _EMPTY

    def get_at(self, word: bytes) -> tuple[bytes | None, int | None]:
        """The row of one word and the position that it is at, both of the same flush; None where rows are ahead of it.

        A close waits for it: rocksdict cannot close a store that is being read.

        Raises:
            NotReadyError: the store is closed, or about to be.
        """
        with self._readers, store_errors(self._folder):
            row, state = self._db.get([word, STATE_KEY])
        return row, position_in(state)

    @beside_the_loop
    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        """The rows of `words`, in their order; fastest where they are sorted."""
        rows: list[bytes | None] = []
        with store_errors(self._folder):
            for start in range(0, len(words), SLICE_ROWS):
                rows += self._db.get(list(words[start : start + SLICE_ROWS]))
        return rows

    @contextmanager
    def snapshot(self) -> Iterator[StoreSnapshot]:
        """Rows and position as of now, whatever is written meanwhile. A close waits for it.

        Raises:
            NotReadyError: the store is closed, or about to be.
        """
        # RocksDB keeps its folder locked while an iterator lives, even after a close.
        with self._readers, store_errors(self._folder):
            view = StoreSnapshot(self._db, self._readers)
            try:
                yield view
            finally:
                view.release()

    def scan(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` (word, row) pairs with word >= `start`, in byte order."""
        with self.snapshot() as view:
            return view.scan(start, limit)

    def estimated_rows(self) -> int:
        """About as many rows as there are, or more; read from counters."""
        with store_errors(self._folder):
            return int(self._db.property_int_value("rocksdb.estimate-num-keys") or 0)

    def slices(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """All (word, row) pairs in byte order; writes between two slices may or may not be seen."""
        start = b""
        while part := self.scan(start, 4 * SLICE_ROWS):
            yield part
            start = part[-1][0] + b"\x00"

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of `slices`, one by one."""
        for part in self.slices():
            yield from part

    @beside_the_loop
    def stage(self, keys: ByteColumn, values: ByteColumn) -> StagedRows:
        """Prepare rows of which `keys` are strictly ascending. Slow part of a large flush; needs no acknowledgement yet."""
        if len(keys) <= SMALL_FLUSH_ROWS:
            return StagedRows(keys, values, None)
        self._staged_files += 1
        with store_errors(self._folder):
            file = SstFile(self._staging / f"{self._staged_files}.sst", self._options)
            try:
                file.add(keys, values)
                file.save()
            except BaseException:
                file.discard()
                raise
        return StagedRows(keys, values, file)

    @beside_the_loop
    def commit(self, staged: StagedRows, state: StoreState) -> None:
        """Make `staged` and `state` visible, both or neither, also across a crash."""
        assert state.examined >= self.state.examined, "what was examined is never forgotten"
        with store_errors(self._folder):
            if staged.file is None:
                self._write(staged, state)
            else:
                self._ingest(staged.file, state)
        self.state = state

    def close(self) -> None:
        """Write what only memory holds and release the folder. A closed store answers nothing; it may be closed again."""
        try:
            with store_errors(self._folder):
                self._flush_memtable()
        finally:
            self._readers.end()
            shutil.rmtree(self._staging, ignore_errors=True)
            with store_errors(self._folder), suppress(DbClosedError):
                self._db.close()

    def abandon(self) -> None:
        """Release the folder of a store that is about to be destroyed, or whose disk is full."""
        self._memtable_holds_rows = False
        self.close()

    def _write(self, staged: StagedRows, state: StoreState) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in zip(staged.keys, staged.values, strict=True):
            batch.put(key, value)
        batch.put(STATE_KEY, encode_state(state))
        options = WriteOptions()
        options.disable_wal = True
        self._db.write(batch, options)
        self._memtable_holds_rows = True

    def _ingest(self, file: SstFile, state: StoreState) -> None:
        try:
            # An earlier flush that is still in memory would be lost by a crash while the later, ingested one survives.
            self._flush_memtable()
            file.add([STATE_KEY], [encode_state(state)])
            file.finish()
            move = IngestExternalFileOptions()
            move.set_move_files(True)
            self._db.ingest_external_file([str(file.path)], move)
        finally:
            file.discard()

    def _flush_memtable(self) -> None:
        if self._memtable_holds_rows:
            self._db.flush()
            self._memtable_holds_rows = False


def destroy_store(folder: Path) -> None:
    """Remove a closed store and what it staged. Nothing is lost: the changelog has every row."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder.with_name(folder.name + ".staging"), ignore_errors=True)


def _options(block_cache: Cache, write_buffer_bytes: int) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(block_cache)
    table.set_bloom_filter(_BLOOM_BITS_PER_KEY, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(write_buffer_bytes)
    options.set_level_zero_file_num_compaction_trigger(_LEVEL0_FILES)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(256)
    return options
