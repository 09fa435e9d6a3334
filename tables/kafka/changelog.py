"""The changelog topic on Kafka: packing, appending and reading.

What its records mean: `tables.partitions.shard`, `tables.model.replay`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    KafkaError,
    OffsetOutOfRangeError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from tables.errors import BrokerUnavailableError, ConfigurationError, FlushUnknownError, InexactError
from tables.fetch import fetching
from tables.kafka import client as kafka_client
from tables.kafka.offsets import TopicOffsets
from tables.kafka.producer import COMPRESSIONS, MAX_REQUEST_BYTES, ReplaceableProducer
from tables.kafka.refusals import refusal
from tables.kafka.rights import Right, Rights
from tables.model.names import ROWS_PER_CHANGELOG_BATCH
from tables.model.records import ChangelogSlice
from tables.ports import PackedRecords

_READ_BYTES = 1 << 20
"""All records of an answer become arrays at once: 130,000 rows, compressed as they are."""
_POLL_MS = 500


@dataclass(frozen=True, slots=True)
class PackedBatches:
    """Record batches as aiokafka sends them; built in a thread, compressed when sent."""

    batches: Sequence[BatchBuilder]


def packed(keys: Sequence[bytes], values: Sequence[bytes], compression: str) -> PackedBatches:
    """Records in batches that are compressed when they are sent.

    The inner builder is used because the public `append` costs 690 ns a record, this 115.
    """
    codec = COMPRESSIONS.index(compression)
    now_ms, no_headers = int(time.time() * 1000), list[tuple[str, bytes]]()
    batches: list[BatchBuilder] = []
    start = 0
    while start < len(keys):
        batch = BatchBuilder(MAX_REQUEST_BYTES, codec, is_transactional=0)
        append, count = batch._builder.append, 0
        part = slice(start, start + ROWS_PER_CHANGELOG_BATCH)
        for key, value in zip(keys[part], values[part], strict=True):
            if append(count, now_ms, key, value, no_headers) is None:
                break  # Full. The first record is taken whatever its size.
            count += 1
        batch._relative_offset = count
        batches.append(batch)
        start += count
    return PackedBatches(batches)


class KafkaChangelog:
    """Implements `tables.ports.Changelog`.

    Args:
        topic: the changelog topic; as many partitions as the input has.
        connection: keyword arguments of every Kafka client.
        producer: shared by everything this process writes.
        offsets: looks up ends of partitions.
        ensure: creates or extends the topic, so that it has as many partitions as the input.
    """

    def __init__(
        self,
        topic: str,
        connection: Mapping[str, Any],
        producer: ReplaceableProducer,
        offsets: TopicOffsets,
        ensure: Callable[[], Awaitable[object]],
    ) -> None:
        self.topic = topic
        self._connection = connection
        self._rights = Rights.of(connection)
        self._producer = producer
        self._offsets = offsets
        self._ensure = ensure

    def pack(self, keys: Sequence[bytes], values: Sequence[bytes]) -> PackedBatches:
        """See `Changelog.pack`."""
        return packed(keys, values, self._producer.compression)

    async def append(self, partition: int, records: PackedRecords) -> list[tuple[int, int]]:
        """See `Changelog.append`."""
        assert isinstance(records, PackedBatches)
        try:
            producer = await self._producer.get()
        except BrokerUnavailableError as error:
            raise FlushUnknownError(f"the changelog cannot be written ({error})") from error
        try:
            async with asyncio.timeout(self._producer.timeout_s):
                with self._rights.needed(Right("Write", "topic", self.topic)):
                    acknowledged = await self._send(producer, partition, records.batches)
        except ConfigurationError:
            self._producer.discard(producer)
            raise
        except (KafkaError, TimeoutError) as error:
            said = self._producer.refused(self.topic)
            self._producer.discard(producer)
            if refused := refusal(error, self.topic, said):
                raise refused from error
            raise FlushUnknownError(
                f"{self.topic} partition {partition}: not acknowledged ({said or repr(error)})"
            ) from error
        return [
            (metadata.offset, metadata.offset + batch.record_count())
            for metadata, batch in zip(acknowledged, records.batches, strict=True)
        ]

    async def _send(
        self, producer: AIOKafkaProducer, partition: int, batches: Sequence[BatchBuilder]
    ) -> Sequence[Any]:
        """What the broker acknowledges of each batch."""
        if partition not in await producer.partitions_for(self.topic):
            await producer.client.force_metadata_update()  # A partition that was added since.
        sent = [await producer.send_batch(batch, self.topic, partition=partition) for batch in batches]
        return await asyncio.gather(*sent)

    async def identity(self) -> str:
        """See `Changelog.identity`."""
        return await self._offsets.topic_id(self.topic)

    async def end_offset(self, partition: int) -> int:
        """See `Changelog.end_offset`. The input may have been extended while this process runs."""
        if (await self._offsets.describe(self.topic)).partitions <= partition:
            await self._ensure()
        return (await self._offsets.bounds(self.topic, partition))[1]

    def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
        """See `Changelog.read`. Runs an event loop of its own: it is called in a thread."""
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
                        if time.monotonic() - heard > self._producer.timeout_s:
                            raise BrokerUnavailableError(
                                f"{self.topic} partition {partition}: no answer at offset {position}"
                            )
                        yield ChangelogSlice.of([], position)  # A turn for a caller that wants to leave.
            finally:
                runner.run(consumer.stop())

    async def _open(self, partition: int, start: int) -> AIOKafkaConsumer:
        fetching.install()
        kafka_client.install()
        consumer = AIOKafkaConsumer(
            **self._connection,
            value_deserializer=fetching.ChangelogUnpacker(),
            auto_offset_reset="none",
            enable_auto_commit=False,
            max_partition_fetch_bytes=_READ_BYTES,
        )
        try:
            await asyncio.wait_for(consumer.start(), self._producer.timeout_s)
        except (KafkaError, TimeoutError, OSError) as error:
            await consumer.stop()
            raise BrokerUnavailableError(
                f"the changelog cannot be read ({error!r})",
                "check WORDCOUNT_BOOTSTRAP_SERVERS and the brokers",
            ) from error
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
                found = await consumer.getmany(tp, timeout_ms=_POLL_MS)
            parts: Sequence[ChangelogSlice] = found.get(tp, [])
            reached = await consumer.position(tp)
        except OffsetOutOfRangeError as error:
            raise InexactError(
                f"changelog {self.topic} partition {partition} has no offset {position} any more",
                "its cleanup.policy must be compact, without delete; wordcount reset counts again what the input has now",
            ) from error
        except fetching.UnreadableBatchError as error:
            raise InexactError(
                f"changelog {error.description}",
                "have the broker serve an intact replica and start the worker again; where there is none, wordcount reset counts "
                "again what the input has now",
            ) from error
        except KafkaError as error:
            raise BrokerUnavailableError(
                f"{self.topic} partition {partition} cannot be read ({error!r})"
            ) from error
        if reached > (parts[-1].next_offset if parts else position):
            return [*parts, ChangelogSlice.of([], reached)]
        return parts
