"""Intake: which partitions take records in. Partitions that have caught up do at any time; partitions that lag behind take turns.

The cost of a flush grows with its distinct words, and in a larger buffer words repeat more often. So a backlog is read from few
partitions at a time, from each until its buffer is full (ADR 8). Buffers are then as large with 256 partitions as with one, and memory
holds few buffers.
"""

from __future__ import annotations

from collections.abc import Mapping

from tables.pace.memory import MemoryBounds
from tables.partitions.owned_partition import OwnedPartition

FILLED_AT_ONCE = 3
"""Lagging partitions chosen per poll: fetched records fill one buffer while records for the two others are on their way.

With two partitions the first buffers waited for the fetch.
"""

BACKLOG_SHARE = 0.625
"""Share of the held bytes up to which lagging partitions take records in: five full buffers, three of which are being flushed."""


class Intake:
    """Chooses, for each poll, the partitions whose records may come.

    Args:
        near_offsets: a partition has caught up if it is at most this many offsets behind its end.
        total_bytes: no partition takes records in while all together hold this many bytes, buffered or being flushed.
    """

    def __init__(self, near_offsets: int, total_bytes: int) -> None:
        self._near_offsets = near_offsets
        self._most_bytes = self._total_bytes = total_bytes
        self._polls = 0

    def bound(self, bounds: MemoryBounds) -> None:
        """Apply the bound of held bytes (`tables.pace.memory.Bounded`)."""
        self._total_bytes = min(self._most_bytes, bounds.held_bytes)

    def choose(self, partitions: Mapping[int, OwnedPartition], buffer_bytes: int) -> set[int]:
        """Choose the partitions whose records the next poll may bring, and remember which lagging partitions had their turn.

        Args:
            partitions: by number.
            buffer_bytes: size of a full buffer.

        Returns:
            The numbers of the chosen partitions; empty while the held bytes have reached their bound.
        """
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
    """Return the sort key of a lagging partition: begun buffers first, oldest first; then the partitions that wait longest.

    A partition whose broker is away begins no buffer and goes to the end of the queue, so that it holds up no other partition.
    """
    if part.shard.buffer:
        return False, part.shard.buffered_since
    return True, part.last_chosen
