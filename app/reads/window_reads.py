"""Reads of windows in the partitions of this process: their most frequent words, and the counts of a word in many windows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.reads.known_panes import KnownPanes
from app.reads.pane_parties import Opened, PaneParties, PaneParty, UnknownPaneError, opened, pane_rows
from app.reads.pool import Budget, QueryPool
from app.reads.questions import (
    Leading,
    PaneLeadersAsked,
    PaneLeading,
    PaneSpan,
    Series,
    SeriesAsked,
    Trend,
    TrendAsked,
)
from app.reads.sums import AsOf, Rows, first_words, listed, merged
from app.reads.together import all_of, united
from tables.model.rows import StoreState, unpack_rows
from tables.model.windows import Pane, WindowState
from tables.partitions.served_rows import ServedRows
from tables.threads import beside_the_loop
from tables.top.listings import searched
from tables.top.top_words import TopWords, most_frequent

_ATTEMPTS = 5

_SERIES_THREADS = 4

_MANY_WINDOWS = 240
"""Windows of a series from which on the partitions are asked apart: that many look-ups take longer than passing a question on."""

_TREND_LEADING = 500
"""Words of a window whose counts are looked up where they are not among the leaders of every partition."""

_MOST_RISING = 4_000
"""Most words whose counts in the windows before are looked up."""

Ask = Callable[[QueryPool, Hashable, Callable[[Budget], Any], float], Awaitable[Any]]
"""Answers in a thread of a pool; `StoreReads` has it."""


class WindowReads:
    """Reads windows. Errors and times are those of `app.reads.store_reads.StoreReads`.

    Args:
        ask: answers in a thread of a pool.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._parties = PaneParties(KnownPanes())
        self._series = QueryPool("series", _SERIES_THREADS, most_waiting=256)
        self._tops = QueryPool("window", 2, most_waiting=64)
        self._scans = QueryPool("window-scan", 2, most_waiting=8)

    async def read(
        self, rows: Rows, question: PaneLeadersAsked | TrendAsked | SeriesAsked, end_s: float
    ) -> tuple[PaneLeading | Trend | Series, AsOf]:
        """Return what is told to `question`."""
        match question:
            case PaneLeadersAsked():
                return await self.leading(rows, question, end_s)
            case TrendAsked():
                return await self.trend(rows, question, end_s)
            case SeriesAsked():
                return await self.series(rows, question, end_s)

    async def leading(self, rows: Rows, question: PaneLeadersAsked, end_s: float) -> tuple[PaneLeading, AsOf]:
        """Return the most frequent words of some windows together."""
        key = (
            question.k,
            question.needed,
            question.exact,
            question.least,
            question.span,
            *question.also,
            None,
            *rows,
        )
        return await self._found(
            key, partial(self._leading, rows, question), end_s, all_rows=question.least > 0
        )

    async def trend(self, rows: Rows, question: TrendAsked, end_s: float) -> tuple[Trend, AsOf]:
        """Return the most frequent words of a window, and of the windows before it, at one moment."""
        key = (question.now, question.before, question.windows, *question.also, None, *rows)
        return await self._found(key, partial(self._trend, rows, question), end_s)

    async def series(self, rows: Rows, question: SeriesAsked, end_s: float) -> tuple[Series, AsOf]:
        """Return the count of a word in each of some windows."""
        apart = [{number: served} for number, served in rows.items()]
        # Look-ups of many windows of different partitions are made at the same time: RocksDB makes them without the GIL.
        parts = apart if question.span.count >= _MANY_WINDOWS else [rows]
        told = await all_of([self._series_of(part, question, end_s) for part in parts if part])
        sums = [sum(counts) for counts in zip(*(series.counts for series, _ in told), strict=True)]
        windows = united(series.windows for series, _ in told)
        return Series(sums or [0] * question.span.count, windows), united(as_of for _, as_of in told)

    async def _series_of(self, rows: Rows, question: SeriesAsked, end_s: float) -> tuple[Series, AsOf]:
        answer = partial(_series, rows, question.word, question.span)
        found: tuple[Series, AsOf] = await self._ask(
            self._series, (question.word, question.span, *rows), answer, end_s
        )
        return found

    def close(self) -> None:
        """End the reading threads."""
        for pool in (self._series, self._tops, self._scans):
            pool.close()

    async def _found(
        self, key: Hashable, find: Callable[..., Any], end_s: float, *, all_rows: bool = False
    ) -> Any:
        """Answer by known leaders; in threads of their own where rows have to be scanned."""
        if not all_rows:
            try:
                return await self._ask(self._tops, key, partial(find, may_scan=False), end_s)
            except UnknownPaneError:
                pass
        return await self._ask(self._scans, key, partial(find, may_scan=True), end_s)

    @beside_the_loop
    def _leading(
        self, rows: Rows, question: PaneLeadersAsked, budget: Budget, *, may_scan: bool
    ) -> tuple[PaneLeading, AsOf]:
        with ExitStack() as views:
            parts = opened(rows, views)
            told = _told(parts)
            if question.least:
                wanted = dict.fromkeys(question.also, 0)
                counted = _noting(_all_words(parts, question.span, budget), wanted, question.least)
                listing = listed(counted, question.least, wanted)
                return PaneLeading([*listing.counts.items()], listing.bound, False, told), _as_of(parts)
            parties = self._parties.of(parts, question.span, budget, may_scan=may_scan)
            if question.needed:
                leading = _listing(parties, question.k, question.also)
                return PaneLeading(leading.words, leading.bound, False, told), _as_of(parts)
            top = most_frequent(parties, question.k, budget.check) if parties else TopWords([])
            if question.exact and not top.exact:
                if not may_scan:
                    raise UnknownPaneError
                top = first_words(_all_words(parts, question.span, budget), question.k)
            words = [(word.encode(), count) for word, count in top.words]
            last = words[-1][1] if words else 0
            bound = 0 if top.exact and len(words) < question.k else last + (top.max_error or 0)
            return PaneLeading(words, bound, top.exact, told), _as_of(parts)

    @beside_the_loop
    def _trend(
        self, rows: Rows, question: TrendAsked, budget: Budget, *, may_scan: bool
    ) -> tuple[Trend, AsOf]:
        with ExitStack() as views:
            parts = opened(rows, views)
            now, before = (
                self._parties.of(parts, span, budget, may_scan=may_scan)
                for span in (question.now, question.before)
            )
            words, bound = _rising(now, before, question.windows, question.also)
            begun = [start_s for part in parts if (start_s := part.oldest_s(question.now.size_s)) is not None]
            return Trend(words, bound, _told(parts), min(begun, default=None)), _as_of(parts)


