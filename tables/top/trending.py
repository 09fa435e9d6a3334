"""Trending words: words that occur in a window far more often than in the windows before it. Pure.

A word occurs `c` times in the window, and `b` times in the `n` windows of the same length before it. If its rate has not changed, both
are Poisson counts of one rate, up to the factor `n`. The square root makes their spread independent of the rate (Anscombe 1948):
`2 * sqrt(c + 3/8)` has a standard deviation of about 1, and `2 * sqrt((b + 3/8) / n)` one of `1 / sqrt(n)`. So the score

    2 * (sqrt(c + 3/8) - sqrt((b + 3/8) / n)) / sqrt(1 + 1/n)

says by how many standard deviations the word is above its own baseline. A ratio would put words first that occur twice instead of
never; a difference would put the most frequent words first.

The score grows with `c` and falls with `b`. So a word of which only is known that it occurs at most `c` times has at most the score of
`c` and no baseline, and words that nobody tells can be excluded. A word that is in no party above its share of the baseline,
`c <= b / n`, has a score of at most 1.3, below `LEAST_SCORE`: parties need not tell such words.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

LEAST_SCORE: Final = 3.0
"""Smallest score of a trending word: three standard deviations. One in 740 words whose rate has not changed has it by chance."""

_ANSCOMBE: Final = 3 / 8


class Telling(NamedTuple):
    """What a party has told: what one party counts, no other party counts.

    Attributes:
        counts: word -> (count in the window, count in the windows before).
        bound: no other word has a larger count in the window, unless the count is at most its share of the windows before.
    """

    counts: Mapping[bytes, tuple[int, int]]
    bound: int


@dataclass(frozen=True, slots=True)
class TrendingWord:
    """A word, its count in the window, its count in the windows before, and its score."""

    word: str
    count: int
    before: int
    score: float


@dataclass(frozen=True, slots=True)
class Trending:
    """Trending words with exact counts, sorted by descending score, then by ascending word.

    Attributes:
        words: the words.
        max_score: None = these are certainly the words with the highest scores. Otherwise a word that is missing here may have up to
            this score.
    """

    words: Sequence[TrendingWord]
    max_score: float | None = None


def score(count: int, before: int, windows: int) -> float:
    """Return by how many standard deviations a word is above its baseline.

    Args:
        count: how often it occurs in the window.
        before: how often it occurs in the windows before, in all.
        windows: number of the windows before, >= 1.
    """
    rise = math.sqrt(count + _ANSCOMBE) - math.sqrt((before + _ANSCOMBE) / windows)
    return 2 * rise / math.sqrt(1 + 1 / windows)


def look_ups(
    tellings: Sequence[Telling], k: int, windows: int, min_count: int, most: int
) -> Sequence[Sequence[bytes]]:
    """Return for each party the words that it has to tell, with a new telling, before the `k` words with the highest scores are known.

    Args:
        tellings: what the parties have told.
        k: number of words (>= 1).
        windows: number of the windows before.
        min_count: least count of a trending word in the window.
        most: largest number of words that a party has to tell.
    """
    merged = _Merged(tellings, windows, min_count)
    known = heapq.nlargest(k, (one.score for one in merged.known()))
    least = known[-1] if len(known) == k else LEAST_SCORE
    upper = {word: merged.highest(word) for word in merged.lacked}
    possible = [word for word, highest in upper.items() if highest >= least]
    asked = sorted(heapq.nlargest(most, possible, key=lambda word: (upper[word], word)))
    return [asked if any(word not in telling.counts for word in asked) else [] for telling in tellings]


def decided(tellings: Sequence[Telling], k: int, windows: int, min_count: int) -> Trending:
    """Return the `k` words with the highest scores, of those that every party has told. Arguments as in `look_ups`."""
    merged = _Merged(tellings, windows, min_count)
    first = heapq.nsmallest(k, merged.known(), key=lambda one: (-one.score, one.word.encode()))
    limit = max(merged.unseen(), *(merged.highest(word) for word in merged.lacked), 0.0)
    # A word with the same score as the last word of the answer may sort before it.
    if limit < LEAST_SCORE or (len(first) == k and limit < first[-1].score):
        return Trending(first)
    return Trending(first, limit)


class _Merged:
    """What all parties have told together.

    Attributes:
        lacked: words that not every party has told.
    """

    def __init__(self, tellings: Sequence[Telling], windows: int, min_count: int) -> None:
        self._parties = len(tellings)
        self._windows = windows
        self._min_count = min_count
        self._counts: dict[bytes, int] = {}
        self._before: dict[bytes, int] = {}
        told: dict[bytes, int] = {}
        bounds: dict[bytes, int] = {}
        for telling in tellings:
            for word, (count, before) in telling.counts.items():
                self._counts[word] = self._counts.get(word, 0) + count
                self._before[word] = self._before.get(word, 0) + before
                told[word] = told.get(word, 0) + 1
                bounds[word] = bounds.get(word, 0) + telling.bound
        self._bound = sum(telling.bound for telling in tellings)
        self.lacked = [word for word, number in told.items() if number < len(tellings)]
        self._missing = {word: self._bound - bounds[word] for word in self.lacked}

    def known(self) -> list[TrendingWord]:
        """Return the trending words that every party has told."""
        lacked = set(self.lacked)
        found: list[TrendingWord] = []
        for word, count in self._counts.items():
            if count < self._min_count or word in lacked:
                continue
            height = score(count, self._before[word], self._windows)
            if height >= LEAST_SCORE:
                found.append(TrendingWord(word.decode(), count, self._before[word], height))
        return found

    def highest(self, word: bytes) -> float:
        """Return the highest score that a lacked word can have."""
        return self._limit(self._counts[word] + self._missing[word], self._before[word])

    def unseen(self) -> float:
        """Return the highest score that a word can have which no party has told."""
        if self._parties == 1 and self._bound < self._min_count:
            return 0.0
        return self._limit(self._bound, 0)

    def _limit(self, count: int, before: int) -> float:
        """Return the highest score of a word that has at least these counts.

        Args:
            count: what parties have told, and the bounds of those that have not told the word. If it occurs more often there, then at
                most as often as its share of the windows before, which lowers the score the more, the more often it occurs.
            before: what parties have told.
        """
        more = max(0, self._min_count - count)
        return score(count + more, before + more * self._windows, self._windows)
