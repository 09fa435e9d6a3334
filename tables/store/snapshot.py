"""Snapshots of a store, which show it as it was at one flush, and the count of readers that keeps a store open."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Condition

from rocksdict import Rdict, RdictIter

from tables.errors import NotReadyError
from tables.model.names import END_OF_WORDS, STATE_KEY
from tables.model.rows import decode_state, unpack_row
from tables.model.slices import SLICE_ROWS
from tables.model.windows import WindowState


class StoreSnapshot:
    """Reads a store as it was at one moment; made by `PartitionStore.snapshot`.

    No method leaves the iterator in a local variable: the traceback of an error would keep the iterator alive, and the iterator keeps
    the lock of the folder.

    Attributes:
        state: state of the store at that moment; None = there is none that can be read.
    """

    def __init__(self, database: Rdict, readers: Readers) -> None:
        self._iterator: RdictIter = database.iter()
        self._readers = readers
        try:
            self._iterator.seek(STATE_KEY)
            self.state = decode_state(self._iterator.value()) if self._iterator.valid() else None
            self._check()
        except BaseException:
            self.release()
            raise

    @property
    def position(self) -> int | None:
        """Next source offset to count; None = some rows are ahead of the position."""
        return 0 if self.state is None else self.state.exact_position

    @property
    def windows(self) -> WindowState | None:
        """Windows of the marker; None = it has none."""
        return None if self.state is None or self.state.marker is None else self.state.marker.windows

    @property
    def records(self) -> int:
        """Records that were read up to the position."""
        return 0 if self.state is None else self.state.totals.records

    def value_of(self, key: bytes) -> bytes | None:
        """Return the value of a row of a window or of a note; None = there is no such key. For many keys ask `get_many_at`."""
        rows = self._iterator
        try:
            rows.seek(key)
            value: bytes | None = rows.value() if rows.valid() and rows.key() == key else None
            self._check()
        finally:
            del rows
        return value

    def check(self) -> None:
        """Raise NotReadyError if the store is being closed."""
        self._readers.check()

    def scan(
        self, start: bytes, limit: int, prefix: bytes = b"", end: bytes = END_OF_WORDS
    ) -> list[tuple[bytes, bytes]]:
        """Return at most `limit` (key, row) pairs, in byte order, whose key is >= `start` and begins with `prefix`.

        Args:
            start: first key, inclusive.
            limit: largest number of pairs.
            prefix: what the keys begin with.
            end: last key, exclusive; by default only words are returned, without the rows of windows.
        """
        found: list[tuple[bytes, bytes]] = []
        rows = self._iterator
        try:
            rows.seek(max(start, prefix))
            while len(found) < limit and rows.valid():
                word = rows.key()
                if word >= end or not word.startswith(prefix):
                    break
                found.append((word, rows.value()))
                rows.next()
            self._check()
        finally:
            del rows
        return found

    def count_of(self, word: bytes) -> int:
        """Return the count of `word`; 0 = the word has no row."""
        # A snapshot has no look-up of a single word. Of the words that begin with `word`, `word` itself comes first.
        found = self.scan(word, 1, word)
        return unpack_row(found[0][1])[0] if found and found[0][0] == word else 0

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all (word, row) pairs in byte order. Raises NotReadyError between two slices if the store is being closed."""
        start = b""
        while part := self.scan(start, SLICE_ROWS):
            yield from part
            start = part[-1][0] + b"\x00"
            self._readers.check()

    def release(self) -> None:
        """Release the iterator, and with it the files of the store."""
        del self._iterator

    def _check(self) -> None:
        # A scan ends early and without an exception at a block that cannot be read; `status` raises the error.
        self._iterator.status()


class Readers:
    """Counts the readers of a store. A reader holds the object as a context manager while it reads."""

    def __init__(self) -> None:
        self._open = 0
        self._ending = False
        self._changed = Condition()

    def __enter__(self) -> None:
        with self._changed:
            self.check()
            self._open += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def check(self) -> None:
        """Raise NotReadyError if `end` was called."""
        if self._ending:
            raise NotReadyError("a store is being closed")

    def end(self) -> None:
        """Admit no new reader, and wait until all readers have ended."""
        with self._changed:
            self._ending = True
            self._changed.wait_for(lambda: self._open == 0)


def position_in(state: bytes | None) -> int | None:
    """Return the exact position in an encoded state: 0 if there is no readable state, None if some rows are ahead of the position."""
    decoded = None if state is None else decode_state(state)
    return decoded.exact_position if decoded else 0
