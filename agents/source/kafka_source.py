"""The input topic and the ownership of its partitions, as `tables` uses them: `Source` and `Ownership` on Faust's consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import TopicPartition

from agents.source.membership import BatchConsumerThread
from tables.kafka.offsets import TopicOffsets


class KafkaSource:
    """Looks up and seeks partitions of the input topic; implements `tables.ports.Source`.

    Args:
        membership: returns the consumer's thread, which is created later than this object.
        topic: input topic.
        offsets: looks up the bounds of partitions.
    """

    def __init__(
        self, membership: Callable[[], BatchConsumerThread], topic: str, offsets: TopicOffsets
    ) -> None:
        self._membership = membership
        self._topic = topic
        self._offsets = offsets

    async def identity(self) -> str:
        """Return the id of the input topic, see `Source.identity`."""
        return await self._offsets.topic_id(self._topic)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first and the end offset of a partition, see `Source.bounds`."""
        return await self._offsets.bounds(self._topic, partition)

    async def seek(self, partition: int, position: int) -> None:
        """Make `position` the next offset that is delivered, see `Source.seek`."""
        thread = self._membership()
        await thread.call_thread(thread.seek_owned, TopicPartition(self._topic, partition), position)


class GroupOwnership:
    """Proves ownership by commits of the consumer group; implements `tables.ports.Ownership`.

    Proofs that are asked for while a commit is under way share the next commit.

    Args:
        membership: returns the consumer's thread, which is created later than this object.
        topic: input topic.
    """

    def __init__(self, membership: Callable[[], BatchConsumerThread], topic: str) -> None:
        self._membership = membership
        self._topic = topic
        self._waiting: dict[TopicPartition, int] = {}
        self._next: asyncio.Task[None] | None = None
        self._committing = asyncio.Lock()

    def check(self) -> None:
        """Raise PartitionsLostError if this worker is no live member, see `Ownership.check`."""
        self._membership().check_membership()

    async def prove(self, partition: int, position: int) -> None:
        """Commit `position` and thereby prove ownership of `partition`, see `Ownership.prove`."""
        self._waiting[TopicPartition(self._topic, partition)] = position
        if self._next is None:
            self._next = asyncio.create_task(self._commit())
            # Reading the error keeps asyncio from logging the error if all waiting callers were cancelled.
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._next)

    async def _commit(self) -> None:
        async with self._committing:
            offsets, self._waiting, self._next = self._waiting, {}, None
            thread = self._membership()
            await thread.call_thread(thread.commit_owned, offsets)
