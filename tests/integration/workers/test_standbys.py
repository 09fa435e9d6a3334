"""Standbys in a group of workers: they answer when an owner is gone, take over without a restore, and keep reads going in restarts."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx

from tests.integration.worker import (
    Worker,
    counts_of,
    lines,
    recount,
    wait_counted,
    wait_for,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 6
SESSION_TIMEOUT_S = 20
"""Long enough to tell an answer of a standby from an answer after the group has noticed that a worker is gone."""

MOST_BEHIND = 10_000
"""Changelog records that a follower may be behind at any moment while records come."""

PATHS = ("/v1/words/w1", "/v1/top?k=10", "/v1/words?limit=50", "/v1/stats")


async def wait_steady(workers: Sequence[Worker], most_behind: int = 0) -> dict[int, str]:
    """
    Wait until each partition is counted by one of the workers and followed by another, at most `most_behind` changelog records behind.

    Return partition -> name of the worker that counts it.
    """
    owners: dict[int, str] = {}

    async def steady() -> bool:
        owners.clear()
        followed = set[int]()
        for worker in workers:
            listed = (await worker.json("/v1/assignments"))["workers"]
            (here,) = [one for one in listed if one["here"]]
            if len(listed) != len(workers):
                return False
            for number, partition in here["active"].items():
                if partition["state"] == "counting":
                    owners[int(number)] = worker.name
            followed |= {
                int(number)
                for number, partition in here["standby"].items()
                if partition["state"] == "following" and partition["behind_records"] <= most_behind
            }
        return owners.keys() == followed == set(range(PARTITIONS))

    await wait_for(steady, "every partition is counted and followed")
    return dict(owners)


async def followed_by(worker: Worker) -> set[int]:
    """Return the partitions that a worker follows."""
    (here,) = [each for each in (await worker.json("/v1/assignments"))["workers"] if each["here"]]
    return {int(number) for number in here["standby"]}


def rows_restored(log: str) -> dict[int, int]:
    """Return partition -> changelog rows that were read before the partition was counted, as a log tells it."""
    # The names and values of a line have any order.
    told = [line for line in log.splitlines() if "partition counting" in line]
    found = [
        [re.search(rf"\b{name}=(\d+)", line) for name in ("partition", "rows_restored")] for line in told
    ]
    assert all(all(pair) for pair in found), told
    return {int(pair[0][1]): int(pair[1][1]) for pair in found if pair[0] and pair[1]}


class Asker:
    """A client that asks the workers in random order, and the next worker if one does not answer or says 503.

    Attributes:
        answers: number of questions that were answered.
        failed: the questions that no worker answered, with the replies.
        falls: the answers about an earlier position than an answer before.
    """

    def __init__(self, workers: Sequence[Worker], seed: int) -> None:
        self.answers = 0
        self.failed: list[Any] = []
        self.falls: list[Any] = []
        self._highest: dict[str, int] = {}
        self._chance = random.Random(seed)
        self._urls = [f"http://127.0.0.1:{worker.port}" for worker in workers]

    async def ask(self, client: httpx.AsyncClient) -> None:
        """Ask one question."""
        path, replies = self._chance.choice(PATHS), list[Any]()
        for url in self._chance.sample(self._urls, len(self._urls)):
            try:
                reply = await client.get(url + path)
            except httpx.TransportError as error:
                replies.append(repr(error))
                continue
            if reply.status_code == 200:
                self._judge(url + path, reply.json()["as_of"])
                return
            replies.append((reply.status_code, reply.text))
            assert reply.status_code == 503, replies
        self.failed.append((path, replies))

    def _judge(self, asked: str, as_of: dict[str, int]) -> None:
        self.answers += 1
        for number, position in as_of.items():
            if position < self._highest.get(number, 0):
                self.falls.append((asked, number, position, self._highest[number]))
            self._highest[number] = max(position, self._highest.get(number, 0))


@asynccontextmanager
async def asking(workers: Sequence[Worker], seed: int = 1) -> AsyncIterator[Asker]:
    """Ask until the block ends, then fail if an answer went back."""
    asker, done = Asker(workers, seed), asyncio.Event()

    async def ask() -> None:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            while not done.is_set():
                await asker.ask(client)
                await asyncio.sleep(0.01)

    task = asyncio.create_task(ask())
    try:
        yield asker
    finally:
        done.set()
        await task
    assert not asker.falls, asker.falls[:3]


async def test_a_standby_answers_at_once_for_a_killed_owner_and_takes_over_without_a_restore(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, PARTITIONS)
    await kafka.produce(topic, lines(1, 4000))
    group = [workers(session_timeout_ms=SESSION_TIMEOUT_S * 1000).start() for _ in range(3)]
    for worker in group:
        await worker.wait_ready()
    await wait_counted(group, servers, topic)
    owners = await wait_steady(group)
    killed, *left = group
    taken = {number for number, name in owners.items() if name == killed.name}
    assert taken
    followed = {worker.name: await followed_by(worker) for worker in left}
    truth = await recount(servers, topic)

    # Three workers, because a worker that is left alone answers 503 for the moment in which it takes the partitions over.
    async with asking(group) as asker:
        told_before = {worker.name: len(worker.log) for worker in left}
        await killed.kill()
        killed_s = time.monotonic()
        for path in PATHS:
            for worker in left:
                answer = await worker.json(path)
                for number in range(PARTITIONS):
                    role = "standby" if number in taken else "active"
                    assert answer["served_by"][str(number)] == role, path
        assert await counts_of(left) == truth
        assert time.monotonic() - killed_s < SESSION_TIMEOUT_S / 2
        await kafka.produce(topic, lines(2, 1000))

        async def taken_over() -> bool:
            owned = [await worker.partitions() for worker in left]
            return set().union(*owned) == set(range(PARTITIONS))

        await wait_for(taken_over, "standbys become owners", 2 * SESSION_TIMEOUT_S)
        await wait_counted(left, servers, topic)
        assert await counts_of(left) == await recount(servers, topic)
    assert not asker.failed, asker.failed[:3]
    taken_from_standby = set()
    for worker in left:
        restored = rows_restored(worker.log[told_before[worker.name] :])
        # A partition whose follower had its share already goes to another worker, which restores it.
        by_follower = taken & restored.keys() & followed[worker.name]
        assert {number: restored[number] for number in by_follower} == dict.fromkeys(by_follower, 0)
        taken_from_standby |= by_follower
    assert taken_from_standby


async def test_no_read_fails_while_workers_are_restarted_one_after_another(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, PARTITIONS)
    await kafka.produce(topic, lines(1, 4000))
    # A handover of partitions takes longer than a second where other tests have the cores.
    group = [workers(query_timeout_ms=3000).start() for _ in range(3)]
    for worker in group:
        await worker.wait_ready()
    await wait_counted(group, servers, topic)
    await wait_steady(group)
    async with asking(group) as asker, kafka.endless_lines(topic):
        for worker in group:
            before = asker.answers
            code, _ = await worker.stop()
            assert code == 0, worker.log
            await worker.start().wait_ready()
            await wait_steady(group, MOST_BEHIND)
            assert asker.answers > before
    assert not asker.failed, asker.failed[:3]
    await wait_counted(group, servers, topic)
    await wait_steady(group)
    assert await counts_of(group) == await recount(servers, topic)
