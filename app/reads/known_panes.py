"""Leaders of panes that were read or found lately: those of closed panes hold for long, those of open panes at one position."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from tables.model.windows import Pane
from tables.top.pane_leaders import Closing, PaneLeaders

MOST_BYTES = 48 << 20
"""Bytes of all leaders that are kept in a process: about 500 panes with 4,096 leaders each."""

_LEAST_BYTES = 1 << 10
"""What an entry takes at least."""


class _Entry(NamedTuple):
    """Leaders of a pane: as of a position, or for ever if the pane was closed there."""

    position: int
    closing: Closing | None
    leaders: PaneLeaders


class KnownPanes:
    """Keeps leaders by rows and pane, those that were used last. All methods may be called from any thread.

    Args:
        most_bytes: bytes of all leaders that are kept.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._entries: OrderedDict[tuple[object, Pane], _Entry] = OrderedDict()
        self._bytes = 0

    def get(self, rows: object, pane: Pane, position: int, closing: Closing | None) -> PaneLeaders | None:
        """Return the leaders of a pane; None = not known.

        Args:
            rows: name of the rows, see `ServedRows.name`.
            pane: the pane.
            position: position at which the leaders are wanted.
            closing: the rules by which the pane is closed there; None = it is open.
        """
        with self._lock:
            entry = self._entries.get((rows, pane))
            if entry is None:
                return None
            if entry.position != position and (closing is None or entry.closing != closing):
                return None
            self._entries.move_to_end((rows, pane))
            return entry.leaders

    def put(
        self, rows: object, pane: Pane, position: int, closing: Closing | None, leaders: PaneLeaders
    ) -> None:
        """Keep the leaders of a pane as of `position`. Arguments as in `get`."""
        with self._lock:
            former = self._entries.pop((rows, pane), None)
            if former is not None:
                self._bytes -= _size(former)
            entry = self._entries[rows, pane] = _Entry(position, closing, leaders)
            self._bytes += _size(entry)
            while self._bytes > self._most_bytes:
                self._bytes -= _size(self._entries.popitem(last=False)[1])


def _size(entry: _Entry) -> int:
    return _LEAST_BYTES + entry.leaders.nbytes
