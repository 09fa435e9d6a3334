"""Verification: the counts in the changelog are compared with a recount of the input topic, while workers continue to count.

No worker is asked. The records of a changelog partition up to any offset say which input they count: the last marker names the offsets
[origin, position) that all rows together cover, and each row names the offset up to which it counts. Exactly these offsets are counted
again, record by record, by `app.operate.recount.Definition`. Only the words of one partition at a time are in memory (about 300 bytes
each).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from aiokafka import TopicPartition

from app.kafka.admin import open_admin
from app.kafka.clients import changelog_reader, reader, records, rights_of, topic_offsets
from app.operate.recount import Definition
from tables.errors import ConfigurationError, InexactError, WordcountError
from tables.kafka.broker_errors import TOPIC_UNAUTHORIZED, UNKNOWN_TOPIC
from tables.kafka.changelog_reader import ChangelogReader
from tables.kafka.offsets import TopicOffsets
from tables.kafka.rights import Right
from tables.kafka.topic_description import TopicDescription
from tables.model.names import MARKER_KEY
from tables.model.positions import InputNow, check_position
from tables.model.records import ChangelogSlice
from tables.model.replay import MergedRows, Replay
from tables.model.rows import Marker, Owner, StoreState, unpack_row
from tables.model.tally import Totals

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from app.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Difference:
    """A word whose count in the changelog differs from its count in the recount; 0 = the word is missing there."""

    word: str
    counted: int
    recounted: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of comparing one partition.

    Attributes:
        partition: number of the partition.
        origin, position: the compared counts cover the offsets [origin, position) of the input partition.
        words: number of distinct words that were compared.
        records, occurrences: numbers of records and of words in the recount.
        differences: the differing words in byte order; empty if all rows are right.
        totals: the totals in which marker and recount differ; "" = they agree.
        impossible: why the partition could not be compared; "" = it was compared.
    """

    partition: int
    origin: int = 0
    position: int = 0
    words: int = 0
    records: int = 0
    occurrences: int = 0
    differences: Sequence[Difference] = ()
    totals: str = ""
    impossible: str = ""

    @property
    def differs(self) -> bool:
        return bool(self.differences or self.totals)


async def verify(settings: Settings, word: str | None = None) -> AsyncGenerator[Verified]:
    """Compare one partition after the other, and yield each result.

    Args:
        settings: topic and group, and the definition of a word.
        word: compare only the count of this word, after it is normalised as the profile does; None = all words.

    Raises:
        BrokerUnavailableError: no broker answers any more. If only one partition cannot be read, its `Verified` says so instead.
        ConfigurationError: topic or changelog does not exist, or this user may not read it.
    """
    topic = settings.topics.changelog
    owner = Owner(settings.group, settings.topic)
    await _check_topics(settings)
    async with topic_offsets(settings) as offsets, AsyncExitStack() as stack:
        scope = _Scope(
            settings,
            Definition(settings),
            _Input(settings),
            offsets,
            await offsets.describe(settings.topic),
            await offsets.describe(topic),
        )
        stack.push_async_callback(scope.source.close)
        if word is not None:
            word = scope.definition.word(word)
        changelog = changelog_reader(settings, topic)
        for partition in range(scope.input.partitions):
            try:
                yield await _verified(scope, changelog, owner, partition, word)
            except ConfigurationError:
                raise
            except Exception as error:
                if denied := rights_of(settings).denied(error, Right("Read", "topic", settings.topic)):
                    raise denied from error
                yield Verified(partition, impossible=_reason(error))
                await scope.source.close()
                # This raises an error if no broker answers, and not only the brokers of this partition.
                await offsets.describe(topic)


async def _check_topics(settings: Settings) -> None:
    """Check that input topic and changelog exist and that this user may read them."""
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


async def _verified(
    scope: _Scope, changelog: ChangelogReader, owner: Owner, partition: int, word: str | None
) -> Verified:
    marker, rows = None, None
    if partition < scope.changelog.partitions:
        _, end = await scope.offsets.bounds(changelog.topic, partition)
        marker, rows = await asyncio.to_thread(_replayed, changelog, owner, partition, end, word)
    now = InputNow(
        scope.settings.topic,
        scope.input.topic_id,
        partition,
        *await scope.offsets.bounds(scope.settings.topic, partition),
    )
    if marker is None or rows is None or marker.position == marker.origin:
        # The changelog claims no count. If it holds rows, they belong to a first flush that is not complete.
        waiting = (
            f"nothing is counted yet, and offsets {now.start} to {now.end} (exclusive) wait"
            if now.start < now.end
            else ""
        )
        origin = now.start if marker is None else marker.origin
        return Verified(partition, origin, origin, impossible=waiting)
    if problem := _problem(scope, owner, now, marker, rows):
        return Verified(partition, marker.origin, marker.position, impossible=problem)
    return await _compared(scope, partition, marker, rows, word)


