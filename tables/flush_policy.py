"""When a window is flushed: soon when caught up, in large windows while catching up. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """Bounds of age and size.

    Attributes:
        interval_ms: age of the oldest pending record at which a partition that has caught up is flushed.
        catching_up_ms: the same for one that lags behind; there full windows are what makes it fast.
        window_bytes: pending bytes of one partition at which it is flushed at once.
        total_bytes: pending bytes of all partitions together; with many partitions windows are smaller.
    """

    interval_ms: int = 250
    catching_up_ms: int = 2000
    window_bytes: int = 4 << 20
    total_bytes: int = 64 << 20

    def bytes_per_partition(self, partitions: int) -> int:
        """Pending bytes of one of `partitions` (>= 0) at which its window is full."""
        return min(self.window_bytes, self.total_bytes // max(1, partitions))

    def is_due(
        self, *, pending_bytes: int, age_ms: float, pending_offsets: int, behind_offsets: int, partitions: int
    ) -> bool:
        """Whether a window with something in it is flushed now.

        Args:
            pending_bytes: its size.
            age_ms: of its oldest record.
            pending_offsets: offsets from the position to its end.
            behind_offsets: offsets from its end to that of the input partition.
            partitions: of this process.
        """
        # Nearly there counts as caught up: what is still to come is no more than what is pending.
        due_ms = self.interval_ms if behind_offsets <= pending_offsets else self.catching_up_ms
        return pending_bytes >= self.bytes_per_partition(partitions) or age_ms >= due_ms
