"""The most frequent words of parties that each tell a short list: the search of `top_words` in two round trips. Pure.

In the first round trip each party tells its most frequent words and a bound of the counts of its other words. `look_ups` says which
counts are missing, and the second round trip brings them, with new listings: what a party tells at a time is of one moment. `decided`
then gives the answer and says how certain it is.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tables.top.leaders import Head
from tables.top.top_words import Party, TopWords, summed


class Listing(NamedTuple):
    """What a party has told: what one party counts, no other party counts.

    Attributes:
        counts: word -> count; 0 = the party does not have the word.
        bound: no other word of the party occurs more often; 0 = the party has no other word.
    """

    counts: Mapping[bytes, int]
    bound: int


def listing_of(heads: Sequence[Head]) -> Listing:
    """Return the listing of a party that has several parts, by the heads of the parts' leaders: the words that every part knows.

    Args:
        heads: of each part its most frequent words, and the bound of its other words.
    """
    sums: dict[bytes, int] = {}
    told: dict[bytes, int] = {}
    for head in heads:
        for word, count in head.counts.items():
            sums[word] = sums.get(word, 0) + count
            told[word] = told.get(word, 0) + head.bound
    unseen = sum(head.bound for head in heads)
    known = {word: count for word, count in sums.items() if told[word] == unseen}
    possible = (count + unseen - told[word] for word, count in sums.items() if told[word] < unseen)
    return Listing(known, max(unseen, max(possible, default=0)))


def searched(parts: Sequence[Party], k: int, also: Sequence[bytes]) -> Listing:
    """Return the listing of a party that has several parts, by all leaders of the parts and by looking counts up.

    Args:
        parts: what one part counts, no other part counts.
        k: number of words that lead by what is known; their counts are looked up where a part does not list them.
        also: further words whose counts are looked up, each once.
    """
    bounds = np.array([part.bound for part in parts], np.int64)
    unseen = int(bounds.sum())
    words = pa.concat_arrays([pa.array([], pa.binary()), *(part.words for part in parts)])
    encoded = words.dictionary_encode()
    ids, size = encoded.indices.to_numpy(), len(encoded.dictionary)
    tellers = np.repeat(np.arange(len(parts)), [len(part.words) for part in parts])
    sums = summed(ids, np.concatenate([np.empty(0, np.int64), *(part.counts for part in parts)]), size)
    missing = unseen - summed(ids, bounds[tellers], size)
    leading = np.argsort(-sums, kind="stable")[:k]
    asked = sorted({*encoded.dictionary.take(pa.array(leading[missing[leading] > 0])).to_pylist(), *also})
    counts = np.zeros(len(asked), np.int64)
    for part in parts if asked else ():
        counts += np.array(part.counts_of(asked), np.int64)
    missing[np.isin(encoded.dictionary.to_numpy(zero_copy_only=False), asked)] = 0
    bound = max(unseen, int((sums + missing)[missing > 0].max(initial=0)))
    places = np.flatnonzero((missing == 0) & (sums > bound))
    listed = np.union1d(places, leading[missing[leading] == 0])
    known = dict(
        zip(encoded.dictionary.take(pa.array(listed)).to_pylist(), sums[listed].tolist(), strict=True)
    )
    # Words that are known and not listed do not occur more often than the bound.
    return Listing(known | dict(zip(asked, counts.tolist(), strict=True)), bound)


def least_telling(listings: Sequence[Listing], k: int) -> int:
    """Return the count from which on every party has to tell its words, so that none of the `k` most frequent words stays untold.

    The `k`-th word has at least the count that is known of the `k`-th word now. A word with that count in all has at least an equal
    share of that count in one of the parties.
    """
    lower = _sums(listings)
    leading = _first(lower, k)
    known = lower[leading[-1]] if len(leading) == k else 1
    return max(1, -(-known // len(listings)))


def look_ups(listings: Sequence[Listing], k: int, most: int) -> Sequence[Sequence[bytes]]:
    """Return for each party the words whose counts it has to tell, with a new listing, before the `k` most frequent words are known.

    A party that has to tell a count tells those that it has told before once more, because they may have risen.

    Args:
        listings: what the parties have told.
        k: number of words (>= 1).
        most: largest number of missing counts. If more are missing, only the counts of the words that lead now are asked for, so that
            at least the answer has enough words.
    """
    lower = _sums(listings)
    leading = _first(lower, k)
    least = lower[leading[-1]] if len(leading) == k else 1
    possible = sorted(
        word for word, count in lower.items() if count + _missing(listings, word) >= max(1, least)
    )
    lacking = [_lacks(listing, possible) for listing in listings]
    if sum(lacking) > most:
        possible = sorted(leading)
        lacking = [_lacks(listing, possible) for listing in listings]
    return [possible if number else [] for number in lacking]


def decided(listings: Sequence[Listing], k: int) -> TopWords:
    """Return the `k` most frequent words (fewer if there are fewer) of those whose count every party has told, or cannot have."""
    lower = _sums(listings)
    missing = {word: _missing(listings, word) for word in lower}
    known = {word: count for word, count in lower.items() if not missing[word] and count}
    first = _first(known, k)
    unseen = sum(listing.bound for listing in listings)
    limit = max([unseen, *(lower[word] + missing[word] for word in lower if missing[word])])
    words = [(word.decode(), known[word]) for word in first]
    last = words[-1][1] if words else 0
    # A word with the same count as the last word of the answer may sort before it.
    if not limit or (len(words) == k and limit < last):
        return TopWords(words)
    return TopWords(words, max(0, limit - last))


def _sums(listings: Sequence[Listing]) -> dict[bytes, int]:
    sums: dict[bytes, int] = {}
    for listing in listings:
        for word, count in listing.counts.items():
            sums[word] = sums.get(word, 0) + count
    return sums


def _first(counts: Mapping[bytes, int], k: int) -> list[bytes]:
    return heapq.nsmallest(k, counts, key=lambda word: (-counts[word], word))


def _missing(listings: Sequence[Listing], word: bytes) -> int:
    """Return how many occurrences of `word` the parties that have not told its count can have at most."""
    return sum(listing.bound for listing in listings if word not in listing.counts)


def _lacks(listing: Listing, words: Sequence[bytes]) -> int:
    """Return how many counts of `words` the party has not told."""
    return sum(word not in listing.counts for word in words) if listing.bound else 0
