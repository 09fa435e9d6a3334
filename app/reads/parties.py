"""The parties of a question: this process and the other workers. A partition is asked of one party at a time.

So what is added up is disjoint, also while two workers take themselves for the owner of a partition. After a party that does not
answer, or that refuses a partition, the next party is asked that may know: another owner, a standby, and then all again by the newest
map, as long as there is time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

from agents.source.group_map import GroupMap, Member
from app.reads.answers import Assignments, Terms, WorkerAssignment
from app.reads.local import LocalReads
from app.reads.peers import PeerError
from app.reads.questions import Question, Told, WorkerStatus
from app.reads.routes import HERE, Party, Routes
from tables.errors import NotReadyError

_FIRST_SHARE: Final = 0.3
"""Share of the remaining time that a party gets if another party could answer after it."""

_RESERVE_S: Final = 0.02
"""Time that is kept for telling a client which partitions are missing."""

_PAUSE_S: Final = 0.03
"""Pause before all parties are asked again."""

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
    """What parties have told of disjoint partitions, each with its party, and why the other partitions are missing."""

    parties: list[Party] = field(default_factory=list)
    told: list[Told[Any]] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)

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
        local, partition_count: see above.
    """

    def __init__(
        self,
        local: LocalReads,
        partition_count: Callable[[], int | None],
        group_map: Callable[[], GroupMap | None],
        workers: OtherWorkers,
    ) -> None:
        self.local = local
        self.partition_count = partition_count
        self._group_map = group_map
        self._workers = workers
        self._routes = Routes(None)

    @property
    def are_alone(self) -> bool:
        """Whether no other worker is known."""
        return not self._routes_now().urls

    async def gather(
        self, asks: Asks, terms: Terms, end_s: float, numbers: Collection[int] | None = None
    ) -> Found:
        """Ask until every partition is covered, or the time is over.

        Args:
            asks: makes the question for some partitions.
            terms: what the asker demands.
            end_s: end of the time by `time.monotonic`.
            numbers: partitions to ask for; None = all.

        Raises:
            NotReadyError: no partition is known yet.
            OverloadedError, QueryTimeoutError, StoreCorruptedError: this process cannot answer for its own partitions.
        """
        count = self.partition_count()
        if numbers is None:
            numbers = self.local.owned() if count is None else range(count)
        if not numbers:
            raise NotReadyError("no partition can answer yet", "ask /readyz what is awaited")
        found, missing = Found(), set(numbers)
        asked: dict[int, list[Party]] = {}
        while missing:
            routes = self._routes_now()
            groups, last = self._next_parties(routes, missing, asked, terms)
            if groups:
                left_s = end_s - _RESERVE_S - monotonic()
                until_s = end_s - _RESERVE_S - (0 if last else left_s * (1 - _FIRST_SHARE))
                tellings = await all_of(
                    [self.ask(party, asks(parts), until_s) for party, parts in groups.items()]
                )
                for party, told in zip(groups, tellings, strict=True):
                    found.reasons |= told.refused
                    if told.as_of:
                        found.parties.append(party)
                        found.told.append(told)
                        missing -= told.as_of.keys()
            elif not routes.urls or monotonic() + _PAUSE_S + _RESERVE_S > end_s:
                break
            else:
                await asyncio.sleep(_PAUSE_S)
                asked = {}
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

    async def ask(self, party: Party, question: Question, until_s: float) -> Told[Any]:
        """Return what a party tells. A party that tells nothing refuses all partitions of the question."""
        try:
            if party is None:
                return await self.local.ask(question, until_s)
            return await self._workers.ask(party, question, until_s - monotonic())
        except (PeerError, NotReadyError) as error:
            reason = error.message if isinstance(error, NotReadyError) else str(error)
            return Told(None, {}, {}, {}, dict.fromkeys(question.partitions, reason))

    def _next_parties(
        self, routes: Routes, missing: Collection[int], asked: dict[int, list[Party]], terms: Terms
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
            if not before and number in owned:
                party, more = HERE, bool(routes.urls)
            else:
                parties = routes.parties(
                    number,
                    owned=owned,
                    followed=followed,
                    is_suspect=self._workers.is_suspect,
                    may_lag=may_lag,
                )
                fresh = [party for party in parties if party not in before]
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


def united(mappings: Iterable[Mapping[int, Value]]) -> dict[int, Value]:
    """Return one mapping with the partitions of all."""
    return {number: value for mapping in mappings for number, value in mapping.items()}


async def all_of(coroutines: Sequence[Coroutine[Any, Any, Value]]) -> Sequence[Value]:
    """Return the results in order. Raise the first error when all have ended."""
    if len(coroutines) == 1:
        return [await coroutines[0]]
    return [_result(result) for result in await asyncio.gather(*coroutines, return_exceptions=True)]


def _result(result: Value | BaseException) -> Value:
    if isinstance(result, BaseException):
        raise result
    return result
