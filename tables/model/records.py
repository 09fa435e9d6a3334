"""Record batches of the input topic, slices of the changelog, and dead letters: records as values.

Adjacent records of one partition are columns in Arrow buffers, because one Python object per record cost 5 times more than parsing,
most of it in the garbage collector (ADR 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Adjacent records of one partition of the input topic.

    Attributes:
        values: `pyarrow.BinaryArray`, one value per record in offset order; null = a record without a value, or an oversized value.
        first_offset: first source offset of the batch, inclusive; equals `next_offset` of the batch before.
        next_offset: source offset after the batch, exclusive.
        offsets: int64 offset per record, strictly ascending; None = record `i` has offset `first_offset + i`.
        oversized: offset -> length in bytes, of each value that is too large to be in `values`. May name offsets outside this batch.
        times: int64 time per record, in milliseconds since 1970; -1 = the record has no time; None = nobody asked for times. Producers
            may state any time, also one before 1970, which is negative.
        ids: `pyarrow.BinaryArray`, the id of each record; null = it has none; None = no record has one.
    """

    values: pa.BinaryArray
    first_offset: int
    next_offset: int
    offsets: Int64Array | None = None
    oversized: Mapping[int, int] = field(default_factory=dict)
    times: Int64Array | None = None
    ids: pa.BinaryArray | None = None

    def __post_init__(self) -> None:
        count, span = len(self.values), self.next_offset - self.first_offset
        assert self.ids is None or len(self.ids) == count, f"ids of not just the {count} records"
        assert self.times is None or len(self.times) == count, f"times of not just the {count} records"
        if self.offsets is None:
            assert count == span, f"{count} records in {span} offsets"
        elif count:
            assert len(self.offsets) == count, f"{len(self.offsets)} offsets of {count} records"
            assert self.first_offset <= self.offsets[0], "a record lies before its batch"
            assert self.offsets[-1] < self.next_offset, "a record lies behind its batch"
            assert count <= span, "offsets that do not ascend"
            assert count == 1 or bool(np.all(self.offsets[1:] > self.offsets[:-1])), (
                "offsets that do not ascend"
            )

    @property
    def record_count(self) -> int:
        """Number of records."""
        return len(self.values)

    @property
    def is_pause(self) -> bool:
        """Whether the batch covers no offset: with such a batch the fetch lets the consumer do other things before the next batch."""
        return self.first_offset == self.next_offset

    @property
    def byte_count(self) -> int:
        """Bytes of the Arrow buffers of `values` and `ids`, and of `times`.

        A part of a batch reports the size of the whole batch, which it keeps in memory.
        """
        # Not `nbytes` of `values`, which releases the GIL: the event loop then waits half a millisecond until it holds the GIL again.
        columns = (self.values,) if self.ids is None else (self.values, self.ids)
        byte_count: int = sum(
            buffer.size for column in columns for buffer in column.buffers() if buffer is not None
        )
        if (times := self.times) is None:
            return byte_count
        return byte_count + (times.base if isinstance(times.base, np.ndarray) else times).nbytes

    def all_offsets(self) -> Int64Array:
        """Return the source offset of each record."""
        if self.offsets is not None:
            return self.offsets
        return np.arange(self.first_offset, self.first_offset + self.record_count)

    def offset_of(self, index: int) -> int:
        """Return the source offset of record `index` (0 <= index < record_count)."""
        return self.first_offset + index if self.offsets is None else int(self.offsets[index])

    def chosen(self, mask: npt.NDArray[np.bool_]) -> RecordBatch:
        """Return a batch of the same offsets that has only the records for which `mask` is true, without their ids."""
        return RecordBatch(
            self.values.filter(pa.array(mask)),
            self.first_offset,
            self.next_offset,
            self.all_offsets()[mask],
            self.oversized,
            None if self.times is None else self.times[mask],
        )

    def starting_at(self, position: int) -> RecordBatch | None:
        """Return the part of this batch from the source offset `position` on; None = the batch ends at or before `position`."""
        if position <= self.first_offset:
            return self
        if position >= self.next_offset:
            return None
        offsets, times = self.offsets, self.times
        start = position - self.first_offset if offsets is None else int(np.searchsorted(offsets, position))
        return RecordBatch(
            self.values.slice(start),
            position,
            self.next_offset,
            None if offsets is None else offsets[start:],
            self.oversized,
            None if times is None else times[start:],
            None if self.ids is None else self.ids.slice(start),
        )

    def single_records(self) -> list[RecordBatch]:
        """Return one batch per record, in offset order; together they cover the offsets of this batch, which holds >= 1 record."""
        starts = [self.first_offset, *(self.offset_of(i) for i in range(1, self.record_count))]
        ends = [*starts[1:], self.next_offset]
        return [
            RecordBatch(
                self.values.slice(i, 1),
                start,
                end,
                np.array([self.offset_of(i)], np.int64),
                self.oversized,
                None if self.times is None else self.times[i : i + 1],
                None if self.ids is None else self.ids.slice(i, 1),
            )
            for i, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be counted, or a copy of a record that was counted in the totals and left out of a window.

    Attributes:
        offset: offset of the record in the input partition.
        value: raw value as it was read; None = the record has no value, or a value that is too large to be kept.
        reason: why the record was not counted, one of `agents.text.tally.REASONS`; or why it was left out of a window, one of
            `tables.model.windowing.LEFT_OUT`.
        left_out_bytes: length in bytes of a value that is too large to be kept; 0 = the value is in `value`.
        time_ms: time of the record in milliseconds since 1970; None = it has none that can be read, or no windows are counted.
    """

    offset: int
    value: bytes | None
    reason: str
    left_out_bytes: int = 0
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ChangelogSlice:
    """Adjacent changelog records, markers included.

    Attributes:
        keys: `pyarrow.BinaryArray` of words and of `names.MARKER_KEY`; no nulls.
        values: `pyarrow.BinaryArray` of rows and markers, one per key; no nulls.
        next_offset: changelog offset after the last record, exclusive.
    """

    keys: pa.BinaryArray
    values: pa.BinaryArray
    next_offset: int

    @property
    def record_count(self) -> int:
        """Number of records, markers included."""
        return len(self.keys)

    @property
    def byte_count(self) -> int:
        """Bytes of keys and values."""
        return int(self.keys.nbytes + self.values.nbytes)

    def parted_after(self, count: int, first_offset: int) -> tuple[ChangelogSlice, ChangelogSlice | None]:
        """Return the first `count` records, and the rest; None = there is no rest.

        A slice does not know the offset of each record. So the first part says, as the offset after its last record, a lower bound.

        Args:
            count: number of records of the first part, from 0 to `record_count`.
            first_offset: offset of the first record, or lower.
        """
        if count == self.record_count:
            return self, None
        first = ChangelogSlice(self.keys[:count], self.values[:count], first_offset)
        return first, ChangelogSlice(self.keys[count:], self.values[count:], self.next_offset)

    @classmethod
    def of(cls, records: Sequence[tuple[bytes, bytes]], next_offset: int) -> ChangelogSlice:
        """Return a slice of `records`, (key, value) pairs of which there may be none. Meant for few records."""
        keys, values = [key for key, _ in records], [value for _, value in records]
        return cls(pa.array(keys, pa.binary()), pa.array(values, pa.binary()), next_offset)
