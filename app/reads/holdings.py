"""What this process has of partitions: the rows that may answer a question, in which role, and why others may not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from app.reads.answers import Behind, FollowerStatus, PartitionStatus, RestoreStatus, Role
from tables.errors import WordcountError
from tables.pace.courtesy import Courtesy
from tables.partitions.follower import Follower
from tables.partitions.followers import Followers
from tables.partitions.freshness import Freshness
from tables.partitions.partitions import Partitions
from tables.partitions.served_rows import ServedRows

_PROOF_SHARE = 0.5
"""Share of a question's time that may be spent on proving that rows are the newest; the rest is kept for the answer."""

_LAG_SHARE = 0.5
"""Share of a question's time that may be spent on asking how far followers lag; the rest is kept for the proof and the answer."""

Ends = Callable[[Collection[int]], Awaitable[Mapping[int, int]]]
"""Looks up partition -> offset after its last record, as after the call began. Raises WordcountError if no broker answers."""


@dataclass(slots=True)
class Held:
    """The partitions of a question that this process can answer, and why it cannot answer the others.

    Attributes:
        rows: the rows by partition.
        served_by: in which role this process has the partition; same keys as `rows`.
        behind: how far a follower is behind; only partitions that a follower answers.
        refused: why a partition is not answered.
    """

    rows: dict[int, ServedRows] = field(default_factory=dict)
    served_by: dict[int, Role] = field(default_factory=dict)
    behind: dict[int, Behind] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    def add(self, number: int, rows: ServedRows, role: Role, behind: Behind | None = None) -> None:
        """Answer a partition by `rows`."""
        self.rows[number], self.served_by[number] = rows, role
        if behind is not None:
            self.behind[number] = behind

    def refuse(self, number: int, reason: str) -> None:
        """Answer a partition no longer."""
        self.rows.pop(number, None)
        self.served_by.pop(number, None)
        self.behind.pop(number, None)
        self.refused[number] = reason


class Holdings(Protocol):
    """The partitions of a process: a worker's or a view's."""

    def owned(self) -> Collection[int]:
        """Return the partitions that this process owns, in any state."""
        ...

    def followed(self) -> Collection[int]:
        """Return the partitions that this process follows, in any state."""
        ...

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """Return the status of each partition that this process owns."""
        ...

    def standbys(self) -> Mapping[int, FollowerStatus]:
        """Return the status of each partition that this process follows."""
        ...

    def asked(self) -> None:
        """Note that somebody waits for the answer to a question."""
        ...

    async def held(self, numbers: Collection[int], max_lag_records: int | None, end_s: float) -> Held:
        """Return the rows that may answer a question which arrives now.

        Args:
            numbers: partitions of the question.
            max_lag_records: see `app.reads.answers.Terms`.
            end_s: end of the question's time by `time.monotonic`.
        """
        ...


class WorkerHoldings:
    """The partitions that a worker owns, and those that it follows.

    Args:
        partitions: owns and follows partitions.
        freshness: finds the rows that no other process can have surpassed.
        input_ends: looks up the ends of partitions of the input topic.
        courtesy: is told of each question whose answer somebody waits for.
    """

    def __init__(
        self, partitions: Partitions, freshness: Freshness, input_ends: Ends, courtesy: Courtesy
    ) -> None:
        self._partitions = partitions
        self._courtesy = courtesy
        self._freshness = freshness
        self._input_ends = input_ends

    def owned(self) -> Collection[int]:
        """See `Holdings.owned`."""
        return self._partitions.partition_numbers()

    def followed(self) -> Collection[int]:
        """See `Holdings.followed`."""
        return self._partitions.followers.followers().keys()

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """See `Holdings.partitions`."""
        parts = self._partitions
        answering, restoring, errors = parts.shards(), parts.restoring(), parts.errors()
        statuses: dict[int, PartitionStatus] = {}
        for number in sorted(parts.partition_numbers()):
            state, highwater = parts.state(number)
            position = answering[number].position if number in answering else None
            restore = RestoreStatus(*restoring[number]) if number in restoring else None
            statuses[number] = PartitionStatus(state, position, highwater, restore, errors.get(number, ""))
        return statuses

    def standbys(self) -> Mapping[int, FollowerStatus]:
        """See `Holdings.standbys`."""
        return statuses_of(self._partitions.followers)

    def asked(self) -> None:
        """See `Holdings.asked`."""
        self._courtesy.asked()

    async def held(self, numbers: Collection[int], max_lag_records: int | None, end_s: float) -> Held:
        """See `Holdings.held`. Rows are the newest by lease or by proof, except those of a follower that may lag."""
        held, leased = Held(), self._freshness.leased()
        for number in numbers:
            if number in leased:
                held.add(number, leased[number], "active")
        if max_lag_records is not None:
            near = self._partitions.followers.followers()
            asked = {number: near[number] for number in numbers if number in near and number not in held.rows}
            await hold_followers(
                held, asked, "standby", max_lag_records, input_ends=self._input_ends, end_s=end_s
            )
        if doubtful := [number for number in numbers if number not in held.rows]:
            left_s = max(0.0, end_s - monotonic())
            proven = await self._freshness.proven(doubtful, left_s * _PROOF_SHARE)
            followers = self._partitions.followers.followers()
            for number in doubtful:
                if number not in proven:
                    held.refuse(number, self._why_not(number))
                elif number in followers:
                    held.add(number, proven[number], "standby", behind_of(followers[number]))
                else:
                    held.add(number, proven[number], "active")
        held.refused = {number: why for number, why in held.refused.items() if number not in held.rows}
        return held

    def _why_not(self, number: int) -> str:
        follower = self._partitions.followers.followers().get(number)
        if number not in self.owned():
            return "it is not here" if follower is None else why_not(follower)
        status = self.partitions()[number]
        if status.restore is not None:
            return f"it is being restored, {status.restore.share:.0%} of its changelog is read"
        if status.error:
            return f"it is stopped: {status.error}"
        waits = status.position is None
        return "it waits to be restored" if waits else "it cannot be proven that its counts are the newest"


