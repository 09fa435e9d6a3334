"""Reads of stores, caches and leaders of named partitions: values as of exactly the positions that are returned with them.

Each kind of question has threads of its own, so that no question waits behind one of a slower kind. The kinds are: single words, pages
of words, the most frequent words, and passes through all rows of a store.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import TypeVar

import structlog

from app.reads.pace import Pace
from app.reads.pool import Budget, QueryPool
from app.reads.sums import AsOf, Found, Rows, all_counted, are_in_memory, frequent
from app.reads.top_query import LeadingWords, gathered
from app.reads.window_reads import WindowReads
from tables.errors import NotReadyError, StoreCorruptedError
from tables.model.rows import StoreState, unpack_row
from tables.partitions.changes import Change, Changes
from tables.partitions.served_rows import ServedRows
from tables.threads import beside_the_loop
from tables.top.listings import Listing

_TURN_SHARE = 0.5
"""Share of a question's time that may be spent on waiting for a turn; the rest is kept for the answer."""

_WORDS_PER_CHECK = 256
"""Words that are looked up in a store, perhaps on a slow disk, between two checks of the time budget."""

_MOST_PASSING_S = 60.0
"""Longest pass through rows for their leaders; the next question continues the pass."""

_MOST_LISTED_AT_ONCE = 32
"""Most partitions whose heads are added up on the event loop, which takes 0.1 ms for each partition."""

_log = structlog.get_logger(__name__)

Value = TypeVar("Value")


class StoreReads:
    """Reads the rows of partitions. Every method takes the rows by partition, and the end of its time by `time.monotonic`, in seconds.

    A partition that has rows ahead of its position is left out of a value and of the positions that are returned with the value. Every
    method raises `OverloadedError` when too many questions wait, `QueryTimeoutError` when the time is over, and `NotReadyError` when a
    store is being closed.

    Args:
        changes: publishes each durable change, after which top words that were asked for repeatedly are found anew.
        on_corrupted: called with the error of a store that a read found corrupted.
        timeout_s: longest time for finding top words ahead of a question, in seconds.

    Attributes:
        windows: reads windows.
    """

    def __init__(
        self, changes: Changes, on_corrupted: Callable[[StoreCorruptedError], None], timeout_s: float
    ) -> None:
        self._on_corrupted = on_corrupted
        self._timeout_s = timeout_s
        self._renewing: set[asyncio.Task[Found | None]] = set()
        self._passing: asyncio.Task[None] | None = None
        self._closed = False
        self._leading = LeadingWords()
        self.windows = WindowReads(self._ask)
        self._last_top: Rows = {}
        self._top_pace = Pace("top words")
        changes.subscribe(self._changed)
        self._words = QueryPool("word", 2, most_waiting=1024)
        self._lists = QueryPool("list", 2, most_waiting=128)
        self._tops = QueryPool("top", 1, most_waiting=32)
        self._scans = QueryPool("scan", 1, most_waiting=8)
        self._passes = QueryPool("leaders", 1, most_waiting=8)

    async def count(self, rows: Rows, word: bytes, end_s: float) -> tuple[int, AsOf]:
        """Return the count of `word`; 0 = the word has no row. Counts that are not in memory are read in a thread."""
        found: dict[int, tuple[int, int]] = {}
        stored: dict[int, ServedRows] = {}
        for number, served in rows.items():
            known = served.count_of(word)
            if known is None:
                stored[number] = served
            else:
                found[number] = known
        if stored:
            found |= await self._ask(
                self._words, (word, *stored), partial(_stored_counts, stored, word), end_s
            )
        total = sum(count for count, _ in found.values())
        return total, {number: position for number, (_, position) in found.items()}

    async def counts(
        self, rows: Rows, words: Sequence[bytes], at: AsOf, end_s: float
    ) -> tuple[list[int], AsOf]:
        """Return the count of each of `words`; 0 = no row. A partition that is not at its position in `at` is left out."""
        key = (tuple(words), *rows, *at.items())
        return await self._ask(self._lists, key, partial(_many_counts, rows, words, at), end_s)

    async def page(
        self, rows: Rows, prefix: bytes, start: bytes, limit: int, end_s: float
    ) -> tuple[list[tuple[bytes, int]], AsOf]:
        """Return the first `limit` words >= `start` that begin with `prefix`, ascending, with their counts."""
        page = partial(_list, rows, prefix, start, limit)
        return await self._ask(self._lists, (prefix, start, limit, *rows), page, end_s)

    async def top(self, rows: Rows, k: int, exact: bool, end_s: float) -> Found:
        """Return the most frequent words, by leaders and counts in memory; all rows are read only if both prove too little."""
        await self._top_pace.turn((end_s - monotonic()) * _TURN_SHARE)
        self._last_top = rows
        if (kept := self._leading.kept(rows, k)) is not None:
            return kept
        key = (k, exact, *rows)
        find = partial(self._leading.find, rows, k, exact)
        found = await self._ask(self._tops, key, find, end_s)
        if found is None:
            found = await self._ask(self._scans, key, partial(all_counted, rows, k), end_s)
        return found

    async def without_leaders(self, rows: Rows, until_s: float) -> Collection[int]:
        """Return the partitions whose leaders are not known by `until_s`; none if the counts of all partitions are in memory.

        A single pass through the rows of all partitions finds the leaders, and goes on when no client waits.
        """
        if are_in_memory(rows):
            return ()
        while not all(served.leaders.whole for served in rows.values()):
            if self._passing is None or self._passing.done():
                end_s = monotonic() + _MOST_PASSING_S
                self._passing = asyncio.create_task(
                    self._ask(self._passes, tuple(rows), partial(gathered, rows), end_s)
                )
                self._passing.add_done_callback(_noted)
            await asyncio.wait({self._passing}, timeout=max(0.0, until_s - monotonic()))
            if not self._passing.done() or self._passing.cancelled() or self._passing.exception():
                break
        return [number for number, served in rows.items() if not served.leaders.whole]

    async def listed(
        self, rows: Rows, k: int, also: Sequence[bytes], end_s: float
    ) -> tuple[Listing, AsOf] | None:
        """Return frequent words with their counts, and a bound of the counts of all others, without reading all rows.

        None means that the leaders of a partition are not known, or that flushes keep intervening; `top` then finds more.

        Args:
            rows: rows by partition.
            k: number of words that should be told, if there are as many.
            also: further words whose counts are told.
            end_s: end of the time.
        """
        if not also and len(rows) <= _MOST_LISTED_AT_ONCE:
            found = self._leading.listed(rows)
            if found is not None and _suffices(found[0], k):
                return found
        search = partial(self._leading.searched, rows, k, also)
        return await self._ask(self._tops, (k, *also, None, *rows), search, end_s)

    async def frequent(
        self, rows: Rows, least: int, also: Sequence[bytes], end_s: float
    ) -> tuple[Listing, AsOf]:
        """Return every word with at least the count `least`, and the counts of `also`, if need be by reading all rows."""
        await self._top_pace.turn((end_s - monotonic()) * _TURN_SHARE)
        search = partial(frequent, rows, least, also)
        return await self._ask(self._scans, (least, *also, None, *rows), search, end_s)

    def states(self, rows: Rows) -> dict[int, StoreState]:
        """Return the states of the stores that are open."""
        states: dict[int, StoreState] = {}
        for number, served in rows.items():
            with suppress(NotReadyError):
                states[number] = served.stored_state()
        return states

    def close(self) -> None:
        """End the reading threads, and answer nothing from now on."""
        self._closed = True
        self.windows.close()
        for renewing in self._renewing:
            renewing.cancel()
        for pool in (self._words, self._lists, self._tops, self._scans, self._passes):
            pool.close()

    def _changed(self, _: Change) -> None:
        """Find top words anew after a flush was committed, if clients ask for top words repeatedly, before the next client asks."""
        rows = self._last_top
        if rows and not self._closed and (k := self._leading.wanted()):
            find = partial(self._leading.find, rows, k, False)
            end_s = monotonic() + self._timeout_s
            renewing = asyncio.create_task(self._ask(self._tops, (k, False, *rows), find, end_s))
            self._renewing.add(renewing)
            renewing.add_done_callback(self._renewed)

    def _renewed(self, renewing: asyncio.Task[Found | None]) -> None:
        self._renewing.discard(renewing)
        if not renewing.cancelled() and (error := renewing.exception()) is not None:
            _log.debug("top words are not found ahead of questions", reason=str(error))

    @contextmanager
    def _corruption_reported(self) -> Iterator[None]:
        """Have a store rebuilt if the body of the `with` finds the store corrupted, and pass the error on, which says to ask again."""
        try:
            yield
        except StoreCorruptedError as error:
            self._on_corrupted(error)
            raise

    async def _ask(
        self, pool: QueryPool, key: Hashable, answer: Callable[[Budget], Value], end_s: float
    ) -> Value:
        """See `QueryPool.ask`. `end_s` is the deadline by `time.monotonic`."""
        with self._corruption_reported():
            return await pool.ask(key, answer, end_s - monotonic())


