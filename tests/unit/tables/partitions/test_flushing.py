"""Flushes of a partition that are cancelled, fail, or become durable only after a restore."""

import asyncio
import threading
from typing import Any

import pytest

from tables.errors import StoreCorruptedError
from tables.model.rows import StoreState
from tables.store.partition_store import PartitionStore, StagedRows
from tests.unit.tables.partitions.assigned_worker import Worker, tasks


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
    assert tasks() == []
    worker.log.appending = None
    await worker.counts.assign({0})
    assert tasks() == ["restore-0"]
    await worker.counting()
    worker.flush()
    await worker.until(lambda: worker.position == 1)
    assert not worker.fatal


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

    def slow(store: PartitionStore, staged: StagedRows, state: StoreState, *others: Any) -> None:
        committing.set()
        threading.Event().wait(0.2)
        commit(store, staged, state, *others)

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
    def damaged(store: PartitionStore, *_: Any) -> None:
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
    worker.counts.examine_again(0)
    await worker.until(lambda: worker.position == 1)
    await worker.counting()
    assert [change.position for change in worker.changes if change.flushed] == [1]
