"""Fetched Kafka batches as bytes instead of record objects: the one override of aiokafka's parsing.

aiokafka makes one `ConsumerRecord` per record: 2.8 µs, most of it the cyclic garbage collector that walks them. Here one Arrow
array (or one pair of lists) is made per Kafka batch: 0.2 µs a record, checksums included (ADR 3).

The seam is `aiokafka.consumer.fetcher.PartitionRecords`, which the fetcher looks up by that name for each response. `install`
replaces it by a subclass that behaves differently only for consumers whose `value_deserializer` is an `Unpacker`; every other
consumer in the process sees ordinary records. `tests/integration/test_fetching.py` notices when an upgrade moves the seam.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from tables.ports import ChangelogSlice
from tables.windows import RecordBatch

RECORDS_PER_BATCH = 1024
"""Small Kafka batches are joined up to about this many records: one event per record would cost 1.5 µs each."""


class Unpacker(Protocol):
    """Turns the Kafka batches of one fetch response into what the consumer wants to see."""

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[object]:
        """Yield items; `records.next_fetch_offset` must be the offset after an item when it is yielded."""


class CorruptBatchError(CorruptRecordException):
    """The batch at `offset` of `topic_partition` is not what its checksum says."""

    def __init__(self, topic_partition: Any, offset: int) -> None:
        self.topic_partition = topic_partition
        self.offset = offset
        where = f"{topic_partition.topic} partition {topic_partition.partition}"
        self.description = f"{where}: the record batch at offset {offset} is corrupt"
        super().__init__(self.description)


class BatchedPartitionRecords(fetcher.PartitionRecords):
    """One partition of a fetch response. Adds `unpack` to aiokafka's class and changes nothing else of it."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[object]:
        unpack = getattr(self._value_deserializer, "unpack", None)
        return super()._unpack_records() if unpack is None else unpack(self)

    @property
    def topic_partition(self) -> Any:
        return self._tp

    def data_batches(self) -> Iterator[Any]:
        """The Kafka batches that hold records to deliver: checked, committed, no control batches.

        Raises:
            CorruptBatchError: the first batch is corrupt. A later one ends the response before it, and is the first of the next.
        """
        position = self.next_fetch_offset
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                if self.next_fetch_offset > position:
                    return
                raise CorruptBatchError(self._tp, position)
            if self._is_aborted(batch) or batch.is_control_batch:
                self.next_fetch_offset = batch.next_offset
                continue
            yield batch

    def _is_aborted(self, batch: Any) -> bool:
        # Control batches have to come here too: an abort marker ends what is aborted of its producer.
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


class RecordBatchUnpacker:
    """Values only, as `RecordBatch`es that join: offsets without a record (control batches, compacted ones) belong to one too."""

    def __init__(self) -> None:
        self._sparse: set[Any] = set()

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[RecordBatch]:
        """See `Unpacker.unpack`."""
        first_offset = records.next_fetch_offset
        values: list[bytes | None] = []
        offsets: list[Sequence[int]] = []
        for batch in records.data_batches():
            start = len(values)
            # Offsets cost half as much again as the values, and are needed only where records are missing between others.
            if records.topic_partition in self._sparse:
                pairs = [(record.offset, record.value) for record in batch]
                values += [value for _, value in pairs]
                offsets.append([offset for offset, _ in pairs])
            else:
                values += [record.value for record in batch]
                end = batch.base_offset + len(values) - start
                if end != batch.next_offset:
                    # Compacted. Deliver what came before, and have this batch fetched once more, with offsets.
                    self._sparse.add(records.topic_partition)
                    if start:
                        yield _record_batch(values[:start], offsets, first_offset, records.next_fetch_offset)
                    return
                offsets.append(range(batch.base_offset, end))
            records.next_fetch_offset = batch.next_offset
            if len(values) >= RECORDS_PER_BATCH:
                yield _record_batch(values, offsets, first_offset, batch.next_offset)
                first_offset, values, offsets = batch.next_offset, [], []
        if records.next_fetch_offset != first_offset:
            yield _record_batch(values, offsets, first_offset, records.next_fetch_offset)


class ChangelogUnpacker:
    """Keys and values, one `ChangelogSlice` per response: a thread that restores loses its turn less often than with one per batch.

    Records without key or value are not the changelog's and are kept, as b"".
    """

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[ChangelogSlice]:
        """See `Unpacker.unpack`."""
        parts: list[tuple[pa.BinaryArray, pa.BinaryArray]] = []
        for batch in records.data_batches():
            keys: list[bytes | None] = []
            values: list[bytes | None] = []
            first_offset = records.next_fetch_offset
            below = batch.base_offset < first_offset
            # Two appends cost 275 ns a record, pairs that are split afterwards 390.
            for record in (one for one in batch if one.offset >= first_offset) if below else batch:
                keys.append(record.key)
                values.append(record.value)
            parts.append((_column(keys), _column(values)))
            records.next_fetch_offset = batch.next_offset
        if parts:
            key_parts, value_parts = zip(*parts, strict=True)
            yield ChangelogSlice(
                pa.concat_arrays(key_parts), pa.concat_arrays(value_parts), records.next_fetch_offset
            )


def install() -> None:
    """Make aiokafka use this module's class from now on. May be called again."""
    fetcher.PartitionRecords = BatchedPartitionRecords


def _column(values: Sequence[bytes | None]) -> pa.BinaryArray:
    column = pa.array(values, pa.binary())
    return column.fill_null(b"") if column.null_count else column


def _record_batch(
    values: list[bytes | None], offsets: Sequence[Sequence[int]], first_offset: int, next_offset: int
) -> RecordBatch:
    """Records from `first_offset` on; a fetch may begin in the middle of a Kafka batch."""
    if len(values) == next_offset - first_offset and (not offsets or offsets[0][0] == first_offset):
        return RecordBatch(pa.array(values, pa.binary()), first_offset, next_offset)
    known = (
        np.concatenate([np.asarray(part, np.int64) for part in offsets]) if offsets else np.empty(0, np.int64)
    )
    skip = int(np.searchsorted(known, first_offset))
    contiguous = len(values) - skip == next_offset - first_offset
    return RecordBatch(
        pa.array(values[skip:], pa.binary()), first_offset, next_offset, None if contiguous else known[skip:]
    )
