"""The changelog topic on Kafka: packs and appends its records, and reads them by `tables.kafka.changelog_reader`.

What the records mean is decided in `tables.partitions.shard` and `tables.model.replay`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from tables.kafka.changelog_reader import ChangelogReader
from tables.kafka.offsets import TopicOffsets
from tables.kafka.producer import COMPRESSIONS, ReplaceableProducer
from tables.kafka.row_batch import RowBatch
from tables.model.names import MAX_REQUEST_BYTES, ROWS_PER_CHANGELOG_BATCH
from tables.model.records import ChangelogSlice
from tables.model.rows import NO_ROWS, ChangelogRecord, RowColumns


class Batch(Protocol):
    """A record batch that a producer sends: aiokafka's `BatchBuilder`, or a `RowBatch`."""

    def record_count(self) -> int:
        """Return the number of records."""


def packed(
    compression: str,
    first: Sequence[ChangelogRecord],
    rows: RowColumns = NO_ROWS,
    last: Sequence[ChangelogRecord] = (),
) -> list[Batch]:
    """Return the records in batches, in order: full batches of rows are built from columns, all other records one by one."""
    codec, now_ms = COMPRESSIONS.index(compression), int(time.time() * 1000)
    if len(rows) < ROWS_PER_CHANGELOG_BATCH:
        return [*_one_by_one([*first, *rows.records(), *last], codec, now_ms)]
    batches: list[Batch] = [*_one_by_one(first, codec, now_ms)]
    while len(rows) >= ROWS_PER_CHANGELOG_BATCH:
        batches.append(RowBatch(rows.before(ROWS_PER_CHANGELOG_BATCH), codec, now_ms, MAX_REQUEST_BYTES))
        rows = rows.after(batches[-1].record_count())
    return [*batches, *_one_by_one([*rows.records(), *last], codec, now_ms)]


def _one_by_one(records: Sequence[ChangelogRecord], codec: int, now_ms: int) -> Iterator[BatchBuilder]:
    """Yield the records in batches, each of which is compressed when it is sent.

    Uses aiokafka's inner builder, whose `append` costs 115 ns a record; the public `append` costs 690 ns.
    """
    no_headers: list[tuple[str, bytes]] = []
    start = 0
    while start < len(records):
        batch = BatchBuilder(MAX_REQUEST_BYTES, codec, is_transactional=0)
        append, count = batch._builder.append, 0
        for key, value in records[start : start + ROWS_PER_CHANGELOG_BATCH]:
            if append(count, now_ms, key, value, no_headers) is None:
                break  # The batch is full. A batch accepts its first record whatever the record's size.
            count += 1
        batch._relative_offset = count
        yield batch
        start += count


class KafkaChangelog:
    """The changelog as a topic of Kafka; implements `tables.ports.Changelog`.

    Record batches are built in a thread; those that are not full of rows are compressed when they are sent.

    Args:
        topic: the changelog topic; has as many partitions as the input topic.
        connection: keyword arguments of every Kafka client.
        producer: the producer that this process shares for all topics.
        offsets: looks up ends of partitions.
        ensure: creates or extends the topic, so that it has as many partitions as the input topic.
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
        self._reader = ChangelogReader(topic, connection, producer.timeout_s)
        self._producer = producer
        self._offsets = offsets
        self._ensure = ensure

    def pack(
        self,
        first: Sequence[ChangelogRecord],
        rows: RowColumns = NO_ROWS,
        last: Sequence[ChangelogRecord] = (),
    ) -> Sequence[Batch]:
        """Prepare records for `append`, see `Changelog.pack`."""
        return packed(self._producer.compression, first, rows, last)

    async def append(
        self,
        partition: int,
        records: Sequence[Batch],
        before_last: Callable[[], Awaitable[None]] | None = None,
    ) -> list[tuple[int, int]]:
        """Append records and wait for their acknowledgements, see `Changelog.append`.

        Raises:
            FlushUnknownError: not acknowledged in time; the records may be in the log, now or later.
            ConfigurationError: the topic refuses the records for good, or this user may not write to the topic.
        """
        acknowledged = await self._producer.send(
            self.topic,
            lambda producer: self._send(producer, partition, records, before_last),
            what="the changelog",
            where=f"{self.topic} partition {partition}",
        )
        return [
            (metadata.offset, metadata.offset + batch.record_count())
            for metadata, batch in zip(acknowledged, records, strict=True)
        ]

    async def _send(
        self,
        producer: AIOKafkaProducer,
        partition: int,
        batches: Sequence[Batch],
        before_last: Callable[[], Awaitable[None]] | None,
    ) -> Sequence[Any]:
        """Send the batches and return the broker's acknowledgement of each."""
        if partition not in await producer.partitions_for(self.topic):
            # The partition was added after the producer had read the metadata.
            await producer.client.force_metadata_update()
        *first, last = batches
        sent = [await producer.send_batch(batch, self.topic, partition=partition) for batch in first]
        acknowledged = await asyncio.gather(*sent)
        if before_last is not None:
            await before_last()
        return [*acknowledged, await (await producer.send_batch(last, self.topic, partition=partition))]

    async def identity(self) -> str:
        """Return the id of the changelog topic, see `Changelog.identity`."""
        return await self._offsets.topic_id(self.topic)

    async def end_offset(self, partition: int) -> int:
        """Return the offset after the last record, see `Changelog.end_offset`.

        A missing partition is created: the input topic may have got more partitions while this process runs.
        """
        if (await self._offsets.describe(self.topic)).partitions <= partition:
            await self._ensure()
        return (await self._offsets.ends(self.topic, [partition]))[partition]

    def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
        """Yield the records from `start` to at least `end`, see `ChangelogReader.read`."""
        return self._reader.read(partition, start, end)
