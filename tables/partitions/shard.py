"""One partition's counts: its buffer, its store, its place in the changelog, and the order of a flush.

`Shard.flush` takes the steps that ARCHITECTURE.md numbers under "Rules of exactness":

1. *Check*: the membership is live.
2. *Count*: close the buffer, count it once, look old counts up, pack the new rows, in a thread. Send dead letters.
3. *Append*: compare the ids of the topics; append rows, then the marker, to the changelog, and wait until all of it is acknowledged.
   Meanwhile stage the rows on disk.
4. *Continue*: the acknowledged offsets continue where this shard had examined the changelog. A hole means that somebody else appended.
5. *Prove*: commit the position to the consumer group under a live membership.
6. *Commit*: write rows and position to the store, atomically. Only then do readers and the cache know them.

Whatever goes wrong between 3 and 6 leaves the store as it was, and the way out is always `tables.partitions.restore`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import structlog

from tables.cache.counts import CountCache
from tables.errors import FlushUnknownError, ForeignRecordsError
from tables.model.names import MARKER_KEY
from tables.model.partial_replay import tally_beyond
from tables.model.records import Int64Array, RecordBatch
from tables.model.rows import Marker, StoreState, encode_marker, pack_rows
from tables.model.slices import SLICE_ROWS, release
from tables.model.tally import Tally
from tables.pace.turns import Turn
from tables.partitions.changes import Change, Flushed
from tables.partitions.restore_progress import RestoreProgress
from tables.partitions.served_rows import ServedRows
from tables.partitions.services import ShardServices
from tables.partitions.waiting import cancel, to_the_end
from tables.ports import CountedRows, Result
from tables.store.partition_store import PartitionStore, StagedRows
from tables.threads import beside_the_loop

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A buffer, counted: everything of a flush that needs no broker."""

    marker: Marker
    tally: Tally
    words: list[bytes]
    values: list[bytes]
    ids: Int64Array
    counts: Int64Array
    records: Any
    batches: Sequence[RecordBatch]


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
        self.buffer: list[RecordBatch] = []
        self.buffered_bytes = self.flushing_bytes = 0
        self.buffered_since = 0.0
        self.next = self.position
        """Next offset to take in: the end of what is buffered or being flushed."""
        self.services = services
        self.cache = CountCache(services.vocabulary.current, complete=self.store.was_empty)
        self.served = ServedRows(store, lambda: self.cache)
        self.uptos_ahead: dict[bytes, int] = {}
        """The `upto` of each row that is ahead of the position."""
        self.leaving = Event()
        """Set while whoever waits for a thread of this shard wants it to end early."""
        self.progress = RestoreProgress()
        """Of the last restore."""
        self.in_doubt: Flushed | None = None
        """What was appended to the changelog without becoming durable here: a restore finds out."""

    @property
    def position(self) -> int:
        """Next offset to count, durable."""
        return self.store.state.position

    @property
    def marker(self) -> Marker | None:
        return self.store.state.marker

    @property
    def examined(self) -> int:
        """Next changelog offset to read: that of the store, or of a restore that is further."""
        return max(self.store.state.examined, self.progress.examined)

    @property
    def readable(self) -> bool:
        """Whether the rows are those of exactly `[origin, position)`: restored, and no torn flush left to replay."""
        return self.restored and self.store.state.exact_position is not None

    def rebuilt(self, store: PartitionStore) -> Shard:
        """The same partition on an empty store. What is in doubt stays so: the changelog may have it."""
        shard = Shard(self.partition, store, self.services)
        shard.in_doubt = self.in_doubt
        return shard

    def renew_cache(self) -> None:
        """Let go of a vocabulary that has grown too large. Not to be called while a flush is under way."""
        self.services.vocabulary.renew()
        vocabulary = self.services.vocabulary.current
        if self.cache.vocabulary is not vocabulary:
            self.cache = CountCache(vocabulary, complete=False)

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
            if not self.buffer:
                self.buffered_since = self.services.clock()
            self.buffer.append(rest)
            self.buffered_bytes += rest.byte_count
            self.next = rest.next_offset
        return True

    def drop_buffer(self) -> None:
        """Forget what is not flushed; it is read again from `position`."""
        self.buffer = []
        self.buffered_bytes = 0
        self.next = self.position

    async def flush(self) -> None:
        """Make the buffer durable, and tell it to `services.changes`.

        On any error the buffer is dropped: it is read again from `position`. The store is as it was, but for a flush that was
        cancelled while the store was written: then it has all of it, or nothing.

        Raises:
            PartitionsLostError: the partition belongs to somebody else.
            FlushUnknownError: the broker did not answer in time; `restore` finds out.
            ForeignRecordsError: `restore` has to adopt and heal.
            StoreCorruptedError, StoreFullError, StoreUnavailableError: from the store.
        """
        try:
            async with self.services.turns.turn(lambda: self.buffered_bytes) as turn:
                await self._flush(turn)
        except BaseException:
            self.drop_buffer()
            raise
        finally:
            self.flushing_bytes = 0

    async def _flush(self, turn: Turn) -> None:
        services, begun_s = self.services, self.services.clock()
        checking = staging = None
        try:
            batches = self._close_buffer()
            services.ownership.check()
            checking = asyncio.create_task(self._check_topics())
            counted = await self.in_thread(self._count, batches)
            turn.counted()
            if counted.tally.dead_letters:
                await services.dead_letters.send(self.partition, counted.tally.dead_letters)
            staging = asyncio.ensure_future(services.run(self.store.stage, counted.words, counted.values))
            await checking
            flushed = Flushed(counted.marker, len(counted.ids), counted.tally.totals, batches, begun_s)
            self.in_doubt = flushed
            ranges = await services.changelog.append(self.partition, counted.records)
            examined = self.continued(ranges)
            await services.ownership.prove(self.partition, counted.marker.position)
            staged, staging = await asyncio.shield(staging), None
            await self._commit(staged, counted, examined, flushed)
        except BaseException:
            # It may be cancelled again meanwhile, by a suspension that does not wait any longer.
            await to_the_end(_clean_up(checking, staging))
            raise

    def _close_buffer(self) -> Sequence[RecordBatch]:
        batches, self.buffer = self.buffer, []
        self.flushing_bytes, self.buffered_bytes = self.buffered_bytes, 0
        assert batches, "nothing to flush"
        return batches

    async def _check_topics(self) -> None:
        """See that what was read is of the topic that was counted so far, and what will be appended goes to its changelog.

        Ids never come back: the same id after a read is the id that it was read under.
        """
        services, marker = self.services, self.marker
        assert marker is not None, "flush before restore"
        for name, former_id, topic in (
            (services.topic, marker.topic_id, services.source),
            ("the changelog", marker.changelog_id, services.changelog),
        ):
            present_id = await topic.identity()
            if former_id != present_id:
                raise FlushUnknownError(f"{name} was created again (id {former_id}, now {present_id})")

    async def in_thread(self, function: Callable[..., Result], *arguments: object) -> Result:
        """The result of `function`, which runs beside the event loop and is waited for whatever happens."""
        run = self.services.run if self.restored else self.services.run_long
        return await to_the_end(run(function, *arguments), self.leaving)

    @beside_the_loop
    def _count(self, batches: Sequence[RecordBatch]) -> _Counted:
        """The thread part of a flush that precedes the changelog."""
        services = self.services
        assert self.marker is not None, "flush before restore"
        position = batches[-1].next_offset
        tally = self._tally(batches)
        words = tally.word_list()
        self.renew_cache()
        ids = self.cache.vocabulary.ids(tally.words)
        counts = self.cache.old_counts(words, ids, self.store) + tally.counts
        values: list[bytes] = []
        for start in range(0, len(words), SLICE_ROWS):
            values += pack_rows(counts[start : start + SLICE_ROWS], position)
        marker = self.marker.advanced(position, tally.totals)
        records = services.changelog.pack([*words, MARKER_KEY], [*values, encode_marker(marker)])
        return _Counted(marker, tally, words, values, ids, counts, records, batches)

    def _tally(self, batches: Sequence[RecordBatch]) -> Tally:
        """The tally of `batches` without what rows ahead of the position already contain."""
        if batches[0].first_offset >= self.store.state.max_upto:
            return self.services.tally(batches)
        return tally_beyond(self.uptos_ahead, self.services.tally, batches)

    def continued(self, ranges: Sequence[tuple[int, int]]) -> int:
        """The end of what was appended, if it follows what was examined without a hole. Raises ForeignRecordsError."""
        expected = self.store.state.examined
        for base, end in ranges:
            if base != expected:
                raise ForeignRecordsError(
                    f"changelog partition {self.partition}: appended at {base}, expected {expected}"
                )
            expected = end
        return expected

    async def _commit(self, staged: StagedRows, counted: _Counted, examined: int, flushed: Flushed) -> None:
        position = counted.marker.position
        state = StoreState(
            marker=counted.marker, examined=examined, max_upto=max(self.store.state.max_upto, position)
        )
        try:
            await self.in_thread(self._write, staged, counted, state)
        finally:
            if self.marker is counted.marker:
                # Also where the flush was cancelled meanwhile: what is durable is told.
                self.in_doubt = None
                if position >= state.max_upto:
                    self.uptos_ahead = {}
                self.services.changes.publish(Change(self.partition, position, flushed))

    @beside_the_loop
    def _write(self, staged: StagedRows, counted: _Counted, state: StoreState) -> None:
        """Store and cache in one step: a flush that is cancelled meanwhile has brought both forward, or neither."""

        def commit() -> None:
            self.served.commit(staged, state, counted.tally.words, counted.counts)
            self.cache.update(counted.ids, counted.counts, self.store.state.exact_position)

        if (witness := self.services.witness) is None:
            commit()
        else:
            rows = CountedRows(counted.batches, counted.words, counted.tally.counts, counted.counts)
            witness(self.partition, rows, commit)
        release(counted.words)
        release(counted.values)


async def _clean_up(checking: asyncio.Task[None] | None, staging: asyncio.Future[StagedRows] | None) -> None:
    """End what a flush that failed has begun."""
    await cancel(checking)
    if staging is not None:
        await _discard(staging)


async def _discard(staging: asyncio.Future[StagedRows]) -> None:
    """Wait for rows that nobody wants any more and forget them. Why they could not be staged matters no more either."""
    try:
        staged = await to_the_end(staging)
    except Exception as error:  # noqa: BLE001 - the flush has failed before, and its reason is what counts
        _log.debug("rows of a flush that failed could not be staged", reason=str(error))
    else:
        staged.discard()
