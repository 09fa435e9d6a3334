"""A broker that stops answering but keeps its connections: counting goes on as soon as Kafka has moved its leaderships."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tables.kafka import client as kafka_client
from tests.integration.brokers import Brokers
from tests.integration.worker import COMMANDS, Worker, counts_of, end_offsets, recount, wait_for

PARTITIONS = 6
TOPIC = "texts"
BOUND_S = 25.0
"""Three seconds until a silent broker is fenced, time for elections on a busy machine, and two time-outs of a request."""


class Feed:
    """Writes lines to all partitions in turn; each line is acknowledged before the next line is written."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self.acknowledged = 0

    async def run(self) -> None:
        kafka_client.install()
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._servers, acks="all", enable_idempotence=True, request_timeout_ms=2000
            )
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.start(), 5)
                while True:
                    text = b"the line %d" % self.acknowledged
                    async with asyncio.timeout(5):
                        await producer.send_and_wait(TOPIC, text, partition=self.acknowledged % PARTITIONS)
                    self.acknowledged += 1
                    await asyncio.sleep(0.01)
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), 1)


@pytest.fixture
async def brokers(tmp_path: Path) -> AsyncIterator[Brokers]:
    cluster = Brokers(tmp_path)
    try:
        await asyncio.to_thread(cluster.start)
        yield cluster
    finally:
        await asyncio.to_thread(cluster.close)


async def test_counting_goes_on_whichever_broker_hangs(brokers: Brokers, tmp_path: Path) -> None:
    servers = brokers.bootstrap_servers
    settings = {
        "WORDCOUNT_BOOTSTRAP_SERVERS": servers,
        "WORDCOUNT_TOPIC": TOPIC,
        "WORDCOUNT_PARTITIONS": str(PARTITIONS),
        "WORDCOUNT_SESSION_TIMEOUT_MS": "10000",
    }
    workers = [Worker(f"w{number}", tmp_path, settings, COMMANDS["wordcount"]) for number in range(2)]
    feed = Feed(servers)
    feeding: asyncio.Task[None] | None = None

    async def counted() -> Counter[int]:
        at: Counter[int] = Counter()
        for worker in workers:
            for number, position in (await worker.stats())["as_of"].items():
                at[int(number)] = max(at[int(number)], position)
        return at

    async def all_count(when: str, number: int) -> float:
        before = await counted()

        async def moved() -> bool:
            at = await counted()
            return all(at[partition] > before[partition] + 2 for partition in range(PARTITIONS))

        return await wait_for(moved, f"broker {number}: all partitions count {when}", 2 * BOUND_S)

    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            await worker.wait_ready()
        feeding = asyncio.create_task(feed.run())
        took = {}
        for number in brokers.nodes:
            await all_count("before it hangs", number)
            brokers.pause(number)
            await asyncio.sleep(1)  # Records sent before the pause have arrived.
            try:
                took[number] = await all_count("while it hangs", number)
            finally:
                brokers.resume(number)
            # On a busy machine it takes a while until the resumed broker can stand in for the next one.
            await wait_for(brokers.are_in_sync, f"broker {number} is in sync again", 2 * BOUND_S)
        assert max(took.values()) < BOUND_S, took
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        feeding = None
        ends = await end_offsets(servers, TOPIC)

        async def all_counted() -> bool:
            return await counted() == ends

        await wait_for(all_counted, f"everything up to {ends}")
        assert await counts_of(workers) == await recount(servers, TOPIC)
    finally:
        if feeding is not None:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        for worker in workers:
            await worker.close()
