"""Flush of one partition: its buffer, its store, its place in the changelog, and the order of the steps.

`Shard.flush` takes the steps that ARCHITECTURE.md numbers under "Rules of exactness":

1. *Check*: the membership is live.
2. *Count*: in a thread, count the closed buffer once, look up the old counts, and pack the new rows. Send dead letters.
3. *Append*: compare the ids of the topics; append rows, then the marker, to the changelog, and wait until all are acknowledged.
   Meanwhile stage the rows on disk.
4. *Continue*: the acknowledged offsets begin where this shard had examined the changelog. A hole means that another process appended.
5. *Prove*: commit the position to the consumer group under a live membership.
6. *Commit*: write rows and state to the store in one atomic write. Only then do the cache and readers know the rows.

A failure in the steps 3 to 6 leaves the store as it was. The only way out is a restore (`tables.partitions.restore`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event

import structlog

from tables.cache.counts import CountCache
from tables.cache.pane_counts import PaneCaches
from tables.errors import FlushUnknownError, ForeignRecordsError
from tables.model.names import FORMAT_VERSION
from tables.model.records import RecordBatch
from tables.model.rows import Marker, StoreState
from tables.pace.turns import Turn
from tables.partitions.changes import Change, Flushed
from tables.partitions.counting import BufferCount, Counted
from tables.partitions.expiry import NOTHING_EXPIRED, Expiry
from tables.partitions.restore_progress import RestoreProgress
from tables.partitions.served_rows import ServedRows
from tables.partitions.services import ShardServices
from tables.partitions.waiting import cancel, finish_despite_cancel
from tables.partitions.window_log import log_windows
from tables.ports import CountedRows, Result
from tables.store.partition_store import PartitionStore, StagedRows
from tables.threads import beside_the_loop
from tables.top.leaders import PartitionLeaders

_log = structlog.get_logger(__name__)


class Shard:
    """Buffers and counts the records of one partition of the input topic.

    Args:
        partition: number of the partition.
        store: open store of the partition.
        services: what this shard shares with the other shards of the process.
        leaders: see `ServedRows`.
    """

    def __init__(
        self,
        partition: int,
        store: PartitionStore,
        services: ShardServices,
        leaders: PartitionLeaders | None = None,
    ) -> None:
        self.partition = partition
        self.store = store
        self.restored = False
        """Whether the store has been brought to the end of the changelog since it was opened."""
        self.buffer: list[RecordBatch] = []
        self.buffered_bytes = self.flushing_bytes = 0
        self.buffered_since = 0.0
        self.next = self.position
        """Next source offset to take in: the end of the buffer and of a flush under way."""
        self.services = services
        # Not "was empty when it was opened": a follower may have written to the store since.
        self.cache = CountCache(services.vocabulary.current, complete=not store.state.has_rows)
        self.panes = PaneCaches(services.vocabulary.current)
        self.expiry = Expiry(store)
        self.served = ServedRows(store, lambda: self.cache, leaders, lambda: self.panes)
        self.uptos_ahead: dict[bytes, int] = {}
        """The `upto` of each row that is ahead of the position."""
        self.leaving = Event()
        """Set to ask the thread that works for this shard to end early."""
        self.progress = RestoreProgress()
        """Progress of the last restore."""
        self.unsettled_s = 0.0
        """When the marker of the unsettled flush was sent; infinity = it is not sent yet, -infinity = it may come at any time."""
        self.unsettled: Flushed | None = None
        """A flush that was sent to the changelog and is not in the store yet; a restore learns whether the changelog has it."""

    @property
    def position(self) -> int:
        """Next source offset to count, as the store has it."""
        return self.store.state.position

    @property
    def marker(self) -> Marker | None:
        """Marker of the last flush in the store; None before the first flush or restore."""
        return self.store.state.marker

    @property
    def examined(self) -> int:
        """Next changelog offset to read: the store's offset, or the offset of the last restore if that is larger."""
        return max(self.store.state.examined, self.progress.examined)

    @property
    def readable(self) -> bool:
        """Whether readers may be answered: the store was restored, and its rows are those of exactly `[origin, position)`."""
        return self.restored and self.store.state.exact_position is not None

    def rebuilt(self, store: PartitionStore) -> Shard:
        """Return a new shard of this partition on the empty `store`. An unsettled flush stays unsettled: the changelog may have it."""
        shard = Shard(self.partition, store, self.services)
        shard.unsettled = self.unsettled
        return shard

    def renew_cache(self) -> None:
        """Replace the vocabulary if it is due, and start an empty cache if the vocabulary changed. Never call this during a flush."""
        self.services.vocabulary.renew()
        vocabulary = self.services.vocabulary.current
        if self.cache.vocabulary is not vocabulary:
            self.cache = CountCache(vocabulary, complete=False)
        self.panes.renew(vocabulary)

    def add(self, batches: Sequence[RecordBatch]) -> bool:
        """Append `batches` to the buffer. Records below the offset `next` are dropped.

        Returns:
            False if a batch begins beyond `next`: neither that batch nor a later one was taken; the source has to seek to `next`.
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
        """Forget the records that are not flushed. The source has to deliver them again, from `position` on."""
        self.buffer = []
        self.buffered_bytes = 0
        self.next = self.position

    @property
    def is_clearing(self) -> bool:
        """Whether a flush of an empty buffer is wanted, because the store may have rows that count no longer.

        Not while a flush of records is unsettled: the next flush of records settles it.
        """
        return self.expiry.has_more and not self.uptos_ahead and self.unsettled is None

    def look_for_expired(self) -> None:
        """Let the next flushes remove the rows that count no longer by the marker."""
        if (marker := self.marker) is not None and marker.version != FORMAT_VERSION:
            self.expiry.look_again(marker)

    async def flush(self) -> None:
        """Make the buffer durable, remove some expired rows, and publish the flush to `services.changes`.

        On any error the buffer is dropped, and its records have to be read again from `position`. The store is as it was. A flush that
        is cancelled during the write to the store is there completely, or not at all.

        Raises:
            PartitionsLostError: the partition belongs to another process.
            FlushUnknownError: the broker did not answer in time, or a topic was created again; a restore examines the changelog.
            ForeignRecordsError: another process appended to the changelog; a restore adopts its records and heals the changelog.
            StoreCorruptedError, StoreFullError, StoreUnavailableError: the store cannot be read or written.
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
            staging = asyncio.ensure_future(
                services.run(self.store.stage, counted.rows.key_column(), counted.rows.value_column())
            )
            await checking
            flushed = Flushed(
                counted.marker,
                len(counted.ids),
                len(counted.rows),
                len(counted.panes),
                counted.new_ids,
                counted.tally.totals,
                batches,
                begun_s,
            )
            # The marker of a former flush that failed may come at any time.
            self.unsettled_s = math.inf if self.unsettled is None else -math.inf
            self.unsettled = flushed
            ranges = await services.changelog.append(
                self.partition, counted.records, partial(self._before_marker, staging)
            )
            examined = self.continued(ranges)
            await services.ownership.prove(self.partition, counted.marker.position)
            staged, staging = await asyncio.shield(staging), None
            await self._commit(staged, counted, examined, flushed)
        except BaseException:
            self.unsettled_s = -math.inf
            # The flush may be cancelled again during the clean-up, by a suspension whose time is over.
            await finish_despite_cancel(_clean_up(checking, staging))
            raise

    async def _before_marker(self, staging: asyncio.Future[StagedRows]) -> None:
        """Wait until the rows are staged, so that the time from the marker to the commit is short."""
        await asyncio.shield(staging)
        self.unsettled_s = min(self.unsettled_s, self.services.clock())

    def _close_buffer(self) -> Sequence[RecordBatch]:
        batches, self.buffer = self.buffer, []
        self.flushing_bytes, self.buffered_bytes = self.buffered_bytes, 0
        return batches

    async def _check_topics(self) -> None:
        """Check that input topic and changelog still have the ids of the marker, so that neither topic was created again.

        No topic gets the id of a deleted topic. So an id that is equal before and after a read did not change during the read.

        Raises:
            FlushUnknownError: one of the topics has another id.
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
        """Run `function` in a thread and return its result. The thread has always ended when this method returns or raises."""
        if not self.restored:
            return await self.in_long_thread(function, *arguments)
        return await finish_despite_cancel(self.services.run(function, *arguments), self.leaving)

    async def in_long_thread(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Do what `in_thread` does, in one of the threads for work that takes long."""
        return await finish_despite_cancel(self.services.run_long(function, *arguments), self.leaving)

    @beside_the_loop
    def _count(self, batches: Sequence[RecordBatch]) -> Counted:
        """Count `batches` on top of what the store has (step 2 of a flush)."""
        marker = self.marker
        assert marker is not None, "flush before restore"
        self.renew_cache()
        buffer = BufferCount(self.store, self.services, self.cache, self.panes, self.uptos_ahead)
        # A row ahead may be of a jump that the marker does not know yet.
        may_clear = marker.version != FORMAT_VERSION and not self.uptos_ahead
        return buffer.count(marker, batches, self.expiry.find(marker) if may_clear else NOTHING_EXPIRED)

    def continued(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Check that appended records continue the examined part of the changelog (step 4 of a flush).

        Args:
            ranges: (base offset, offset after the last record) of each appended batch, in order.

        Returns:
            The changelog offset after the last appended record.

        Raises:
            ForeignRecordsError: there is a hole, so that another process appended.
        """
        expected = self.store.state.examined
        for base, end in ranges:
            if base != expected:
                raise ForeignRecordsError(
                    f"changelog partition {self.partition}: appended at {base}, expected {expected}"
                )
            expected = end
        return expected

    async def _commit(self, staged: StagedRows, counted: Counted, examined: int, flushed: Flushed) -> None:
        position, before = counted.marker.position, self.marker
        state = StoreState(
            marker=counted.marker, examined=examined, max_upto=max(self.store.state.max_upto, position)
        )
        try:
            writing = self.services.run_commit(self._write, staged, counted, state)
            await finish_despite_cancel(writing, self.leaving)
        finally:
            if self.marker is counted.marker:
                # A flush that was cancelled during the write is published too, because its rows are durable.
                self.unsettled = None
                if self.uptos_ahead and position >= state.max_upto:
                    self.uptos_ahead = {}
                    self.panes.restored(counted.marker.windows, exact=True)
                self.services.changes.publish(Change(self.partition, position, flushed))
                log_windows(self.partition, before.windows if before else None, counted.marker.windows)

    @beside_the_loop
    def _write(self, staged: StagedRows, counted: Counted, state: StoreState) -> None:
        """Write to the store and then to the cache in one call, so that a cancelled flush has changed both or neither."""

        def commit() -> None:
            self.served.commit(
                staged,
                state,
                counted.tally.words,
                counted.counts,
                cleared=counted.cleared,
                notes=counted.notes,
            )
            self.cache.update(counted.ids, counted.counts, self.store.state.exact_position)
            self._update_panes(counted)

        if (witness := self.services.witness) is None:
            commit()
        else:
            words = counted.tally.word_list()
            rows = CountedRows(counted.batches, words, counted.tally.counts, counted.counts)
            witness(self.partition, rows, commit)

    def _update_panes(self, counted: Counted) -> None:
        for one in counted.panes:
            self.panes.update(one.pane, one.ids, one.counts)
        if (windows := counted.marker.windows) is not None:
            self.panes.trim(windows, self.services.memory.bounds.pane_counts)
        self.panes.settle(self.store.state.exact_position)


async def _clean_up(checking: asyncio.Task[None] | None, staging: asyncio.Future[StagedRows] | None) -> None:
    """End the check of the topics and the staging of rows that a failed flush has begun; None = not begun."""
    await cancel(checking)
    if staging is not None:
        await _discard(staging)


async def _discard(staging: asyncio.Future[StagedRows]) -> None:
    """Wait for the staged rows of a failed flush and discard them. An error of the staging is logged for debugging only."""
    try:
        staged = await finish_despite_cancel(staging)
    except Exception as error:  # noqa: BLE001 - the flush has failed already, and its own error is reported
        _log.debug("rows of a flush that failed could not be staged", reason=str(error))
    else:
        staged.discard()
