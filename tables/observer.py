"""Observer: the events that the core reports for metrics and logs, without a metrics library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from tables.model.tally import Totals

PartitionState = Literal["restoring", "counting", "stopped", "released"]
"""State of a partition as metrics and HTTP show it; `tables.partitions.life` has the finer states.

`restoring`: assigned, but not restored, or suspended by a rebalance; `counting`: restored, and records are counted; `stopped`: an
`InexactError` stopped the partition until an operator decides, or an error ends the process; `released`: no longer assigned to this
process.
"""


class Observer(Protocol):
    """Receives the events of the core on the event loop thread; returns at once and raises nothing."""

    def flushed(
        self, partition: int, *, rows: int, words: int, records: int, duration_s: float, totals_delta: Totals
    ) -> None:
        """Note that a flush has become durable.

        Args:
            partition: number of the partition.
            rows: rows written to changelog and store, one per distinct word.
            words: occurrences counted; equals `totals_delta.words`.
            records: records read; equals `totals_delta.records`.
            duration_s: seconds from the start of the flush to the end of the write to the store.
            totals_delta: what became of the records of this flush alone.
        """

    def flush_failed(self, partition: int, error: Exception) -> None:
        """Note that a flush failed with `error`; `tables.partitions.life.event_of` says what follows."""

    def restored(self, partition: int, *, rows: int, duration_s: float) -> None:
        """Note that a restore has ended, which wrote `rows` rows from the changelog and took `duration_s` seconds."""

    def rebalanced(self, *, duration_s: float) -> None:
        """Note that a new assignment has come, `duration_s` seconds after the former one had ended."""

    def partition_state(self, partition: int, state: PartitionState) -> None:
        """Note that a partition entered `state`."""
