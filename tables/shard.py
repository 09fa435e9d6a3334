"""One partition's counts: its pending window, its store, its place in the changelog. The rules of exactness live here.

A flush, in this order (ARCHITECTURE.md, "Rules"):

1. close the window, count it once, look old counts up, pack the new rows: in a thread; meanwhile compare the topics' ids;
2. append rows, then the marker, to the changelog, and wait until all of it is acknowledged; meanwhile stage the rows on disk;
3. the acknowledged offsets must continue where this shard had examined the changelog: a hole means that somebody else appended;
4. prove ownership by a group commit under a live membership;
5. write rows and position to the store, atomically; only then may readers and the cache know them.

Whatever goes wrong between 2 and 5 leaves the store as it was, and the way out is always the same: `restore`, which reads the
changelog from where it was examined, keeps of each word the row with the larger `upto`, takes the last marker as the position,
and appends again what compaction would otherwise lose. Positions then come from the store, never from the consumer group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

import msgspec

from tables.ahead import tally_beyond
from tables.errors import FlushUnknownError, PartitionsLostError
from tables.partition_store import PartitionStore, StagedRows
from tables.ports import PackedRecords, Result
from tables.positions import check_position, check_replaceable, is_of_changelog
from tables.replay import MergedRows, Replay
from tables.rows import Marker, StoreState, encode_marker, pack_rows, unpack_row
from tables.schema import MARKER_KEY, SLICE_ROWS
from tables.services import ShardServices
from tables.threads import cancel, release, to_the_end
from tables.vocabulary import CountCache, cache_of
from tables.windows import Int64Array, RecordBatch, Tally, Totals


class ForeignRecordsError(Exception):
    """Somebody else appended to this shard's changelog partition; `Shard.restore` adopts and heals."""


class ChangelogReplacedError(Exception):
    """The store is of a changelog that is gone; an empty store has to take its place."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush made durable."""

    rows: int
    totals: Totals
    batches: Sequence[RecordBatch]


@dataclass(frozen=True, slots=True)
class _Counted:
    """A window, counted: everything of a flush that needs no broker."""

    marker: Marker
    tally: Tally
    words: list[bytes]
    values: list[bytes]
    ids: Int64Array
    counts: Int64Array
    records: PackedRecords


