"""Counts summed over partitions: of all words in memory where caches hold them all, otherwise by going through all rows."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from time import sleep

import numpy as np

from app.reads.pool import Budget
from app.reads.questions import MOST_FREQUENT
from tables.cache.vocabulary import Vocabulary
from tables.model.records import Int64Array
from tables.model.rows import unpack_row
from tables.model.slices import SLICE_ROWS
from tables.partitions.served_rows import ServedRows
from tables.store.snapshot import StoreSnapshot
from tables.threads import beside_the_loop
from tables.top.listings import Listing
from tables.top.top_words import TopWords

Rows = Mapping[int, ServedRows]
AsOf = Mapping[int, int]
Found = tuple[TopWords, AsOf]

_ATTEMPTS = 3

_COMMIT_S = 0.005
"""Duration of a flush's commit, during which a cache answers nothing."""

_NEW_WORDS = 1 << 18
"""Words that flushes may add to the vocabulary while the counts in memory are added up."""


def are_in_memory(rows: Rows) -> bool:
    """Return whether the counts of all words of all partitions can be added up in memory: by caches of one vocabulary."""
    caches = [served.cache for served in rows.values()]
    return all(cache.complete and cache.vocabulary is caches[0].vocabulary for cache in caches)


@beside_the_loop
def frequent(rows: Rows, least: int, also: Sequence[bytes], budget: Budget) -> tuple[Listing, AsOf]:
    """Return every word with a count of at least `least`, and the counts of `also`; from memory, or else by going through all rows.

    Args:
        rows: rows by partition.
        least: smallest count of a word that has to be told, >= 1. If more than `MOST_FREQUENT` words have it, those are told.
        also: further words whose counts are told.
        budget: the time budget of the question.
    """
    if are_in_memory(rows):
        for _ in range(_ATTEMPTS):
            found = _frequent_in_memory(rows, least, also, budget)
            if found is not None:
                return found
            sleep(_COMMIT_S)
    wanted = dict.fromkeys(also, 0)
    with ExitStack() as open_views:
        views = {number: open_views.enter_context(served.snapshot()) for number, served in rows.items()}
        as_of = {number: view.position for number, view in views.items() if view.position is not None}

        def counted() -> Iterator[tuple[bytes, int]]:
            for word, count in merged([_counted(views[number]) for number in as_of], budget):
                if word in wanted:
                    wanted[word] = count
                if count >= least:
                    yield word, count

        return listed(counted(), least, wanted), as_of


def first_in_memory(rows: Rows, k: int, budget: Budget) -> Found | None:
    """Return the `k` most frequent words by counts in memory; None if they are not all there, or if flushes keep intervening."""
    for _ in range(_ATTEMPTS):
        if not all(served.cache.complete for served in rows.values()):
            break
        found = _first_in_memory(rows, k, budget)
        if found is not None:
            return found
        sleep(_COMMIT_S)
    return None


@beside_the_loop
def all_counted(rows: Rows, k: int, budget: Budget) -> Found:
    """Return the `k` most frequent words by going through all rows."""
    with ExitStack() as open_views:
        views = {number: open_views.enter_context(served.snapshot()) for number, served in rows.items()}
        as_of = {number: view.position for number, view in views.items() if view.position is not None}
        return first_words(merged([_counted(views[number]) for number in as_of], budget), k), as_of


def _first_in_memory(rows: Rows, k: int, budget: Budget) -> Found | None:
    """Do what `first_in_memory` does, at the first attempt; None as in `_sums`."""
    summed_up = _sums(rows, budget)
    if summed_up is None:
        return None
    vocabulary, sums, as_of = summed_up
    least = np.partition(sums, -k)[-k] if len(sums) > k else 0
    candidates = np.flatnonzero(sums >= max(1, least))
    counted = zip(vocabulary.words_of(candidates), sums[candidates].tolist(), strict=True)
    return first_words(counted, k), as_of


def _sums(rows: Rows, budget: Budget) -> tuple[Vocabulary, Int64Array, AsOf] | None:
    """Return the vocabulary of all partitions, the count of each word by its id, and the positions.

    None means that a cache lacks counts, or uses another vocabulary than the others, or that flushes bring too many new words.
    """
    vocabulary = next(iter(rows.values())).cache.vocabulary
    if not all(served.cache.vocabulary is vocabulary for served in rows.values()):
        return None
    sums = np.zeros(len(vocabulary) + _NEW_WORDS, np.int64)
    as_of: dict[int, int] = {}
    for number, served in rows.items():
        budget.check()
        position = served.add_to(sums)
        if position is None:
            return None
        as_of[number] = position
    # A count of a word that is not in `sums` was left out.
    return (vocabulary, sums, as_of) if len(vocabulary) <= len(sums) else None


def _frequent_in_memory(
    rows: Rows, least: int, also: Sequence[bytes], budget: Budget
) -> tuple[Listing, AsOf] | None:
    """Do what `frequent` does by counts in memory; None as in `_sums`."""
    summed_up = _sums(rows, budget)
    if summed_up is None:
        return None
    vocabulary, sums, as_of = summed_up
    found = np.flatnonzero(sums >= least)
    if len(found) > MOST_FREQUENT:
        found = found[np.argsort(-sums[found], kind="stable")[: MOST_FREQUENT + 1]]
    counted = zip(vocabulary.words_of(found), sums[found].tolist(), strict=True)
    ids = {word: vocabulary.id_of(word) for word in also}
    wanted = {
        word: 0 if number is None or number >= len(sums) else int(sums[number])
        for word, number in ids.items()
    }
    return listed(counted, least, wanted), as_of


def listed(counted: Iterable[tuple[bytes, int]], least: int, also: Mapping[bytes, int]) -> Listing:
    """Return the listing of the `counted` words, which have at least the count `least`, up to `MOST_FREQUENT`, and of `also`.

    `counted` may bring the counts of `also` up to date while it is read.
    """
    first = heapq.nlargest(MOST_FREQUENT + 1, counted, key=itemgetter(1))
    bound = first[MOST_FREQUENT][1] if len(first) > MOST_FREQUENT else least - 1
    return Listing(dict(first[:MOST_FREQUENT]) | dict(also), bound)


def first_words(counted: Iterable[tuple[bytes, int]], k: int) -> TopWords:
    """Return the `k` most frequent of the `counted` words."""
    first = heapq.nsmallest(k, counted, key=lambda pair: (-pair[1], pair[0]))
    return TopWords([(word.decode(), count) for word, count in first])


def merged(parts: Sequence[Iterator[tuple[bytes, int]]], budget: Budget) -> Iterator[tuple[bytes, int]]:
    """Yield all words with their counts summed over `parts`, each in byte order; only a few slices of rows are in memory at a time."""
    words = groupby(heapq.merge(*parts), key=itemgetter(0))
    for number, (word, same) in enumerate(words):
        if not number % SLICE_ROWS:
            budget.check()
        yield word, sum(count for _, count in same)


def _counted(view: StoreSnapshot) -> Iterator[tuple[bytes, int]]:
    for word, row in view.rows():
        yield word, unpack_row(row)[0]
