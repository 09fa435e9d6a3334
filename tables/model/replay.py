"""Replay of the changelog: merges its records into rows. Of two rows of a word the row with the larger `upto` is kept.

A row that is worse than an earlier row of its word comes from a foreign record, which another process appended after the partition had
moved on. If a foreign record is the latest record of its word, compaction would keep the foreign record and drop the better row.
Such a word is *stale*: its better row has to be appended again (rule 11 of ARCHITECTURE.md).

Records are kept and merged as columns, not as Python objects: columns take a fraction of the memory, and most of the work is done
without the GIL (ADR 7).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tables.errors import InexactError
from tables.model.byte_arrays import eight_bytes, lengths
from tables.model.names import END_OF_WORDS, MARKER_KEY
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
from tables.model.slices import Column, byte_column
from tables.model.windows import (
    FIRST_PANE_KEY,
    NOTHING_CLEARED,
    Cleared,
    KeyRange,
    Pane,
    pane_of,
)
from tables.model.word_order import byte_order

MERGE_BYTES = 32 << 20
"""Buffered records are merged when they reach this size. If the merged rows take half of it, `Replay.full` asks to store them."""


_AFTER_WORDS = b"\xff"
"""Every word sorts before this: no UTF-8 text begins with it."""

MOST_TOMBSTONES = 64
"""Largest number of slices whose tombstones are kept while they cannot be used yet."""

_END_OF_WORDS = np.uint64(int.from_bytes(END_OF_WORDS.ljust(8, b"\0"), "big"))


class StoredRows(Protocol):
    """Rows that the store had before the replay."""

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        """Return the row of each word, in the order of `words`; None = the word has no row."""
        ...


@dataclass(frozen=True, slots=True)
class MergedRows:
    """One row per word.

    Attributes:
        words: `pyarrow.BinaryArray`, distinct: words, and keys of the rows of record ids and of windows.
        rows: for each word its best row, that is, the row with the largest `upto`.
        latest: int64, for each word the `upto` of its latest record.
    """

    words: pa.BinaryArray
    rows: RowArray
    latest: Int64Array

    def __len__(self) -> int:
        return len(self.words)

    @property
    def byte_count(self) -> int:
        """Bytes of the three columns."""
        return int(self.words.nbytes + self.rows.nbytes + self.latest.nbytes)

    def taken(self, indices: Int64Array) -> MergedRows:
        """Return the rows at `indices`, in the order of `indices`."""
        # `take`, because `rows[indices]` takes eight times as long.
        rows = self.rows.take(indices, axis=0)
        return MergedRows(self.words.take(pa.array(indices)), rows, self.latest[indices])

    def of_words(self) -> MergedRows:
        """Return the rows of words alone. The rows are in byte order, in which words come first."""
        low = self._place_of(END_OF_WORDS)
        return MergedRows(self.words[:low], self.rows[:low], self.latest[:low])

    def panes(self) -> list[Pane]:
        """Return the panes that have rows here."""
        panes, at = list[Pane](), self._place_of(FIRST_PANE_KEY)
        while at < len(self):
            panes.append(pane_of(self.words[at].as_py())[0])
            at = self._place_of(panes[-1].prefix + _AFTER_WORDS, at)
        return panes

    def _place_of(self, key: bytes, low: int = 0) -> int:
        """Return the place of the first row from `low` on whose key is not before `key`."""
        return bisect_left(range(len(self)), key, low, key=lambda place: self.words[place].as_py())

    def keys(self) -> Column:
        """Return the words as keys of the store."""
        return byte_column(self.words)

    def values(self) -> Column:
        """Return the rows as values of the store."""
        return Column(
            len(self), lambda start, end: pack_rows(self.rows[start:end, 0], self.rows[start:end, 1])
        )


class Replay:
    """Merges the changelog records given to `apply` with the rows in `stored`, and finds the last marker.

    Args:
        stored: rows of the store. The caller stores the rows returned by `take` before it calls `take` again.
        state: state of the store.
        owner: the group and topic whose counts the changelog must have.
        changelog_id: id of the changelog topic; "" = not known.
        awaited: marker of an unsettled flush, for which the replay looks; None = no flush is unsettled.
        most_bytes: bound of the buffered records where memory has no room for `MERGE_BYTES`.

    Attributes:
        awaited_found: whether `awaited` was among the records.
        stale: words whose latest record in the changelog is not their best row, as of the last `take`.
        marker: the marker with the largest position, of equal ones the last; None = the changelog has no marker so far.
        max_upto: largest `upto` of all rows and largest position of all markers: readers may have seen answers up to this position.
        examined: next changelog offset to read.
        cleared: rows that were removed, as of the last `take`, because they count no longer. The caller removes them from the store
            before it stores the rows that were taken.
        full: whether the caller has to `take` rows before it applies more records, because the merged rows are large.
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
        self.cleared = NOTHING_CLEARED
        self.marker: Marker | None = state.marker
        self.max_upto = max(state.max_upto, state.position)
        self.examined = state.examined
        self.full = False
        self._awaited = awaited
        self._stored = stored
        self._stored_upto = self.max_upto
        self._furthest_position = state.marker.furthest_position if state.marker is not None else 0
        self._latest = state.marker
        """Last marker by offset, which compaction keeps."""
        self._parts: list[MergedRows] = []
        self._tombstones: list[pa.BinaryArray] = []
        self._buffered_bytes = 0
        self._buffer_bytes = self._merge_at_bytes = min(MERGE_BYTES, most_bytes)

    def apply(self, part: ChangelogSlice) -> None:
        """Buffer the records of `part`, which continues at `examined`, and merge the buffered records when they are many.

        Raises:
            ForeignChangelogError: a marker is of another owner, so that rows of that owner may be in the changelog.
            InexactError: a record is neither row nor marker, or a marker was written for a former changelog of this name, whose
                earlier rows are missing here.
        """
        keys, values, self.examined = part.keys, part.values, part.next_offset
        is_marker = pc.equal(keys, MARKER_KEY)
        if markers := values.filter(is_marker).to_pylist():
            for marker in map(decode_marker, markers):
                check_owner(marker, self._owner)
                self._check_changelog(marker)
                self.awaited_found = self.awaited_found or marker == self._awaited
                self._furthest_position = max(self._furthest_position, marker.furthest_position)
                self._latest = marker
                if self.marker is None or marker.position >= self.marker.position:
                    self.marker = marker
            self.max_upto = max(self.max_upto, self._furthest_position)
            is_row = pc.invert(is_marker)
            keys, values = keys.filter(is_row), values.filter(is_row)
        if (are_rows := _are_rows(keys, values)) is not None:
            self._tombstones.append(keys.filter(pc.invert(are_rows)))
            keys, values = keys.filter(are_rows), values.filter(are_rows)
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

    def state(self, examined: int, *, whole: bool = True) -> StoreState:
        """Return the state of a store that has all taken rows.

        Args:
            examined: changelog offset up to which the store has examined the changelog, exclusive.
            whole: see `StoreState`.
        """
        return StoreState(
            marker=self.marker,
            examined=examined,
            max_upto=self.max_upto,
            changelog_id=self._changelog_id if self.marker is None else "",
            whole=whole,
        )

    def needs_healing(self) -> bool:
        """Return whether compaction would keep a worse record: a row of a stale word, or a marker with a smaller position."""
        if self.marker is None or self._latest is None:
            return bool(self.stale)
        is_behind = self._latest.position < self.marker.position
        return bool(self.stale) or is_behind or self.marker.furthest_position < self._furthest_position

    def healed_marker(self) -> Marker | None:
        """Return the marker to append after the rows of the stale words; None = the changelog has no marker."""
        if self.marker is None or self.marker.furthest_position == self._furthest_position:
            return self.marker
        return msgspec.structs.replace(self.marker, prior_position=self._furthest_position)

    def healed(self) -> None:
        """Note that the better rows of the stale words and the healed marker were appended to the changelog."""
        self.stale.clear()
        self.marker = self._latest = self.healed_marker()

    def take(self) -> MergedRows:
        """Return the rows since the last `take` that are better than the stored rows, in byte order. Update `stale` and `cleared`."""
        merged = self._parts[0] if self.full and len(self._parts) == 1 else _merged(self._parts)
        merged = merged.taken(byte_order(merged.words))
        self._parts, self._buffered_bytes, self._merge_at_bytes, self.full = [], 0, self._buffer_bytes, False
        self.cleared, removed = self._tombstones_taken()
        if ranges := self.cleared.ranges:
            self.stale = {key for key in self.stale if not any(start <= key < end for start, end in ranges)}
            merged = merged.taken(np.flatnonzero(~_among(merged.words, ranges)))
        beaten = self._beaten_by_stored(merged)
        stale = beaten | (merged.latest < merged.rows[:, 1])
        if self.stale:
            self.stale.difference_update(merged.keys())
        if stale.any():
            self.stale.update(merged.taken(np.flatnonzero(stale)).keys())
        if removed:
            self.stale.update(self._with_rows(removed, merged))
        self._stored_upto = self.max_upto
        return merged.taken(np.flatnonzero(~beaten)) if beaten.any() else merged

    def _beaten_by_stored(self, merged: MergedRows) -> npt.NDArray[np.bool_]:
        """Return a mask of the rows that are worse than the stored row of their word."""
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

    def _tombstones_taken(self) -> tuple[Cleared, Sequence[bytes]]:
        """Return what the tombstones since the last `take` lead to.

        Returns:
            The rows with tombstones that count no longer; and the keys with a tombstone whose rows would count: a foreign tombstone,
            of a size that was not counted for a while.
        """
        marker = self.marker
        if not self._tombstones or marker is None or self.max_upto > marker.position:
            # While rows are ahead of the position, rows may be of a jump that the marker does not know yet.
            self._tombstones = self._tombstones[-MOST_TOMBSTONES:]
            return NOTHING_CLEARED, ()
        keys, self._tombstones = pa.concat_arrays(self._tombstones), []
        ranges: list[KeyRange] = []
        for start, end in marker.dead_ranges():
            there = keys.filter(_among_range(keys, start, end))
            if len(there):
                found = pc.min_max(there)
                ranges.append((found["min"].as_py(), found["max"].as_py() + b"\0"))
        live = np.flatnonzero(~_among(keys, ranges))
        cleared = Cleared(ranges, len(keys) - len(live)) if ranges else NOTHING_CLEARED
        return cleared, keys.take(pa.array(live)).to_pylist()

    def _with_rows(self, keys: Sequence[bytes], merged: MergedRows) -> list[bytes]:
        """Return those of `keys` that have a row, in `merged` or stored."""
        here = set(merged.keys())
        stored = self._stored.get_many(list(keys))
        return [key for key, row in zip(keys, stored, strict=True) if row is not None or key in here]

    def _check_changelog(self, marker: Marker) -> None:
        """Raise InexactError if `marker` was written for another changelog than the marker before."""
        before = self.marker.changelog_id if self.marker is not None else ""
        if before and marker.changelog_id and before != marker.changelog_id:
            raise InexactError(
                f"{marker.topic}: the changelog holds records for two changelogs (ids {before} and {marker.changelog_id}) "
                f"below offset {self.examined}: a worker went on writing after the changelog was deleted and created again",
                "wordcount reset counts again what the input has now",
            )