def _rising(
    now: Sequence[PaneParty], before: Sequence[PaneParty], windows: int, also: Sequence[bytes]
) -> tuple[list[tuple[bytes, int, int]], int]:
    """Return (word, count now, count before) of words that may be above their share of the windows before, and of `also`.

    Returns:
        The words; a bound of the count now of any other word that is above its share.
    """
    listing = searched(now, _TREND_LEADING, also)
    texts = sorted(listing.counts)
    words = pa.array(texts, pa.binary())
    counts = np.array([listing.counts[word] for word in texts], np.int64)
    least = np.zeros(len(texts), np.int64)
    for party in before:
        least += party.known_counts(words)[0]
    asked = pc.is_in(words, value_set=pa.array(also, pa.binary())).to_numpy(zero_copy_only=False)
    # The words of which most is known to be above their share come first.
    rise = np.where(asked, np.inf, counts - least / windows)
    rising = np.flatnonzero(rise > 0)
    bound = listing.bound
    if len(rising) > _MOST_RISING:
        rising = rising[np.argsort(-rise[rising], kind="stable")]
        bound = max(bound, int(counts[rising[_MOST_RISING:]].max()))
        rising = np.sort(rising[:_MOST_RISING])
    told = [texts[place] for place in rising.tolist()]
    total = np.zeros(len(told), np.int64)
    for party in before:
        total += np.array(party.counts_of(told), np.int64)
    return list(zip(told, counts[rising].tolist(), total.tolist(), strict=True)), bound


def _listing(parties: Sequence[PaneParty], k: int, also: Sequence[bytes]) -> Leading:
    listing = searched(parties, k, also)
    return Leading([*listing.counts.items()], listing.bound, False)


