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
        task: the flush or restore under way; there is never more than one.
        seeking: a seek under way because a fetched batch did not join.
        rebuild: whether the store has to be thrown away before the next restore.
        rebuilds: in a row.
        error: why it is stopped.
    """

    shard: Shard
    state: PartitionState = "restoring"
    highwater: int = 0
    task: asyncio.Task[None] | None = None
    seeking: asyncio.Task[None] | None = None
    rebuild: bool = False
    rebuilds: int = 0
    error: str = ""
