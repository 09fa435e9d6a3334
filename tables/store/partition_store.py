"""RocksDB store of one partition: its rows `word -> (count, upto)` and its state, always of the same flush.

There are two ways to write, both atomic over rows and state (measured in ADR 3):

* A large flush is written to a sorted SST file while the changelog records are still being acknowledged, and ingested afterwards.
* A small flush is one sorted WriteBatch without write-ahead log, because the changelog is the log (rule 8 of ARCHITECTURE.md).

A store that lost its newest WriteBatches in a crash is at an older, consistent flush, and the changelog brings it forward. An error of
RocksDB never means that a row is missing: see `tables.store.rocksdb_errors`.
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

from tables.errors import NotReadyError, StoreCorruptedError
from tables.model.names import END_OF_WORDS, STATE_KEY
from tables.model.rows import StoreState, decode_state, encode_state
from tables.model.slices import SLICE_ROWS
from tables.model.windows import NOTHING_CLEARED, Cleared, KeyRange
from tables.store.manifest import check_manifest
from tables.store.note import leave_note, taken_note
from tables.store.reclaim import Reclaim
from tables.store.rocksdb_errors import store_errors
from tables.store.snapshot import Readers, StoreSnapshot, position_in
from tables.store.sst_file import SstFile
from tables.threads import beside_the_loop

SMALL_FLUSH_ROWS = 4096
"""Up to this number of rows a WriteBatch is cheaper than an SST file, whose ingest costs 2-5 ms and a file, whatever its size."""

WRITE_BUFFER_BYTES = 8 << 20
"""Largest write buffer of a store; the buffer is smaller if many stores share the memory."""

_EMPTY = StoreState(marker=None, examined=0, max_upto=0)
_BLOOM_BITS_PER_KEY = 10
_LEVEL0_FILES = 8


class ByteColumn(Protocol):
    """Keys or values of a flush, which may be made while a caller iterates."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


class StagedRows:
    """Rows of one flush on their way into the store. Readers see none of them before `PartitionStore.commit`.

    Attributes:
        keys, values: words and row values, in the same order.
        file: SST file with the same rows; None = the rows are few and go into a WriteBatch.
    """

    def __init__(self, keys: ByteColumn, values: ByteColumn, file: SstFile | None) -> None:
        self.keys = keys
        self.values = values
        self.file = file

    def discard(self) -> None:
        """Remove the SST file, if there is one: the rows will not be committed."""
        if self.file is not None:
            self.file.discard()


