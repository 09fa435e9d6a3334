"""A partition of this process: its shard, and what goes on around it."""

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
    """Kept by `tables.partitions.partitions`.

    Attributes:
        shard: its counts; another one after a rebuild.
        state: see `tables.partitions.life`, which alone decides it.
        highwater: offset after the last record of the input partition, as of the last fetch.
        catching_up: whether it lagged behind when its buffer was begun.
        last_chosen: see `tables.partitions.intake`.
        task: the flush or restore under way.
        seeking: a seek under way because a fetched batch did not join.
        attempts: restores that failed in a row.
        rebuild: whether the store has to be thrown away before the next restore.
        rebuilds: in a row.
        error: why it is stopped.
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
        """The partition's number."""
        return self.shard.partition

    @property
    def phase(self) -> PartitionState:
        """The state, as observers are told of it."""
        return PHASES[self.state]

    @property
    def is_counting(self) -> bool:
        """Whether records are taken in and flushed."""
        return self.state in {State.COUNTING, State.FLUSHING}

    @property
    def behind_offsets(self) -> int:
        """Offsets that are still to be read."""
        return self.highwater - self.shard.next

    @property
    def held_bytes(self) -> int:
        """Bytes of records that are buffered or being flushed."""
        return self.shard.buffered_bytes + self.shard.flushing_bytes

    def can_take(self, buffer_bytes: int) -> bool:
        """Whether records can be taken in: while a buffer is being flushed, one more."""
        return self.seeking is None and (
            self.state is State.COUNTING
            or (self.state is State.FLUSHING and self.shard.buffered_bytes < buffer_bytes)
        )

    def begin(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run a flush or a restore as the task of this partition, which has none."""
        assert self.task is None, f"{name} beside another task of partition {self.number}"
        self.task = asyncio.create_task(coroutine, name=f"{name}-{self.number}")

    async def end_tasks(self) -> None:
        """Cancel whatever is under way, and wait for its end; its state has to be one that starts nothing."""
        await cancel(self.task, self.seeking)
        self.task = self.seeking = None