class ViewHoldings:
    """The partitions that a view follows: answered as of the last marker, however old, unless a question bounds that.

    Args:
        followers: follows all partitions.
        input_ends: looks up the ends of partitions of the input topic.
    """

    def __init__(self, followers: Followers, input_ends: Ends) -> None:
        self._followers = followers
        self._input_ends = input_ends

    def owned(self) -> Collection[int]:
        """See `Holdings.owned`. A view owns nothing."""
        return ()

    def followed(self) -> Collection[int]:
        """See `Holdings.followed`."""
        return self._followers.followers().keys()

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """See `Holdings.partitions`. A view owns nothing."""
        return {}

    def standbys(self) -> Mapping[int, FollowerStatus]:
        """See `Holdings.standbys`."""
        return statuses_of(self._followers)

    def asked(self) -> None:
        """See `Holdings.asked`. A view counts nothing that could pause."""

    async def held(self, numbers: Collection[int], max_lag_records: int | None, end_s: float) -> Held:
        """See `Holdings.held`."""
        held, followers = Held(), self._followers.followers()
        asked = {number: followers[number] for number in numbers if number in followers}
        await hold_followers(held, asked, "view", max_lag_records, input_ends=self._input_ends, end_s=end_s)
        for number in set(numbers) - asked.keys():
            held.refuse(number, "it is not followed yet")
        return held


async def hold_followers(
    held: Held,
    followers: Mapping[int, Follower],
    role: Role,
    max_lag_records: int | None,
    *,
    input_ends: Ends,
    end_s: float,
) -> None:
    """Answer the partitions of `followers` that can answer and do not lag too far; refuse the others.

    Args:
        held: takes the rows and the refusals.
        followers: followers by partition.
        role: role of the followers.
        max_lag_records: most records of the input that an answer may lack; None = any number.
        input_ends: looks up the ends of partitions of the input topic.
        end_s: end of the question's time by `time.monotonic`.
    """
    readable = {number: one for number, one in followers.items() if one.readable and not one.error}
    for number in followers.keys() - readable.keys():
        held.refuse(number, why_not(followers[number]))
    if max_lag_records is not None and readable:
        try:
            async with asyncio.timeout(max(0.0, end_s - monotonic()) * _LAG_SHARE):
                ends = await input_ends(readable)
        except (WordcountError, TimeoutError) as error:
            why = error.message if isinstance(error, WordcountError) else "no broker answered in time"
            for number in readable:
                held.refuse(number, f"how far it lags cannot be found out ({why})")
            return
    for number, one in readable.items():
        lag = 0 if max_lag_records is None else ends[number] - one.position
        if max_lag_records is not None and lag > max_lag_records:
            held.refuse(number, f"its follower lags by {lag} records")
        else:
            held.add(number, one.served, role, behind_of(one))


def behind_of(follower: Follower) -> Behind:
    """Return how far a follower is behind."""
    return Behind(follower.behind_records, round(follower.behind_s, 3))


def why_not(follower: Follower) -> str:
    """Return why a follower does not answer."""
    if follower.error:
        return f"its follower has stopped: {follower.error}"
    if not follower.begun:
        return "its follower waits for the changelog"
    if follower.state == "restoring":
        return f"its follower reads the changelog, {follower.progress.share:.0%} is read"
    if follower.store.state.marker is None:
        return "nothing of it is counted yet"
    if not follower.readable:
        return "its follower waits for the end of a flush"
    return "its follower is not as new as what others have shown"


def statuses_of(followers: Followers) -> Mapping[int, FollowerStatus]:
    """Return the status of each follower by partition."""
    return {
        number: FollowerStatus(
            one.state,
            one.position if one.store.state.marker is not None else None,
            behind_of(one),
            _restored(one),
            one.error,
        )
        for number, one in sorted(followers.followers().items())
    }


def status_as_followed(status: FollowerStatus) -> PartitionStatus:
    """Return the status of a partition that a follower answers. The end of the input, and so the lag, is not known."""
    return PartitionStatus(status.state, status.position, error=status.error)


def _restored(follower: Follower) -> float:
    """Return the share of the changelog that is read, from 0 to 1."""
    if follower.state == "following":
        return 1.0
    return follower.progress.share if follower.begun else 0.0