class PartitionStore:
    """An open store. One thread may write at a time; any thread may read meanwhile.

    Args:
        folder: folder of the store; created if missing.
        block_cache: RocksDB's block cache, which all stores of the process share.
        write_buffer_bytes: bytes of small flushes that RocksDB holds in memory before it writes them to a file.

    Attributes:
        state: state of the last commit.

    Raises:
        StateLockedError: another process has the store open.
        StoreCorruptedError: the store is damaged.
        StoreFullError, StoreUnavailableError: the system refuses a resource that the store needs; the store stays as it is.
    """

    def __init__(
        self, folder: Path, block_cache: Cache, write_buffer_bytes: int = WRITE_BUFFER_BYTES
    ) -> None:
        self._folder = folder
        self._options = _options(block_cache, write_buffer_bytes)
        self._staging = folder.with_name(folder.name + ".staging")
        self._is_open = True
        self._memtable_holds_rows = False
        self._staged_files = 0
        self._readers = Readers()
        shutil.rmtree(self._staging, ignore_errors=True)
        with store_errors(folder):
            self._staging.mkdir(parents=True)
            check_manifest(folder)
            self._db = Rdict(str(folder), self._options)
            self._reclaim = Reclaim(folder, self._db)
            try:
                value = self._db.get(STATE_KEY)
            except BaseException:
                # The traceback of the error keeps the store object alive, and an open store keeps the lock of its folder.
                self._db.close()
                raise
        state = None if value is None else decode_state(value)
        if value is not None and state is None:
            self.close()
            raise StoreCorruptedError(f"the state in {folder} cannot be read", folder=folder)
        self.state = state or _EMPTY
        # Taken away before anything is written: a note that is found later was left by the last one who wrote.
        self._note = taken_note(folder)

    def take_note(self) -> bytes:
        """Return what was given to `close` when the store was closed last, and forget it.

        b"" = nothing was given, the process ended without closing the store, or the note was taken before.
        """
        note, self._note = self._note, b""
        return note

    def stored_state(self) -> StoreState:
        """Read the state from RocksDB, where it is newer than `state` for a moment during a commit. `close` waits for this read.

        Raises:
            NotReadyError: the store is closed or is being closed.
        """
        # rocksdict keeps the GIL while it reads one key. The read is short, because the key was just written, and for other threads
        # the reads of many stores are one step.
        with self._readers, store_errors(self._folder):
            value = self._db.get(STATE_KEY)
        return (None if value is None else decode_state(value)) or _EMPTY

    def get_at(self, word: bytes) -> tuple[bytes | None, int | None]:
        """Read the row of one word together with the position. `close` waits for this read, as rocksdict requires.

        Returns:
            (row, position), both of the same flush. Row None = the word has no row; position None = some rows are ahead of it.

        Raises:
            NotReadyError: the store is closed or is being closed.
        """
        with self._readers, store_errors(self._folder):
            row, state = self._db.get([word, STATE_KEY])
        return row, position_in(state)

    @beside_the_loop
    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        """Return the row of each word, in the order of `words`; None = the word has no row. Sorted words are read fastest."""
        rows: list[bytes | None] = []
        with store_errors(self._folder):
            for start in range(0, len(words), SLICE_ROWS):
                rows += self._db.get(list(words[start : start + SLICE_ROWS]))
        return rows

    @beside_the_loop
    def get_many_at(self, keys: Sequence[bytes]) -> tuple[list[bytes | None], StoreState] | None:
        """Return the value of each of `keys` and the state, all of the same flush; None = a flush was written meanwhile.

        Sorted keys are read fastest. `close` waits for each slice of this read.

        Raises:
            NotReadyError: the store is closed or is being closed.
        """
        values: list[bytes | None] = []
        first: bytes | None = None
        for start in range(0, max(1, len(keys)), SLICE_ROWS):
            with self._readers, store_errors(self._folder):
                *some, state = self._db.get([*keys[start : start + SLICE_ROWS], STATE_KEY])
            if start and state != first:
                return None
            first = state
            values += some
        return values, (None if first is None else decode_state(first)) or _EMPTY

    @contextmanager
    def snapshot(self) -> Iterator[StoreSnapshot]:
        """Open a view of rows and position as of now, which later writes do not change. `close` waits for the end of the `with` block.

        Raises:
            NotReadyError: the store is closed or is being closed.
        """
        # RocksDB keeps the folder locked while an iterator exists, even after the store was closed.
        with self._readers, store_errors(self._folder):
            view = StoreSnapshot(self._db, self._readers)
            try:
                yield view
            finally:
                view.release()

    def scan(self, start: bytes, limit: int, end: bytes = END_OF_WORDS) -> list[tuple[bytes, bytes]]:
        """Return at most `limit` (key, row) pairs with `start` <= key < `end`, in byte order; by default only words."""
        with self.snapshot() as view:
            return view.scan(start, limit, end=end)

    def estimated_rows(self) -> int:
        """Return about the number of rows, or more, from RocksDB's counters."""
        with store_errors(self._folder):
            return int(self._db.property_int_value("rocksdb.estimate-num-keys") or 0)

    def file_bytes(self) -> int:
        """Return the bytes of the files that hold the present rows; 0 = the store is closed or is being closed."""
        with suppress(NotReadyError), self._readers, store_errors(self._folder):
            return int(self._db.property_int_value("rocksdb.live-sst-files-size") or 0)
        return 0

    def slices(self, start: bytes = b"", end: bytes = END_OF_WORDS) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield all (key, row) pairs with `start` <= key < `end` in byte order, in slices; by default only words.

        Rows that are written between two slices may or may not be seen.
        """
        while part := self.scan(start, 4 * SLICE_ROWS, end):
            yield part
            start = part[-1][0] + b"\x00"

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs of `slices` one by one."""
        for part in self.slices():
            yield from part

    @beside_the_loop
    def stage(self, keys: ByteColumn, values: ByteColumn) -> StagedRows:
        """Prepare rows for `commit`. This slow part of a large flush may run before the changelog acknowledges the rows.

        Args:
            keys: words, strictly ascending in byte order.
            values: row values, one per key.
        """
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
    def commit(
        self,
        staged: StagedRows,
        state: StoreState,
        cleared: Cleared = NOTHING_CLEARED,
        notes: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Write `staged` and `state` in one atomic write: readers see both or neither, also after a crash.

        Args:
            staged: rows to write.
            state: state of the store with these rows.
            cleared: rows that count no longer, by the state before, and ranges of notes of panes that `state` does not keep; they are
                removed before `staged` is written, and their disk is reclaimed later.
            notes: (key, value) of notes of panes, in the order of the keys, all of which begin with `NOTE_BYTE`.
        """
        assert state.examined >= self.state.examined, "what was examined is never forgotten"
        with store_errors(self._folder):
            if staged.file is None:
                self._write(staged, state, cleared.ranges, notes)
            else:
                for first, end in cleared.ranges:
                    # Apart from the rows: these rows count no longer, whether they are there or not. Nobody needs a note.
                    self._db.delete_range(first, end, _without_log())
                    self._memtable_holds_rows = True
                self._ingest(staged.file, state, notes)
        self.state = state
        with store_errors(self._folder):
            self._reclaim.cleared(cleared)

    def close(self, note: bytes = b"") -> None:
        """Write the rows that only memory holds, wait for the readers, and release the folder. A second call does no harm.

        Args:
            note: text about the rows of the present state, for whoever opens the store next.
        """
        try:
            with store_errors(self._folder):
                self._flush_memtable()
            if note and self._is_open:  # A closed store may have a successor.
                leave_note(self._folder, note)
        finally:
            self._is_open = False
            was_stopped = self._reclaim.end()
            self._readers.end()
            shutil.rmtree(self._staging, ignore_errors=True)
            with store_errors(self._folder), suppress(DbClosedError):
                self._close_database(was_stopped=was_stopped)

    def abandon(self) -> None:
        """Close the store without writing the rows that only memory holds, because the store is about to be destroyed."""
        self._memtable_holds_rows = False
        # rocksdict writes them nevertheless before it closes, which RocksDB refuses once a compaction has met the damage.
        with suppress(StoreCorruptedError):
            self.close()

    def _write(
        self,
        staged: StagedRows,
        state: StoreState,
        ranges: Sequence[KeyRange],
        notes: Sequence[tuple[bytes, bytes]],
    ) -> None:
        batch = WriteBatch(raw_mode=True)
        for first, end in ranges:
            batch.delete_range(first, end)
        for key, value in zip(staged.keys, staged.values, strict=True):
            batch.put(key, value)
        for key, value in notes:
            batch.put(key, value)
        batch.put(STATE_KEY, encode_state(state))
        self._db.write(batch, _without_log())
        self._memtable_holds_rows = True

    def _ingest(self, file: SstFile, state: StoreState, notes: Sequence[tuple[bytes, bytes]]) -> None:
        try:
            # Without this, a crash could lose an earlier flush that is only in memory, and keep the later flush that was ingested.
            self._flush_memtable()
            file.add(
                [*(key for key, _ in notes), STATE_KEY], [*(value for _, value in notes), encode_state(state)]
            )
            file.finish()
            move = IngestExternalFileOptions()
            move.set_move_files(True)
            self._db.ingest_external_file([str(file.path)], move)
        finally:
            file.discard()

    def _close_database(self, *, was_stopped: bool) -> None:
        try:
            self._db.close()
        except Exception as error:
            # Before it closes, rocksdict has RocksDB write what memory holds, which is nothing: RocksDB refuses once it was stopped.
            if not (was_stopped and "Shutdown in progress" in str(error)):
                raise

    def _flush_memtable(self) -> None:
        if self._memtable_holds_rows:
            self._db.flush()
            self._memtable_holds_rows = False


def destroy_store(folder: Path) -> None:
    """Remove the folder of a closed store and its staged files. Nothing is lost: the changelog has every row."""
    taken_note(folder)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder.with_name(folder.name + ".staging"), ignore_errors=True)


def _without_log() -> WriteOptions:
    options = WriteOptions()
    options.disable_wal = True
    return options


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
