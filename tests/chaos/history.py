"""The recount that judges answers of any kind: every word of a topic at its offset, so that counts are known as of any positions."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_PAGE_WORDS = 4096
"""Words of the vocabulary that are looked at together when the words of a page are sought."""


class _Partition:
    """The words of one partition: `ids` in the order of the log with the `offsets` of their records, and both again by word."""

    def __init__(self, ids: Integers, offsets: Integers, records: Integers, vocabulary: int) -> None:
        self.ids = ids
        self.offsets = offsets
        self.records = records
        order = np.argsort(ids, kind="stable")
        self.places = offsets[order]
        self.starts = np.searchsorted(ids[order], np.arange(vocabulary + 1))

    def count(self, word: int, upto: int) -> int:
        places = self.places[self.starts[word] : self.starts[word + 1]]
        return int(np.searchsorted(places, upto))

    def counts(self, first: int, last: int, upto: int) -> Integers:
        """Return the counts of the words `first` to `last` (exclusive) below offset `upto`."""
        starts = self.starts[first : last + 1]
        below = self.places[starts[0] : starts[-1]] < upto
        sums = np.concatenate(([0], np.cumsum(below)))
        return np.diff(sums[starts - starts[0]])


class History:
    """Counts of a topic under profile whitespace, as of any positions.

    Args:
        records: every (partition, offset, value) of the topic, in the order of offsets within a partition.

    Attributes:
        words: the distinct words, ascending by their bytes.
        ends: partition -> offset after its last record.
    """

    def __init__(self, records: Sequence[tuple[int, int, bytes | None]]) -> None:
        texts: dict[int, list[list[bytes]]] = defaultdict(list)
        offsets: dict[int, list[int]] = defaultdict(list)
        for partition, offset, value in records:
            texts[partition].append((value or b"").split())
            offsets[partition].append(offset)
        self.words = sorted({word for lists in texts.values() for words in lists for word in words})
        ids = {word: number for number, word in enumerate(self.words)}
        self._partitions = {
            number: _Partition(
                np.array([ids[word] for words in lists for word in words], np.int64),
                np.repeat(np.array(offsets[number], np.int64), [len(words) for words in lists]),
                np.array(offsets[number], np.int64),
                len(self.words),
            )
            for number, lists in texts.items()
        }
        self.ends = {number: found[-1] + 1 for number, found in offsets.items()}
        self._totals = np.zeros(len(self.words), np.int64)
        self._totals_at: dict[int, int] = {}

    def count(self, word: str, as_of: Mapping[int, int]) -> int:
        """Return the count of a word below the offsets `as_of`."""
        number = self._first_from(word.encode())
        if number == len(self.words) or self.words[number] != word.encode():
            return 0
        return sum(partition.count(number, upto) for partition, upto in self._upto(as_of))

    def page(
        self, prefix: str, after: str | None, limit: int, as_of: Mapping[int, int]
    ) -> tuple[list[tuple[str, int]], bool]:
        """Return the first `limit` words with counts that start with `prefix` and follow `after`, and whether further words do."""
        least = max(prefix.encode(), b"" if after is None else after.encode() + b"\x00")
        first = self._first_from(least)
        end = bisect_left(self.words, True, first, key=lambda word: not word.startswith(prefix.encode()))
        found: list[tuple[str, int]] = []
        while first < end and len(found) <= limit:
            last = min(first + _PAGE_WORDS, end)
            found += self._listed(first, last, as_of)
            first = last
        return found[:limit], len(found) > limit

    def starting_with(self, prefix: str, as_of: Mapping[int, int]) -> dict[str, int]:
        """Return all words that occur and start with `prefix`, with their counts."""
        # No byte of UTF-8 is 255.
        return self._between(prefix.encode(), prefix.encode() + b"\xff", as_of)

    def within(self, first: str, last: str, as_of: Mapping[int, int]) -> dict[str, int]:
        """Return all words that occur, from `first` to `last`, both inclusive, with their counts."""
        return self._between(first.encode(), last.encode() + b"\x00", as_of)

    def above(self, count: int, as_of: Mapping[int, int]) -> list[tuple[str, int]]:
        """Return the words that occur at least `count` times: count descending, then word ascending."""
        totals = self._counts_at(as_of)
        found = np.flatnonzero(totals >= max(1, count))
        found = found[np.argsort(-totals[found], kind="stable")]
        return [(self.words[number].decode(), int(totals[number])) for number in found]

    def totals(self, as_of: Mapping[int, int]) -> tuple[int, int]:
        """Return the numbers of records and of words below the offsets `as_of`."""
        records = words = 0
        for partition, upto in self._upto(as_of):
            records += int(np.searchsorted(partition.records, upto))
            words += int(np.searchsorted(partition.offsets, upto))
        return records, words

    def _between(self, least: bytes, end: bytes, as_of: Mapping[int, int]) -> dict[str, int]:
        return dict(self._listed(self._first_from(least), self._first_from(end), as_of))

    def _listed(self, first: int, end: int, as_of: Mapping[int, int]) -> list[tuple[str, int]]:
        """Return the words that occur, of those with the numbers `first` to `end` (exclusive), with their counts."""
        if first >= end:
            return []
        counts = sum(
            (partition.counts(first, end, upto) for partition, upto in self._upto(as_of)),
            np.zeros(end - first, np.int64),
        )
        return [(self.words[first + at].decode(), int(counts[at])) for at in np.flatnonzero(counts)]

    def _first_from(self, word: bytes) -> int:
        return bisect_left(self.words, word)

    def _upto(self, as_of: Mapping[int, int]) -> list[tuple[_Partition, int]]:
        return [
            (self._partitions[number], upto) for number, upto in as_of.items() if number in self._partitions
        ]

    def _counts_at(self, as_of: Mapping[int, int]) -> Integers:
        """Return the counts of all words. The counts of the last call are moved to `as_of`, because answers are mostly close by."""
        for number, partition in self._partitions.items():
            before, now = (
                int(np.searchsorted(partition.offsets, upto))
                for upto in (self._totals_at.get(number, 0), as_of.get(number, 0))
            )
            np.add.at(self._totals, partition.ids[before:now], 1)
            np.subtract.at(self._totals, partition.ids[now:before], 1)
            self._totals_at[number] = as_of.get(number, 0)
        return self._totals
