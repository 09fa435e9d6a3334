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
    """

    def __init__(self, topic: str, offsets: TopicOffsets) -> None:
        self.topic = topic
        self._offsets = offsets

    async def identity(self) -> str:
        """Return the id of the changelog topic, see `Changelog.identity`."""
        return await self._offsets.topic_id(self.topic)

    async def end_offset(self, partition: int) -> int:
        """Return the offset after the last record. Raise BrokerUnavailableError also while there is no such partition."""
        if (await self._offsets.describe(self.topic)).partitions <= partition:
            raise BrokerUnavailableError(
                f"{self.topic} has no partition {partition} yet", "start a worker, which creates the topic"
            )
        return (await self._offsets.ends(self.topic, [partition]))[partition]

    async def end_offsets(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Return partition -> offset after the last record, as after this call began."""
        return await self._offsets.ends(self.topic, partitions)
