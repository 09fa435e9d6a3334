"""The interface for reading windows (`WindowAnswers`), and the values and errors of its answers.

Times are whole seconds since 1970 in UTC; a window includes its beginning and not its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

from app.reads.answers import WHOLE, Answer, PartWindows, Queries, Terms
from tables.errors import WordcountError
from tables.model.durations import duration_text
from tables.top.top_words import TopWords
from tables.top.trending import Trending

MOST_PANES: Final = 1_500
"""Most panes that are added up for one list of words: a day of minutes."""

USUAL_BASELINE: Final = 10
"""Number of windows that a trend is compared with."""

MOST_POINTS: Final = 10_000
"""Most windows of one series."""

LAST_S: Final = 253_402_300_799
"""The last second of the year 9999."""


def time_text(seconds: int) -> str:
    """Return a time in RFC 3339; the end of the last window as the last second of the year 9999."""
    return datetime.fromtimestamp(min(max(seconds, 0), LAST_S), UTC).isoformat()[:19] + "Z"


class WindowSize(NamedTuple):
    """Windows of one length, which begin at each multiple of `advance_s`.

    Attributes:
        size_s: length of a window in seconds, a multiple of `advance_s`.
        advance_s: seconds from the beginning of a window to that of the next one, and length of the panes that are counted; a tumbling
            window is one pane.
    """

    size_s: int
    advance_s: int

    @property
    def name(self) -> str:
        """The size as clients write it: `1m`, or `1h/5m` for hopping windows."""
        name = duration_text(self.size_s)
        return name if self.size_s == self.advance_s else f"{name}/{duration_text(self.advance_s)}"

    @property
    def panes(self) -> int:
        """Number of panes of a window."""
        return self.size_s // self.advance_s

    @property
    def most_baseline(self) -> int:
        """Most windows before one of this size that can be added up with it as a baseline of trends; 0 = none can."""
        return max(0, MOST_PANES // self.panes - 1)

    @property
    def usual_baseline(self) -> int:
        """Number of windows of the baseline where nothing else is said."""
        return min(USUAL_BASELINE, self.most_baseline)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, and what is true of its windows in the partitions of an answer.

    Attributes:
        start_s: beginning.
        end_s: end, exclusive.
        final: partitions in which nothing is counted any more in the windows that end up to `end_s`.
        held_back_by: partition of the answer that is not in `final` -> its stream time in milliseconds since 1970; None = no time.
        is_whole: whether all partitions of the answer have counted all records of the stretch, from its first one on.
    """

    start_s: int
    end_s: int
    final: Sequence[int]
    held_back_by: Mapping[int, int | None]
    is_whole: bool

    @property
    def is_final(self) -> bool:
        """Whether nothing is counted any more in these windows in any partition of the answer."""
        return not self.held_back_by


@dataclass(frozen=True, slots=True)
class WindowTop:
    """The most frequent words of a stretch of time."""

    top: TopWords
    span: Span


@dataclass(frozen=True, slots=True)
class WordSeries:
    """The counts of a word in adjacent windows.

    Attributes:
        starts: beginnings of the windows, ascending.
        counts: counts in the same order.
        final_until_s: windows that end by then take no more records in any partition; None = all may take records.
        whole_from_s: windows that begin before are not whole; None = all windows are whole.
    """

    starts: Sequence[int]
    counts: Sequence[int]
    final_until_s: int | None
    whole_from_s: int | None


@dataclass(frozen=True, slots=True)
class WindowTrending:
    """The words that trend in a window.

    Attributes:
        trending: the words.
        span: the window.
        before_s: beginning of the windows before that are the baseline.
        windows: number of these windows.
    """

    trending: Trending
    span: Span
    before_s: int
    windows: int


class UnknownWindowError(WordcountError):
    """Windows of a size are asked for that is not counted.

    Args:
        size: the size that was asked for.
        counted: the sizes of panes that are counted.
    """

    def __init__(self, size: WindowSize, counted: Sequence[int]) -> None:
        sizes = ", ".join(map(duration_text, counted))
        super().__init__(
            f"no windows of {size.name} are counted",
            f"ask for one of {sizes}, or for a multiple of one of them, such as {WindowSize(2 * counted[0], counted[0]).name}"
            if counted
            else "set WORDCOUNT_WINDOWS; if it is set, ask again when records are counted",
        )


