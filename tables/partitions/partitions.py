"""Partitions of this process: assignment, rebalance, intake of records, and what readers and metrics are told of each partition.

A partition is *active* where this process owns it, and a *standby* where this process follows it, ready to take it over.

All methods run on the event loop unless their docstring says otherwise. Before each poll the source calls `choose_for_poll` and
fetches only the partitions that were chosen. This is the back-pressure (ADR 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import structlog

from tables.errors import (
    BrokerUnavailableError,
    InexactError,
    StoreCorruptedError,
    WordcountError,
)
from tables.model.records import RecordBatch
from tables.observer import Observer, PartitionState
from tables.pace.policy import FlushPolicy
from tables.partitions.actions import Actions
from tables.partitions.changes import Change, Changes
from tables.partitions.followers import Followers
from tables.partitions.intake import Intake
from tables.partitions.life import Event, State
from tables.partitions.owned_partition import OwnedPartition
from tables.partitions.restore_progress import Progress
from tables.partitions.services import ShardServices
from tables.partitions.shard import Shard
from tables.store.stores import Stores

_log = structlog.get_logger(__name__)


class Partitions:
    """Owns some partitions of the input topic and counts their records; follows some others.

    Args:
        folder: state folder, which holds one store per partition.
        services: what the shards of this process share.
        policy: when to flush, and how much to buffer.
        observer: receives flushes, restores and changes of state.
        on_fatal: called with an error after which the process must end.

    Attributes:
        followers: the standbys.
    """

    def __init__(
        self,
        folder: Path,
        services: ShardServices,
        policy: FlushPolicy,
        observer: Observer,
        *,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._stores = Stores(folder)
        self._services = services
        self._policy = policy
        self._observer = observer
        self._on_fatal = on_fatal
        self._intake = Intake(policy.near_offsets, policy.total_bytes)
        self._actions = Actions(self._stores, services, policy, observer, on_fatal=on_fatal)
        self.followers = Followers(self._stores, services.for_followers(), on_fatal=on_fatal)
        self._partitions: dict[int, OwnedPartition] = {}
        self._changing = asyncio.Lock()
        """Held while the set of partitions changes: after SIGTERM, `close` may be called while `assign` opens stores."""
        self._closed = False
        self._suspended_s: float | None = None
        """When the last assignment ended, on the clock of the services; None = it stands, or there was none."""
        services.memory.follow(self._intake, self._actions.buffer_size, services.vocabulary, self._stores)
        services.changes.subscribe(self._changed)

    # Assignment

    async def assign(self, active: Collection[int], standby: Collection[int] = ()) -> None:
        """Own exactly the partitions `active` and follow exactly `standby` from now on. After `close`, take no partition.

        A partition in both is owned. A standby that becomes active hands its open store over, whose restore reads only the end of the
        changelog.

        Returns once all stores are open. The restores go on in the background. If this process owns partitions already, call `suspend`
        first.
        """
        followed = set(standby) - set(active)
        async with self._changing:
            for number in self._partitions.keys() - set(active):
                await self._release(number)
            self._services.memory.divide(len(set(active) | followed))
            for number in sorted(active):
                if self._closed:
                    return
                part = self._partitions.get(number)
                if part is None:
                    part = OwnedPartition(await self._opened_shard(number))
                    self._partitions[number] = part
                    self._observer.partition_state(number, part.phase)
                part.attempts = 0
                self._actions.on(part, Event.ASSIGNED)
            if not self._closed:
                await self.followers.follow(followed)
        if self._suspended_s is not None:
            self._observer.rebalanced(duration_s=self._services.clock() - self._suspended_s)
            self._suspended_s = None

    async def suspend(self, *, clean: bool, timeout_s: float) -> None:
        """Flush the buffers if the membership still stands, then end all tasks and take in nothing more: a rebalance or a stop begins.

        Under constant load the flushes come to an end only because aiokafka delivers no records while the group rebalances.

        Args:
            clean: whether this process still owns its partitions; if not, nothing is flushed.
            timeout_s: seconds that the flushes may take. Buffers that are not flushed by then are dropped and read again later.
        """
        if self._suspended_s is None:
            self._suspended_s = self._services.clock()
        if clean:
            with self._services.turns.hurried():
                await self._flush_all(timeout_s)
        parts = list(self._partitions.values())
        for part in parts:
            self._actions.on(part, Event.SUSPENDED)
        await asyncio.gather(*(part.end_tasks() for part in parts))
        for part in parts:
            part.shard.drop_buffer()

    async def close(self) -> None:
        """Close all stores and take no partition any more. Call `suspend` first."""
        self._closed = True
        async with self._changing:
            await asyncio.gather(*map(self._release, list(self._partitions)), self.followers.close())

    # Intake

    def choose_for_poll(self) -> set[int]:
        """Choose the partitions whose records the next poll may bring. Call this once per poll.

        A chosen partition that lags behind goes to the end of the queue.
        """
        return self._intake.choose(self._partitions, self._actions.buffer_size.full_bytes)

    def add(self, partition: int, batches: Sequence[RecordBatch], highwater: int) -> None:
        """Add fetched batches to the buffer of `partition`, and flush if the buffer is due.

        Args:
            partition: its batches are dropped, and read again later, if it is not owned or not counting.
            batches: in offset order.
            highwater: offset after the last record of the partition at the time of the fetch.
        """
        part = self._partitions.get(partition)
        if part is None or not part.is_counting:
            return
        part.highwater = max(part.highwater, highwater)
        if not part.shard.buffer:
            part.catching_up = part.behind_offsets > self._policy.near_offsets
        if not part.shard.add(batches):
            # The batch was fetched before the last seek. Another seek is harmless if the right batch is already on its way.
            self._actions.seek(part)
        self._actions.flush_if_due(part)

    def examine_again(self, partition: int) -> None:
        """Restore `partition` again, because its position is not in the input topic: the restore finds the reason."""
        part = self._partitions.get(partition)
        if part is not None and part.state is State.COUNTING:
            self._actions.on(part, Event.EXAMINE)

    def stop_at_unreadable(self, partition: int, offset: int, error: InexactError) -> None:
        """Flush the records before an unreadable record, then stop the partition.

        The source reports the unreadable record at each fetch. A report leads to a flush while the buffer holds records, and to the
        stop once the buffer is empty. A fetch that ends with this error delivers nothing, so that each counting partition seeks and
        fetches its records again.

        Args:
            partition: has the unreadable record.
            offset: offset of the unreadable record.
            error: why the record cannot be read.
        """
        for part in self._partitions.values():
            if part.is_counting:
                self._actions.seek(part)
        part = self._partitions[partition]
        if part.state is State.COUNTING and part.shard.next == offset:
            if part.shard.buffer:
                self._actions.on(part, Event.FLUSH)
            else:
                self._actions.on(part, Event.INEXACT, error)

    def tick(self) -> None:
        """Flush the buffers that are due. Call this a few times per flush interval."""
        for part in self._partitions.values():
            self._actions.flush_if_due(part)
            if part.task is None:
                part.shard.renew_cache()  # An idle partition would keep an old vocabulary.

    async def examine_idle(self) -> None:
        """Restore each counting partition whose changelog is longer than what was examined; let the others remove expired rows.

        Call this once a minute.

        A flush notices foreign records by itself. In a partition without flushes, compaction could keep a foreign record and drop the
        better row of its word before the partition is examined (rule 14 of ARCHITECTURE.md).
        """
        for number, part in list(self._partitions.items()):
            if part.state is not State.COUNTING:
                continue
            try:
                end = await self._services.changelog.end_offset(number)
            except BrokerUnavailableError:
                return
            except WordcountError as error:
                self._on_fatal(error)
                return
            if part.state is State.COUNTING and end > part.shard.store.state.examined:
                self._actions.on(part, Event.EXAMINE)
            part.shard.look_for_expired()

    def rebuild_corrupted(self, error: StoreCorruptedError) -> None:
        """Rebuild the store that a reader found corrupted, without waiting for the next flush."""
        for number, part in self._partitions.items():
            if error.folder == self._stores.folder_of(number) and part.state is State.COUNTING:
                self._actions.failed(part, error)
        self.followers.rebuild_corrupted(error)

    # Reads

    @property
    def changes(self) -> Changes:
        """Publishes each durable change of the counts."""
        return self._services.changes

    def partition_numbers(self) -> Collection[int]:
        """Return the partitions that this process owns, in any state."""
        return self._partitions.keys()

    def shards(self) -> Mapping[int, Shard]:
        """Return the shards that can answer. May be called from any thread: the copy is made in one step."""
        return {number: part.shard for number, part in list(self._partitions.items()) if part.shard.readable}

    def counting(self) -> Collection[int]:
        """Return the partitions that this process counts at present."""
        return {number for number, part in self._partitions.items() if part.is_counting}

    def following(self) -> Sequence[int]:
        """Return the partitions that this process follows and has up to date. May be called from any thread."""
        followers = self.followers.followers()
        return sorted(number for number, one in followers.items() if one.state == "following")

    def stored(self) -> Sequence[int]:
        """Return the partitions of which this process has a store on its disk, old or new. May be called from any thread."""
        return self._stores.present()

    def store_bytes(self) -> Mapping[int, int]:
        """Return the bytes of the files of each store that can answer."""
        return {number: shard.store.file_bytes() for number, shard in self.shards().items()}

    def progress(self) -> Mapping[int, Progress]:
        """Return the progress of each partition that is not stopped."""
        return {
            number: Progress(part.shard.position, part.shard.examined, part.shard.progress.scanned)
            for number, part in self._partitions.items()
            if part.phase != "stopped"
        }

    def restoring(self) -> Mapping[int, tuple[float, int, float | None]]:
        """Return the progress of each restore that has begun to read its changelog.

        Returns:
            By partition: (share of the records that was read, from 0 to 1; records left; seconds left, None = not known).
        """
        now_s, begun = self._services.clock(), {}
        for number, part in self._partitions.items():
            progress = part.shard.progress
            if part.state is State.RESTORING and progress.begun_s:
                begun[number] = progress.share, progress.records_left, progress.seconds_left(now_s)
        return begun

    def state(self, partition: int) -> tuple[PartitionState, int]:
        """Return (state, highwater); the highwater is 0 before the first fetch of the partition."""
        part = self._partitions[partition]
        return part.phase, part.highwater

    def errors(self) -> Mapping[int, str]:
        """Return the error of each partition that an `InexactError` stopped."""
        return {
            number: part.error for number, part in self._partitions.items() if part.state is State.STOPPED
        }

    def _changed(self, change: Change) -> None:
        flushed = change.flushed
        if flushed is None:
            return
        buffer_bytes = sum(batch.byte_count for batch in flushed.batches)
        self._actions.buffer_size.flushed(
            buffer_bytes,
            flushed.words,
            flushed.rows - flushed.words - flushed.new_ids,
            flushed.panes,
            flushed.new_ids,
        )
        self._observer.flushed(
            change.partition,
            rows=flushed.rows,
            words=flushed.totals.words,
            records=flushed.totals.records,
            duration_s=self._services.clock() - flushed.begun_s,
            totals_delta=flushed.totals,
        )

    async def _flush_all(self, timeout_s: float) -> None:
        counting = [part for part in self._partitions.values() if part.is_counting]
        if not counting:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(self._actions.drain(part) for part in counting))
        except TimeoutError:
            _log.warning(
                "some buffers were not flushed in time; their records are read again", timeout_s=timeout_s
            )

    async def _opened_shard(self, number: int) -> Shard:
        """Return a shard on the store of a standby, if there is one, or else on a store that is opened now."""
        standby = await self.followers.take(number)
        if standby is not None:
            return Shard(number, standby.store, self._services, standby.served.leaders)
        return Shard(number, await self._services.run(self._stores.open, number), self._services)

    async def _release(self, number: int) -> None:
        part = self._partitions.pop(number)
        self._actions.on(part, Event.RELEASED)
        await part.end_tasks()
        try:
            await self._services.run_close(part.shard.served.close)
        except WordcountError as error:
            # Nothing is lost: the next restore of this store brings it forward or rebuilds it. The other partitions go on.
            _log.warning("a released store could not be written", partition=number, reason=str(error))
