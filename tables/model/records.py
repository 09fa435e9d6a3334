"""Records as they come from Kafka: batches of the input topic, slices of the changelog, records that cannot be counted.

Adjacent records of one partition are columns in Arrow buffers, so that the garbage collector has no objects to walk (measured: record
objects cost 5 times more than parsing, ADR 3).
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
    """Adjacent records of one partition.

    Attributes:
        values: `pyarrow.BinaryArray`, one value per record in offset order; null = a record without a value.
        first_offset: position before this batch, inclusive; equals `next_offset` of the batch before it.
        next_offset: position after this batch, exclusive.
        offsets: int64 offset per record, ascending; None where record `i` has offset `first_offset + i`.
        oversized: offset -> bytes of the value, of records whose value is too large to be here; it is null.
    """

    values: pa.BinaryArray
    first_offset: int
    next_offset: int
    offsets: Int64Array | None = None
    oversized: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, span = len(self.values), self.next_offset - self.first_offset
        if self.offsets is None:
            assert count == span, f"{count} records in {span} offsets"
        elif count:
            assert len(self.offsets) == count, f"{len(self.offsets)} offsets of {count} records"
            assert self.first_offset <= self.offsets[0], "a record before its batch"
            assert self.offsets[-1] < self.next_offset, "a record behind its batch"
            assert count <= span, "offsets that do not ascend"
            assert count == 1 or bool(np.all(self.offsets[1:] > self.offsets[:-1])), (
                "offsets that do not ascend"
            )

    @property
    def record_count(self) -> int:
        return len(self.values)

    @property
    def is_pause(self) -> bool:
        """Whether it covers no offset: more is to come, and was given a pause before it."""
        return self.first_offset == self.next_offset

    @property
    def byte_count(self) -> int:
        """Bytes of memory that the values keep: of a part of a batch as many as of the whole."""
        # Not `nbytes`: it gives the GIL up for nothing, and the event loop waits half a millisecond until it has it again.
        return sum(buffer.size for buffer in self.values.buffers() if buffer is not None)

    def offset_of(self, index: int) -> int:
        """Offset of record `index` (0 <= index < record_count)."""
        return self.first_offset + index if self.offsets is None else int(self.offsets[index])

    def starting_at(self, position: int) -> RecordBatch | None:
        """The part of this batch from `position` on, or None where nothing is left of it."""
        if position <= self.first_offset:
            return self
        if position >= self.next_offset:
            return None
        offsets = self.offsets
        if offsets is None:
            rest = self.values.slice(position - self.first_offset)
            return RecordBatch(rest, position, self.next_offset, oversized=self.oversized)
        start = int(np.searchsorted(offsets, position))
        return RecordBatch(
            self.values.slice(start), position, self.next_offset, offsets[start:], self.oversized
        )

    def single_records(self) -> list[RecordBatch]:
        """The same records, at least one, as batches of one each; joined, they cover the same offsets."""
        starts = [self.first_offset, *(self.offset_of(i) for i in range(1, self.record_count))]
        ends = [*starts[1:], self.next_offset]
        return [
            RecordBatch(
                self.values.slice(i, 1), start, end, np.array([self.offset_of(i)], np.int64), self.oversized
            )
            for i, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be counted, as it was read.

    Attributes:
        offset: its offset in the input partition.
        value: its raw value; None = it had none, or one that is too large to be kept.
        reason: the policy's reason, one of `agents.text.tally.REASONS`.
        left_out_bytes: length of a value that is too large to be kept; 0 = it is `value`.
    """

    offset: int
    value: bytes | None
    reason: str
    left_out_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ChangelogSlice:
    """Adjacent changelog records, markers included.

    Attributes:
        keys: `pyarrow.BinaryArray` of words, or `names.MARKER_KEY`; no nulls.
        values: `pyarrow.BinaryArray` of rows or markers, one per key; no nulls.
        next_offset: changelog offset after them.
    """

    keys: pa.BinaryArray
    values: pa.BinaryArray
    next_offset: int

    @property
    def record_count(self) -> int:
        return len(self.keys)

    @property
    def byte_count(self) -> int:
        return int(self.keys.nbytes + self.values.nbytes)

    @classmethod
    def of(cls, records: Sequence[tuple[bytes, bytes]], next_offset: int) -> ChangelogSlice:
        """A slice of few (key, value) pairs, or none."""
        keys, values = [key for key, _ in records], [value for _, value in records]
        return cls(pa.array(keys, pa.binary()), pa.array(values, pa.binary()), next_offset)