def _reason(error: Exception) -> str:
    """Return why a partition could not be read, on one line."""
    return str(error) if isinstance(error, WordcountError) else f"the partition cannot be read ({error!r})"


@dataclass(frozen=True, slots=True)
class _Scope:
    """The values that the comparisons of all partitions share."""

    settings: Settings
    definition: Definition
    source: _Input
    offsets: TopicOffsets
    input: TopicDescription
    changelog: TopicDescription


class _Input:
    """Reads the input topic by a plain consumer. After an error a new consumer is made, because the former one may be unusable."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = AsyncExitStack()
        self._consumer: AIOKafkaConsumer | None = None

    async def records(
        self, tp: TopicPartition, start: int, end: int
    ) -> AsyncIterator[tuple[int, bytes | None]]:
        """See `app.kafka.clients.records`."""
        if self._consumer is None:
            self._consumer = await self._open.enter_async_context(reader(self._settings))
        async for record in records(self._consumer, tp, start, end):
            yield record

    async def close(self) -> None:
        """Close the connections to the brokers; the next read opens new ones."""
        self._consumer = None
        await self._open.aclose()


class NoRows:
    """An empty store, for a replay that begins at the start of the changelog."""

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        return [None] * len(words)


def _replayed(
    changelog: ChangelogReader, owner: Owner, partition: int, end: int, word: str | None
) -> tuple[Marker | None, MergedRows]:
    replay = Replay(NoRows(), StoreState(marker=None, examined=0, max_upto=0), owner)
    wanted = None if word is None else word.encode()
    for part in changelog.read(partition, 0, end) if end else ():
        replay.apply(part if wanted is None else _only(part, wanted))
    return replay.marker, replay.take()


def _only(part: ChangelogSlice, word: bytes) -> ChangelogSlice:
    kept = pc.is_in(part.keys, value_set=pa.array([word, MARKER_KEY], pa.binary()))
    return ChangelogSlice(part.keys.filter(kept), part.values.filter(kept), part.next_offset)


def _problem(scope: _Scope, owner: Owner, now: InputNow, marker: Marker, merged: MergedRows) -> str:
    """Return why the counts that `marker` claims cannot be counted again; "" = they can."""
    last = max(marker.position, int(merged.rows[:, 1].max(initial=0)))
    try:
        check_position(
            marker,
            now,
            owner=owner,
            changelog_id=scope.changelog.topic_id,
            profile=scope.definition.identity,
        )
    except InexactError as error:
        return str(error)
    if now.start > marker.origin:
        return f"{now}: records {marker.origin} to {now.start - 1} were counted, and have expired since"
    if now.end < last:
        return f"{now} ends at offset {now.end}, but a row counts up to {last}: truncated"
    return ""


async def _compared(
    scope: _Scope, partition: int, marker: Marker, merged: MergedRows, word: str | None
) -> Verified:
    rows = {
        key.decode(): unpack_row(value) for key, value in zip(merged.keys(), merged.values(), strict=True)
    }
    uptos_ahead = {key: upto for key, (_, upto) in rows.items() if upto > marker.position}
    tp, last = TopicPartition(scope.settings.topic, partition), max([marker.position, *uptos_ahead.values()])
    truth: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = {
        "counted": Counter(),
        "skipped": Counter(),
        "dead_lettered": Counter(),
    }
    occurrences = 0
    try:
        async for offset, value in scope.source.records(tp, marker.origin, last):
            found = scope.definition(value)
            words = found.words if word is None else [one for one in found.words if one == word]
            truth.update(one for one in words if offset < uptos_ahead.get(one, marker.position))
            if offset < marker.position:
                occurrences += len(found.words)
                outcomes[found.outcome][found.reason] += 1
    except InexactError as error:
        return Verified(partition, marker.origin, marker.position, impossible=str(error))
    totals = Totals(
        records=sum(outcome.total() for outcome in outcomes.values()),
        counted=outcomes["counted"].total(),
        words=occurrences,
        skipped=outcomes["skipped"],
        dead_lettered=outcomes["dead_lettered"],
    )
    return Verified(
        partition,
        marker.origin,
        marker.position,
        len(truth.keys() | rows.keys()),
        totals.records,
        occurrences,
        _differences({key: count for key, (count, _) in rows.items()}, truth),
        _differing_totals(marker.totals, totals),
    )


def _differences(counted: Mapping[str, int], truth: Mapping[str, int]) -> list[Difference]:
    return [
        Difference(word, counted.get(word, 0), truth.get(word, 0))
        for word in sorted(counted.keys() | truth.keys())
        if counted.get(word, 0) != truth.get(word, 0)
    ]


def _differing_totals(marker: Totals, recounted: Totals) -> str:
    return ", ".join(
        f"{name} {getattr(marker, name)} (recount {getattr(recounted, name)})"
        for name in ("records", "counted", "words", "skipped", "dead_lettered")
        if getattr(marker, name) != getattr(recounted, name)
    )
