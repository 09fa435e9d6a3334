"""What readers are answered from: a partition's store, its cache and its leaders, always as of one position.

Each of them alone is consistent. Together they are because every commit goes through `ServedRows.commit`: before the store has new
rows, the cache answers no more, and the leaders are there for the position before and the one after. So whatever is asked, and in
whatever order, no answer goes behind one that was given.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pyarrow as pa

from tables.cache.counts import CountCache
from tables.model.records import Int64Array
from tables.model.replay import MergedRows
from tables.model.rows import StoreState, unpack_row
from tables.store.partition_store import PartitionStore, StagedRows
from tables.store.snapshot import StoreSnapshot
from tables.top.leaders import MOST_LEADERS, NO_COUNTS, NO_WORDS, PartitionLeaders


class ServedRows:
    """The rows of one partition.

    Args:
        store: the partition's, open.
        cache: the present cache of its counts.

    Attributes:
        leaders: the most frequent words.
    """

    def __init__(self, store: PartitionStore, cache: Callable[[], CountCache]) -> None:
        # A row's `upto` is above 0.
        self.leaders = PartitionLeaders(
            store.state.exact_position, empty=not store.state.max_upto, most=MOST_LEADERS
        )
        self._store = store
        self._cache = cache

    @property
    def exact_position(self) -> int | None:
        """Where the rows are exact, None where some are ahead of it."""
        return self._store.state.exact_position

    @property
    def cache(self) -> CountCache:
        """The present cache; it tells counts only while it is at the store's position."""
        return self._cache()

    def commit(
        self,
        staged: StagedRows,
        state: StoreState,
        words: pa.BinaryArray = NO_WORDS,
        counts: Int64Array = NO_COUNTS,
    ) -> None:
        """Bring rows and `state` into the store, and the leaders with them. The cache is told afterwards, by `CountCache.update`.

        Args:
            staged: the rows.
            state: with which they are exact, or ahead.
            words, counts: the same rows.
        """
        self.cache.withdraw()
        with self.leaders.advancing(words, counts, state.exact_position):
            self._store.commit(staged, state)

    def write(self, rows: MergedRows, state: StoreState) -> None:
        """Stage and commit rows of the changelog."""
        self.commit(self._store.stage(rows.keys(), rows.values()), state, rows.words, rows.rows[:, 0])

    def count_of(self, word: bytes) -> tuple[int, int] | None:
        """(count, position that it is at) from memory; a count of 0 = there is no row. None where the store has to be asked."""
        found = self.cache.count_of(word)
        return found if found is not None and found[1] == self.exact_position else None

    def stored_count_of(self, word: bytes) -> tuple[int, int] | None:
        """The same from the store; None where rows are ahead of its position."""
        row, position = self._store.get_at(word)
        return None if position is None else (0 if row is None else unpack_row(row)[0], position)

    def stored_state(self) -> StoreState:
        """See `PartitionStore.stored_state`."""
        return self._store.stored_state()

    def add_to(self, sums: Int64Array) -> int | None:
        """Add all counts to `sums` from memory; see `CountCache.add_to`."""
        cache = self.cache
        return cache.add_to(sums) if cache.position == self.exact_position else None

    def snapshot(self) -> AbstractContextManager[StoreSnapshot]:
        """All rows as of now; see `PartitionStore.snapshot`."""
        return self._store.snapshot()

    def scan(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """See `PartitionStore.scan`."""
        return self._store.scan(start, limit)

    def gather_leaders(self, check: Callable[[], None]) -> None:
        """Find the leaders of a store that was opened with rows; see `PartitionLeaders.gather`."""
        self.leaders.gather(self, check)
