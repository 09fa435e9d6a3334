"""Which rows may answer a question that demands the newest counts."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tables.clock import now_s
from tables.errors import BrokerUnavailableError, PartitionsLostError
from tables.partitions.freshness import Freshness
from tables.partitions.served_rows import ServedRows
from tables.partitions.settled_tail import OWNER_S
from tests.unit.tables.partitions.assigned_worker import Worker, changelog_of


@dataclass
class Lease:
    holds: bool = True
    asked: list[None] = field(default_factory=list)

    def check(self) -> None:
        if not self.holds:
            raise PartitionsLostError("expired")


@pytest.fixture
async def lease() -> AsyncIterator[Lease]:
    yield Lease()


@pytest.fixture
async def freshness(worker: Worker, lease: Lease, tmp_path: Path) -> Freshness:
    counts = worker.counts
    return Freshness(
        shards=counts.shards,
        counting=counts.counting,
        followers=counts.followers,
        check_lease=lease.check,
        changelog=worker.log,
        changes=counts.changes,
        clock=now_s,
    )


async def newest(
    freshness: Freshness, numbers: Collection[int], timeout_s: float
) -> Mapping[int, ServedRows]:
    """Return newest rows, by lease or by proof, as a reader asks for them."""
    leased = {number: rows for number, rows in freshness.leased().items() if number in numbers}
    return {**leased, **await freshness.proven(set(numbers) - leased.keys(), timeout_s)}


async def test_an_owner_answers_by_its_lease_without_a_broker(worker: Worker, freshness: Freshness) -> None:
    await worker.start()
    worker.log.unavailable = BrokerUnavailableError("away")
    assert await newest(freshness, [0, 1], 20) == {0: worker.counts.shards()[0].served}


async def test_without_a_lease_the_end_of_the_changelog_is_asked_for(
    worker: Worker, freshness: Freshness, lease: Lease
) -> None:
    await worker.start()
    lease.holds = False
    assert (await newest(freshness, [0], 20)).keys() == {0}
    worker.log.records = [*worker.log.records, *changelog_of(1)]
    assert not await newest(freshness, [0], 0.01)
    worker.log.unavailable = BrokerUnavailableError("away")
    assert not await newest(freshness, [0], 20)


async def test_during_a_flush_an_owner_answers_after_the_flush(worker: Worker, freshness: Freshness) -> None:
    await worker.start()
    appended, go_on = asyncio.Event(), asyncio.Event()

    async def prove(partition: int, position: int) -> None:
        appended.set()
        await go_on.wait()

    worker.counts._services.ownership.prove = prove  # type: ignore[method-assign]
    worker.flush()
    await appended.wait()
    assert freshness.leased(), "no follower shows the flush yet"
    freshness._clock = lambda: now_s() + OWNER_S
    assert not freshness.leased()
    asked = asyncio.create_task(newest(freshness, [0], 20))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not asked.done()
    go_on.set()
    assert (await asked)[0].exact_position == 1


async def test_an_owner_answers_from_before_a_flush_however_long_its_rows_take_without_the_marker(
    worker: Worker, freshness: Freshness
) -> None:
    await worker.start()
    appending, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        appending.set()
        await go_on.wait()

    worker.log.appending = slowly
    worker.flush()
    await appending.wait()
    freshness._clock = lambda: now_s() + 1000 * OWNER_S
    assert freshness.leased()
    go_on.set()
    await worker.until(lambda: worker.counts.shards()[0].unsettled is None)
    assert freshness.leased()[0].exact_position == 1


async def test_after_a_flush_that_failed_an_owner_answers_by_proof_until_it_is_settled(
    worker: Worker, freshness: Freshness
) -> None:
    await worker.start()
    worker.log.request_late = True
    worker.flush()
    await worker.until(lambda: worker.counts.shards()[0].unsettled is not None and worker.log.late)
    await worker.until(worker.counts.counting)
    assert worker.counts.shards()[0].unsettled is not None, "it may still come"
    assert not freshness.leased()


async def test_a_suspended_partition_answers_by_proof(worker: Worker, freshness: Freshness) -> None:
    await worker.start()
    await worker.counts.suspend(clean=True, timeout_s=1)
    assert not freshness.leased()
    assert (await newest(freshness, [0], 20)).keys() == {0}


async def test_a_follower_answers_when_it_has_read_what_there_was(
    worker: Worker, freshness: Freshness
) -> None:
    worker.log.records = changelog_of(2)
    await worker.counts.assign((), {0})
    await worker.until(lambda: worker.counts.followers.followers()[0].readable)
    worker.log.records = changelog_of(9)
    found = await newest(freshness, [0], 20)
    assert found[0].exact_position == 9
    worker.log.records = [*worker.log.records, *changelog_of(1)]  # A marker that comes late.
    found = await newest(freshness, [0], 20)
    assert found[0].exact_position == 9
    assert not await newest(freshness, [1], 20)


async def test_the_end_of_a_changelog_that_was_created_again_proves_nothing(
    worker: Worker, freshness: Freshness, lease: Lease
) -> None:
    worker.log.records = changelog_of(2)
    await worker.start()
    lease.holds = False
    worker.log.identity = lambda: asyncio.sleep(0, "another")  # type: ignore[method-assign]
    assert not await newest(freshness, [0], 20)