class Shard:
    """Counts of one partition of the input topic.

    Args:
        partition: its number.
        store: the partition's, open.
        services: shared with the other shards.
    """

    def __init__(self, partition: int, store: PartitionStore, services: ShardServices) -> None:
        self.partition = partition
        self.store = store
        self.restored = False
        """Whether the store has been brought to the end of the changelog since it was opened."""
        self.pending: list[RecordBatch] = []
        self.pending_bytes = self.flushing_bytes = 0
        self.pending_since = 0.0
        self.next = self.position
        """Next offset to take in: the end of what is pending or being flushed."""
        self._services = services
        self._cache = CountCache(services.vocabulary.current(), complete=self.store.was_empty)
        self._ahead: dict[bytes, int] = {}
        self._leaving = Event()

    @property
    def position(self) -> int:
        """Next offset to count, durable."""
        return self.store.state.position

    @property
    def marker(self) -> Marker | None:
        return self.store.state.marker

    @property
    def readable(self) -> bool:
        """Whether the rows are those of exactly `[origin, position)`: restored, and no torn flush left to replay."""
        return self.restored and self.store.state.exact_position is not None

    @property
    def cache(self) -> CountCache:
        return self._cache

    def renew_cache(self) -> None:
        """Let go of a vocabulary that has grown too large. Not to be called while a flush is under way."""
        vocabulary = self._services.vocabulary.current()
        if self._cache.vocabulary is not vocabulary:
            self._cache = CountCache(vocabulary, complete=False)

    def add(self, batches: Sequence[RecordBatch]) -> bool:
        """Take in batches that follow `next`; what is below it is dropped.

        Returns:
            False where a batch begins beyond `next`: nothing from it on was taken, and the source has to seek to `next`.
        """
        for batch in batches:
            rest = batch.starting_at(self.next)
            if rest is None:
                continue
            if rest.first_offset != self.next:
                return False
            if not self.pending:
                self.pending_since = self._services.clock()
            self.pending.append(rest)
            self.pending_bytes += rest.byte_count
            self.next = rest.next_offset
        return True

    def drop_pending(self) -> None:
        """Forget what is not flushed; it is read again from `position`."""
        self.pending = []
        self.pending_bytes = 0
        self.next = self.position

    async def flush(self) -> Flushed:
        """Make everything pending durable. On any error `drop_pending` was done and nothing of the store has changed.

        Raises:
            PartitionsLostError: the partition belongs to somebody else.
            FlushUnknownError: the broker did not answer in time; `restore` finds out.
            ForeignRecordsError: `restore` has to adopt and heal.
            StoreCorruptedError, StoreFullError: from the store.
        """
        async with self._services.turns.to_flush(self.pending_bytes):
            try:
                return await self._flush()
            except BaseException:
                self.drop_pending()
                raise
            finally:
                self.flushing_bytes = 0

    async def _flush(self) -> Flushed:
        services = self._services
        checking = staging = None
        try:
            async with services.turns.to_count(self.pending_bytes):
                batches = self._close_window()
                services.ownership.check()
                checking = asyncio.create_task(self._check_topics())
                counted = await self._in_thread(self._count, batches)
            if counted.tally.dead_letters:
                await services.dead_letters.send(self.partition, counted.tally.dead_letters)
            staging = services.run(self.store.stage, counted.words, counted.values)
            await checking
            ranges = await services.changelog.append(self.partition, counted.records)
            examined = self._continued(ranges)
            await services.ownership.prove(self.partition, counted.marker.position)
            staged, staging = await asyncio.shield(staging), None
            await self._commit(staged, counted, examined)
        except BaseException:
            await cancel(checking)
            if staging is not None:
                (await staging).discard()
            raise
        return Flushed(len(counted.ids), counted.tally.totals, batches)

    def _close_window(self) -> Sequence[RecordBatch]:
        batches, self.pending = self.pending, []
        self.flushing_bytes, self.pending_bytes = self.pending_bytes, 0
        assert batches, "nothing to flush"
        return batches

    async def restore(self) -> int:
        """Bring the store to the end of the changelog, heal what others appended, and find the position.

        Returns:
            The number of rows that came from the changelog.

        Raises:
            InexactError: exact counts cannot go on from here; names topic, partition, offsets and the remedy.
            ChangelogReplacedError: they can, on an empty store.
            BrokerUnavailableError, FlushUnknownError: try again.
        """
        services = self._services
        end = await services.changelog.end_offset(self.partition)
        await self._check_store(end)
        replay = Replay(self.store, self.store.state)
        rows, examined = 0, -1
        # Until nothing is appended meanwhile: a row that compaction took away was replaced by one further down.
        while examined < end:
            rows += await self._in_thread(self._replay, replay, end)
            if replay.needs_healing():
                # Compaction keeps the latest record of a key, which is not the right one here: append the right one again.
                healing = await self._in_thread(self._heal, replay)
                await services.changelog.append(self.partition, healing)
                replay.healed()
            examined, end = end, await services.changelog.end_offset(self.partition)
        await self._find_position()
        await self._in_thread(self._find_rows_ahead)
        if not self._cache.complete:
            await self._in_thread(self._fill_cache)
        self._cache.position = self.store.state.exact_position
        self.drop_pending()
        self.restored = True
        return rows

    async def _check_topics(self) -> None:
        """See that what was read is of the topic that was counted so far, and what will be appended goes to its changelog.

        Ids never come back: the same id after a read is the id that it was read under.
        """
        services, marker = self._services, self.marker
        assert marker is not None, "flush before restore"
        for name, former_id, topic in (
            (services.topic, marker.topic_id, services.source),
            ("the changelog", marker.changelog_id, services.changelog),
        ):
            present_id = await topic.identity()
            if former_id != present_id:
                raise FlushUnknownError(f"{name} was created again (id {former_id}, now {present_id})")

    async def _check_store(self, end: int) -> None:
        """Raise where the store is not of the changelog that ends at `end`."""
        services, state = self._services, self.store.state
        changelog_id = await services.changelog.identity()
        if is_of_changelog(state, changelog_id, end):
            return
        check_replaceable(
            state,
            topic=services.topic,
            topic_id=await services.source.identity(),
            partition=self.partition,
            start=(await services.source.bounds(self.partition))[0],
            changelog_id=changelog_id,
            changelog_end=end,
        )
        raise ChangelogReplacedError(
            f"the changelog of {services.topic} partition {self.partition} was deleted or created again: "
            f"it ends at offset {end}, {state.changelog_next} was next to read"
        )

    async def _in_thread(self, function: Callable[..., Result], *arguments: object) -> Result:
        run = self._services.run if self.restored else self._services.run_long
        return await to_the_end(run(function, *arguments), self._leaving)

    def _count(self, batches: Sequence[RecordBatch]) -> _Counted:
        """The thread part of a flush that precedes the changelog."""
        services = self._services
        assert self.marker is not None, "flush before restore"
        position = batches[-1].next_offset
        tally = self._tally(batches)
        words = tally.word_list()
        self.renew_cache()
        ids = self._cache.vocabulary.ids(tally.words)
        counts = self._cache.old_counts(words, ids, self.store) + tally.counts
        values: list[bytes] = []
        for start in range(0, len(words), SLICE_ROWS):
            values += pack_rows(counts[start : start + SLICE_ROWS], position)
        marker = self.marker.advanced(position, tally.totals)
        records = services.changelog.pack([*words, MARKER_KEY], [*values, encode_marker(marker)])
        return _Counted(marker, tally, words, values, ids, counts, records)

    def _tally(self, batches: Sequence[RecordBatch]) -> Tally:
        """The tally of `batches` without what rows ahead of the position already contain."""
        if batches[0].first_offset >= self.store.state.ahead:
            return self._services.tally(batches)
        return tally_beyond(self._ahead, self._services.tally, batches)

    def _continued(self, ranges: Sequence[tuple[int, int]]) -> int:
        """The end of what was appended, if it follows what was examined without a hole."""
        expected = self.store.state.changelog_next
        for base, end in ranges:
            if base != expected:
                raise ForeignRecordsError(
                    f"changelog partition {self.partition}: appended at {base}, expected {expected}"
                )
            expected = end
        return expected

    async def _commit(self, staged: StagedRows, counted: _Counted, examined: int) -> None:
        position = counted.marker.position
        state = StoreState(
            marker=counted.marker, changelog_next=examined, ahead=max(self.store.state.ahead, position)
        )
        await self._in_thread(self._write, staged, counted, state)
        if position >= state.ahead:
            self._ahead = {}

    def _write(self, staged: StagedRows, counted: _Counted, state: StoreState) -> None:
        """Store and cache in one step: a flush that is cancelled meanwhile has brought both forward, or neither."""
        self.store.commit(staged, state)
        self._cache.update(counted.ids, counted.counts, self.store.state.exact_position)
        release(counted.words)
        release(counted.values)

    def _replay(self, replay: Replay, end: int) -> int:
        """Read the changelog up to `end` into the store; in a thread. Returns the rows written."""
        start = replay.examined
        assert end >= start, "a changelog that ends before what was examined is refused before"
        rows = 0
        for part in self._services.changelog.read(self.partition, start, end) if end > start else ():
            if self._leaving.is_set():
                raise PartitionsLostError(f"partition {self.partition} moved on while it was restored")
            replay.apply(part)
            if replay.full:
                rows += self._write_replayed(replay)
        replay.examined = max(replay.examined, end)
        return rows + self._write_replayed(replay, learn=rows == 0)

    def _write_replayed(self, replay: Replay, *, learn: bool = False) -> int:
        rows = replay.take()
        # A crash before the healing must find the foreign records again: they count as examined only once it is done.
        examined = self.store.state.changelog_next if replay.needs_healing() else replay.examined
        state = StoreState(marker=replay.marker, changelog_next=examined, ahead=replay.newest_upto)
        if len(rows) or state != self.store.state:
            self.store.commit(self.store.stage(rows.keys(), rows.values()), state)
        if learn and self._services.vocabulary.has_room(len(rows)):
            self._learn(rows)
        elif len(rows):
            # Learning costs as much as storing: of so many rows the cache is filled at the end, if it has room.
            self._cache = CountCache(self._services.vocabulary.current(), complete=False)
        return len(rows)

    def _learn(self, rows: MergedRows) -> None:
        self.renew_cache()
        self._cache.learn(rows.words, rows.rows[:, 0], self.store.state.exact_position)

    def _fill_cache(self) -> None:
        self._cache = cache_of(self.store, self._services.vocabulary, self._leaving) or self._cache

    def _heal(self, replay: Replay) -> PackedRecords:
        words = sorted(replay.stale)
        rows = self.store.get_many(words)
        keys, values = list(words), [row for row in rows if row is not None]
        assert len(keys) == len(values), "a stale word has a better row in the store"
        marker = replay.healed_marker()
        if marker is not None:
            keys.append(MARKER_KEY)
            values.append(encode_marker(marker))
        return self._services.changelog.pack(keys, values)

    async def _find_position(self) -> None:
        """Check the position against the input topic; a shard without one begins at the first record there is."""
        services, marker = self._services, self.marker
        topic_id, changelog_id = await services.source.identity(), await services.changelog.identity()
        start, end = await services.source.bounds(self.partition)
        if topic_id != await services.source.identity():
            raise FlushUnknownError(f"{services.topic} was created again while its offsets were asked for")
        if marker is None:
            marker = Marker(topic=services.topic, profile=services.profile, origin=start, position=start)
        check_position(
            marker,
            topic=services.topic,
            topic_id=topic_id,
            changelog_id=changelog_id,
            partition=self.partition,
            profile=services.profile,
            start=start,
            end=end,
        )
        marker = msgspec.structs.replace(marker, topic_id=topic_id, changelog_id=changelog_id)
        if marker != self.marker:
            state = self.store.state
            changelog_next = state.changelog_next if self.marker else await self._begin_changelog(marker)
            ahead = max(state.ahead, marker.position)
            state = StoreState(marker=marker, changelog_next=changelog_next, ahead=ahead)
            await self._in_thread(self.store.commit, StagedRows([], [], None), state)

    async def _begin_changelog(self, marker: Marker) -> int:
        """Say where counting begins before the first row: a torn first flush must not be continued from another origin."""
        records = self._services.changelog.pack([MARKER_KEY], [encode_marker(marker)])
        return self._continued(await self._services.changelog.append(self.partition, records))

    def _find_rows_ahead(self) -> None:
        self._ahead = {}
        if self.store.state.ahead > self.position:
            for word, value in self.store.rows():
                upto = unpack_row(value)[1]
                if upto > self.position:
                    self._ahead[word] = upto
