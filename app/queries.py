"""Reads over all partitions of this process: merged when asked, from durable rows only."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from app.web.ports import Answer, PartitionStatus, Stats, WordPage
from tables.errors import NotReadyError
from tables.rows import unpack_row
from tables.shard import Shard
from tables.windows import Totals
from tables.word_counts import WordCounts

READ_THREADS = 2

Value = TypeVar("Value")


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
        """See `Queries.get`. A few microseconds a partition: on the event loop."""
        shards = self._answering()
        key = word.encode()
        counts = [
            unpack_row(row)[0] for shard in shards.values() if (row := shard.store.get(key)) is not None
        ]
        return self._answer(shards, sum(counts) if counts else None)

    async def list(self, prefix: str, after: str | None, limit: int) -> Answer[WordPage]:
        """See `Queries.list`."""
        shards = self._answering()
        start = b"" if after is None else after.encode() + b"\x00"
        words = await self._in_thread(_list, list(shards.values()), prefix.encode(), start, limit + 1)
        page = WordPage([(word.decode(), count) for word, count in words[:limit]], len(words) > limit)
        return self._answer(shards, page)

    async def top(self, k: int) -> Answer[Sequence[tuple[str, int]]]:
        """See `Queries.top`."""
        shards = self._answering()
        found = await self._in_thread(_top, list(shards.values()), k)
        return self._answer(shards, [(word.decode(), count) for word, count in found])

    async def stats(self) -> Answer[Stats]:
        """See `Queries.stats`."""
        shards = self._answering()
        totals = sum((shard.totals for shard in shards.values()), Totals())
        return self._answer(shards, Stats(totals, self.partitions()))

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """See `Queries.partitions`."""
        counts = self._word_counts
        answering = counts.shards()
        statuses: dict[int, PartitionStatus] = {}
        for number in sorted(counts.partition_numbers()):
            state, highwater = counts.state(number)
            position = answering[number].position if number in answering else None
            statuses[number] = PartitionStatus(state, position, highwater)
        return statuses

    def close(self) -> None:
        """End the reading threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answering(self) -> Mapping[int, Shard]:
        shards = self._word_counts.shards()
        if not shards:
            raise NotReadyError("no partition can answer yet", "ask /readyz what is awaited")
        return shards

    def _answer(self, shards: Mapping[int, Shard], value: Value) -> Answer[Value]:
        count = self._partition_count()
        missing = [] if count is None else [number for number in range(count) if number not in shards]
        as_of = {number: shards[number].position for number in sorted(shards)}
        return Answer(value, as_of, count is not None and not missing, missing)

    async def _in_thread(self, function: Callable[..., Value], *arguments: object) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _list(shards: Sequence[Shard], prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, int]]:
    """The first `limit` words from `start` on. Each of them is among the first `limit` of every store that has it."""
    sums: dict[bytes, int] = {}
    for shard in shards:
        for word, row in shard.store.scan(start, limit, prefix):
            sums[word] = sums.get(word, 0) + unpack_row(row)[0]
    return heapq.nsmallest(limit, sums.items())


def _top(shards: Sequence[Shard], k: int) -> list[tuple[bytes, int]]:
    vocabulary = shards[0].cache.vocabulary
    if all(shard.cache.complete and shard.cache.vocabulary is vocabulary for shard in shards):
        words = vocabulary.words
        sums = np.zeros(len(words), np.int64)
        for shard in shards:
            shard.cache.add_to(sums)
        candidates = (
            np.flatnonzero(sums >= np.partition(sums, -k)[-k]) if len(sums) > k else np.arange(len(sums))
        )
        counted: Iterator[tuple[bytes, int]] = (
            (words[i], int(sums[i])) for i in candidates.tolist() if sums[i]
        )
    else:
        counted = _merged(shards)
    return heapq.nsmallest(k, counted, key=lambda pair: (-pair[1], pair[0]))


def _merged(shards: Sequence[Shard]) -> Iterator[tuple[bytes, int]]:
    """All words with their sums, in byte order, in memory of a few slices."""
    pending: tuple[bytes, int] | None = None
    for word, row in heapq.merge(*(shard.store.rows() for shard in shards)):
        count = unpack_row(row)[0]
        if pending is not None and pending[0] == word:
            pending = (word, pending[1] + count)
            continue
        if pending is not None:
            yield pending
        pending = (word, count)
    if pending is not None:
        yield pending
