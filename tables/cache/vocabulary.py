"""Ids of words, one vocabulary for all partitions of a process; `tables.cache.counts` keeps an array of counts by id per partition.

Reading old counts from RocksDB costs 1.8-3.7 µs a row, a dict per partition 125-180 bytes a word and partition; this costs 0.06 µs a
row, 24-48 bytes a word once, and 4 bytes a word and partition, 8 where a count is beyond 2^31 (ADR 3). A store that was empty when
opened, or whose rows were all put here by a restore, is *complete*: a word without a cached count has none, and nothing is read.

A full vocabulary takes no more words: those that came first are the frequent ones, and counts of the others are read from the store.
Vocabulary drifts. When a full vocabulary has refused ten times its capacity, it is replaced by an empty one: learning the words again
costs less than the reads that it saves.
"""

from __future__ import annotations

from array import array
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.cache.word_table import NO_ID, SHORT_BYTES, WordTable
from tables.model.byte_arrays import lengths
from tables.model.records import Int64Array
from tables.pace.memory import MemoryBounds

REFUSALS_PER_WORD = 10

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
    """Bounds the vocabulary of a process, and replaces one that has drifted or grown beyond its bound.

    A vocabulary is never cleared in place: a flush in another thread still holds ids of it.

    Args:
        max_words: words that a vocabulary takes, at most.

    Attributes:
        current: the vocabulary for new caches.
    """

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        self._most_words = max_words
        self.current = Vocabulary(max_words)

    def bound(self, bounds: MemoryBounds) -> None:
        """See `tables.pace.memory.Bounded`; a vocabulary that is larger already is given up."""
        self.max_words = self.current.max_words = min(bounds.vocabulary_words, self._most_words)

    def has_room(self, words: int) -> bool:
        """Whether `words` more words may be added to the current vocabulary."""
        return len(self.current) + words <= self.max_words

    def renew(self) -> None:
        """Start an empty vocabulary if the current one refused too many words, or is larger than its bound."""
        current = self.current
        if current.refused > REFUSALS_PER_WORD * self.max_words or len(current) > self.max_words:
            self.current = Vocabulary(self.max_words)
