"""An observer that ignores all events, for tests that check other things."""

from tables.model.tally import Totals
from tables.observer import PartitionState


class NullObserver:
    """Ignores every event."""

    def flushed(
        self, partition: int, *, rows: int, words: int, records: int, duration_s: float, totals_delta: Totals
    ) -> None:
        """Ignore a flush."""

    def flush_failed(self, partition: int, error: Exception) -> None:
        """Ignore a failed flush."""

    def restored(self, partition: int, *, rows: int, duration_s: float) -> None:
        """Ignore a restore."""

    def rebalanced(self, *, duration_s: float) -> None:
        pass

    def partition_state(self, partition: int, state: PartitionState) -> None:
        """Ignore a change of state."""
