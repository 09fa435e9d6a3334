"""Progress of a partition and of its restore, for metrics, HTTP and the watchdog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Progress(NamedTuple):
    """Progress of one partition: some number changes as long as the partition is counted or restored.

    Attributes:
        position: next source offset to count.
        examined: next changelog offset to read; rises while a restore reads.
        scanned: rows of the store that the last restore has scanned.
    """

    position: int
    examined: int
    scanned: int


@dataclass(slots=True)
class RestoreProgress:
    """Progress of one restore of one partition. The thread of the restore writes; any thread may read.

    Attributes:
        begun_s: when the reading began, on the clock `ShardServices.clock`; 0 = not yet.
        start: changelog offset at which the reading began.
        examined: next changelog offset to read.
        end: changelog offset up to which the restore reads (exclusive), as far as known.
        scanned: rows of the store that the restore has scanned for rows ahead.
    """

    begun_s: float = 0.0
    start: int = 0
    examined: int = 0
    end: int = 0
    scanned: int = 0

    @property
    def records_left(self) -> int:
        """Changelog offsets that are still to be read: an upper bound of the records, because compaction leaves gaps."""
        return max(0, self.end - self.examined)

    @property
    def share(self) -> float:
        """Share of the changelog offsets that have been read, from 0 to 1."""
        return 1.0 if self.end <= self.start else (self.examined - self.start) / (self.end - self.start)

    def seconds_left(self, now_s: float) -> float | None:
        """Return the seconds until `end` is reached at the pace so far; None before the first record was read."""
        read, took_s = self.examined - self.start, now_s - self.begun_s
        return self.records_left * took_s / read if read > 0 else None
