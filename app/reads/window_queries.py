"""Questions about windows over all partitions, whichever workers have them. Implements `app.reads.window_answers.WindowAnswers`.

Which windows there are follows from the markers of all partitions, which are asked for first. The answer then says by the markers at
its own positions what is final and whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace as replace_struct

from app.reads.answers import WHOLE, Answer, PartWindows, Terms
from app.reads.judge import Judge
from app.reads.parties import Found, Parties
from app.reads.questions import PaneLeadersAsked, PaneSpan, SeriesAsked, TrendAsked, WindowsAsked
from app.reads.together import all_of, united
from app.reads.top_search import TopSearch
from app.reads.window_answers import (
    MOST_POINTS,
    NoWindowError,
    WindowSize,
    WindowTop,
    WindowTrending,
    WordSeries,
    time_text,
)
from app.reads.window_choice import ByPartition, Choice, with_records
from tables.errors import BadRequestError, NotReadyError
from tables.top.trending import Telling, decided, look_ups

_ROUNDS: Final = 2
"""Most times that missing counts of trending words are asked for."""

_MOST_LOOK_UPS: Final = 2_000

Value = TypeVar("Value")


class WindowQueries:
    """Answers questions about windows.

    Args:
        parties: asks this process and the other workers.
        judge: judges answers.
        search: finds the most frequent words.
    """

    def __init__(self, parties: Parties, judge: Judge, search: TopSearch) -> None:
        self._parties = parties
        self._judge = judge
        self._search = search

    async def overview(self, terms: Terms = WHOLE) -> Answer[Mapping[int, PartWindows]]:
        """See `WindowAnswers.overview`."""
        return await self._judge.answer(
            lambda numbers: WindowsAsked(
                partitions=numbers, max_lag_records=terms.max_lag_records, is_patient=terms.is_patient
            ),
            lambda told: dict(sorted(united(one.value for one in told).items())),
            terms,
        )

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
        """See `WindowAnswers.top`."""
        before_s = self._judge.end_s()
        choice = await self._choice(size, terms)
        if start_s is None:
            start_s = choice.newest_closed_s
        if start_s is None:
            raise _none_closed(size)
        end_s = start_s + size.size_s if end_s is None else end_s
        choice.check_kept(start_s)
        span = PaneSpan(size.advance_s, start_s, (end_s - start_s) // size.advance_s)
        question = PaneLeadersAsked(partitions=(), k=k, exact=exact, span=span)
        found, top = await self._search.top(question, terms, before_s)
        choice = self._choice_at(size, found, terms)
        choice.check_kept(start_s)
        return self._judge.judged(found, WindowTop(top, choice.span(start_s, end_s)), terms)

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
        """See `WindowAnswers.series`."""
        before_s = self._judge.end_s()
        choice = await self._choice(size, terms)
        if start_s is None:
            newest = choice.newest_begun_s
            if newest is None:
                raise NoWindowError(
                    f"no window of {size.name} has begun",
                    "ask again when records with times are counted: the time of a partition begins with its second record",
                )
            start_s = max(newest - (points - 1) * size.advance_s, choice.first_kept_s)
            points = max(1, (newest - start_s) // size.advance_s + 1)
        if is_clipped:
            newest = choice.newest_begun_s
            kept_s = max(start_s, choice.first_kept_s)
            last_s = start_s + (points - 1) * size.advance_s
            start_s, points = (
                kept_s,
                0 if newest is None else (min(last_s, newest) - kept_s) // size.advance_s + 1,
            )
            if points > MOST_POINTS:
                raise BadRequestError(
                    f"{points:,} windows are kept from {time_text(kept_s)} on, more than {MOST_POINTS:,}",
                    "ask for a shorter stretch of time",
                )
            # The positions have to be told also where nothing is kept.
            points = max(0, points)
        choice.check_kept(start_s)
        span = PaneSpan(size.advance_s, start_s, max(1, points + size.panes - 1))
        key = word.encode()
        found = await self._parties.gather(
            lambda numbers: SeriesAsked(
                partitions=numbers,
                max_lag_records=terms.max_lag_records,
                is_patient=terms.is_patient,
                word=key,
                span=span,
            ),
            terms,
            before_s,
        )
        choice = self._choice_at(size, found, terms)
        choice.check_kept(start_s)
        panes = [sum(counts) for counts in zip(*(told.value.counts for told in found.told), strict=True)]
        series = WordSeries(
            [start_s + place * size.advance_s for place in range(points)],
            _running(panes or [0] * span.count, size.panes)[:points],
            choice.final_until_s,
            choice.whole_from_s,
        )
        return self._judge.judged(found, series, terms)

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
        """See `WindowAnswers.trending`."""
        end_s = self._judge.end_s()
        choice = await self._choice(size, terms)
        if start_s is None:
            start_s = choice.newest_begun_s if is_open else choice.newest_closed_s
        if start_s is None:
            raise _none_closed(size)
        choice.check_kept(start_s)
        oldest_s = max(choice.first_kept_s, choice.whole_from_s or 0)
        windows = min(baseline, (start_s - oldest_s) // size.size_s)
        if windows < 1:
            raise _no_baseline(size, start_s)
        from_s = start_s - windows * size.size_s
        question = TrendAsked(
            partitions=(),
            now=PaneSpan(size.advance_s, start_s, size.panes),
            before=PaneSpan(size.advance_s, from_s, windows * size.panes),
            windows=windows,
        )
        found = await self._parties.gather(_asks(question, terms), terms, end_s)
        windows = _windows_since_begun(found, start_s, size, windows)
        if windows < 1:
            raise _no_baseline(size, start_s)
        for _ in range(_ROUNDS):
            wanted = await _computed(look_ups, found, k, windows, min_count, _MOST_LOOK_UPS)
            missing = [place for place, words in enumerate(wanted) if words]
            if not missing:
                break
            await self._ask_again(found, {place: wanted[place] for place in missing}, question, terms, end_s)
        choice = self._choice_at(size, found, terms)
        choice.check_kept(from_s)
        # Before the first record nothing was counted that a rate could be compared with.
        from_s = start_s - windows * size.size_s
        trending = await _computed(decided, found, k, windows, min_count)
        span = choice.span(start_s, start_s + size.size_s)
        return self._judge.judged(found, WindowTrending(trending, span, from_s, windows), terms)

    async def _choice(self, size: WindowSize, terms: Terms) -> Choice:
        """Return the windows of a size as of now."""
        known = await self.overview(terms)
        return _choice_of(size, with_records(known.value), known.as_of)

    def _choice_at(self, size: WindowSize, found: Found, terms: Terms) -> Choice:
        """Return the windows of a size as of the positions of what was told, if it keeps `terms`."""
        self._judge.judged(found, None, terms)
        return _choice_of(size, united(told.value.windows for told in found.told), found.as_of)

    async def _ask_again(
        self,
        found: Found,
        wanted: Mapping[int, Sequence[bytes]],
        question: TrendAsked,
        terms: Terms,
        end_s: float,
    ) -> None:
        """Replace what parties have told by what they tell with the `wanted` words, by place of the party."""
        places = list(wanted)
        again = await all_of(
            [
                self._parties.ask(
                    found.parties[place],
                    replace_struct(
                        question,
                        partitions=sorted(found.told[place].as_of),
                        max_lag_records=terms.max_lag_records,
                        is_patient=terms.is_patient,
                        also=wanted[place],
                    ),
                    end_s,
                )
                for place in places
            ]
        )
        for place, told in zip(places, again, strict=True):
            if told.as_of.keys() == found.told[place].as_of.keys():
                found.told[place] = told


def _asks(question: TrendAsked, terms: Terms) -> Callable[[Sequence[int]], TrendAsked]:
    return lambda numbers: replace_struct(
        question, partitions=numbers, max_lag_records=terms.max_lag_records, is_patient=terms.is_patient
    )


def _choice_of(size: WindowSize, windows: ByPartition, as_of: Mapping[int, int]) -> Choice:
    """Return the windows of a size as of some positions. Raise NotReadyError if there are none."""
    if not as_of:
        raise NotReadyError("no partition answers", "ask again")
    return Choice(size, windows, as_of)


async def _computed(function: Callable[..., Value], found: Found, *arguments: int) -> Value:
    """Return `function` of what parties have told, computed in a thread because it may be long."""

    def compute() -> Value:
        tellings = [
            Telling({word: (count, before) for word, count, before in told.value.words}, told.value.bound)
            for told in found.told
        ]
        return function(tellings, *arguments)

    return await asyncio.to_thread(compute)


def _running(panes: Sequence[int], width: int) -> Sequence[int]:
    """Return the sum of each `width` adjacent panes."""
    if width == 1:
        return panes
    total = sum(panes[:width])
    sums = [total]
    for place in range(width, len(panes)):
        total += panes[place] - panes[place - width]
        sums.append(total)
    return sums


def _windows_since_begun(found: Found, start_s: int, size: WindowSize, most: int) -> int:
    """Return the number of windows before `start_s`, at most `most`, from the one on that has the first pane with a row."""
    begun = [told.value.oldest_s for told in found.told if told.value.oldest_s is not None]
    if not begun:
        return most
    return min(most, max(0, -(-(start_s - min(begun)) // size.size_s)))


def _no_baseline(size: WindowSize, start_s: int) -> NoWindowError:
    return NoWindowError(
        f"no window of {size.name} before {time_text(start_s)} is kept, whole and has a record",
        "ask again when a window has passed",
    )


def _none_closed(size: WindowSize) -> NoWindowError:
    return NoWindowError(
        f"no window of {size.name} is final yet in all partitions",
        "ask for a window by a time in it, or ask /v1/windows how far the times are",
    )
