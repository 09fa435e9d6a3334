"""Ends of topic partitions, asked of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tables.errors import BrokerUnavailableError


class TopicOffsets:
    """Asks through one connection, opened at first use, on the running event loop.

    Args:
        connection: keyword arguments of every Kafka client.
        timeout_s: longest wait for an answer.
    """

    def __init__(self, connection: Mapping[str, Any], timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._consumer: AIOKafkaConsumer | None = None
        self._starting = asyncio.Lock()

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """(first offset that can be read, offset after the last record). Raises BrokerUnavailableError."""
        tp = TopicPartition(topic, partition)
        try:
            async with asyncio.timeout(self._timeout_s):
                consumer = await self._started()
                first, end = await asyncio.gather(
                    consumer.beginning_offsets([tp]), consumer.end_offsets([tp])
                )
        except (KafkaError, TimeoutError, OSError) as error:
            raise BrokerUnavailableError(
                f"no offsets of {topic} partition {partition} ({error!r})",
                "check WORDCOUNT_BOOTSTRAP_SERVERS and the brokers",
            ) from error
        return first[tp], end[tp]

    async def exists(self, topic: str) -> bool:
        """Whether the broker has `topic` now. Asks for all topics: not for every second. Raises BrokerUnavailableError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return topic in await (await self._started()).topics()
        except (KafkaError, TimeoutError, OSError) as error:
            raise BrokerUnavailableError(f"no answer about topic {topic} ({error!r})") from error

    async def close(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()

    async def _started(self) -> AIOKafkaConsumer:
        async with self._starting:
            if self._consumer is None:
                consumer = AIOKafkaConsumer(**self._connection, enable_auto_commit=False)
                try:
                    await consumer.start()
                except BaseException:
                    await consumer.stop()
                    raise
                self._consumer = consumer
            return self._consumer
