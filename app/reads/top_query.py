"""The search for the most frequent words: from the leaders of all partitions, or from counts in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from app.reads.pool import Budget
from app.reads.sums import AsOf, Found, Rows, first_in_memory
from tables.model.records import Int64Array
from tables.partitions.served_rows import ServedRows
from tables.store.snapshot import StoreSnapshot
from tables.threads import beside_the_loop
from tables.top.leaders import Head, LeadersVersion
from tables.top.listings import Listing, listing_of, searched
from tables.top.top_words import TopWords, most_frequent, proven

_ATTEMPTS = 3

_WORDS_PER_CHECK = 256
"""Words that are looked up in a store, perhaps on a slow disk, between two checks of the time budget."""

_KEPT_WORDS = 100
"""Words that are searched when a question asks for fewer: the search takes no longer, and its answer serves smaller questions too."""


class LeadingWords:
    """Finds the most frequent words from leaders or counts in memory, and keeps the last certain answer until a flush is committed.

    `kept` is called on the event loop, `find` in a thread; both may run at the same time.
    """

    def __init__(self) -> None:
        self._kept: _Kept | None = None
        self._again = 0

    def kept(self, rows: Rows, k: int) -> Found | None:
        """Return the `k` certainly most frequent words as of now from the kept answer; None if they must be found anew."""
        kept = self._kept
        if kept is None or not kept.suffices(k) or not kept.is_newest(rows):
            return None
        self._again = kept.k
        return kept.first(k)

    def wanted(self) -> int:
        """Return the number of words of the kept answer, if `kept` has returned it since the last call of this method; otherwise 0."""
        again, self._again = self._again, 0
        return again

    def listed(self, rows: Rows) -> tuple[Listing, AsOf] | None:
        """Return frequent words with their counts, and a bound of the counts of all others, by the heads of the leaders alone.

        None means that the leaders of a partition are not known, or that a commit is under way.
        """
        heads: list[Head] = []
        as_of: dict[int, int] = {}
        for number, served in rows.items():
            position = served.stored_state().exact_position
            if position is None:
                continue
            if not served.leaders.whole or (version := served.leaders.at(position)) is None:
                return None
            heads.append(version.leaders.head)
            as_of[number] = position
        return listing_of(heads), as_of

    @beside_the_loop
    def searched(
        self, rows: Rows, k: int, also: Sequence[bytes], budget: Budget
    ) -> tuple[Listing, AsOf] | None:
        """Return what `listed` returns, by all leaders and look-ups in the stores; see `tables.top.listings.searched`.

        None means that the leaders of a partition are not known, or that flushes keep intervening.
        """
        for _ in range(_ATTEMPTS):
            if not all(served.leaders.whole for served in rows.values()):
                break
            with ExitStack() as open_views, suppress(_MovedError):
                found = [
                    _party(number, served, open_views, budget, held_fast=True)
                    for number, served in rows.items()
                ]
                parties = [party for party in found if party is not None]
                return searched(parties, k, also), {party.number: party.position for party in parties}
        return None

    @beside_the_loop
    def find(self, rows: Rows, k: int, exact: bool, budget: Budget) -> Found | None:
        """Return the `k` most frequent words from leaders or counts in memory.

        None means that neither knows the words, or, if `exact`, that neither proves which words are the most frequent.
        """
        found = self._by_leaders(rows, max(k, _KEPT_WORDS), budget)
        if found is not None and found[0].exact:
            return TopWords(found[0].words[:k]), found[1]
        if found is not None and k < _KEPT_WORDS:  # Fewer words may be certain.
            found = self._by_leaders(rows, k, budget)
        if found is not None and found[0].exact:
            return found
        counted = first_in_memory(rows, k, budget)
        return found if counted is None and not exact else counted

    def _by_leaders(self, rows: Rows, k: int, budget: Budget) -> Found | None:
        """Return the most frequent words by leaders; None if the leaders of a partition are not known, or flushes keep intervening."""
        for attempt in range(_ATTEMPTS):
            if not all(served.leaders.whole for served in rows.values()):
                break
            with ExitStack() as open_views, suppress(_MovedError):
                # The first attempt opens a store only if leaders leave a question open. A flush may have been committed by then; so
                # later attempts open the stores before they read the leaders.
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
    """Leaders and store are not of the same flush.

    A flush was committed after the leaders were read and before the store was opened, or two flushes were committed after the store
    was opened and before the leaders were read.
    """


class _Kept(NamedTuple):
    """The `k` most frequent words of all partitions, which hold while the leaders of the partitions have these versions."""

    versions: Mapping[int, LeadersVersion]
    as_of: AsOf
    k: int
    top: TopWords

    def is_of(self, versions: Mapping[int, LeadersVersion]) -> bool:
        """Return whether this is the answer for `versions`, which are compared by identity."""
        mine = self.versions
        return mine.keys() == versions.keys() and all(mine[number] is versions[number] for number in mine)

    def is_newest(self, rows: Rows) -> bool:
        """Return whether nothing has been committed since this answer, and nothing is being committed."""
        return self.is_of({number: served.leaders.newest for number, served in rows.items()})

    def suffices(self, k: int) -> bool:
        """Return whether this answer holds the first `k` words, or all words if there are fewer than `k`."""
        return k <= self.k or len(self.top.words) < self.k

    def first(self, k: int) -> Found:
        """Return the first `k` words of this answer."""
        return TopWords(self.top.words[:k], self.top.max_error), self.as_of


@beside_the_loop
def gathered(rows: Rows, budget: Budget) -> None:
    """Go through the stores whose leaders are not known. If the budget ends first, a later call continues where this call ended."""
    for served in rows.values():
        served.gather_leaders(budget.check)


class _Party:
    """A partition's leaders, and the snapshot of its store at the same position; a `Party` of `tables.top.top_words`.

    Args:
        number: number of the partition.
        position: the position of leaders and snapshot.
        version: the leaders at that position.
        view: the snapshot at that position; None = `open_view` opens the snapshot when it is needed, which is seldom.
        open_view: opens the snapshot.
        budget: the time budget of the question.

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
        """See `tables.top.top_words.Party`. Raise _MovedError if the store is at another position."""
        if self._view is None:
            self._view = self._open_view()
            if self._view.position != self.position:
                raise _MovedError
        counts = []
        for number, word in enumerate(words):
            if not number % _WORDS_PER_CHECK:
                self._budget.check()
            counts.append(self._view.count_of(word))
        return counts


def _party(
    number: int, served: ServedRows, open_views: ExitStack, budget: Budget, *, held_fast: bool
) -> _Party | None:
    """Return the party of a partition; None if rows are ahead of the partition's position.

    Args:
        number: number of the partition.
        served: rows of the partition.
        open_views: closes the snapshot.
        budget: the time budget of the question.
        held_fast: whether the snapshot is opened now, before the leaders are read.

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
