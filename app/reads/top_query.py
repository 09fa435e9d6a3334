"""How the most frequent words are found: from the leaders of all partitions, from memory, or from all rows."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import groupby
from operator import itemgetter
from time import sleep
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from app.reads.pool import Budget
from tables.model.records import Int64Array
from tables.model.rows import unpack_row
from tables.model.slices import SLICE_ROWS
from tables.partitions.served_rows import ServedRows
from tables.store.snapshot import StoreSnapshot
from tables.threads import beside_the_loop
from tables.top.leaders import LeadersVersion
from tables.top.top_words import TopWords, most_frequent, proven

Rows = Mapping[int, ServedRows]
AsOf = Mapping[int, int]
Found = tuple[TopWords, AsOf]

_ATTEMPTS = 3

_WORDS_PER_CHECK = 256
"""Looked up in a store, which a slow disk may hold up."""

_COMMIT_S = 0.005
"""What the commit of a flush takes, during which a cache tells nothing."""

_KEPT_WORDS = 100
"""So many words are looked for where fewer are asked for: it takes as long, and is the answer to every smaller question too."""


class LeadingWords:
    """The most frequent words from leaders or memory. The last certain answer is kept: it holds until a flush is committed.

    `kept` is for the event loop, `find` for a thread; they may be called at the same time.
    """

    def __init__(self) -> None:
        self._kept: _Kept | None = None
        self._again = 0

    def kept(self, rows: Rows, k: int) -> Found | None:
        """The `k` most frequent words as of now, certainly; None where they have to be found."""
        kept = self._kept
        if kept is None or not kept.suffices(k) or not kept.is_newest(rows):
            return None
        self._again = kept.k
        return kept.first(k)

    def wanted(self) -> int:
        """How many words the last kept answer had, if `kept` was asked for it since this was called last; otherwise 0."""
        again, self._again = self._again, 0
        return again

    @beside_the_loop
    def find(self, rows: Rows, k: int, exact: bool, budget: Budget) -> Found | None:
        """The `k` most frequent words; None where neither leaders nor memory know them, or not certainly and that is asked for."""
        found = self._by_leaders(rows, max(k, _KEPT_WORDS), budget)
        if found is not None and found[0].exact:
            return TopWords(found[0].words[:k]), found[1]
        if found is not None and k < _KEPT_WORDS:  # Fewer words may be certain.
            found = self._by_leaders(rows, k, budget)
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

    def _by_leaders(self, rows: Rows, k: int, budget: Budget) -> Found | None:
        """None where the leaders of a partition are not known."""
        for attempt in range(_ATTEMPTS):
            if not all(served.leaders.whole for served in rows.values()):
                break
            with ExitStack() as open_views, suppress(_MovedError):
                # Stores need not be looked at where the leaders tell all. Where they are and have moved, they are held fast first.
                parties = [
                    _party(number, served, open_views, budget, held_fast=attempt > 0)
                    for number, served in rows.items()
                ]
                return self._first([party for party in parties if party is not None], k, budget)
        return None

    def _first(self, parties: Sequence[_Party], k: int, budget: Budget) -> Found:
        kept = self._kept
        versions = {party.number: party.version for party in parties}
        if kept is not None and kept.suffices(k) and kept.is_of(versions):
            return kept.first(k)
        top = proven([party.version.leaders.head for party in parties], k)
        if top is None:
            top = most_frequent(parties, k, budget.check)
        found = _Kept(versions, {party.number: party.position for party in parties}, k, top)
        if top.exact:
            self._kept = found
        return found.first(k)


class _MovedError(Exception):
    """A flush was committed between the look at the leaders and the one at the store, or two the other way round."""


class _Kept(NamedTuple):
    """The `k` most frequent words of all partitions, where their leaders have these versions."""

    versions: Mapping[int, LeadersVersion]
    as_of: AsOf
    k: int
    top: TopWords

    def is_of(self, versions: Mapping[int, LeadersVersion]) -> bool:
        """Whether it is the answer of `versions`, which are compared by identity."""
        mine = self.versions
        return mine.keys() == versions.keys() and all(mine[number] is versions[number] for number in mine)

    def is_newest(self, rows: Rows) -> bool:
        """Whether nothing was committed since, nor is being committed."""
        return self.is_of({number: served.leaders.newest for number, served in rows.items()})

    def suffices(self, k: int) -> bool:
        """Whether the first `k` words are among these, or there are no more."""
        return k <= self.k or len(self.top.words) < self.k

    def first(self, k: int) -> Found:
        """The first `k` words."""
        return TopWords(self.top.words[:k], self.top.max_error), self.as_of


@beside_the_loop
def gathered(rows: Rows, budget: Budget) -> None:
    """Go through the stores whose leaders are not known; what one budget does not suffice for goes on with the next."""
    for served in rows.values():
        served.gather_leaders(budget.check)


@beside_the_loop
def all_counted(rows: Rows, k: int, budget: Budget) -> Found:
    """The `k` most frequent words by going through all rows."""
    with ExitStack() as open_views:
        views = {number: open_views.enter_context(served.snapshot()) for number, served in rows.items()}
        as_of = {number: view.position for number, view in views.items() if view.position is not None}
        return _first(_merged([views[number].rows() for number in as_of], budget), k), as_of


class _Party:
    """A partition's leaders, and the store of the same flush.

    Args:
        number: of the partition.
        position: that all is told as of.
        version: the leaders there.
        view: the store there; None = it is opened where it is needed, which is seldom.
        open_view: opens it.
        budget: of the question.

    Attributes:
        number, position, version: see above.
    """

    def __init__(
        self,
        number: int,
        position: int,
        version: LeadersVersion,
        *,
        view: StoreSnapshot | None,
        open_view: Callable[[], StoreSnapshot],
        budget: Budget,
    ) -> None:
        self.number = number
        self.position = position
        self.version = version
        self._view = view
        self._open_view = open_view
        self._budget = budget

    @property
    def words(self) -> pa.BinaryArray:
        return self.version.leaders.read()[0]

    @property
    def counts(self) -> Int64Array:
        return self.version.leaders.read()[1]

    @property
    def bound(self) -> int:
        return self.version.leaders.read()[2]

    def counts_of(self, words: Sequence[bytes]) -> list[int]:
        """See `tables.top.top_words.Party`. Raises _MovedError where the store is at another position."""
        if self._view is None:
            self._view = self._open_view()
            if self._view.position != self.position:
                raise _MovedError
        counts = []
        for number, word in enumerate(words):
            if not number % _WORDS_PER_CHECK:
                self._budget.check()
            # The first word that begins with a word is the word itself, if it is there.
            pairs = self._view.scan(word, 1, word)
            counts.append(unpack_row(pairs[0][1])[0] if pairs and pairs[0][0] == word else 0)
        return counts


def _party(
    number: int, served: ServedRows, open_views: ExitStack, budget: Budget, *, held_fast: bool
) -> _Party | None:
    """None where rows are ahead of the partition's position.

    Args:
        number: of the partition.
        served: its rows.
        open_views: closes its snapshot.
        budget: of the question.
        held_fast: whether that is opened now.

    Raises:
        _MovedError: the leaders of the store's position are not known any more.
    """
    open_view = partial(open_views.enter_context, served.snapshot())
    view = open_view() if held_fast else None
    position = served.stored_state().exact_position if view is None else view.position
    if position is None:
        return None
    version = served.leaders.at(position)
    if version is None:
        raise _MovedError
    return _Party(number, position, version, view=view, open_view=open_view, budget=budget)


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
