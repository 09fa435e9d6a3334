"""Counts of open windows in memory, so that a flush need not read them from RocksDB: sorted ids and counts, not a slot per word.

A window has few of the words of the vocabulary, and there are many windows. So each pane has an array of the ids of its words, in
order, and an array of their counts: 16 bytes per word that the pane has.

Readers are answered from here about a pane whose counts are all here. Like `tables.cache.counts` the counts answer no reader while a
commit to the store is under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from threading import Lock

import numpy as np
import pyarrow as pa

from tables.cache.vocabulary import Vocabulary
from tables.cache.word_table import NO_ID
from tables.model.records import Int64Array
from tables.model.rows import unpack_row
from tables.model.slices import SLICE_ROWS
from tables.model.windows import Pane, WindowState
from tables.store.partition_store import PartitionStore
from tables.threads import beside_the_loop
from tables.top.pane_leaders import MOST_PANE_LEADERS, PaneLeaders, leading_places

MOST_OPEN_PANES = 4_096
"""Most panes whose counts are in memory, about 600 bytes each beside the counts. Every flush looks at each of them."""

_NOWHERE = -1
_NOTHING = np.empty(0, np.int64)


class _PaneCounts:
    """Counts of one pane by word id."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        """Whether a word that has an id and is not here has no row."""
        self.complete = whole
        """Whether every word that is not here has no row."""
        self.ids = _NOTHING
        self.counts = _NOTHING

    def places(self, ids: Int64Array) -> Int64Array:
        """Return the place of each of `ids`, or `_NOWHERE`."""
        if not len(self.ids):
            return np.full(len(ids), _NOWHERE)
        places = np.searchsorted(self.ids, ids)
        places[places == len(self.ids)] = 0
        return np.where(self.ids[places] == ids, places, _NOWHERE)

    def copy(self) -> _PaneCounts:
        """Return a copy that `update` may change."""
        copied = _PaneCounts(whole=self.whole)
        copied.complete, copied.ids, copied.counts = self.complete, self.ids, self.counts.copy()
        return copied

    def update(self, ids: Int64Array, counts: Int64Array) -> None:
        """Store the counts of words; a word with the id `NO_ID` is left out."""
        known = ids != NO_ID
        if not known.all():
            self.complete, ids, counts = False, ids[known], counts[known]
        places = self.places(ids)
        here = places != _NOWHERE
        self.counts[places[here]] = counts[here]
        if here.all():
            return
        new = np.flatnonzero(~here)
        new = new[np.argsort(ids[new])]
        at = np.searchsorted(self.ids, ids[new])
        self.ids, self.counts = np.insert(self.ids, at, ids[new]), np.insert(self.counts, at, counts[new])


class PaneCaches:
    """Holds the counts of the panes of one partition that flushes have written to lately.

    A pane that begins after every pane that had rows when the partition was restored began empty: what is not here has no row, and
    nothing is read from the store. Counts of other panes are read from the store the first time.

    Args:
        vocabulary: gives words their ids.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._panes: dict[Pane, _PaneCounts] = {}
        self._lock = Lock()
        self._position: int | None = None
        """Position of the counts; None = some counts are ahead of the position, or a commit to the store is under way."""
        self._empty_from_s: int | None = None
        """Every pane that begins at this time or later, and is not here, has no row; None = nothing is known."""

    def restored(self, windows: WindowState | None, *, exact: bool) -> None:
        """Forget all counts after a restore.

        Args:
            windows: windows of the store's marker.
            exact: whether no row is ahead of the position.
        """
        self._panes = {}
        stream_ms = None if windows is None else windows.stream_ms
        # Without a marker with windows there may be rows of windows that were counted before.
        self._empty_from_s = None if not exact or windows is None else (stream_ms or 0) // 1000 + 1

    def begun(self) -> None:
        """Note that windows are counted from here on: rows of an earlier time in which they were counted are dead."""
        self._panes, self._empty_from_s = {}, 0

    def renew(self, vocabulary: Vocabulary) -> None:
        """Forget all counts if `vocabulary` is another one: its ids are others."""
        if vocabulary is not self._vocabulary:
            self._vocabulary = vocabulary
            for pane in list(self._panes):
                self._forget(pane)

    def old_counts(
        self, pane: Pane, words: pa.BinaryArray, ids: Int64Array, since: int, store: PartitionStore
    ) -> Int64Array:
        """Return the stored count of each word in `pane`, from memory or else from `store`.

        Args:
            pane: the pane.
            words: in byte order.
            ids: id of each word, `NO_ID` for a word without one.
            since: rows up to this source offset count no longer.
            store: store of the partition.

        Returns:
            One count per word; 0 = the word has no row that counts.
        """
        cached = self._panes.get(pane)
        if cached is None and self._began_empty(pane):
            return np.zeros(len(ids), np.int64)
        counts = np.zeros(len(ids), np.int64)
        unknown = np.ones(len(ids), np.bool_)
        if cached is not None:
            places = cached.places(ids)
            here = (places != _NOWHERE) & (ids != NO_ID)
            counts[here] = cached.counts[places[here]]
            unknown = ~here & (ids == NO_ID) if cached.whole else ~here
        missing = np.flatnonzero(unknown)
        if len(missing):
            counts[missing] = _stored(pane, words.take(pa.array(missing)), since, store)
        return counts

    def update(self, pane: Pane, ids: Int64Array, counts: Int64Array) -> None:
        """Store the counts that the store has now. Call this after the commit to the store, never before."""
        if pane.epoch is not None:
            return
        cached = self._panes.get(pane)
        if cached is None:
            cached = self._panes[pane] = _PaneCounts(whole=self._began_empty(pane))
        with self._lock:
            cached.update(ids, counts)

    def withdraw(self) -> None:
        """Answer no reader until the next `settle`, because the store is about to have newer counts than these."""
        with self._lock:
            self._position = None

    def settle(self, position: int | None) -> None:
        """Answer readers; the counts are those of the store at `position`. None = some rows are ahead of the position."""
        with self._lock:
            self._position = position

    def panes(self) -> Iterable[Pane]:
        """Return the panes that have counts here."""
        return list(self._panes)

    def leaders(self, pane: Pane, position: int) -> PaneLeaders | None:
        """Return the leaders of a pane by the counts here; None = they are not all here, or not at `position`."""
        with self._lock:
            cached = self._panes.get(pane)
            if self._position != position or cached is None or not cached.complete:
                return None
            places, bound = leading_places(cached.counts, MOST_PANE_LEADERS)
            ids, counts, vocabulary = cached.ids[places], cached.counts[places], self._vocabulary
        return PaneLeaders(pa.array(vocabulary.words_of(ids), pa.binary()), counts, bound)

    def leaders_after(self, pane: Pane, ids: Int64Array, counts: Int64Array) -> PaneLeaders | None:
        """Return the leaders of a pane as they are after an `update`, which is not made; None = not all counts are here, or few."""
        cached = self._panes.get(pane)
        after = _PaneCounts(whole=self._began_empty(pane)) if cached is None else cached.copy()
        after.update(ids, counts)
        # The rows of a pane with few words are read as fast as a note.
        if not after.complete or len(after.ids) <= MOST_PANE_LEADERS:
            return None
        places, bound = leading_places(after.counts, MOST_PANE_LEADERS)
        words = pa.array(self._vocabulary.words_of(after.ids[places]), pa.binary())
        return PaneLeaders(words, after.counts[places], bound)

    def trim(self, windows: WindowState, most_counts: int) -> None:
        """Forget the panes that take no more records, and the oldest ones while there are too many panes or `most_counts` counts."""
        for pane in list(self._panes):
            size = windows.size(pane.size_s)
            if size is None or size.rule.is_closed(pane.start_s, windows.stream_ms):
                self._forget(pane)
        entries = sum(len(one.ids) for one in self._panes.values())
        for pane in sorted(self._panes, key=lambda pane: pane.end_s):
            if entries <= most_counts and len(self._panes) <= MOST_OPEN_PANES:
                break
            entries -= len(self._panes[pane].ids)
            self._forget(pane)

    def open_panes(self) -> Mapping[int, int]:
        """Return size in seconds -> number of panes whose counts are in memory. May be called from any thread."""
        return Counter(pane.size_s for pane in list(self._panes))

    def _began_empty(self, pane: Pane) -> bool:
        return pane.epoch is None and self._empty_from_s is not None and pane.start_s >= self._empty_from_s

    def _forget(self, pane: Pane) -> None:
        del self._panes[pane]
        if self._empty_from_s is not None:
            self._empty_from_s = max(self._empty_from_s, pane.start_s + 1)


@beside_the_loop
def _stored(pane: Pane, words: pa.BinaryArray, since: int, store: PartitionStore) -> list[int]:
    prefix, counts = pane.prefix, list[int]()
    for start in range(0, len(words), SLICE_ROWS):
        part = words.slice(start, SLICE_ROWS).to_pylist()
        for row in store.get_many([prefix + word for word in part]):
            count, upto = (0, 0) if row is None else unpack_row(row)
            counts.append(count if upto > since else 0)
    return counts
