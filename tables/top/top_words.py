"""Top-k: the most frequent words over several parties that count apart, without asking a party for all of its words. Pure.

The module uses a threshold algorithm (Fagin, Lotem, Naor 2001; TPUT: Cao and Wang 2004; ADR 12). Each party gives its leaders with
their counts, and a bound that no count of its other words exceeds. The count of a word is at least the sum of the given counts, and at
most that sum plus the bounds of the parties that do not give the word. The count of a word that no party gives is at most the sum of
all bounds. Parties are asked for the missing counts of words that may be among the first `k`. A party may be a partition or another
process.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tables.model.records import Int64Array
from tables.top.leaders import Head

MOST_LOOK_UPS = 20_000
"""Most counts that parties are asked for beyond those of the answer: 0.2 s of reading from stores (measured 5-10 µs a count)."""


class Party(Protocol):
    """A party that has counts of its own: what one party counts, no other party counts.

    Attributes:
        words: the leaders of the party, each once.
        counts: the counts of the leaders, all > 0.
        bound: no other word of the party has a larger count; 0 = the party has no other word.
    """

    @property
    def words(self) -> pa.BinaryArray: ...

    @property
    def counts(self) -> Int64Array: ...

    @property
    def bound(self) -> int: ...

    def counts_of(self, words: Sequence[bytes]) -> Sequence[int]:
        """Return the party's count of each of `words`, which are sorted in byte order; 0 = the party does not have the word."""
        ...


@dataclass(frozen=True, slots=True)
class TopWords:
    """Frequent words with exact counts, sorted by descending count, then by ascending word.

    Attributes:
        words: (word, count) pairs.
        max_error: None = these words are certainly the most frequent ones, in this order. Otherwise a word that is missing here may
            occur up to this many (>= 0) times more often than the last word here; 0 = as often, and sort before the last word.
    """

    words: Sequence[tuple[str, int]]
    max_error: int | None = None

    @property
    def exact(self) -> bool:
        """Whether these are certainly the most frequent words."""
        return self.max_error is None


def proven(heads: Sequence[Head], k: int) -> TopWords | None:
    """Return the `k` (>= 1) most frequent words of all parties if the heads of their leaders prove the answer, otherwise None."""
    sums: dict[bytes, int] = {}
    for head in heads:
        for word, count in head.counts.items():
            sums[word] = sums.get(word, 0) + count
    unseen = sum(head.bound for head in heads)
    least = heapq.nlargest(k, sums.values())[-1] if len(sums) >= k else 0
    # A word that is in no head may occur `unseen` times, which is as often as the last word of the answer, and sort before it.
    if unseen and unseen >= least:
        return None
    known: list[tuple[int, str]] = []
    for word, count in sums.items():
        if count + unseen >= least:
            missing = sum(head.bound for head in heads if word not in head.counts)
            if not missing:
                known.append((-count, word.decode()))
            elif count + missing >= least:
                return None
    return TopWords([(word, -count) for count, word in heapq.nsmallest(k, known)])


def most_frequent(
    parties: Sequence[Party],
    k: int,
    check: Callable[[], None] = lambda: None,
    most_look_ups: int = MOST_LOOK_UPS,
) -> TopWords:
    """Return the most frequent words of all parties together, as well as `most_look_ups` allows.

    Args:
        parties: what one party counts, no other party counts.
        k: number of words (>= 1); fewer are returned if the parties have fewer words.
        check: called before each party is asked; may raise an error, which ends the search.
        most_look_ups: bound of the counts that parties are asked for beyond those of the answer; see `MOST_LOOK_UPS`.
    """
    candidates = _Candidates(parties, k)
    leading = candidates.first(k)
    if not len(leading):
        return TopWords([])
    candidates.look_up(leading, check)
    # If fewer than `k` candidates can have a count above `unseen`, words that no party gives cannot be excluded by any look-up.
    unseen = candidates.unseen
    least = candidates.lower[leading].min() if len(leading) == k else 0
    possible = np.flatnonzero(candidates.upper >= max(least, 1))
    attainable = np.partition(candidates.upper, -k)[-k] if len(candidates) >= k else 0
    if (unseen == 0 or attainable > unseen) and candidates.missing[possible].sum() <= most_look_ups:
        candidates.look_up(possible, check)
    else:
        possible = leading
    first = candidates.first(k, possible)
    return TopWords(candidates.answer(first), candidates.max_error(first, k))


