"""Actions on a partition: start a flush, a restore, a rebuild or a seek, stop the partition, or end the process.

`Actions.on` takes the action that the table in `tables.partitions.life` names for an event. All methods but `_rebuild` run on the
event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from tables.errors import (
    ForeignChangelogError,
    OutOfMemoryError,
    PartitionsLostError,
    StoreCorruptedError,
    WordcountError,
)
from tables.observer import Observer
from tables.pace.backoff import backoff_s
from tables.pace.buffer_size import BufferSize
from tables.pace.policy import FlushPolicy
from tables.partitions.life import Action, Event, State, after, event_of
from tables.partitions.owned_partition import OwnedPartition
from tables.partitions.restore import Restore
from tables.partitions.services import ShardServices
from tables.partitions.waiting import finish_despite_cancel
from tables.store.stores import Stores
from tables.threads import beside_the_loop

_log = structlog.get_logger(__name__)


class Actions:
    """Takes the actions for all partitions of this process.

    Args:
        stores: replaces a damaged store by an empty one.
        services: what the shards of this process share.
        policy: when to flush.
        observer: receives failed flushes, restores, and changes of state.
        on_fatal: called with an error after which the process must end.

    Attributes:
        buffer_size: the size of a full buffer.
    """

    def __init__(
        self,
        stores: Stores,
        services: ShardServices,
        policy: FlushPolicy,
        observer: Observer,
        *,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._stores = stores
        self._services = services
        self._policy = policy
        self._observer = observer
        self._on_fatal = on_fatal
        self.buffer_size = BufferSize(policy.flush_bytes, windowed=bool(services.windows.sizes))

    def on(self, part: OwnedPartition, event: Event, error: Exception | None = None) -> None:
        """Enter the state that follows from `event`, and take the action that the table names.

        Args:
            part: partition to which the event happened.
            event: what happened; AssertionError if it cannot happen in the present state.
            error: reason of a failure; None for the other events.
        """
        before = part.phase
        part.state, action = after(part.state, event)
        if part.phase != before:
            self._observer.partition_state(part.number, part.phase)
        match action:
            case Action.RESTORE:
                part.begin(self._restore(part), "restore")
            case Action.FLUSH:
                self.buffer_size.taken(part.shard.buffered_bytes)
                part.begin(self._flush(part), "flush")
            case Action.FLUSH_IF_DUE:
                self.flush_if_due(part)
            case Action.STOP:
                part.error = str(error)
                _log.error("partition stopped", partition=part.number, error=part.error)
            case Action.END_PROCESS:
                part.error = str(error)
                assert error is not None, "the process ends for a reason"
                self._on_fatal(error)

    def failed(self, part: OwnedPartition, error: Exception) -> None:
        """Log the failure of a flush, restore or read, and do what `event_of` says.

        Args:
            part: partition whose flush, restore or read has ended.
            error: why it failed.
        """
        event = event_of(error, part.rebuilds)
        match event:
            case Event.EXAMINE:
                what = "restore waits" if part.attempts else "not flushed, examining the changelog"
                _log.warning(what, partition=part.number, reason=str(error))
            case Event.UNUSABLE:
                part.rebuilds += isinstance(error, StoreCorruptedError)
                part.rebuild = True
                part.shard.restored = False
                _log.error("rebuilding the store", partition=part.number, reason=str(error))
            case Event.INEXACT if isinstance(error, ForeignChangelogError):
                # The store may hold rows of the other owner by now.
                part.rebuild, part.shard.restored = True, False
            case Event.FATAL if isinstance(error, MemoryError):
                error = OutOfMemoryError(
                    f"no memory left ({error!r})", "give this process more memory, or fewer partitions"
                )
            case Event.FATAL if not isinstance(error, WordcountError):
                _log.error("unexpected error", partition=part.number, error=repr(error))
        self.on(part, event, error)

    def flush_if_due(self, part: OwnedPartition) -> None:
        """Start a flush if the partition is counting and its buffer is due by the policy, or is empty while expired rows are left."""
        shard = part.shard
        if part.state is not State.COUNTING:
            return
        if not shard.buffer:
            if shard.is_clearing:
                self.on(part, Event.FLUSH)
            return
        due = self._policy.is_due(
            buffered_bytes=shard.buffered_bytes,
            full_bytes=self.buffer_size.full_bytes,
            age_ms=(self._services.clock() - shard.buffered_since) * 1000,
            behind_offsets=part.behind_offsets,
            catching_up=part.catching_up,
        )
        if due:
            self.on(part, Event.FLUSH)

    async def _flush(self, part: OwnedPartition) -> None:
        try:
            await part.shard.flush()
        except Exception as error:  # noqa: BLE001 - sorted by kind in `event_of`; unknown kinds end the process
            part.task = None
            self._observer.flush_failed(part.number, error)
            self.failed(part, error)
            return
        part.task = None
        self.on(part, Event.FLUSHED)

    async def drain(self, part: OwnedPartition) -> None:
        """Flush until the buffer is empty, or until the partition is no longer counting."""
        while part.is_counting and (part.task is not None or part.shard.buffer):
            if part.state is State.COUNTING:
                self.on(part, Event.FLUSH)
            if part.task is not None:
                await part.task

    def seek(self, part: OwnedPartition) -> None:
        """Make the source deliver records from the end of the buffer on. Do nothing if a seek of this partition is under way."""

        async def seek() -> None:
            try:
                await self._services.source.seek(part.number, part.shard.next)
            except PartitionsLostError as error:
                # A rebalance has begun. Otherwise the next batch that does not join leads to another seek.
                _log.warning("seek refused", partition=part.number, reason=str(error))
            finally:
                part.seeking = None

        if part.seeking is None:
            part.seeking = asyncio.create_task(seek(), name=f"seek-{part.number}")

    async def _restore(self, part: OwnedPartition) -> None:
        started = self._services.clock()
        try:
            if part.attempts:
                await asyncio.sleep(backoff_s(part.attempts, self._services.chance()))
            self._services.ownership.check()
            if part.rebuild:
                await finish_despite_cancel(self._services.run(self._rebuild, part))
            rows = await Restore(part.shard).run()
            # Commit even if there is nothing to flush: tools show a partition without a committed offset as lagging by all records.
            await self._services.ownership.prove(part.number, part.shard.position)
            await self._services.source.seek(part.number, part.shard.position)
        except Exception as error:  # noqa: BLE001 - sorted by kind in `event_of`; unknown kinds end the process
            part.task = None
            part.attempts += 1
            self.failed(part, error)
            return
        part.task = None
        part.attempts = part.rebuilds = 0
        self._observer.restored(part.number, rows=rows, duration_s=self._services.clock() - started)
        _log.info(
            "partition counting", partition=part.number, position=part.shard.position, rows_restored=rows
        )
        self.on(part, Event.RESTORED)

    @beside_the_loop
    def _rebuild(self, part: OwnedPartition) -> None:
        """Replace the store and the shard of `part` by empty ones."""
        store = self._stores.replace(part.number, part.shard.store)
        part.shard = part.shard.rebuilt(store)
        part.rebuild = False
