"""Workers join and leave while they count: nothing is lost or counted twice, and few partitions move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.integration.worker import (
    Worker,
    counts_of,
    recount,
    wait_counted,
    wait_for,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 8


async def partitions_of(worker: Worker) -> set[int]:
    """Return the partitions that the worker is counting."""
    return {
        number
        for number, partition in (await worker.partitions()).items()
        if partition["state"] == "counting"
    }


async def wait_shared(workers: Sequence[Worker]) -> list[set[int]]:
    """Wait until every partition is counted by a worker and the shares are even; return the shares."""
    fair = {PARTITIONS // len(workers), -(-PARTITIONS // len(workers))}
    shares: list[set[int]] = []

    async def shared() -> bool:
        shares[:] = [await partitions_of(worker) for worker in workers]
        return (
            sum(map(len, shares)) == PARTITIONS == len(set().union(*shares)) and set(map(len, shares)) <= fair
        )

    await wait_for(shared, f"partitions shared by {len(workers)} workers")
    return shares


async def test_workers_join_and_leave_while_they_count(kafka: KafkaClient, workers: Workers) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, PARTITIONS)
    first, second, third = workers(), workers(), workers()
    async with kafka.endless_lines(topic):
        await first.start().wait_ready()
        assert await wait_shared([first]) == [set(range(PARTITIONS))]
        await second.start().wait_ready()
        two = await wait_shared([first, second])
        await third.start().wait_ready()
        three = await wait_shared([first, second, third])
        # Partitions moved only to the new worker; the other workers got no partition from each other.
        assert three[0] <= two[0]
        assert three[1] <= two[1]

        assert (await first.stop())[0] == 0
        after = await wait_shared([second, third])
        assert after[0] >= three[1]
        assert after[1] >= three[2]
    await wait_counted([second, third], servers, topic)
    assert await counts_of([second, third]) == await recount(servers, topic)
    # Whoever is asked answers for all partitions.
    stats = [await worker.json("/v1/stats") for worker in (second, third)]
    assert [one["complete"] for one in stats] == [True, True]
    assert stats[0]["as_of"] == stats[1]["as_of"]
    assert {int(number) for number in stats[0]["as_of"]} == after[0] | after[1]

    # The last worker takes all partitions over.
    assert (await third.stop())[0] == 0
    assert await wait_shared([second]) == [set(range(PARTITIONS))]
    await wait_counted([second], servers, topic)
    assert await counts_of([second]) == await recount(servers, topic)


async def test_a_worker_that_was_frozen_past_its_session_writes_nothing_wrong(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, PARTITIONS)
    async with kafka.endless_lines(topic, 200):
        frozen, other = [await workers(session_timeout_ms=2000).start().wait_ready() for _ in range(2)]
        await wait_shared([frozen, other])
        frozen.pause()
        try:
            await wait_for(lambda: _has_all(other), "the other took over")
        finally:
            frozen.resume()
        await wait_shared([frozen, other])
    await wait_counted([frozen, other], servers, topic)
    assert await counts_of([frozen, other]) == await recount(servers, topic)


async def _has_all(worker: Worker) -> bool:
    return len(await partitions_of(worker)) == PARTITIONS
