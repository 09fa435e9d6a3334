"""The input topic and the membership, as `tables` sees them: `Source` and `Ownership` on top of Faust's consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import TopicPartition

from agents.source.membership import BatchConsumerThread
from tables.kafka.offsets import TopicOffsets


class KafkaSource:
    """Implements `tables.ports.Source`.

    Args:
        membership: gives the consumer's thread, which exists later than this object.
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
        """See `Source.identity`."""
        return await self._offsets.topic_id(self._topic)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """See `Source.bounds`."""
        return await self._offsets.bounds(self._topic, partition)

    async def seek(self, partition: int, position: int) -> None:
        """See `Source.seek`."""
        thread = self._membership()
        await thread.call_thread(thread.seek_owned, TopicPartition(self._topic, partition), position)


class GroupOwnership:
    """Implements `tables.ports.Ownership`: proofs that are asked for while one is under way share the next commit.

    Args:
        membership: gives the consumer's thread, which exists later than this object.
        topic: input topic.
    """

    def __init__(self, membership: Callable[[], BatchConsumerThread], topic: str) -> None:
        self._membership = membership
        self._topic = topic
        self._waiting: dict[TopicPartition, int] = {}
        self._next: asyncio.Task[None] | None = None
        self._committing = asyncio.Lock()

    def check(self) -> None:
        """See `Ownership.check`."""
        self._membership().check_membership()

    async def prove(self, partition: int, position: int) -> None:
        """See `Ownership.prove`."""
        self._waiting[TopicPartition(self._topic, partition)] = position
        if self._next is None:
            self._next = asyncio.create_task(self._commit())
            # Where all that waited were cancelled, asyncio would report an error that nobody waits for.
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._next)

    async def _commit(self) -> None:
        async with self._committing:
            offsets, self._waiting, self._next = self._waiting, {}, None
            thread = self._membership()
            await thread.call_thread(thread.commit_owned, offsets)
