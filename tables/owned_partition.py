"""A partition of this process: its shard, and what goes on around it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tables.observer import PartitionState
from tables.shard import Shard


@dataclass(slots=True, eq=False)
class OwnedPartition:
    """Kept by `tables.word_counts`.

    Attributes:
        shard: its counts; another one after a rebuild.
        state: see `PartitionState`.
        highwater: offset after the last record of the input partition, as of the last fetch.
        catching_up: whether it lagged behind when the pending window was begun.
        last_chosen: see `tables.intake`.
        task: the flush or restore under way; there is never more than one.
        seeking: a seek under way because a fetched batch did not join.
        rebuild: whether the store has to be thrown away before the next restore.
        rebuilds: in a row.
        error: why it is stopped.
    """

    shard: Shard
    state: PartitionState = "restoring"
    highwater: int = 0
    catching_up: bool = False
    last_chosen: int = 0
    task: asyncio.Task[None] | None = None
    seeking: asyncio.Task[None] | None = None
    rebuild: bool = False
    rebuilds: int = 0
    error: str = ""

    @property
    def behind_offsets(self) -> int:
        """Offsets that are still to be read."""
        return self.highwater - self.shard.next

    @property
    def held_bytes(self) -> int:
        """Bytes of records that are pending or being flushed."""
        return self.shard.pending_bytes + self.shard.flushing_bytes

    def can_take(self, window_bytes: int) -> bool:
        """Whether records can be taken in: while a window is being flushed, one more."""
        return (
            self.state == "counting"
            and self.seeking is None
            and (self.task is None or self.shard.pending_bytes < window_bytes)
        )
