"""How the most frequent words are found: from the leaders of all partitions, from memory, or from all rows."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from time import sleep

import numpy as np
import pyarrow as pa

from app.query_pool import Budget
from tables.partition_store import StoreSnapshot
from tables.rows import unpack_row
from tables.schema import SLICE_ROWS
from tables.served_rows import ServedRows
from tables.top_words import TopWords, most_frequent
from tables.windows import Int64Array

Rows = Mapping[int, ServedRows]
AsOf = Mapping[int, int]
Found = tuple[TopWords, AsOf]

_ATTEMPTS = 3

_COMMIT_S = 0.005
"""What the commit of a flush takes, during which a cache tells nothing."""


def leading(rows: Rows, k: int, exact: bool, budget: Budget) -> Found | None:
    """The `k` most frequent words, from leaders or memory; None where neither knows them, or not exactly and that is asked for."""
    found = _by_leaders(rows, k, budget)
    if found is not None and found[0].exact:
        return found
    counted = None
    for _ in range(_ATTEMPTS):
        if not all(served.cache.complete for served in rows.values()):
            break
        counted = _from_memory(rows, k, budget)
        if counted is not None:
            break
        sleep(_COMMIT_S)
    return found if counted is None and not exact else counted


def gathered(rows: Rows, budget: Budget) -> None:
    """Go through the stores whose leaders are not known; what one budget does not suffice for goes on with the next."""
    for served in rows.values():
        served.gather_leaders(budget.check)


def all_counted(rows: Rows, k: int, budget: Budget) -> Found:
    """The `k` most frequent words by going through all rows."""
    with ExitStack() as open_views:
        views = {number: open_views.enter_context(served.snapshot()) for number, served in rows.items()}
        as_of = {number: view.position for number, view in views.items() if view.position is not None}
        return _first(_merged([views[number].rows() for number in as_of], budget), k), as_of


class _Party:
    """A partition's leaders, and the store of the same flush."""

    def __init__(self, leaders: tuple[pa.BinaryArray, Int64Array, int], view: StoreSnapshot) -> None:
        self.words, self.counts, self.bound = leaders
        self._view = view

    def counts_of(self, words: Sequence[bytes]) -> list[int]:
        """See `tables.top_words.Party`."""
        # The first word that begins with a word is the word itself, if it is there.
        found = (self._view.scan(word, 1, word) for word in words)
        return [
            unpack_row(pairs[0][1])[0] if pairs and pairs[0][0] == word else 0
            for word, pairs in zip(words, found, strict=True)
        ]


def _by_leaders(rows: Rows, k: int, budget: Budget) -> Found | None:
    """None where the leaders of a partition are not known."""
    for _ in range(_ATTEMPTS):
        if not all(served.leaders.whole for served in rows.values()):
            break
        with ExitStack() as open_views:
            parties, as_of = [], {}
            for number, served in rows.items():
                view = open_views.enter_context(served.snapshot())
                if view.position is None:
                    continue
                leaders = served.leaders.at(view.position)
                if leaders is None:  # Two flushes have ended since: it takes a standstill in between.
                    break
                parties.append(_Party(leaders.read(), view))
                as_of[number] = view.position
            else:
                return most_frequent(parties, k, budget.check) if parties else TopWords([]), as_of
    return None


def _from_memory(rows: Rows, k: int, budget: Budget) -> Found | None:
    """None where a cache does not have all counts, or has them of another vocabulary."""
    vocabulary = next(iter(rows.values())).cache.vocabulary
    if not all(served.cache.vocabulary is vocabulary for served in rows.values()):
        return None
    sums = np.zeros(len(vocabulary), np.int64)
    as_of: dict[int, int] = {}
    for number, served in rows.items():
        budget.check()
        position = served.add_to(sums)
        if position is None:
            return None
        as_of[number] = position
    least = np.partition(sums, -k)[-k] if len(sums) > k else 0
    candidates = np.flatnonzero(sums >= max(1, least))
    counted = zip(vocabulary.words_of(candidates), sums[candidates].tolist(), strict=True)
    return _first(counted, k), as_of


def _first(counted: Iterable[tuple[bytes, int]], k: int) -> TopWords:
    first = heapq.nsmallest(k, counted, key=lambda pair: (-pair[1], pair[0]))
    return TopWords([(word.decode(), count) for word, count in first])


def _merged(stores: Sequence[Iterator[tuple[bytes, bytes]]], budget: Budget) -> Iterator[tuple[bytes, int]]:
    """All words with their sums, in byte order, in memory of a few slices."""
    words = groupby(heapq.merge(*stores), key=itemgetter(0))
    for number, (word, same) in enumerate(words):
        if not number % SLICE_ROWS:
            budget.check()
        yield word, sum(unpack_row(row)[0] for _, row in same)
