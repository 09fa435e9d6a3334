"""What the core tells about itself, without a metrics library."""

from __future__ import annotations

from typing import Literal, Protocol

from tables.model.tally import Totals

PartitionState = Literal["restoring", "counting", "stopped", "released"]
"""Life of a partition in this process.

`restoring`: assigned, its rows are coming from the changelog; `counting`: restored, records are counted and
reads answered; `stopped`: an `InexactError` ended it until an operator decides; `released`: no longer
assigned to this process.
"""


class Observer(Protocol):
    """Receives the events of the core on the event loop thread; returns at once and raises nothing."""

    def flushed(
        self, partition: int, *, rows: int, words: int, records: int, duration_s: float, totals_delta: Totals
    ) -> None:
        """A flush is durable.

        Args:
            partition: partition number of the input topic.
            rows: rows written to changelog and store, one per distinct word.
            words: occurrences counted; equals `totals_delta.words`.
            records: records read; equals `totals_delta.records`.
            duration_s: seconds from the start of the flush to the end of the store write.
            totals_delta: what became of the records of this flush alone.
        """

    def flush_failed(self, partition: int, error: Exception) -> None:
        """A flush did not become durable; the type of `error` says what becomes of its records."""

    def restored(self, partition: int, *, rows: int, duration_s: float) -> None:
        """A partition was brought forward by `rows` rows of its changelog in `duration_s` seconds."""

    def partition_state(self, partition: int, state: PartitionState) -> None:
        """A partition entered `state`."""
