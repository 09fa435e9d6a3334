"""The most frequent words over several parties that count apart, without asking any of them for all of its words. Pure.

A threshold algorithm (Fagin, Lotem, Naor 2001; TPUT: Cao and Wang 2004). Each party tells its leaders with their counts, and a bound
that none of its other words exceeds. A word occurs at least as often as the parties that tell of it say together, and at most that
often plus the bounds of the others. Parties are asked for the missing counts of words that may be among the first; a word that no
party tells of occurs at most as often as the sum of all bounds. A party may be a partition, or another process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tables.windows import Int64Array

MOST_LOOK_UPS = 20_000
"""Counts that parties are asked for beyond those of the answer itself: 0.2 s of reading from stores (measured 5-10 µs each)."""


class Party(Protocol):
    """Counts of its own.

    Attributes:
        words: its leaders, each once.
        counts: of them, all > 0.
        bound: no other of its words has a larger count; 0 = it has no other.
    """

    @property
    def words(self) -> pa.BinaryArray: ...

    @property
    def counts(self) -> Int64Array: ...

    @property
    def bound(self) -> int: ...

    def counts_of(self, words: Sequence[bytes]) -> Sequence[int]:
        """Its counts of `words`, which ascend; 0 = it does not have the word."""
        ...


@dataclass(frozen=True, slots=True)
class TopWords:
    """Words with their counts, which are exact: count descending, then word ascending.

    Attributes:
        words: (word, count) pairs.
        max_error: None where these are certainly the most frequent words, in this order. Otherwise a word that is not among them may
            occur so many (>= 0) times more often than the last one of them; 0 = as often, and sort before it.
    """

    words: Sequence[tuple[str, int]]
    max_error: int | None = None

    @property
    def exact(self) -> bool:
        """Whether these are certainly the most frequent words."""
        return self.max_error is None


def most_frequent(
    parties: Sequence[Party],
    k: int,
    check: Callable[[], None] = lambda: None,
    most_look_ups: int = MOST_LOOK_UPS,
) -> TopWords:
    """The `k` (>= 1) most frequent words of all parties together, as far as `most_look_ups` let it be known.

    Args:
        parties: what is counted by one is counted by no other.
        k: how many.
        check: called before each party is asked; may raise an error.
        most_look_ups: see `MOST_LOOK_UPS`.
    """
    candidates = _Candidates(parties)
    leading = candidates.first(k)
    if not len(leading):
        return TopWords([])
    candidates.look_up(leading, check)
    # Of words that nobody tells of none can be excluded where the k-th one is surely not above this.
    unseen = candidates.bounds.sum()
    least = candidates.lower[leading].min() if len(leading) == k else 0
    possible = np.flatnonzero(candidates.upper >= max(least, 1))
    attainable = np.partition(candidates.upper, -k)[-k] if len(candidates) >= k else 0
    if (unseen == 0 or attainable > unseen) and candidates.missing(possible) <= most_look_ups:
        candidates.look_up(possible, check)
    else:
        possible = leading
    first = candidates.first(k, possible)
    return TopWords(candidates.answer(first), candidates.max_error(first, k))


class _Candidates:
    """The leaders of all parties: what is known of each, and what is not."""

    def __init__(self, parties: Sequence[Party]) -> None:
        self._parties = parties
        self.bounds = np.array([party.bound for party in parties], np.int64)
        empty = pa.array([], pa.binary())
        encoded = pa.concat_arrays([empty, *(party.words for party in parties)]).dictionary_encode()
        self.words = encoded.dictionary
        ends = np.cumsum([len(party.words) for party in parties])
        self._ids = np.split(encoded.indices.to_numpy(), ends[:-1])
        self.lower = np.zeros(len(self.words), np.int64)
        self.upper = np.full(len(self.words), self.bounds.sum(), np.int64)
        for party, ids in zip(parties, self._ids, strict=True):
            self.lower[ids] += party.counts
            self.upper[ids] += party.counts - party.bound

    def __len__(self) -> int:
        return len(self.words)

    def first(self, k: int, among: Int64Array | None = None) -> Int64Array:
        """The `k` places (of those in `among`) with the largest known counts, ties by word."""
        places = np.arange(len(self)) if among is None else among
        known = self.lower[places]
        if len(places) > k:
            places = places[known >= np.partition(known, -k)[-k]]
        table = pa.table({"count": self.lower[places], "word": self.words.take(pa.array(places))})
        order = pc.sort_indices(table, [("count", "descending"), ("word", "ascending")])
        return places[order.to_numpy()[:k]]

    def missing(self, places: Int64Array) -> int:
        """How many counts of the words at `places` are not known."""
        return sum(len(self._unknown(number, places)) for number in range(len(self._parties)))

    def look_up(self, places: Int64Array, check: Callable[[], None]) -> None:
        """Ask the parties for what is not known of the words at `places`."""
        for number, party in enumerate(self._parties):
            unknown = self._unknown(number, places)
            if len(unknown):
                check()
                pairs = sorted(
                    zip(self.words.take(pa.array(unknown)).to_pylist(), unknown.tolist(), strict=True)
                )
                asked = np.array([place for _, place in pairs], np.int64)
                self.lower[asked] += np.array(party.counts_of([word for word, _ in pairs]), np.int64)
                self.upper[asked] -= party.bound
                self._ids[number] = np.concatenate([self._ids[number], asked])
        self.upper[places] = self.lower[places]

    def answer(self, places: Int64Array) -> list[tuple[str, int]]:
        """The words at `places` with their counts."""
        words = self.words.take(pa.array(places)).to_pylist()
        return [
            (word.decode(), count) for word, count in zip(words, self.lower[places].tolist(), strict=True)
        ]

    def max_error(self, first: Int64Array, k: int) -> int | None:
        """See `TopWords`; `first` are the places of the answer."""
        last = int(self.lower[first[-1]])
        others = np.ones(len(self), np.bool_)
        others[first] = False
        # What is exactly known and not among the first is behind them, also where it occurs as often as the last one.
        others &= self.upper > self.lower
        limit = int(max(self.bounds.sum(), self.upper[others].max(initial=0)))
        if limit == 0 or (len(first) == k and limit < last):
            return None
        return max(0, limit - last)

    def _unknown(self, number: int, places: Int64Array) -> Int64Array:
        if not self.bounds[number]:
            return places[:0]
        known = np.zeros(len(self), np.bool_)
        known[self._ids[number]] = True
        return places[~known[places]]
