"""Leaves out the records of a buffer that repeat an earlier one with the same id (`tables.model.record_ids`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tables.model.record_ids import IdState, id_key
from tables.model.records import Int64Array, RecordBatch
from tables.model.replay import StoredRows
from tables.model.rows import unpack_row


@dataclass(frozen=True, slots=True)
class Recognised:
    """A buffer without its repeats.

    Attributes:
        batches: batches of the same offsets as the buffer's.
        repeats: number of the records that were left out.
        ids: ids of the partition after the buffer; None = no record had an id yet.
        keys: `pyarrow.BinaryArray`, keys of the new rows, in byte order.
        firsts: counts of these rows: the offset of the first record with the id, plus one.
    """

    batches: Sequence[RecordBatch]
    repeats: int
    ids: IdState | None
    keys: pa.BinaryArray
    firsts: Int64Array


def recognised(
    batches: Sequence[RecordBatch], ids: IdState | None, stored: StoredRows, *, span: int
) -> Recognised:
    """Leave out the repeats of a buffer.

    Args:
        batches: adjacent batches, in offset order.
        ids: ids of the partition before the buffer; None = no record had an id yet.
        stored: the rows of the partition, also those ahead of the position.
        span: records with ids of a generation, if these records are the first ones with ids.
    """
    found = [*map(_identified, batches)]
    count = sum(map(len, found))
    if not count:
        return Recognised(batches, 0, ids, _NO_KEYS, _NO_FIRSTS)
    ids = ids or IdState(span=span)
    firsts = _Firsts(ids, [record_id for some in found for _, _, record_id in some], stored)
    kept: list[RecordBatch] = []
    for batch, some in zip(batches, found, strict=True):
        repeats = [index for index, offset, record_id in some if not firsts.is_first(record_id, offset)]
        mask = np.ones(batch.record_count, np.bool_)
        mask[repeats] = False
        kept.append(batch.chosen(mask) if repeats else batch)
    keys = sorted(firsts.new)
    return Recognised(
        kept,
        sum(before.record_count - after.record_count for before, after in zip(batches, kept, strict=True)),
        ids.advanced(count),
        pa.array(keys, pa.binary()),
        np.array([firsts.new[key] + 1 for key in keys], np.int64),
    )


def _identified(batch: RecordBatch) -> list[tuple[int, int, bytes]]:
    """Return index, offset and id of each record that has an id."""
    if batch.ids is None:
        return []
    indices = np.flatnonzero(batch.ids.is_valid())
    offsets = batch.all_offsets()[indices]
    some = batch.ids.take(pa.array(indices)).to_pylist()
    return [*zip(indices.tolist(), offsets.tolist(), some, strict=True)]


class _Firsts:
    """Decides for one record with an id after the other whether it is the first one.

    Args:
        ids: ids of the partition before the records.
        record_ids: the ids of the records, in offset order.
        stored: rows of the partition.

    Attributes:
        new: key -> offset of the first record, of the rows that are not stored yet.
    """

    def __init__(self, ids: IdState, record_ids: Sequence[bytes], stored: StoredRows) -> None:
        self.new: dict[bytes, int] = {}
        self._ids = ids
        self._number = ids.records
        generations = (ids.generation_of(ids.records + number) for number in range(len(record_ids)))
        asked = {
            id_key(generation - back, record_id)
            for generation, record_id in zip(generations, record_ids, strict=True)
            for back in (0, 1)
            if generation >= back
        }
        keys = sorted(asked)
        rows = zip(keys, stored.get_many(keys), strict=True)
        self._firsts = {key: unpack_row(row)[0] - 1 for key, row in rows if row is not None}

    def is_first(self, record_id: bytes, offset: int) -> bool:
        """Return whether the next record, which has this id and offset, counts."""
        generation = self._ids.generation_of(self._number)
        self._number += 1
        key = id_key(generation, record_id)
        if key not in self._firsts:
            self._firsts[key] = self.new[key] = offset
        came_before = generation > 0 and id_key(generation - 1, record_id) in self._firsts
        return self._firsts[key] == offset and not came_before


_NO_KEYS = pa.array([], pa.binary())
_NO_FIRSTS = np.empty(0, np.int64)
