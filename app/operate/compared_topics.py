"""The topics that a verification compares: how input and changelog are read, and why a partition cannot be compared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from aiokafka import TopicPartition

from app.kafka.admin import open_admin
from app.kafka.clients import InputRecord, reader, records, rights_of
from tables.errors import ConfigurationError, InexactError
from tables.kafka.broker_errors import TOPIC_UNAUTHORIZED, UNKNOWN_TOPIC
from tables.kafka.rights import Right
from tables.model.names import END_OF_WORDS, MARKER_KEY
from tables.model.positions import InputNow, check_position
from tables.model.records import ChangelogSlice
from tables.model.replay import Replay
from tables.model.rows import Marker, Owner, StoreState
from tables.model.windows import FIRST_PANE_KEY

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from app.config.settings import Settings
    from app.operate.recount import Definition
    from tables.kafka.changelog_reader import ChangelogReader
    from tables.kafka.offsets import TopicOffsets
    from tables.kafka.topic_description import TopicDescription


@dataclass(frozen=True, slots=True)
class ComparedTopics:
    """What the comparisons of all partitions share.

    Attributes:
        settings: topic and group, and the definition of a word.
        definition: makes words of records.
        source: reads the input topic.
        reader: reads the changelog topic.
        offsets: asks for the bounds of partitions.
        input, changelog: descriptions of both topics.
    """

    settings: Settings
    definition: Definition
    source: InputReader
    reader: ChangelogReader
    offsets: TopicOffsets
    input: TopicDescription
    changelog: TopicDescription

    @property
    def owner(self) -> Owner:
        """The group and topic whose counts are compared."""
        return Owner(self.settings.group, self.settings.topic)

    async def changelog_end(self, partition: int) -> int:
        """Return the offset after the last record of a partition of the changelog; 0 = there is no such partition."""
        if partition >= self.changelog.partitions:
            return 0
        _, end = await self.offsets.bounds(self.reader.topic, partition)
        return end

    async def input_now(self, partition: int) -> InputNow:
        """Return a partition of the input topic as it is now."""
        start, end = await self.offsets.bounds(self.settings.topic, partition)
        return InputNow(self.settings.topic, self.input.topic_id, partition, start, end)

    def problem(self, now: InputNow, marker: Marker, begin: int, last: int) -> str:
        """Return why the counts that `marker` claims cannot be counted again; "" = they can.

        Args:
            now: the partition of the input topic.
            marker: last marker of the partition.
            begin: first offset that has to be counted again, inclusive.
            last: largest offset up to which a row counts, exclusive.
        """
        try:
            check_position(
                marker,
                now,
                owner=self.owner,
                changelog_id=self.changelog.topic_id,
                profile=self.definition.identity,
            )
        except InexactError as error:
            return str(error)
        if now.start > begin:
            return f"{now}: records {begin} to {now.start - 1} were counted, and have expired since"
        if now.end < last:
            return f"{now} ends at offset {now.end}, but a row counts up to {last}: truncated"
        return ""


class InputReader:
    """Reads the input topic by a plain consumer. After an error a new consumer is made, because the former one may be unusable."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = AsyncExitStack()
        self._consumer: AIOKafkaConsumer | None = None

    async def records(self, partition: int, start: int, end: int) -> AsyncIterator[InputRecord]:
        """Yield the records of a partition, see `app.kafka.clients.records`."""
        if self._consumer is None:
            self._consumer = await self._open.enter_async_context(
                reader(self._settings, self._settings.topic)
            )
        tp = TopicPartition(self._settings.topic, partition)
        async for record in records(self._consumer, tp, start, end):
            yield record

    async def close(self) -> None:
        """Close the connections to the brokers; the next read opens new ones."""
        self._consumer = None
        await self._open.aclose()


async def check_topics(settings: Settings) -> None:
    """Check that input topic and changelog exist and that this user may read them. Raise ConfigurationError if not."""
    async with open_admin(settings) as admin:
        found = await admin.describe(settings.topics.input, settings.topics.changelog)
    for name, topic in found.items():
        if topic.error_code == UNKNOWN_TOPIC:
            raise ConfigurationError(
                f'there is no topic "{name}"',
                "set WORDCOUNT_TOPIC and WORDCOUNT_GROUP as the workers have them",
            )
        if topic.error_code == TOPIC_UNAUTHORIZED or (
            topic.rights is not None and "Read" not in topic.rights
        ):
            raise rights_of(settings).error(Right("Read", "topic", name))


def empty_replay(owner: Owner) -> Replay:
    """Return a replay that begins at the start of the changelog."""
    return Replay(_NoRows(), StoreState(marker=None, examined=0, max_upto=0), owner)


def parted(part: ChangelogSlice) -> tuple[ChangelogSlice, ChangelogSlice]:
    """Return the markers and rows of words, and the rows of windows, of a slice of the changelog. Rows of ids are in neither."""
    is_marker = pc.equal(part.keys, MARKER_KEY)
    is_pane = pc.and_(pc.greater_equal(part.keys, FIRST_PANE_KEY), pc.invert(is_marker))
    is_of_words = pc.or_(is_marker, pc.less(part.keys, END_OF_WORDS))
    return selected(part, is_of_words), selected(part, is_pane)


def selected(part: ChangelogSlice, mask: object) -> ChangelogSlice:
    """Return the records of a slice for which `mask`, a `pyarrow.BooleanArray`, is true."""
    return ChangelogSlice(part.keys.filter(mask), part.values.filter(mask), part.next_offset)


class _NoRows:
    """An empty store."""

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        return [None] * len(words)
