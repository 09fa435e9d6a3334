"""How far a partition has come, and a restore of it: read by whoever shows it or watches that it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Progress(NamedTuple):
    """Moves as long as something is done for a partition.

    Attributes:
        position: next offset to count.
        examined: next changelog offset to read; published while a restore reads.
        scanned: rows of the store that the last restore looked at.
    """

    position: int
    examined: int
    scanned: int


@dataclass(slots=True)
class RestoreProgress:
    """One restore of one partition: written by the thread that restores, read by any.

    Attributes:
        begun_s: when reading began, on the clock of `tables.partitions.services`.
        start: changelog offset at which it began.
        examined: next changelog offset to read.
        end: changelog offset up to which it has to read, as far as known.
        scanned: rows of the store that were looked at.
    """

    begun_s: float = 0.0
    start: int = 0
    examined: int = 0
    end: int = 0
    scanned: int = 0

    @property
    def records_left(self) -> int:
        """Changelog records that are still to be read, at most: compacted ones are among them."""
        return max(0, self.end - self.examined)

    @property
    def share(self) -> float:
        """Share of the records that has been read, from 0 to 1."""
        return 1.0 if self.end <= self.start else (self.examined - self.start) / (self.end - self.start)

    def seconds_left(self, now_s: float) -> float | None:
        """Seconds until everything is read at the pace so far; None before anything was read."""
        read, took_s = self.examined - self.start, now_s - self.begun_s
        return self.records_left * took_s / read if read > 0 else None
