"""All partitions of this process: which it owns, which of them take records in, and how far each has come.

Everything runs on the event loop. Before each poll the source asks `choose_for_poll` whose records to fetch. That is the
back-pressure.
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
from tables.partitions.intake import Intake
from tables.partitions.life import Event, State
from tables.partitions.owned_partition import OwnedPartition
from tables.partitions.restore_progress import Progress
from tables.partitions.services import ShardServices
from tables.partitions.shard import Shard
from tables.store.stores import Stores

_log = structlog.get_logger(__name__)


class Partitions:
    """Owns some partitions of the input topic, and counts what arrives in them.

    Args:
        folder: holds one store per partition.
        services: what shards need.
        policy: when to flush.
        observer: told of flushes, restores and states.
        on_fatal: called with an error after which the process must end.
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
        self._partitions: dict[int, OwnedPartition] = {}
        self._changing = asyncio.Lock()
        """Held while the set of partitions changes: SIGTERM can come while stores are being opened."""
        self._closed = False
        services.memory.follow(self._intake, self._actions.buffer_size, services.vocabulary, self._stores)
        services.changes.subscribe(self._changed)

    # Assignment

    async def assign(self, partitions: Collection[int]) -> None:
        """Own exactly `partitions`. Returns once stores are open; restoring goes on in the background. Nothing after `close`.

        Call `suspend` before, if any partitions are owned.
        """
        async with self._changing:
            for number in self._partitions.keys() - set(partitions):
                await self._release(number)
            self._services.memory.divide(len(partitions))
            for number in sorted(partitions):
                if self._closed:
                    return
                part = self._partitions.get(number)
                if part is None:
                    part = OwnedPartition(await self._services.run(self._open_shard, number))
                    self._partitions[number] = part
                    self._observer.partition_state(number, part.phase)
                part.attempts = 0
                self._actions.on(part, Event.ASSIGNED)

    async def suspend(self, *, clean: bool, timeout_s: float) -> None:
        """A rebalance begins: flush the buffers if the membership still stands, then take in nothing more.

        That the flushes come to an end under a constant load rests on aiokafka: it delivers nothing while the group rebalances.

        Args:
            clean: whether this process still owns its partitions; otherwise the buffers are dropped.
            timeout_s: what is not flushed by then is dropped: it will be read again.
        """
        if clean:
            await self._flush_all(timeout_s)
        parts = list(self._partitions.values())
        for part in parts:
            self._actions.on(part, Event.SUSPENDED)
        await asyncio.gather(*(part.end_tasks() for part in parts))
        for part in parts:
            part.shard.drop_buffer()

    async def close(self) -> None:
        """Close all stores, for good. Call `suspend` before."""
        self._closed = True
        async with self._changing:
            for number in list(self._partitions):
                await self._release(number)

    # Intake

    def choose_for_poll(self) -> set[int]:
        """Choose the partitions whose records the next poll may bring; to be called once per poll.

        A partition that lags behind and was chosen goes to the end of the queue.
        """
        return self._intake.choose(self._partitions, self._actions.buffer_size.full_bytes)

    def add(self, partition: int, batches: Sequence[RecordBatch], highwater: int) -> None:
        """Take in fetched batches; those of partitions that are not counting are dropped, and read again later.

        Args:
            highwater: offset after the last record of the partition, as of the fetch.
        """
        part = self._partitions.get(partition)
        if part is None or not part.is_counting:
            return
        part.highwater = max(part.highwater, highwater)
        if not part.shard.buffer:
            part.catching_up = part.behind_offsets > self._policy.near_offsets
        if not part.shard.add(batches):
            # A batch from before the last seek. Seeking again is harmless where the right one is already on its way.
            self._actions.seek(part)
        self._actions.flush_if_due(part)

    def examine_again(self, partition: int) -> None:
        """The source says that the position does not exist; restoring again tells why."""
        part = self._partitions.get(partition)
        if part is not None and part.state is State.COUNTING:
            self._actions.on(part, Event.DOUBT)

    def stop_at_unreadable(self, partition: int, offset: int, error: InexactError) -> None:
        """The source is corrupt at `offset`, and says so at each fetch: count what precedes it, then stop the partition.

        What was fetched of other partitions together with that is fetched again.
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
        """Flush what is due; to be called a few times per flush interval."""
        for part in self._partitions.values():
            self._actions.flush_if_due(part)
            if part.task is None:
                part.shard.renew_cache()  # An idle partition would keep an old vocabulary.

    async def examine_idle(self) -> None:
        """See whether somebody appended to the changelog of a partition that has nothing to flush; to be called each minute.

        A flush would notice by itself. Without one, compaction could in time drop the better row of a word that a late, foreign
        record repeats.
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
                self._actions.on(part, Event.DOUBT)

    def rebuild_corrupted(self, error: StoreCorruptedError) -> None:
        """A reader met a corrupted store: rebuild it now, not at the next flush."""
        for number, part in self._partitions.items():
            if error.folder == self._stores.folder_of(number) and part.state is State.COUNTING:
                self._actions.failed(part, error)

    # Reads

    @property
    def changes(self) -> Changes:
        """Where each durable change of the counts is told."""
        return self._services.changes

    def partition_numbers(self) -> Collection[int]:
        """Partitions that this process owns, in whatever state."""
        return self._partitions.keys()

    def shards(self) -> Mapping[int, Shard]:
        """Shards that can answer. From any thread: the copy is made in one step."""
        return {number: part.shard for number, part in list(self._partitions.items()) if part.shard.readable}

    def progress(self) -> Mapping[int, Progress]:
        """How far each partition that is not stopped has come."""
        return {
            number: Progress(part.shard.position, part.shard.examined, part.shard.progress.scanned)
            for number, part in self._partitions.items()
            if part.phase != "stopped"
        }

    def restoring(self) -> Mapping[int, tuple[float, int, float | None]]:
        """(share read, records left, seconds left if known) of each restore that has begun to read its changelog."""
        now_s, begun = self._services.clock(), {}
        for number, part in self._partitions.items():
            progress = part.shard.progress
            if part.state is State.RESTORING and progress.begun_s:
                begun[number] = progress.share, progress.records_left, progress.seconds_left(now_s)
        return begun

    def state(self, partition: int) -> tuple[PartitionState, int]:
        """(state, highwater as far as known)."""
        part = self._partitions[partition]
        return part.phase, part.highwater

    def errors(self) -> Mapping[int, str]:
        """Why partitions are stopped."""
        return {
            number: part.error for number, part in self._partitions.items() if part.state is State.STOPPED
        }

    def _changed(self, change: Change) -> None:
        flushed = change.flushed
        if flushed is None:
            return
        self._actions.buffer_size.flushed(sum(batch.byte_count for batch in flushed.batches), flushed.rows)
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
            _log.warning("not everything was flushed in time; it is read again", timeout_s=timeout_s)

    def _open_shard(self, number: int) -> Shard:
        return Shard(number, self._stores.open(number), self._services)

    async def _release(self, number: int) -> None:
        part = self._partitions.pop(number)
        self._actions.on(part, Event.RELEASED)
        await part.end_tasks()
        try:
            await self._services.run(part.shard.store.close)
        except WordcountError as error:
            # Nothing is lost: whoever opens it again brings it forward or rebuilds it. The other partitions go on.
            _log.warning("a store that is released cannot be written", partition=number, reason=str(error))