class _Candidates:
    """The leaders of all parties that may be among the first `k`, with lower and upper bounds of their counts.

    Only few steps handle all leaders, because each such step releases the GIL, and a thread that counts takes it. The later steps
    handle few words.

    Attributes:
        words: the candidates, each once.
        lower: for each candidate the sum of its known counts.
        upper: for each candidate the largest count that it can have.
        missing: for each candidate the number of parties whose count is not known.
        unseen: largest count that a word can have which no party gives.
    """

    def __init__(self, parties: Sequence[Party], k: int) -> None:
        self._parties = parties
        bounds = np.array([party.bound for party in parties], np.int64)
        self.unseen = int(bounds.sum())
        empty = pa.array([], pa.binary())
        encoded = pa.concat_arrays([empty, *(party.words for party in parties)]).dictionary_encode()
        ids, size = encoded.indices.to_numpy(), len(encoded.dictionary)
        tellers = np.repeat(np.arange(len(parties)), [len(party.words) for party in parties])
        lower = summed(ids, np.concatenate([party.counts for party in parties]), size)
        upper = lower + (self.unseen - summed(ids, bounds[tellers], size))
        least = np.partition(lower, -k)[-k] if size >= k else 0
        places = np.flatnonzero(upper >= least)
        place_of = np.full(size, -1)
        place_of[places] = np.arange(len(places))
        told = place_of[ids]
        kept = np.flatnonzero(told >= 0)
        self._told, self._tellers = told[kept], tellers[kept]
        self._asked = np.flatnonzero(bounds)
        self._bounds = bounds
        self.words = encoded.dictionary.take(pa.array(places))
        self.lower, self.upper = lower[places], upper[places]
        self.missing = len(self._asked) - np.bincount(
            self._told[bounds[self._tellers] > 0], minlength=len(places)
        )

    def __len__(self) -> int:
        return len(self.words)

    def first(self, k: int, among: Int64Array | None = None) -> Int64Array:
        """Return the `k` places with the largest known counts, ties in order of the words; only places in `among`, unless None."""
        places = np.arange(len(self)) if among is None else among
        known = self.lower[places]
        if len(places) > k:
            places = places[known >= np.partition(known, -k)[-k]]
        table = pa.table({"count": self.lower[places], "word": self.words.take(pa.array(places))})
        order = pc.sort_indices(table, [("count", "descending"), ("word", "ascending")])
        return places[order.to_numpy()[:k]]

    def look_up(self, places: Int64Array, check: Callable[[], None]) -> None:
        """Ask the parties for the missing counts of the words at `places`."""
        places = places[self.missing[places] > 0]
        if not len(places):
            return
        words = self.words.take(pa.array(places))
        by_word = pc.array_sort_indices(words).to_numpy()
        places, texts = places[by_word], words.take(pa.array(by_word)).to_pylist()
        number_of = np.full(len(self), -1)
        number_of[places] = np.arange(len(places))
        told = number_of[self._told]
        known = np.zeros((len(self._parties), len(places)), np.bool_)
        known[self._tellers[told >= 0], told[told >= 0]] = True
        for party in self._asked.tolist():
            unknown = np.flatnonzero(~known[party])
            if len(unknown):
                check()
                counts = self._parties[party].counts_of([texts[number] for number in unknown.tolist()])
                self.lower[places[unknown]] += np.array(counts, np.int64)
        self.upper[places] = self.lower[places]
        self.missing[places] = 0

    def answer(self, places: Int64Array) -> list[tuple[str, int]]:
        """Return the words at `places` with their known counts."""
        words = self.words.take(pa.array(places)).to_pylist()
        return [
            (word.decode(), count) for word, count in zip(words, self.lower[places].tolist(), strict=True)
        ]

    def max_error(self, first: Int64Array, k: int) -> int | None:
        """Return `TopWords.max_error` of the answer whose words are at the places `first`."""
        last = int(self.lower[first[-1]])
        others = self.missing > 0
        # A word whose count is exactly known and that is not in `first` sorts behind it, even with the same count as the last word.
        others[first] = False
        limit = int(max(self.unseen, self.upper[others].max(initial=0)))
        if limit == 0 or (len(first) == k and limit < last):
            return None
        return max(0, limit - last)


def summed(ids: Int64Array, numbers: Int64Array, size: int) -> Int64Array:
    """Return for each id in [0, size) the sum of its numbers, which are >= 0."""
    sums = np.bincount(ids, numbers, size)
    # `bincount` adds floats, which are exact below 2^53.
    assert sums.max(initial=0) < 1 << 53, "counts beyond 9 * 10^15"
    return sums.astype(np.int64)
