"""The parties of a question: this process and the other workers. A partition is asked of one party at a time.

So what is added up is disjoint, also while two workers take themselves for the owner of a partition. After a party that does not
answer, or that refuses a partition, the next party is asked that may know: another owner, a standby, and then all again by the newest
map, as long as there is time. A partition that has been without an answer for long is not waited for any more by each question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

from agents.source.group_map import GroupMap, Member
from app.reads.answers import Assignments, Terms, WorkerAssignment
from app.reads.local import LocalReads
from app.reads.peers import BusyError, PeerError
from app.reads.questions import Question, Told, WorkerStatus
from app.reads.routes import HERE, Party, Routes
from app.reads.together import all_of, united
from tables.errors import (
    NotReadyError,
    OverloadedError,
    QueryTimeoutError,
    StoreCorruptedError,
    WordcountError,
)

_FIRST_SHARE: Final = 0.3
"""Share of the remaining time that a party gets if another party could answer after it."""

_RESERVE_S: Final = 0.02
"""Time that is kept for telling a client which partitions are missing."""

_PAUSE_S: Final = 0.03
_GROWTH: Final = 1.6
"""First pause before all parties are asked again, and the growth of the pauses: a question asks each party seven times a second."""

_LAST_S: Final = 0.05
"""Time for asking all parties once more at the end."""

_OUTAGE_S: Final = 10.0
"""A partition that nobody has answered for this long is asked for once in each question, without a pause and another round.

