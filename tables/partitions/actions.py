"""The actions that the life of a partition demands: flush, restore, rebuild, seek, stop, end of the process.

What happens to a partition is an event; `tables.partitions.life` says which state and action follow, and `Actions.on` takes that
action. Everything but `_rebuild` runs on the event loop.
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
from tables.partitions.waiting import to_the_end
from tables.store.stores import Stores
from tables.threads import beside_the_loop

_log = structlog.get_logger(__name__)


class Actions:
    """Takes the actions of all partitions of this process.

    Args:
        stores: from which a damaged store is replaced.
        services: what shards need.
        policy: when to flush.
        observer: told of flushes that fail, of restores and of states.
        on_fatal: called with an error after which the process must end.

    Attributes:
        buffer_size: how many bytes make a full buffer.
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
        self.buffer_size = BufferSize(policy.flush_bytes)

    def on(self, part: OwnedPartition, event: Event, error: Exception | None = None) -> None:
        """Enter the state that follows, and take the action that belongs to it."""
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
        """A flush, a restore or a read failed, and nothing of it goes on."""
        event = event_of(error, part.rebuilds)
        match event:
            case Event.DOUBT:
                what = "restore waits" if part.attempts else "not flushed, examining the changelog"
                _log.warning(what, partition=part.number, reason=str(error))
            case Event.UNUSABLE:
                part.rebuilds += isinstance(error, StoreCorruptedError)
                part.rebuild = True
                part.shard.restored = False
                _log.error("rebuilding the store", partition=part.number, reason=str(error))
            case Event.INEXACT if isinstance(error, ForeignChangelogError):
                part.rebuild, part.shard.restored = True, False  # It may have taken over what is not its own.
            case Event.FATAL if isinstance(error, MemoryError):
                error = OutOfMemoryError(
                    f"no memory left ({error!r})", "give this process more, or fewer partitions"
                )
            case Event.FATAL if not isinstance(error, WordcountError):
                _log.error("unexpected", partition=part.number, error=str(error), exc_info=error)
        self.on(part, event, error)

    def flush_if_due(self, part: OwnedPartition) -> None:
        """Start a flush if the policy says so."""
        shard = part.shard
        if part.state is not State.COUNTING or not shard.buffer:
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
        except Exception as error:  # noqa: BLE001 - sorted by kind in tables.life; unknown kinds end the process
            part.task = None
            self._observer.flush_failed(part.number, error)
            self.failed(part, error)
            return
        part.task = None
        self.on(part, Event.FLUSHED)

    async def drain(self, part: OwnedPartition) -> None:
        """Flush until nothing is buffered, or the partition counts no more."""
        while part.is_counting and (part.task is not None or part.shard.buffer):
            if part.state is State.COUNTING:
                self.on(part, Event.FLUSH)
            if part.task is not None:
                await part.task

    def seek(self, part: OwnedPartition) -> None:
        """Make the source deliver from the end of the buffer on; does nothing while such a seek is under way."""

        async def seek() -> None:
            try:
                await self._services.source.seek(part.number, part.shard.next)
            except PartitionsLostError as error:
                # A rebalance has begun; where none has, the next batches ask for another seek.
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
                await to_the_end(self._services.run(self._rebuild, part))
            rows = await Restore(part.shard).run()
            # Also where nothing comes to flush: tools take a partition without a committed offset for one that lags by all it has.
            await self._services.ownership.prove(part.number, part.shard.position)
            await self._services.source.seek(part.number, part.shard.position)
        except Exception as error:  # noqa: BLE001 - sorted by kind in tables.life; unknown kinds end the process
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
        store = self._stores.replace(part.number, part.shard.store)
        part.shard = part.shard.rebuilt(store)
        part.rebuild = False
