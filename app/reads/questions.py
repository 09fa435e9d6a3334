"""Questions about named partitions, and what is told: the messages between workers.

A question names partitions. Whoever is asked tells one value over those partitions that it can answer for now, and the position of
each; the other partitions are refused, each with a reason. Each partition is asked of one party at a time, so that what parties tell
covers disjoint partitions and can be added up. Words are UTF-8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Generic, TypeVar

from msgspec import Meta, Struct

from app.reads.answers import Behind, FollowerStatus, PartitionStatus, PartWindows, Role
from app.watch_bodies import Watches
from tables.model.durations import LONGEST_SIZE_S
from tables.model.event_clock import LATEST_MS
from tables.model.tally import Totals
from tables.model.windows import WindowState

Value = TypeVar("Value")

MOST_TOLD = 100_000
"""Most words of one answer."""

MOST_FREQUENT = 16_384
"""Most words of an answer to `LeadersAsked.least`: of eight workers they are added up in a fifth of a second."""

MOST_SERIES_PANES = 20_000
"""Most windows of one question for a word."""

LATEST_S = LATEST_MS // 1000 + 1
"""End of the last time that a record may have, in seconds since 1970."""

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**56)]
"""A count. Counts of 128 parties can be added up and still be written as JSON, whatever a broken worker tells."""

Counts = Annotated[list[Count], Meta(max_length=MOST_TOLD)]
"""Counts in the order of the words that were asked for; 0 = the word has no row in the partitions that answer."""


class Question(Struct, frozen=True, kw_only=True, tag_field="ask"):
    """A question about some partitions.

    Attributes:
        partitions: the partitions that the answer should cover.
        max_lag_records, is_patient: see `app.reads.answers.Terms`.
    """

    partitions: Sequence[Number]
    max_lag_records: int | None = None
    is_patient: bool = False

    @property
    def may_read_all(self) -> bool:
        """Whether all rows may have to be read, so that no party answers in a share of the time."""
        return False


class CountsAsked(Question, frozen=True, kw_only=True, tag="counts"):
    """Asks for the counts of `words`; told: `Counts`.

    Attributes:
        words: the words, each once.
        at: partition -> position at which the count is wanted; a partition at another position is refused. Empty = any position.
    """

    words: Sequence[bytes]
    at: Mapping[Number, Number] = {}


class PageAsked(Question, frozen=True, kw_only=True, tag="page"):
    """Asks for the first words of some partitions; told: (word, count) pairs in byte order.

    Attributes:
        prefix: only words that begin with these bytes.
        start: only words >= `start`.
        limit: most words, >= 1; fewer are told only if there are no more.
    """

    prefix: bytes
    start: bytes
    limit: Annotated[int, Meta(ge=1, le=MOST_TOLD)]


class LeadersAsked(Question, frozen=True, kw_only=True, tag="leaders"):
    """Asks for the most frequent words of some partitions together; told: `Leading`.

    Attributes:
        k: most words, >= 1, if exactly the first words are wanted.
        needed: 0 = exactly the first `k` words are wanted. Otherwise words are told in any number and order, at least this many, as
            far as they can be found without reading all rows.
        also: further words whose counts are told, if `needed` or `least` is not 0.
        exact: whether all rows may be read to find out.
        least: if not 0, every word with at least this count is told, in any order, also if all rows have to be read; the
            `MOST_FREQUENT` most frequent ones if there are more.
    """

    k: Annotated[int, Meta(ge=1, le=MOST_TOLD)]
    needed: Number = 0
    also: Sequence[bytes] = ()
    exact: bool = False
    least: Number = 0

    @property
    def may_read_all(self) -> bool:
        """See `Question.may_read_all`."""
        return self.exact or self.least > 0


class PaneSpan(Struct, frozen=True, array_like=True):
    """Adjacent windows of one size, each of which is one pane.

    Attributes:
        size_s: length of a window in seconds.
        first_s: beginning of the first window in seconds since 1970; a multiple of `size_s`.
        count: number of windows.
    """

    size_s: Annotated[int, Meta(ge=1, le=LONGEST_SIZE_S)]
    first_s: Annotated[int, Meta(ge=0, le=LATEST_S)]
    count: Annotated[int, Meta(ge=1, le=MOST_SERIES_PANES)]

    @property
    def starts(self) -> range:
        """The beginnings of the windows."""
        return range(self.first_s, self.end_s, self.size_s)

    @property
    def end_s(self) -> int:
        """End of the last window."""
        return self.first_s + self.count * self.size_s


class PaneLeadersAsked(LeadersAsked, frozen=True, kw_only=True, tag="pane-leaders"):
    """Asks for the most frequent words of some windows of some partitions together; told: `PaneLeading`.

    Attributes:
        span: the windows.
    """

    span: PaneSpan


class TrendAsked(Question, frozen=True, kw_only=True, tag="trend"):
    """Asks for words that occur more often in a window than in the windows before it; told: `Trend`.

    Attributes:
        now: the panes of the window.
        before: the panes of the windows before it.
        windows: number of the windows before it.
        also: words whose counts are told in any case.
    """

    now: PaneSpan
    before: PaneSpan
    windows: Annotated[int, Meta(ge=1, le=MOST_SERIES_PANES)]
    also: Sequence[bytes] = ()


class SeriesAsked(Question, frozen=True, kw_only=True, tag="series"):
    """Asks for the counts of a word in some windows; told: `Series`.

    Attributes:
        word: the word.
        span: the windows.
    """

    word: bytes
    span: PaneSpan


class WindowsAsked(Question, frozen=True, kw_only=True, tag="windows"):
    """Asks what some partitions know of windows; told: `WindowsTold`."""


class TotalsAsked(Question, frozen=True, kw_only=True, tag="totals"):
    """Asks for the totals and the state of some partitions; told: `PartStats`."""


class PositionsAsked(Question, frozen=True, kw_only=True, tag="positions"):
    """Asks for the positions alone; told: nothing beside them."""


class StatusAsked(Struct, frozen=True, tag_field="ask", tag="status"):
    """Asks a worker what it does with all its partitions; told: `WorkerStatus`."""


class WatchesAsked(Struct, frozen=True, tag_field="ask", tag="watches"):
    """Asks the worker that sends watches how they stand; told: `app.watch_bodies.Watches`."""


class Leading(Struct, frozen=True, array_like=True):
    """The most frequent words of some partitions together.

    Attributes:
        words: (word, count) pairs, in descending order of the counts if `exact`.
        bound: no other word of these partitions occurs more often; 0 = there is no other word.
        exact: whether `words` are certainly the most frequent ones, in order.
    """

    words: list[tuple[bytes, Count]]
    bound: Count
    exact: bool


ByPartition = dict[Number, WindowState | None]
"""Partition -> its windows at the position of the answer; None = it counts none. Partitions without records may be left out."""


class PaneLeading(Leading, frozen=True, array_like=True):
    """The most frequent words of some windows of some partitions together, and the windows of each partition."""

    windows: ByPartition


class Trend(Struct, frozen=True, array_like=True):
    """Words of a window.

    Attributes:
        words: (word, count in the window, count in the windows before it); at most `MOST_TOLD`.
        bound: no other word occurs more often in the window, unless at most as often as its share of the windows before.
        windows: windows of each partition.
        oldest_s: beginning of the oldest pane that has a row, in seconds since 1970; None = there is none, or it is not known.
    """

    words: Annotated[list[tuple[bytes, Count, Count]], Meta(max_length=MOST_TOLD)]
    bound: Count
    windows: ByPartition
    oldest_s: Count | None = None


class Series(Struct, frozen=True, array_like=True):
    """The counts of a word in some windows, in their order, and the windows of each partition."""

    counts: Annotated[list[Count], Meta(max_length=MOST_SERIES_PANES)]
    windows: ByPartition


WindowsTold = dict[Number, PartWindows]
"""Partition -> what it knows of windows."""


class PartStats(Struct, frozen=True, array_like=True):
    """Totals over some partitions, and the status and the windows of each."""

    totals: Totals
    partitions: dict[Number, PartitionStatus]
    windows: WindowsTold = {}


class WorkerStatus(Struct, frozen=True):
    """What a worker does with its partitions.

    Attributes:
        process: a random name of the process, so that an address that leads elsewhere is noticed.
        version: version of Wordcount.
        active: partition that the worker owns -> its status.
        standby: partition that the worker follows -> its status.
    """

    process: str
    version: str
    active: dict[Number, PartitionStatus]
    standby: dict[Number, FollowerStatus]


class Told(Struct, Generic[Value], frozen=True):
    """What is told of the partitions of a question.

    Attributes:
        value: the value over the partitions in `as_of` together.
        as_of: partition -> position, for each partition that `value` covers.
        served_by: who answered for each of them.
        behind: how far a follower was behind that answered.
        refused: partition -> why it is not in `as_of`.
    """

    value: Value
    as_of: dict[Number, Number]
    served_by: dict[Number, Role]
    behind: dict[Number, Behind]
    refused: dict[Number, str]


AnyQuestion = (
    CountsAsked
    | PageAsked
    | LeadersAsked
    | PaneLeadersAsked
    | TrendAsked
    | SeriesAsked
    | WindowsAsked
    | TotalsAsked
    | PositionsAsked
    | StatusAsked
    | WatchesAsked
)
"""What a worker may be asked by another."""

TOLD: Mapping[type[Struct], object] = {
    CountsAsked: Told[Counts],
    PageAsked: Told[list[tuple[bytes, Count]]],
    LeadersAsked: Told[Leading],
    PaneLeadersAsked: Told[PaneLeading],
    TrendAsked: Told[Trend],
    SeriesAsked: Told[Series],
    WindowsAsked: Told[WindowsTold],
    TotalsAsked: Told[PartStats],
    PositionsAsked: Told[None],
    StatusAsked: WorkerStatus,
    WatchesAsked: Watches,
}
"""Question -> the type of what is told."""


def is_sound(question: Question, told: Told[Any]) -> bool:
    """Return whether `told` can be an answer to `question`: of asked partitions only, each covered or refused, and with such words."""
    asked, covered, refused = set(question.partitions), told.as_of.keys(), told.refused.keys()
    if not (covered | refused <= asked and not covered & refused and covered == told.served_by.keys()):
        return False
    return told.behind.keys() <= covered and _fits(question, told.value)


def _fits(question: Question, value: Any) -> bool:
    """Return whether `value` can be told to `question`."""
    match question:
        case CountsAsked():
            return len(value) == len(question.words)
        case PageAsked():
            words = [word for word, _ in value]
            return (
                len(words) <= question.limit
                and all(before < after for before, after in pairwise(words))
                and all(word >= question.start and word.startswith(question.prefix) for word in words)
                and _are_text(words)
            )
        case PaneLeadersAsked() | TrendAsked() | SeriesAsked() | WindowsAsked():
            return _windows_fit(question, value)
        case LeadersAsked():
            return _are_words([word for word, _ in value.words])
        case TotalsAsked():
            return value.partitions.keys() | value.windows.keys() <= set(question.partitions)
    return True


def _windows_fit(question: PaneLeadersAsked | TrendAsked | SeriesAsked | WindowsAsked, value: Any) -> bool:
    windows = value if isinstance(question, WindowsAsked) else value.windows
    if not windows.keys() <= set(question.partitions):
        return False
    match question:
        case PaneLeadersAsked():
            return _are_words([word for word, _ in value.words])
        case TrendAsked():
            return _are_words([word for word, _, _ in value.words])
        case SeriesAsked():
            return len(value.counts) == question.span.count
    return True


def _are_words(words: Sequence[bytes]) -> bool:
    return len(words) == len(set(words)) and _are_text(words)


def _are_text(words: Sequence[bytes]) -> bool:
    """Return whether all words are UTF-8. A line feed is part of no other character, so that a break in one word is seen in all."""
    try:
        b"\n".join(words).decode()
    except UnicodeDecodeError:
        return False
    return True
