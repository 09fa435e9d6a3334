"""Removal of rows that count no longer: of windows whose retention is over, of refuted or confirmed jumps, and of former ids.

Whether a row counts follows from the marker alone (`Marker.dead_ranges`). So nobody has to remove a row in time. Rows are removed to
free disk and changelog: a flush appends tombstones for some of them, and removes them from the store. A tombstone is appended only
for a row that counts no longer by the marker that is in the store already: if the flush is torn, no row is missing that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tables.model.rows import Marker
from tables.model.slices import SLICE_ROWS
from tables.model.windows import Cleared, KeyRange
from tables.store.partition_store import PartitionStore
from tables.threads import beside_the_loop

ROWS_PER_FLUSH = 32_768
"""Largest number of rows that a flush removes: about as many as it writes."""


class Expired(NamedTuple):
    """Rows that count no longer.

    Attributes:
        keys: their keys, in byte order.
        ranges: ranges that have these keys and no others.
    """

    keys: Sequence[bytes]
    ranges: Sequence[KeyRange]

    @property
    def cleared(self) -> Cleared:
        """What a flush that removes these rows tells its store."""
        return Cleared(self.ranges, len(self.keys))


NOTHING_EXPIRED = Expired((), ())


class Expiry:
    """Finds the rows of one store that count no longer.

    Args:
        store: store of the partition.
    """

    def __init__(self, store: PartitionStore) -> None:
        self._store = store
        self._searched: list[KeyRange] = []
        """Ranges of keys that are searched, all dead."""
        self._left: list[KeyRange] = []
        """Parts of these ranges that were not searched yet."""

    @property
    def has_more(self) -> bool:
        """Whether the last search did not come to its end, or was never begun."""
        return bool(self._left)

    def look_again(self, marker: Marker) -> None:
        """Begin a new search if by `marker`, that of the store, other rows count no longer than at the last search."""
        dead = marker.dead_ranges()
        if dead != self._searched:
            self._searched, self._left = dead, list(dead)

    @beside_the_loop
    def find(self, marker: Marker) -> Expired:
        """Return some rows that count no longer by `marker`, at most `ROWS_PER_FLUSH`. A row that is found again is no mistake."""
        self.look_again(marker)
        keys: list[bytes] = []
        ranges: list[KeyRange] = []
        while self._left and len(keys) < ROWS_PER_FLUSH:
            start, end = self._left[0]
            found = self._store.scan(start, SLICE_ROWS, end)
            if found:
                keys += [key for key, _ in found]
                after = found[-1][0] + b"\0"
                ranges.append((found[0][0], after))
                self._left[0] = (after, end)
            if len(found) < SLICE_ROWS:
                self._left.pop(0)
        return Expired(keys, ranges)
