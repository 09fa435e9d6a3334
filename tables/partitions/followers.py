"""The followers of a process: which partitions are followed, the thread that reads for them, and what their failures lead to.

All methods but `_step` run on the event loop. One thread polls the tail of the changelog and has the followers take in what came, so
that unpacking and merging do not delay the event loop.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

import structlog

from tables.errors import (
    BrokerUnavailableError,
    FlushUnknownError,
    InexactError,
    StoreCorruptedError,
    WordcountError,
)
from tables.model.positions import can_catch_up_from, is_made_again
from tables.pace.backoff import backoff_s
from tables.partitions.changes import Change
from tables.partitions.follower import Follower
from tables.partitions.life import MAX_REBUILDS
from tables.partitions.services import FollowerServices
from tables.partitions.settled_tail import SettledTail
from tables.partitions.waiting import cancel, finish_despite_cancel
from tables.store.partition_store import PartitionStore
from tables.store.stores import Stores
from tables.threads import beside_the_loop

_log = structlog.get_logger(__name__)

POLL_S = 1.0
"""Longest wait for records. After this time the end of the changelog is known anew."""

CONFIRM_S = 0.1
IDLE_CONFIRM_S = 2.0
"""Shortest time between two looks at the id of the changelog, while records wait and while none do."""

MOST_BYTES = 16 << 20
"""Most bytes of changelog records that a follower holds: twice the rows of a large flush."""

RESTORED_AT_ONCE = 2
"""Followers that are on the way to the end of their changelog are read two at a time, so that their buffers are large."""


class Followers:
    """Follows some partitions of the changelog.

    Args:
        stores: opens the stores, one per partition.
        services: what the followers share.
        on_fatal: called with an error after which the process must end.
    """

    def __init__(
        self, stores: Stores, services: FollowerServices, *, on_fatal: Callable[[Exception], None]
    ) -> None:
        self._stores = stores
        self._services = services
        self._on_fatal = on_fatal
        self._tail = SettledTail(services.tail, services.clock)
        self._confirmed_s = -math.inf
        """When the id of the changelog was looked up last."""
        self._followers: dict[int, Follower] = {}
        self._corrupted: dict[int, StoreCorruptedError] = {}
        """Stores that have to be replaced by empty stores."""
        self._rebuilds: dict[int, int] = {}
        """By partition, the replaced stores since the follower last reached the end of its changelog."""
        self._stops_told: set[int] = set()
        """Partitions whose follower has stopped, which the log says, and has not reached the end of its changelog since."""
        self._beginning: dict[int, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        """Held while the thread reads, and while a store is taken away or replaced."""
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        """Set when there is something else to follow."""
        self._moved = asyncio.Event()
        """Set, and replaced, after each poll."""

    # The set of followers

    async def follow(self, numbers: Collection[int]) -> None:
        """Follow exactly these partitions from now on, and close the stores of the others. A follower that has stopped begins again.

        Raises:
            StateLockedError, StoreFullError, StoreUnavailableError: a store cannot be opened.
        """
        services = self._services
        stopped = {number for number, follower in self._followers.items() if follower.error}
        for number in (self._followers.keys() - set(numbers)) | stopped:
            await self._end(number, numbers)
        for number in sorted(set(numbers) - self._followers.keys()):
            self._add(number, await services.run(self._stores.open, number))
        if self._followers and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._follow(), name="followers")
        self._wake()

    async def _end(self, number: int, wanted: Collection[int]) -> None:
        """Close the store of a follower; if it is `wanted` again, it has told already why it stopped."""
        is_told = number in self._stops_told
        if (follower := await self.take(number)) is not None:
            await self._services.run_close(_close, follower)
        if is_told and number in wanted:
            self._stops_told.add(number)

    async def take(self, number: int) -> Follower | None:
        """Stop following a partition and return its follower, whose store stays open for a take-over; None = it was not followed."""
        if number not in self._followers:
            return None
        self._tail.wake()
        async with self._turn:
            await cancel(self._beginning.pop(number, None))
            self._corrupted.pop(number, None)
            self._rebuilds.pop(number, None)
            self._stops_told.discard(number)
            return self._followers.pop(number, None)

    async def close(self) -> None:
        """Follow nothing any more, and close all stores and the connection."""
        await asyncio.gather(*(self._end(number, ()) for number in list(self._followers)))
        await self.follow([])
        if self._task is not None:
            await self._task

    def rebuild_corrupted(self, error: StoreCorruptedError) -> None:
        """Replace the store that a reader found corrupted by an empty store, which is filled from the changelog."""
        for number in self._followers:
            if error.folder == self._stores.folder_of(number):
                self._corrupted[number] = error
                self._wake()

    # Reads

    def followers(self) -> Mapping[int, Follower]:
        """Return the followers by partition. May be called from any thread: the copy is made in one step."""
        return dict(self._followers)

    async def reached(self, partition: int, end: int, timeout_s: float) -> bool:
        """Wait until the follower of `partition` has read the changelog up to `end` (exclusive) and shows the last flush of it.

        Returns:
            Whether it does; False after `timeout_s`, and immediately if the partition is not followed.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (follower := self._followers.get(partition)) is not None and not follower.error:
                    if follower.applied >= end:
                        return True
                    await self._moved.wait()
        return False

    # Following

    async def _follow(self) -> None:
        """Read for the followers until there is none, then close the connection."""
        while self._followers:
            await self._read_on()
            await self._services.run_tail(self._tail.close)

    async def _read_on(self) -> None:
        """Poll for the followers that have begun, until there is no follower."""
        attempts = 0
        while self._followers:
            self._changed.clear()
            while self._corrupted:
                number, corruption = self._corrupted.popitem()
                # While another store was replaced, the partition may have been taken away.
                if (follower := self._followers.get(number)) is not None:
                    await self._failed(follower, corruption)
            if not (wanted := self._wanted()):
                await self._changed.wait()
                continue
            try:
                failures = await self._poll(wanted)
            except BrokerUnavailableError as error:
                attempts += 1
                _log.warning("followers wait for the changelog", reason=str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(backoff_s(attempts, self._services.chance())):
                        await self._changed.wait()
                continue
            except Exception as error:  # noqa: BLE001 - nobody knows how to go on
                for one in self._followers.values():
                    one.stop(str(error))
                self._on_fatal(error)
                continue
            attempts = 0
            for failed, failure in failures:
                await self._failed(failed, failure)

    def _wanted(self) -> Mapping[int, Follower]:
        """Return the followers to read for: all that follow, and some of those that are on the way to the end."""
        begun = {number: one for number, one in self._followers.items() if one.begun and not one.error}
        restoring = [number for number, one in begun.items() if one.state == "restoring"]
        return {number: one for number, one in begun.items() if number not in restoring[RESTORED_AT_ONCE:]}

    async def _poll(self, wanted: Mapping[int, Follower]) -> Sequence[tuple[Follower, Exception]]:
        """Have `wanted` take in what a poll brings, and publish their positions. Return the followers that failed, and why."""
        await self._confirm(wanted)
        async with self._turn:
            wanted = {
                number: one
                for number, one in wanted.items()
                if self._followers.get(number) is one and not one.error
            }
            before = {number: one.store.state for number, one in wanted.items()}
            failures = await finish_despite_cancel(self._services.run_tail(self._step, wanted))
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        for number, one in wanted.items():
            if one.state == "following":
                self._rebuilds.pop(number, None)
                if number in self._stops_told:
                    self._stops_told.remove(number)
                    _log.info("a follower that had stopped follows again", partition=number)
            if one.store.state is not before[number]:
                self._services.changes.publish(Change(number, one.position, None))
        return failures

    async def _confirm(self, wanted: Mapping[int, Follower]) -> None:
        """Look up the id of the changelog if something waits for that; stop the followers of a former changelog of this name.

        Without an answer records wait for the next look; a poll finds out whether brokers are away.
        """
        services, asked_s = self._services, self._services.clock()
        age_s = asked_s - self._confirmed_s
        if age_s < CONFIRM_S or (age_s < IDLE_CONFIRM_S and not self._tail.holds_records):
            return
        try:
            changelog_id = await services.changelog.identity()
        except BrokerUnavailableError as unknown:
            _log.debug("the id of the changelog is not known now", reason=str(unknown))
            return
        for follower in wanted.values():
            if changelog_id and follower.changelog_id and changelog_id != follower.changelog_id:
                error = InexactError(
                    f"the changelog was created again (id {follower.changelog_id}, now {changelog_id})",
                    "the owner of the partition says what to do",
                )
                await self._failed(follower, error)
        self._confirmed_s = asked_s
        self._tail.confirm(asked_s)

    @beside_the_loop
    def _step(self, wanted: Mapping[int, Follower]) -> Sequence[tuple[Follower, Exception]]:
        """Poll, and have each follower take in what came. Runs in the thread of the tail."""
        failures: list[tuple[Follower, Exception]] = []
        found = self._tail.poll({number: one.next for number, one in wanted.items()}, POLL_S)
        for number, part in found.items():
            try:
                wanted[number].apply(part)
            except Exception as error:  # noqa: BLE001 - sorted by kind in `_failed`; unknown kinds end the process
                failures.append((wanted[number], error))
        return failures

    async def _failed(self, follower: Follower, error: Exception) -> None:
        """Do what the failure of a follower leads to: its store is replaced, the follower stops, or the process ends."""
        number = follower.partition
        self._corrupted.pop(number, None)
        if self._followers.get(number) is not follower:
            return
        match error:
            case StoreCorruptedError() if self._rebuilds.get(number, 0) < MAX_REBUILDS:
                self._rebuilds[number] = self._rebuilds.get(number, 0) + 1
                _log.error("rebuilding the store of a follower", partition=number, reason=str(error))
                await self._replace(follower)
            case InexactError():
                follower.stop(str(error))
                self._begin(follower, error)
            case _:
                follower.stop(str(error))
                self._on_fatal(error)

    async def _replace(self, follower: Follower) -> None:
        """Replace the store of `follower` by an empty one and follow from the beginning of the changelog."""
        number = follower.partition
        async with self._turn:
            if self._followers.get(number) is not follower:
                return
            follower.stop("the store is replaced")
            try:
                store = await finish_despite_cancel(
                    self._services.run(self._stores.replace, number, follower.store)
                )
            except WordcountError as error:
                self._on_fatal(error)
                return
            self._add(number, store)

    def _add(self, number: int, store: PartitionStore) -> None:
        services = self._services
        follower = Follower(number, store, services.owner, services.vocabulary, services.clock)
        self._followers[number] = follower
        self._begin(follower)

    def _begin(self, follower: Follower, failure: InexactError | None = None) -> None:
        number = follower.partition
        self._beginning[number] = asyncio.create_task(
            self._find_changelog(follower, failure), name=f"follow-{number}"
        )

    async def _find_changelog(self, follower: Follower, failure: InexactError | None) -> None:
        """Compare the store with the present changelog, as often as it takes, and have the follower begin, stop, or begin anew.

        Args:
            follower: has not begun, or has stopped.
            failure: why it stopped although it had begun: perhaps because the changelog was created again; None = it has not begun.
        """
        number, attempts = follower.partition, 0
        while True:
            asked_s = self._services.clock()
            try:
                end = await self._services.changelog.end_offset(number)
                changelog_id = await self._services.changelog.identity()
                break
            except (BrokerUnavailableError, FlushUnknownError) as error:
                attempts += 1
                _log.warning("a follower waits for its changelog", partition=number, reason=str(error))
                await asyncio.sleep(backoff_s(attempts, self._services.chance()))
            except Exception as error:  # noqa: BLE001 - nobody knows how to go on
                self._on_fatal(error)
                return
        state = follower.store.state
        if can_catch_up_from(state, changelog_id, end):
            if failure is None:
                most_bytes = min(MOST_BYTES, self._services.memory.bounds.replay_bytes // RESTORED_AT_ONCE)
                self._tail.told(number, end, asked_s)
                follower.begin(changelog_id, end, asked_s, most_bytes)
                self._wake()
            else:
                self._tell_stop(follower)
        elif is_made_again(state, changelog_id, end):
            _log.warning(
                "the changelog was created again; it is followed from its beginning", partition=number
            )
            await self._replace(follower)
        else:
            follower.stop(
                f"the changelog of {self._services.owner.topic} partition {number} was deleted, truncated or created again: "
                f"it ends at offset {end}, {state.examined} was next to read; the owner of the partition says what to do"
            )
            self._tell_stop(follower)

    def _tell_stop(self, follower: Follower) -> None:
        """Log why a follower has stopped, once until it follows again."""
        if follower.partition not in self._stops_told:
            self._stops_told.add(follower.partition)
            _log.error("a follower stopped", partition=follower.partition, error=follower.error)

    def _wake(self) -> None:
        """Have the next poll consider what has changed."""
        self._changed.set()
        self._tail.wake()


@beside_the_loop
def _close(follower: Follower) -> None:
    """Close the store of a follower that was taken away."""
    try:
        follower.served.close()
    except WordcountError as error:
        # Nothing is lost: the changelog brings the store forward, or fills a new one.
        _log.warning(
            "the store of a follower could not be written", partition=follower.partition, reason=str(error)
        )
