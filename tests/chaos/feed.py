"""The producer of a chaos run: sends lines to all partitions and can be paused."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.windowed import Times
from tests.integration.worker import lines

TOPIC = "chaos"
PARTITIONS = 8
LINES_PER_S = 400
PAUSE_BOUND_S = 60.0
"""Longest time until the latest chunk is acknowledged or given up."""


class Feed:
    """Produces at most `LINES_PER_S` lines per second until it is paused; a chunk is acknowledged before the next chunk is sent.

    Args:
        servers: address of the broker.
        seed: seed of the words.
        times: makes the times of the records; None = they have the time of sending.
    """

    def __init__(self, servers: str, seed: int, times: Times | None = None) -> None:
        self._times = times
        self._servers = servers
        self._seed = seed
        self._going = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._going.set()
        self._task = asyncio.create_task(self._produce())

    def resume(self) -> None:
        self._going.set()

    async def pause(self) -> None:
        """Stop sending; return when the latest chunk is acknowledged or given up."""
        self._going.clear()
        await asyncio.wait_for(self._idle.wait(), PAUSE_BOUND_S)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _produce(self) -> None:
        chunk = 0
        while True:
            try:
                async with asyncio.timeout(15):
                    producer = AIOKafkaProducer(
                        bootstrap_servers=self._servers, acks="all", enable_idempotence=True, linger_ms=5
                    )
                    await producer.start()
            except (KafkaError, TimeoutError, OSError):
                await self._stop(producer)
                continue
            try:
                while True:
                    self._idle.set()
                    await self._going.wait()
                    self._idle.clear()
                    chunk += 1
                    async with asyncio.timeout(15):
                        values = lines(self._seed * 1_000_000 + chunk, LINES_PER_S // 10)
                        times = (
                            [None] * len(values) if self._times is None else self._times.of_chunk(len(values))
                        )
                        sent = [
                            await producer.send(
                                TOPIC, value, partition=(chunk + number) % PARTITIONS, timestamp_ms=time_ms
                            )
                            for number, (value, time_ms) in enumerate(zip(values, times, strict=True))
                        ]
                        await asyncio.gather(*sent)
                    await asyncio.sleep(0.1)
            except (KafkaError, TimeoutError, OSError):
                pass
            finally:
                await self._stop(producer)

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        with suppress(KafkaError, TimeoutError, OSError):
            await asyncio.wait_for(producer.stop(), 3)
