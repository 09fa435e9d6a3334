"""Fetching of Kafka batches as arrays of bytes instead of record objects: the only override of aiokafka's parsing.

aiokafka makes one `ConsumerRecord` per record, which costs 2.8 µs a record, most of the time in the cyclic garbage collector. The
classes of this module make one Arrow array (or one pair of lists) per Kafka batch, which costs 0.2 µs a record, checksums included
(ADR 3). They also bound memory by the unpacked size, not by the size as sent: a poll takes `room_bytes`, the rest of a batch waits
compressed, and a record that is too large is passed over and only reported.

aiokafka looks up three names of `aiokafka.consumer.fetcher` for each response: `MemoryRecords`, `PartitionRecords` and `FetchResult`.
`install` replaces them by classes that behave differently only for consumers whose `value_deserializer` is an `Unpacker`; every other
consumer in the process gets ordinary records. `tests/unit/tables/fetch/test_fetching.py` fails if an upgrade of aiokafka changes how
these names are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from tables.fetch.batches import KafkaBatch, KafkaBatches

PART_BYTES = 4 << 20
PART_RECORDS = 1 << 15
"""Bytes and records of a part of a Kafka batch that is too large to be unpacked whole; the smaller limit counts."""

POLL_BYTES = 16 << 20
"""Bytes that one poll takes of all partitions together, about at most."""
PARTITION_POLL_BYTES = 8 << 20
"""Bytes that one poll takes of one partition, about at most."""

MAX_RECORD_BYTES = 16 << 20
"""Longest value that is kept, in bytes, inclusive, unless a setting says otherwise."""


class Unpacker(Protocol):
    """Turns the Kafka batches of one fetch response into items for the consumer.

    Attributes:
        room_bytes: bytes that may still be taken. The consumer sets this number before a poll; `BoundedFetchResult` subtracts the
            bytes that it delivers.
    """

    room_bytes: int

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[Item]:
        """Yield items; `records.next_fetch_offset` must be the offset after an item when it is yielded."""


class Item(Protocol):
    """The product of an `Unpacker`: adjacent records, or no record as a pause in which the consumer can do other work."""

    @property
    def byte_count(self) -> int:
        """Bytes of memory that the item takes."""

    @property
    def record_count(self) -> int:
        """Number of records; 0 = a pause."""


class UnreadableBatchError(CorruptRecordException):
    """The batch at `offset` of `topic_partition` cannot be decoded, or its checksum does not match its content."""

    def __init__(self, topic_partition: Any, offset: int, reason: str) -> None:
        self.topic_partition = topic_partition
        self.offset = offset
        where = f"{topic_partition.topic} partition {topic_partition.partition}"
        self.description = f"{where}: the record batch at offset {offset} {reason}"
        super().__init__(self.description)


class BatchedPartitionRecords(fetcher.PartitionRecords):
    """One partition of a fetch response: aiokafka's class, but with an `Unpacker` that makes items of the batches."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[object]:
        unpacker = self.unpacker
        return super()._unpack_records() if unpacker is None else self._guarded(unpacker)

    @property
    def unpacker(self) -> Unpacker | None:
        """The consumer's `Unpacker`; None = the consumer wants ordinary records."""
        return self._value_deserializer if hasattr(self._value_deserializer, "unpack") else None

    @property
    def topic_partition(self) -> Any:
        return self._tp

    def _guarded(self, unpacker: Unpacker) -> Iterator[Item]:
        """Yield the items; turn any error into an error of the batch that caused it.

        Raises:
            UnreadableBatchError: the first batch cannot be read. A later batch that cannot be read ends the response, and is the
                first batch of the next response.
        """
        position = self.next_fetch_offset
        try:
            yield from unpacker.unpack(self)
        except Exception as error:
            if self.next_fetch_offset == position:
                reason = str(error) if isinstance(error, _ChecksumError) else f"cannot be decoded ({error!r})"
                raise UnreadableBatchError(self._tp, position, reason) from error

    def data_batches(self) -> Iterator[KafkaBatch]:
        """Yield the batches with records to deliver: checksums checked, no aborted transactions, no control batches.

        Raises:
            _ChecksumError: a batch is corrupt.
            ValueError: the bytes are not a batch.
        """
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise _ChecksumError("is corrupt")
            aborted = self._is_aborted(batch)
            if batch.next_offset <= self.next_fetch_offset:
                # In former message formats each message is a batch, and a response may begin before the requested offset.
                continue
            if aborted or batch.is_control_batch:
                self.next_fetch_offset = batch.next_offset
                continue
            yield batch

    def _is_aborted(self, batch: KafkaBatch) -> bool:
        # Control batches have to come here, too: an abort marker is the end of an aborted transaction of its producer.
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


class BoundedFetchResult(fetcher.FetchResult):
    """The part of a response that was not yet taken: a poll takes as much as there is room for, the rest waits compressed."""

    _partition_records: BatchedPartitionRecords | None

    def getall(self, max_records: int | None = None) -> list[Any]:
        """Return the next items: at most `max_records` items (None = no bound), of about `PARTITION_POLL_BYTES` or the room left."""
        records = self._partition_records
        unpacker = None if records is None else records.unpacker
        if records is None or unpacker is None or not self.check_assignment(self._topic_partition):
            taken: list[Any] = super().getall(max_records)
            return taken
        items: list[Any] = []
        most = min(unpacker.room_bytes, PARTITION_POLL_BYTES)
        took_bytes = 0
        while took_bytes < most and (max_records is None or len(items) < max_records):
            item = next(records, None)
            if item is None:
                self._partition_records = None
                break
            items.append(item)
            took_bytes += item.byte_count
            if not item.record_count:
                break
        unpacker.room_bytes -= took_bytes
        self._assignment.state_value(self._topic_partition).consumed_to(records.next_fetch_offset)
        return items


class _ChecksumError(Exception):
    """The checksum of a batch does not match its content."""


def install() -> None:
    """Make aiokafka use this module's classes from now on. May be called again."""
    fetcher.MemoryRecords = KafkaBatches
    fetcher.PartitionRecords = BatchedPartitionRecords
    fetcher.FetchResult = BoundedFetchResult
