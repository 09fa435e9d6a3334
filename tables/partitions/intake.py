"""Which partitions take records in: those that have caught up at any time, those that lag behind in turns.

A flush costs by its distinct words, and the larger a buffer, the more often its words repeat. So a backlog is read from few partitions
at a time, from each until its buffer is full: buffers are as large with 256 partitions as with one, and memory holds few of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from tables.pace.memory import MemoryBounds
from tables.partitions.owned_partition import OwnedPartition

FILLED_AT_ONCE = 3
"""One is filled from what was fetched while more of the others is on its way; with two the first buffers waited for the fetch."""

BACKLOG_SHARE = 0.625
"""Of the bytes that may be held, so many are for partitions that lag behind: five full buffers, three of which are being flushed."""


class Intake:
    """Chooses anew for each poll.

    Args:
        near_offsets: a partition has caught up if it is at most so many offsets behind its end.
        total_bytes: no more is taken in while so many bytes of all partitions are buffered or being flushed.
    """

    def __init__(self, near_offsets: int, total_bytes: int) -> None:
        self._near_offsets = near_offsets
        self._most_bytes = self._total_bytes = total_bytes
        self._polls = 0

    def bound(self, bounds: MemoryBounds) -> None:
        """See `tables.pace.memory.Bounded`."""
        self._total_bytes = min(self._most_bytes, bounds.held_bytes)

    def choose(self, partitions: Mapping[int, OwnedPartition], buffer_bytes: int) -> set[int]:
        """The numbers of those of `partitions` whose records are wanted; a buffer is full at `buffer_bytes`."""
        self._polls += 1
        held_bytes = sum(part.held_bytes for part in partitions.values())
        if held_bytes >= self._total_bytes:
            return set()
        ready = {number: part for number, part in partitions.items() if part.can_take(buffer_bytes)}
        lagging = [number for number, part in ready.items() if part.behind_offsets > self._near_offsets]
        chosen = ready.keys() - set(lagging)
        if held_bytes < BACKLOG_SHARE * self._total_bytes:
            for number in sorted(lagging, key=lambda number: _turn(ready[number]))[:FILLED_AT_ONCE]:
                ready[number].last_chosen = self._polls
                chosen.add(number)
        return chosen


def _turn(part: OwnedPartition) -> tuple[bool, float]:
    """Orders partitions: buffers that were begun come first, the oldest before the others; then who was not chosen for longest.

    So a partition from which nothing can be fetched, because its broker is away, is in nobody's way at the next poll.
    """
    if part.shard.buffer:
        return False, part.shard.buffered_since
    return True, part.last_chosen
