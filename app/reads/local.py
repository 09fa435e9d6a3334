"""This process as one party among others: answers questions about its own partitions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from app.reads.answers import FollowerStatus, PartitionStatus, PartWindows
from app.reads.holdings import Holdings, status_as_followed
from app.reads.questions import (
    CountsAsked,
    LeadersAsked,
    Leading,
    PageAsked,
    PaneLeadersAsked,
    PartStats,
    PositionsAsked,
    Question,
    SeriesAsked,
    Told,
    TotalsAsked,
    TrendAsked,
    WindowsAsked,
    WorkerStatus,
)
from app.reads.store_reads import StoreReads
from app.reads.sums import AsOf
from tables.model.rows import StoreState
from tables.model.tally import Totals
from tables.partitions.served_rows import ServedRows


class LocalReads:
    """Answers questions about partitions of this process.

    Args:
        holdings: says which rows may answer.
        stores: reads the rows.
        process: random name of this process.
        version: version of Wordcount.
    """

    def __init__(self, holdings: Holdings, stores: StoreReads, *, process: str, version: str) -> None:
        self._holdings = holdings
        self._stores = stores
        self._process = process
        self._version = version

    def owned(self) -> Collection[int]:
        """Return the partitions that this process owns, in any state."""
        return self._holdings.owned()

    def followed(self) -> Collection[int]:
        """Return the partitions that this process follows, in any state."""
        return self._holdings.followed()

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """Return the status of each partition that this process owns, without waiting."""
        return self._holdings.partitions()

    def standbys(self) -> Mapping[int, FollowerStatus]:
        """Return the status of each partition that this process follows, without waiting."""
        return self._holdings.standbys()

    async def ask(self, question: Question, held_s: float, end_s: float) -> Told[Any]:
        """Answer `question` as well as this process can.

        Args:
            question: what is asked.
            held_s: end of the time in which rows have to be found that may answer.
            end_s: end of the time in which they have to be read. Both by `time.monotonic`.

        Raises:
            OverloadedError, QueryTimeoutError, NotReadyError, StoreCorruptedError: see `StoreReads`.
        """
        if not question.is_patient:
            self._holdings.asked()
        held = await self._holdings.held(question.partitions, question.max_lag_records, held_s)
        if type(question) is LeadersAsked and not question.least:
            for number in await self._stores.without_leaders(held.rows, held_s):
                held.refuse(
                    number, "its most frequent words are still being found, after a kill or an upgrade"
                )
        value, as_of = await self._read(question, held.rows, end_s)
        for number in held.rows.keys() - as_of.keys():
            held.refuse(number, "its counts are being brought to one position")
        return Told(value, dict(as_of), held.served_by, held.behind, held.refused)

    def status(self) -> WorkerStatus:
        """Return what this process does with its partitions."""
        holdings = self._holdings
        return WorkerStatus(
            self._process, self._version, dict(holdings.partitions()), dict(holdings.standbys())
        )

    def close(self) -> None:
        """Answer nothing from now on."""
        self._stores.close()

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
            case PaneLeadersAsked() | TrendAsked() | SeriesAsked():
                return await stores.windows.read(rows, question, end_s)
            case LeadersAsked():
                return await self._leading(rows, question, end_s)
        states = stores.states(rows)
        return self._said(question, states), {number: state.position for number, state in states.items()}

    def _said(self, question: Question, states: Mapping[int, StoreState]) -> object:
        """Return what is told to a question that the states of stores answer."""
        match question:
            case TotalsAsked():
                totals = sum((state.totals for state in states.values()), Totals())
                return PartStats(totals, self._statuses(states), _part_windows(states, counting_only=True))
            case WindowsAsked():
                return _part_windows(states)
            case PositionsAsked():
                return None
        raise AssertionError(f"{type(question).__name__} is asked of whole processes")

    def _statuses(self, numbers: Collection[int]) -> dict[int, PartitionStatus]:
        """Return the status of partitions that this process owns or follows."""
        owned, followed = self.partitions(), self.standbys()
        statuses = {number: status_as_followed(status) for number, status in followed.items()} | {**owned}
        return {number: statuses[number] for number in numbers if number in statuses}

    async def _leading(
        self, rows: Mapping[int, ServedRows], question: LeadersAsked, end_s: float
    ) -> tuple[Leading, AsOf]:
        if not rows:
            return Leading([], 0, True), {}
        if question.least:
            listing, as_of = await self._stores.frequent(rows, question.least, question.also, end_s)
            return Leading([*listing.counts.items()], listing.bound, False), as_of
        if question.needed:
            found = await self._stores.listed(rows, question.needed, question.also, end_s)
            if found is not None:
                listing, as_of = found
                return Leading([*listing.counts.items()], listing.bound, False), as_of
        top, as_of = await self._stores.top(rows, question.k, question.exact, end_s)
        words = [(word.encode(), count) for word, count in top.words]
        last = words[-1][1] if words else 0
        bound = 0 if top.exact and len(words) < question.k else last + (top.max_error or 0)
        return Leading(words, bound, top.exact), as_of


def _part_windows(states: Mapping[int, StoreState], *, counting_only: bool = False) -> dict[int, PartWindows]:
    """Return what partitions know of windows; `counting_only` = only those that count windows, or have counted some."""
    found: dict[int, PartWindows] = {}
    for number, state in states.items():
        totals = state.totals
        windows = None if state.marker is None else state.marker.windows
        if not counting_only or windows is not None or totals.untimed or totals.late:
            found[number] = PartWindows(windows, totals.records, totals.untimed, totals.late)
    return found
