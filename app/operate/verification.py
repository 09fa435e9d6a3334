"""Verification: the counts in the changelog are compared with a recount of the input topic, while workers continue to count.

No worker is asked. The records of a changelog partition up to any offset say which input they count: the last marker names the offsets
[origin, position) that all rows together cover, and each row names the offset up to which it counts. Exactly these offsets are counted
again, record by record, by `app.operate.recount.Definition`. Only the words of one partition at a time are in memory (about 300 bytes
each). Windows are compared by `app.operate.window_verification`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from app.kafka.clients import changelog_reader, rights_of, topic_offsets
from app.operate.compared_topics import (
    ComparedTopics,
    InputReader,
    check_topics,
    empty_replay,
    parted,
    selected,
)
from app.operate.recount import REPEATED, Definition
from app.operate.repeat_recount import RepeatRecount
from app.operate.window_verification import VerifiedWindows, verified_windows
from tables.errors import ConfigurationError, InexactError, WordcountError
from tables.kafka.rights import Right
from tables.model.names import MARKER_KEY
from tables.model.replay import MergedRows
from tables.model.rows import Marker, unpack_row
from tables.model.tally import Totals

if TYPE_CHECKING:
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
        windows: result of comparing the counts of windows; None = they were not compared.
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
    windows: VerifiedWindows | None = None

    @property
    def differs(self) -> bool:
        """Whether the counts of words differ, or the totals."""
        return bool(self.differences or self.totals)

    @property
    def is_wrong(self) -> bool:
        """Whether anything that was compared differs."""
        return self.differs or (self.windows is not None and self.windows.differs)

    @property
    def is_incomplete(self) -> bool:
        """Whether something could not be compared."""
        return bool(self.impossible) or (self.windows is not None and bool(self.windows.impossible))


async def verify(
    settings: Settings, word: str | None = None, *, windows: bool = False
) -> AsyncGenerator[Verified]:
    """Compare one partition after the other, and yield each result.

    Args:
        settings: topic and group, and the definition of a word.
        word: compare only the count of this word, after it is normalised as the profile does; None = all words.
        windows: whether the counts of windows are compared, too.

    Raises:
        BrokerUnavailableError: no broker answers any more. If only one partition cannot be read, its `Verified` says so instead.
        ConfigurationError: topic or changelog does not exist, or this user may not read it.
    """
    changelog = settings.topics.changelog
    await check_topics(settings)
    async with topic_offsets(settings) as offsets, AsyncExitStack() as stack:
        topics = ComparedTopics(
            settings,
            Definition(settings),
            InputReader(settings),
            changelog_reader(settings, changelog),
            offsets,
            await offsets.describe(settings.topic),
            await offsets.describe(changelog),
        )
        stack.push_async_callback(topics.source.close)
        if word is not None:
            word = topics.definition.word(word)
        for partition in range(topics.input.partitions):
            found, failed = Verified(partition), False
            try:
                found = await _verified(topics, partition, word)
                if windows and found.origin < found.position:
                    found = replace(found, windows=await verified_windows(topics, partition, word))
            except ConfigurationError:
                raise
            except Exception as error:
                if denied := rights_of(settings).denied(error, Right("Read", "topic", settings.topic)):
                    raise denied from error
                found, failed = _failed(found, _reason(error)), True
            yield found
            if failed:
                await topics.source.close()
                # This raises an error if no broker answers, and not only the brokers of this partition.
                await offsets.describe(changelog)


async def _verified(topics: ComparedTopics, partition: int, word: str | None) -> Verified:
    marker, rows = None, None
    if end := await topics.changelog_end(partition):
        marker, rows = await asyncio.to_thread(_replayed, topics, partition, end, word)
    now = await topics.input_now(partition)
    if marker is None or rows is None or marker.position == marker.origin:
        # The changelog claims no count. If it holds rows, they belong to a first flush that is not complete.
        waiting = (
            f"nothing is counted yet, and offsets {now.start} to {now.end} (exclusive) wait"
            if now.start < now.end
            else ""
        )
        origin = now.start if marker is None else marker.origin
        return Verified(partition, origin, origin, impossible=waiting)
    last = max(marker.position, int(rows.rows[:, 1].max(initial=0)))
    if problem := topics.problem(now, marker, marker.origin, last):
        return Verified(partition, marker.origin, marker.position, impossible=problem)
    return await _compared(topics, partition, marker, rows, word)


def _failed(found: Verified, reason: str) -> Verified:
    """Return the result of a partition of which no more could be read than is in `found`."""
    if found.origin < found.position:
        return replace(found, windows=VerifiedWindows(impossible=reason))
    return replace(found, impossible=reason)


def _reason(error: Exception) -> str:
    """Return why a partition could not be read, on one line."""
    return str(error) if isinstance(error, WordcountError) else f"the partition cannot be read ({error!r})"


def _replayed(
    topics: ComparedTopics, partition: int, end: int, word: str | None
) -> tuple[Marker | None, MergedRows]:
    replay = empty_replay(topics.owner)
    wanted = None if word is None else pa.array([word.encode(), MARKER_KEY], pa.binary())
    for part in topics.reader.read(partition, 0, end):
        words, _ = parted(part)
        replay.apply(words if wanted is None else selected(words, pc.is_in(words.keys, value_set=wanted)))
    return replay.marker, replay.take()


async def _compared(
    topics: ComparedTopics, partition: int, marker: Marker, merged: MergedRows, word: str | None
) -> Verified:
    rows = {
        key.decode(): unpack_row(value) for key, value in zip(merged.keys(), merged.values(), strict=True)
    }
    uptos_ahead = {key: upto for key, (_, upto) in rows.items() if upto > marker.position}
    last = max([marker.position, *uptos_ahead.values()])
    truth: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = {
        "counted": Counter(),
        "skipped": Counter(),
        "dead_lettered": Counter(),
    }
    occurrences, repeats = 0, RepeatRecount(marker.ids)
    try:
        async for offset, value, _, record_id in topics.source.records(partition, marker.origin, last):
            found = REPEATED if repeats.is_repeat(record_id) else topics.definition(value)
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
