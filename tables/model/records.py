"""What is counted but not yet flushed: record batches in, one tally out. Pure values, no I/O.

A `RecordBatch` is what one or several adjacent Kafka batches of one partition become: only bytes, in one Arrow buffer, so that
the garbage collector has nothing to walk (measured: record objects cost 5 times more than parsing, ADR 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.model.names import SLICE_ROWS

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
class Totals:
    """What became of the records of a prefix of one partition. `records == counted + skipped + dead_lettered`, always.

    Attributes:
        records: records read.
        counted: records whose words were counted (a record without any word counts as counted).
        words: occurrences of words, that is, the sum of all counts.
        skipped: records left out by a policy, by reason.
        dead_lettered: records sent to the dead-letter topic, by reason.
        dropped_words: words left out of counted records by an option or policy, by reason.
    """

    records: int = 0
    counted: int = 0
    words: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    dead_lettered: Mapping[str, int] = field(default_factory=dict)
    dropped_words: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.records + other.records,
            self.counted + other.counted,
            self.words + other.words,
            _added(self.skipped, other.skipped),
            _added(self.dead_lettered, other.dead_lettered),
            _added(self.dropped_words, other.dropped_words),
        )


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
class Tally:
    """The words of some record batches, each distinct word once.

    Attributes:
        words: `pyarrow.BinaryArray` of UTF-8, strictly ascending in byte order, no nulls.
        counts: int64, occurrences of the word with the same index, all > 0.
        totals: what became of the records; `totals.words == counts.sum()` unless `only` left words out.
        dead_letters: in offset order.
    """

    words: pa.BinaryArray
    counts: Int64Array
    totals: Totals
    dead_letters: Sequence[DeadLetter] = ()

    def word_list(self) -> list[bytes]:
        """The words as bytes, converted in slices so that other threads get a turn."""
        converted: list[bytes] = []
        for start in range(0, len(self.words), SLICE_ROWS):
            converted += self.words.slice(start, SLICE_ROWS).to_numpy(zero_copy_only=False).tolist()
        return converted

    def only(self, keep: npt.NDArray[np.bool_]) -> Tally:
        """The same records, but only the words where `keep` is true; the totals still tell of all of them."""
        if keep.all():
            return self
        return Tally(self.words.filter(pa.array(keep)), self.counts[keep], self.totals, self.dead_letters)


class TallyRecords(Protocol):
    """A pure function from record batches to their tally: the same records give the same tally, however they are batched."""

    def __call__(self, batches: Sequence[RecordBatch]) -> Tally: ...


def _added(left: Mapping[str, int], right: Mapping[str, int]) -> Mapping[str, int]:
    if not right:
        return left
    return {reason: left.get(reason, 0) + right.get(reason, 0) for reason in {**left, **right}}


def merge_tallies(tallies: Sequence[Tally]) -> Tally:
    """One tally of the records of all `tallies`. Meant for few small ones: it sums in Python."""
    sums: dict[bytes, int] = {}
    totals = Totals()
    dead_letters: list[DeadLetter] = []
    for tally in tallies:
        for word, count in zip(tally.words.to_pylist(), tally.counts.tolist(), strict=True):
            sums[word] = sums.get(word, 0) + count
        totals += tally.totals
        dead_letters += tally.dead_letters
    words = sorted(sums)
    return Tally(
        pa.array(words, pa.binary()), np.array([sums[word] for word in words], np.int64), totals, dead_letters
    )
