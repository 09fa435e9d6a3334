"""Vocabulary of a process: ids of words, shared by all partitions. `tables.cache.counts` keeps an array of counts by id per partition.

Reading an old count from RocksDB costs 1.8-3.7 µs a row; a dict per partition costs 125-180 bytes per word and partition. Vocabulary
and arrays cost 0.06 µs a row, 24-48 bytes a word once, and 4 bytes per word and partition, 8 bytes in a partition with a count above
2^31 - 1 (ADR 3). A cache is *complete* if its store was empty when opened, or if a restore put all rows of the store into the cache: a
word without a cached count then has no row, and nothing is read from the store.

A full vocabulary takes no more words. The words that came first are the frequent ones; counts of other words are read from the store.
The words of a text drift. When a full vocabulary has refused ten times its capacity, an empty vocabulary replaces it: learning the
words again costs less than the reads that it saves.
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
"""Refused words per word of capacity after which a vocabulary is replaced."""

MAX_LONG_WORDS = 690_000
"""Largest number of words that are too long for the table.

With 699,051 words Python copies their dict into a larger one, which takes 80 ms in which no other thread runs.
"""


class Vocabulary:
    """Gives words ids, dense from 0 and never reused. Several threads may call an instance at the same time.

    Args:
        max_words: largest number of words; at most `MAX_LONG_WORDS` of them may be longer than `SHORT_BYTES`.

    Attributes:
        refused: how often a word without an id got none, because there was no room.
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
        """Return the id of each of `words`, which are distinct. A new word gets a new id, or `NO_ID` if there is no room."""
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
        """Return the id of `word`; None = the word has no id."""
        return self._short.id_of(word) if len(word) <= SHORT_BYTES else self._long.get(word)

    def words_of(self, ids: Int64Array) -> list[bytes]:
        """Return the words that have `ids`, each of which has been given to a word."""
        # A copy, because another thread may be adding ids.
        long_ids = np.frombuffer(self._long_ids.tobytes(), np.int64)
        is_long = np.isin(ids, long_ids)
        short = iter(self._short.words_of(ids[~is_long]))
        places = iter(np.searchsorted(long_ids, ids[is_long]).tolist())
        return [self._long_words[next(places)] if long else next(short) for long in is_long.tolist()]

    def _with_room(self, new: Int64Array, is_short: npt.NDArray[np.bool_]) -> Int64Array:
        """Return the places among `new`, the places of words without an id, for which there is room."""
        room = self.max_words - self._size
        if room <= 0:
            return new[:0]
        fits = is_short[new]
        fits |= np.cumsum(~fits) <= MAX_LONG_WORDS - len(self._long)
        return new[fits][:room]

    def _add(
        self, words: pa.BinaryArray, ids: Int64Array, places: Int64Array, is_short: npt.NDArray[np.bool_]
    ) -> None:
        """Give new ids to the words at `places`, and write the ids into `ids`."""
        ids[places] = given = np.arange(self._size, self._size + len(places))
        self._short.add(words.take(pa.array(places[is_short])), given[is_short])
        long_words, long_ids = words.take(pa.array(places[~is_short])).to_pylist(), given[~is_short]
        self._long_words += long_words
        self._long_ids.extend(long_ids.tolist())
        self._long.update(zip(long_words, long_ids.tolist(), strict=True))
        self._size += len(places)


class VocabularyLimit:
    """Bounds the vocabulary of a process, and replaces a vocabulary that has drifted or is larger than its bound.

    A vocabulary is never cleared in place, because a flush in another thread may still hold its ids.

    Args:
        max_words: largest number of words of a vocabulary.

    Attributes:
        max_words: the present bound, which memory may lower.
        current: the vocabulary for new caches.
    """

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        self._most_words = max_words
        self.current = Vocabulary(max_words)

    def bound(self, bounds: MemoryBounds) -> None:
        """Apply the bound of words (`tables.pace.memory.Bounded`). The next `renew` replaces a vocabulary that is larger already."""
        self.max_words = self.current.max_words = min(bounds.vocabulary_words, self._most_words)

    def has_room(self, words: int) -> bool:
        """Return whether `words` more words fit into the current vocabulary."""
        return len(self.current) + words <= self.max_words

    def renew(self) -> None:
        """Replace the current vocabulary by an empty one if it refused too many words or is larger than its bound."""
        current = self.current
        if current.refused > REFUSALS_PER_WORD * self.max_words or len(current) > self.max_words:
            self.current = Vocabulary(self.max_words)