def _are_rows(keys: pa.BinaryArray, values: pa.BinaryArray) -> pa.BooleanArray | None:
    """Return which records are no tombstones; None = there is no tombstone. Rows of words have none.

    By themselves tombstones say nothing: the marker says which rows are gone.
    """
    empty = lengths(values) == 0
    tombstones = empty & (eight_bytes(keys) >= _END_OF_WORDS) if empty.any() else empty
    return pa.array(~tombstones) if tombstones.any() else None


def _among_range(keys: pa.BinaryArray, start: bytes, end: bytes) -> pa.BooleanArray:
    at_least = pc.greater_equal(keys, pa.scalar(start, pa.binary()))
    return pc.and_(at_least, pc.less(keys, pa.scalar(end, pa.binary())))


def _among(keys: pa.BinaryArray, ranges: Sequence[KeyRange]) -> npt.NDArray[np.bool_]:
    """Return which of `keys` are in one of `ranges`."""
    found = np.zeros(len(keys), np.bool_)
    for start, end in ranges:
        found |= _among_range(keys, start, end).to_numpy(zero_copy_only=False)
    return found


def _merged(parts: Sequence[MergedRows]) -> MergedRows:
    """Return one row per word of `parts`, which are in offset order."""
    if not parts:
        return MergedRows(pa.array([], pa.binary()), np.empty((0, 2), np.int64), np.empty(0, np.int64))
    rows = np.concatenate([part.rows for part in parts])
    encoded = pa.concat_arrays([part.words for part in parts]).dictionary_encode()
    ids, count = encoded.indices.to_numpy(), len(encoded.dictionary)
    last = np.empty(count, np.int64)
    last[ids] = np.arange(len(ids))  # numpy keeps the last of several values that are assigned to one index.
    latest = np.concatenate([part.latest for part in parts])[last]
    return MergedRows(encoded.dictionary, rows.take(_best(ids, rows[:, 1], count), axis=0), latest)


def _best(ids: npt.NDArray[np.int32], uptos: Int64Array, count: int) -> Int64Array:
    """Return for each id in [0, count) the index of its largest `upto`; of equal ones the last index."""
    largest = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(largest, ids, uptos)
    candidates = np.flatnonzero(uptos == largest[ids])
    best = np.empty(count, np.int64)
    best[ids[candidates]] = candidates
    return best
