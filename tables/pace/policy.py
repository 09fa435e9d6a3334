"""When a buffer is flushed: soon when caught up, in large buffers while catching up. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """Bounds of age and size.

    Attributes:
        interval_ms: age of the oldest record of the buffer at which a partition that has caught up is flushed.
        catching_up_ms: the same for one that lags behind; there full buffers are what makes it fast.
        flush_bytes: bytes at which a buffer is flushed immediately; fewer where they hold many distinct words.
        total_bytes: bytes of all partitions, buffered or being flushed, from which on no more is taken in.
        near_offsets: a partition has caught up if it is at most so many offsets behind its end: what arrives during a flush.
    """

    interval_ms: int = 250
    catching_up_ms: int = 2000
    flush_bytes: int = 8 << 20
    total_bytes: int = 64 << 20
    near_offsets: int = 20_000

    def is_due(
        self, *, buffered_bytes: int, full_bytes: int, age_ms: float, behind_offsets: int, catching_up: bool
    ) -> bool:
        """Whether a buffer with something in it is flushed now.

        Args:
            buffered_bytes: its size.
            full_bytes: the size of a full one.
            age_ms: of its oldest record.
            behind_offsets: offsets from its end to that of the input partition.
            catching_up: whether the partition lagged behind when the buffer was begun.
        """
        if buffered_bytes >= full_bytes:
            return True
        if catching_up:
            return behind_offsets <= 0 or age_ms >= self.catching_up_ms
        return age_ms >= self.interval_ms
