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

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from tables.fetch.batches import WHOLE_BYTES, KafkaBatch, KafkaBatches, Record
from tables.model.records import ChangelogSlice, RecordBatch

RECORDS_PER_BATCH = 1024
BATCH_BYTES = 1 << 20
"""Small Kafka batches are joined up to about so many records or bytes: one event per record would cost 1.5 µs each."""

PART_BYTES = 4 << 20
PART_RECORDS = 1 << 15
"""Of a Kafka batch that is too large to be unpacked at once, so much is delivered at a time."""

POLL_BYTES = 16 << 20
PARTITION_POLL_BYTES = 8 << 20
"""Most that one poll takes, about: of all partitions, and of one."""

MAX_RECORD_BYTES = 16 << 20

_HEADER_BYTES = 1024
"""More than the header of a Kafka batch."""


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


class RecordBatchUnpacker:
    """Values only, as `RecordBatch`es that join: offsets without a record (control batches, compacted ones) belong to one too.

    Args:
        max_record_bytes: longer values are passed over.
    """

    def __init__(self, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self.room_bytes = POLL_BYTES
        self._max_record_bytes = max_record_bytes
        self._sparse: set[Any] = set()
        self._space = _space()

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[RecordBatch]:
        """See `Unpacker.unpack`."""
        gathered = _Gathered(records.next_fetch_offset)
        try:
            for batch in records.data_batches():
                whole = batch.whole(self._space)
                if whole is None:
                    if records.next_fetch_offset != gathered.first_offset:
                        yield gathered.taken(records.next_fetch_offset)
                    yield from self._parts(records, batch)
                    gathered = _Gathered(records.next_fetch_offset)
                    continue
                # Offsets cost half as much again as the values, and are needed only where records are missing between others.
                if batch.magic < 2 or records.topic_partition in self._sparse:
                    pairs = [(record.offset, record.value) for record in whole.records]
                    gathered.add(
                        [value for _, value in pairs], [offset for offset, _ in pairs], whole.byte_count
                    )
                else:
                    values = [record.value for record in whole.records]
                    if batch.base_offset + len(values) != batch.next_offset:
                        # Compacted. Deliver what came before, and have this batch fetched once more, with offsets.
                        self._sparse.add(records.topic_partition)
                        break
                    gathered.add(values, range(batch.base_offset, batch.next_offset), whole.byte_count)
                records.next_fetch_offset = batch.next_offset
                if len(gathered.values) >= RECORDS_PER_BATCH or gathered.byte_count >= BATCH_BYTES:
                    yield gathered.taken(batch.next_offset)
        except Exception:
            # What precedes a batch that cannot be read is delivered first; that batch begins the next response, and is told then.
            if records.next_fetch_offset == gathered.first_offset:
                raise
        if records.next_fetch_offset != gathered.first_offset:
            yield gathered.taken(records.next_fetch_offset)

    def _parts(self, records: BatchedPartitionRecords, batch: KafkaBatch) -> Iterator[RecordBatch]:
        """The records of a batch that is too large to be unpacked at once, and what was passed over."""
        gathered = _Gathered(records.next_fetch_offset)
        for record in batch.parts(gathered.first_offset, self._max_record_bytes):
            if record is not None:
                gathered.add_one(record)
                records.next_fetch_offset = record.offset + 1
            if record is None or gathered.byte_count >= PART_BYTES or len(gathered.values) >= PART_RECORDS:
                yield gathered.taken(records.next_fetch_offset)
        records.next_fetch_offset = batch.next_offset
        yield gathered.taken(batch.next_offset)


class _Gathered:
    """Adjacent records on their way into a `RecordBatch`."""

    def __init__(self, first_offset: int) -> None:
        self.first_offset = first_offset
        self._begin()

    def _begin(self) -> None:
        self.values: list[bytes | None] = []
        self.byte_count = 0
        self._offsets: list[Sequence[int]] = []
        self._oversized: dict[int, int] = {}

    def add(self, values: Sequence[bytes | None], offsets: Sequence[int], byte_count: int) -> None:
        """The records of a batch."""
        self.values += values
        self._offsets.append(offsets)
        self.byte_count += byte_count

    def add_one(self, record: Record) -> None:
        """A single record; one that was passed over is told of."""
        self.add([record.value], [record.offset], len(record.value or b""))
        if record.passed_bytes:
            self._oversized[record.offset] = record.passed_bytes

    def taken(self, next_offset: int) -> RecordBatch:
        """What was gathered, up to `next_offset`; forgets it."""
        batch = _record_batch(self.values, self._offsets, self.first_offset, next_offset, self._oversized)
        self.first_offset = next_offset
        self._begin()
        return batch


class ChangelogUnpacker:
    """Keys and values, one `ChangelogSlice` per response: a thread that restores loses its turn less often than with one per batch.

    Records without key or value are not the changelog's and are kept, as b"".
    """

    def __init__(self) -> None:
        self._space = _space()

    @property
    def room_bytes(self) -> int:
        """Each time the same: what one asks for is merged before one asks for more."""
        return PARTITION_POLL_BYTES

    @room_bytes.setter
    def room_bytes(self, _: int) -> None:
        pass

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[ChangelogSlice]:
        """See `Unpacker.unpack`."""
        parts: list[tuple[pa.BinaryArray, pa.BinaryArray]] = []
        byte_count, failed = 0, None
        try:
            for batch in records.data_batches():
                for keys, values, next_offset in self._columns(batch, records.next_fetch_offset):
                    parts.append((_column(keys), _column(values)))
                    byte_count += sum(column.nbytes for column in parts[-1])
                    records.next_fetch_offset = next_offset
                    if byte_count >= PARTITION_POLL_BYTES:
                        yield _slice(parts, next_offset)
                        parts, byte_count = [], 0
        except Exception as error:  # noqa: BLE001 - what precedes it is delivered first
            failed = error
        if parts:
            yield _slice(parts, records.next_fetch_offset)
        if failed is not None:
            raise failed

    def _columns(
        self, batch: KafkaBatch, first_offset: int
    ) -> Iterator[tuple[list[bytes | None], list[bytes | None], int]]:
        """(keys, values, offset after them) of the records from `first_offset` on."""
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        whole = batch.whole(self._space)
        if whole is not None:
            below = batch.magic < 2 or batch.base_offset < first_offset
            # Two appends cost 275 ns a record, pairs that are split afterwards 390.
            for record in (
                (one for one in whole.records if one.offset >= first_offset) if below else whole.records
            ):
                keys.append(record.key)
                values.append(record.value)
        else:
            next_offset, byte_count = first_offset, 0
            for part in batch.parts(first_offset, MAX_RECORD_BYTES, with_keys=True):
                if part is not None:
                    keys.append(part.key)
                    values.append(part.value)
                    next_offset = part.offset + 1
                    byte_count += len(part.key or b"") + len(part.value or b"")
                if part is None or byte_count >= PART_BYTES or len(keys) >= PART_RECORDS:
                    yield keys, values, next_offset
                    keys, values, byte_count = [], [], 0
        yield keys, values, batch.next_offset


def install() -> None:
    """Make aiokafka use this module's classes from now on. May be called again."""
    fetcher.MemoryRecords = KafkaBatches
    fetcher.PartitionRecords = BatchedPartitionRecords
    fetcher.FetchResult = BoundedFetchResult


def _space() -> memoryview:
    """For batches to be unpacked to; memory only as far as it is used."""
    return np.zeros(WHOLE_BYTES + _HEADER_BYTES, np.uint8).data


def _slice(parts: Sequence[tuple[pa.BinaryArray, pa.BinaryArray]], next_offset: int) -> ChangelogSlice:
    keys, values = zip(*parts, strict=True)
    return ChangelogSlice(pa.concat_arrays(keys), pa.concat_arrays(values), next_offset)


def _column(values: Sequence[bytes | None]) -> pa.BinaryArray:
    column = pa.array(values, pa.binary())
    return column.fill_null(b"") if column.null_count else column


def _record_batch(
    values: list[bytes | None],
    offsets: Sequence[Sequence[int]],
    first_offset: int,
    next_offset: int,
    oversized: Mapping[int, int],
) -> RecordBatch:
    """Records from `first_offset` on; a fetch may begin in the middle of a Kafka batch."""
    if len(values) == next_offset - first_offset and (not offsets or offsets[0][0] == first_offset):
        return RecordBatch(pa.array(values, pa.binary()), first_offset, next_offset, oversized=oversized)
    known = (
        np.concatenate([np.asarray(part, np.int64) for part in offsets]) if offsets else np.empty(0, np.int64)
    )
    skip = int(np.searchsorted(known, first_offset))
    contiguous = len(values) - skip == next_offset - first_offset
    return RecordBatch(
        pa.array(values[skip:], pa.binary()),
        first_offset,
        next_offset,
        None if contiguous else known[skip:],
        oversized,
    )
