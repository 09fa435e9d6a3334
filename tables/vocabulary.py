"""Cache of old counts: one process-wide `word -> id` and, per partition, an int64 array of counts by id.

Reading old counts from RocksDB costs 1.8-3.7 µs a row, a dict per partition 125-180 bytes a word and partition; this costs 0.15 µs a
row, 125-180 bytes a word once, and 8 bytes a word and partition (ADR 3). A store that was empty when opened, or whose rows were all
put here by a restore, is *complete*: a word without a cached count has none, and nothing is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np

from tables.partition_store import PartitionStore
from tables.rows import unpack_row
from tables.schema import SLICE_ROWS
from tables.windows import Int64Array

UNKNOWN = -1


class Vocabulary:
    """Ids for words, dense from 0, never reused. Threads may ask at the same time."""

    def __init__(self) -> None:
        self._ids: dict[bytes, int] = {}
        self.words: list[bytes] = []
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.words)

    def ids(self, words: Sequence[bytes]) -> Int64Array:
        """The id of each word, new ones for words not seen before."""
        ids: list[int] = []
        for start in range(0, len(words), SLICE_ROWS):
            part = words[start : start + SLICE_ROWS]
            with self._lock:
                known = list(map(self._ids.get, part))
                if None in known:
                    known = [self._add(word) if i is None else i for word, i in zip(part, known, strict=True)]
                ids += known  # type: ignore[arg-type]
        return np.array(ids, np.int64)

    def id_of(self, word: bytes) -> int | None:
        return self._ids.get(word)

    def _add(self, word: bytes) -> int:
        new = len(self.words)
        self._ids[word] = new
        self.words.append(word)
        return new


class VocabularyLimit:
    """Hands out the current vocabulary and starts a new one where the old one has grown past `max_words`.

    A vocabulary is never cleared in place: a flush in another thread still holds ids of it.
    """

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        self._current = Vocabulary()

    def has_room(self, words: int) -> bool:
        """Whether so many more words may be added to the current vocabulary."""
        return len(self._current) + words <= self.max_words

    def current(self) -> Vocabulary:
        if len(self._current) > self.max_words:
            self._current = Vocabulary()
        return self._current


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
        self._counts = np.full(1024, UNKNOWN, np.int64)

    def old_counts(self, words: Sequence[bytes], ids: Int64Array, store: PartitionStore) -> Int64Array:
        """The stored count of each word (0 = none). `words` are sorted. Raises StoreCorruptedError."""
        self._grow()
        counts = self._counts[ids]
        missing = np.flatnonzero(counts == UNKNOWN).tolist()
        if not missing:
            return counts
        if self.complete:
            counts[missing] = 0
            return counts
        rows = store.get_many([words[i] for i in missing])
        counts[missing] = [0 if row is None else unpack_row(row)[0] for row in rows]
        return counts

    def update(self, ids: Int64Array, counts: Int64Array, position: int | None) -> None:
        """Remember counts that are in the store now, at `position`. Called after the store's commit, never before."""
        self._grow()
        with self._lock:
            self._counts[ids] = counts
            self.position = position

    def learn(self, words: Sequence[bytes], counts: Int64Array, position: int | None) -> None:
        """`update` of words that may be new to the vocabulary."""
        self.update(self.vocabulary.ids(words), counts, position)

    def add_to(self, sums: Int64Array) -> int | None:
        """Add the known counts to `sums`, an array indexed by word id; returns the position that they are at.

        Where some are ahead of it nothing is added, and None returned.
        """
        with self._lock:
            if self.position is None:
                return None
            counts = self._counts[: len(sums)]
            np.add(sums[: len(counts)], counts, out=sums[: len(counts)], where=counts > 0)
            return self.position

    def _grow(self) -> None:
        size = len(self.vocabulary)
        if size > len(self._counts):
            grown = np.full(max(size, 2 * len(self._counts)), UNKNOWN, np.int64)
            grown[: len(self._counts)] = self._counts
            self._counts = grown
