"""Tells whoever wants to know that durable counts have moved: after each flush, and after each restore.

Every durable flush of this process is told exactly once, whichever way it became durable: by its own commit, by a commit that went on
while the flush was cancelled, or because a restore found in the changelog what was appended before its outcome was known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tables.model.records import RecordBatch
from tables.model.rows import Marker
from tables.model.tally import Totals


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush makes durable.

    Attributes:
        marker: the partition's state after it.
        rows: rows written, one per distinct word.
        totals: what became of its records.
        batches: its records.
        begun_s: when it began, on the clock of `tables.partitions.services`.
    """

    marker: Marker
    rows: int
    totals: Totals
    batches: Sequence[RecordBatch]
    begun_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """The durable counts of a partition are those of `position`.

    Attributes:
        partition: its number.
        position: next offset to count.
        flushed: the flush of this process that became durable with it; None where a restore found nothing of this process.
    """

    partition: int
    position: int
    flushed: Flushed | None


class Changes:
    """Calls each subscriber, on the event loop, in the order in which they came. Subscribers return at once and raise nothing."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Change], None]] = []

    def subscribe(self, told: Callable[[Change], None]) -> None:
        """Have `told` called with each change from now on."""
        self._subscribers.append(told)

    def publish(self, change: Change) -> None:
        """Tell everybody."""
        for told in self._subscribers:
            told(change)
