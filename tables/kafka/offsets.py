"""Ends of topic partitions and ids of topics, asked of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, for_code

from tables.errors import BrokerUnavailableError
from tables.kafka import client as kafka_client
from tables.kafka.broker_errors import NO_ERROR, TOPIC_UNAUTHORIZED, UNKNOWN_TOPIC
from tables.kafka.requests import DescribeTopics
from tables.kafka.rights import Right, Rights
from tables.kafka.topic_description import TopicDescription, descriptions


class TopicOffsets:
    """Asks through one connection, opened at first use, on the running event loop.

    Args:
        connection: keyword arguments of every Kafka client.
        timeout_s: longest wait for an answer, whichever brokers are asked for it.
        isolation: `read_committed` = a partition ends at its last stable offset: before the first record of a transaction that is
            open. `read_uncommitted` = after its last record.
    """

    def __init__(
        self, connection: Mapping[str, Any], timeout_s: float, isolation: str = "read_uncommitted"
    ) -> None:
        self._connection = connection
        self._rights = Rights.of(connection)
        self._timeout_s = timeout_s
        self._isolation = isolation
        self._consumer: AIOKafkaConsumer | None = None
        self._starting = asyncio.Lock()
        self._describing = asyncio.Lock()
        self._next: dict[str, asyncio.Task[TopicDescription]] = {}

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """(first offset that can be read, offset after the last one, see `isolation`).

        Raises:
            BrokerUnavailableError: no answer.
            ConfigurationError: this user may not describe the topic.
        """
        tp = TopicPartition(topic, partition)
        try:
            async with asyncio.timeout(self._timeout_s):
                consumer = await self._started()
                with self._rights.needed(Right("Describe", "topic", topic)):
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
        """Whether the brokers have `topic` now. Raises BrokerUnavailableError."""
        return (await self.describe(topic)).partitions > 0

    async def describe(self, topic: str) -> TopicDescription:
        """The topic as it is after this call began; calls made while a request is under way share the next one.

        Raises:
            BrokerUnavailableError: no answer.
            ConfigurationError: this user may not describe the topic.
        """
        if topic not in self._next:
            self._next[topic] = asyncio.create_task(self._describe(topic))
            self._next[topic].add_done_callback(_noted)
        return await asyncio.shield(self._next[topic])

    async def topic_id(self, topic: str) -> str:
        """Id of the topic as `describe` has it. Raises BrokerUnavailableError: no answer, or no such topic."""
        description = await self.describe(topic)
        if not description.partitions:
            raise BrokerUnavailableError(f"there is no topic {topic}", "create it again")
        return description.topic_id

    async def close(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()

    async def _describe(self, topic: str) -> TopicDescription:
        async with self._describing:
            del self._next[topic]
            try:
                async with asyncio.timeout(self._timeout_s):
                    client = (await self._started())._client
                    answer = await client.send_to_any(DescribeTopics([topic]))
            except (KafkaError, TimeoutError, OSError) as error:
                raise BrokerUnavailableError(f"no answer about topic {topic} ({error!r})") from error
        description = descriptions(answer)[topic]
        if description.error_code == TOPIC_UNAUTHORIZED:
            raise self._rights.error(Right("Describe", "topic", topic))
        if description.error_code not in {NO_ERROR, UNKNOWN_TOPIC}:
            reason = for_code(description.error_code).__name__
            raise BrokerUnavailableError(f"no answer about topic {topic} ({reason})")
        return description

    async def _started(self) -> AIOKafkaConsumer:
        async with self._starting:
            if self._consumer is None:
                kafka_client.install()
                consumer = AIOKafkaConsumer(
                    **self._connection, enable_auto_commit=False, isolation_level=self._isolation
                )
                # How long it looks for the leader; the time-out of a request is the connection's.
                consumer._request_timeout_ms = int(self._timeout_s * 1000)
                try:
                    await consumer.start()
                except BaseException:
                    await consumer.stop()
                    raise
                self._consumer = consumer
            return self._consumer


def _noted(request: asyncio.Task[TopicDescription]) -> None:
    """Whoever waits gets the error of a request; asyncio would log that of one for which nobody waits any more, as in a stop."""
    if not request.cancelled():
        request.exception()
