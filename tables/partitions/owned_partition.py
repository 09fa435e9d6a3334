"""A partition that this process owns: its shard, its state, its task, and how far it lags behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from tables.observer import PartitionState
from tables.partitions.life import PHASES, State
from tables.partitions.shard import Shard
from tables.partitions.waiting import cancel


@dataclass(slots=True, eq=False)
class OwnedPartition:
    """Holds what this process knows of one partition that it owns, from assignment to release.

    Attributes:
        shard: buffers and counts the partition's records; a rebuild replaces the shard.
        state: state of the partition; only the table in `tables.partitions.life` decides which state follows.
        highwater: offset after the last record of the input partition at the time of the last fetch; 0 before the first.
        catching_up: whether the partition lagged behind when its buffer was begun.
        last_chosen: number of the poll for which `Intake.choose` last gave the partition a turn; 0 = never.
        task: the flush or restore under way; None = no task.
        seeking: the seek under way because a fetched batch did not join the buffer; None = no seek.
        attempts: restores that failed in a row.
        rebuild: whether the store has to be thrown away before the next restore.
        rebuilds: rebuilds of a corrupted store in a row.
        error: why the partition was stopped; "" = the partition was never stopped.
    """

    shard: Shard
    state: State = State.SUSPENDED
    highwater: int = 0
    catching_up: bool = False
    last_chosen: int = 0
    task: asyncio.Task[None] | None = None
    seeking: asyncio.Task[None] | None = None
    attempts: int = 0
    rebuild: bool = False
    rebuilds: int = 0
    error: str = ""

    @property
    def number(self) -> int:
        """Number of the partition."""
        return self.shard.partition

    @property
    def phase(self) -> PartitionState:
        """State of the partition as observers are told of it."""
        return PHASES[self.state]

    @property
    def is_counting(self) -> bool:
        """Whether the partition takes records in and flushes them."""
        return self.state in {State.COUNTING, State.FLUSHING}

    @property
    def behind_offsets(self) -> int:
        """Source offsets from the end of the buffer to the highwater."""
        return self.highwater - self.shard.next

    @property
    def held_bytes(self) -> int:
        """Bytes of the partition's records that are buffered or being flushed."""
        return self.shard.buffered_bytes + self.shard.flushing_bytes

    def can_take(self, buffer_bytes: int) -> bool:
        """Return whether records can be taken in. During a flush, one further buffer of `buffer_bytes` may fill."""
        return self.seeking is None and (
            self.state is State.COUNTING
            or (self.state is State.FLUSHING and self.shard.buffered_bytes < buffer_bytes)
        )

    def begin(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run a flush or a restore as the task of this partition. Raises AssertionError if the partition has a task."""
        assert self.task is None, f"{name} beside another task of partition {self.number}"
        self.task = asyncio.create_task(coroutine, name=f"{name}-{self.number}")

    async def end_tasks(self) -> None:
        """Cancel task and seek, and wait for their end. Enter a state that starts no task before this call."""
        await cancel(self.task, self.seeking)
        self.task = self.seeking = None
