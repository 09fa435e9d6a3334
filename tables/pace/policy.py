"""Flush policy: when a buffer is flushed. Pure.

Partitions that have caught up flush soon; partitions that lag behind flush full buffers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """Bounds of the age and size of a buffer.

    Attributes:
        interval_ms: age of a buffer's oldest record at which a partition that has caught up is flushed, in milliseconds.
        catching_up_ms: age of a buffer's oldest record at which a partition that lags behind is flushed, in milliseconds. The age is
            large, because full buffers make a partition catch up fast.
        flush_bytes: bytes at which a buffer is flushed immediately; `BufferSize` lowers this size if records hold many distinct words.
        total_bytes: bytes of all partitions, buffered or being flushed, from which on no partition takes records in.
        near_offsets: a partition has caught up if it is at most this many offsets behind its end, as many as arrive during a flush.
    """

    interval_ms: int = 250
    catching_up_ms: int = 5000
    flush_bytes: int = 8 << 20
    total_bytes: int = 64 << 20
    near_offsets: int = 20_000

    def is_due(
        self, *, buffered_bytes: int, full_bytes: int, age_ms: float, behind_offsets: int, catching_up: bool
    ) -> bool:
        """Return whether a buffer that is not empty is flushed now.

        Args:
            buffered_bytes: size of the buffer.
            full_bytes: size of a full buffer.
            age_ms: age of the oldest record of the buffer, in milliseconds.
            behind_offsets: offsets from the end of the buffer to the end of the input partition; <= 0 = the backlog is read.
            catching_up: whether the partition lagged behind when the buffer was begun.
        """
        if buffered_bytes >= full_bytes:
            return True
        if catching_up:
            return behind_offsets <= 0 or age_ms >= self.catching_up_ms
        return age_ms >= self.interval_ms
