"""A view of one store as it was at one flush, and the gate that keeps a store open while somebody reads it."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Condition

from rocksdict import Rdict, RdictIter

from tables.errors import NotReadyError
from tables.model.names import STATE_KEY
from tables.model.rows import decode_state
from tables.model.slices import SLICE_ROWS


class StoreSnapshot:
    """What a store held at one moment; see `PartitionStore.snapshot`.

    No local variable keeps the iterator beyond a method: the traceback of an error would, and with it the lock of the folder.

    Attributes:
        position: next offset to count; None where rows are ahead of it.
    """

    def __init__(self, database: Rdict, readers: Readers) -> None:
        self._iterator: RdictIter = database.iter()
        self._readers = readers
        try:
            self._iterator.seek(STATE_KEY)
            self.position = position_in(self._iterator.value() if self._iterator.valid() else None)
            self._check()
        except BaseException:
            self.release()
            raise

    def scan(self, start: bytes, limit: int, prefix: bytes = b"") -> list[tuple[bytes, bytes]]:
        """At most `limit` (word, row) pairs with word >= `start` that begin with `prefix`, in byte order."""
        found: list[tuple[bytes, bytes]] = []
        rows = self._iterator
        try:
            rows.seek(max(start, prefix))
            while len(found) < limit and rows.valid():
                word = rows.key()
                if word == STATE_KEY or not word.startswith(prefix):
                    break
                found.append((word, rows.value()))
                rows.next()
            self._check()
        finally:
            del rows
        return found

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All (word, row) pairs in byte order; ends with NotReadyError where the store is about to be closed."""
        start = b""
        while part := self.scan(start, SLICE_ROWS):
            yield from part
            start = part[-1][0] + b"\x00"
            self._readers.check()

    def release(self) -> None:
        """Let go of the files."""
        del self._iterator

    def _check(self) -> None:
        self._iterator.status()  # A scan ends early, without an exception, where a block cannot be read.


class Readers:
    """Counts those who read; `end` admits no more and waits for them."""

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
        """Raises NotReadyError after `end` was called."""
        if self._ending:
            raise NotReadyError("a store is being closed")

    def end(self) -> None:
        """Return when nobody reads any more."""
        with self._changed:
            self._ending = True
            self._changed.wait_for(lambda: self._open == 0)


def position_in(state: bytes | None) -> int | None:
    decoded = None if state is None else decode_state(state)
    return decoded.exact_position if decoded else 0
