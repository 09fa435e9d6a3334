"""First and end offsets of partitions, and descriptions and ids of topics, as the brokers report them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
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
    """Asks brokers about topics and partitions by one client, which is started at the first question on the running event loop.

    Args:
        connection: keyword arguments of every Kafka client.
        timeout_s: longest wait, in seconds, for an answer, however many brokers are asked.
        isolation: `read_committed` = a partition ends at its last stable offset, that is, before the first record of an open
            transaction. `read_uncommitted` = a partition ends after its last record.
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
        self._next_ends: dict[str, asyncio.Task[Mapping[int, int]]] = {}
        self._wanted: dict[str, set[int]] = {}
        self._asking_ends = asyncio.Lock()

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return (first readable offset, offset after the last record, see `isolation`).

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

    async def ends(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return partition -> offset after its last record, see `isolation`, as after this call began.

        Calls made while a request is under way share the next request.

        Raises:
            BrokerUnavailableError: no answer.
            ConfigurationError: this user may not describe the topic.
        """
        wanted = self._wanted.setdefault(topic, set())
        wanted.update(partitions)
        if topic not in self._next_ends:
            self._next_ends[topic] = asyncio.create_task(self._ends(topic))
            self._next_ends[topic].add_done_callback(_mark_retrieved)
        found = await asyncio.shield(self._next_ends[topic])
        return {number: found[number] for number in partitions}

    async def exists(self, topic: str) -> bool:
        """Return whether the brokers have `topic` now. Raise the errors of `describe`."""
        return (await self.describe(topic)).partitions > 0

    async def describe(self, topic: str) -> TopicDescription:
        """Return the topic as it is after this call began. Calls made while a request is under way share the next request.

        Raises:
            BrokerUnavailableError: no answer.
            ConfigurationError: this user may not describe the topic.
        """
        if topic not in self._next:
            self._next[topic] = asyncio.create_task(self._describe(topic))
            self._next[topic].add_done_callback(_mark_retrieved)
        return await asyncio.shield(self._next[topic])

    async def topic_id(self, topic: str) -> str:
        """Return the id of a topic; "" if the brokers do not give ids.

        Raises:
            BrokerUnavailableError: no answer, or the topic does not exist.
            ConfigurationError: this user may not describe the topic.
        """
        description = await self.describe(topic)
        if not description.partitions:
            raise BrokerUnavailableError(f"there is no topic {topic}", "create it again")
        return description.topic_id

    async def close(self) -> None:
        """Stop the client, if any."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()

    async def _ends(self, topic: str) -> Mapping[int, int]:
        async with self._asking_ends:
            del self._next_ends[topic]
            partitions = [TopicPartition(topic, number) for number in sorted(self._wanted.pop(topic))]
            try:
                async with asyncio.timeout(self._timeout_s):
                    consumer = await self._started()
                    with self._rights.needed(Right("Describe", "topic", topic)):
                        ends = await consumer.end_offsets(partitions)
            except (KafkaError, TimeoutError, OSError) as error:
                raise BrokerUnavailableError(f"no ends of {topic} ({error!r})") from error
        return {tp.partition: end for tp, end in ends.items()}

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
                # This bounds the search for a partition's leader; the time-out of a request is set by `connection`.
                consumer._request_timeout_ms = int(self._timeout_s * 1000)
                try:
                    await consumer.start()
                except BaseException:
                    await consumer.stop()
                    raise
                self._consumer = consumer
            return self._consumer


def _mark_retrieved(request: asyncio.Task[Any]) -> None:
    """Keep asyncio from logging the error of a request whose waiting callers were all cancelled, for example by a stop."""
    if not request.cancelled():
        request.exception()
