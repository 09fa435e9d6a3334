"""Panes of partitions as parties of a search for the most frequent words: what one pane of one partition counts, no other counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.reads.known_panes import KnownPanes
from app.reads.pool import Budget, too_slow
from app.reads.questions import PaneSpan
from tables.model.records import Int64Array
from tables.model.rows import unpack_row, unpack_rows
from tables.model.slices import SLICE_ROWS
from tables.model.windows import Pane, WindowState, pane_of, size_prefix
from tables.partitions.served_rows import ServedRows
from tables.store.snapshot import StoreSnapshot
from tables.top.leaders import Leaders
from tables.top.pane_leaders import (
    MOST_PANE_LEADERS,
    Closing,
    PaneLeaders,
    closing_of,
    leaders_in,
    pane_leaders,
)

MOST_WORDS_JOINED = 300_000
"""Leaders of all panes of a question that are joined, which takes 40 ms: of many panes fewer leaders each are taken."""

_FEWEST_LEADERS = 64

_LONGEST_SCAN_S = 60.0
"""Longest scan of the rows of a closed pane, which goes on when no client waits, because its leaders are kept."""

_AFTER_WORDS = b"\xff"
"""Every word sorts before this."""


class UnknownPaneError(Exception):
    """The leaders of a pane are not known, and its rows must not be scanned here."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A partition at one position.

    Attributes:
        number: number of the partition.
        served: its rows.
        name: name of the rows before they were opened.
        view: the rows at that position.
        position: the position.
        windows: its windows there; None = it counts no windows.
        records: records that were read up to the position.
    """

    number: int
    served: ServedRows
    name: object
    view: StoreSnapshot
    position: int
    windows: WindowState | None
    records: int

    def panes(self, span: PaneSpan) -> list[tuple[Pane, int]]:
        """Return the panes that have rows in the windows of `span`, and the `upto` up to which rows in them are dead."""
        windows = self.windows
        size = None if windows is None else windows.size(span.size_s)
        if windows is None or size is None:
            return []
        return [(pane, size.since) for _, pane in windows.panes_at(span.size_s, span.starts)]

    def oldest_s(self, size_s: int) -> int | None:
        """Return the beginning of the oldest pane of this size that has a row and is kept; None = there is none."""
        size = None if self.windows is None else self.windows.size(size_s)
        if self.windows is None or size is None:
            return None
        first = Pane(size_s, size.first_kept_s(self.windows.stream_ms)).prefix
        rows = self.view.scan(first, 1, end=size_prefix(size_s + 1))
        return pane_of(rows[0][0])[0].start_s if rows else None


def opened(rows: Mapping[int, ServedRows], views: ExitStack) -> list[Opened]:
    """Open the partitions that are at one position; `views` closes them."""
    found: list[Opened] = []
    for number, served in rows.items():
        name = served.name
        view = views.enter_context(served.snapshot())
        if view.position is not None:
            found.append(Opened(number, served, name, view, view.position, view.windows, view.records))
    return found


class PaneParties:
    """Finds the leaders of panes: kept ones, those in a note, by counts in memory, or by a scan of the rows.

    Args:
        known: keeps leaders.
    """

    def __init__(self, known: KnownPanes) -> None:
        self._known = known

    def of(
        self, parts: Sequence[Opened], span: PaneSpan, budget: Budget, *, may_scan: bool
    ) -> list[PaneParty]:
        """Return a party for each pane of `span` in each partition; none for panes without rows that count.

        Args:
            parts: the partitions.
            span: the panes.
            budget: time budget of the question. The scan of a closed pane may take longer, because its leaders are kept.
            may_scan: whether rows may be scanned.

        Raises:
            UnknownPaneError: rows would have to be scanned.
            QueryTimeoutError: the time is over.
        """
        panes = [(part, pane, since) for part in parts for pane, since in part.panes(span)]
        most = max(_FEWEST_LEADERS, min(MOST_PANE_LEADERS, MOST_WORDS_JOINED // max(1, len(panes))))
        parties: list[PaneParty] = []
        for part, pane, since in panes:
            budget.check()
            leaders = self._leaders(part, pane, since, budget, may_scan=may_scan).first(most)
            if len(leaders.counts):
                parties.append(PaneParty(part, pane, since, leaders, budget))
        return parties

    def _leaders(
        self, part: Opened, pane: Pane, since: int, budget: Budget, *, may_scan: bool
    ) -> PaneLeaders:
        assert part.windows is not None
        closing = closing_of(part.windows, pane)
        known = self._known.get(part.name, pane, part.position, closing)
        if known is not None:
            return known
        leaders = (
            part.served.leaders_of(pane, part.position)
            if closing is None
            else leaders_in(part.view.value_of(pane.note_key), closing)
        )
        if leaders is None:
            if not may_scan:
                raise UnknownPaneError
            leaders = scanned(part.view, pane, since, _patience(part, closing, budget))
        self._known.put(part.name, pane, part.position, closing, leaders)
        return leaders


class PaneParty:
    """A pane of a partition; a `Party` of `tables.top.top_words`.

    Args:
        part: the partition.
        pane: the pane.
        since: rows up to this source offset count no longer.
        leaders: its leaders.
        budget: time budget of the question.
    """

    def __init__(self, part: Opened, pane: Pane, since: int, leaders: PaneLeaders, budget: Budget) -> None:
        self._part = part
        self._prefix = pane.prefix
        self._since = since
        self._leaders = leaders
        self._budget = budget

    @property
    def words(self) -> pa.BinaryArray:
        return self._leaders.words

    @property
    def counts(self) -> Int64Array:
        return self._leaders.counts

    @property
    def bound(self) -> int:
        return self._leaders.bound

    def counts_of(self, words: Sequence[bytes]) -> list[int]:
        """See `tables.top.top_words.Party`."""
        counts, unknown = self.known_counts(pa.array(words, pa.binary()))
        places = np.flatnonzero(unknown)
        if len(places):
            counts[places] = self._stored([self._prefix + words[place] for place in places.tolist()])
        found: list[int] = counts.tolist()
        return found

    def known_counts(self, words: pa.BinaryArray) -> tuple[Int64Array, npt.NDArray[np.bool_]]:
        """Return the counts of `words` by the leaders alone, 0 for other words, and which words may have a count all the same."""
        places = pc.index_in(words, value_set=self.words).fill_null(-1).to_numpy(zero_copy_only=False)
        counts = np.where(places >= 0, self.counts[places], 0)
        return counts, (places < 0) & (self.bound > 0)

    def _stored(self, keys: Sequence[bytes]) -> list[int]:
        """Return the counts of rows by their keys, which are sorted."""
        view, values = self._part.view, list[bytes | None]()
        for start in range(0, len(keys), SLICE_ROWS):
            self._budget.check()
            some = keys[start : start + SLICE_ROWS]
            # A snapshot reads key by key. What is read without it is the same as long as no flush is written.
            found = self._part.served.get_many_at(some)
            values += found[0] if found is not None and found[1] == view.state else map(view.value_of, some)
        rows = [unpack_row(value) if value is not None else (0, 0) for value in values]
        return [count if upto > self._since else 0 for count, upto in rows]


def scanned(view: StoreSnapshot, pane: Pane, since: int, check: Callable[[], None]) -> PaneLeaders:
    """Return the leaders of a pane by all its rows (1.5 µs a row); `check` is called after each slice and may raise an error."""
    leaders = Leaders(MOST_PANE_LEADERS)
    for words, counts in _slices(view, pane, since):
        leaders = leaders.with_rows(words, counts)
        check()
    return pane_leaders(*leaders.read())


def pane_rows(view: StoreSnapshot, pane: Pane, since: int) -> Iterator[tuple[bytes, int]]:
    """Yield the words of a pane with their counts, in byte order."""
    for words, counts in _slices(view, pane, since):
        yield from zip(words.to_pylist(), counts.tolist(), strict=True)


def _slices(view: StoreSnapshot, pane: Pane, since: int) -> Iterator[tuple[pa.BinaryArray, Int64Array]]:
    prefix, start = pane.prefix, pane.prefix
    while rows := view.scan(start, SLICE_ROWS, prefix, prefix + _AFTER_WORDS):
        values = unpack_rows([row for _, row in rows])
        words = pa.array([key[len(prefix) :] for key, _ in rows], pa.binary())
        live = np.flatnonzero(values[:, 1] > since)
        if len(live) < len(rows):
            words, values = words.take(pa.array(live)), values[live]
        yield words, values[:, 0]
        start = rows[-1][0] + b"\x00"


def _patience(part: Opened, closing: Closing | None, budget: Budget) -> Callable[[], None]:
    """Return the check of a scan: that of a closed pane goes on after the end of the budget."""
    if closing is None:
        return budget.check
    end_s = monotonic() + _LONGEST_SCAN_S

    def check() -> None:
        part.view.check()
        if monotonic() > end_s:
            raise too_slow()

    return check