class WindowExpiredError(WordcountError):
    """A window is asked for whose counts are not kept any more, or never were.

    Args:
        size: the size that was asked for.
        start_s: beginning of the window.
        first_s: beginning of the oldest window that is kept.
        last_s: beginning of the newest window that has begun; None = none has begun.
    """

    def __init__(self, size: WindowSize, start_s: int, first_s: int, last_s: int | None) -> None:
        newest = "" if last_s is None else f", the newest at {time_text(last_s)}"
        super().__init__(
            f"the window of {size.name} that begins at {time_text(start_s)} is not kept any more",
            f"the oldest window that is kept begins at {time_text(first_s)}{newest}",
        )


class NoWindowError(WordcountError):
    """The newest window is asked for, and there is none yet."""


class WindowAnswers(Protocol):
    """Reads windows.

    Every method raises what the methods of `app.reads.answers.Queries` raise, `UnknownWindowError` if windows of `size` are not
    counted, and `WindowExpiredError` if they are not kept.
    """

    async def overview(self, terms: Terms = WHOLE) -> Answer[Mapping[int, PartWindows]]:
        """Return what each partition knows of windows."""
        ...

    async def top(
        self,
        size: WindowSize,
        k: int,
        *,
        start_s: int | None = None,
        end_s: int | None = None,
        exact: bool = False,
        terms: Terms = WHOLE,
    ) -> Answer[WindowTop]:
        """Return the most frequent words of a stretch of time.

        Args:
            size: size of the windows.
            k: most words in the answer, >= 1.
            start_s: beginning, a multiple of `size.advance_s`; None = that of the newest window that is closed in all partitions.
            end_s: end, a multiple of `size.advance_s`, at most `MOST_PANES` panes later; None = one window.
            exact: see `Queries.top`.
            terms: what the asker demands.

        Raises:
            NoWindowError: no window is closed in all partitions, and `start_s` is None.
        """
        ...

    async def series(
        self,
        word: str,
        size: WindowSize,
        *,
        points: int,
        start_s: int | None = None,
        is_clipped: bool = False,
        terms: Terms = WHOLE,
    ) -> Answer[WordSeries]:
        """Return the count of `word` in each of adjacent windows.

        Args:
            word: the word.
            size: size of the windows.
            points: number of windows, up to `MOST_POINTS`; fewer are returned where `start_s` is None and fewer are kept.
            start_s: beginning of the first window; None = as many windows as wanted up to the newest one that has begun.
            is_clipped: whether windows are left out that are not kept, or have not begun; `WindowExpiredError` is then not raised.
            terms: what the asker demands.

        Raises:
            BadRequestError: more than `MOST_POINTS` windows are left, with `is_clipped`.
            NoWindowError: no window has begun, and `start_s` is None.
        """
        ...

    async def trending(
        self,
        size: WindowSize,
        k: int,
        *,
        baseline: int,
        min_count: int,
        start_s: int | None = None,
        is_open: bool = False,
        terms: Terms = WHOLE,
    ) -> Answer[WindowTrending]:
        """Return the words that trend (`tables.top.trending`) in a window.

        Args:
            size: size of the windows.
            k: most words in the answer, >= 1.
            baseline: most windows before that are compared, >= 1: those that are kept and whole, from the first one with a record on.
            min_count: least count of a trending word in the window, >= 1.
            start_s: beginning of the window, a multiple of `size.advance_s`; None = see `is_open`.
            is_open: whether the newest window that has begun is taken, which may take records still, and not the newest one that is
                closed in all partitions.
            terms: what the asker demands.

        Raises:
            NoWindowError: there is no such window, or none before it.
        """
        ...


class AllQueries(Queries, Protocol):
    """Reads counts and windows."""

    @property
    def windows(self) -> WindowAnswers:
        """Reads windows."""
        ...
