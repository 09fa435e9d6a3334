"""Reads over all partitions of this process: answers are merged at the time of the question, from durable rows only.

Each kind of question has threads of its own, so that no question waits behind one of a slower kind. The kinds are: single words, pages
of words, the most frequent words, and passes through all rows of a store.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import TypeVar

import structlog

from app.reads.answers import WHOLE, Answer, PartitionStatus, RestoreStatus, Stats, Terms, WordPage
from app.reads.pace import Pace
from app.reads.pool import Budget, QueryPool
from app.reads.top_query import Found, LeadingWords, all_counted, gathered
from tables.errors import NotReadyError, StoreCorruptedError
from tables.model.rows import StoreState, unpack_row
from tables.model.tally import Totals
from tables.partitions.changes import Change
from tables.partitions.partitions import Partitions
from tables.partitions.served_rows import ServedRows
from tables.partitions.shard import Shard
from tables.threads import beside_the_loop
from tables.top.top_words import TopWords

TIMEOUT_S = 2.0

_TURN_SHARE = 0.5
"""Share of a question's time that may be spent on waiting for a turn; the rest is kept for the answer."""

_WORDS_PER_CHECK = 256
"""Words that are looked up in a store, perhaps on a slow disk, between two checks of the time budget."""

_log = structlog.get_logger(__name__)

Value = TypeVar("Value")
AsOf = Mapping[int, int]
"""Partition -> next offset to count, as of exactly the flushes from which a value was read."""


