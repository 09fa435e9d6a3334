"""A fake of the partition store, in memory, that loses at a crash what RocksDB without a write-ahead log would lose.

`test_store_contract.py` checks this fake and `tables.store.partition_store.PartitionStore` with equal tests.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from tables.errors import (
    NotReadyError,
    StateLockedError,
    StoreCorruptedError,
    StoreFullError,
    StoreUnavailableError,
)
from tables.model.names import END_OF_WORDS
from tables.model.rows import StoreState, unpack_row
from tables.model.windows import NOTE_BYTE, NOTHING_CLEARED, Cleared, KeyRange
from tables.store.partition_store import StagedRows
from tests.simulation.threads import breathe

SMALL_FLUSH_ROWS = 3
EMPTY = StoreState(marker=None, examined=0, max_upto=0)


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Rows, state and notes of panes of a store at one moment."""

    rows: Mapping[bytes, bytes]
    state: StoreState | None
    notes: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(eq=False)
class Disk:
    """One store's folder.

    Attributes:
        images: the durable image, then an image for each later commit, which only memory holds.
        note: what the last closing has left; b"" = nothing.
        locked: whether a process has the store open.
        corrupt: whether some blocks of the store cannot be read.
    """

    images: list[Image] = field(default_factory=lambda: [Image({}, None)])
    note: bytes = b""
    locked: bool = False
    corrupt: bool = False

    def crash(self, random: Random) -> None:
        """End the process that has the store open, and lose some or all commits that only memory held."""
        self.images = [random.choice(self.images)]
        self.locked = False


class Disks:
    """All folders of all machines."""

    def __init__(self) -> None:
        self.by_folder: dict[Path, Disk] = {}

    def open(self, folder: Path, block_cache: object, _write_buffer_bytes: int = 0) -> "MemoryStore":
        """Open the store of a folder, as `PartitionStore(folder, block_cache)` does."""
        return MemoryStore(self.by_folder.setdefault(folder, Disk()))

    def destroy(self, folder: Path) -> None:
        """Delete the store of a folder, as `destroy_store` does."""
        disk = self.by_folder.pop(folder, None)
        assert disk is None or not disk.locked, "a store was destroyed while it was open"


