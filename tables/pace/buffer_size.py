"""Size of a full buffer in bytes of records, adapted to the number of distinct words. Pure.

During a flush a buffer takes about 200 bytes of memory per distinct word, and the number of distinct words is not known before the
buffer is counted. So buffers begin small, which also gives the flush threads work at once, and grow as long as their rows allow.

A flush also takes about a millisecond for each window in which it counts words. Old text whose records are minutes apart has a window
for each record: its buffers are as small as that needs.
"""

from __future__ import annotations

from tables.pace.memory import ID_ROW_BYTES, PANE_ROW_BYTES, ROW_BYTES, MemoryBounds

FIRST_BYTES = 1 << 20
"""Size of the first full buffer, and least size of a later one."""

FULL_ROWS = 250_000
"""Distinct words of a full buffer, if memory allows: 8 MiB of English text hold 160,000 distinct words."""


FULL_PANES = 2_000
"""Windows, of all sizes, in which the words of a full buffer are counted."""

FIRST_WINDOWED_BYTES = 1 << 16
"""Size of the first full buffer where windows are counted: how many of them it has is not known before."""

LEAST_BYTES = 1 << 12
"""Least size of a full buffer, whatever its windows."""


class BufferSize:
    """Adapts the size of a full buffer. All partitions of a process share one size, because the texts of a topic are alike.

    Args:
        most_bytes: largest size of a full buffer.
        windowed: whether windows are counted.

    Attributes:
        full_bytes: bytes at which a buffer is full.
    """

    def __init__(self, most_bytes: int, *, windowed: bool = False) -> None:
        self._memory_rows = FULL_ROWS
        self.full_bytes = min(FIRST_WINDOWED_BYTES if windowed else FIRST_BYTES, most_bytes)
        self._limit_bytes = most_bytes
        self._most_bytes = most_bytes

    def bound(self, bounds: MemoryBounds) -> None:
        """Apply the bound of distinct words (`tables.pace.memory.Bounded`)."""
        self._memory_rows = bounds.full_rows

    def taken(self, buffer_bytes: int) -> None:
        """Note that the flush of a buffer of `buffer_bytes` begins. After a full buffer, later buffers may be twice as large."""
        if buffer_bytes >= self.full_bytes:
            self.full_bytes = min(2 * self.full_bytes, self._limit_bytes)

    def flushed(
        self, buffer_bytes: int, words: int, pane_rows: int = 0, panes: int = 0, ids: int = 0
    ) -> None:
        """Adapt the limit to a flushed buffer.

        The limit is on the safe side, because words repeat more often in a larger buffer.

        Args:
            buffer_bytes: size of the buffer.
            words: its distinct words, >= 0.
            pane_rows: distinct words of each of its windows, added up, >= 0, which take memory, too.
            panes: number of its windows, >= 0.
            ids: ids of records that it has for the first time, >= 0.
        """
        by_panes = max(buffer_bytes * FULL_PANES // max(1, panes), LEAST_BYTES)
        if buffer_bytes < FIRST_BYTES:
            # In a small buffer words hardly repeat, so that it says nothing about a full buffer. Windows do not repeat either.
            if panes > FULL_PANES or self._limit_bytes < FIRST_BYTES:
                self._limit(by_panes)
            return
        taken_rows = words + (pane_rows * PANE_ROW_BYTES + ids * ID_ROW_BYTES) // ROW_BYTES
        bound = min(
            buffer_bytes * FULL_ROWS // max(1, words), buffer_bytes * self._memory_rows // max(1, taken_rows)
        )
        self._limit(min(max(bound, FIRST_BYTES), by_panes))

    def _limit(self, limit_bytes: int) -> None:
        self._limit_bytes = min(limit_bytes, self._most_bytes)
        self.full_bytes = min(self.full_bytes, self._limit_bytes)
