"""Reads of one partition: its store, its cache and its leaders, which answer as of the same position.

Store, cache and leaders are each consistent alone. They are consistent together because every commit goes through
`ServedRows.commit`: before the store has new rows, the cache stops answering, and the leaders are ready for both positions, before
and after the commit. So no answer is of an older position than an earlier answer, whatever is asked and in whatever order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import pyarrow as pa

from tables.cache.counts import CountCache
from tables.cache.pane_counts import PaneCaches
from tables.model.records import Int64Array
from tables.model.replay import MergedRows
from tables.model.rows import StoreState, unpack_row
from tables.model.windows import NOTHING_CLEARED, Cleared, Pane, WindowState, gone_notes
from tables.store.partition_store import PartitionStore, StagedRows
from tables.store.snapshot import StoreSnapshot
from tables.threads import beside_the_loop
from tables.top.leaders import MOST_LEADERS, NO_COUNTS, NO_WORDS, PartitionLeaders
from tables.top.note import leaders_in, note_of
from tables.top.pane_leaders import PaneLeaders, closing_of


class ServedRows:
    """Answers reads of one partition, and commits its rows so that readers never go back to an older position.

    Args:
        store: open store of the partition.
        cache: returns the present cache of the partition's counts.
        leaders: leaders of the same open store, kept by whoever had the store before; None = the store was just opened. Then the note
            that the store was left at its closing may have them.

        panes: returns the present counts of open windows in memory; None = there are none.

    Attributes:
        leaders: the most frequent words of the partition.
        name: stands for these rows where something about them is kept, without keeping their store.
    """

    def __init__(
        self,
        store: PartitionStore,
        cache: Callable[[], CountCache],
        leaders: PartitionLeaders | None = None,
        panes: Callable[[], PaneCaches] | None = None,
    ) -> None:
        note = store.take_note()
        self.leaders = leaders or PartitionLeaders(
            store.state.exact_position,
            empty=not store.state.has_rows,
            most=MOST_LEADERS,
            known=leaders_in(note, store.state, MOST_LEADERS),
        )
        self.name = object()
        self._store = store
        self._cache = cache
        self._panes = panes

    @property
    def exact_position(self) -> int | None:
        """Position of the store; None while some rows are ahead of the position, or missing."""
        return self._store.state.exact_position

    @property
    def cache(self) -> CountCache:
        """The present cache of counts, which answers only while it is at the position of the store."""
        return self._cache()

    def commit(
        self,
        staged: StagedRows,
        state: StoreState,
        words: pa.BinaryArray = NO_WORDS,
        counts: Int64Array = NO_COUNTS,
        *,
        cleared: Cleared = NOTHING_CLEARED,
        notes: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Write rows and `state` to the store, and bring the leaders forward. The caller then updates the cache (`CountCache.update`).

        Args:
            staged: rows to write.
            state: state of the store with these rows.
            words, counts: words of `staged` and their counts, in the same order, without the rows of windows.
            cleared: see `PartitionStore.commit`, without those of notes.
            notes: see `PartitionStore.commit`.
        """
        self.cache.withdraw()
        if self._panes is not None:
            self._panes().withdraw()
        ranges = [*cleared.ranges, *gone_notes(_windows(self._store.state), _windows(state))]
        with self.leaders.advancing(words, counts, state.exact_position):
            self._store.commit(staged, state, Cleared(ranges, cleared.rows), notes)

    def write(self, rows: MergedRows, state: StoreState, cleared: Cleared = NOTHING_CLEARED) -> None:
        """Stage and commit rows that were read from the changelog; for `cleared` see `PartitionStore.commit`."""
        words = rows.of_words()
        before = _windows(self._store.state)
        # A closed pane takes no rows. If another process has counted by other rules, what was noted of the pane holds no longer.
        voided = [
            (pane.note_key, b"")
            for pane in (rows.panes() if before is not None else ())
            if before is not None and closing_of(before, pane) is not None
        ]
        staged = self._store.stage(rows.keys(), rows.values())
        # Before and after: leaders that are being found meanwhile are not kept for later readers either.
        self._rename(voided)
        self.commit(staged, state, words.words, words.rows[:, 0], cleared=cleared, notes=voided)
        self._rename(voided)

    def _rename(self, voided: Sequence[object]) -> None:
        """Let nobody find what is kept about these rows, if a note is void."""
        if voided:
            self.name = object()

    def count_of(self, word: bytes) -> tuple[int, int] | None:
        """Return (count, position) of `word` from memory; count 0 = the word has no row. None = unknown, ask the store."""
        found = self.cache.count_of(word)
        return found if found is not None and found[1] == self.exact_position else None

    def stored_count_of(self, word: bytes) -> tuple[int, int] | None:
        """Return (count, position) of `word` from the store; count 0 = the word has no row. None = rows are ahead of the position."""
        row, position = self._store.get_at(word)
        return None if position is None else (0 if row is None else unpack_row(row)[0], position)

    def leaders_of(self, pane: Pane, position: int) -> PaneLeaders | None:
        """Return the leaders of an open window from memory; None = not all counts are there, or not at `position`."""
        return None if self._panes is None else self._panes().leaders(pane, position)

    def get_many_at(self, keys: Sequence[bytes]) -> tuple[list[bytes | None], StoreState] | None:
        """Return values and the state of the same flush; see `PartitionStore.get_many_at`."""
        return self._store.get_many_at(keys)

    def stored_state(self) -> StoreState:
        """Return the state in the store; see `PartitionStore.stored_state`."""
        return self._store.stored_state()

    def add_to(self, sums: Int64Array) -> int | None:
        """Add all counts from memory to `sums` and return their position; None = nothing was added. See `CountCache.add_to`."""
        cache = self.cache
        return cache.add_to(sums) if cache.position == self.exact_position else None

    def snapshot(self) -> AbstractContextManager[StoreSnapshot]:
        """Return a view of all rows as of now; see `PartitionStore.snapshot`."""
        return self._store.snapshot()

    def scan(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return rows in byte order of their words; see `PartitionStore.scan`."""
        return self._store.scan(start, limit)

    @beside_the_loop
    def close(self) -> None:
        """Close the store, and leave it a note of the leaders for the next time that it is opened; see `PartitionStore.close`."""
        self._store.close(note_of(self.leaders, self._store.state))

    def gather_leaders(self, check: Callable[[], None]) -> None:
        """Find the leaders of a store that was opened with rows; see `PartitionLeaders.gather`."""
        self.leaders.gather(self, check)


def _windows(state: StoreState) -> WindowState | None:
    return None if state.marker is None else state.marker.windows
