"""Followers of a real changelog: beside a worker that counts, while a broker is away, and until a worker takes their stores over."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from tables.cache.vocabulary import VocabularyLimit
from tables.kafka.changelog import KafkaChangelog
from tables.kafka.changelog_tail import KafkaChangelogTail
from tables.kafka.offsets import TopicOffsets
from tables.kafka.producer import ReplaceableProducer
from tables.model.names import changelog_topic
from tables.model.rows import Owner, unpack_row
from tables.pace.memory import MemoryBudget
from tables.partitions.changes import Changes
from tables.partitions.follower import Follower
from tables.partitions.followers import Followers
from tables.partitions.services import FollowerServices
from tables.store.stores import Stores
from tests.integration.worker import counts_of, lines, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 3
TIMEOUT_S = 20.0


@asynccontextmanager
async def opened_followers(folder: Path, workers: Workers) -> AsyncIterator[Followers]:
    """Followers of the changelog of `workers`, which follow nothing yet and whose stores are in `folder`."""
    connection = {"bootstrap_servers": workers.bootstrap_servers}
    topic, fatal = changelog_topic(workers.group, workers.topic), list[Exception]()
    producer, offsets = ReplaceableProducer(connection, TIMEOUT_S), TopicOffsets(connection, TIMEOUT_S)
    with ThreadPoolExecutor(2) as pool, ThreadPoolExecutor(1) as tail:

        def run_in(executor: ThreadPoolExecutor) -> Any:
            def run(function: Callable[..., Any], *arguments: Any) -> Any:
                return asyncio.get_running_loop().run_in_executor(executor, function, *arguments)

            return run

        services = FollowerServices(
            owner=Owner(workers.group, workers.topic),
            changelog=KafkaChangelog(topic, connection, producer, offsets, lambda: asyncio.sleep(0)),
            tail=KafkaChangelogTail(topic, connection, TIMEOUT_S),
            run=run_in(pool),
            run_close=run_in(pool),
            run_tail=run_in(tail),
            vocabulary=VocabularyLimit(1000),
            changes=Changes(),
            memory=MemoryBudget(),
            clock=monotonic,
            chance=lambda: 0.5,
        )
        followers = Followers(Stores(folder / topic), services, on_fatal=fatal.append)
        try:
            yield followers
        finally:
            await followers.close()
            await producer.close()
            await offsets.close()
    assert not fatal


def counts_in(follower: Follower) -> tuple[int | None, Counter[str]]:
    """Return (position, counts) as readers see them."""
    with follower.served.snapshot() as view:
        return view.position, Counter({word.decode(): unpack_row(row)[0] for word, row in view.rows()})


async def counts_of_all(followers: Followers) -> Counter[str]:
    found: Counter[str] = Counter()
    for follower in followers.followers().values():
        found += (await asyncio.to_thread(counts_in, follower))[1]
    return found


async def test_followers_show_what_a_worker_counts_and_a_worker_takes_their_stores_over(
    kafka: KafkaClient, workers: Workers, tmp_path: Path
) -> None:
    await kafka.create_topic(workers.topic, PARTITIONS)
    await kafka.produce(workers.topic, lines(1, 2000))
    worker = await workers().start().wait_ready()
    folder = tmp_path / "taken-over"
    async with opened_followers(folder, workers) as followers:
        await followers.follow({0})
        async with kafka.endless_lines(workers.topic):
            await followers.follow(range(PARTITIONS))
            shown: dict[int, list[int]] = {number: [] for number in range(PARTITIONS)}

            async def moved() -> bool:
                for number, follower in followers.followers().items():
                    if follower.readable and follower.position not in shown[number][-1:]:
                        shown[number].append(follower.position)
                return all(len(positions) >= 5 for positions in shown.values())

            await wait_for(moved, "every follower moves while a worker counts")
            assert all(positions == sorted(positions) for positions in shown.values())
        await wait_counted([worker], workers.bootstrap_servers, workers.topic)
        expected = await recount(workers.bootstrap_servers, workers.topic)
        assert await counts_of([worker]) == expected

        async def same() -> bool:
            return await counts_of_all(followers) == expected

        await wait_for(same, "the followers show all that the worker shows")
        assert all(one.state == "following" for one in followers.followers().values())
        assert all(one.behind_records == 0 for one in followers.followers().values())
        await worker.stop()
    successor = await workers(state_dir=folder).start().wait_ready()
    assert await counts_of([successor]) == expected
    restored = [int(rows) for rows in re.findall(r"rows_restored=(\d+)", successor.log)]
    assert len(restored) == PARTITIONS
    assert sum(restored) == 0


async def test_a_poll_ends_when_it_is_woken_and_names_an_offset_that_is_gone(
    kafka: KafkaClient, topic_name: str
) -> None:
    await kafka.create_topic(topic_name, 2)
    tail = KafkaChangelogTail(topic_name, {"bootstrap_servers": kafka.bootstrap_servers}, TIMEOUT_S)
    with ThreadPoolExecutor(1) as pool:

        def poll(wanted: dict[int, int], timeout_s: float) -> Any:
            return asyncio.get_running_loop().run_in_executor(pool, tail.poll, wanted, timeout_s)

        try:
            await poll({0: 0}, 1.0)
            began_s = monotonic()
            waiting = poll({0: 0, 1: 0}, 600.0)
            tail.wake()
            found = await waiting
            assert monotonic() - began_s < TIMEOUT_S
            assert found.keys() == {0, 1}
            assert not any(one.slices or one.error for one in found.values())

            async def named() -> bool:
                error = (await poll({0: 0, 1: 7}, 1.0))[1].error
                return error is not None and "has no offset 7 any more" in str(error)

            await wait_for(named, "the offset that is gone is named")
        finally:
            await asyncio.get_running_loop().run_in_executor(pool, tail.close)
