"""Counts against a recount from the log, while workers go on counting.

No worker is asked. A changelog partition, read up to any place, says itself which counts it claims: its last marker names the offsets
[origin, position) that all rows together cover, and each row the offset up to which it counts. Exactly that is counted again, by the
definition, record by record. In memory are the words of one partition at a time (about 300 bytes each).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from aiokafka import TopicPartition

from app.kafka.admin import connection
from app.recount import BROKER_TIMEOUT_S, Definition, reader, records, topic_offsets
from tables.changelog import KafkaChangelog
from tables.errors import ConfigurationError, InexactError
from tables.ports import ChangelogSlice
from tables.positions import check_position
from tables.producer import ReplaceableProducer
from tables.replay import MergedRows, Replay
from tables.rows import Marker, Owner, StoreState, unpack_row
from tables.schema import MARKER_KEY, changelog_topic
from tables.topic_ids import TopicDescription
from tables.windows import Totals

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Difference:
    """A word whose row is not what the log says."""

    word: str
    counted: int
    recounted: int


@dataclass(frozen=True, slots=True)
class Verified:
    """One partition, compared.

    Attributes:
        partition: its number.
        origin, position: the counts are of offsets [origin, position).
        words: distinct words that were compared.
        records, occurrences: of the recount.
        differences: words in byte order; empty where all rows are right.
        totals: what the marker says and the recount does not, or the other way round; "" = they agree.
        impossible: why it could not be compared; "" = it was.
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


async def verify(settings: Settings, word: str | None = None) -> AsyncIterator[Verified]:
    """Compare partition after partition.

    Args:
        settings: name topic and group, and say what a word is.
        word: compare only this one, as the profile reads it; None = all words.

    Raises:
        BrokerUnavailableError: no answer.
        ConfigurationError: there is no such topic, or no changelog of this group.
        InexactError: the changelog is not one.
    """
    topic = changelog_topic(settings.group, settings.topic)
    owner = Owner(settings.group, settings.topic)
    async with topic_offsets(settings) as offsets, reader(settings) as consumer:
        scope = _Scope(
            settings,
            Definition(settings),
            consumer,
            await offsets.describe(settings.topic),
            await offsets.describe(topic),
        )
        if word is not None:
            word = scope.definition.word(word)
        for name, description in ((settings.topic, scope.input), (topic, scope.changelog)):
            if not description.partitions:
                raise ConfigurationError(
                    f'there is no topic "{name}"',
                    "set WORDCOUNT_TOPIC and WORDCOUNT_GROUP as the workers have them",
                )
        producer = ReplaceableProducer(connection(settings), BROKER_TIMEOUT_S)
        changelog = KafkaChangelog(topic, connection(settings), producer, offsets, _never)
        for partition in range(scope.input.partitions):
            if partition >= scope.changelog.partitions:
                yield Verified(partition)
                continue
            _, end = await offsets.bounds(topic, partition)
            marker, rows = await asyncio.to_thread(_replayed, changelog, owner, partition, end, word)
            start, input_end = await offsets.bounds(settings.topic, partition)
            if marker is None:
                # Nothing but a first flush that is not complete yet can be there: no count is claimed.
                yield Verified(partition)
            elif problem := _problem(scope, partition, marker, rows, start=start, end=input_end):
                yield Verified(partition, marker.origin, marker.position, impossible=problem)
            else:
                yield await _compared(scope, partition, marker, rows, word)


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is the same for all partitions."""

    settings: Settings
    definition: Definition
    consumer: AIOKafkaConsumer
    input: TopicDescription
    changelog: TopicDescription


class NoRows:
    """The store of a replay that begins with nothing."""

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        return [None] * len(words)


def _replayed(
    changelog: KafkaChangelog, owner: Owner, partition: int, end: int, word: str | None
) -> tuple[Marker | None, MergedRows]:
    replay = Replay(NoRows(), StoreState(marker=None, changelog_next=0, ahead=0), owner)
    wanted = None if word is None else word.encode()
    for part in changelog.read(partition, 0, end) if end else ():
        replay.apply(part if wanted is None else _only(part, wanted))
    return replay.marker, replay.take()


def _only(part: ChangelogSlice, word: bytes) -> ChangelogSlice:
    kept = pc.is_in(part.keys, value_set=pa.array([word, MARKER_KEY], pa.binary()))
    return ChangelogSlice(part.keys.filter(kept), part.values.filter(kept), part.next_offset)


def _problem(
    scope: _Scope, partition: int, marker: Marker, merged: MergedRows, *, start: int, end: int
) -> str:
    """Why the marker's counts cannot be counted again; "" = they can."""
    topic = scope.settings.topic
    last = max(marker.position, int(merged.rows[:, 1].max(initial=0)))
    where = f"{topic} partition {partition}"
    try:
        check_position(
            marker,
            topic=topic,
            group=scope.settings.group,
            topic_id=scope.input.topic_id,
            changelog_id=scope.changelog.topic_id,
            partition=partition,
            profile=scope.definition.identity,
            start=start,
            end=end,
        )
    except InexactError as error:
        return str(error)
    if start > marker.origin:
        return f"{where}: records {marker.origin} to {start - 1} were counted, and have expired since"
    return f"{where} ends at offset {end}, but a row counts up to {last}: truncated" if end < last else ""


async def _compared(
    scope: _Scope, partition: int, marker: Marker, merged: MergedRows, word: str | None
) -> Verified:
    rows = {
        key.decode(): unpack_row(value) for key, value in zip(merged.keys(), merged.values(), strict=True)
    }
    ahead = {key: upto for key, (_, upto) in rows.items() if upto > marker.position}
    tp, last = TopicPartition(scope.settings.topic, partition), max([marker.position, *ahead.values()])
    truth: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = {
        "counted": Counter(),
        "skipped": Counter(),
        "dead_lettered": Counter(),
    }
    occurrences = 0
    try:
        async for offset, value in records(scope.consumer, tp, marker.origin, last):
            found = scope.definition(value)
            words = found.words if word is None else [one for one in found.words if one == word]
            truth.update(one for one in words if offset < ahead.get(one, marker.position))
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


async def _never() -> None:
    raise AssertionError("verification creates nothing")
