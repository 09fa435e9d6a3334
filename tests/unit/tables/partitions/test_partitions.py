"""What a worker does with partitions that are assigned, and which errors end its process."""

import asyncio
import time
from threading import Barrier

import pytest

from tables.errors import ConfigurationError, OutOfMemoryError, StoreUnavailableError
from tables.partitions.served_rows import ServedRows
from tables.store.partition_store import PartitionStore, StagedRows
from tests.unit.tables.partitions.assigned_worker import Worker, changelog_of, tasks


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
    assert tasks() == []


async def test_a_changelog_that_may_not_be_created_ends_the_process_when_it_is_examined(
    worker: Worker,
) -> None:
    await worker.start()
    worker.log.unavailable = ConfigurationError("the changelog is gone", "create it")
    await worker.counts.examine_idle()
    assert worker.fatal == [worker.log.unavailable]


async def test_a_partition_that_is_assigned_while_it_is_restored_is_a_mistake(worker: Worker) -> None:
    worker.log.slice_s, worker.log.records = 0.05, changelog_of(30)
    await worker.counts.assign({0})
    with pytest.raises(AssertionError, match="ASSIGNED"):
        await worker.counts.assign({0})


async def test_stores_are_closed_all_at_once(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk RocksDB takes seconds to close a store; a worker with many has to end in time nevertheless."""
    owned, followed = {0, 1}, {2, 3}
    together = Barrier(len(owned | followed), timeout=10)
    close = ServedRows.close

    def slow(served: ServedRows) -> None:
        together.wait()
        close(served)

    await worker.counts.assign(owned, followed)
    await worker.counts.suspend(clean=False, timeout_s=1)
    with monkeypatch.context() as patch:
        patch.setattr(ServedRows, "close", slow)
        await worker.counts.close()
    assert not together.broken


async def test_a_rebalance_takes_from_the_end_of_an_assignment_to_the_next_one(worker: Worker) -> None:
    await worker.counts.assign({0})
    await worker.counting()
    assert worker.seen.rebalances_s == []
    begun_s = time.monotonic()
    await worker.counts.suspend(clean=True, timeout_s=1)
    await worker.counts.suspend(clean=False, timeout_s=1)  # A rebalance that begins anew before it has ended.
    await asyncio.sleep(0.05)
    await worker.counts.assign({0})
    await worker.counts.suspend(clean=True, timeout_s=1)
    await worker.counts.assign(set())
    first_s, second_s = worker.seen.rebalances_s
    assert 0.05 <= first_s <= time.monotonic() - begun_s
    assert 0 <= second_s <= first_s


async def test_files_of_stores_that_can_answer_have_a_size(worker: Worker) -> None:
    assert worker.counts.store_bytes() == {}
    await worker.start()
    assert worker.counts.store_bytes() == {0: 0}
    worker.flush()
    await worker.until(lambda: worker.position == 1)
    shard = worker.counts.shards()[0]
    await asyncio.to_thread(shard.store._flush_memtable)
    assert 0 < worker.counts.store_bytes()[0] < 100_000
    await worker.counts.suspend(clean=True, timeout_s=1)
    await worker.counts.close()
    assert shard.store.file_bytes() == 0
