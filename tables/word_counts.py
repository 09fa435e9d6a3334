"""All partitions of this process: assignment, intake, when to flush, what to do when a flush fails, and reads.

Everything runs on one event loop. A partition is *restoring* (nothing is taken in), *counting*, or *stopped* by an error that
only an operator can resolve. The source asks `accepting` before it fetches: that is the back-pressure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import structlog
from rocksdict import Cache

from tables.errors import (
    BrokerUnavailableError,
    FlushUnknownError,
    InexactError,
    PartitionsLostError,
    StoreCorruptedError,
    WordcountError,
)
from tables.flush_policy import FlushPolicy
from tables.intake import Intake
from tables.observer import Observer, PartitionState
from tables.owned_partition import OwnedPartition
from tables.partition_store import PartitionStore, destroy_store
from tables.services import ShardServices
from tables.shard import ChangelogReplacedError, Flushed, ForeignRecordsError, Shard
from tables.threads import cancel, to_the_end
from tables.window_size import WindowSize
from tables.windows import RecordBatch

_log = structlog.get_logger(__name__)

BLOCK_CACHE_BYTES = 64 << 20
"""Shared by all partition stores."""

RETRY_S = 1.0
"""Between two attempts to restore a partition while the broker is away."""

MAX_REBUILDS = 3
"""Attempts in a row to rebuild a store that is corrupted again at once; then the disk is not to be trusted and the process ends."""


class WordCounts:
    """Counts of the partitions that this process owns.

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
        self._folder = folder
        self._services = services
        self._policy = policy
        self._observer = observer
        self._on_fatal = on_fatal
        self.on_flush: Callable[[int, Flushed], None] | None = None
        """Told what each flush made durable, in order per partition."""
        self._intake = Intake(policy.near_offsets, policy.total_bytes)
        self._window_size = WindowSize(policy.window_bytes)
        self._block_cache = Cache(BLOCK_CACHE_BYTES)
        self._partitions: dict[int, OwnedPartition] = {}
        self._changing = asyncio.Lock()
        """Held while the set of partitions changes: SIGTERM can come while stores are being opened."""
        self._closed = False

    # Assignment

    async def assign(self, partitions: Collection[int]) -> None:
        """Own exactly `partitions`. Returns once stores are open; restoring goes on in the background. Nothing after `close`."""
        async with self._changing:
            for number in self._partitions.keys() - set(partitions):
                await self._release(number)
            for number in sorted(partitions):
                if self._closed:
                    return
                part = self._partitions.get(number)
                if part is None:
                    part = OwnedPartition(await self._services.run(self._open_shard, number))
                    self._partitions[number] = part
                self._start_restore(part)

    async def suspend(self, *, clean: bool, timeout_s: float) -> None:
        """A rebalance begins: flush what is pending if the membership still stands, then take in nothing more.

        Args:
            clean: whether this process still owns its partitions; otherwise what is pending is dropped.
            timeout_s: what is not flushed by then is dropped: it will be read again.
        """
        active = [part for part in self._partitions.values() if part.state == "counting"]
        if clean:
            await self._flush_all(active, timeout_s)
        for part in list(self._partitions.values()):
            await cancel(part.task)
            await cancel(part.seeking)
            part.task = part.seeking = None
            part.shard.drop_pending()
            if part.state == "counting":
                self._enter(part, "restoring")

    async def close(self) -> None:
        """Close all stores, for good. Call `suspend` before."""
        self._closed = True
        async with self._changing:
            for number in list(self._partitions):
                await self._release(number)

    # Intake

    def accepting(self) -> set[int]:
        """Partitions of which records can be taken in now."""
        return self._intake.choose(self._partitions, self._window_size.full_bytes)

    def add(self, partition: int, batches: Sequence[RecordBatch], highwater: int) -> None:
        """Take in fetched batches; those of partitions that are not counting are dropped, and read again later.

        Args:
            highwater: offset after the last record of the partition, as of the fetch.
        """
        part = self._partitions.get(partition)
        if part is None or part.state != "counting":
            return
        part.highwater = max(part.highwater, highwater)
        if not part.shard.pending:
            part.catching_up = part.behind_offsets > self._policy.near_offsets
        if not part.shard.add(batches):
            # A batch from before the last seek. Seeking again is harmless where the right one is already on its way.
            self._start_seek(part)
        self._flush_if_due(part)

    def reexamine(self, partition: int) -> None:
        """The source says that the position does not exist; restoring again tells why."""
        part = self._partitions.get(partition)
        if part is not None and part.state == "counting" and part.task is None:
            self._start_restore(part)

    def unreadable(self, partition: int, offset: int, error: InexactError) -> None:
        """The source is corrupt at `offset`, and says so at each fetch: count what precedes it, then stop the partition.

        What was fetched of other partitions together with that is fetched again.
        """
        for part in self._partitions.values():
            if part.state == "counting":
                self._start_seek(part)
        part = self._partitions[partition]
        if part.state == "counting" and part.task is None and part.shard.next == offset:
            if part.shard.pending:
                self._start_flush(part)
            else:
                self._stop(part, error)

    def tick(self) -> None:
        """Flush what is due; to be called a few times per flush interval."""
        for part in self._partitions.values():
            self._flush_if_due(part)
            if part.task is None:
                part.shard.renew_cache()  # An idle partition would keep an old vocabulary.

    async def examine_idle(self) -> None:
        """See whether somebody appended to the changelog of a partition that has nothing to flush; to be called each minute.

        A flush would notice by itself. Without one, compaction could in time drop the better row of a word that a late, foreign
        record repeats.
        """
        for number, part in list(self._partitions.items()):
            if part.state == "counting" and part.task is None:
                try:
                    end = await self._services.changelog.end_offset(number)
                except BrokerUnavailableError:
                    return
                if (
                    part.task is None
                    and part.state == "counting"
                    and end > part.shard.store.state.changelog_next
                ):
                    self._start_restore(part)

    def corrupted(self, error: StoreCorruptedError) -> None:
        """A reader met a corrupted store: rebuild it now, not at the next flush."""
        for number, part in self._partitions.items():
            if error.folder == self._store_folder(number) and part.state == "counting" and part.task is None:
                self._after_failure(part, error)

    # Reads

    def partition_numbers(self) -> Collection[int]:
        """Partitions that this process owns, in whatever state."""
        return self._partitions.keys()

    def shards(self) -> Mapping[int, Shard]:
        """Shards that can answer."""
        return {number: part.shard for number, part in self._partitions.items() if part.shard.readable}

    def progress(self) -> Mapping[int, tuple[int, int]]:
        """(next offset to count, next changelog offset to examine) of each partition that is not stopped."""
        return {
            number: (part.shard.position, part.shard.store.state.changelog_next)
            for number, part in self._partitions.items()
            if part.state != "stopped"
        }

    def state(self, partition: int) -> tuple[PartitionState, int]:
        """(state, highwater as far as known)."""
        part = self._partitions[partition]
        return part.state, part.highwater

    def errors(self) -> Mapping[int, str]:
        """Why partitions are stopped."""
        return {number: part.error for number, part in self._partitions.items() if part.state == "stopped"}

    # Flushing

    def _flush_if_due(self, part: OwnedPartition) -> None:
        shard = part.shard
        if part.task is not None or not shard.pending or part.state != "counting":
            return
        due = self._policy.is_due(
            pending_bytes=shard.pending_bytes,
            full_bytes=self._window_size.full_bytes,
            age_ms=(self._services.clock() - shard.pending_since) * 1000,
            behind_offsets=part.behind_offsets,
            catching_up=part.catching_up,
        )
        if due:
            self._start_flush(part)

    def _start_flush(self, part: OwnedPartition) -> asyncio.Task[None]:
        self._window_size.taken(part.shard.pending_bytes)
        part.task = asyncio.create_task(self._flush(part), name=f"flush-{part.shard.partition}")
        return part.task

    async def _flush(self, part: OwnedPartition) -> None:
        started = self._services.clock()
        try:
            flushed = await part.shard.flush()
        except Exception as error:  # noqa: BLE001 - sorted by kind in _after_failure; unknown kinds end the process
            self._observer.flush_failed(part.shard.partition, error)
            part.task = None
            self._after_failure(part, error)
            return
        part.task = None
        totals = flushed.totals
        self._window_size.flushed(sum(batch.byte_count for batch in flushed.batches), flushed.rows)
        self._observer.flushed(
            part.shard.partition,
            rows=flushed.rows,
            words=totals.words,
            records=totals.records,
            duration_s=self._services.clock() - started,
            totals_delta=totals,
        )
        if self.on_flush is not None:
            self.on_flush(part.shard.partition, flushed)
        self._flush_if_due(part)

    async def _flush_all(self, parts: Sequence[OwnedPartition], timeout_s: float) -> None:
        async def drain(part: OwnedPartition) -> None:
            while part.state == "counting" and (part.task is not None or part.shard.pending):
                await (part.task or self._start_flush(part))

        if parts:
            try:
                async with asyncio.timeout(timeout_s):
                    await asyncio.gather(*(drain(part) for part in parts))
            except TimeoutError:
                _log.warning("not everything was flushed in time; it is read again", timeout_s=timeout_s)

    def _after_failure(self, part: OwnedPartition, error: Exception) -> None:
        number = part.shard.partition
        match error:
            case (
                PartitionsLostError() | FlushUnknownError() | ForeignRecordsError() | BrokerUnavailableError()
            ):
                # The restore waits for a live membership, and ends where the group says that the partition is lost for good.
                _log.warning("not flushed, examining the changelog", partition=number, reason=str(error))
                self._start_restore(part)
            case ChangelogReplacedError():
                self._start_rebuild(part, error)
            case StoreCorruptedError() if part.rebuilds < MAX_REBUILDS:
                part.rebuilds += 1
                self._start_rebuild(part, error)
            case InexactError():
                self._stop(part, error)
            case WordcountError():
                self._on_fatal(error)
            case _:
                _log.error("flush failed", partition=number, error=str(error), exc_info=error)
                self._on_fatal(error)

    # Restoring

    def _start_restore(self, part: OwnedPartition) -> None:
        self._enter(part, "restoring")
        part.task = asyncio.create_task(self._restore(part), name=f"restore-{part.shard.partition}")

    def _start_rebuild(self, part: OwnedPartition, error: Exception) -> None:
        _log.error("rebuilding the store", partition=part.shard.partition, reason=str(error))
        part.shard.restored = False
        part.rebuild = True
        self._start_restore(part)

    async def _restore(self, part: OwnedPartition) -> None:
        number = part.shard.partition
        started = self._services.clock()
        while True:
            try:
                self._services.ownership.check()
                if part.rebuild:
                    await to_the_end(self._services.run(self._rebuild, part))
                rows = await part.shard.restore()
                await self._services.source.seek(number, part.shard.position)
                break
            except (BrokerUnavailableError, FlushUnknownError, PartitionsLostError) as error:
                _log.warning("restore waits", partition=number, reason=str(error))
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # noqa: BLE001 - sorted by kind in _after_failure; unknown kinds end the process
                part.task = None
                self._after_failure(part, error)
                return
        part.task = None
        part.rebuilds = 0
        self._observer.restored(number, rows=rows, duration_s=self._services.clock() - started)
        _log.info("partition counting", partition=number, position=part.shard.position, rows_restored=rows)
        self._enter(part, "counting")

    def _open_shard(self, number: int) -> Shard:
        return Shard(number, self._open_store(number), self._services)

    def _rebuild(self, part: OwnedPartition) -> None:
        number = part.shard.partition
        part.shard.store.abandon()
        destroy_store(self._store_folder(number))
        part.shard = self._open_shard(number)
        part.rebuild = False

    def _stop(self, part: OwnedPartition, error: Exception) -> None:
        part.error = str(error)
        _log.error("partition stopped", partition=part.shard.partition, error=part.error)
        self._enter(part, "stopped")

    def _start_seek(self, part: OwnedPartition) -> None:
        async def seek() -> None:
            try:
                await self._services.source.seek(part.shard.partition, part.shard.next)
            except PartitionsLostError as error:
                # A rebalance has begun; where none has, the next batches ask for another seek.
                _log.warning("seek refused", partition=part.shard.partition, reason=str(error))
            finally:
                part.seeking = None

        if part.seeking is None:
            part.seeking = asyncio.create_task(seek(), name=f"seek-{part.shard.partition}")

    # Stores

    def _open_store(self, number: int) -> PartitionStore:
        folder = self._store_folder(number)
        try:
            return PartitionStore(folder, self._block_cache)
        except StoreCorruptedError as error:
            _log.error(
                "store thrown away, rebuilding it from the changelog", partition=number, reason=str(error)
            )
            destroy_store(folder)
            return PartitionStore(folder, self._block_cache)

    def _store_folder(self, number: int) -> Path:
        return self._folder / str(number)

    async def _release(self, number: int) -> None:
        part = self._partitions.pop(number)
        await cancel(part.task)
        await cancel(part.seeking)
        try:
            await self._services.run(part.shard.store.close)
        except WordcountError as error:
            # Nothing is lost: whoever opens it again brings it forward or rebuilds it. The other partitions go on.
            _log.warning("a store that is released cannot be written", partition=number, reason=str(error))
        self._observer.partition_state(number, "released")

    def _enter(self, part: OwnedPartition, state: PartitionState) -> None:
        if part.state != state or state == "restoring":
            part.state = state
            self._observer.partition_state(part.shard.partition, state)
