"""Workers are killed with SIGKILL while they count; afterwards every count must be what it would be without."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
from aiokafka import AIOKafkaProducer

from tests.integration.worker import (
    Worker,
    counts_of,
    end_offsets,
    lines,
    positions_of,
    recount,
    wait_counted,
    wait_for,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 8
KILLS = 10
WIPED_KILLS = 4
LINES_PER_S = 2000
MAX_LINES = 200_000
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1 << 32)


async def produce_until(done: asyncio.Event, servers: str, topic: str) -> None:
    """Lines to all partitions, at most `LINES_PER_S`, each acknowledged; after `MAX_LINES`, on a slow machine, only a few."""
    async with AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=5
    ) as producer:
        sent = 0
        while not done.is_set():
            chunk = lines(sent, LINES_PER_S // 20 if sent < MAX_LINES else PARTITIONS)
            await asyncio.gather(*[await producer.send(topic, line) for line in chunk])
            sent += len(chunk)
            await asyncio.sleep(0.05)


async def watch(worker: Worker, seen: Counter[int]) -> None:
    """Ask a worker all the time: no answer may be behind one that any worker gave before, not even over a kill and a restart."""
    while True:
        await asyncio.sleep(0.05)
        with suppress(httpx.TransportError):
            before = Counter(seen)
            response = await worker.get("/v1/stats")
            if response.status_code != 200:
                continue
            for name, position in response.json()["as_of"].items():
                number = int(name)
                assert position >= before[number], f"{worker.name} partition {number} went back"
                seen[number] = max(position, seen[number])


async def test_ten_kills_leave_every_count_exact(
    kafka: KafkaClient, workers: Workers, record_property: Callable[[str, object], None]
) -> None:
    record_property("repeat_with", f"CHAOS_SEED={SEED}")
    chance = random.Random(SEED)
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, PARTITIONS)
    pair = [await workers(session_timeout_ms=2000).start().wait_ready() for _ in range(2)]
    done = asyncio.Event()
    producing = asyncio.create_task(produce_until(done, servers, topic))
    seen: Counter[int] = Counter()
    watching = [asyncio.create_task(watch(worker, seen)) for worker in pair]
    wipes = chance.sample(range(KILLS), WIPED_KILLS)
    counted_before = 0
    for kill in range(KILLS):
        await asyncio.sleep(chance.uniform(0.3, 4.0))
        victim = chance.choice(pair)
        await victim.kill()
        if kill in wipes:
            shutil.rmtree(victim.state_dir, ignore_errors=True)  # it may have been killed before it made one
        print(
            f"{time.monotonic():.1f} killed {victim.name}, state folder {'wiped' if kill in wipes else 'kept'}"
        )
        victim.start()

        async def has_counted(before: int = counted_before) -> bool:
            return sum((await positions_of(pair)).values()) > before

        await wait_for(has_counted, "counting goes on after a kill")
        counted_before = sum((await positions_of(pair)).values())
        for watcher in watching:
            assert not watcher.done(), watcher.exception()
    done.set()
    await producing
    for worker in pair:
        await worker.wait_ready()
    await wait_counted(pair, servers, topic)
    for watcher in watching:
        watcher.cancel()
    answered = await asyncio.gather(*watching, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answered), answered

    truth = await recount(servers, topic)
    assert truth.total() > 0
    assert await counts_of(pair) == truth
    assert await positions_of(pair) == await end_offsets(servers, topic)
    for worker in pair:
        stats = await worker.json("/v1/stats")
        assert (stats["records"], stats["complete"]) == (sum(stats["as_of"].values()), True)
    owned = [(await worker.partitions()).keys() for worker in pair]
    assert sorted([*owned[0], *owned[1]]) == list(range(PARTITIONS))
