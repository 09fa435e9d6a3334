"""Conversion of fetched Kafka batches of the input to record batches: an Arrow array of values for one large or several small ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tables.fetch.batches import KafkaBatch, Record, unpacking_space
from tables.fetch.fetching import (
    MAX_RECORD_BYTES,
    PART_BYTES,
    PART_RECORDS,
    POLL_BYTES,
    BatchedPartitionRecords,
)
from tables.model.records import RecordBatch

RECORDS_PER_BATCH = 1024
BATCH_BYTES = 1 << 20
"""Small Kafka batches are joined until they have about this number of records or bytes.

Without that, a batch of one record would be an event of its own, which costs 1.5 µs.
"""


class RecordBatchUnpacker:
    """Makes `RecordBatch` objects of the values; implements `tables.fetch.fetching.Unpacker`.

    Each `RecordBatch` begins where the one before it ends: offsets without a record (control batches, compacted records) are covered,
    too.

    Args:
        max_record_bytes: longest value that is kept, in bytes, inclusive; longer values are passed over.
    """

    def __init__(self, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self.room_bytes = POLL_BYTES
        self._max_record_bytes = max_record_bytes
        self._sparse: set[Any] = set()
        self._space = unpacking_space()

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[RecordBatch]:
        """Yield record batches, see `Unpacker.unpack`."""
        gathered = _Gathered(records.next_fetch_offset)
        try:
            for batch in records.data_batches():
                whole = batch.whole(self._space)
                if whole is None:
                    yield from self._parts(records, batch, gathered)
                    continue
                # Reading offsets, too, costs half as much again as reading the values alone. Offsets are needed only if records
                # are missing within a batch.
                if batch.magic < 2 or records.topic_partition in self._sparse:
                    pairs = [(record.offset, record.value) for record in whole.records]
                    gathered.add(
                        [value for _, value in pairs], [offset for offset, _ in pairs], whole.byte_count
                    )
                else:
                    values = [record.value for record in whole.records]
                    if batch.base_offset + len(values) != batch.next_offset:
                        # Records of this batch were compacted away. Deliver the records before this batch; the batch is fetched
                        # again and read with its offsets.
                        self._sparse.add(records.topic_partition)
                        break
                    gathered.add(values, range(batch.base_offset, batch.next_offset), whole.byte_count)
                records.next_fetch_offset = batch.next_offset
                if len(gathered.values) >= RECORDS_PER_BATCH or gathered.byte_count >= BATCH_BYTES:
                    yield gathered.taken(batch.next_offset)
        except Exception:
            # The records before an unreadable batch, or before an unreadable record of a batch in parts, are delivered first. What is
            # unreadable begins the next response and is reported then.
            if records.next_fetch_offset == gathered.first_offset:
                raise
        if records.next_fetch_offset != gathered.first_offset:
            yield gathered.taken(records.next_fetch_offset)

    def _parts(
        self, records: BatchedPartitionRecords, batch: KafkaBatch, gathered: _Gathered
    ) -> Iterator[RecordBatch]:
        """Yield what is gathered, then the records of a batch that is too large to be unpacked whole.

        `gathered` begins after the batch when all parts are yielded. An error leaves in it the records that precede the error.
        """
        if records.next_fetch_offset != gathered.first_offset:
            yield gathered.taken(records.next_fetch_offset)
        for record in batch.parts(gathered.first_offset, self._max_record_bytes):
            if record is not None:
                gathered.add_one(record)
                records.next_fetch_offset = record.offset + 1
            if record is None or gathered.byte_count >= PART_BYTES or len(gathered.values) >= PART_RECORDS:
                yield gathered.taken(records.next_fetch_offset)
        records.next_fetch_offset = batch.next_offset
        yield gathered.taken(batch.next_offset)


class _Gathered:
    """Gathers adjacent records for a `RecordBatch`."""

    def __init__(self, first_offset: int) -> None:
        self.first_offset = first_offset
        self._begin()

    def _begin(self) -> None:
        self.values: list[bytes | None] = []
        self.byte_count = 0
        self._offsets: list[Sequence[int]] = []
        self._oversized: dict[int, int] = {}

    def add(self, values: Sequence[bytes | None], offsets: Sequence[int], byte_count: int) -> None:
        """Add the records of a batch."""
        self.values += values
        self._offsets.append(offsets)
        self.byte_count += byte_count

    def add_one(self, record: Record) -> None:
        """Add a single record, and note the length of a value that was passed over."""
        self.add([record.value], [record.offset], len(record.value or b""))
        if record.passed_bytes:
            self._oversized[record.offset] = record.passed_bytes

    def taken(self, next_offset: int) -> RecordBatch:
        """Return the gathered records as a batch that ends at `next_offset`, and begin the next batch there."""
        batch = _record_batch(self.values, self._offsets, self.first_offset, next_offset, self._oversized)
        self.first_offset = next_offset
        self._begin()
        return batch


def _record_batch(
    values: list[bytes | None],
    offsets: Sequence[Sequence[int]],
    first_offset: int,
    next_offset: int,
    oversized: Mapping[int, int],
) -> RecordBatch:
    """Return the records from `first_offset` on; records before it are left out, as a fetch may begin within a Kafka batch."""
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
