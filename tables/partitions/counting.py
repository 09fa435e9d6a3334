"""Counting of a closed buffer: its repeats, its tally, the new rows, and the records for the changelog (step 2 of a flush)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tables.cache.counts import CountCache
from tables.cache.pane_counts import PaneCaches
from tables.model.names import MARKER_KEY
from tables.model.partial_replay import tally_beyond
from tables.model.records import Int64Array, RecordBatch
from tables.model.rows import ChangelogRecord, Marker, RowColumns, encode_marker, packed_rows, unpack_row
from tables.model.tally import PaneTally, Tally, Totals, Windowed, repeated, tally_of
from tables.model.windows import Cleared, Pane, WindowState, epoch_prefix, is_pane_key, pane_of, windows_at
from tables.partitions.expiry import NOTHING_EXPIRED, Expired
from tables.partitions.repeats import recognised
from tables.partitions.services import ShardServices
from tables.store.partition_store import PartitionStore
from tables.threads import beside_the_loop
from tables.top.leaders import NO_COUNTS
from tables.top.pane_leaders import closing_of, note_of


@dataclass(frozen=True, slots=True)
class CountedPane:
    """New counts of one pane.

    Attributes:
        pane: the pane.
        ids: word ids of the words that were counted.
        counts: their counts after the flush.
    """

    pane: Pane
    ids: Int64Array
    counts: Int64Array


@dataclass(frozen=True, slots=True)
class Counted:
    """A counted buffer: the part of a flush that needs no broker.

    Attributes:
        batches: the buffer without repeats.
        tally: its tally.
        marker: the marker that ends the flush.
        rows: new rows, in byte order of the keys: words, then ids of records, then words in panes.
        ids, counts: word ids and new counts of `words`.
        panes: new counts of panes.
        new_ids: number of rows of ids.
        records: expired keys, rows and marker, packed for the changelog.
        cleared: the expired rows.
        notes: notes of the panes that the flush closes.
    """

    batches: Sequence[RecordBatch]
    tally: Tally
    marker: Marker
    rows: RowColumns
    ids: Int64Array
    counts: Int64Array
    panes: Sequence[CountedPane]
    new_ids: int
    records: Any
    cleared: Cleared
    notes: Sequence[tuple[bytes, bytes]]


class BufferCount:
    """Counts buffers of one partition, on top of what its store has.

    Args:
        store: store of the partition.
        services: what this shard shares with the other shards of the process.
        cache: counts of words.
        panes: counts of words in open windows.
        uptos_ahead: the `upto` of each row that is ahead of the position.
    """

    def __init__(
        self,
        store: PartitionStore,
        services: ShardServices,
        cache: CountCache,
        panes: PaneCaches,
        uptos_ahead: Mapping[bytes, int],
    ) -> None:
        self._store = store
        self._services = services
        self._cache = cache
        self._panes = panes
        self._uptos_ahead = uptos_ahead

    @beside_the_loop
    def count(
        self, marker: Marker, batches: Sequence[RecordBatch], expired: Expired = NOTHING_EXPIRED
    ) -> Counted:
        """Count `batches` and pack rows and marker for the changelog.

        Args:
            marker: marker of the store.
            batches: the closed buffer; () = nothing is counted, and expired rows are removed.
            expired: rows that count no longer by `marker`.
        """
        position = batches[-1].next_offset if batches else marker.position
        rows_ahead = not self._store.state.whole or any(map(is_pane_key, self._uptos_ahead))
        windows = windows_at(marker.windows, self._services.windows, marker.position, rows_ahead=rows_ahead)
        before, ruled = marker, windows
        found = recognised(batches, marker.ids, self._store, span=self._services.id_span)
        batches = found.batches
        if marker.windows is None and not rows_ahead:
            self._panes.begun()
        tally = self._tally(batches, windows)
        if found.repeats:
            tally = replace(tally, totals=tally.totals + repeated(found.repeats))
        ids = self._cache.vocabulary.ids(tally.words)
        counts = self._cache.old_counts(tally.words, ids, self._store) + tally.counts
        keys, panes = [tally.words, found.keys], list[CountedPane]()
        if tally.windowed is not None:
            assert windows is not None, "windows are counted by their rules"
            for one in self._with_confirmed(tally.windowed, windows):
                panes.append(self._count_pane(one, tally, ids, windows))
                keys.append(_pane_keys(one))
            windows = windows.at(tally.windowed.clock)
        notes = self._notes(panes, windows) if windows is not None else ()
        marker = marker.advanced(position, tally.totals, windows, found.ids)
        rows = RowColumns(
            pa.concat_arrays(keys),
            packed_rows(np.concatenate([counts, found.firsts, *(pane.counts for pane in panes)]), position),
        )
        records = self._services.changelog.pack(
            [*self._opening(before, ruled), *((key, None) for key in expired.keys)],
            rows,
            [(MARKER_KEY, encode_marker(marker))],
        )
        return Counted(
            batches,
            tally,
            marker,
            rows,
            ids,
            counts,
            panes,
            len(found.keys),
            records,
            expired.cleared,
            notes,
        )

    def _opening(self, marker: Marker, windows: WindowState | None) -> list[ChangelogRecord]:
        """Return the marker with other rules that comes before the rows that are counted by them: a torn flush has both then."""
        if windows == marker.windows:
            return []
        return [(MARKER_KEY, encode_marker(marker.advanced(marker.position, Totals(), windows, marker.ids)))]

    def _tally(self, batches: Sequence[RecordBatch], windows: WindowState | None) -> Tally:
        """Return the tally of `batches` without the occurrences that rows ahead of the position already contain."""
        if not batches or batches[0].first_offset >= self._store.state.max_upto:
            return self._services.tally(batches, windows)
        return tally_beyond(self._uptos_ahead, self._services.tally, batches, windows)

    def _count_pane(self, one: PaneTally, tally: Tally, ids: Int64Array, windows: WindowState) -> CountedPane:
        if one.words is not tally.words:
            ids = self._cache.vocabulary.ids(one.words)
        size = windows.size(one.pane.size_s)
        assert size is not None, "a pane has a size that is counted"
        old = self._panes.old_counts(one.pane, one.words, ids, size.since, self._store)
        return CountedPane(one.pane, ids, old + one.counts)

    def _notes(self, counted: Sequence[CountedPane], windows: WindowState) -> list[tuple[bytes, bytes]]:
        """Return the notes of the leaders of the panes that are open in memory, or counted, and closed by `windows`."""
        new = {one.pane: one for one in counted}
        notes: list[tuple[bytes, bytes]] = []
        for pane in sorted({*new, *self._panes.panes()}, key=lambda pane: pane.prefix):
            if (closing := closing_of(windows, pane)) is None:
                continue
            one = new.get(pane) or CountedPane(pane, NO_COUNTS, NO_COUNTS)
            if (leaders := self._panes.leaders_after(pane, one.ids, one.counts)) is not None:
                notes.append((pane.note_key, note_of(leaders, closing)))
        return notes

    def _with_confirmed(self, windowed: Windowed, windows: WindowState) -> Sequence[PaneTally]:
        """Return the panes of a tally together with the stored rows of jumps that were confirmed.

        The confirmed pane of such a row has no row yet that ends before the jump was confirmed: it is ahead of the stream time.
        """
        if not windowed.confirmed:
            return windowed.panes
        sums: dict[Pane, dict[bytes, int]] = {}
        for epoch, last in windowed.confirmed.items():
            for rows in self._store.slices(epoch_prefix(epoch), epoch_prefix(epoch + 1)):
                for key, row in rows:
                    pane, word = pane_of(key)
                    count, upto = unpack_row(row)
                    size = windows.size(pane.size_s)
                    is_live = size is not None and upto > size.since
                    if is_live and self._uptos_ahead.get(pane.confirmed.prefix + word, 0) <= last:
                        sums.setdefault(pane.confirmed, {})[word] = count
        after = windows.at(windowed.clock)
        tallies = {one.pane: one for one in windowed.panes}
        for pane, moved in sums.items():
            if not after.is_kept(pane):
                continue
            if pane in tallies:
                counted = tallies[pane]
                for word, count in zip(counted.words.to_pylist(), counted.counts.tolist(), strict=True):
                    moved[word] = moved.get(word, 0) + count
            tallies[pane] = PaneTally(pane, *tally_of(moved))
        return sorted(tallies.values(), key=lambda one: one.pane.prefix)


def _pane_keys(one: PaneTally) -> pa.BinaryArray:
    """Return the keys of the rows of a pane."""
    prefix = pa.scalar(one.pane.prefix, pa.binary())
    return pc.binary_join_element_wise(prefix, one.words, pa.scalar(b"", pa.binary()))
