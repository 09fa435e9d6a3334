"""The most frequent words of parties that each tell a short list: the search of `top_words` in two round trips. Pure.

In the first round trip each party tells its most frequent words and a bound of the counts of its other words. `look_ups` says which
counts are missing, and the second round trip brings them. `decided` then gives the answer and says how certain it is.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tables.top.top_words import TopWords


class Listing(NamedTuple):
    """What a party has told: what one party counts, no other party counts.

    Attributes:
        counts: word -> count; 0 = the party does not have the word.
        bound: no other word of the party occurs more often; 0 = the party has no other word.
    """

    counts: Mapping[bytes, int]
    bound: int


def look_ups(listings: Sequence[Listing], k: int, most: int) -> Sequence[Sequence[bytes]]:
    """Return for each party the words whose counts it has to tell before the `k` most frequent words are known.

    Args:
        listings: what the parties have told.
        k: number of words (>= 1).
        most: largest number of counts to ask for. If more are missing, only those of the words that lead now are asked for, so that at
            least the counts of the answer are exact.
    """
    lower = _sums(listings)
    leading = _first(lower, k)
    least = lower[leading[-1]] if len(leading) == k else 1
    possible = [word for word, count in lower.items() if count + _missing(listings, word) >= max(1, least)]
    asked = _lacking(listings, possible)
    return asked if sum(map(len, asked)) <= most else _lacking(listings, leading)


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


def _lacking(listings: Sequence[Listing], words: Sequence[bytes]) -> list[list[bytes]]:
    return [
        sorted(word for word in words if word not in listing.counts) if listing.bound else []
        for listing in listings
    ]
