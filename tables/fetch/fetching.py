"""Fetched Kafka batches as bytes instead of record objects: the one override of aiokafka's parsing.

aiokafka makes one `ConsumerRecord` per record: 2.8 µs, most of it the cyclic garbage collector that walks them. Here one Arrow
array (or one pair of lists) is made per Kafka batch: 0.2 µs a record, checksums included (ADR 3). And memory is bounded by bytes as
they are unpacked, not as they were sent: a poll takes `room_bytes`, what a batch holds beyond that waits in it, and a record that is
too large is passed over and only told of.

The seam is three names of `aiokafka.consumer.fetcher`, which it looks up for each response: `MemoryRecords`, `PartitionRecords` and
`FetchResult`. `install` replaces them by classes that behave differently only for consumers whose `value_deserializer` is an
`Unpacker`; every other consumer in the process sees ordinary records. `tests/unit/tables/fetch/test_fetching.py` notices when an
upgrade moves the seam.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from tables.fetch.batches import KafkaBatch, KafkaBatches

PART_BYTES = 4 << 20
PART_RECORDS = 1 << 15
"""Of a Kafka batch that is too large to be unpacked at once, so much is delivered at a time."""

POLL_BYTES = 16 << 20
PARTITION_POLL_BYTES = 8 << 20
"""Most that one poll takes, about: of all partitions, and of one."""

MAX_RECORD_BYTES = 16 << 20


class Unpacker(Protocol):
    """Turns the Kafka batches of one fetch response into what the consumer wants to see.

    Attributes:
        room_bytes: what may still be taken until somebody sets it again; `BoundedFetchResult` takes what it delivers off.
    """

    room_bytes: int

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[Item]:
        """Yield items; `records.next_fetch_offset` must be the offset after an item when it is yielded."""


class Item(Protocol):
    """What an `Unpacker` makes: adjacent records, or none, which is a pause in which the consumer can do other things."""

    @property
    def byte_count(self) -> int:
        """Bytes of memory."""

    @property
    def record_count(self) -> int:
        """Records."""


class UnreadableBatchError(CorruptRecordException):
    """The batch at `offset` of `topic_partition` cannot be decoded, or is not what its checksum says."""

    def __init__(self, topic_partition: Any, offset: int, reason: str) -> None:
        self.topic_partition = topic_partition
        self.offset = offset
        where = f"{topic_partition.topic} partition {topic_partition.partition}"
        self.description = f"{where}: the record batch at offset {offset} {reason}"
        super().__init__(self.description)


class BatchedPartitionRecords(fetcher.PartitionRecords):
    """One partition of a fetch response. Adds `unpack` to aiokafka's class and changes nothing else of it."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[object]:
        unpacker = self.unpacker
        return super()._unpack_records() if unpacker is None else self._guarded(unpacker)

    @property
    def unpacker(self) -> Unpacker | None:
        """The consumer's, if it has one."""
        return self._value_deserializer if hasattr(self._value_deserializer, "unpack") else None

    @property
    def topic_partition(self) -> Any:
        return self._tp

    def _guarded(self, unpacker: Unpacker) -> Iterator[Item]:
        """The items; whatever is wrong with a batch is an error of that batch.

        Raises:
            UnreadableBatchError: the first batch cannot be read. A later one ends the response, and is the first of the next.
        """
        position = self.next_fetch_offset
        try:
            yield from unpacker.unpack(self)
        except Exception as error:
            if self.next_fetch_offset == position:
                reason = str(error) if isinstance(error, _ChecksumError) else f"cannot be decoded ({error!r})"
                raise UnreadableBatchError(self._tp, position, reason) from error

    def data_batches(self) -> Iterator[KafkaBatch]:
        """The Kafka batches that hold records to deliver: checked, committed, no control batches. Raises where one is corrupt."""
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise _ChecksumError("is corrupt")
            aborted = self._is_aborted(batch)
            if batch.next_offset <= self.next_fetch_offset:
                continue  # Of former formats each message is a batch, and a response may begin before what was asked for.
            if aborted or batch.is_control_batch:
                self.next_fetch_offset = batch.next_offset
                continue
            yield batch

    def _is_aborted(self, batch: KafkaBatch) -> bool:
        # Control batches have to come here too: an abort marker ends what is aborted of its producer.
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


class BoundedFetchResult(fetcher.FetchResult):
    """What of a response was not yet taken. Takes no more at a time than there is room for; the rest waits, packed as it came."""

    _partition_records: BatchedPartitionRecords | None

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The next items: at most `max_records`, until about `PARTITION_POLL_BYTES` are taken or there is no more room."""
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
    """A batch is not what its checksum says."""


def install() -> None:
    """Make aiokafka use this module's classes from now on. May be called again."""
    fetcher.MemoryRecords = KafkaBatches
    fetcher.PartitionRecords = BatchedPartitionRecords
    fetcher.FetchResult = BoundedFetchResult
