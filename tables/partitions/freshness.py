"""Freshness: which rows of this process may answer a question that demands the newest counts, so that no later answer is older.

Several processes may answer for a partition: its owner, a former owner that does not know yet that it was replaced, and followers. Two
rules make an answer *newest*, that is, not older than any newest answer that was given before the question arrived:

1. **By proof.** Whoever counts appends the flush to the changelog before anybody answers of it. So rows are newest if they have all
   that the changelog had at a moment after the question arrived: the end of the changelog is asked for then, and nothing is answered
   before it was read. This holds for followers, suspended partitions and owners.
2. **By lease**, without a request to a broker. While the lease of a membership holds, the group gives its partitions to nobody else.
   So the rows of a partition that counts are newest as long as no follower can have shown a flush of this process that is on its way
   through the changelog: until `OWNER_S` after the process sent the flush's marker (`tables.partitions.settled_tail`).

The lease does not know of a record that a former owner appended late. A follower that has read such a record is ahead of the owner
until the owner examines the changelog, with its next flush or within a minute. Who must not see even that asks by proof alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from tables.errors import BrokerUnavailableError, FlushUnknownError, PartitionsLostError
from tables.model.positions import can_catch_up_from
from tables.partitions.changes import Change, Changes
from tables.partitions.follower import Follower
from tables.partitions.followers import Followers
from tables.partitions.served_rows import ServedRows
from tables.partitions.settled_tail import OWNER_S
from tables.partitions.shard import Shard
from tables.ports import ChangelogEnds


class Freshness:
    """Finds the rows of this process that are newest.

    Args:
        shards: returns the shards of this process that can answer; none in a process that only follows.
        counting: returns the numbers of the partitions that this process counts at present.
        followers: the followers of this process.
        check_lease: raises PartitionsLostError unless the membership and its lease hold, see `Ownership.check`.
        changelog: tells the ends of the changelog.
        changes: tells when a shard has changed.
        clock: returns monotonic seconds, the clock of the shards.
    """

    def __init__(
        self,
        *,
        shards: Callable[[], Mapping[int, Shard]],
        counting: Callable[[], Collection[int]],
        followers: Followers,
        check_lease: Callable[[], None],
        changelog: ChangelogEnds,
        changes: Changes,
        clock: Callable[[], float],
    ) -> None:
        self._shards = shards
        self._counting = counting
        self._followers = followers
        self._check_lease = check_lease
        self._changelog = changelog
        self._clock = clock
        self._changed = asyncio.Event()
        """Set, and replaced, with each change."""
        changes.subscribe(self._note)

    def leased(self) -> Mapping[int, ServedRows]:
        """Return the rows that are newest by lease at this moment."""
        try:
            self._check_lease()
        except PartitionsLostError:
            return {}
        shards, counting = self._shards(), self._counting()
        now_s = self._clock()
        return {
            number: shard.served
            for number, shard in shards.items()
            if number in counting and (shard.unsettled is None or now_s - shard.unsettled_s < OWNER_S)
        }

    async def proven(self, numbers: Collection[int], timeout_s: float) -> Mapping[int, ServedRows]:
        """Return the newest rows of those of the partitions `numbers` for which this process can prove it.

        Args:
            numbers: partitions.
            timeout_s: longest wait for the end of a changelog and for its records, in seconds.
        """
        asked = list(numbers)
        found = await asyncio.gather(*(self._proven(number, timeout_s) for number in asked))
        return {number: rows for number, rows in zip(asked, found, strict=True) if rows is not None}

    async def _proven(self, number: int, timeout_s: float) -> ServedRows | None:
        if number not in self._shards() and number not in self._followers.followers():
            return None
        with suppress(TimeoutError, BrokerUnavailableError, FlushUnknownError):
            async with asyncio.timeout(timeout_s):
                end = await self._changelog.end_offset(number)
                changelog_id = await self._changelog.identity()
                found = await self._at(number, end, timeout_s)
                # The end of a changelog that was deleted and created again proves nothing.
                if found is not None and can_catch_up_from(found.store.state, changelog_id, end):
                    return found.served
        return None

    async def _at(self, number: int, end: int, timeout_s: float) -> Shard | Follower | None:
        """Return who can answer for a partition and has read its changelog up to `end`, as soon as it has; None = nobody can."""
        while (shard := self._shards().get(number)) is not None:
            if shard.store.state.examined >= end:
                return shard
            await self._changed.wait()
        if await self._followers.reached(number, end, timeout_s):
            follower = self._followers.followers().get(number)
            return follower if follower is not None and follower.readable else None
        return None

    def _note(self, _: Change) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
