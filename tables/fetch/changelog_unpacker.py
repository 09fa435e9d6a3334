"""Conversion of fetched changelog batches to slices of keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from tables.fetch.batches import KafkaBatch, unpacking_space
from tables.fetch.fetching import (
    MAX_RECORD_BYTES,
    PART_BYTES,
    PART_RECORDS,
    PARTITION_POLL_BYTES,
    POLL_BYTES,
    BatchedPartitionRecords,
)
from tables.model.records import ChangelogSlice


class ChangelogUnpacker:
    """Makes one `ChangelogSlice` of a response, or several of a large response; implements `tables.fetch.fetching.Unpacker`.

    Who polls sets `room_bytes` before each poll.

    A slice per batch would cost the thread that restores its turn more often. A record without key or value was not written by
    Wordcount; it is kept, with b"" as its key or value.
    """

    def __init__(self) -> None:
        self.room_bytes = POLL_BYTES
        self._space = unpacking_space()

    def unpack(self, records: BatchedPartitionRecords) -> Iterator[ChangelogSlice]:
        """Yield slices, see `Unpacker.unpack`."""
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
        except Exception as error:  # noqa: BLE001 - raised again after the records before the failure are delivered
            failed = error
        if parts:
            yield _slice(parts, records.next_fetch_offset)
        if failed is not None:
            raise failed

    def _columns(
        self, batch: KafkaBatch, first_offset: int
    ) -> Iterator[tuple[list[bytes | None], list[bytes | None], int]]:
        """Yield (keys, values, offset after them) of the records of `batch` from `first_offset` on."""
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        whole = batch.whole(self._space)
        if whole is not None:
            below = batch.magic < 2 or batch.base_offset < first_offset
            # Two appends cost 275 ns a record; a list of pairs that is split afterwards costs 390 ns.
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


def _slice(parts: Sequence[tuple[pa.BinaryArray, pa.BinaryArray]], next_offset: int) -> ChangelogSlice:
    keys, values = zip(*parts, strict=True)
    return ChangelogSlice(pa.concat_arrays(keys), pa.concat_arrays(values), next_offset)


def _column(values: Sequence[bytes | None]) -> pa.BinaryArray:
    column = pa.array(values, pa.binary())
    return column.fill_null(b"") if column.null_count else column
