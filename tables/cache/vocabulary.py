"""Cache of old counts: one process-wide `word -> id` and, per partition, an array of counts by id.

Reading old counts from RocksDB costs 1.8-3.7 µs a row, a dict per partition 125-180 bytes a word and partition; this costs 0.06 µs a
row, 24-48 bytes a word once, and 4 bytes a word and partition, 8 where a count is beyond 2^31 (ADR 3). A store that was empty when
opened, or whose rows were all put here by a restore, is *complete*: a word without a cached count has none, and nothing is read.

A vocabulary that is full takes no more words: those that came first are the frequent ones, and the counts of the others are read. Text
changes, so that it is given up for an empty one once ten times as many were refused: the reading that this may spare costs more.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from threading import Event, Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.cache.word_table import NO_ID, SHORT_BYTES, WordTable
from tables.model.byte_arrays import lengths
from tables.model.names import SLICE_ROWS
from tables.model.records import Int64Array
from tables.model.rows import unpack_row, unpack_rows
from tables.pace.memory import MemoryBounds
from tables.store.partition_store import PartitionStore

UNKNOWN = 0
"""No row has this count; memory that nobody has written to is full of it, and costs nothing until then."""

REFUSALS_PER_WORD = 10
_MOST_INT32 = np.iinfo(np.int32).max

MAX_LONG_WORDS = 690_000
"""Words that are too long for the table: with 699,051 Python copies their dict into a larger one, 80 ms in which nothing else runs."""


class Vocabulary:
    """Ids for words, dense from 0, never reused. Threads may ask at the same time.

    Args:
        max_words: it takes no more, and no more than `MAX_LONG_WORDS` that are longer than the table's.

    Attributes:
        refused: times that a word had no id and got none.
    """

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        self.refused = 0
        self._size = 0
        self._short = WordTable()
        self._long: dict[bytes, int] = {}
        self._long_words: list[bytes] = []
        self._long_ids = array("q")
        self._lock = Lock()

    def __len__(self) -> int:
        return self._size

    def ids(self, words: pa.BinaryArray) -> Int64Array:
        """The id of each word, new ones for words not seen before; NO_ID where there is no room for one. No word comes twice."""
        is_short = lengths(words) <= SHORT_BYTES
        long_words = words.filter(pa.array(~is_short)).to_pylist()
        ids = np.empty(len(words), np.int64)
        with self._lock:
            ids[is_short] = self._short.find(words.filter(pa.array(is_short)))
            ids[~is_short] = [self._long.get(word, NO_ID) for word in long_words]
            new = np.flatnonzero(ids == NO_ID)
            taken = self._with_room(new, is_short)
            self.refused += len(new) - len(taken)
            if len(taken):
                self._add(words, ids, taken, is_short[taken])
        return ids

    def id_of(self, word: bytes) -> int | None:
        return self._short.id_of(word) if len(word) <= SHORT_BYTES else self._long.get(word)

    def words_of(self, ids: Int64Array) -> list[bytes]:
        """The words that have these ids, which were given."""
        # A copy: another thread may be adding some.
        long_ids = np.frombuffer(self._long_ids.tobytes(), np.int64)
        is_long = np.isin(ids, long_ids)
        short = iter(self._short.words_of(ids[~is_long]))
        places = iter(np.searchsorted(long_ids, ids[is_long]).tolist())
        return [self._long_words[next(places)] if long else next(short) for long in is_long.tolist()]

    def _with_room(self, new: Int64Array, is_short: npt.NDArray[np.bool_]) -> Int64Array:
        """Those of `new`, places of words without an id, that can get one."""
        room = self.max_words - self._size
        if room <= 0:
            return new[:0]
        fits = is_short[new]
        fits |= np.cumsum(~fits) <= MAX_LONG_WORDS - len(self._long)
        return new[fits][:room]

    def _add(
        self, words: pa.BinaryArray, ids: Int64Array, places: Int64Array, is_short: npt.NDArray[np.bool_]
    ) -> None:
        """Give the words at `places` ids."""
        ids[places] = given = np.arange(self._size, self._size + len(places))
        self._short.add(words.take(pa.array(places[is_short])), given[is_short])
        long_words, long_ids = words.take(pa.array(places[~is_short])).to_pylist(), given[~is_short]
        self._long_words += long_words
        self._long_ids.extend(long_ids.tolist())
        self._long.update(zip(long_words, long_ids.tolist(), strict=True))
        self._size += len(places)


class VocabularyLimit:
    """Hands out the current vocabulary and starts a new one where the old one has refused too many words.

    A vocabulary is never cleared in place: a flush in another thread still holds ids of it.
    """

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        self._most_words = max_words
        self._current = Vocabulary(max_words)

    def bound(self, bounds: MemoryBounds) -> None:
        """See `tables.pace.memory.Bounded`; a vocabulary that is larger already is given up."""
        self.max_words = self._current.max_words = min(bounds.vocabulary_words, self._most_words)

    def has_room(self, words: int) -> bool:
        """Whether so many more words may be added to the current vocabulary."""
        return len(self._current) + words <= self.max_words

    def current(self) -> Vocabulary:
        current = self._current
        if current.refused > REFUSALS_PER_WORD * self.max_words or len(current) > self.max_words:
            self._current = Vocabulary(self.max_words)
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
        self._counts: npt.NDArray[np.int32] | Int64Array = np.zeros(1024, np.int32)

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


def cache_of(store: PartitionStore, limit: VocabularyLimit, leaving: Event) -> CountCache | None:
    """A complete cache of the rows in `store` (0.6 µs each), or None: the vocabulary has no room for them, or `leaving` was set.

    Raises:
        StoreCorruptedError: a row cannot be read.
    """
    if store.estimated_rows() > limit.max_words:
        return None
    cache = CountCache(limit.current(), complete=True)
    for rows in store.slices():
        if not limit.has_room(len(rows)) or leaving.is_set():
            return None
        counts = unpack_rows([row for _, row in rows])[:, 0]
        words = pa.array([word for word, _ in rows], pa.binary())
        cache.learn(words, counts, store.state.exact_position)
        if not cache.complete:
            return None  # Too many long words.
    return cache
