"""The time of each record: its own timestamp, or found in its document while this is decoded for its text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from agents.text.choices import RECORD_TIME
from agents.text.json_pointer import parsed
from agents.text.times import MISSING_MS, UNREADABLE_MS
from tables.model.records import Int64Array, RecordBatch


@dataclass(frozen=True, slots=True)
class RecordTimes:
    """Times of records, see `agents.text.times.times_ms`.

    Attributes:
        times: one time per record.
        pointer: unescaped reference tokens of the JSON Pointer to the time in a document; None = the times are the records' own, and
            complete.
    """

    times: Int64Array
    pointer: tuple[str, ...] | None = None

    def put(self, indices: Int64Array, times: Int64Array | None) -> None:
        """Store the times of the records with these indices, as their documents say; None = nobody asked the documents."""
        if times is not None:
            self.times[indices] = times

    def of(self, index: int) -> int | None:
        """Return the time of a record in milliseconds since 1970; None if it is missing or unreadable."""
        time_ms = int(self.times[index])
        return None if time_ms in {MISSING_MS, UNREADABLE_MS} else time_ms


def record_times(
    source: str, batches: Sequence[RecordBatch], values: pa.BinaryArray, oversized: Iterable[int]
) -> RecordTimes:
    """Return the times of records, as far as they are known before any document is decoded.

    A record without a value has no document and thus no time. The time of a value that is never decoded, because it is too large or
    not UTF-8, is unreadable.

    Args:
        source: `RECORD_TIME`, or a JSON Pointer.
        batches: adjacent batches with the records.
        values: values of all records.
        oversized: indices of the records whose value is too large to be read.
    """
    if source == RECORD_TIME:
        return RecordTimes(np.concatenate([np.empty(0, np.int64), *(_own(batch) for batch in batches)]))
    times = np.where(values.is_null(), MISSING_MS, UNREADABLE_MS)
    times[list(oversized)] = UNREADABLE_MS
    return RecordTimes(times, parsed(source))


def _own(batch: RecordBatch) -> Int64Array:
    if batch.times is None:
        return np.full(batch.record_count, MISSING_MS, np.int64)
    # A producer may have sent any number; the one that stands for a time that cannot be read is as impossible as its neighbour.
    return np.where(batch.times == UNREADABLE_MS, UNREADABLE_MS - 1, batch.times)
