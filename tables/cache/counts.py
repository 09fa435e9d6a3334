"""Counts of one partition in memory, by the ids that words have in the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
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
"""No row has this count; memory that nobody has written to is full of it, and costs nothing until then."""

_MOST_INT32 = np.iinfo(np.int32).max


class CountCache:
    """Counts of one partition by word id.

    Args:
        vocabulary: whose ids are used.
        complete: whether a word without a count here is known to have none in the store.
    """

    def __init__(self, vocabulary: Vocabulary, *, complete: bool) -> None:
        self.vocabulary = vocabulary
        self.complete = complete
        self.position: int | None = 0
        """Next offset to count, of the flush that the counts are at; None where some are ahead of it."""
        self._lock = Lock()
        self._counts: npt.NDArray[np.int32] | Int64Array = np.zeros(1024, np.int32)

    @beside_the_loop
    def old_counts(self, words: Sequence[bytes], ids: Int64Array, store: PartitionStore) -> Int64Array:
        """The stored count of each word (0 = none). `words` are sorted. Raises StoreCorruptedError."""
        self._grow()
        counts = np.where(ids == NO_ID, UNKNOWN, self._counts[ids].astype(np.int64))
        missing = np.flatnonzero(counts == UNKNOWN)
        if self.complete:
            counts[missing] = 0
        else:
            for start in range(0, len(missing), SLICE_ROWS):
                part = missing[start : start + SLICE_ROWS]
                rows = store.get_many([words[i] for i in part.tolist()])
                counts[part] = [0 if row is None else unpack_row(row)[0] for row in rows]
        return counts

    def update(self, ids: Int64Array, counts: Int64Array, position: int | None) -> None:
        """Remember counts that are in the store now, at `position`. Called after the store's commit, never before."""
        self._grow()
        known = ids != NO_ID
        with self._lock:
            if len(counts) and self._counts.itemsize < counts.itemsize and counts.max() > _MOST_INT32:
                self._counts = self._counts.astype(np.int64)
            self._counts[ids[known]] = counts[known]
            self.complete = self.complete and bool(known.all())
            self.position = position

    def withdraw(self) -> None:
        """Tell readers nothing until the next `update`: the store is about to have what is not here yet."""
        with self._lock:
            self.position = None

    def learn(self, words: pa.BinaryArray, counts: Int64Array, position: int | None) -> None:
        """`update` of words that may be new to the vocabulary."""
        self.update(self.vocabulary.ids(words), counts, position)

    def add_to(self, sums: Int64Array) -> int | None:
        """Add all counts to `sums`, an array indexed by word id; returns the position that they are at.

        Where some are ahead of it, or not here, nothing is added, and None returned.
        """
        with self._lock:
            if self.position is None or not self.complete:
                return None
            counts = self._counts[: len(sums)]
            np.add(sums[: len(counts)], counts, out=sums[: len(counts)], where=counts > 0)
            return self.position

    def count_of(self, word: bytes) -> tuple[int, int] | None:
        """(count, position that it is at); a count of 0 = there is no row. None where the store has to be asked."""
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
    """A complete cache of the rows in `store` (0.6 µs each), or None: the vocabulary has no room for them, or `leaving` was set.

    Raises:
        StoreCorruptedError: a row cannot be read.
    """
    if store.estimated_rows() > limit.max_words:
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
            return None  # Too many long words.
    return cache