class MemoryStore:
    """A fake of `PartitionStore`."""

    def __init__(self, disk: Disk) -> None:
        if disk.locked:
            raise StateLockedError("locked")
        if disk.corrupt:
            raise StoreCorruptedError("corrupt")
        self.disk = disk
        self.faults: list[str] = []
        """Faults of the next commits: "fail" (corrupt, nothing written), "corrupt" (written, then corrupt), a key of `_REFUSALS`."""
        self.staging_faults: list[str] = []
        """Faults of the next stagings: keys of `_REFUSALS`."""
        self.writers = 0
        """Number of threads that stage or commit."""
        self.commits = 0
        """Number of threads that commit; meanwhile rows, state and cache may belong to two flushes."""
        disk.locked = True
        self._closed = False
        self.state = disk.images[-1].state or EMPTY
        self._note, disk.note = disk.note, b""

    def take_note(self) -> bytes:
        note, self._note = self._note, b""
        return note

    @property
    def image(self) -> Image:
        return self.disk.images[-1]

    def stored_state(self) -> StoreState:
        self._check()
        return self.image.state or EMPTY

    def get_at(self, word: bytes) -> tuple[bytes | None, int | None]:
        self._check()
        return self.image.rows.get(word), (self.image.state or EMPTY).exact_position

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        self._check()
        breathe()
        self._check()
        yield Snapshot(self.image)

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        self._check()
        breathe()
        self._check()
        return [self.image.rows.get(word) for word in words]

    def get_many_at(self, keys: Sequence[bytes]) -> tuple[list[bytes | None], StoreState] | None:
        self._check()
        breathe()
        self._check()
        return [self.image.rows.get(key) for key in keys], self.image.state or EMPTY

    def scan(self, start: bytes, limit: int, end: bytes = END_OF_WORDS) -> list[tuple[bytes, bytes]]:
        with self.snapshot() as view:
            return view.scan(start, limit, end=end)

    def estimated_rows(self) -> int:
        return len(self.image.rows)

    def slices(self, start: bytes = b"", end: bytes = END_OF_WORDS) -> Iterator[list[tuple[bytes, bytes]]]:
        while part := self.scan(start, 2, end):
            yield part
            start = part[-1][0] + b"\x00"

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        for part in self.slices():
            yield from part

    def stage(self, keys: Sequence[bytes], values: Sequence[bytes]) -> StagedRows:
        with self._writing():
            breathe()
            assert all(left < right for left, right in pairwise(keys)), "keys not ascending"
            if self.staging_faults:
                raise _REFUSALS[self.staging_faults.pop()]()
            large: Any = SimpleNamespace(discard=lambda: None) if len(keys) > SMALL_FLUSH_ROWS else None
            return StagedRows(keys, values, large)

    def commit(
        self,
        staged: StagedRows,
        state: StoreState,
        cleared: Cleared = NOTHING_CLEARED,
        notes: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._check()
        assert state.examined >= self.state.examined, "what was examined is never forgotten"
        assert not self.commits, "two threads write to one store"
        self.commits += 1
        try:
            with self._writing():
                self._commit(staged, state, cleared, notes)
        finally:
            self.commits -= 1

    def _commit(
        self,
        staged: StagedRows,
        state: StoreState,
        cleared: Cleared,
        notes: Sequence[tuple[bytes, bytes]],
    ) -> None:
        breathe()
        fault = self.faults.pop() if self.faults else ""
        if fault in _REFUSALS:
            raise _REFUSALS[fault]()
        if fault == "fail":
            self.disk.corrupt = True
            self._check()
        rows, kept_notes = (
            _without(self.image.rows, cleared.ranges),
            _without(self.image.notes, cleared.ranges),
        )
        assert all(left < right for (left, _), (right, _) in pairwise(notes)), "notes not ascending"
        rows |= zip(staged.keys, staged.values, strict=True)
        image = Image(rows, state, {**kept_notes, **dict(notes)})
        self.disk.images = [image] if staged.file is not None else [*self.disk.images, image]
        if fault == "corrupt":
            self.disk.corrupt = True
            self._check()
        breathe()  # Readers can find the new rows before `state` is updated.
        self.state = state
        breathe()  # Readers can find the new rows and state before the cache is updated.

    def close(self, note: bytes = b"") -> None:
        assert not self.writers, "a store is closed while a thread writes to it"
        if self._closed:
            return
        self._closed = True
        self.disk.locked = False
        if self.disk.corrupt:
            raise StoreCorruptedError("corrupt")
        self.disk.images = [self.image]
        self.disk.note = note

    def abandon(self) -> None:
        assert not self.writers, "a store is closed while a thread writes to it"
        if self._closed:
            return
        self._closed = True
        self.disk.locked = False

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.writers += 1
        try:
            yield
        finally:
            self.writers -= 1

    def _check(self) -> None:
        if self._closed:
            raise NotReadyError("closed")
        if self.disk.corrupt:
            raise StoreCorruptedError("corrupt")


_REFUSALS = {
    "full": partial(StoreFullError, "full"),
    "unavailable": partial(StoreUnavailableError, "too many open files"),
    "damaged": partial(StoreCorruptedError, "damaged"),
}
"""Errors of the system or the disk with which nothing is written."""


def break_store(store: MemoryStore, random: Random, aside: Random) -> str:
    """Let a store fail now, or at one of its next writes; return how.

    Args:
        store: an open store.
        random: decides whether the store fails now.
        aside: decides the rest, see `Process`.
    """
    fault = random.choice(["corrupt now", "fail", "corrupt", "full"])
    staging = aside.choice(["", "", "damaged", "full", "unavailable"])
    if staging:
        store.staging_faults.append(staging)
        return f"staging: {staging}"
    if fault == "full":
        fault = aside.choice(["full", "unavailable"])
    if fault == "corrupt now":
        store.disk.corrupt = True
    else:
        store.faults.append(fault)
    return fault


def _without(values: Mapping[bytes, bytes], ranges: Sequence[KeyRange]) -> dict[bytes, bytes]:
    return {
        key: value for key, value in values.items() if not any(first <= key < end for first, end in ranges)
    }


class Snapshot:
    """A fake of `StoreSnapshot`."""

    def __init__(self, image: Image) -> None:
        self._rows = image.rows
        self._notes = image.notes
        self.state = image.state or EMPTY
        self.position = self.state.exact_position
        self.records = self.state.totals.records
        self.windows = self.state.marker.windows if self.state.marker is not None else None

    def value_of(self, key: bytes) -> bytes | None:
        return (self._notes if key.startswith(NOTE_BYTE) else self._rows).get(key)

    def check(self) -> None:
        pass

    def scan(
        self, start: bytes, limit: int, prefix: bytes = b"", end: bytes = END_OF_WORDS
    ) -> list[tuple[bytes, bytes]]:
        words = sorted(word for word in self._rows if start <= word < end and word.startswith(prefix))
        return [(word, self._rows[word]) for word in words[:limit]]

    def count_of(self, word: bytes) -> int:
        return unpack_row(self._rows[word])[0] if word in self._rows else 0

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from sorted((word, row) for word, row in self._rows.items() if word < END_OF_WORDS)