def _all_words(parts: Sequence[Opened], span: PaneSpan, budget: Budget) -> Iterator[tuple[bytes, int]]:
    """Yield all words of some windows with their counts, in byte order."""
    panes = [(part, pane, since) for part in parts for pane, since in part.panes(span)]
    return merged([pane_rows(part.view, pane, since) for part, pane, since in panes], budget)


def _noting(
    counted: Iterator[tuple[bytes, int]], wanted: dict[bytes, int], least: int
) -> Iterator[tuple[bytes, int]]:
    """Yield the words with at least the count `least`, and note the counts of the `wanted` words."""
    for word, count in counted:
        if word in wanted:
            wanted[word] = count
        if count >= least:
            yield word, count


def _told(parts: Sequence[Opened]) -> dict[int, WindowState | None]:
    return {part.number: part.windows for part in parts if part.records or part.windows is not None}


def _as_of(parts: Sequence[Opened]) -> AsOf:
    return {part.number: part.position for part in parts}


@beside_the_loop
def _series(rows: Rows, word: bytes, span: PaneSpan, budget: Budget) -> tuple[Series, AsOf]:
    """Return the count of `word` in each pane of `span`, summed over the partitions that are at one position."""
    sums = [0] * span.count
    windows: dict[int, WindowState | None] = {}
    as_of: dict[int, int] = {}
    for number, served in rows.items():
        budget.check()
        counts, state = _counts(served, word, span)
        if (position := state.exact_position) is None:
            continue
        as_of[number] = position
        if state.totals.records or _windows(state) is not None:
            windows[number] = _windows(state)
        for place, count in counts:
            sums[place] += count
    return Series(sums, windows), as_of


def _counts(served: ServedRows, word: bytes, span: PaneSpan) -> tuple[list[tuple[int, int]], StoreState]:
    """Return (place in `span`, count) of the panes that have `word`, and the state of the store at that moment."""
    state = served.stored_state()
    for _ in range(_ATTEMPTS):
        panes = _panes(state, span)
        found = served.get_many_at([prefix + word for prefix in panes.prefixes])
        if found is None:
            state = served.stored_state()
            continue
        values, at = found
        # Flushes that brought no other panes left the keys as they were.
        if _windows(at) == _windows(state) or _panes(at, span) == panes:
            return panes.counts(values), at
        state = at
    with served.snapshot() as view:  # Slower, but no flush comes between.
        state = view.state or state
        panes = _panes(state, span)
        return panes.counts([view.value_of(prefix + word) for prefix in panes.prefixes]), state


class _Panes(NamedTuple):
    """The panes of a span that have rows, in the order of their keys.

    Attributes:
        places: the place of each pane in the span.
        prefixes: what the keys of its rows begin with.
        since: rows up to this source offset count no longer.
    """

    places: Sequence[int]
    prefixes: Sequence[bytes]
    since: int

    def counts(self, values: Sequence[bytes | None]) -> list[tuple[int, int]]:
        """Return (place, count) of each of `values`, one per pane, that is there and counts."""
        there = [
            (place, value) for place, value in zip(self.places, values, strict=True) if value is not None
        ]
        rows = unpack_rows([value for _, value in there]).tolist()
        return [
            (place, count) for (place, _), (count, upto) in zip(there, rows, strict=True) if upto > self.since
        ]


def _panes(state: StoreState, span: PaneSpan) -> _Panes:
    windows = _windows(state)
    size = None if windows is None else windows.size(span.size_s)
    if windows is None or size is None:
        return _Panes((), (), 0)
    if windows.jump is None:
        places = windows.places_at(span.size_s, span.starts)
        return _Panes(places, _prefixes(span)[places.start : places.stop], size.since)
    panes = windows.panes_at(span.size_s, span.starts)
    return _Panes([place for place, _ in panes], [pane.prefix for _, pane in panes], size.since)


@lru_cache(maxsize=8)
def _prefixes(span: PaneSpan) -> list[bytes]:
    """Return what the keys of each pane of `span` begin with: once for all partitions, as it takes longer than a look-up."""
    return [Pane(span.size_s, start_s).prefix for start_s in span.starts]


def _windows(state: StoreState) -> WindowState | None:
    return None if state.marker is None else state.marker.windows
