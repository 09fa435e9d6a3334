"""The evaluation of a watch: asks the questions that HTTP has, and says which words have crossed.

A count of a window grows until the window expires. So a word that has crossed stays above, and it does not matter how often it is
asked for. Every answer is whole: while a partition does not answer, nothing is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.config.watches import Watch
from app.reads.answers import PATIENT, Answer, PartWindows
from app.reads.window_answers import AllQueries, NoWindowError, WindowSize, time_text
from app.reads.window_choice import Choice, with_records
from app.watches.crossing import Crossing
from app.watches.ledger import Page
from app.watches.looks import is_beyond, looks, since_of

MOST_WORDS: Final = 100
"""Most words that cross in one window of one watch; the others are counted."""

_LISTS: Final = (1_000, 10_000)
"""Lengths of the lists of most frequent words that are asked for, until the last word of one is not above."""

_TRENDING: Final = 1_000
_NEAR: Final = 2
_MOST: Final = 8
_POINTS: Final = 100
"""As `_NEAR` and `_MOST`, of a single word: one question reads all of these windows."""


@dataclass(slots=True)
class Evaluated:
    """What a look at a watch has found.

    Attributes:
        since_s: beginning of the first window that is looked at still; None = the watch has no windows, or none is known.
        crossings: the words above the threshold, also those that are known, in the order in which they are told.
        problem: what could not be looked at; None = nothing.
        turn_s: where the next look goes on, see `Looks.next_turn_s`.
        rounds: number of looks at the same positions that look at everything.
        is_behind: whether windows are left that are final.
    """

    since_s: int | None
    crossings: list[Crossing]
    problem: str | None = None
    turn_s: int = 0
    rounds: int = 1
    is_behind: bool = False


class Evaluation:
    """Evaluates watches by questions.

    Args:
        queries: answers questions over all partitions.
    """

    def __init__(self, queries: AllQueries) -> None:
        self._queries = queries

    async def overview(self) -> Answer[Mapping[int, PartWindows]]:
        """Return what each partition knows of windows, and the positions that are reached."""
        return await self._queries.windows.overview(PATIENT)

    async def evaluate(
        self, page: Page, known: Answer[Mapping[int, PartWindows]], turn_s: int, now_s: int
    ) -> Evaluated:
        """Look at the windows of a watch whose turn it is.

        Args:
            page: the watch, and from where on it is looked at.
            known: what `overview` has returned.
            turn_s: `Evaluated.turn_s` of the former look; 0 = there was none.
            now_s: the time in seconds since 1970.

        Raises:
            WordcountError: a question cannot be answered now.
        """
        watch = page.watch
        if watch.window is None:
            return await self._total(watch, now_s)
        size = WindowSize(watch.window.size_s, watch.window.advance_s)
        windows = with_records(known.value)
        if not windows:
            # Whatever comes, comes after the watch.
            return Evaluated(page.since_s or 0, [])
        choice = Choice(size, windows, known.as_of)
        since_s = since_of(choice, page.since_s, now_s)
        is_word = watch.kind == "word"
        plan = looks(
            choice,
            since_s,
            turn_s,
            near=_POINTS if is_word else _NEAR,
            most=_POINTS if is_word else _MOST,
        )
        found = Evaluated(
            plan.since_s, [], turn_s=plan.next_turn_s, rounds=plan.rounds, is_behind=plan.is_behind
        )
        if is_beyond(choice, plan.since_s):
            found.problem = (
                f"the windows before {time_text(plan.since_s)} were looked at, and there is none after; if the counts were reset, "
                "they have to get there first; if records have other times now, give the watch another name"
            )
        for starts in (plan.final, *plan.others):
            if starts:
                is_final = await self._look(watch, size, starts, found, now_s)
                if starts is plan.final and is_final:
                    found.since_s = plan.final.stop
        return found

    async def _total(self, watch: Watch, now_s: int) -> Evaluated:
        answer = await self._queries.counts_of([watch.text], PATIENT)
        count = answer.value[0]
        crossings = [Crossing(watch.text, count, None, answer.as_of, now_s)] if count > watch.above else []
        return Evaluated(None, crossings)

    async def _look(
        self, watch: Watch, size: WindowSize, starts: range, found: Evaluated, now_s: int
    ) -> bool:
        """Add the words that have crossed in the windows that begin at `starts`; return whether all of these are final."""
        if watch.kind == "word":
            return await self._look_at_word(watch, size, starts, found, now_s)
        look = self._look_at_prefix if watch.kind == "prefix" else self._look_at_trend
        return all([await look(watch, size, start_s, found, now_s) for start_s in starts])

    async def _look_at_word(
        self, watch: Watch, size: WindowSize, starts: range, found: Evaluated, now_s: int
    ) -> bool:
        answer = await self._queries.windows.series(
            watch.text, size, points=len(starts), start_s=starts.start, terms=PATIENT
        )
        series = answer.value
        found.crossings += [
            Crossing(watch.text, count, start_s, answer.as_of, now_s)
            for start_s, count in zip(series.starts, series.counts, strict=True)
            if count > watch.above
        ]
        return series.final_until_s is not None and series.final_until_s >= starts[-1] + size.size_s

    async def _look_at_prefix(
        self, watch: Watch, size: WindowSize, start_s: int, found: Evaluated, now_s: int
    ) -> bool:
        for k in _LISTS:
            answer = await self._queries.windows.top(size, k, start_s=start_s, exact=True, terms=PATIENT)
            words: Sequence[tuple[str, int]] = answer.value.top.words
            if len(words) < k or words[-1][1] <= watch.above:
                break
        else:
            found.problem = (
                f"more than {_LISTS[-1]:,} words of the window at {time_text(start_s)} occur more than {watch.above} times, and only "
                'the most frequent ones were looked at; raise "above"'
            )
        found.crossings += [
            Crossing(word, count, start_s, answer.as_of, now_s)
            for word, count in words
            if count > watch.above and word.startswith(watch.text)
        ]
        return answer.value.span.is_final

    async def _look_at_trend(
        self, watch: Watch, size: WindowSize, start_s: int, found: Evaluated, now_s: int
    ) -> bool:
        try:
            answer = await self._queries.windows.trending(
                size,
                _TRENDING,
                baseline=size.usual_baseline,
                min_count=watch.above + 1,
                start_s=start_s,
                terms=PATIENT,
            )
        except NoWindowError:
            return (
                True  # There is nothing before that a rate could be compared with, and there never will be.
            )
        found.crossings += [
            Crossing(one.word, one.count, start_s, answer.as_of, now_s, round(one.score, 3))
            for one in answer.value.trending.words
        ]
        return answer.value.span.is_final
