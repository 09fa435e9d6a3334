"""Reads over all partitions of this process: merged when asked, from durable rows only."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import numpy as np

from app.web.ports import Answer, PartitionStatus, RestoreStatus, Stats, WordPage
from tables.errors import NotReadyError, StoreCorruptedError
from tables.rows import unpack_row
from tables.shard import Shard
from tables.windows import Totals
from tables.word_counts import WordCounts

READ_THREADS = 2

Value = TypeVar("Value")
AsOf = Mapping[int, int]
"""Partition -> next offset to count: of exactly the flushes that the value was read from."""


class WordQueries:
    """Implements `app.web.ports.Queries`.

    Args:
        word_counts: the partitions of this process.
        partition_count: number of partitions of the input topic; None while it is not known.
    """

    def __init__(self, word_counts: WordCounts, partition_count: Callable[[], int | None]) -> None:
        self._word_counts = word_counts
        self._partition_count = partition_count
        self._threads = ThreadPoolExecutor(READ_THREADS, "read")

    async def get(self, word: str) -> Answer[int | None]:
        """See `Queries.get`. On the event loop: from memory where all counts are there.

        A read of a store takes microseconds, but gives the GIL up, and while others count at full speed it takes up to 15 ms to get it
        back: others have a turn after each.
        """
        key = word.encode()
        counts: list[int] = []
        as_of: dict[int, int] = {}
        with self._corruption_reported():
            for number, shard in self._answering().items():
                found = shard.cache.count_of(key)
                # Between the two writes of a flush the store is ahead of the cache, and may have been shown.
                if found is not None and found[1] == shard.store.state.exact_position:
                    counts += [found[0]] if found[0] else []
                    as_of[number] = found[1]
                    continue
                row, position = shard.store.get_at(key)
                # A restore can have written rows ahead of the position since the partition was found to be answering.
                if position is not None:
                    as_of[number] = position
                    counts += [] if row is None else [unpack_row(row)[0]]
                await asyncio.sleep(0)
        return self._answer(sum(counts) if counts else None, as_of)

    async def list(self, prefix: str, after: str | None, limit: int) -> Answer[WordPage]:
        """See `Queries.list`."""
        start = b"" if after is None else after.encode() + b"\x00"
        words, as_of = await self._in_thread(_list, self._answering(), prefix.encode(), start, limit + 1)
        page = WordPage([(word.decode(), count) for word, count in words[:limit]], len(words) > limit)
        return self._answer(page, as_of)

    async def top(self, k: int) -> Answer[Sequence[tuple[str, int]]]:
        """See `Queries.top`."""
        found, as_of = await self._in_thread(_top, self._answering(), k)
        return self._answer([(word.decode(), count) for word, count in found], as_of)

    async def stats(self) -> Answer[Stats]:
        """See `Queries.stats`."""
        states = {number: shard.store.state for number, shard in self._answering().items()}
        totals = sum((state.totals for state in states.values()), Totals())
        as_of = {number: state.position for number, state in states.items()}
        return self._answer(Stats(totals, self.partitions()), as_of)

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """See `Queries.partitions`."""
        counts = self._word_counts
        answering, restoring = counts.shards(), counts.restoring()
        statuses: dict[int, PartitionStatus] = {}
        for number in sorted(counts.partition_numbers()):
            state, highwater = counts.state(number)
            position = answering[number].position if number in answering else None
            restore = RestoreStatus(*restoring[number]) if number in restoring else None
            statuses[number] = PartitionStatus(state, position, highwater, restore)
        return statuses

    def close(self) -> None:
        """End the reading threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answering(self) -> Mapping[int, Shard]:
        shards = self._word_counts.shards()
        if not shards:
            raise NotReadyError("no partition can answer yet", "ask /readyz what is awaited")
        return shards

    @contextmanager
    def _corruption_reported(self) -> Iterator[None]:
        """Has a store rebuilt that turns out to be corrupted; the caller is told to ask again."""
        try:
            yield
        except StoreCorruptedError as error:
            self._word_counts.corrupted(error)
            raise

    def _answer(self, value: Value, as_of: AsOf) -> Answer[Value]:
        count = self._partition_count()
        missing = [] if count is None else [number for number in range(count) if number not in as_of]
        return Answer(value, dict(sorted(as_of.items())), count is not None and not missing, missing)

    async def _in_thread(self, function: Callable[..., Value], *arguments: object) -> Value:
        with self._corruption_reported():
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _list(
    shards: Mapping[int, Shard], prefix: bytes, start: bytes, limit: int
) -> tuple[Sequence[tuple[bytes, int]], AsOf]:
    """The first `limit` words from `start` on. Each of them is among the first `limit` of every store that has it."""
    sums: dict[bytes, int] = {}
    as_of: dict[int, int] = {}
    for number, shard in shards.items():
        with shard.store.snapshot() as view:
            if view.position is None:
                continue
            as_of[number] = view.position
            for word, row in view.scan(start, limit, prefix):
                sums[word] = sums.get(word, 0) + unpack_row(row)[0]
    return heapq.nsmallest(limit, sums.items()), as_of


def _top(shards: Mapping[int, Shard], k: int) -> tuple[Sequence[tuple[bytes, int]], AsOf]:
    caches = {number: shard.cache for number, shard in shards.items()}
    vocabulary = next(iter(caches.values())).vocabulary
    if all(cache.complete and cache.vocabulary is vocabulary for cache in caches.values()):
        sums = np.zeros(len(vocabulary), np.int64)
        added = {number: cache.add_to(sums) for number, cache in caches.items()}
        as_of = {number: position for number, position in added.items() if position is not None}
        least = np.partition(sums, -k)[-k] if len(sums) > k else 0
        candidates = np.flatnonzero(sums >= max(1, least))
        counted = zip(vocabulary.words_of(candidates), sums[candidates].tolist(), strict=True)
        return _most_frequent(counted, k), as_of
    with ExitStack() as open_views:
        views = {n: open_views.enter_context(shard.store.snapshot()) for n, shard in shards.items()}
        as_of = {number: view.position for number, view in views.items() if view.position is not None}
        return _most_frequent(_merged([views[number].rows() for number in as_of]), k), as_of


def _most_frequent(counted: Iterable[tuple[bytes, int]], k: int) -> Sequence[tuple[bytes, int]]:
    return heapq.nsmallest(k, counted, key=lambda pair: (-pair[1], pair[0]))


def _merged(stores: Sequence[Iterator[tuple[bytes, bytes]]]) -> Iterator[tuple[bytes, int]]:
    """All words with their sums, in byte order, in memory of a few slices."""
    rows = heapq.merge(*stores)
    for word, same in groupby(rows, key=itemgetter(0)):
        yield word, sum(unpack_row(row)[0] for _, row in same)
