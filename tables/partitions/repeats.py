"""Leaves out the records of a buffer that repeat an earlier one with the same id (`tables.model.record_ids`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.model.record_ids import IdState, id_key
from tables.model.records import Int64Array, RecordBatch
from tables.model.replay import StoredRows
from tables.model.rows import unpack_row

SLICE_RECORDS: Final = 16_384
"""Records that are looked up together. Each takes about 500 bytes while it is decided; of a first one about 250 remain."""


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
    count = sum(0 if batch.ids is None else len(batch.ids) - batch.ids.null_count for batch in batches)
    if not count:
        return Recognised(batches, 0, ids, _NO_KEYS, _NO_FIRSTS)
    ids = ids or IdState(span=span)
    firsts = _Firsts(ids, stored)
    chosen: dict[int, npt.NDArray[np.bool_]] = {}
    repeats = 0
    identified = _identified(batches)
    while some := [*islice(identified, SLICE_RECORDS)]:
        for place, row in firsts.repeats(some):
            if place not in chosen:
                chosen[place] = np.ones(batches[place].record_count, np.bool_)
            chosen[place][row] = False
            repeats += 1
    keys = sorted(firsts.new)
    return Recognised(
        [batch.chosen(chosen[place]) if place in chosen else batch for place, batch in enumerate(batches)],
        repeats,
        ids.advanced(count),
        pa.array(keys, pa.binary()),
        np.fromiter((firsts.new[key] + 1 for key in keys), np.int64, len(keys)),
    )


class _Identified(NamedTuple):
    """A record with an id: the place of its batch, its row in the batch, its offset and its id."""

    place: int
    row: int
    offset: int
    record_id: bytes


def _identified(batches: Sequence[RecordBatch]) -> Iterator[_Identified]:
    """Yield the records that have an id."""
    for place, batch in enumerate(batches):
        if batch.ids is None:
            continue
        indices = np.flatnonzero(batch.ids.is_valid())
        offsets = batch.all_offsets()
        for start in range(0, len(indices), SLICE_RECORDS):
            some = indices[start : start + SLICE_RECORDS]
            record_ids = batch.ids.take(pa.array(some)).to_pylist()
            for row, offset, record_id in zip(some.tolist(), offsets[some].tolist(), record_ids, strict=True):
                yield _Identified(place, row, offset, record_id)


class _Firsts:
    """Decides for one record with an id after the other whether it is the first one.

    Args:
        ids: ids of the partition before the records.
        stored: rows of the partition.

    Attributes:
        new: key -> offset of the first record, of the rows that are not stored yet.
    """

    def __init__(self, ids: IdState, stored: StoredRows) -> None:
        self.new: dict[bytes, int] = {}
        self._ids = ids
        self._number = ids.records
        self._stored = stored
        self._known: dict[bytes, int] = {}

    def repeats(self, records: Sequence[_Identified]) -> list[tuple[int, int]]:
        """Return place and index of each of the next records that repeats an earlier one."""
        generations = [self._ids.generation_of(self._number + number) for number in range(len(records))]
        self._number += len(records)
        asked = {
            id_key(generation - back, record.record_id)
            for generation, record in zip(generations, records, strict=True)
            for back in (0, 1)
            if generation >= back
        }
        keys = sorted(asked.difference(self.new))
        rows = zip(keys, self._stored.get_many(keys), strict=True)
        self._known = {key: unpack_row(row)[0] - 1 for key, row in rows if row is not None}
        return [
            (record.place, record.row)
            for generation, record in zip(generations, records, strict=True)
            if not self.is_first(generation, record.record_id, record.offset)
        ]

    def is_first(self, generation: int, record_id: bytes, offset: int) -> bool:
        """Return whether a record of `generation`, with this id and offset, counts."""
        first = self.first_of(id_key(generation, record_id), offset)
        before = id_key(generation - 1, record_id) if generation else None
        return first == offset and before not in self._known and before not in self.new

    def first_of(self, key: bytes, offset: int) -> int:
        """Return the offset of the first record of a key: `offset` if none is known."""
        first = self._known.get(key)
        return self.new.setdefault(key, offset) if first is None else first


_NO_KEYS = pa.array([], pa.binary())
_NO_FIRSTS = np.empty(0, np.int64)