class WordQueries:
    """Implements `app.reads.answers.Queries`.

    Args:
        partitions: the partitions of this process.
        partition_count: number of partitions of the input topic; None while it is not known.
        timeout_s: the longest time that a question may take.
    """

    def __init__(
        self,
        partitions: Partitions,
        partition_count: Callable[[], int | None],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._partitions = partitions
        self._partition_count = partition_count
        self._timeout_s = timeout_s
        self._renewing: set[asyncio.Task[Found | None]] = set()
        self._closed = False
        self._leading = LeadingWords()
        self._top_pace = Pace("top words")
        partitions.changes.subscribe(self._changed)
        self._words = QueryPool("word", 2, most_waiting=1024)
        self._lists = QueryPool("list", 2, most_waiting=128)
        self._tops = QueryPool("top", 1, most_waiting=32)
        self._scans = QueryPool("scan", 1, most_waiting=8)

    async def get(self, word: str, terms: Terms = WHOLE) -> Answer[int | None]:
        """See `Queries.get`. Counts that are not in memory are read in a thread, because a disk may be slow."""
        key = word.encode()
        found: dict[int, tuple[int, int]] = {}
        stored: dict[int, ServedRows] = {}
        for number, rows in self._answering().items():
            known = rows.count_of(key)
            if known is None:
                stored[number] = rows
            else:
                found[number] = known
        if stored:
            found |= await self._ask(self._words, (key, *stored), partial(_stored_counts, stored, key))
        total = sum(count for count, _ in found.values())
        return self._answer(total or None, {number: position for number, (_, position) in found.items()})

    async def counts_of(self, words: Sequence[str], terms: Terms = WHOLE) -> Answer[Sequence[int]]:
        """See `Queries.counts_of`."""
        rows = self._answering()
        keys = tuple(word.encode() for word in words)
        counts, as_of = await self._ask(self._words, (keys, *rows), partial(_many_counts, rows, keys))
        return self._answer(counts, as_of)

    async def list(
        self, prefix: str, after: str | None, limit: int, terms: Terms = WHOLE
    ) -> Answer[WordPage]:
        """See `Queries.list`."""
        rows = self._answering()
        start = b"" if after is None else after.encode() + b"\x00"
        page = partial(_list, rows, prefix.encode(), start, limit + 1)
        words, as_of = await self._ask(self._lists, (prefix, start, limit, *rows), page)
        found = [(word.decode(), count) for word, count in words[:limit]]
        return self._answer(WordPage(found, len(words) > limit), as_of)

    async def top(self, k: int, *, exact: bool = False, terms: Terms = WHOLE) -> Answer[TopWords]:
        """See `Queries.top`. Leaders and counts in memory are tried first; all rows are read only if both prove too little."""
        end_s = monotonic() + self._timeout_s
        self._answering()
        await self._top_pace.turn(self._timeout_s * _TURN_SHARE)
        rows = self._answering()
        if (kept := self._leading.kept(rows, k)) is not None:
            return self._answer(*kept)
        key = (k, exact, *rows)
        find = partial(self._leading.find, rows, k, exact)
        found = await self._ask(self._tops, key, find, end_s)
        if found is None and not all(served.leaders.whole for served in rows.values()):
            # A store was opened with rows, so that its leaders are not known: a single pass through its rows finds the leaders.
            await self._ask(self._scans, tuple(rows), partial(gathered, rows), end_s)
            found = await self._ask(self._tops, key, find, end_s)
        if found is None:
            found = await self._ask(self._scans, key, partial(all_counted, rows, k), end_s)
        return self._answer(*found)

    async def stats(self, terms: Terms = WHOLE) -> Answer[Stats]:
        """See `Queries.stats`."""
        states: dict[int, StoreState] = {}
        for number, rows in self._answering().items():
            with suppress(NotReadyError):
                states[number] = rows.stored_state()
        totals = sum((state.totals for state in states.values()), Totals())
        as_of = {number: state.position for number, state in states.items()}
        return self._answer(Stats(totals, self.partitions()), as_of)

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """See `Queries.partitions`."""
        counts = self._partitions
        answering, restoring = counts.shards(), counts.restoring()
        statuses: dict[int, PartitionStatus] = {}
        for number in sorted(counts.partition_numbers()):
            state, highwater = counts.state(number)
            position = answering[number].position if number in answering else None
            restore = RestoreStatus(*restoring[number]) if number in restoring else None
            statuses[number] = PartitionStatus(state, position, highwater, restore)
        return statuses

    def close(self) -> None:
        """End the reading threads, and answer nothing from now on."""
        self._closed = True
        for renewing in self._renewing:
            renewing.cancel()
        for pool in (self._words, self._lists, self._tops, self._scans):
            pool.close()

    def _changed(self, _: Change) -> None:
        """Find top words anew after a flush was committed, if clients ask for top words repeatedly, before the next client asks."""
        shards = self._partitions.shards()
        if shards and not self._closed and (k := self._leading.wanted()):
            rows = {number: shard.served for number, shard in shards.items()}
            find = partial(self._leading.find, rows, k, False)
            renewing = asyncio.create_task(self._ask(self._tops, (k, False, *rows), find))
            self._renewing.add(renewing)
            renewing.add_done_callback(self._renewed)

    def _renewed(self, renewing: asyncio.Task[Found | None]) -> None:
        self._renewing.discard(renewing)
        if not renewing.cancelled() and (error := renewing.exception()) is not None:
            _log.debug("top words are not found ahead of questions", reason=str(error))

    def _shards(self) -> Mapping[int, Shard]:
        shards = self._partitions.shards()
        if not shards:
            raise NotReadyError("no partition can answer yet", "ask /readyz what is awaited")
        return shards

    def _answering(self) -> Mapping[int, ServedRows]:
        return {number: shard.served for number, shard in self._shards().items()}

    @contextmanager
    def _corruption_reported(self) -> Iterator[None]:
        """Have a store rebuilt if the body of the `with` finds the store corrupted, and pass the error on, which says to ask again."""
        try:
            yield
        except StoreCorruptedError as error:
            self._partitions.rebuild_corrupted(error)
            raise

    def _answer(self, value: Value, as_of: AsOf) -> Answer[Value]:
        count = self._partition_count()
        missing = [] if count is None else [number for number in range(count) if number not in as_of]
        return Answer(value, dict(sorted(as_of.items())), count is not None and not missing, missing)

    async def _ask(
        self,
        pool: QueryPool,
        key: Hashable,
        answer: Callable[[Budget], Value],
        end_s: float | None = None,
    ) -> Value:
        """See `QueryPool.ask`. `end_s` is the deadline by `time.monotonic`; None = `timeout_s` from now."""
        timeout_s = self._timeout_s if end_s is None else end_s - monotonic()
        with self._corruption_reported():
            return await pool.ask(key, answer, timeout_s)


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
    rows: Mapping[int, ServedRows], words: Sequence[bytes], budget: Budget
) -> tuple[Sequence[int], AsOf]:
    """Return the counts of `words`, summed over the partitions in the positions that are returned with them."""
    sums = [0] * len(words)
    as_of: dict[int, int] = {}
    for number, served in rows.items():
        with served.snapshot() as view:
            if view.position is None:
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
) -> tuple[Sequence[tuple[bytes, int]], AsOf]:
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
