"""What a worker appends to the changelog after the partition has moved on is noticed and healed, however eagerly it is compacted."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from aiokafka.structs import ConsumerRecord

from tables.model.names import changelog_topic
from tests.chaos.cluster import GROUP, SESSION_TIMEOUT_S
from tests.chaos.feed import TOPIC
from tests.chaos.killable_worker import arm
from tests.integration.conftest import KafkaClient
from tests.integration.worker import counts_of, end_offsets, wait_for

if TYPE_CHECKING:
    from tests.chaos.cluster import Cluster

    StartCluster = Callable[[int, int], Awaitable[Cluster]]

COMPACTION_LAG_MS = 4000
CHANGELOG = changelog_topic(GROUP, TOPIC)


async def compacted_beyond(cluster: Cluster, offsets: dict[int, int]) -> None:
    """Wait until the cleaner has removed every record below `offsets` that has a successor below them."""
    kafka = KafkaClient(cluster.servers)

    async def done() -> bool:
        keys: dict[tuple[int, bytes], int] = defaultdict(int)
        records: list[ConsumerRecord[bytes, bytes]] = await kafka.read_all(CHANGELOG)
        for record in records:
            keys[record.partition, record.key] += record.offset < offsets[record.partition]
        return max(keys.values()) <= 1

    await wait_for(done, f"the changelog is compacted up to {offsets}")


async def assert_a_rebuild_is_exact(cluster: Cluster) -> None:
    """All workers end, all state folders are lost, and one worker counts everything from the compacted changelog."""
    for worker in cluster.base:
        await cluster.kill(worker)
        cluster.wipe(worker)
    alone = cluster.workers[2]
    await cluster.feed.pause()
    alone.start()
    await cluster.recovered(time.monotonic())
    await cluster.recount.advance()
    assert await counts_of([alone]) == cluster.recount.counts
    cluster.feed.resume()
    await cluster.compare()


@pytest.mark.timeout(900)
async def test_an_owner_stopped_for_two_sessions_before_its_append_spoils_nothing(
    start_cluster: StartCluster,
) -> None:
    cluster = await start_cluster(1, COMPACTION_LAG_MS)
    owner, other = cluster.base
    file = cluster.failpoint_file(owner)
    arm(file, "append-begins", 3, signal.SIGSTOP)

    async def stopped() -> bool:
        return not file.exists()

    await wait_for(stopped, "the owner is about to append")
    await asyncio.sleep(2 * SESSION_TIMEOUT_S)
    await cluster.recovered(time.monotonic(), [other])

    owner.resume()
    await cluster.recovered(time.monotonic())
    await cluster.compare()
    assert "appended at " in owner.log + other.log, "nothing foreign was appended"
    await compacted_beyond(cluster, await end_offsets(cluster.servers, CHANGELOG))
    await assert_a_rebuild_is_exact(cluster)


@pytest.mark.timeout(900)
async def test_a_request_that_is_delivered_after_its_workers_death_is_healed_by_the_owner(
    start_cluster: StartCluster,
) -> None:
    cluster = await start_cluster(2, COMPACTION_LAG_MS)
    other, victim = cluster.base
    cluster.proxy.hold()

    async def held() -> bool:
        return cluster.proxy.held > 0

    await wait_for(held, "a produce request is held")
    await cluster.kill(victim)
    await cluster.recovered(time.monotonic(), [other])
    assert "appended at " not in other.log

    cluster.proxy.release()

    async def noticed() -> bool:
        return "appended at " in other.log

    await wait_for(noticed, "the owner notices the foreign append")
    await cluster.recovered(time.monotonic())
    await cluster.compare()
    victim.start()
    await victim.wait_ready()
    await compacted_beyond(cluster, await end_offsets(cluster.servers, CHANGELOG))
    await assert_a_rebuild_is_exact(cluster)
