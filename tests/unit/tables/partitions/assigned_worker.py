"""A worker's `Partitions` on real stores, beside a changelog, a group and an input that do what each test wants."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tables.cache.vocabulary import VocabularyLimit
from tables.errors import FlushUnknownError, InexactError, WordcountError
from tables.model.names import MARKER_KEY
from tables.model.records import ChangelogSlice, RecordBatch
from tables.model.rows import NO_ROWS, ChangelogRecord, Marker, RowColumns, encode_marker
from tables.model.tally import Tally, Totals
from tables.model.windows import WindowState
from tables.observer import PartitionState
from tables.pace.policy import FlushPolicy
from tables.partitions.changes import Change
from tables.partitions.partitions import Partitions
from tables.partitions.services import ShardServices
from tables.ports import Tailed
from tests.fakes.null_observer import NullObserver
from tests.fakes.rows import pack_row

Record = tuple[bytes, bytes]


class Log:
    """A changelog partition, kept in memory.

    Attributes:
        records: what it holds, in order.
        appending: awaited before anything is appended.
        answer_lost: whether what is appended is in the log but not acknowledged.
        request_late: whether what is to be appended is kept in `late` instead, unacknowledged.
        unavailable: raised where its end is asked for.
        slice_s: what reading a slice takes.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.appending: Callable[[], Any] | None = None
        self.answer_lost = self.request_late = False
        self.late: list[Record] = []
        self.unavailable: WordcountError | None = None
        self.slice_s = 0.0

    def pack(
        self,
        first: Sequence[ChangelogRecord],
        rows: RowColumns = NO_ROWS,
        last: Sequence[ChangelogRecord] = (),
    ) -> list[Record]:
        return [*first, *rows.records(), *last]

    async def append(
        self, partition: int, records: Any, before_last: Callable[[], Awaitable[None]] | None = None
    ) -> list[tuple[int, int]]:
        if self.appending is not None:
            await self.appending()
        if before_last is not None:
            await before_last()
        if self.request_late:
            self.request_late, self.late = False, records
            raise FlushUnknownError("not acknowledged")
        base = len(self.records)
        self.records += records
        if self.answer_lost:
            self.answer_lost = False
            raise FlushUnknownError("the answer was lost")
        return [(base, len(self.records))]

    async def identity(self) -> str:
        return "changelog"

    async def end_offset(self, partition: int) -> int:
        if self.unavailable is not None:
            raise self.unavailable
        return len(self.records)

    def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
        for first in range(start, end, 100):
            threading.Event().wait(self.slice_s)
            part = self.records[first : first + 100]
            yield ChangelogSlice.of(part, first + len(part))


class Tail:
    """What follows a changelog, whose partitions are all alike.

    Attributes:
        most: records of a slice.
        polls: the offsets that each poll asked for.
        unavailable: raised by a poll.
        error: told of every partition.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._woken = threading.Event()
        self.most = 7
        self.polls: list[dict[int, int]] = []
        self.unavailable: WordcountError | None = None
        self.error: InexactError | None = None
        self.closed = 0

    def poll(self, wanted: Mapping[int, int], timeout_s: float) -> dict[int, Tailed]:
        self.polls.append(dict(wanted))
        if self.unavailable is not None:
            raise self.unavailable
        end, found = len(self._log.records), {}
        for number, start in wanted.items():
            part = self._log.records[start : start + self.most]
            slices = [ChangelogSlice.of(part, start + len(part))] if part else []
            found[number] = Tailed(slices, end, time.monotonic(), self.error)
        if not any(one.slices or one.error for one in found.values()):
            self._woken.wait(0.01)
        self._woken.clear()
        return found

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self.closed += 1


class Group:
    def check(self) -> None: ...

    async def prove(self, partition: int, position: int) -> None: ...


class Source:
    async def identity(self) -> str:
        return "input"

    async def bounds(self, partition: int) -> tuple[int, int]:
        return 0, 1_000_000

    async def exists(self, topic: str) -> bool:
        return True

    async def seek(self, partition: int, position: int) -> None: ...


class Seen(NullObserver):
    def __init__(self) -> None:
        self.states: list[PartitionState] = []
        self.rebalances_s: list[float] = []
        self.words = 0

    def rebalanced(self, *, duration_s: float) -> None:
        self.rebalances_s.append(duration_s)

    def partition_state(self, partition: int, state: PartitionState) -> None:
        self.states.append(state)

    def flushed(self, partition: int, *, words: int, **_: Any) -> None:
        self.words += words


class Worker:
    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        def run(function: Callable[..., Any], *arguments: Any) -> Any:
            return asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

        self.log, self.seen = Log(), Seen()
        self.tail = Tail(self.log)
        self.fatal: list[Exception] = []
        self.changes: list[Change] = []
        services: Any = ShardServices(
            topic="texts",
            group="g",
            profile="p",
            tally=one_word,
            changelog=self.log,
            tail=self.tail,
            ownership=Group(),
            source=Source(),
            dead_letters=None,  # type: ignore[arg-type]
            vocabulary=VocabularyLimit(1000),
            run=run,
            run_commit=run,
            run_long=run,
            run_close=run,
            run_tail=run,
        )
        self.counts = Partitions(
            folder, services, FlushPolicy(interval_ms=1), self.seen, on_fatal=self.fatal.append
        )
        self.counts.changes.subscribe(self.changes.append)

    def replace(self, **services: Any) -> None:
        """Give it other services; before any partition is assigned."""
        replaced = replace(self.counts._services, **services)
        self.counts._services = self.counts._actions._services = replaced

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    async def counting(self) -> None:
        await self.until(lambda: self.counts.state(0)[0] == "counting")

    async def start(self) -> None:
        await self.counts.assign({0})
        await self.counting()

    def flush(self) -> None:
        """Take one record in and have it flushed."""
        offset = self.counts._partitions[0].shard.next
        self.counts.add(0, [RecordBatch(pa.array([b"a"], pa.binary()), offset, offset + 1)], offset + 1)
        self.counts._partitions[0].shard.buffered_since -= 1
        self.counts.tick()

    @property
    def position(self) -> int:
        return self.counts._partitions[0].shard.position


def one_word(batches: Sequence[RecordBatch], windows: WindowState | None = None) -> Tally:
    count = sum(batch.record_count for batch in batches)
    return Tally(pa.array([b"a"], pa.binary()), np.array([count]), Totals(count, count, count))


@asynccontextmanager
async def opened_worker(folder: Path) -> AsyncIterator[Worker]:
    pool = ThreadPoolExecutor(4)
    worker = Worker(folder, pool)
    try:
        yield worker
        await worker.counts.suspend(clean=False, timeout_s=1)
        await worker.counts.close()
    finally:
        pool.shutdown()


def tasks() -> list[str]:
    return sorted(
        task.get_name() for task in asyncio.all_tasks() if task.get_name()[:5] in ("flush", "resto", "follo")
    )


def changelog_of(flushes: int) -> list[Record]:
    """Few words, counted again and again: nothing of it has to be stored before its end is read."""
    records: list[Record] = []
    for position in range(1, flushes + 1):
        records += [(b"w%d" % word, pack_row(position, position)) for word in range(20)]
        marker = Marker(
            topic="texts",
            profile="p",
            origin=0,
            position=position,
            topic_id="input",
            changelog_id="changelog",
        )
        records.append((MARKER_KEY, encode_marker(marker)))
    return records
