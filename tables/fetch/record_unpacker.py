"""Conversion of fetched Kafka batches of the input to record batches: an Arrow array of values for one large or several small ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tables.fetch.batches import KafkaBatch, Record, Whole, unpacking_space
from tables.fetch.fetching import (
    MAX_RECORD_BYTES,
    PART_BYTES,
    PART_RECORDS,
    POLL_BYTES,
    BatchedPartitionRecords,
)
from tables.fetch.id_headers import id_in
from tables.model.records import Int64Array, RecordBatch

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
        with_times: whether the record batches have the times of their records, which makes unpacking 30 % slower.
    """

    def __init__(self, max_record_bytes: int = MAX_RECORD_BYTES, *, with_times: bool = False) -> None:
        self.room_bytes = POLL_BYTES
        self._with_times = with_times
        self._max_record_bytes = max_record_bytes
        self._sparse: set[Any] = set()
        self._space = unpacking_space()

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[RecordBatch]:
        """Yield record batches, see `Unpacker.unpack`."""
        gathered = _Gathered(records.next_fetch_offset, self._with_times)
        try:
            for batch in records.data_batches():
                whole = batch.whole(self._space)
                if whole is None:
                    yield from self._parts(records, batch, gathered)
                    continue
                sparse = batch.magic < 2 or records.topic_partition in self._sparse
                try:
                    read = _Read.of(batch, whole, with_times=self._with_times, with_offsets=sparse)
                except UnicodeDecodeError:
                    # aiokafka cannot read the name of a header that is not UTF-8. No header makes a record unreadable here.
                    yield from self._parts(records, batch, gathered)
                    continue
                offsets: Sequence[int] = read.offsets
                if not sparse:
                    if batch.base_offset + len(read.values) != batch.next_offset:
                        # Records of this batch were compacted away. Deliver the records before this batch; the batch is fetched
                        # again and read with its offsets.
                        self._sparse.add(records.topic_partition)
                        break
                    offsets = range(batch.base_offset, batch.next_offset)
                gathered.add(read.values, offsets, whole.byte_count, read.ids)
                gathered.times += read.times
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


class _Read(NamedTuple):
    """What is read of the records of a batch.

    Attributes:
        values: their values.
        times: their times; [] = nobody asked for them.
        offsets: their offsets; [] = nobody asked for them. They are needed only if records are missing within a batch, and reading
            them, too, costs half as much again as reading the values alone.
        ids: their ids; None = no record has one.
    """

    values: list[bytes | None]
    times: list[int]
    offsets: list[int]
    ids: list[bytes | None] | None

    @classmethod
    def of(cls, batch: KafkaBatch, whole: Whole, *, with_times: bool, with_offsets: bool) -> _Read:
        """Read the records of `batch`, which are those of `whole`. Raise UnicodeDecodeError if the name of a header is not UTF-8."""
        records = [*whole.records] if whole.has_ids else whole.records
        ids = [id_in(record.headers) for record in records] if whole.has_ids else None
        if ids is not None and not any(ids):
            ids = None
        if with_times:
            return cls(*_timed(batch, records, with_offsets=with_offsets), ids)
        if with_offsets:
            pairs = [(record.offset, record.value) for record in records]
            return cls([value for _, value in pairs], [], [offset for offset, _ in pairs], ids)
        return cls([record.value for record in records], [], [], ids)


def _timed(
    batch: KafkaBatch, records: Iterable[Any], *, with_offsets: bool
) -> tuple[list[bytes | None], list[int], list[int]]:
    """Return the values, times and offsets of `records`, which are those of `batch`; without `with_offsets` no offsets."""
    values: list[bytes | None] = []
    times: list[int] = []
    offsets: list[int] = []
    common_ms = batch.common_time_ms
    if with_offsets:
        for record in records:
            values.append(record.value)
            times.append(record.timestamp if common_ms is None else common_ms)
            offsets.append(record.offset)
    elif common_ms is None:
        # Two appends cost 55 ns a record more than reading the values alone; pairs or a flat list, split afterwards, cost 100 ns more.
        for record in records:
            values.append(record.value)
            times.append(record.timestamp)
    else:
        values = [record.value for record in records]
        times = [common_ms] * len(values)
    return values, times, offsets


class _Gathered:
    """Gathers adjacent records for a `RecordBatch`.

    Args:
        first_offset: offset at which the first `RecordBatch` begins.
        with_times: whether a `RecordBatch` has the times of its records. Who adds records by `add` adds their times to `times`.
    """

    def __init__(self, first_offset: int, with_times: bool) -> None:
        self.first_offset = first_offset
        self._with_times = with_times
        self._begin()

    def _begin(self) -> None:
        self.values: list[bytes | None] = []
        self.times: list[int] = []
        self.byte_count = 0
        self._ids: dict[int, list[bytes | None]] = {}
        self._offsets: list[Sequence[int]] = []
        self._oversized: dict[int, int] = {}

    def add(
        self,
        values: Sequence[bytes | None],
        offsets: Sequence[int],
        byte_count: int,
        ids: list[bytes | None] | None,
    ) -> None:
        """Add the records of a batch."""
        if ids is not None:
            self._ids[len(self.values)] = ids
        self.values += values
        self._offsets.append(offsets)
        self.byte_count += byte_count

    def add_one(self, record: Record) -> None:
        """Add a single record and its time, and note the length of a value that was passed over."""
        ids: list[bytes | None] | None = None if record.record_id is None else [record.record_id]
        self.add([record.value], [record.offset], len(record.value or b""), ids)
        if self._with_times:
            self.times.append(record.time_ms)
        if record.passed_bytes:
            self._oversized[record.offset] = record.passed_bytes

    def taken(self, next_offset: int) -> RecordBatch:
        """Return the gathered records as a batch that ends at `next_offset`, and begin the next batch there."""
        times = np.fromiter(self.times, np.int64, len(self.times)) if self._with_times else None
        batch = _record_batch(
            self.values,
            self._offsets,
            self.first_offset,
            next_offset,
            oversized=self._oversized,
            times=times,
            ids=self._all_ids(),
        )
        self.first_offset = next_offset
        self._begin()
        return batch

    def _all_ids(self) -> list[bytes | None] | None:
        """Return the id of each record; None = no record has one."""
        if not self._ids:
            return None
        ids: list[bytes | None] = [None] * len(self.values)
        for place, some in self._ids.items():
            ids[place : place + len(some)] = some
        return ids


def _record_batch(
    values: list[bytes | None],
    offsets: Sequence[Sequence[int]],
    first_offset: int,
    next_offset: int,
    *,
    oversized: Mapping[int, int],
    times: Int64Array | None,
    ids: Sequence[bytes | None] | None,
) -> RecordBatch:
    """Return the records from `first_offset` on; records before it are left out, as a fetch may begin within a Kafka batch."""
    if len(values) == next_offset - first_offset and (not offsets or offsets[0][0] == first_offset):
        return RecordBatch(
            pa.array(values, pa.binary()),
            first_offset,
            next_offset,
            oversized=oversized,
            times=times,
            ids=None if ids is None else pa.array(ids, pa.binary()),
        )
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
        None if times is None else times[skip:],
        None if ids is None else pa.array(ids[skip:], pa.binary()),
    )
