"""What partitions go through on real stores, beside a changelog, a group and an input that do what each test wants."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from agents.watchdog import Watchdog
from tables.cache.vocabulary import VocabularyLimit
from tables.errors import (
    BrokerUnavailableError,
    ConfigurationError,
    FlushUnknownError,
    OutOfMemoryError,
    PartitionsLostError,
    StoreCorruptedError,
    StoreUnavailableError,
    WordcountError,
)
from tables.model.names import MARKER_KEY
from tables.model.records import ChangelogSlice, RecordBatch
from tables.model.rows import Marker, StoreState, encode_marker, pack_row
from tables.model.tally import Tally, Totals
from tables.observer import PartitionState
from tables.pace.policy import FlushPolicy
from tables.partitions.changes import Change
from tables.partitions.partitions import WordCounts
from tables.partitions.services import ShardServices
from tables.store.partition_store import PartitionStore, StagedRows
from tests.null_observer import NullObserver

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

    def pack(self, keys: Sequence[bytes], values: Sequence[bytes]) -> list[Record]:
        return list(zip(keys, values, strict=True))

    async def append(self, partition: int, records: Any) -> list[tuple[int, int]]:
        if self.appending is not None:
            await self.appending()
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
        self.words = 0

    def partition_state(self, partition: int, state: PartitionState) -> None:
        self.states.append(state)

    def flushed(self, partition: int, *, words: int, **_: Any) -> None:
        self.words += words


class Worker:
    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        def run(function: Callable[..., Any], *arguments: Any) -> Any:
            return asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

        self.log, self.seen = Log(), Seen()
        self.fatal: list[Exception] = []
        self.changes: list[Change] = []
        services: Any = ShardServices(
            topic="texts",
            group="g",
            profile="p",
            tally=_one_word,
            changelog=self.log,
            ownership=Group(),
            source=Source(),
            dead_letters=None,  # type: ignore[arg-type]
            vocabulary=VocabularyLimit(1000),
            run=run,
            run_long=run,
        )
        self.counts = WordCounts(
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


def _one_word(batches: Sequence[RecordBatch]) -> Tally:
    count = sum(batch.record_count for batch in batches)
    return Tally(pa.array([b"a"], pa.binary()), np.array([count]), Totals(count, count, count))


@asynccontextmanager
async def _worker(folder: Path) -> AsyncIterator[Worker]:
    pool = ThreadPoolExecutor(4)
    worker = Worker(folder, pool)
    try:
        yield worker
        await worker.counts.suspend(clean=False, timeout_s=1)
        await worker.counts.close()
    finally:
        pool.shutdown()


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    async with _worker(tmp_path) as opened:
        yield opened


def _tasks() -> list[str]:
    return sorted(
        task.get_name() for task in asyncio.all_tasks() if task.get_name()[:5] in ("flush", "resto")
    )


def _changelog_of(flushes: int) -> list[Record]:
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


async def test_a_restore_that_outlasts_the_watchdog_is_left_alone_while_it_reads(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.watchdog.CHECK_S", 0.01)
    worker.log.records, worker.log.slice_s = _changelog_of(100), 0.05
    source: Any = Source()
    ended: list[Exception] = []
    watching = asyncio.create_task(_watch(worker.counts, source, ended))
    await worker.counts.assign({0})
    await worker.until(worker.counts.restoring)
    share, left, _ = worker.counts.restoring()[0]
    assert 0 <= share < 1
    assert left > 0
    await worker.counting()
    watching.cancel()
    assert not ended
    assert worker.position == 100
    assert not worker.counts.restoring()


async def _watch(counts: WordCounts, source: Any, ended: list[Exception]) -> None:
    class Member:
        def parked_error(self) -> None:
            return None

        def is_member(self) -> bool:
            return True

    await Watchdog(
        counts,
        source,
        Member,
        topic="texts",
        changelog="counts",
        group="g",
        stall_timeout_s=0.3,
        on_fatal=ended.append,
    ).watch()


async def test_a_flush_that_is_cancelled_while_its_staging_fails_leaves_no_task_behind(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker.start()
    staging = threading.Event()

    def broken(store: PartitionStore, keys: Any, values: Any) -> StagedRows:
        staging.set()
        threading.Event().wait(0.2)
        raise StoreCorruptedError("staging failed", folder=store._folder)

    async def silent() -> None:
        await asyncio.sleep(3600)

    with monkeypatch.context() as patch:
        patch.setattr(PartitionStore, "stage", broken)
        worker.log.appending = silent
        worker.flush()
        await worker.until(staging.is_set)
        await worker.counts.suspend(clean=False, timeout_s=1)
    assert _tasks() == []
    worker.log.appending = None
    await worker.counts.assign({0})
    assert _tasks() == ["restore-0"]
    await worker.counting()
    worker.flush()
    await worker.until(lambda: worker.position == 1)
    assert not worker.fatal


async def test_a_cancelled_restore_says_nothing_of_an_error_that_nobody_retrieved(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.log.records, worker.log.slice_s = _changelog_of(30), 0.02
    await worker.counts.assign({0})
    await worker.until(worker.counts.restoring)
    await worker.counts.suspend(clean=False, timeout_s=1)
    gc.collect()
    await asyncio.sleep(0)
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_a_restore_leaves_while_it_looks_for_rows_ahead(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.log.records = [*_changelog_of(1), (b"torn", pack_row(1, 5))]
    looking = threading.Event()
    slices = PartitionStore.slices

    def endless(store: PartitionStore) -> Iterator[list[Record]]:
        found = list(slices(store))
        while True:
            looking.set()
            threading.Event().wait(0.01)
            yield from found

    with monkeypatch.context() as patch:
        patch.setattr(PartitionStore, "slices", endless)
        await worker.counts.assign({0})
        await worker.until(looking.is_set)
        before = worker.counts.progress()
        await worker.until(lambda: worker.counts.progress() != before)
        async with asyncio.timeout(5):
            await worker.counts.suspend(clean=False, timeout_s=1)
    await worker.counts.assign({0})
    await worker.counting()


async def test_every_durable_flush_is_told_once_whichever_way_it_became_durable(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker.start()
    worker.flush()
    await worker.until(lambda: worker.position == 1)

    worker.log.answer_lost = True
    worker.flush()
    await worker.until(lambda: worker.position == 2)

    committing = threading.Event()
    commit = PartitionStore.commit

    def slow(store: PartitionStore, staged: StagedRows, state: StoreState) -> None:
        committing.set()
        threading.Event().wait(0.2)
        commit(store, staged, state)

    with monkeypatch.context() as patch:
        patch.setattr(PartitionStore, "commit", slow)
        await worker.counting()
        worker.flush()
        await worker.until(committing.is_set)
        await worker.counts.suspend(clean=False, timeout_s=1)
    await worker.counts.assign({0})
    await worker.counting()

    assert [change.position for change in worker.changes if change.flushed] == [1, 2, 3]
    assert worker.seen.words == 3
    assert worker.changes[-1].position == 3


async def test_a_flush_that_is_cancelled_again_and_again_waits_for_its_staging(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging, staged = threading.Event(), threading.Event()
    stage = PartitionStore.stage

    def slow(store: PartitionStore, *rows: Any) -> StagedRows:
        staging.set()
        threading.Event().wait(0.2)
        staged.set()
        return stage(store, *rows)

    async def never() -> None:
        await asyncio.Event().wait()

    await worker.start()
    monkeypatch.setattr(PartitionStore, "stage", slow)
    worker.log.appending = never
    worker.flush()
    await worker.until(staging.is_set)
    task = worker.counts._partitions[0].task
    assert task is not None
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    assert staged.is_set()


async def test_a_flush_that_the_changelog_has_is_told_after_its_store_was_rebuilt(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(store: PartitionStore, staged: StagedRows, state: StoreState) -> None:
        raise StoreCorruptedError("damaged")

    await worker.start()
    with monkeypatch.context() as patch:
        patch.setattr(PartitionStore, "commit", damaged)
        worker.flush()
        await worker.until(lambda: worker.counts.state(0)[0] == "restoring")
    await worker.until(lambda: worker.position == 1)
    await worker.counting()
    assert [change.position for change in worker.changes if change.flushed] == [1]


async def test_a_flush_that_reaches_the_changelog_after_a_restore_is_told_by_the_next_one(
    worker: Worker,
) -> None:
    await worker.start()
    worker.log.request_late = True
    worker.flush()
    await worker.until(lambda: worker.log.late)
    await worker.counting()
    assert not [change for change in worker.changes if change.flushed]

    worker.log.records += worker.log.late
    worker.counts.reexamine(0)
    await worker.until(lambda: worker.position == 1)
    await worker.counting()
    assert [change.position for change in worker.changes if change.flushed] == [1]


async def test_a_restore_goes_on_until_nothing_is_appended_meanwhile(worker: Worker) -> None:
    """A row that compaction took away was replaced by one further down, which may have come after the restore began."""

    class Growing(Log):
        grown = 0

        def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
            yield from super().read(partition, start, end)
            if self.grown < 3:
                self.grown += 1
                self.records = _changelog_of(2 + self.grown)

    log = Growing()
    log.records = _changelog_of(2)
    worker.replace(changelog=log)
    await worker.start()
    assert worker.position == 5


async def test_what_another_process_counted_is_told_as_a_move_and_not_as_a_flush_of_this_one(
    worker: Worker,
) -> None:
    worker.log.records = _changelog_of(4)
    await worker.start()
    assert [(change.position, change.flushed) for change in worker.changes] == [(4, None)]
    assert worker.seen.words == 0


@pytest.mark.parametrize("restores", [3, 6])
async def test_a_broker_that_is_away_is_asked_less_and_less_often(worker: Worker, restores: int) -> None:
    asked: list[float] = []
    loop = asyncio.get_running_loop()

    class Away(Log):
        async def end_offset(self, partition: int) -> int:
            asked.append(loop.time())
            raise BrokerUnavailableError("no answer")

    worker.replace(changelog=Away(), chance=lambda: 0.5)
    await worker.counts.assign({0})
    await worker.until(lambda: len(asked) == restores)
    pauses = np.diff(asked)
    assert pauses[-1] > 1.4 * pauses[0]
    assert worker.counts.state(0)[0] == "restoring"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (StoreUnavailableError("too many open files"), StoreUnavailableError),
        (MemoryError(), OutOfMemoryError),
        (RuntimeError("unexpected"), RuntimeError),
    ],
)
async def test_an_error_of_the_system_ends_the_process_once_and_starts_nothing_more(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, raised: Exception, told: type[Exception]
) -> None:
    await worker.start()

    def broken(*_: object) -> StagedRows:
        raise raised

    with monkeypatch.context() as patch:
        patch.setattr(PartitionStore, "stage", broken)
        worker.flush()
        await worker.until(lambda: worker.fatal)
        worker.flush()
        await asyncio.sleep(0.05)
    assert [type(error) for error in worker.fatal] == [told]
    assert _tasks() == []


async def test_a_changelog_that_may_not_be_created_ends_the_process_when_it_is_examined(
    worker: Worker,
) -> None:
    await worker.start()
    worker.log.unavailable = ConfigurationError("the changelog is gone", "create it")
    await worker.counts.examine_idle()
    assert worker.fatal == [worker.log.unavailable]


async def test_a_partition_that_is_assigned_while_it_is_restored_is_a_mistake(worker: Worker) -> None:
    worker.log.slice_s, worker.log.records = 0.05, _changelog_of(30)
    await worker.counts.assign({0})
    with pytest.raises(AssertionError, match="ASSIGNED"):
        await worker.counts.assign({0})


async def test_a_lost_membership_is_no_reason_to_ask_without_end(worker: Worker) -> None:
    class Lost(Group):
        asked = 0

        def check(self) -> None:
            Lost.asked += 1
            raise PartitionsLostError("not a member")

    worker.replace(ownership=Lost())
    await worker.counts.assign({0})
    await asyncio.sleep(0.5)
    assert 1 <= Lost.asked <= 5
