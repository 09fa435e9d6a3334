"""The answers of a simulated process: the real queries, answered at once or in threads that stop at their breaths."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from app.reads.answers import Terms
from app.reads.pool import Budget
from app.reads.queries import WordQueries
from app.reads.store_reads import StoreReads
from tables.partitions.partitions import Partitions
from tests.fakes.parties import queries_alone

if TYPE_CHECKING:
    from tests.simulation.process import Process


PARTIAL = Terms(allow_partial=True)


class StoresAtOnce(StoreReads):
    """The real reads, answered at once in the simulation's only thread."""

    async def _ask(self, pool: object, key: object, answer: Callable[[Budget], Any], end_s: float = 0) -> Any:
        with self._corruption_reported(), off_the_loop():
            return answer(Budget(math.inf))


class SlowStores(StoreReads):
    """The real reads, answered in threads that stop at their breaths."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.counts.changes, process.counts.rebuild_corrupted, math.inf)
        self._process = process

    async def _ask(self, pool: object, key: object, answer: Callable[[Budget], Any], end_s: float = 0) -> Any:
        with self._corruption_reported():
            return await self._process.read(answer, Budget(math.inf))


def queries_at_once(partitions: Partitions, partition_count: Callable[[], int]) -> WordQueries:
    """Return the real queries of one process, answered at once."""
    stores = StoresAtOnce(partitions.changes, partitions.rebuild_corrupted, math.inf)
    return queries_alone(partitions, stores, partition_count)


def slow_queries(process: Process, counts: Any) -> WordQueries:
    """Return the real queries of one process over its partitions or its followers, answered in threads that stop at their breaths."""
    return queries_alone(counts, SlowStores(process), lambda: len(process.broker.source))


class Followed:
    """The followers of a process in the place of its partitions, so that the real queries ask them."""

    def __init__(self, counts: Partitions) -> None:
        self._counts = counts

    def shards(self) -> Mapping[int, Any]:
        """Return the followers that can answer."""
        followers = self._counts.followers.followers().items()
        return {
            number: SimpleNamespace(served=one.served, position=one.position, unsettled=None)
            for number, one in followers
            if one.readable
        }

    def partition_numbers(self) -> Collection[int]:
        return self._counts.followers.followers().keys()

    def state(self, number: int) -> tuple[str, int]:
        return "counting", 0

    def restoring(self) -> Mapping[int, Any]:
        return {}

    def errors(self) -> Mapping[int, str]:
        return {}


@contextmanager
def off_the_loop() -> Iterator[None]:
    """Hide the running event loop, as in a thread, from functions that refuse to run on an event loop."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that waits for nothing, though it may yield to other tasks."""
    try:
        while True:
            turn = coroutine.send(None)
            assert turn is None, "it waits for something"
    except StopIteration as end:
        return end.value
