"""The changelog as a view sees it: its identity and its ends. A view appends nothing and creates no topic."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tables.errors import BrokerUnavailableError
from tables.kafka.offsets import TopicOffsets


class FollowedChangelog:
    """Says where the changelog ends; implements `tables.ports.ChangelogEnds`.

    Args:
        topic: the changelog topic.
        offsets: asks the brokers.

    Attributes:
        waiting: partition -> why its end could not be told when it was asked for last; only such partitions.
    """

    def __init__(self, topic: str, offsets: TopicOffsets) -> None:
        self.topic = topic
        self.waiting: dict[int, str] = {}
        self._offsets = offsets

    async def identity(self) -> str:
        """Return the id of the changelog topic, see `Changelog.identity`."""
        return await self._offsets.topic_id(self.topic)

    async def end_offset(self, partition: int) -> int:
        """Return the offset after the last record. Raise BrokerUnavailableError also while there is no such partition."""
        try:
            await self._check_exists(partition)
            end = (await self._offsets.ends(self.topic, [partition]))[partition]
        except BrokerUnavailableError as error:
            self.waiting[partition] = str(error)
            raise
        self.waiting.pop(partition, None)
        return end

    async def end_offsets(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Return partition -> offset after the last record, as after this call began."""
        return await self._offsets.ends(self.topic, partitions)

    async def _check_exists(self, partition: int) -> None:
        partitions = (await self._offsets.describe(self.topic)).partitions
        if not partitions:
            raise BrokerUnavailableError(
                f"there is no topic {self.topic}",
                "start a worker, which creates the topic, or check WORDCOUNT_GROUP and WORDCOUNT_TOPIC",
            )
        if partitions <= partition:
            raise BrokerUnavailableError(
                f"{self.topic} has no partition {partition} yet", "start a worker, which extends the topic"
            )
