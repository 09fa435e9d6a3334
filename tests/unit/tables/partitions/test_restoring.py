"""What a partition goes through while it is restored."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from agents.watchdog import Watchdog
from tables.cache.vocabulary import VocabularyLimit
from tables.errors import BrokerUnavailableError, PartitionsLostError
from tables.model.records import ChangelogSlice
from tables.partitions import restore
from tables.partitions.partitions import Partitions
from tables.store.partition_store import PartitionStore
from tests.fakes.rows import pack_row
from tests.unit.tables.partitions.assigned_worker import Group, Log, Record, Source, Worker, changelog_of


async def test_a_restore_that_outlasts_the_watchdog_is_left_alone_while_it_reads(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.watchdog.CHECK_S", 0.01)
    worker.log.records, worker.log.slice_s = changelog_of(100), 0.05
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


async def _watch(counts: Partitions, source: Any, ended: list[Exception]) -> None:
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


async def test_a_restored_store_answers_while_its_counts_are_still_read_into_memory(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    filling, go_on = threading.Event(), threading.Event()
    cache_of = restore.cache_of

    def held_up(*arguments: Any) -> Any:
        filling.set()
        assert go_on.wait(10)
        return cache_of(*arguments)

    monkeypatch.setattr(restore, "cache_of", held_up)
    monkeypatch.setattr(VocabularyLimit, "has_room", lambda *_: False)
    worker.log.records = changelog_of(30)
    await worker.counts.assign({0})
    await worker.until(filling.is_set)
    assert worker.counts.shards()[0].position == 30
    assert worker.counts.state(0)[0] == "restoring"
    go_on.set()
    await worker.counting()
    assert worker.counts.state(0)[0] == "counting"


async def test_a_cancelled_restore_says_nothing_of_an_error_that_nobody_retrieved(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.log.records, worker.log.slice_s = changelog_of(30), 0.02
    await worker.counts.assign({0})
    await worker.until(worker.counts.restoring)
    await worker.counts.suspend(clean=False, timeout_s=1)
    gc.collect()
    await asyncio.sleep(0)
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_a_restore_leaves_while_it_looks_for_rows_ahead(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.log.records = [*changelog_of(1), (b"torn", pack_row(1, 5))]
    looking = threading.Event()
    slices = PartitionStore.slices

    def endless(store: PartitionStore, **options: Any) -> Iterator[list[Record]]:
        found = list(slices(store, **options))
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


async def test_a_restore_goes_on_until_nothing_is_appended_meanwhile(worker: Worker) -> None:
    """A row that compaction took away was replaced by one further down, which may have come after the restore began."""

    class Growing(Log):
        grown = 0

        def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
            yield from super().read(partition, start, end)
            if self.grown < 3:
                self.grown += 1
                self.records = changelog_of(2 + self.grown)

    log = Growing()
    log.records = changelog_of(2)
    worker.replace(changelog=log)
    await worker.start()
    assert worker.position == 5


async def test_what_another_process_counted_is_told_as_a_move_and_not_as_a_flush_of_this_one(
    worker: Worker,
) -> None:
    worker.log.records = changelog_of(4)
    await worker.start()
    assert [(change.position, change.flushed) for change in worker.changes] == [(4, None)]
    assert worker.seen.words == 0


@pytest.mark.slow
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
