"""Cache of the counts of one partition: an array of counts, indexed by the ids that words have in the vocabulary."""

from __future__ import annotations

from threading import Event, Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.cache.vocabulary import Vocabulary, VocabularyLimit
from tables.cache.word_table import NO_ID
from tables.model.records import Int64Array
from tables.model.rows import unpack_row, unpack_rows
from tables.model.slices import SLICE_ROWS
from tables.store.partition_store import PartitionStore
from tables.threads import beside_the_loop

UNKNOWN = 0
"""Marks a count that is not in the cache. No row has count 0, and an array of zeros takes no memory before it is written to."""

_MOST_INT32 = np.iinfo(np.int32).max


class CountCache:
    """Holds the counts of one partition by word id.

    Args:
        vocabulary: gives words their ids.
        complete: whether every row of the store is in the cache, so that a word without a cached count has no row.
    """

    def __init__(self, vocabulary: Vocabulary, *, complete: bool) -> None:
        self.vocabulary = vocabulary
        self.complete = complete
        self.position: int | None = 0
        """Position of the counts; None = some counts are ahead of the position, or a commit to the store is under way."""
        self._lock = Lock()
        self._counts: npt.NDArray[np.int32] | Int64Array = np.zeros(1024, np.int32)

    @beside_the_loop
    def old_counts(self, words: pa.BinaryArray, ids: Int64Array, store: PartitionStore) -> Int64Array:
        """Return the stored count of each word, from memory or else from `store`.

        Args:
            words: sorted in byte order.
            ids: id of each word, `NO_ID` for a word without one.
            store: store of the partition.

        Returns:
            One count per word; 0 = the word has no row.

        Raises:
            StoreCorruptedError: the store cannot be read.
        """
        self._grow()
        counts = np.where(ids == NO_ID, UNKNOWN, self._counts[ids].astype(np.int64))
        missing = np.flatnonzero(counts == UNKNOWN)
        if self.complete:
            counts[missing] = 0
        else:
            for start in range(0, len(missing), SLICE_ROWS):
                part = missing[start : start + SLICE_ROWS]
                rows = store.get_many(words.take(pa.array(part)).to_pylist())
                counts[part] = [0 if row is None else unpack_row(row)[0] for row in rows]
        return counts

    def update(self, ids: Int64Array, counts: Int64Array, position: int | None) -> None:
        """Store the counts that the store has now. Call this after the commit to the store, never before.

        Args:
            ids: ids of the words, `NO_ID` for a word without one, whose count is then not stored.
            counts: counts of the words.
            position: position of the store; None = some rows are ahead of the position.
        """
        self._grow()
        known = ids != NO_ID
        with self._lock:
            if len(counts) and self._counts.itemsize < counts.itemsize and counts.max() > _MOST_INT32:
                self._counts = self._counts.astype(np.int64)
            self._counts[ids[known]] = counts[known]
            self.complete = self.complete and bool(known.all())
            self.position = position

    def withdraw(self) -> None:
        """Answer no reader until the next `update`, because the store is about to have newer counts than the cache."""
        with self._lock:
            self.position = None

    def learn(self, words: pa.BinaryArray, counts: Int64Array, position: int | None) -> None:
        """Call `update` for `words`, which may be new to the vocabulary."""
        self.update(self.vocabulary.ids(words), counts, position)

    def add_to(self, sums: Int64Array) -> int | None:
        """Add all counts to `sums`, an array indexed by word id.

        Returns:
            The position of the counts. None = nothing was added, because counts are missing here or not at one position.
        """
        with self._lock:
            if self.position is None or not self.complete:
                return None
            counts = self._counts[: len(sums)]
            np.add(sums[: len(counts)], counts, out=sums[: len(counts)], where=counts > 0)
            return self.position

    def count_of(self, word: bytes) -> tuple[int, int] | None:
        """Return (count, position) of `word`; count 0 = the word has no row. None = unknown, ask the store."""
        with self._lock:
            if self.position is None or not self.complete:
                return None
            number = self.vocabulary.id_of(word)
            known = number is not None and number < len(self._counts)
            return max(0, int(self._counts[number])) if known else 0, self.position

    def _grow(self) -> None:
        size = len(self.vocabulary)
        if size > len(self._counts):
            grown = np.zeros(max(size, 2 * len(self._counts)), self._counts.dtype)
            grown[: len(self._counts)] = self._counts
            self._counts = grown


@beside_the_loop
def cache_of(store: PartitionStore, limit: VocabularyLimit, leaving: Event) -> CountCache | None:
    """Return a complete cache of the rows in `store` (0.6 µs a row).

    Args:
        store: store of the partition.
        limit: holds the vocabulary.
        leaving: set to end early.

    Returns:
        The cache. None = the vocabulary has no room for all words, or `leaving` was set.

    Raises:
        StoreCorruptedError: a row cannot be read.
    """
    marker = store.state.marker
    has_windows = marker is not None and marker.windows is not None
    if not has_windows and store.estimated_rows() > limit.max_words:
        return None
    limit.renew()
    cache = CountCache(limit.current, complete=True)
    for rows in store.slices():
        if not limit.has_room(len(rows)) or leaving.is_set():
            return None
        counts = unpack_rows([row for _, row in rows])[:, 0]
        words = pa.array([word for word, _ in rows], pa.binary())
        cache.learn(words, counts, store.state.exact_position)
        if not cache.complete:
            return None  # The vocabulary has reached its bound of long words.
    return cache
