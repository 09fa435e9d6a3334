"""Reading of the changelog topic from Kafka, with a consumer that belongs to no group.

What the records mean is decided in `tables.model.replay`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from tables.errors import BrokerUnavailableError, InexactError
from tables.fetch import fetching
from tables.fetch.changelog_unpacker import ChangelogUnpacker
from tables.kafka import client as kafka_client
from tables.kafka.rights import Right, Rights
from tables.model.records import ChangelogSlice
from tables.threads import beside_the_loop

READ_BYTES = 1 << 20
"""Largest answer to a fetch. All records of an answer become arrays together: about 130,000 rows, as they are compressed."""
_POLL_MS = 500


class ChangelogReader:
    """Reads a changelog topic; each call of `read` opens its own connection.

    Args:
        topic: the changelog topic.
        connection: keyword arguments of every Kafka client.
        timeout_s: longest wait, in seconds, for the start of a consumer, and for the next records.
    """

    def __init__(self, topic: str, connection: Mapping[str, Any], timeout_s: float) -> None:
        self.topic = topic
        self._connection = connection
        self._rights = Rights.of(connection)
        self._timeout_s = timeout_s

    @beside_the_loop
    def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
        """Yield the records from `start` (inclusive) to at least `end` (exclusive), see `Changelog.read`.

        Called in a thread, because this method blocks: it runs its own event loop. An empty slice is yielded at least every `_POLL_MS`
        while no records come, so that the caller can stop.

        Raises:
            BrokerUnavailableError: no answer for `timeout_s`.
            InexactError: records are missing for another reason than compaction, or cannot be decoded.
            ConfigurationError: this user may not read the topic.
        """
        with asyncio.Runner() as runner:
            consumer = runner.run(self._open(partition, start))
            try:
                position, heard = start, time.monotonic()
                while position < end:
                    part = None
                    for part in runner.run(self._read_some(consumer, partition, position)):
                        position, heard = part.next_offset, time.monotonic()
                        yield part
                    if part is None:
                        if time.monotonic() - heard > self._timeout_s:
                            raise BrokerUnavailableError(
                                f"{self.topic} partition {partition}: no answer at offset {position}"
                            )
                        yield ChangelogSlice.of([], position)  # Gives the caller a chance to stop.
            finally:
                runner.run(consumer.stop())

    async def _open(self, partition: int, start: int) -> AIOKafkaConsumer:
        consumer = await opened_consumer(self._connection, self._timeout_s)
        tp = TopicPartition(self.topic, partition)
        consumer.assign([tp])
        consumer.seek(tp, start)
        return consumer

    async def _read_some(
        self, consumer: AIOKafkaConsumer, partition: int, position: int
    ) -> Sequence[ChangelogSlice]:
        tp = TopicPartition(self.topic, partition)
        try:
            with self._rights.needed(Right("Read", "topic", self.topic)):
                found = await polled(consumer, _POLL_MS)
            parts: Sequence[ChangelogSlice] = found.get(tp, [])
            reached = await consumer.position(tp)
        except (OffsetOutOfRangeError, fetching.UnreadableBatchError) as error:
            raise unreadable(error, TopicPartition(self.topic, partition), position) from error
        except KafkaError as error:
            raise BrokerUnavailableError(
                f"{self.topic} partition {partition} cannot be read ({error!r})"
            ) from error
        if reached > (parts[-1].next_offset if parts else position):
            return [*parts, ChangelogSlice.of([], reached)]
        return parts


async def opened_consumer(
    connection: Mapping[str, Any], timeout_s: float, **options: Any
) -> AIOKafkaConsumer:
    """Return a consumer of changelog slices that belongs to no group.

    Args:
        connection: keyword arguments of every Kafka client.
        timeout_s: longest wait for the start, in seconds.
        options: further keyword arguments.

    Raises:
        BrokerUnavailableError: no broker answers.
    """
    fetching.install()
    kafka_client.install()
    consumer = AIOKafkaConsumer(
        **connection,
        value_deserializer=ChangelogUnpacker(),
        auto_offset_reset="none",
        enable_auto_commit=False,
        max_partition_fetch_bytes=READ_BYTES,
        **options,
    )
    try:
        await asyncio.wait_for(consumer.start(), timeout_s)
    except (KafkaError, TimeoutError, OSError) as error:
        await consumer.stop()
        raise BrokerUnavailableError(
            f"the changelog cannot be read ({error!r})", "check WORDCOUNT_BOOTSTRAP_SERVERS and the brokers"
        ) from error
    return consumer


async def polled(
    consumer: AIOKafkaConsumer, timeout_ms: int
) -> Mapping[TopicPartition, Sequence[ChangelogSlice]]:
    """Return what comes within `timeout_ms`, of about `fetching.POLL_BYTES` at most. A caller that is cancelled loses no records."""
    consumer._value_deserializer.room_bytes = fetching.POLL_BYTES
    found: Mapping[TopicPartition, Sequence[ChangelogSlice]] = await consumer.getmany(timeout_ms=timeout_ms)
    return found


def unreadable(
    error: OffsetOutOfRangeError | fetching.UnreadableBatchError, tp: TopicPartition, position: int
) -> InexactError:
    """Return the error that says why `tp` cannot be read from the offset `position` on."""
    if isinstance(error, fetching.UnreadableBatchError):
        return InexactError(
            f"changelog {error.description}",
            "have the broker serve an intact replica and start the worker again; if no replica is intact, run wordcount reset, "
            "which counts again what the input has now",
        )
    return InexactError(
        f"changelog {tp.topic} partition {tp.partition} has no offset {position} any more",
        "its cleanup.policy must be compact, without delete; wordcount reset counts again what the input has now",
    )
