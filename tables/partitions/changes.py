"""Publishes changes of durable counts to subscribers: after each flush and after each restore.

Every durable flush of this process is published exactly once, in whichever of three ways the flush became durable: by its own commit,
by a commit that completed although the flush was cancelled, or because a restore found its marker in the changelog.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tables.model.records import RecordBatch
from tables.model.rows import Marker
from tables.model.tally import Totals


@dataclass(frozen=True, slots=True)
class Flushed:
    """Describes what one flush makes durable.

    Attributes:
        marker: marker of the flush.
        words: number of distinct words.
        rows: number of rows written: one per distinct word, one per distinct word of each window, and one per new id.
        panes: number of windows with words.
        new_ids: number of ids of records that occurred for the first time.
        totals: what became of the records of the flush.
        batches: the records of the flush.
        begun_s: when the flush began, on the clock `ShardServices.clock`.
    """

    marker: Marker
    words: int
    rows: int
    panes: int
    new_ids: int
    totals: Totals
    batches: Sequence[RecordBatch]
    begun_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """Says that the durable counts of a partition are now those of `position`.

    Attributes:
        partition: number of the partition.
        position: next source offset to count.
        flushed: the flush of this process that became durable; None = the end of a restore, not a flush.
    """

    partition: int
    position: int
    flushed: Flushed | None


class Changes:
    """Calls the subscribers on the event loop, in the order of their subscription. A subscriber returns at once and raises nothing."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Change], None]] = []

    def subscribe(self, told: Callable[[Change], None]) -> None:
        """Call `told` with each change from now on."""
        self._subscribers.append(told)

    def publish(self, change: Change) -> None:
        """Call every subscriber with `change`."""
        for told in self._subscribers:
            told(change)
