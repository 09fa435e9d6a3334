"""The partitions of this process as one party among others: tells of them only what no other party can have surpassed.

Answers of different processes must never go back. Whoever counts a partition appends a flush to the changelog before anybody is shown
the flush. So the end of the changelog, looked up after a question was asked, bounds everything that was shown before the question. The
owner of a partition need not look it up while its lease holds, because nobody else can count then (ADR 13).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from app.reads.answers import Behind, PartitionStatus, RestoreStatus, Role
from app.reads.questions import (
    CountsAsked,
    LeadersAsked,
    Leading,
    PageAsked,
    PartStats,
    PositionsAsked,
    Question,
    Told,
    TotalsAsked,
    WorkerStatus,
)
from app.reads.store_reads import StoreReads
from app.reads.top_query import AsOf
from tables.errors import WordcountError
from tables.partitions.partitions import Partitions
from tables.partitions.served_rows import ServedRows

SETTLE_S = 0.3
"""How long an owner may answer from before a flush that it is appending. Followers show no flush that they read less long ago."""

_LOOK_S = 0.005
"""Pause between two looks whether a flush is settled."""

Ends = Callable[[Collection[int]], Awaitable[Mapping[int, int]]]
"""Returns partition -> offset after its last record, looked up after the call."""


@dataclass(slots=True)
class _Party:
    """The partitions of a question that this process can answer, and why it cannot answer the others."""

    rows: dict[int, ServedRows] = field(default_factory=dict)
    served_by: dict[int, Role] = field(default_factory=dict)
    behind: dict[int, Behind] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


class LocalReads:
    """Answers questions about partitions of this process.

    Args:
        partitions: the partitions of this process.
        stores: reads their rows.
        holds_lease: returns whether the group cannot have given this process's partitions to another process.
        changelog_ends: looks up the ends of partitions of the changelog.
        process: random name of this process.
        version: version of Wordcount.
    """

    def __init__(
        self,
        partitions: Partitions,
        stores: StoreReads,
        *,
        holds_lease: Callable[[], bool],
        changelog_ends: Ends,
        process: str,
        version: str,
    ) -> None:
        self._partitions = partitions
        self._stores = stores
        self._holds_lease = holds_lease
        self._changelog_ends = changelog_ends
        self._process = process
        self._version = version

    def owned(self) -> Collection[int]:
        """Return the partitions that this process owns, in any state."""
        return self._partitions.partition_numbers()

    def followed(self) -> Collection[int]:
        """Return the partitions that this process follows."""
        return ()

    async def ask(self, question: Question, end_s: float) -> Told[Any]:
        """Answer `question` as well as this process can, until `end_s` by `time.monotonic`.

        Raises:
            OverloadedError, QueryTimeoutError, NotReadyError, StoreCorruptedError: see `StoreReads`.
        """
        party = await self._party(question, end_s)
        value, as_of = await self._read(question, party.rows, end_s)
        for number in party.rows.keys() - as_of.keys():
            del party.served_by[number]
            party.behind.pop(number, None)
            party.refused[number] = "its counts are being brought to one position"
        return Told(value, dict(as_of), party.served_by, party.behind, party.refused)

    def status(self) -> WorkerStatus:
        """Return what this process does with its partitions."""
        return WorkerStatus(self._process, self._version, dict(self.partitions()), {})

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """Return the status of each partition that this process owns, without waiting."""
        parts = self._partitions
        answering, restoring = parts.shards(), parts.restoring()
        statuses: dict[int, PartitionStatus] = {}
        for number in sorted(parts.partition_numbers()):
            state, highwater = parts.state(number)
            position = answering[number].position if number in answering else None
            restore = RestoreStatus(*restoring[number]) if number in restoring else None
            statuses[number] = PartitionStatus(state, position, highwater, restore)
        return statuses

    def close(self) -> None:
        """Answer nothing from now on."""
        self._stores.close()

    async def _party(self, question: Question, end_s: float) -> _Party:
        party, doubtful = _Party(), list[int]()
        shards, owned, leased = self._partitions.shards(), self.owned(), self._holds_lease()
        for number in question.partitions:
            if (shard := shards.get(number)) is None:
                party.refused[number] = self._why_not(number) if number in owned else "it is not here"
                continue
            party.rows[number], party.served_by[number] = shard.served, "active"
            if not leased or self._partitions.state(number)[0] == "restoring":
                doubtful.append(number)
        if doubtful:
            await self._prove(party, doubtful)
        unsettled = [number for number in party.rows if self._is_unsettled(number)]
        while unsettled and monotonic() + _LOOK_S < end_s:
            await asyncio.sleep(_LOOK_S)
            unsettled = [number for number in unsettled if self._is_unsettled(number)]
        _refuse(party, dict.fromkeys(unsettled, "a flush waits for the broker"))
        return party

    async def _prove(self, party: _Party, numbers: Collection[int]) -> None:
        """Refuse those of `numbers` whose changelog holds more than the store: another process may have shown it."""
        try:
            ends = await self._changelog_ends(numbers)
        except WordcountError as error:
            _refuse(party, dict.fromkeys(numbers, f"its changelog cannot be looked up ({error.message})"))
            return
        shards = self._partitions.shards()
        for number in numbers:
            shard = shards.get(number)
            if shard is None or shard.store.state.examined < ends[number]:
                _refuse(party, {number: self._why_not(number)})

    def _is_unsettled(self, number: int) -> bool:
        """Return whether the owner has begun so long ago to append a flush that followers may show the flush."""
        shard = self._partitions.shards().get(number)
        if shard is None or (flush := shard.unsettled) is None:
            return False
        return shard.services.clock() - flush.begun_s > SETTLE_S

    def _why_not(self, number: int) -> str:
        if number not in self.owned():
            return "it has moved"
        status = self.partitions()[number]
        if status.restore is not None:
            return f"it is being restored, {status.restore.share:.0%} of its changelog is read"
        errors = self._partitions.errors()
        return f"it is stopped: {errors[number]}" if number in errors else "it waits to be restored"

    async def _read(
        self, question: Question, rows: Mapping[int, ServedRows], end_s: float
    ) -> tuple[object, AsOf]:
        stores = self._stores
        match question:
            case CountsAsked(words=[word], at={}) if not question.at:
                count, as_of = await stores.count(rows, word, end_s)
                return [count], as_of
            case CountsAsked():
                return await stores.counts(rows, question.words, question.at, end_s)
            case PageAsked():
                return await stores.page(rows, question.prefix, question.start, question.limit, end_s)
            case LeadersAsked():
                return await self._leading(rows, question, end_s)
            case TotalsAsked():
                totals, as_of = stores.totals(rows)
                statuses = self.partitions()
                return PartStats(
                    totals, {number: statuses[number] for number in as_of if number in statuses}
                ), as_of
            case PositionsAsked():
                return None, stores.totals(rows)[1]
        raise AssertionError(f"{type(question).__name__} is asked of whole processes")

    async def _leading(
        self, rows: Mapping[int, ServedRows], question: LeadersAsked, end_s: float
    ) -> tuple[Leading, AsOf]:
        if not rows:
            return Leading([], 0, True), {}
        top, as_of = await self._stores.top(rows, question.k, question.exact, end_s)
        words = [(word.encode(), count) for word, count in top.words]
        last = words[-1][1] if words else 0
        bound = 0 if top.exact and len(words) < question.k else last + (top.max_error or 0)
        return Leading(words, bound, top.exact), as_of


def _refuse(party: _Party, reasons: Mapping[int, str]) -> None:
    """Move partitions from those that are answered to those that are refused."""
    for number, reason in reasons.items():
        del party.rows[number], party.served_by[number]
        party.behind.pop(number, None)
        party.refused[number] = reason
