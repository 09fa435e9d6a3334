"""How many bytes of records make a full buffer. Pure.

A buffer takes memory by its distinct words, about 300 bytes each while it is flushed, and nobody knows how many there are before they
are counted. So buffers begin small, which also gives the flush threads something to do at once, and grow while their rows allow.
"""

from __future__ import annotations

from tables.pace.memory import MemoryBounds

FIRST_BYTES = 1 << 20
FULL_ROWS = 250_000
"""Distinct words of a full buffer, where memory allows. 8 MiB of English hold 160,000."""


class BufferSize:
    """The size of the next buffer, the same for all partitions of a process: texts of one topic are alike.

    Args:
        most_bytes: no buffer is larger.

    Attributes:
        full_bytes: bytes at which a buffer is full.
    """

    def __init__(self, most_bytes: int) -> None:
        self._full_rows = FULL_ROWS
        self.full_bytes = min(FIRST_BYTES, most_bytes)
        self._limit_bytes = most_bytes
        self._most_bytes = most_bytes

    def bound(self, bounds: MemoryBounds) -> None:
        """See `tables.pace.memory.Bounded`."""
        self._full_rows = min(FULL_ROWS, bounds.full_rows)

    def taken(self, buffer_bytes: int) -> None:
        """A buffer of so many bytes goes to be flushed; after a full one the next may be larger."""
        if buffer_bytes >= self.full_bytes:
            self.full_bytes = min(2 * self.full_bytes, self._limit_bytes)

    def flushed(self, buffer_bytes: int, rows: int) -> None:
        """A buffer of so many bytes had so many (>= 0) distinct words. Words repeat more in a larger one: the bound is a low one."""
        if buffer_bytes < FIRST_BYTES:
            return  # Words of a small buffer have had no chance to repeat.
        bound = buffer_bytes * self._full_rows // max(1, rows)
        self._limit_bytes = min(max(bound, FIRST_BYTES), self._most_bytes)
        self.full_bytes = min(self.full_bytes, self._limit_bytes)
