"""Which rows may answer a question that demands the newest counts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tables.errors import BrokerUnavailableError, PartitionsLostError
from tables.partitions.freshness import Freshness, furthest
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
    )


async def test_an_owner_answers_by_its_lease_without_a_broker(worker: Worker, freshness: Freshness) -> None:
    await worker.start()
    worker.log.unavailable = BrokerUnavailableError("away")
    assert await freshness.newest([0, 1], 20) == {0: worker.counts.shards()[0].served}


async def test_without_a_lease_the_end_of_the_changelog_is_asked_for(
    worker: Worker, freshness: Freshness, lease: Lease
) -> None:
    await worker.start()
    lease.holds = False
    assert (await freshness.newest([0], 20)).keys() == {0}
    worker.log.records = [*worker.log.records, *changelog_of(1)]
    assert not await freshness.newest([0], 0.01)
    worker.log.unavailable = BrokerUnavailableError("away")
    assert not await freshness.newest([0], 20)


async def test_during_a_flush_an_owner_answers_after_the_flush(worker: Worker, freshness: Freshness) -> None:
    await worker.start()
    appended, go_on = asyncio.Event(), asyncio.Event()

    async def prove(partition: int, position: int) -> None:
        appended.set()
        await go_on.wait()

    worker.counts._services.ownership.prove = prove  # type: ignore[method-assign]
    worker.flush()
    await appended.wait()
    assert not freshness.leased()
    asked = asyncio.create_task(freshness.newest([0], 20))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not asked.done()
    go_on.set()
    assert (await asked)[0].exact_position == 1


async def test_a_suspended_partition_answers_by_proof(worker: Worker, freshness: Freshness) -> None:
    await worker.start()
    await worker.counts.suspend(clean=True, timeout_s=1)
    assert not freshness.leased()
    assert (await freshness.newest([0], 20)).keys() == {0}


async def test_a_follower_answers_when_it_has_read_what_there_was(
    worker: Worker, freshness: Freshness
) -> None:
    worker.log.records = changelog_of(2)
    await worker.counts.assign((), {0})
    await worker.until(lambda: worker.counts.followers.followers()[0].readable)
    worker.log.records = changelog_of(9)
    found = await freshness.newest([0], 20)
    assert found[0].exact_position == 9
    worker.log.records = [*worker.log.records, *changelog_of(1)]  # The position falls.
    assert not await freshness.newest([0], 20)
    assert not await freshness.newest([1], 20)


async def test_the_end_of_a_changelog_that_was_created_again_proves_nothing(
    worker: Worker, freshness: Freshness, lease: Lease
) -> None:
    worker.log.records = changelog_of(2)
    await worker.start()
    lease.holds = False
    worker.log.identity = lambda: asyncio.sleep(0, "another")  # type: ignore[method-assign]
    assert not await freshness.newest([0], 20)


def test_of_two_answers_for_a_partition_the_further_one_counts() -> None:
    assert furthest([{0: (5, "a"), 1: (3, "b")}, {0: (7, "c")}, {0: (6, "d"), 2: (0, "e")}]) == {
        0: (7, "c"),
        1: (3, "b"),
        2: (0, "e"),
    }