Moves of partitions take less; what takes longer, like a stopped partition, does not end in the time of a question either.
"""

_SOON_S: Final = 5.0
"""Longest time between two questions in vain that are taken for one outage: a partition may have been there and have moved again."""

_MOST_REASON: Final = 500
"""Most characters of a reason, which another worker may have told."""

Value = TypeVar("Value")
Asks = Callable[[Sequence[int]], Question]
"""Makes the question for some partitions."""


class OtherWorkers(Protocol):
    """Asks other workers; `app.reads.peers.Peers`."""

    def is_suspect(self, url: str) -> bool:
        """See `Peers.is_suspect`."""
        ...

    async def ask(self, url: str, question: Question, timeout_s: float) -> Told[Any]:
        """See `Peers.ask`."""
        ...

    async def status(self, url: str, timeout_s: float) -> WorkerStatus:
        """See `Peers.status`."""
        ...


@dataclass(slots=True)
class Found:
    """What parties have told of disjoint partitions, each with its party, and why the other partitions are missing.

    Attributes:
        parties, told: a party, and what it has told, at the same place.
        reasons: missing partition -> why nobody has told of it.
        count_known: whether the number of partitions was known when they were asked for.
        busy: parties that were overloaded or late, and are not asked again.
    """

    parties: list[Party] = field(default_factory=list)
    told: list[Told[Any]] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    count_known: bool = True
    busy: set[Party] = field(default_factory=set)

    @property
    def is_whole(self) -> bool:
        """Whether every partition of the input topic was told."""
        return self.count_known and not self.reasons

    @property
    def as_of(self) -> dict[int, int]:
        """The positions of all partitions that were told."""
        return united(told.as_of for told in self.told)


class Parties:
    """Asks this process and the other workers.

    Args:
        local: answers for the partitions of this process.
        partition_count: number of partitions of the input topic; None while it is not known.
        group_map: the newest map of the group; None = not known.
        workers: asks the other workers.

    Attributes:
        local: see above.
    """

    def __init__(
        self,
        local: LocalReads,
        partition_count: Callable[[], int | None],
        group_map: Callable[[], GroupMap | None],
        workers: OtherWorkers,
    ) -> None:
        self.local = local
        self._partition_count = partition_count
        self._last_count: int | None = None
        self._group_map = group_map
        self._workers = workers
        self._routes = Routes(None)
        self._missing_s: dict[int, tuple[float, float]] = {}
        """When the questions began and ended that nobody has answered for a partition, one soon after the other."""

    @property
    def are_alone(self) -> bool:
        """Whether no other worker is known."""
        return not self._routes_now().urls

    def partition_count(self) -> int | None:
        """Return the number of partitions of the input topic as it was known last; None = it was never known.

        A client of Kafka forgets a topic for a moment, while the topic has no leader.
        """
        count = self._partition_count()
        if count is not None:
            self._last_count = count
        return self._last_count

    async def gather(
        self, asks: Asks, terms: Terms, end_s: float, numbers: Collection[int] | None = None
    ) -> Found:
        """Ask until every partition is covered, or the time is over; all parties once if `terms` allow an answer to be partial.

        Args:
            asks: makes the question for some partitions.
            terms: what the asker demands.
            end_s: end of the time by `time.monotonic`.
            numbers: partitions to ask for; None = all of the input topic.

        Raises:
            NotReadyError: no partition is known yet.
            OverloadedError, QueryTimeoutError: this process cannot answer for its own partitions, and no other worker is known.
        """
        count = self.partition_count()
        if numbers is None:
            numbers = self.local.owned() if count is None else range(count)
        if not numbers:
            raise NotReadyError("no partition can answer yet", "ask /readyz what is awaited")
        found, missing = Found(count_known=count is not None), set(numbers)
        asked: dict[int, list[Party]] = {}
        pause_s = _PAUSE_S
        while missing:
            routes = self._routes_now()
            groups, last = self._next_parties(routes, missing, asked, terms, found.busy)
            if groups:
                await self._ask_groups(groups, asks, found, end_s, is_last=last)
                missing -= found.as_of.keys()
                continue
            left_s = end_s - _RESERVE_S - _LAST_S - monotonic()
            if terms.allow_partial or left_s <= 0:
                break  # Who takes a part is not kept waiting for the rest.
            if (found.busy and not asked) or self._are_long_missing(missing):
                break
            await asyncio.sleep(min(pause_s, left_s))
            pause_s *= _GROWTH
            asked = {}
        if terms.max_lag_records is None:
            self._note_missing(numbers, missing)
        found.reasons = {number: found.reasons.get(number, "nobody has it now") for number in sorted(missing)}
        return found

    async def assignments(self, timeout_s: float) -> Assignments:
        """Return which worker has which partition; by the map alone where a worker does not say so within `timeout_s` seconds."""
        group_map = self._group_map()
        mine = self.local.status()
        if group_map is None:
            workers = [WorkerAssignment("", True, "", mine.version, mine.active, mine.standby)]
            return Assignments(None, self.partition_count(), workers)

        async def said(number: int, member: Member) -> WorkerAssignment:
            is_here, problem = number == group_map.me, ""
            status = mine if is_here else None
            if status is None:
                try:
                    status = await self._workers.status(member.url, timeout_s)
                except PeerError as error:
                    problem = str(error)
            if status is None:
                unknown = dict.fromkeys(member.active), dict.fromkeys(member.standby)
                return WorkerAssignment(member.url, is_here, problem, "", *unknown)
            return WorkerAssignment(
                member.url, is_here, problem, status.version, status.active, status.standby
            )

        workers = [*await all_of([said(*one) for one in enumerate(group_map.members)])]
        return Assignments(group_map.generation, self.partition_count(), workers)

    async def ask(self, party: Party, question: Question, end_s: float) -> Told[Any]:
        """Return what a party tells until `end_s` by `time.monotonic`. A party that tells nothing refuses all partitions."""
        try:
            return await self._asked(party, question, end_s, end_s)
        except (PeerError, WordcountError) as error:
            return _refusal(question, error)

    async def _asked(self, party: Party, question: Question, share_s: float, end_s: float) -> Told[Any]:
        """Ask a party: others have until `share_s`, this process until then to find rows that may answer, until `end_s` to read."""
        if party is None:
            return await self.local.ask(question, share_s, end_s)
        return await self._workers.ask(party, question, share_s - monotonic())

    async def _ask_groups(
        self, groups: Mapping[Party, Sequence[int]], asks: Asks, found: Found, end_s: float, *, is_last: bool
    ) -> None:
        """Ask each party for its partitions, and add what they tell to `found`.

        Args:
            groups: partitions by party.
            asks: makes the question for some partitions.
            found: takes what is told.
            end_s: end of the time of the whole question.
            is_last: whether nobody is left who could be asked after these parties.
        """
        questions = {party: asks(numbers) for party, numbers in groups.items()}
        end_s -= _RESERVE_S
        share_s = end_s
        if not is_last and not any(question.may_read_all for question in questions.values()):
            share_s -= max(0.0, end_s - monotonic()) * (1 - _FIRST_SHARE)

        async def told_by(party: Party, question: Question) -> Told[Any]:
            try:
                return await self._asked(party, question, share_s, end_s)
            except (OverloadedError, QueryTimeoutError, BusyError) as error:
                if self.are_alone and not isinstance(error, BusyError):
                    raise
                found.busy.add(party)
                return _refusal(question, error)
            except (NotReadyError, StoreCorruptedError, PeerError) as error:
                return _refusal(question, error)

        tellings = await all_of([told_by(party, question) for party, question in questions.items()])
        for party, told in zip(groups, tellings, strict=True):
            found.reasons |= {number: reason[:_MOST_REASON] for number, reason in told.refused.items()}
            if told.as_of:
                found.parties.append(party)
                found.told.append(told)

    def _are_long_missing(self, missing: Collection[int]) -> bool:
        """Return whether each of some partitions has been without an answer for long."""
        now_s = monotonic()
        spans = [self._missing_s.get(number, (now_s, now_s)) for number in missing]
        return all(now_s - first_s > _OUTAGE_S and now_s - last_s < _SOON_S for first_s, last_s in spans)

    def _note_missing(self, numbers: Collection[int], missing: Collection[int]) -> None:
        """Note which of the partitions `numbers` nobody has answered."""
        now_s = monotonic()
        for number in numbers if missing or self._missing_s else ():
            if number in missing:
                first_s, last_s = self._missing_s.get(number, (now_s, now_s))
                self._missing_s[number] = (first_s if now_s - last_s < _SOON_S else now_s), now_s
            else:
                self._missing_s.pop(number, None)

    def _next_parties(
        self,
        routes: Routes,
        missing: Collection[int],
        asked: dict[int, list[Party]],
        terms: Terms,
        busy: Collection[Party],
    ) -> tuple[Mapping[Party, Sequence[int]], bool]:
        """Choose for each missing partition the next party to ask, and note the choice in `asked`.

        Returns:
            The partitions by chosen party; whether no party is left that could be asked after these.
        """
        owned, followed = self.local.owned(), self.local.followed()
        may_lag, last = terms.max_lag_records is not None, True
        groups: dict[Party, list[int]] = {}
        for number in sorted(missing):
            before = asked.get(number, ())
            if not before and number in owned and HERE not in busy:
                party, more = HERE, bool(routes.urls)
            else:
                parties = routes.parties(
                    number,
                    owned=owned,
                    followed=followed,
                    is_suspect=self._workers.is_suspect,
                    may_lag=may_lag,
                )
                fresh = [party for party in parties if party not in before and party not in busy]
                if not fresh:
                    continue
                party, more = fresh[0], len(fresh) > 1
            last = last and not more
            asked[number] = [*before, party]
            groups.setdefault(party, []).append(number)
        return groups, last

    def _routes_now(self) -> Routes:
        group_map = self._group_map()
        if self._routes.group_map is not group_map:
            self._routes = Routes(group_map)
        return self._routes


def _refusal(question: Question, error: Exception) -> Told[Any]:
    reason = error.message if isinstance(error, WordcountError) else str(error)
    return Told(None, {}, {}, {}, dict.fromkeys(question.partitions, reason))