def _noted(passing: asyncio.Task[None]) -> None:
    """Note that a pass ended in vain. The next question begins another pass."""
    if not passing.cancelled() and (error := passing.exception()) is not None:
        _log.debug("a pass for the most frequent words has ended", reason=str(error))


def _suffices(listing: Listing, k: int) -> bool:
    """Return whether a listing has `k` words that occur more often than all others may, or all words."""
    return not listing.bound or sum(count > listing.bound for count in listing.counts.values()) >= k


@beside_the_loop
def _stored_counts(
    stored: Mapping[int, ServedRows], word: bytes, budget: Budget
) -> dict[int, tuple[int, int]]:
    """Return (count, position) by partition, without partitions in which a restore has meanwhile written rows ahead."""
    found: dict[int, tuple[int, int]] = {}
    for number, rows in stored.items():
        budget.check()
        count = rows.stored_count_of(word)
        if count is not None:
            found[number] = count
    return found


@beside_the_loop
def _many_counts(
    rows: Mapping[int, ServedRows], words: Sequence[bytes], at: AsOf, budget: Budget
) -> tuple[list[int], AsOf]:
    """Return the counts of `words`, summed over the partitions in the positions that are returned with them."""
    sums = [0] * len(words)
    as_of: dict[int, int] = {}
    for number, served in rows.items():
        with served.snapshot() as view:
            if view.position is None or view.position != at.get(number, view.position):
                continue
            as_of[number] = view.position
            for place, word in enumerate(words):
                if not place % _WORDS_PER_CHECK:
                    budget.check()
                sums[place] += view.count_of(word)
    return sums, as_of


@beside_the_loop
def _list(
    rows: Mapping[int, ServedRows], prefix: bytes, start: bytes, limit: int, budget: Budget
) -> tuple[list[tuple[bytes, int]], AsOf]:
    """Return the first `limit` words from `start` on, and the positions. In each store that holds it, such a word is among the first
    `limit` words from `start` on; so no store is read further.
    """
    sums: dict[bytes, int] = {}
    as_of: dict[int, int] = {}
    for number, served in rows.items():
        budget.check()
        with served.snapshot() as view:
            if view.position is None:
                continue
            as_of[number] = view.position
            for word, row in view.scan(start, limit, prefix):
                sums[word] = sums.get(word, 0) + unpack_row(row)[0]
    return heapq.nsmallest(limit, sums.items()), as_of
