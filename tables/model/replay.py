"""Merging changelog records into rows: of two rows of a word the one with the larger `upto` stays, in whatever order they come.

A record whose row loses is *foreign*: somebody appended it after the partition had moved on. Where it is the latest record of its
word in the log, compaction would keep it and drop the better one, so that the better one has to be appended again (`stale`).

Records are kept and merged as columns, not as Python objects: a fraction of the memory, and most of the work is done without the
interpreter's lock (ADR 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tables.errors import InexactError
from tables.model.names import MARKER_KEY
from tables.model.positions import check_owner
from tables.model.records import ChangelogSlice, Int64Array
from tables.model.rows import (
    Marker,
    Owner,
    RowArray,
    StoreState,
    decode_marker,
    pack_rows,
    unpack_row,
    unpack_rows,
)
from tables.model.slices import SLICE_ROWS
from tables.model.word_order import byte_order

MERGE_BYTES = 32 << 20
"""Records are merged when they take as much; where the merged rows still take half of it they have to go into the store."""


class StoredRows(Protocol):
    """Rows from before the replay."""

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]: ...


@dataclass(frozen=True, slots=True)
class Column:
    """Bytes that exist only while one goes through them, slice by slice: as a list they would take ten times the memory."""

    length: int
    convert: Callable[[int, int], Sequence[bytes]]

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        starts = range(0, self.length, SLICE_ROWS)
        return chain.from_iterable(self.convert(start, start + SLICE_ROWS) for start in starts)


@dataclass(frozen=True, slots=True)
class MergedRows:
    """One row per word.

    Attributes:
        words: `pyarrow.BinaryArray`, distinct.
        rows: the best row of each.
        latest: int64, `upto` of the latest record of each.
    """

    words: pa.BinaryArray
    rows: RowArray
    latest: Int64Array

    def __len__(self) -> int:
        return len(self.words)

    @property
    def byte_count(self) -> int:
        return int(self.words.nbytes + self.rows.nbytes + self.latest.nbytes)

    def taken(self, indices: Int64Array) -> MergedRows:
        """The rows at `indices`, in their order."""
        # Not `rows[indices]`, which takes eight times as long.
        rows = self.rows.take(indices, axis=0)
        return MergedRows(self.words.take(pa.array(indices)), rows, self.latest[indices])

    def keys(self) -> Column:
        """The words, as the store has them."""
        return Column(len(self), lambda start, end: _bytes(self.words[start:end]))

    def values(self) -> Column:
        """The rows, as the store has them."""
        return Column(
            len(self), lambda start, end: pack_rows(self.rows[start:end, 0], self.rows[start:end, 1])
        )


class Replay:
    """Rows and marker of the changelog records given to `apply`, on top of `stored`.

    Args:
        stored: rows that the records are merged with; has what a `take` returned before the next `take`.
        state: of those rows.
        owner: whose changelog it has to be.
        changelog_id: its id; "" = not known.
        awaited: a marker of which it is not known whether it is in the changelog.
        most_bytes: the same as `MERGE_BYTES`, where memory has no room for it.

    Attributes:
        awaited_found: whether `awaited` was among the records.
        stale: words of which the latest record in the log is not the best one, as of the last `take`.
        marker: the last one by offset.
        max_upto: no row has a larger `upto`, and no marker a larger position: so far answers may have been given.
        examined: next changelog offset to read.
        full: whether rows have to be taken before memory runs out.
    """

    def __init__(
        self,
        stored: StoredRows,
        state: StoreState,
        owner: Owner,
        changelog_id: str = "",
        awaited: Marker | None = None,
        *,
        most_bytes: int = MERGE_BYTES,
    ) -> None:
        self._owner = owner
        self._changelog_id = changelog_id
        self.awaited_found = False
        self.stale: set[bytes] = set()
        self.marker: Marker | None = state.marker
        self.max_upto = max(state.max_upto, state.position)
        self.examined = state.examined
        self.full = False
        self._awaited = awaited
        self._stored = stored
        self._stored_upto = self.max_upto
        self._furthest_position = state.marker.furthest_position if state.marker is not None else 0
        self._parts: list[MergedRows] = []
        self._buffered_bytes = 0
        self._buffer_bytes = self._merge_at_bytes = min(MERGE_BYTES, most_bytes)

    def apply(self, part: ChangelogSlice) -> None:
        """Take in adjacent changelog records.

        Raises:
            ForeignChangelogError: some marker is of another owner. Its rows come after it, if not compacted since.
            InexactError: one is neither row nor marker, or was written for a former changelog of this name: what that one had
                before it is missing here.
        """
        keys, values, self.examined = part.keys, part.values, part.next_offset
        is_marker = pc.equal(keys, MARKER_KEY)
        if markers := values.filter(is_marker).to_pylist():
            for marker in map(decode_marker, markers):
                check_owner(marker, self._owner)
                self._check_changelog(marker)
                self.awaited_found = self.awaited_found or marker == self._awaited
                self._furthest_position = max(self._furthest_position, marker.furthest_position)
                self.marker = marker
            self.max_upto = max(self.max_upto, self._furthest_position)
            is_row = pc.invert(is_marker)
            keys, values = keys.filter(is_row), values.filter(is_row)
        if not len(keys):
            return
        rows = unpack_rows(values)
        self.max_upto = max(self.max_upto, int(rows[:, 1].max()))
        added = MergedRows(keys, rows, rows[:, 1])
        self._parts.append(added)
        self._buffered_bytes += added.byte_count
        if self._buffered_bytes >= self._merge_at_bytes:
            self._parts = [_merged(self._parts)]
            self._buffered_bytes = self._parts[0].byte_count
            self._merge_at_bytes = self._buffer_bytes + 2 * self._buffered_bytes
            self.full = self._buffered_bytes >= self._buffer_bytes // 2

    def state(self, examined: int) -> StoreState:
        """State of the store that has all rows that were taken, examined up to the changelog offset `examined`."""
        changelog_id = self._changelog_id if self.marker is None else ""
        return StoreState(
            marker=self.marker, examined=examined, max_upto=self.max_upto, changelog_id=changelog_id
        )

    def needs_healing(self) -> bool:
        """Whether compaction would keep what is not the best: some row, or a marker that knows less than one before it."""
        return bool(self.stale) or (
            self.marker is not None and self.marker.furthest_position < self._furthest_position
        )

    def healed_marker(self) -> Marker | None:
        """The marker to append after the rows of stale words."""
        if self.marker is None or self.marker.furthest_position == self._furthest_position:
            return self.marker
        return msgspec.structs.replace(self.marker, prior_position=self._furthest_position)

    def healed(self) -> None:
        """What needed healing was appended again."""
        self.stale.clear()
        self.marker = self.healed_marker()

    def take(self) -> MergedRows:
        """The rows since the last `take` that beat the stored ones, in byte order of the words. Brings `stale` forward."""
        merged = self._parts[0] if self.full and len(self._parts) == 1 else _merged(self._parts)
        merged = merged.taken(byte_order(merged.words))
        self._parts, self._buffered_bytes, self._merge_at_bytes, self.full = [], 0, self._buffer_bytes, False
        beaten = self._beaten_by_stored(merged)
        stale = beaten | (merged.latest < merged.rows[:, 1])
        if self.stale:
            self.stale.difference_update(merged.keys())
        if stale.any():
            self.stale.update(merged.taken(np.flatnonzero(stale)).keys())
        self._stored_upto = self.max_upto
        return merged.taken(np.flatnonzero(~beaten)) if beaten.any() else merged

    def _beaten_by_stored(self, merged: MergedRows) -> npt.NDArray[np.bool_]:
        """Which rows are worse than those that `stored` has."""
        beaten = np.zeros(len(merged), np.bool_)
        uptos = merged.rows[:, 1]
        doubtful = np.flatnonzero(uptos < self._stored_upto)
        if len(doubtful):
            stored = self._stored.get_many(list(merged.taken(doubtful).keys()))
            beaten[doubtful] = [
                row is not None and unpack_row(row)[1] > upto
                for row, upto in zip(stored, uptos[doubtful].tolist(), strict=True)
            ]
        return beaten

    def _check_changelog(self, marker: Marker) -> None:
        before = self.marker.changelog_id if self.marker is not None else ""
        if before and marker.changelog_id and before != marker.changelog_id:
            raise InexactError(
                f"{marker.topic}: records for two changelogs (ids {before} and {marker.changelog_id}) are in one, below offset "
                f"{self.examined}: a worker went on writing after it was deleted and created again",
                "wordcount reset counts again what the input has now",
            )


def _merged(parts: Sequence[MergedRows]) -> MergedRows:
    """One row per word of `parts`, which are in offset order."""
    if not parts:
        return MergedRows(pa.array([], pa.binary()), np.empty((0, 2), np.int64), np.empty(0, np.int64))
    rows = np.concatenate([part.rows for part in parts])
    encoded = pa.concat_arrays([part.words for part in parts]).dictionary_encode()
    ids, count = encoded.indices.to_numpy(), len(encoded.dictionary)
    last = np.empty(count, np.int64)
    last[ids] = np.arange(len(ids))  # Of several values for one index the last one stays.
    latest = np.concatenate([part.latest for part in parts])[last]
    return MergedRows(encoded.dictionary, rows.take(_best(ids, rows[:, 1], count), axis=0), latest)


def _best(ids: npt.NDArray[np.int32], uptos: Int64Array, count: int) -> Int64Array:
    """Of each id in [0, count) the index of its largest upto, the last one of equals."""
    largest = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(largest, ids, uptos)
    candidates = np.flatnonzero(uptos == largest[ids])
    best = np.empty(count, np.int64)
    best[ids[candidates]] = candidates
    return best


def _bytes(words: pa.BinaryArray) -> list[bytes]:
    converted: list[bytes] = words.to_numpy(zero_copy_only=False).tolist()
    return converted
